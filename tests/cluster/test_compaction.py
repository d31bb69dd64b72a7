# SPDX-License-Identifier: Apache-2.0
"""
Compacted topics: only the newest record of each key stays, at its offset, on every replica; tombstones go in the end;
readers see offsets rise and nothing else.
"""
import struct

import pytest

from clients import kcat, python_producer, python_read
from processes import wait_until

SETTINGS = {
    "log.cleaner.backoff.ms": 300,
    "log.cleaner.io.buffer.size": 131072,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "log.segment.delete.delay.ms": 500,
    "log.flush.offset.checkpoint.interval.ms": 60000,
}
TOPIC = {"cleanup_policy": "compact", "segment_bytes": 30000, "min_cleanable_dirty_ratio": 0.01,
         "min_compaction_lag_ms": 0}
KEYS = 40
ROUNDS = 100
HEADER = struct.Struct(">qiibIhiqqqhii")


@pytest.fixture
def cluster(make_cluster):
    """Three brokers that look for something to compact three times a second."""
    made = make_cluster(settings=SETTINGS)
    made.start()
    return made


def produce(cluster, topic, rounds, first=0, tombstones=(), **settings):
    """Every key once a round; the offset of each key's newest record. In the last round `tombstones` have no value."""
    newest = {}
    producer = python_producer(cluster.bootstrap, retries=5, linger_ms=5, **settings)
    try:
        for number in range(first, first + rounds):
            sent = {}
            for key in range(KEYS):
                gone = number == first + rounds - 1 and key in tombstones
                value = None if gone else ("%d of key %d " % (number, key)).encode() + b"x" * 80
                sent[key] = producer.send(topic, key=b"key-%d" % key, value=value, partition=0)
            producer.flush()
            newest.update({key: future.get().offset for key, future in sent.items()})
    finally:
        producer.close()
    return newest


def fill(cluster, topic, count=400):
    """Other keys, each once, so that what was before them lies in closed segments."""
    producer = python_producer(cluster.bootstrap, retries=5, linger_ms=5)
    try:
        for number in range(count):
            producer.send(topic, key=b"filler-%d" % number, value=b"f" * 100, partition=0)
        producer.flush()
    finally:
        producer.close()


