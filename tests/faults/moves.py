# SPDX-License-Identifier: Apache-2.0
"""
What operators do to a cluster while things break: partitions move, topics come, go and grow, preferred leaders are
elected, brokers are restarted one after the other.

Requests are asked for by threads, for in bad weather an answer may take long, or never come, or say anything: what
counts is what the cluster shows when all is healed.
"""
import json
import random
import threading
import time

import clients
import elections
import kafka.admin
import reassignments
from inject import Injection

MOST_PARTITIONS = 16
_ROLL_PAUSE_SECONDS = 1
_ROLL_LONGEST_PAUSE_SECONDS = 10
_ASK_MS = 10000


def in_background(function, *arguments):
    """An admin request that may get any answer, or none."""
    def run():
        try:
            function(*arguments)
        except Exception:  # whatever a client library says in bad weather
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def controller_of(bed):
    """The broker that brokers name as the controller, without waiting; None when nobody can say."""
    known = bed.metadata([])
    return bed.brokers.get(known["controller"]) if known else None


def reassign(bed, topic, targets):
    """Asks the controller, if there is one, to move partitions; a target of None cancels. Gives {partition: error}."""
    controller = controller_of(bed)
    return reassignments.alter(controller.port, topic, targets, controller.address) if controller else {}


def ask_in_znode(bed, path, partitions):
    """What an old tool does: a znode below /admin."""
    with bed.zookeeper() as client:
        client.create("/barnabas/admin/" + path, json.dumps({"version": 1, "partitions": partitions}))


class Topic(Injection):
    """A topic comes and, at the end, goes."""

    def __init__(self, bed, name):
        super().__init__(bed)
        self.name = name

    def __str__(self):
        return "topic %s comes, and goes" % self.name

    def begin(self):
        in_background(clients.create_topic, self.bed.bootstrap, self.name, 3, 3)

    def heal(self):
        in_background(clients.delete_topic, self.bed.bootstrap, self.name)


class Grow(Injection):
    """A topic gets one or two more partitions, up to a bound."""

    def __init__(self, bed, topic, seed):
        super().__init__(bed)
        self.topic = topic
        self.more = 1 + seed % 2

    def __str__(self):
        return "topic %s gets %d more partitions" % (self.topic, self.more)

    def begin(self):
        in_background(self._ask)

    def _ask(self):
        has = len(self.bed.partitions(self.topic))
        if 0 < has <= MOST_PARTITIONS - self.more:
            client = clients.admin(self.bed.bootstrap)
            try:
                client.create_partitions({self.topic: kafka.admin.NewPartitions(has + self.more)}, timeout_ms=_ASK_MS)
            finally:
                client.close()


class Elect(Injection):
    """The preferred leaders of all partitions are elected."""

    def __init__(self, bed, topics, seed):
        super().__init__(bed)
        self.topics = topics
        self.by_znode = seed % 4 == 0

    def __str__(self):
        return "preferred leaders elected%s" % (", by znode" if self.by_znode else "")

    def begin(self):
        in_background(self._ask)

    def _ask(self):
        if self.by_znode:
            ask_in_znode(self.bed, "preferred_replica_election", [
                {"topic": topic, "partition": partition}
                for topic in self.topics for partition in self.bed.partitions(topic)])
            return
        controller = controller_of(self.bed)
        if controller:
            elections.elect(controller, elections.PREFERRED, None, _ASK_MS, controller.address)


