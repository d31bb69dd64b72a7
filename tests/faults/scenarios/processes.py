# SPDX-License-Identifier: Apache-2.0
"""
Processes that die, stop, freeze and come back (F1 to F9, F37).
"""
from bed import RESUME_SECONDS, SESSION_TIMEOUT_MS
from inject import FastRestart, Freeze, Kill, Stop
from load import CANARY, PARTITIONS
from registry import scenario

SESSION_SECONDS = SESSION_TIMEOUT_MS / 1000


def some_leader(trial):
    return trial.bed.leader(CANARY, trial.chance.randrange(PARTITIONS))


@scenario("kill-leader", "F1", "SIGKILL of a leader, again and again", seconds=40)
def kill_leader(trial):
    for _ in trial.rounds():
        with trial.during(Kill(trial.bed, some_leader(trial))):
            trial.expect_writes()
            trial.hold(trial.chance.uniform(0, 3))
        trial.settle()


@scenario("kill-controller", "F2", "SIGKILL of the controller", seconds=40)
def kill_controller(trial):
    for _ in trial.rounds():
        epoch = controller_epoch(trial)
        with trial.during(Kill(trial.bed, trial.bed.controller())):
            trial.expect_writes()
            trial.expect(lambda: controller_epoch(trial) > epoch, RESUME_SECONDS, "no new controller")
        trial.settle()


def controller_epoch(trial):
    return int(trial.bed.znode("/controller_epoch"))


@scenario("kill-controller-and-leader", "F2", "SIGKILL of the controller and a leader, of 5 brokers", seconds=30,
          brokers=5)
def kill_controller_and_leader(trial):
    for _ in trial.rounds():
        controller = trial.bed.controller()
        leader = some_leader(trial)
        with trial.during(Kill(trial.bed, *{controller.id: controller, leader.id: leader}.values())):
            trial.hold(RESUME_SECONDS)
        trial.expect_writes(RESUME_SECONDS)
        trial.settle()


@scenario("kill-all", "F3", "SIGKILL of two brokers of three, then of all", seconds=30,
          errors_allowed=True)
def kill_all(trial):
    for _ in trial.rounds():
        brokers = list(trial.bed.brokers.values())
        trial.chance.shuffle(brokers)
        with trial.during(Kill(trial.bed, *brokers[:2])):
            trial.hold(trial.chance.uniform(1, SESSION_SECONDS * 2))
            with trial.during(Kill(trial.bed, *brokers[2:])):
                trial.hold(trial.chance.uniform(0, 3))
        trial.expect_writes(15 + SESSION_SECONDS, "served again, all back")
        trial.settle()


@scenario("rolling-restart", "F4", "orderly restart of all, one after the other", seconds=30)
def rolling_restart(trial):
    for _ in trial.rounds():
        for broker in trial.bed.brokers.values():
            with trial.during(Stop(trial.bed, broker)):
                pass
            trial.settle()
        refusals = trial.load.canary.refusals
        assert not refusals, "a client saw %d errors: %s" % (len(refusals), refusals[0])
        trial.note("longest pause of a partition's writes so far: %.2f s" % trial.load.canary.longest_gap_seconds)


@scenario("freeze-leader-short", "F5", "SIGSTOP of a leader for half a session", seconds=20)
def freeze_leader_short(trial):
    for _ in trial.rounds():
        with trial.during(Freeze(trial.bed, some_leader(trial))):
            trial.hold(SESSION_SECONDS / 2)
        trial.expect_writes()
        trial.settle()


@scenario("freeze-leader", "F5", "SIGSTOP of a leader for three sessions", seconds=40)
def freeze_leader(trial):
    for _ in trial.rounds():
        with trial.during(Freeze(trial.bed, some_leader(trial))):
            trial.expect_writes(RESUME_SECONDS + 5)
            trial.hold(SESSION_SECONDS * 2)
        trial.expect_writes()
        trial.settle()


@scenario("freeze-controller", "F6", "SIGSTOP of the controller for three sessions", seconds=40)
def freeze_controller(trial):
    for _ in trial.rounds():
        epoch = controller_epoch(trial)
        with trial.during(Freeze(trial.bed, trial.bed.controller())):
            trial.expect(lambda: controller_epoch(trial) == epoch + 1, RESUME_SECONDS + 5, "no new controller")
            trial.hold(SESSION_SECONDS * 2)
        trial.expect_writes()
        trial.settle()
        assert controller_epoch(trial) == epoch + 1, "the frozen controller acted when it came back"


@scenario("fast-restart", "F8", "SIGKILL and start again within the session", seconds=30)
def fast_restart(trial):
    for _ in trial.rounds():
        trial.once(FastRestart(trial.bed, trial.broker()))
        trial.expect_writes(RESUME_SECONDS + 5)
        trial.hold(trial.chance.uniform(0, 2))
    trial.settle()


@scenario("crash-loop", "F9", "a broker killed two seconds after each start, 20 times", seconds=60)
def crash_loop(trial):
    broker = trial.broker()
    for _ in trial.rounds(at_most=20):
        trial.once(FastRestart(trial.bed, broker))
        trial.hold(2)
    trial.expect_writes(RESUME_SECONDS + 5)
    trial.settle()


@scenario("suspend", "F37", "a broker and all clients frozen for three sessions", seconds=30)
def suspend(trial):
    clients = [process for process in trial.load.processes if process.is_running()]
    for _ in trial.rounds():
        with trial.during(Freeze(trial.bed, trial.broker(), *clients)):
            trial.hold(SESSION_SECONDS * 3)
        trial.expect_writes()
        trial.settle()
