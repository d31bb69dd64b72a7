# SPDX-License-Identifier: Apache-2.0
"""
What the benchmark sees from outside: whether brokers serve the partitions they should lead, when a znode of a dead
broker goes, what a broker's log says and when, how much memory a process has.
"""
import datetime
import re
import struct
import threading
import time
from pathlib import Path

import wire

LIST_OFFSETS = 2
# Between two questions: what is asked costs the brokers time that is being measured.
PAUSE_SECONDS = 0.02
LATEST = -1
_ANSWER = struct.Struct(">ihqq")


class LeaderProbe:
    """
    Asks one broker, over one connection, which of its partitions it does not lead yet: first a few, one of each
    hundred, and all of them only when it leads these. So the question costs it little until it is nearly through.
    """

    SAMPLE = 100

    def __init__(self, broker, partitions):
        """partitions: {topic: [numbers]}"""
        self.connection = wire.Connection(broker.port, 30)
        self.whole = dict(partitions)
        self.sample = {topic: numbers[::self.SAMPLE] for topic, numbers in partitions.items()}

    def ask(self, partitions):
        """{topic: [numbers]} of those that it does not serve."""
        rows = [wire.string(topic) + struct.pack(">i", len(numbers)) +
                b"".join(struct.pack(">iq", number, LATEST) for number in numbers)
                for topic, numbers in partitions.items()]
        answer = self.connection.request(LIST_OFFSETS, 1, struct.pack(">ii", -1, len(rows)) + b"".join(rows))
        missing = {}
        for _ in range(answer.number("i")):
            topic = answer.string()
            rows = answer.take(answer.number("i") * _ANSWER.size)
            refused = [number for number, error, _, _ in _ANSWER.iter_unpack(rows) if error]
            if refused:
                missing[topic] = refused
        return missing

    def missing(self):
        """How many of them it does not serve, as far as is known; 0: it serves all."""
        if self.sample:
            self.sample = self.ask(self.sample)
        if not self.sample and self.whole:
            self.whole = self.ask(self.whole)
        return sum(map(len, (self.sample or self.whole).values()))

    def close(self):
        self.connection.close()


class LeadersServe(threading.Thread):
    """The moment at which each of some brokers serves all that is expected of it."""

    def __init__(self, expected, seconds=120):
        """expected: {broker: {topic: [numbers]}}"""
        super().__init__(daemon=True)
        self.probes = [LeaderProbe(broker, partitions) for broker, partitions in expected.items() if partitions]
        self.seconds = seconds
        self.served_at = None
        self.left = None

    def run(self):
        deadline = time.time() + self.seconds
        waiting = list(self.probes)
        while waiting and time.time() < deadline:
            waiting = [probe for probe in waiting if probe.missing()]
            self.served_at = time.time()
            time.sleep(PAUSE_SECONDS)
        self.left = sum(probe.missing() for probe in waiting)
        for probe in self.probes:
            probe.close()

    def wait(self):
        self.join()
        if self.left:
            raise RuntimeError("%d partitions are not served by the brokers that should" % self.left)
        return self.served_at


def ephemerals(zookeeper):
    """All ephemeral znodes, as ZooKeeper's own `dump` lists them."""
    return zookeeper.ask("dump")


def wait_gone(zookeeper, path, seconds=60):
    """When an ephemeral znode has gone."""
    pattern = re.compile(re.escape(path) + r"\s*$", re.MULTILINE)
    deadline = time.time() + seconds
    while pattern.search(ephemerals(zookeeper)):
        if time.time() > deadline:
            raise RuntimeError("%s does not go" % path)
        time.sleep(0.002)
    return time.time()


def broker_path(zookeeper, broker):
    """The path of its registration, chroot included, as `dump` shows it."""
    return re.search(r"(\S*/brokers/ids/%d)\s*$" % broker.id, ephemerals(zookeeper), re.MULTILINE).group(1)


def log_match(broker, pattern, after):
    """When the broker's log first said something after a time, and the match; None: not yet."""
    for line in broker.log_text().splitlines():
        match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z ", line)
        said = re.search(pattern, line) if match else None
        if said:
            stamp = datetime.datetime.fromisoformat(match.group(1)).replace(tzinfo=datetime.timezone.utc).timestamp()
            if stamp >= after - 0.001:
                return stamp, said
    return None


def log_time(broker, pattern, after):
    """The same, only when."""
    found = log_match(broker, pattern, after)
    return found[0] if found else None


def first_match(brokers, pattern, after, seconds=60):
    """What the first of some brokers has said after a time: when, and the match. Waits for it."""
    def look():
        found = [found for found in (log_match(broker, pattern, after) for broker in brokers) if found]
        return min(found, key=lambda one: one[0]) if found else None
    wait_until(look, seconds, "no log says %s" % pattern)
    return look()


def heap_bytes(broker):
    """Private memory that is not backed by a file: heap, stacks and the tables of the allocator."""
    status = Path("/proc/%d/status" % broker.pid).read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)) * 1024


def open_files(broker):
    return len(list(Path("/proc/%d/fd" % broker.pid).iterdir()))


def cpu_seconds(broker):
    fields = Path("/proc/%d/stat" % broker.pid).read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def wait_until(condition, seconds, what):
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            raise RuntimeError("after %g s: %s" % (seconds, what))
        time.sleep(0.02)