class Reassign(Injection):
    """
    Partitions of a topic move, by the API or an old tool's znode; in the middle the move may be overridden by another
    one, at the end it may be cancelled. All of it is drawn from the seed.
    """

    def __init__(self, bed, topic, partitions, seconds, seed):
        super().__init__(bed)
        self.topic = topic
        chance = random.Random(seed)
        numbers = chance.sample(range(partitions), chance.randrange(1, 5))
        self.rounds = [{number: self._draw(chance) for number in sorted(numbers)}
                       for _ in range(chance.choice((1, 1, 2)))]
        self.by_znode = len(self.rounds) == 1 and chance.random() < 0.25
        self.is_cancelled = chance.random() < 0.35
        self.half_seconds = seconds / 2
        self.next_at = None

    def _draw(self, chance):
        """Three replicas; where there are only three brokers, sometimes two, or there would be nothing to move."""
        brokers = sorted(self.bed.brokers)
        return chance.sample(brokers, 3 if len(brokers) > 3 else chance.choice((2, 3)))

    def __str__(self):
        return "partitions of %s move%s: %s%s" % (
            self.topic, " (znode)" if self.by_znode else "", ", then ".join(str(one) for one in self.rounds),
            "; cancelled" if self.is_cancelled else "")

    def begin(self):
        if self.by_znode:
            in_background(ask_in_znode, self.bed, "reassign_partitions", [
                {"topic": self.topic, "partition": partition, "replicas": replicas}
                for partition, replicas in self.rounds[0].items()])
        else:
            in_background(reassign, self.bed, self.topic, self.rounds[0])
        if len(self.rounds) > 1:
            self.next_at = time.monotonic() + self.half_seconds

    def tick(self, moment):
        if self.next_at and moment >= self.next_at:
            self.next_at = None
            in_background(reassign, self.bed, self.topic, self.rounds[1])

    def heal(self):
        if self.is_cancelled:
            in_background(reassign, self.bed, self.topic, dict.fromkeys(self.rounds[0]))


class Rolling(Injection):
    """
    Brokers are stopped in order and started again, one after the other, for as long as it lasts. Each waits for the
    one before it to be back, though not for long: other things break meanwhile.
    """

    def __init__(self, bed, first):
        super().__init__(bed)
        brokers = list(bed.brokers.values())
        self.first = first
        at = brokers.index(first)
        self.left = brokers[at:] + brokers[:at]
        self.stopping = None
        self.started = None
        self.started_at = 0

    def __str__(self):
        return "rolling restart from %s on" % self.first.host

    def begin(self):
        pass

    def tick(self, moment):
        if self.stopping:
            if not self.stopping.is_running():
                self._start(moment)
        elif self.left and self._is_back(moment):
            broker = self.left.pop(0)
            if broker.is_well():
                self.stopping = broker
                broker.begin_stop()

    def _is_back(self, moment):
        waited = moment - self.started_at
        if self.started is None or waited > _ROLL_LONGEST_PAUSE_SECONDS:
            return True
        return waited > _ROLL_PAUSE_SECONDS and self.started.metadata([], 0.5) is not None

    def _start(self, moment):
        """Of one that ended in order: anything but status 0 is a failure, unless something else killed it."""
        broker, self.stopping = self.stopping, None
        status = broker.popen.returncode
        assert status in (0, -9), "%s ended with status %s after SIGTERM" % (broker.host, status)
        broker.start()
        self.started, self.started_at = broker, moment

    def heal(self):
        self.left = []
        if self.stopping:
            broker = self.stopping
            if broker.frozen:
                broker.resume()
            broker.stop(60)
            self._start(time.monotonic())


def open_moves(bed):
    """Moves that are asked for and not done."""
    with bed.zookeeper() as client:
        if client.get("/barnabas/admin/reassign_partitions") is not None:
            return ["/admin/reassign_partitions is there"]
    controller = bed.controller()
    return ["%s-%d: %s" % (*where, row) for where, row in
            reassignments.moving(controller.port, controller.address).items()]


def stray_folders(bed, topics):
    """Folders of topics on brokers, or in directories, that have no business with them (any more)."""
    found = []
    for topic in topics:
        replicas = {number: row["replicas"] for number, row in bed.partitions(topic).items()}
        for broker in bed.brokers.values():
            seen = set()
            for path in folders_of(broker, topic):
                number = path.name[len(topic) + 1:]
                if not number.isdigit() or broker.id not in replicas.get(int(number), ()) or number in seen:
                    found.append(str(path))
                seen.add(number)
    return found


def folders_of(broker, topic):
    """All folders of a topic's partitions in the log directories of a broker, those on their way out too."""
    return [path for data in broker.data if data.exists() for path in data.iterdir()
            if path.is_dir() and path.name.startswith(topic + "-")]
