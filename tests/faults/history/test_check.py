# SPDX-License-Identifier: Apache-2.0
"""
The checker is itself checked: into a clean history goes exactly one fault of each kind, which must be named, and
nothing else but the companions that a fault of that kind always has. Also the payloads and the comparison of replicas.
"""
import contextlib
import io
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from generate import KEYS, World  # noqa: E402
from record import decode_payload, encode_payload  # noqa: E402
import check as checker  # noqa: E402
import clients  # noqa: E402
import replicas  # noqa: E402

CHECK = Path(__file__).resolve().parent / "check.py"
SEEDS = [int(os.environ["HISTORY_SEED"])] if "HISTORY_SEED" in os.environ else [1, 2, random.randrange(1 << 30)]


def check(world, folder, *arguments):
    """(exit status, {anomaly: count}, all that was shown)"""
    world.write(folder)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = checker.main([str(folder), "--json", *arguments])
    said = json.loads(output.getvalue())
    return status, said["counts"], said["anomalies"]


def some_acknowledged(world, middle=True):
    """(line, key, offset, value) of an acknowledged send with others before and behind."""
    rows = [row for row in world.acknowledged() if not middle or 10 < row[2] < len(world.logs[row[1]]) - 10]
    return world.chance.choice(rows)


def next_value(world, key, offset, distance=1):
    return world.logs[key][offset + distance]


# One function for each fault: it spoils the history and gives what the anomaly's lines must name.

def lost_write(world):
    _, key, offset, value = some_acknowledged(world)
    world.drop(key, offset)
    return value


def unseen(world):
    _, key, offset, value = some_acknowledged(world)
    for name, _, records, place in list(world.readings(key, offset)):
        if name == "final":
            del records[place]
    return value


def inconsistent_offset(world):
    """Another record's value is read where one was acknowledged: that one is lost, the other is there twice."""
    _, key, offset, value = some_acknowledged(world)
    for _, _, records, place in world.readings(key, offset):
        records[place][1] = next_value(world, key, offset, 3)
    return value


def duplicate(world):
    """A record more at the end, which is an earlier one once more."""
    _, key, offset, value = some_acknowledged(world)
    end = len(world.logs[key])
    world.add("final", {"proc": "f1", "type": "ok", "f": "poll", "mops": [["poll", {key: [[end, value]]}]]})
    return value


def phantom_read(world):
    key = world.chance.choice(KEYS)
    value = "p1-900000"
    end = len(world.logs[key])
    world.add("final", {"proc": "f1", "type": "ok", "f": "poll", "mops": [["poll", {key: [[end, value]]}]]})
    return value


def damaged_read(world):
    key = world.chance.choice(KEYS)
    end = len(world.logs[key])
    world.add("final", {"proc": "f1", "type": "ok", "f": "poll",
                        "mops": [["poll", {key: [[end, None, "its sum is wrong"]]}]]})
    return "its sum is wrong"


def aborted_read(world):
    line = world.chance.choice([line for _, line in world.lines("send", "fail")])
    _, key, _, value = line["mops"][0]
    end = len(world.logs[key])
    world.add("final", {"proc": "f1", "type": "ok", "f": "poll", "mops": [["poll", {key: [[end, value]]}]]})
    return value


def poll_skip(world):
    _, key, offset, value = some_acknowledged(world)
    for name, _, records, place in list(world.readings(key, offset)):
        if name == "c1":
            del records[place]
    return value


def nonmonotonic_poll(world):
    _, key, offset, value = some_acknowledged(world)
    for name, _, records, place in list(world.readings(key, offset)):
        if name == "c1":
            records.insert(place, list(records[place]))
    return value


def nonmonotonic_send(world):
    """Two neighbours of one producer change places, everywhere."""
    rows = [(one, other) for one in world.acknowledged() for other in world.acknowledged()
            if one[1] == other[1] and one[2] + 1 == other[2] and one[0]["proc"] == other[0]["proc"]]
    one, other = world.chance.choice(rows)
    key = one[1]
    for offset, value in ((one[2], other[3]), (other[2], one[3])):
        for _, _, records, place in world.readings(key, offset):
            records[place][1] = value
    one[0]["mops"][0][2], other[0]["mops"][0][2] = other[2], one[2]
    return other[3]


def stuck_final(world):
    line = world.lines("final")[0][1]
    line["type"] = "info"
    line["missing"] = {KEYS[0]: [3, 4]}
    return "final"


def stuck_send(world):
    """A send that is still open long after the healing, while its process goes on."""
    for number, t in ((0, world.t), (1, world.t + 60)):
        world.add("producer-3", {"proc": "p3", "type": "invoke", "f": "send", "t": t,
                                 "mops": [["send", KEYS[0], None, "p3-%d" % number]]})
    return "p3-0"


