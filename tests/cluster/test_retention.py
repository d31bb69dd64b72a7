# SPDX-License-Identifier: Apache-2.0
"""
Old records go, by size, by age and on request: on every replica, and nothing else goes with them.
"""
import re

import kafka
import kafka.errors
import pytest

import wire
from clients import create_topic, kcat, numbered_lines
from processes import wait_until

SETTINGS = {
    "log.retention.check.interval.ms": 500,
    "log.initial.task.delay.ms": 100,
    "log.segment.delete.delay.ms": 1000,
    "log.flush.start.offset.checkpoint.interval.ms": 500,
    "log.flush.offset.checkpoint.interval.ms": 500,
}
NONE, OFFSET_OUT_OF_RANGE, NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, POLICY_VIOLATION = 0, 1, 6, 7, 44
LINES = 3000
KEPT_BYTES = 60000
SEGMENT_BYTES = 20000


@pytest.fixture
def cluster(make_cluster):
    """Three brokers that look for old segments twice a second."""
    made = make_cluster(settings=SETTINGS)
    made.start()
    return made


def produce(cluster, topic, count):
    kcat(cluster.bootstrap, "-P", "-t", topic, "-p", "0", "-X", "batch.num.messages=20",
         input=b"\n".join(numbered_lines(count)) + b"\n")


def offset_at(cluster, topic, timestamp):
    """The offset that ListOffsets gives: -2 the earliest, -1 the latest."""
    text = kcat(cluster.bootstrap, "-Q", "-t", "%s:0:%d" % (topic, timestamp)).stdout.decode()
    return int(re.search(r"offset (\d+)", text).group(1))


def earliest(cluster, topic):
    return offset_at(cluster, topic, -2)


def offsets_from(cluster, topic, where):
    """All offsets that a reader sees who begins at `where`."""
    text = kcat(cluster.bootstrap, "-C", "-t", topic, "-p", "0", "-o", str(where), "-e", "-q", "-f", "%o\n").stdout
    return [int(line) for line in text.split()]


def files_of(broker, topic, pattern):
    return sorted(path.name for path in (broker.data / (topic + "-0")).glob(pattern))


def log_bytes(broker, topic):
    return sum(path.stat().st_size for path in (broker.data / (topic + "-0")).glob("*.log"))


def wait_everywhere(cluster, condition, seconds, what):
    for broker in cluster.running():
        wait_until(lambda: condition(broker), seconds, lambda: "broker %d %s: %s" % (
            broker.id, what, sorted(path.name for path in broker.data.glob("*-0/*"))))


def leader_of(cluster, topic):
    return cluster.brokers[cluster.partitions(topic)[0]["leader"]]


def delete_records(cluster, topic, offset, timeout_ms=10000):
    with wire.Connection(leader_of(cluster, topic).port, seconds=30) as connection:
        return connection.delete_records(topic, 0, offset, timeout_ms)


