# SPDX-License-Identifier: Apache-2.0
"""
The random mix (F49): cycles of faults drawn from the seed by plan.py, two at a time; after each all has to settle.
"""
import random
import threading

import clients
import inject
import plan
from bed import RESUME_SECONDS
from load import CANARY, PARTITIONS
from registry import scenario

SETTLE_SECONDS = 90
_CLOCK_JUMPS = (3600, -3600, 86400 * 365, -86400 * 365, 5, -5)
_BROKEN_CALLS = ("write", "sync+write", "all")


class Topic(inject.Injection):
    """A topic comes and, at the end, goes, whatever answers the requests get; threads ask, for it may take long."""

    def __init__(self, bed, name):
        super().__init__(bed)
        self.name = name

    def __str__(self):
        return "topic %s comes, and goes" % self.name

    def _ask(self, function, *arguments):
        def run():
            try:
                function(self.bed.bootstrap, self.name, *arguments)
            except Exception:  # an admin client in bad weather may say anything; what counts is what is there
                return

        threading.Thread(target=run, daemon=True).start()

    def begin(self):
        self._ask(clients.create_topic, 3, 3)

    def heal(self):
        self._ask(clients.delete_topic)


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
        }
        return makers[step.kind]()

    def _topic(self):
        self.topics += 1
        return Topic(self.bed, "churn-%d" % self.topics)


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
    trial.settle(SETTLE_SECONDS)


def leftover_topics(trial):
    """Topics whose deletion was accepted and is not done."""
    with trial.bed.zookeeper() as client:
        return client.children("/barnabas/admin/delete_topics")


def mix(trial):
    resolver = Resolver(trial)
    for number in trial.rounds(at_most=1000000):
        steps = plan.draw_cycle(trial.options.seed, number, len(trial.bed.brokers), available(trial))
        trial.note("cycle %d: %s" % (number + 1, ", ".join("%s %.0f s" % (step.kind, step.seconds) for step in steps)))
        run_cycle(trial, resolver, steps)
        calm(trial)
    trial.expect_writes(RESUME_SECONDS)


scenario("mix", "F49", "random faults, two at a time, for as long as --minutes says", seconds=120, is_mix=True,
         errors_allowed=True, wants=(inject.NETWORK, inject.DISK, inject.CLOCK))(mix)
