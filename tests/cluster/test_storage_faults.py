# SPDX-License-Identifier: Apache-2.0
"""
Real brokers on disks that fail on command (tests/faults): of two log directories one stops reading, cannot sync, is
full for a while, or slow. It goes offline alone, or waits for room; others lead what it had; nothing acknowledged is
lost; and a broker without a directory left ends.
"""
import statistics
import struct
import threading
import time

import pytest

import wire
from clients import SteadyProducer, kcat_read
from faults import Faults
from processes import SCALE, wait_until
from test_flush import record_batch

TOPIC = "spread"
# Broker 1 leads the first half and follows in the second; its replicas come to lie in both directories.
ASSIGNMENT = {0: [1, 2, 3], 1: [1, 3, 2], 2: [1, 2, 3], 3: [2, 1, 3], 4: [2, 1, 3], 5: [3, 1, 2]}
STORAGE_ERROR = 56
LED_BY_ANOTHER = 6
SLOW_MS = 200


class World:
    """Three brokers; the first one has two log directories, and rules for both."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.broker = cluster.brokers[1]
        self.good = self.broker.folder / "good"
        self.bad = self.broker.folder / "bad"
        self.broker.settings["log.dirs"] = "%s,%s" % (self.good, self.bad)
        self.faults = Faults(self.broker)
        cluster.start()
        cluster.create_topic(TOPIC, assignment=ASSIGNMENT, flush_messages=1)
        cluster.wait_isr(TOPIC, 3)
        self.in_bad = {int(path.name.rpartition("-")[2]) for path in self.bad.glob(TOPIC + "-?")}
        assert 0 < len(self.in_bad) < len(ASSIGNMENT)
        self.led_in_bad = [one for one in sorted(self.in_bad) if ASSIGNMENT[one][0] == 1]
        self.led_in_good = [one for one in range(len(ASSIGNMENT))
                            if one not in self.in_bad and ASSIGNMENT[one][0] == 1]
        assert self.led_in_bad and self.led_in_good

    def producer(self):
        producer = SteadyProducer(self.cluster.bootstrap, TOPIC, len(ASSIGNMENT)).start()
        self.wait_acknowledged(producer, ASSIGNMENT)
        return producer

    def wait_acknowledged(self, producer, partitions, seconds=30):
        """Each of the partitions acknowledges a record from now on."""
        since = time.monotonic()
        wait_until(lambda: all(producer.last_acknowledged(one) > since for one in partitions), seconds,
                   lambda: "not acknowledged since then: %s" % [
                       one for one in partitions if producer.last_acknowledged(one) <= since])

    def rows(self):
        """{partition: {leader, isr, ...}} as a broker with good disks knows it."""
        return self.cluster.brokers[2].metadata([TOPIC])["topics"][TOPIC]["partitions"]

    def wait_offline(self):
        """The bad directory is offline, alone, and what lay there is led by others."""
        self.broker.wait_log(r"log directory \S+/bad is offline", seconds=20)

        def elsewhere():
            rows = self.rows()
            return all(rows[one]["leader"] in (2, 3) and 1 not in rows[one]["isr"] for one in self.in_bad)

        wait_until(elsewhere, 20, lambda: str(self.rows()))
        rows = self.rows()
        assert all(rows[one]["leader"] == 1 for one in self.led_in_good)
        assert self.broker.is_running()
        assert "/good is offline" not in self.broker.log_text()

    def finish(self, producer):
        """All that was acknowledged is where it was said to be."""
        acknowledged = producer.stop()
        assert not producer.errors
        read = kcat_read(self.cluster.bootstrap, TOPIC)
        lost = {where: value for where, value in acknowledged.items() if read.get(where) != value}
        assert not lost, "%d of %d acknowledged records are not where they were: %s" % (
            len(lost), len(acknowledged), list(lost.items())[:5])


@pytest.fixture
def world(make_cluster):
    return World(make_cluster(settings={"replica.lag.time.max.ms": 2000, "num.partitions": 1}))


def produce(port, partition, value, acks=1):
    """(error, offset) of one record sent to this broker."""
    records = record_batch(value)
    with wire.Connection(port, seconds=20 * SCALE) as connection:
        body = wire.string(None) + struct.pack(">hii", acks, int(15000 * SCALE), 1) + wire.string(TOPIC)
        body += struct.pack(">iii", 1, partition, len(records)) + records
        answer = connection.request(wire.PRODUCE, 3, body)
    assert answer.number("i") == 1 and answer.string() == TOPIC and answer.number("i") == 1
    assert answer.number("i") == partition
    return answer.number("h"), answer.number("q")


def test_a_directory_that_cannot_be_read_goes_offline_alone(world):
    producer = world.producer()
    world.faults.set("read EIO * %s" % world.bad)
    world.wait_offline()
    assert world.faults.struck("read EIO")
    world.wait_acknowledged(producer, ASSIGNMENT)
    world.finish(producer)


def test_a_sync_that_fails_is_not_acknowledged_and_not_repeated(world):
    partition = world.led_in_bad[0]
    error, before = produce(world.broker.port, partition, b"durable", acks=-1)
    assert error == 0
    world.faults.set("sync EIO 1 %s" % world.bad, "sync note * %s" % world.bad, "write note * %s" % world.bad)
    error, _ = produce(world.broker.port, partition, b"not durable")
    assert error in (STORAGE_ERROR, LED_BY_ANOTHER), "error %d" % error
    world.wait_offline()
    assert len(world.faults.struck("sync EIO")) == 1
    assert produce(world.broker.port, partition, b"too late")[0] in (STORAGE_ERROR, LED_BY_ANOTHER)
    producer = world.producer()
    # Long enough for every periodic flush and checkpoint of the tests' settings to come by again.
    world.wait_acknowledged(producer, ASSIGNMENT)
    assert not world.faults.struck("sync note"), "the directory is synced again: %s" % world.faults.struck()
    world.finish(producer)
    assert kcat_read(world.cluster.bootstrap, TOPIC)[(partition, before)] == b"durable"


def test_a_full_directory_serves_again_when_there_is_room(world):
    producer = world.producer()
    world.faults.set("write short:20 1 %s" % world.bad, "write ENOSPC * %s" % world.bad)
    world.broker.wait_log(r"log directory \S+/bad is full", seconds=20)
    # Whoever only follows there leaves the ISR; whoever leads there waits, and so do its producers.
    world.wait_acknowledged(producer, set(ASSIGNMENT) - set(world.led_in_bad))
    assert world.broker.is_running()
    world.faults.set()
    world.broker.wait_log(r"log directory \S+/bad has room again", seconds=20)
    world.wait_acknowledged(producer, ASSIGNMENT)
    world.cluster.wait_isr(TOPIC, 3, seconds=30)
    assert "is offline" not in world.broker.log_text()
    world.finish(producer)


def test_a_slow_directory_holds_up_nobody_else(world):
    slow, quick = world.led_in_bad[0], world.led_in_good[0]
    world.faults.set("sync delay:%d * %s" % (SLOW_MS, world.bad))
    enough = threading.Event()
    slow_seconds, errors = [], []

    def keep_slow():
        while not enough.is_set():
            begin = time.monotonic()
            errors.append(produce(world.broker.port, slow, b"slow")[0])
            slow_seconds.append(time.monotonic() - begin)

    threads = [threading.Thread(target=keep_slow) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(slow_seconds) >= 3, 30, "the slow directory acknowledges nothing")
        quick_seconds = []
        for _ in range(30):
            begin = time.monotonic()
            errors.append(produce(world.broker.port, quick, b"quick")[0])
            quick_seconds.append(time.monotonic() - begin)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert not any(errors)
    assert min(slow_seconds) >= SLOW_MS / 1000
    assert statistics.median(quick_seconds) < SLOW_MS / 1000 / 2 * SCALE, sorted(quick_seconds)


def test_the_last_directory_takes_the_broker_with_it(make_cluster):
    cluster = make_cluster(brokers=1)
    broker = cluster.brokers[1]
    faults = Faults(broker)
    cluster.start()
    cluster.create_topic("alone", partitions=1, replicas=1, flush_messages=1)
    faults.set("sync EIO * %s" % broker.data)
    producer = SteadyProducer(cluster.bootstrap, "alone", 1, message_timeout_ms=2000).start()
    try:
        assert broker.wait(30) == 1
    finally:
        producer.stop()
    assert not producer.acknowledged
    assert "the last log directory is gone" in broker.log_text()
