# SPDX-License-Identifier: Apache-2.0
"""
Bit rot (F33): bytes of segments, indexes, checkpoints and snapshots flip. A reader gets an error and never bad data,
a follower never copies it, the log names file and offset; what can be made anew from the segments is made anew.

In files of text the highest bit of a byte flips: a digit that became another digit nobody can notice.
"""
import re
import struct

import confluent_kafka
from bed import RESUME_SECONDS
from inject import Kill, Stop
from load import IMPATIENT, PARTITIONS
from registry import scenario
from scenarios.operations import SMALL_SEGMENTS

TOPIC = "plain"
_HEAD = struct.Struct(">qiibIhi")
_RECORDS_AT = 61
_TEXT = ("*-checkpoint", ".kafka_cleanshutdown", "*/leader-epoch-checkpoint")
_BINARY = ("%s-*/*.index", "%s-*/*.timeindex", "%s-*/*.snapshot")
READ_SECONDS = 8


def batches_of(path):
    """(position, size, first offset, last offset) of each batch of a segment."""
    data, position, found = path.read_bytes(), 0, []
    while position + _RECORDS_AT <= len(data):
        base, length, _, _, _, _, delta = _HEAD.unpack_from(data, position)
        if length <= 0 or position + 12 + length > len(data):
            break
        found.append((position, 12 + length, base, base + delta))
        position += 12 + length
    return found


def segments_of(broker, partition):
    """The .log files of a partition, oldest first."""
    return sorted(path for data in broker.data for path in data.glob("%s-%d/*.log" % (TOPIC, partition)))


def flip(path, position, bits):
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ bits]))


def read_range(bootstrap, partition, first, last):
    """The offsets of a range that a fresh reader is given, and the errors that it is told."""
    consumer = confluent_kafka.Consumer(dict(IMPATIENT, **{
        "bootstrap.servers": bootstrap, "group.id": "rot", "enable.auto.commit": False, "check.crcs": True,
        "log_level": 0}))
    offsets, errors = set(), []
    try:
        consumer.assign([confluent_kafka.TopicPartition(TOPIC, partition, first)])
        for message in iter(lambda: consumer.poll(READ_SECONDS), None):
            if message.error():
                errors.append(str(message.error()))
                break
            if message.offset() > last:
                break
            offsets.add(message.offset())
    finally:
        consumer.close()
    return offsets, errors


@scenario("bit-rot-segment", "F33", "a closed segment of a leader rots; a follower begins anew; it is repaired",
          seconds=30, settings=SMALL_SEGMENTS, errors_allowed=True)
def bit_rot_segment(trial):
    for _ in trial.rounds():
        partition = trial.chance.randrange(PARTITIONS)
        leader = trial.bed.leader(TOPIC, partition)
        trial.expect(lambda: len(segments_of(leader, partition)) > 3, 60, "too few segments")
        path = trial.chance.choice(segments_of(leader, partition)[:-2])
        position, size, first, last = trial.chance.choice(batches_of(path))
        flip(path, position + trial.chance.randrange(_RECORDS_AT, size), 1 << trial.chance.randrange(8))
        trial.note("%s of %s rots: offsets %d to %d" % (path.name, leader.host, first, last))

        offsets, errors = read_range(trial.bed.bootstrap, partition, first, last)
        assert not offsets, "a reader was given offsets %s out of a damaged batch" % sorted(offsets)
        trial.note("a reader is told: %s" % (errors or "nothing, and given nothing"))

        follower_begins_anew(trial, leader, partition, first)
        repair(trial, leader, path.parent)


def follower_begins_anew(trial, leader, partition, offset):
    """A follower with an empty disk copies what is before the damage, says where it is, and goes no further."""
    row = trial.bed.partitions(TOPIC)[partition]
    follower = trial.bed.brokers[trial.chance.choice([one for one in row["replicas"] if one != leader.id])]
    spoken = len(follower.log_text())
    folder = segments_of(follower, partition)[0].parent
    with trial.during(Kill(trial.bed, follower)):
        follower.wipe(folder.parent)
        trial.note("%s of %s was replaced by an empty one" % (folder.parent.name, follower.host))
    pattern = r"%s-%d\b[^\n]*\boffset %d\b" % (TOPIC, partition, offset)
    trial.expect(lambda: re.search(pattern, follower.log_text()[spoken:]), 40,
                 "the follower's log does not say that %s-%d is damaged at offset %d" % (TOPIC, partition, offset))
    copied = [batch for path in segments_of(follower, partition) for batch in batches_of(path) if batch[2] >= offset]
    assert not copied, "the follower copied what lies behind the damage: %s" % copied[:3]
    trial.note("%s stopped before offset %d and said so" % (follower.host, offset))


def repair(trial, broker, folder):
    """What the log asks the operator to do."""
    with trial.during(Stop(trial.bed, broker)):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        trial.note("%s of %s was removed" % (folder.name, broker.host))
    trial.expect_writes(RESUME_SECONDS + 30)
    trial.settle(60)


@scenario("bit-rot-active-segment", "F33", "the last batch of a segment rots while its broker is down after a kill",
          seconds=30, errors_allowed=True)
def bit_rot_active_segment(trial):
    for _ in trial.rounds():
        broker, partition = trial.broker(), trial.chance.randrange(PARTITIONS)
        spoken = len(broker.log_text())
        with trial.during(Kill(trial.bed, broker)):
            path = segments_of(broker, partition)[-1]
            batches = batches_of(path)
            if not batches:
                continue
            position, size, first, _ = batches[-1]
            flip(path, position + trial.chance.randrange(_RECORDS_AT, size), 1 << trial.chance.randrange(8))
            trial.note("%s/%s of %s rots at offset %d" % (path.parent.name, path.name, broker.host, first))
        trial.expect_writes(RESUME_SECONDS + 10)
        trial.settle(60)
        named = [line for line in broker.log_text()[spoken:].splitlines()
                 if "%s/%s" % (path.parent.name, path.name) in line or "%s: " % path.parent.name in line]
        assert named, "the log of %s does not name %s" % (broker.host, path)
        trial.note("its log: %s" % named[0][-160:])


@scenario("bit-rot-small-files", "F33", "bytes flip in indexes, snapshots and checkpoints of a broker that is down",
          seconds=60, settings=SMALL_SEGMENTS, errors_allowed=True)
def bit_rot_small_files(trial):
    patterns = [one % TOPIC for one in _BINARY] + list(_TEXT)
    for number in trial.rounds():
        broker = trial.broker()
        fault = (Kill if trial.chance.random() < 0.5 else Stop)(trial.bed, broker)
        with trial.during(fault):
            pattern = patterns[number % len(patterns)]
            files = [path for data in broker.data for path in sorted(data.glob(pattern)) if path.stat().st_size]
            rotten = trial.chance.sample(files, min(3, len(files)))
            for path in rotten:
                bits = 0x80 if pattern in _TEXT else 1 << trial.chance.randrange(8)
                flip(path, trial.chance.randrange(path.stat().st_size), bits)
            trial.note("of %s rot: %s" % (broker.host, [str(path.relative_to(broker.folder)) for path in rotten]))
        trial.expect_writes(RESUME_SECONDS + 10)
        trial.settle(60)
