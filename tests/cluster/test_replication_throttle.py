# SPDX-License-Identifier: Apache-2.0
"""
Throttled replication: a replica that comes back takes about as long as its bytes at the rate, others are not slowed,
and a rate in ZooKeeper is followed while it changes.
"""
import random
import time

import confluent_kafka
import pytest

from processes import SCALE, wait_until
from znodes import write_settings

MEGABYTE = 1 << 20
BYTES = 6 * MEGABYTE
RATE = MEGABYTE


def fill(cluster, topic, size):
    """Records that no codec makes smaller."""
    chance = random.Random(1)
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "acks": "1", "linger.ms": 20})
    errors = []
    for _ in range(size // 16384):
        producer.produce(topic, chance.randbytes(16384), partition=0,
                         on_delivery=lambda error, _: errors.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(60 * SCALE) == 0 and not errors, errors[:3]


def in_sync(cluster, topic):
    rows = cluster.partitions(topic)
    return len(rows[0]["isr"]) if rows else 0


def fall_behind(cluster, **throttled):
    """Broker 2 is away while both topics grow; only one of them is throttled."""
    cluster.create_topic("bulk", assignment={0: [1, 2]}, **throttled)
    cluster.create_topic("free", assignment={0: [1, 2]})
    for topic in ("bulk", "free"):
        cluster.wait_isr(topic, 2)
    assert cluster.brokers[2].stop() == 0
    for topic in ("bulk", "free"):
        wait_until(lambda: in_sync(cluster, topic) == 1, 15, "broker 2 is still in sync")
        fill(cluster, topic, BYTES)


@pytest.mark.parametrize("side", ["leader", "follower"])
def test_a_throttled_replica_catches_up_at_its_rate(make_cluster, side):
    cluster = make_cluster(brokers=2)
    cluster.start()
    name = "%s_replication_throttled_" % side
    fall_behind(cluster, **{name + "replicas": "0:1" if side == "leader" else "0:2"})
    # One way is the broker's own node, the other that of all brokers.
    write_settings(cluster, "brokers/1" if side == "leader" else "brokers/<default>", **{name + "rate": RATE})
    cluster.brokers[2].start()
    begin = time.monotonic()
    wait_until(lambda: in_sync(cluster, "free") == 2, 30, "the topic that is not throttled does not catch up")
    free = time.monotonic() - begin
    wait_until(lambda: in_sync(cluster, "bulk") == 2, 60, "the throttled topic does not catch up")
    took = time.monotonic() - begin
    print("not throttled: %.2f s; throttled: %.2f s for %.1f s at the rate" % (free, took, BYTES / RATE))
    assert 0.7 * BYTES / RATE < took < BYTES / RATE * 1.5 + 3 * SCALE
    assert free < took / 2 or SCALE > 1


def test_a_rate_that_changes_is_followed(make_cluster):
    cluster = make_cluster(brokers=2)
    cluster.start()
    fall_behind(cluster, leader_replication_throttled_replicas="*")
    write_settings(cluster, "brokers/1", leader_replication_throttled_rate=1)
    cluster.brokers[2].start()
    wait_until(lambda: in_sync(cluster, "free") == 2, 30, "the topic that is not throttled does not catch up")
    # One answer passes before the rate is known to be used up: four of these megabytes have to wait.
    time_left = 3 * SCALE
    deadline = time.monotonic() + time_left
    while time.monotonic() < deadline:
        assert in_sync(cluster, "bulk") == 1, "nothing should pass at one byte a second"
        time.sleep(0.2)
    begin = time.monotonic()
    write_settings(cluster, "brokers/1")
    wait_until(lambda: in_sync(cluster, "bulk") == 2, 30, "without a rate it does not catch up")
    print("caught up %.2f s after the rate was taken away" % (time.monotonic() - begin))