def stuck_canary(world):
    world.files["producer-1"][0]["canary"] = True
    world.add("producer-1", {"proc": "p1", "type": "ok", "f": "end", "t": world.t + 11})
    return "p1"


def group_line(world, f, generation, step):
    """A line of the group's first member."""
    rows = [line for _, line in world.lines(f) if line.get("member") == "m1" and line["gen"] == generation]
    return rows[step]


def commit_by_old_generation(world):
    late = group_line(world, "commit", 2, 4)
    world.files["group"].append(dict(late, gen=1, t0=world.now(), t=world.now(), offsets={KEYS[0]: 900}))
    return '"gen":1'


def commit_went_back(world):
    late = group_line(world, "commit", 2, 4)
    world.files["group"].append(dict(late, t0=world.now(), t=world.now(), offsets={KEYS[0]: 3}))
    return '"%s":3' % KEYS[0]


def committed_offset_lost(world):
    group_line(world, "committed", 2, 2)["offsets"][KEYS[0]] = None
    return "null"


def committed_offset_stale(world):
    group_line(world, "committed", 2, 3)["offsets"][KEYS[0]] = 107
    return '"%s":107' % KEYS[0]


def committed_offset_from_nowhere(world):
    group_line(world, "committed", 2, 3)["offsets"][KEYS[0]] = 4711
    return "4711"


def two_owners(world):
    group_line(world, "assigned", 2, 0)["keys"] = list(KEYS)
    return '"assigned"'


