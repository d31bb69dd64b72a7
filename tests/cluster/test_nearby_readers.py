# SPDX-License-Identifier: Apache-2.0
"""
Consumers read from the replica in their own rack (KIP-392): from a follower, also while the leader says nothing, and
hardly later than from the leader.
"""
import json
import statistics
import time

import confluent_kafka
import pytest

from processes import SCALE, wait_until

RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
RECORDS = 4000
LEADER, NEAR = 1, 3


@pytest.fixture
def racks(make_cluster):
    """Broker N in rack-N, and a topic that broker 1 leads. Without appends a follower's fetch waits for long."""
    cluster = make_cluster(settings={"replica.selector.class": RACK_AWARE, "replica.fetch.wait.max.ms": 10000,
                                     "zookeeper.session.timeout.ms": 10000})
    for number, broker in cluster.brokers.items():
        broker.settings["broker.rack"] = "rack-%d" % number
    cluster.start()
    cluster.create_topic("near", assignment={0: [1, 2, 3]})
    cluster.wait_isr("near", 3)
    return cluster


class Reader:
    """librdkafka in a rack, and from which broker it reads."""

    def __init__(self, cluster, rack):
        self.source = None
        settings = {"bootstrap.servers": cluster.bootstrap, "group.id": "none", "enable.auto.commit": False,
                    "auto.offset.reset": "earliest", "statistics.interval.ms": 100, "stats_cb": self._statistics,
                    "fetch.wait.max.ms": 5000, "queued.max.messages.kbytes": 64, "fetch.message.max.bytes": 16384}
        if rack:
            settings["client.rack"] = rack
        self.consumer = confluent_kafka.Consumer(settings)
        self.consumer.assign([confluent_kafka.TopicPartition("near", 0, 0)])

    def _statistics(self, text):
        topics = json.loads(text)["topics"]
        self.source = topics.get("near", {}).get("partitions", {}).get("0", {}).get("broker")

    def next_offset(self):
        """The offset of the next record, or None when none came for a moment."""
        message = self.consumer.poll(0.05)
        if message is None:
            return None
        assert message.error() is None, message.error()
        return message.offset()

    def read_to(self, end, seconds=20):
        """Reads up to an offset (exclusive), in order and without gaps from the first one that comes."""
        expected = None
        deadline = time.monotonic() + seconds * SCALE
        while expected != end:
            assert time.monotonic() < deadline, "read up to %s, from broker %s" % (expected, self.source)
            offset = self.next_offset()
            if offset is None:
                continue
            assert expected is None or offset == expected, "offset %d comes after %d" % (offset, expected - 1)
            expected = offset + 1

    def wait_source(self, broker_id):
        def arrived():
            self.consumer.poll(0.01)
            return self.source == broker_id

        wait_until(arrived, 15, lambda: "reads from broker %s, not %d" % (self.source, broker_id))


def fill(cluster, count):
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all"})
    for _ in range(count):
        producer.produce("near", bytes(1000), partition=0)
        producer.poll(0)
    assert producer.flush(30 * SCALE) == 0
    return producer


def test_a_follower_in_the_rack_serves_while_the_leader_is_frozen(racks):
    fill(racks, RECORDS)
    reader = Reader(racks, "rack-%d" % NEAR)
    try:
        reader.read_to(RECORDS // 4)
        reader.wait_source(NEAR)
        racks.brokers[LEADER].pause()
        try:
            begin = time.monotonic()
            reader.read_to(RECORDS)
            print("the rest was read in %.2f s while the leader was frozen" % (time.monotonic() - begin))
            assert racks.brokers[NEAR].metadata(["near"])["topics"]["near"]["partitions"][0]["leader"] == LEADER
        finally:
            racks.brokers[LEADER].resume()
    finally:
        reader.consumer.close()


@pytest.mark.parametrize("rack", ["rack-1", "rack-9", None])
def test_others_read_from_the_leader(racks, rack):
    fill(racks, RECORDS // 4)
    reader = Reader(racks, rack)
    try:
        reader.read_to(RECORDS // 4)
        reader.wait_source(LEADER)
    finally:
        reader.consumer.close()


def test_followers_hear_of_committed_records_at_once(racks):
    """A follower's fetch may wait 10 s here: the high watermark does not wait with it."""
    producer = fill(racks, 10)
    reader = Reader(racks, "rack-%d" % NEAR)
    try:
        reader.read_to(10)
        reader.wait_source(NEAR)
        times = []
        for number in range(10, 40):
            begin = time.monotonic()
            producer.produce("near", b"one", partition=0)
            assert producer.flush(10 * SCALE) == 0
            reader.read_to(number + 1)
            times.append(time.monotonic() - begin)
        print("from the producer to the reader: %.1f ms, %.1f ms at most" % (
            1000 * statistics.median(times), 1000 * max(times)))
        assert statistics.median(times) < 0.2 * SCALE and max(times) < 2 * SCALE
    finally:
        reader.consumer.close()
