# SPDX-License-Identifier: Apache-2.0
"""
The random mix (F49): cycles of faults drawn from the seed by plan.py, two at a time; after each all has to settle.
"""
import random

import inject
import moves
import plan
from bed import RESUME_SECONDS
from load import CANARY, PARTITIONS, TOPICS
from registry import scenario

SETTLE_SECONDS = 90
_CLOCK_JUMPS = (3600, -3600, 86400 * 365, -86400 * 365, 5, -5)
_BROKEN_CALLS = ("write", "sync+write", "all")
_ALL_TOPICS = (*TOPICS, CANARY)
_CHURNED = 3


class Resolver:
    """Makes an injection of a step: finds who plays its role right now."""

    def __init__(self, trial):
        self.trial = trial
        self.bed = trial.bed
        self.topics = 0

    def broker(self, step):
        """The broker in the step's role, without waiting: the one of its number when nobody can say."""
        if step.role == "any":
            return self.bed.brokers[step.broker]
        known = self.bed.metadata([CANARY]) or {"controller": -1, "topics": {}}
        number = known["controller"]
        if step.role == "leader":
            rows = known["topics"].get(CANARY, {"partitions": {}})["partitions"]
            number = rows.get(step.chance % PARTITIONS, {"leader": -1})["leader"]
        return self.bed.brokers.get(number, self.bed.brokers[step.broker])

    def zookeepers(self, step):
        """The step's ZooKeeper, or the leader of them; and one more."""
        one = self.bed.zookeepers[step.zookeeper - 1]
        if step.role == "leader":
            leaders = [server for server in self.bed.zookeepers if server.is_well() and server.mode() == "leader"]
            one = leaders[0] if leaders else one
        return one, self.bed.zookeepers[one.number % 3]

    def injection(self, step):
        bed, broker = self.bed, self.broker(step)
        other = bed.brokers[step.other if step.other != broker.id else step.broker]
        hosts = inject.broker_hosts(bed)
        topic = _ALL_TOPICS[step.chance % len(_ALL_TOPICS)]
        folder = step.chance % 2
        makers = {
            "kill": lambda: inject.Kill(bed, broker),
            "fast-restart": lambda: inject.FastRestart(bed, broker),
            "stop": lambda: inject.Kill(bed, broker) if not broker.is_well() else inject.Stop(bed, broker),
            "freeze": lambda: inject.Freeze(bed, broker),
            "kill-two": lambda: inject.Kill(bed, broker, other),
            "expire": lambda: inject.ExpireSession(bed, broker),
            "cut": lambda: inject.Cut(bed, inject.both_ways([broker.host], [other.host])),
            "cut-one-way": lambda: inject.Cut(bed, [(broker.host, other.host)]),
            "isolate": lambda: inject.Cut(bed, inject.both_ways([broker.host], inject.broker_hosts(bed, broker)),
                                          "from all brokers"),
            "cut-zookeeper": lambda: inject.Cut(bed, inject.both_ways([broker.host], inject.zookeeper_hosts(bed)),
                                                "from ZooKeeper"),
            "loss": lambda: inject.Loss(bed, inject.both_ways(hosts, hosts), 5 + step.chance % 25, step.chance),
            "slow": lambda: inject.Slow(bed, broker, 256),
            "reset": lambda: inject.Reset(bed, broker),
            "zookeeper-kill": lambda: inject.Kill(bed, self.zookeepers(step)[0]),
            "zookeeper-quorum": lambda: inject.Kill(bed, *self.zookeepers(step)),
            "zookeeper-freeze": lambda: inject.Freeze(bed, self.zookeepers(step)[0]),
            "full-disk": lambda: inject.DiskRules(bed, broker, folder, "write+open+mkdir+truncate", "ENOSPC"),
            "disk-error": lambda: inject.DiskRules(bed, broker, folder, _BROKEN_CALLS[step.chance % 3], "EIO"),
            "slow-disk": lambda: inject.DiskRules(bed, broker, folder, "write+sync", "delay:200"),
            "clock": lambda: inject.ClockJump(bed, broker, random.Random(step.chance).choice(_CLOCK_JUMPS)),
            "topic": self._topic,
            "reassign": lambda: moves.Reassign(bed, topic, PARTITIONS, step.seconds, step.chance),
            "elect": lambda: moves.Elect(bed, _ALL_TOPICS, step.chance),
            "grow": lambda: moves.Grow(bed, topic, step.chance),
            "rolling": lambda: moves.Rolling(bed, broker),
        }
        return makers[step.kind]()

    def _topic(self):
        """Of a few names, so that one comes back while the last of its kind is still being deleted."""
        self.topics += 1
        return moves.Topic(self.bed, "churn-%d" % (self.topics % _CHURNED))


def available(trial):
    found = {inject.DISK: trial.bed.disk_faults, inject.CLOCK: trial.bed.clock_faults,
             inject.NETWORK: trial.bed.network.is_private}
    return {name for name, has in found.items() if has}


def run_cycle(trial, resolver, steps):
    active = {}
    now = 0.0
    for moment, begins, step in plan.timeline(steps):
        trial.hold(moment - now)
        now = moment
        if begins:
            active[step] = resolver.injection(step)
            trial.begin(active[step])
        else:
            trial.heal(active.pop(step))


def calm(trial):
    """All whole again, and everything recovers in time."""
    inject.heal_everything(trial.bed)
    trial.expect_writes(SETTLE_SECONDS, "after the cycle: writes to all partitions")
    trial.expect(lambda: not leftover_topics(trial), SETTLE_SECONDS,
                 lambda: "topics are not deleted: %s" % leftover_topics(trial))
    trial.expect(lambda: not moves.open_moves(trial.bed), SETTLE_SECONDS,
                 lambda: "moves do not end: %s" % moves.open_moves(trial.bed))
    trial.settle(SETTLE_SECONDS)
    trial.expect(lambda: not moves.stray_folders(trial.bed, _ALL_TOPICS), SETTLE_SECONDS,
                 lambda: "left behind: %s" % moves.stray_folders(trial.bed, _ALL_TOPICS))


def leftover_topics(trial):
    """Topics whose deletion was accepted and is not done."""
    with trial.bed.zookeeper() as client:
        return client.children("/barnabas/admin/delete_topics")


def cycles_of(trial):
    """Number and steps of each cycle: those of a given plan, or drawn for as long as there is time."""
    if trial.options.plan:
        for number, steps in enumerate(plan.load(trial.options.plan)):
            trial.report.progress(number / 10)
            yield number, steps
        return
    for number in trial.rounds(at_most=1000000):
        yield number, plan.draw_cycle(trial.options.seed, number, len(trial.bed.brokers), available(trial))


def mix(trial):
    resolver = Resolver(trial)
    for number, steps in cycles_of(trial):
        trial.cycles.append(steps)
        trial.note("cycle %d: %s" % (number + 1, ", ".join("%s %.0f s" % (step.kind, step.seconds) for step in steps)))
        run_cycle(trial, resolver, steps)
        calm(trial)
    trial.expect_writes(RESUME_SECONDS)


scenario("mix", "F49", "random faults, two at a time, for as long as --minutes says", seconds=120, is_mix=True,
         errors_allowed=True, wants=(inject.NETWORK, inject.DISK, inject.CLOCK))(mix)