def test_the_oldest_go_where_there_are_too_many(cluster):
    cluster.create_topic("small", segment_bytes=SEGMENT_BYTES, retention_bytes=KEPT_BYTES)
    produce(cluster, "small", LINES)
    wait_everywhere(cluster, lambda broker: log_bytes(broker, "small") < KEPT_BYTES + 2 * SEGMENT_BYTES, 20,
                    "keeps more than it should")
    wait_everywhere(cluster, lambda broker: not files_of(broker, "small", "*.deleted"), 20, "keeps deleted files")
    start = earliest(cluster, "small")
    assert 0 < start < LINES
    assert all(log_bytes(broker, "small") >= KEPT_BYTES for broker in cluster.running())
    assert offset_at(cluster, "small", -1) == LINES
    # Who reads on from what is gone is sent to the beginning of what there is, or told, as it wants.
    assert offsets_from(cluster, "small", "beginning") == list(range(start, LINES))
    consumer = kafka.KafkaConsumer(bootstrap_servers=cluster.bootstrap.split(","), group_id=None,
                                   enable_auto_commit=False, auto_offset_reset="none")
    try:
        partition = kafka.TopicPartition("small", 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        with pytest.raises(kafka.errors.OffsetOutOfRangeError):
            for _ in range(20):
                consumer.poll(timeout_ms=500)
    finally:
        consumer.close()
    for broker in cluster.running():
        assert re.search(r"small-0: \d+ segments? removed .*beyond retention.bytes", broker.log_text())


def test_the_old_go_and_offsets_go_on(cluster):
    cluster.create_topic("brief", retention_ms=1000)
    produce(cluster, "brief", 100)
    wait_until(lambda: earliest(cluster, "brief") == 100, 20, "old records stay")
    wait_everywhere(cluster, lambda broker: files_of(broker, "brief", "*.log") == ["%020d.log" % 100], 20,
                    "keeps old segments")
    clients_answer = kcat(cluster.bootstrap, "-C", "-t", "brief", "-o", "beginning", "-e", "-q").stdout
    assert clients_answer == b""
    for broker in cluster.brokers.values():
        assert broker.restart() == 0
        cluster.wait_ready()
    assert earliest(cluster, "brief") == offset_at(cluster, "brief", -1) == 100
    cluster.wait_isr("brief", 3)
    cluster.create_topic("kept")
    produce(cluster, "kept", 5)
    produce(cluster, "brief", 5)
    assert offset_at(cluster, "brief", -1) == 105


def test_records_are_deleted_on_request(cluster):
    cluster.create_topic("asked", segment_bytes=SEGMENT_BYTES)
    cluster.wait_isr("asked", 3)
    produce(cluster, "asked", LINES)
    assert delete_records(cluster, "asked", LINES + 1) == (OFFSET_OUT_OF_RANGE, -1)
    assert delete_records(cluster, "asked", 1234) == (NONE, 1234)
    assert delete_records(cluster, "asked", 17) == (NONE, 1234)
    follower = next(broker for broker in cluster.running() if broker is not leader_of(cluster, "asked"))
    with wire.Connection(follower.port) as connection:
        assert connection.delete_records("asked", 0, 1300) == (NOT_LEADER_OR_FOLLOWER, -1)
    assert earliest(cluster, "asked") == 1234
    wait_everywhere(cluster, lambda broker: files_of(broker, "asked", "*.log")[0] > "%020d.log" % 0, 20,
                    "keeps the first segment")
    assert offsets_from(cluster, "asked", "beginning") == list(range(1234, LINES))
    # Each replica knows it, whoever leads.
    for broker in cluster.brokers.values():
        assert broker.restart() == 0
        cluster.wait_ready()
        cluster.wait_topic("asked", 1)
        assert earliest(cluster, "asked") == 1234
        cluster.wait_isr("asked", 3)
    # All at once, and without a word.
    for broker in cluster.brokers.values():
        broker.kill()
    for broker in cluster.brokers.values():
        broker.start()
    cluster.wait_ready()
    cluster.wait_topic("asked", 1)
    assert earliest(cluster, "asked") == 1234
    assert offsets_from(cluster, "asked", "beginning") == list(range(1234, LINES))
    cluster.wait_isr("asked", 3)
    assert delete_records(cluster, "asked", -1) == (NONE, LINES)
    assert earliest(cluster, "asked") == LINES
    produce(cluster, "asked", 3)
    assert offsets_from(cluster, "asked", "beginning") == [LINES, LINES + 1, LINES + 2]


def test_a_deletion_waits_for_followers_that_live(cluster):
    cluster.create_topic("waited", assignment={0: [1, 2, 3]})
    cluster.wait_isr("waited", 3)
    produce(cluster, "waited", 100)
    cluster.brokers[3].pause()
    try:
        error, low_watermark = delete_records(cluster, "waited", 50, timeout_ms=200)
        assert error == REQUEST_TIMED_OUT and low_watermark < 50
        assert earliest(cluster, "waited") == 50
    finally:
        cluster.brokers[3].resume()
    cluster.wait_isr("waited", 3, seconds=20)
    assert delete_records(cluster, "waited", 60, timeout_ms=20000) == (NONE, 60)


def test_compacted_topics_are_not_cut(cluster):
    create_topic(cluster.bootstrap, "by-key", config={"cleanup_policy": "compact"})
    cluster.wait_topic("by-key", 1)
    kcat(cluster.bootstrap, "-P", "-t", "by-key", "-K", ":", input=b"a:1\nb:2\n")
    assert delete_records(cluster, "by-key", 1) == (POLICY_VIOLATION, -1)
    assert earliest(cluster, "by-key") == 0