def records_on_disk(broker, topic, below):
    """How many records a broker's files have at offsets below, by the headers of their batches."""
    count = 0
    for path in (broker.data / (topic + "-0")).glob("*.log"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # replaced meanwhile
            return below
        at = 0
        while at + HEADER.size <= len(content):
            fields = HEADER.unpack_from(content, at)
            if fields[0] + fields[6] < below:
                count += fields[12]
            at += fields[1] + 12
    return count


def of_keys(records):
    """{key number: offset} of the newest records, and whether each came once."""
    found, once = {}, True
    for (_, offset), record in sorted(records.items()):
        if record.key.startswith(b"key-"):
            once = once and int(record.key[4:]) not in found
            found[int(record.key[4:])] = offset
    return found, once


def wait_compacted(cluster, topic, below, at_most, seconds=60):
    for broker in cluster.running():
        wait_until(lambda: records_on_disk(broker, topic, below) <= at_most, seconds,
                   lambda: "broker %d has %d records below %d, not %d:\n%s" % (
                       broker.id, records_on_disk(broker, topic, below), below, at_most,
                       "\n".join(sorted(path.name for path in (broker.data / (topic + "-0")).iterdir()))))


@pytest.mark.parametrize("codec", [None, "gzip", "lz4"])
def test_the_newest_of_each_key_stays_where_it_was(cluster, codec):
    cluster.create_topic("table", **TOPIC)
    cluster.wait_isr("table", 3)
    newest = produce(cluster, "table", ROUNDS, compression_type=codec)
    fill(cluster, "table")
    wait_compacted(cluster, "table", KEYS * ROUNDS, KEYS)
    records = python_read(cluster.bootstrap, "table", 1)
    assert of_keys(records) == (newest, True)
    for key, offset in newest.items():
        assert records[0, offset].value.startswith(b"%d of key %d " % (ROUNDS - 1, key))
    text = kcat(cluster.bootstrap, "-C", "-t", "table", "-o", "beginning", "-e", "-q", "-f", "%o %k\n").stdout
    assert [int(line.split()[0]) for line in text.splitlines()] == sorted(offset for _, offset in records)
    for broker in cluster.running():
        assert "table-0: compacted up to " in broker.log_text()
        assert (broker.data / "cleaner-offset-checkpoint").exists()


def test_it_stays_so_when_brokers_come_and_go(cluster):
    cluster.create_topic("table", **TOPIC)
    cluster.wait_isr("table", 3)
    newest = produce(cluster, "table", ROUNDS)
    fill(cluster, "table")
    wait_compacted(cluster, "table", KEYS * ROUNDS, KEYS)
    for broker in list(cluster.brokers.values()):
        broker.kill()
        broker.start()
        cluster.wait_ready()
        cluster.wait_isr("table", 3, seconds=30)
        assert of_keys(python_read(cluster.bootstrap, "table", 1)) == (newest, True)
    newest = produce(cluster, "table", ROUNDS, first=ROUNDS)
    fill(cluster, "table")
    wait_compacted(cluster, "table", max(newest.values()) + 1, KEYS + 400)
    # The replica that comes last copies a log with gaps.
    last = cluster.brokers[max(cluster.brokers)]
    assert last.stop() == 0
    for path in (last.data / "table-0").iterdir():
        path.unlink()
    (last.data / "table-0").rmdir()
    last.start()
    cluster.wait_ready()
    cluster.wait_isr("table", 3, seconds=30)
    for broker in list(cluster.brokers.values()):
        if broker is not last:
            assert broker.stop() == 0
    cluster.wait_topic("table", 1)
    wait_until(lambda: cluster.partitions("table")[0]["leader"] == last.id, 30, "the last one does not lead")
    assert of_keys(python_read(last.address, "table", 1))[0] == newest


def test_tombstones_go_in_the_end(cluster):
    cluster.create_topic("table", delete_retention_ms=2000, **TOPIC)
    cluster.wait_isr("table", 3)
    gone = range(0, KEYS, 4)
    newest = produce(cluster, "table", ROUNDS, tombstones=gone)
    fill(cluster, "table")
    wait_compacted(cluster, "table", KEYS * ROUNDS, KEYS)
    left = {key: offset for key, offset in newest.items() if key not in gone}

    def only_values_are_left():
        fill(cluster, "table", 100)  # a cleaning needs something dirty
        return all(records_on_disk(broker, "table", KEYS * ROUNDS) == len(left) for broker in cluster.running())

    wait_until(only_values_are_left, 60, "tombstones stay")
    assert of_keys(python_read(cluster.bootstrap, "table", 1)) == (left, True)


def test_what_cannot_be_compacted_stops_nobody(make_cluster):
    cluster = make_cluster(brokers=1, settings=dict(SETTINGS, **{"log.cleaner.enable": "false"}))
    cluster.start()
    for topic in "damaged", "table":
        cluster.create_topic(topic, **TOPIC)
    produce(cluster, "damaged", ROUNDS)
    broker = cluster.brokers[1]
    assert broker.stop() == 0
    first = broker.data / "damaged-0" / ("%020d.log" % 0)
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    broker.settings["log.cleaner.enable"] = "true"
    broker.start()
    cluster.wait_ready()
    newest = produce(cluster, "table", ROUNDS)
    fill(cluster, "table")
    wait_compacted(cluster, "table", KEYS * ROUNDS, KEYS)
    assert of_keys(python_read(cluster.bootstrap, "table", 1)) == (newest, True)
    assert broker.log_text().count("damaged-0 is not compacted any more") == 1
    assert records_on_disk(broker, "damaged", KEYS * ROUNDS) > KEYS
    assert not [path.name for path in (broker.data / "damaged-0").iterdir() if "cleaned" in path.name]
