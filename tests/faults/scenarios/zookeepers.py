# SPDX-License-Identifier: Apache-2.0
"""
ZooKeeper without its leader, without a quorum, frozen, slow or stale; sessions that end (F20 to F26, F28).
"""
from bed import RESUME_SECONDS, SESSION_TIMEOUT_MS
from inject import (NETWORK, Cut, ExpireSession, Freeze, Kill, Pulse, Stop, both_ways)
from load import CANARY
from registry import scenario
from znodes import ZooKeeperError

SESSION_SECONDS = SESSION_TIMEOUT_MS / 1000


def two_zookeepers(trial):
    """The leader and one more: the rest is no quorum."""
    leader = trial.bed.zookeeper_leader()
    return [leader, trial.chance.choice([one for one in trial.bed.zookeepers if one is not leader])]


@scenario("zookeeper-leader", "F20", "SIGKILL of ZooKeeper's leader", seconds=40)
def zookeeper_leader(trial):
    for _ in trial.rounds():
        sessions = broker_sessions(trial)
        with trial.during(Kill(trial.bed, trial.bed.zookeeper_leader())):
            trial.expect_writes(3, "writes do not care")
            trial.expect(trial.bed.zookeeper_leader, 20, "no new leader")
            trial.hold(3)
        ensemble_whole(trial)
        trial.settle()
        if broker_sessions(trial) != sessions:
            trial.note("sessions were lost: %s, then %s" % (sessions, broker_sessions(trial)))


def ensemble_whole(trial):
    """All ZooKeepers follow one leader. One that was away takes its time: its elections back off, up to a minute."""
    trial.expect(lambda: sorted(one.mode() for one in trial.bed.zookeepers) == ["follower", "follower", "leader"], 90,
                 "the ZooKeepers do not come together")


def broker_sessions(trial):
    with trial.bed.zookeeper() as client:
        return {number: client.owner("/barnabas/brokers/ids/%d" % number) for number in trial.bed.brokers}


@scenario("zookeeper-quorum", "F21", "two of three ZooKeepers killed for three sessions", seconds=20)
def zookeeper_quorum(trial):
    for _ in trial.rounds():
        with trial.during(Kill(trial.bed, *two_zookeepers(trial))):
            trial.expect_writes(RESUME_SECONDS, "leaders serve without ZooKeeper")
            trial.hold(SESSION_SECONDS * 3)
        trial.expect_writes(30)
        trial.settle(60)


@scenario("zookeeper-freeze", "F22", "two of three ZooKeepers frozen for three sessions", seconds=20)
def zookeeper_freeze(trial):
    for _ in trial.rounds():
        with trial.during(Freeze(trial.bed, *two_zookeepers(trial))):
            trial.hold(SESSION_SECONDS * 3)
        trial.expect_writes(30)
        trial.settle(60)


@scenario("zookeeper-down", "F23", "all ZooKeepers down, brokers restarted meanwhile", seconds=20,
          settings={"zookeeper.connection.timeout.ms": 60000})
def zookeeper_down(trial):
    for _ in trial.rounds():
        with trial.during(Kill(trial.bed, *trial.bed.zookeepers)):
            trial.hold(2)
            for broker in trial.bed.brokers.values():
                trial.note("SIGKILL and start of %s" % broker.host)
                broker.kill()
                broker.start()
            trial.hold(SESSION_SECONDS * 2)
        trial.expect_writes(40, "all well after ZooKeeper's return")
        trial.settle(60)


@scenario("expire-session", "F24", "a broker's session is ended by a second handle", seconds=40)
def expire_session(trial):
    for _ in trial.rounds():
        broker = trial.broker()
        before = broker_sessions(trial)[broker.id]
        trial.once(ExpireSession(trial.bed, broker))
        trial.expect(lambda: broker_sessions(trial)[broker.id] not in (None, before), 15,
                     "%s does not register again" % broker.host)
        trial.expect_writes(RESUME_SECONDS)
        trial.settle()


@scenario("expire-controller", "F24", "the controller's session is ended by a second handle", seconds=40)
def expire_controller(trial):
    for _ in trial.rounds():
        broker = trial.bed.controller()
        before = broker_sessions(trial)[broker.id]
        epoch = trial.bed.znode("/controller_epoch")
        trial.once(ExpireSession(trial.bed, broker))
        trial.expect(lambda: trial.bed.znode("/controller_epoch") > epoch, 15, "no new controller")
        trial.expect(lambda: broker_sessions(trial)[broker.id] not in (None, before), 15,
                     "%s does not register again" % broker.host)
        trial.expect_writes(RESUME_SECONDS)
        trial.settle()


@scenario("zookeeper-stale", "F25", "a ZooKeeper follower is cut off from the others", seconds=40, needs=(NETWORK,))
def zookeeper_stale(trial):
    for _ in trial.rounds():
        leader = trial.bed.zookeeper_leader()
        cut_off = trial.chance.choice([one for one in trial.bed.zookeepers if one is not leader])
        others = [one.host for one in trial.bed.zookeepers if one is not cut_off]
        with trial.during(Cut(trial.bed, both_ways([cut_off.host], others))):
            with trial.during(Kill(trial.bed, trial.broker())):
                # Brokers attached to the one that is cut off may lose their sessions too.
                trial.expect_writes(30)
            trial.hold(SESSION_SECONDS)
        ensemble_whole(trial)
        trial.expect_writes(30)
        trial.settle(60)


@scenario("zookeeper-slow", "F26", "all ZooKeepers frozen four fifths of the time", seconds=30)
def zookeeper_slow(trial):
    with trial.during(Pulse(trial.bed, *trial.bed.zookeepers)):
        for _ in trial.rounds():
            trial.hold(3)
    trial.expect_writes(RESUME_SECONDS)
    trial.settle()


@scenario("foreign-writes", "F28", "garbage and foreign znodes", seconds=10, errors_allowed=True)
def foreign_writes(trial):
    garbage = [("/brokers/topics/garbage", "{not json"), ("/config/topics/garbage", "[]"),
               ("/config/changes/config_change_x", "\x00"), ("/admin/delete_topics/never-was", ""),
               ("/isr_change_notification/isr_change_9", "{}"), ("/log_dir_event_notification/log_dir_event_9", "?")]
    for path, data in garbage:
        trial.note("znode %s: %r" % (path, data))
        with trial.bed.zookeeper() as client:
            try:
                client.create("/barnabas" + path, data)
            except ZooKeeperError as error:
                trial.note(str(error))
        trial.hold(0.5)
    trial.create_topic("after-garbage", 2)
    with trial.during(Stop(trial.bed, trial.bed.controller())):
        trial.expect_writes(RESUME_SECONDS, "writes go on under the next controller")
    trial.create_topic("after-garbage-2", 2)
    with trial.bed.zookeeper() as client:
        client.delete("/barnabas/brokers/topics/garbage")
    trial.hold(1)
    trial.expect(lambda: len(trial.bed.partitions(CANARY)) > 0, 10, "the canary's topic is gone")
    trial.settle()