# Fault: its name, what always comes with it.
FAULTS = {
    lost_write: ("lost-write", {"unseen", "poll-skip"}),
    unseen: ("unseen", {"poll-skip"}),
    inconsistent_offset: ("inconsistent-offset",
                          {"duplicate", "lost-write", "unseen", "nonmonotonic-send"}),
    duplicate: ("duplicate", set()),
    phantom_read: ("phantom-read", set()),
    damaged_read: ("phantom-read", set()),
    aborted_read: ("G1a-aborted-read", set()),
    poll_skip: ("poll-skip", set()),
    nonmonotonic_poll: ("nonmonotonic-poll", set()),
    nonmonotonic_send: ("nonmonotonic-send", set()),
    stuck_final: ("stuck", set()),
    stuck_send: ("stuck", set()),
    stuck_canary: ("stuck", set()),
    commit_by_old_generation: ("commit-by-old-generation", set()),
    commit_went_back: ("commit-went-back", set()),
    committed_offset_lost: ("committed-offset-lost", set()),
    committed_offset_stale: ("committed-offset-stale", set()),
    committed_offset_from_nowhere: ("committed-offset-from-nowhere", set()),
    two_owners: ("two-owners-in-one-generation", set()),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_clean_history_is_clean(seed, tmp_path):
    print("seed %d" % seed)
    for kind, options in (("exact", {}), ("plain", {"idempotent": False}), ("weak", {"acks": "1"})):
        assert check(World(seed, **options), tmp_path / kind)[:2] == (0, {})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_one_fault_is_named(spoil, seed, tmp_path):
    print("seed %d: HISTORY_SEED=%d" % (seed, seed))
    world = World(seed)
    named = spoil(world)
    status, counts, shown = check(world, tmp_path)
    name, companions = FAULTS[spoil]
    assert status == 1
    assert name in counts and set(counts) <= {name} | companions, counts
    if name not in companions and spoil is not inconsistent_offset:
        assert counts[name] == 1, shown
    evidence = [one for one in shown if one["anomaly"] == name]
    assert any(named in one["text"] or named in "".join(one["lines"]) for one in evidence)
    assert all(one["lines"] for one in evidence), evidence
    assert all(len(one["lines"]) <= 12 for one in evidence), evidence


@pytest.mark.parametrize("spoil, options, arguments", [
    (lost_write, {"acks": "1"}, ()), (unseen, {"acks": "1"}, ()), (duplicate, {"idempotent": False}, ()),
    (nonmonotonic_send, {"idempotent": False}, ()), (lost_write, {}, ("--unclean",)), (unseen, {}, ("--unclean",)),
], ids=str)
def test_what_is_allowed_is_not_named(spoil, options, arguments, tmp_path):
    """Weak acknowledgements promise nothing, plain producers may repeat, unclean elections lose."""
    world = World(7, **options)
    spoil(world)
    counts = check(world, tmp_path, *arguments)[1]
    assert not set(counts) - {"poll-skip"}, counts


def test_killed_writer_leaves_half_a_line(tmp_path):
    world = World(3)
    world.write(tmp_path)
    with (tmp_path / "producer-1.jsonl").open("a") as file:
        file.write('{"t":1000,"proc":"p1","ty')
    assert subprocess.run([sys.executable, "-B", str(CHECK), str(tmp_path)], capture_output=True).returncode == 0


def test_unusable_histories_are_no_verdict(tmp_path):
    assert subprocess.run([sys.executable, "-B", str(CHECK), str(tmp_path)], capture_output=True).returncode == 2
    (tmp_path / "a.jsonl").write_text('{"t":1,"f":"send"}\n')
    assert subprocess.run([sys.executable, "-B", str(CHECK), str(tmp_path)], capture_output=True).returncode == 2


def test_payloads_tell_what_happened_to_them():
    chance = random.Random(5)
    for _ in range(200):
        payload = encode_payload("a.topic", 3, "p-7", chance.randbytes(chance.randrange(20, 300)))
        assert decode_payload("a.topic", 3, payload) == ("p-7", None)
        assert decode_payload("a.topic", 4, payload)[0] is None and decode_payload("b", 3, payload)[0] is None
        place = chance.randrange(len(payload))
        spoiled = payload[:place] + bytes([payload[place] ^ 1 << chance.randrange(8)]) + payload[place + 1:]
        assert decode_payload("a.topic", 3, spoiled)[0] is None
        assert decode_payload("a.topic", 3, payload[:place])[0] is None
    assert decode_payload("a.topic", 3, None)[0] is None


def test_ends_of_sends():
    """The table of ends: what is certain, and what is in doubt."""
    error = clients.KafkaError
    assert clients.end_of_send(None, 5) == "ok"
    assert clients.end_of_send(error.MSG_SIZE_TOO_LARGE, 5) == "fail"
    assert clients.end_of_send(error.NOT_ENOUGH_REPLICAS, 0) == "fail"
    for code in (error.NOT_ENOUGH_REPLICAS, error.NOT_ENOUGH_REPLICAS_AFTER_APPEND, error._MSG_TIMED_OUT,
                 error.REQUEST_TIMED_OUT, error._PURGE_QUEUE):
        assert clients.end_of_send(code, 5) == "info"


def make_replica(folder, broker, batches, epochs=((0, 0), (3, 20)), roll_at=20):
    """A directory with one partition of ten-record batches: {base offset: records' bytes}."""
    partition = folder / "topic-0"
    partition.mkdir(parents=True)
    (folder / "meta.properties").write_text("version=0\nbroker.id=%d\n" % broker)
    (partition / "leader-epoch-checkpoint").write_text(
        "0\n%d\n%s" % (len(epochs), "".join("%d %d\n" % one for one in epochs)))
    for base, records in batches.items():
        epoch = max(epoch for epoch, first in ((0, 0), (3, 20)) if first <= base)
        batch = struct.pack(">qiibIhiqqqhii", base, 49 + len(records), epoch, 2, 0, 0, 9, 0, 0, -1, -1, -1, 10)
        path = partition / ("%020d.log" % (base // roll_at * roll_at))
        with path.open("ab") as file:
            file.write(batch + records)
    return folder


def anomalies_of(*folders, **options):
    return [(one["anomaly"], one["offset"]) for one in replicas.compare(folders, **options)[0]]


def test_replicas_are_compared(tmp_path):
    whole = {base: b"record %d" % base for base in range(0, 60, 10)}
    one = make_replica(tmp_path / "1", 1, whole)
    assert anomalies_of(one, make_replica(tmp_path / "2", 2, whole, roll_at=30)) == []
    later = {base: records for base, records in whole.items() if base >= 40}
    assert anomalies_of(one, make_replica(tmp_path / "3", 3, later, epochs=((3, 40),))) == []
    other = dict(whole)
    other[30] = b"another 30"
    assert anomalies_of(one, make_replica(tmp_path / "4", 4, other)) == [("divergent-replicas", 30)]
    text = replicas.compare([one, tmp_path / "4"])[0][0]
    assert text["partition"] == "topic-0" and text["brokers"] == [1, 4] and "base_offset=30" in text["headers"][0]
    short = {base: records for base, records in whole.items() if base < 50}
    five = make_replica(tmp_path / "5", 5, short)
    assert anomalies_of(one, five) == [("different-ends", 50)]
    assert anomalies_of(one, five, ends_may_differ=True) == []
    assert anomalies_of(one, five, ends_may_differ=True, copies=3) == [("missing-replica", 0)]
    six = make_replica(tmp_path / "6", 6, whole, epochs=((0, 0), (2, 20)))
    assert anomalies_of(one, six) == [("wrong-epoch-checkpoint", 0)]
    seven = make_replica(tmp_path / "7", 7, whole)
    with (seven / "topic-0" / "00000000000000000040.log").open("ab") as file:
        file.write(b"half a batch, more than seventeen bytes")
    assert anomalies_of(one, seven) == [("unreadable-log", 60)]
