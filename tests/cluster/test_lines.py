# SPDX-License-Identifier: Apache-2.0
"""
A large file of lines through kcat and back: the same lines, in order within each partition; little memory used.
"""
import random

import pytest

from clients import kcat, kcat_read, numbered_lines
from processes import FULL, SCALE

COUNT = 1000000 if FULL else 100000
RSS_LIMIT_BYTES = 40 << 20


@pytest.fixture(scope="module")
def lines():
    return list(numbered_lines(COUNT, seed=20))


def check_lines(read, lines):
    """The same multiset of lines, and within each partition in the order of their numbers."""
    assert len(read) == len(lines)
    assert sorted(read.values()) == sorted(lines)
    last = {}
    for (partition, _), line in sorted(read.items()):
        assert line > last.get(partition, b""), "order lost in partition %d" % partition
        last[partition] = line


def check_offsets(read, partitions):
    """Offsets are dense from 0."""
    for partition in range(partitions):
        offsets = sorted(offset for where, offset in read if where == partition)
        assert offsets == list(range(len(offsets)))


def test_lines_go_through_and_come_back(shared, lines, folder, record_property):
    shared.create_topic("lines", partitions=6, replicas=3)
    path = folder / "lines"
    path.write_bytes(b"\n".join(lines) + b"\n")
    kcat(shared.bootstrap, "-P", "-t", "lines", "-X", "acks=all", "-l", path, seconds=300)
    read = kcat_read(shared.bootstrap, "lines", seconds=300)
    check_lines(read, lines)
    check_offsets(read, 6)
    if SCALE == 1:
        for broker in shared.brokers.values():
            rss = broker.rss_bytes()
            record_property("rss_bytes_broker_%d" % broker.id, rss)
            print("broker %d holds %.1f MiB" % (broker.id, rss / (1 << 20)))
            assert rss < RSS_LIMIT_BYTES, "broker %d holds %d MiB" % (broker.id, rss >> 20)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_lines(shared, lines, folder, codec):
    some = lines[:COUNT // 10]
    path = folder / "lines"
    path.write_bytes(b"\n".join(some) + b"\n")
    topic = "lines-" + codec
    shared.create_topic(topic, partitions=3, replicas=3)
    kcat(shared.bootstrap, "-P", "-t", topic, "-X", "acks=all", "-z", codec, "-l", path, seconds=120)
    check_lines(kcat_read(shared.bootstrap, topic), some)


def test_idempotent_producer(shared, lines, folder):
    some = lines[:COUNT // 10]
    path = folder / "lines"
    path.write_bytes(b"\n".join(some) + b"\n")
    shared.create_topic("idempotent", partitions=6, replicas=3)
    kcat(shared.bootstrap, "-P", "-t", "idempotent", "-X", "enable.idempotence=true", "-l", path, seconds=120)
    check_lines(kcat_read(shared.bootstrap, "idempotent"), some)


def test_read_from_the_middle_and_from_a_time(shared):
    shared.create_topic("middle", partitions=1, replicas=3)
    values = [b"value %d" % number for number in range(1000)]
    kcat(shared.bootstrap, "-P", "-t", "middle", "-X", "acks=all", "-X", "batch.num.messages=10",
         input=b"\n".join(values) + b"\n")
    chance = random.Random(7)
    for offset in [0, 1, 999] + [chance.randrange(1000) for _ in range(5)]:
        read = kcat(shared.bootstrap, "-C", "-t", "middle", "-p", "0", "-o", str(offset), "-c", "1", "-q").stdout
        assert read == values[offset] + b"\n"
    tail = kcat(shared.bootstrap, "-C", "-t", "middle", "-p", "0", "-o", "-5", "-e", "-q").stdout
    assert tail.split() == b"\n".join(values[-5:]).split()
    stamps = kcat(shared.bootstrap, "-C", "-t", "middle", "-o", "beginning", "-e", "-q", "-f", "%T\n").stdout.split()
    first_at = stamps.index(stamps[500])
    read = kcat(shared.bootstrap, "-C", "-t", "middle", "-p", "0", "-o", "s@" + stamps[500].decode(), "-c", "1", "-q",
                "-f", "%o").stdout
    assert int(read) == first_at
