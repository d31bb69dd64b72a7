# SPDX-License-Identifier: Apache-2.0
"""
The pure parts of what breaks and moves things: batches found in a segment, strace's words, rolling restarts by steps,
moves that are drawn.
"""
import struct

import places  # noqa: F401  (finds the cluster tests' modules)
import moves
import torn
from scenarios import rot


def batch(base, count):
    body = struct.pack(">ibIhiqqqhii", 0, 2, 0, 0, count - 1, 0, 0, -1, -1, -1, count) + b"x" * 30
    return struct.pack(">qi", base, len(body)) + body


def test_batches_are_found_up_to_the_torn_one(tmp_path):
    path = tmp_path / "0.log"
    path.write_bytes(batch(5, 3) + batch(8, 1) + batch(9, 2)[:70])
    size = len(batch(5, 3))
    assert rot.batches_of(path) == [(0, size, 5, 7), (size, size, 8, 8)]


def test_a_flip_changes_one_bit(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abcdef")
    rot.flip(path, 2, 0x80)
    assert path.read_bytes() == b"ab\xe3def"


def test_the_words_of_strace_name_calls_and_number(tmp_path):
    words = torn.strace_words("rename", 7, tmp_path / "out")
    assert words[:2] == ["strace", "-D"]
    assert words[-1] == "inject=rename,renameat,renameat2:signal=KILL:when=7"
    assert "fsync" in torn.CALLS["any"] and "pwrite64" in torn.CALLS["any"]


class Host:
    """A broker that ends one look after it was asked to."""

    def __init__(self, number):
        self.id = number
        self.host = "b%d" % number
        self.asked = self.frozen = False
        self.looks = self.starts = 0
        self.popen = type("Popen", (), {"returncode": 0})()

    def is_well(self):
        return True

    def is_running(self):
        self.looks += self.asked
        return self.looks < 2

    def begin_stop(self):
        self.asked = True

    def start(self):
        self.asked, self.looks = False, 0
        self.starts += 1

    def stop(self, seconds):
        self.looks = 2

    def metadata(self, topics, seconds):
        return {}


class Bed:
    def __init__(self, count):
        self.brokers = {number: Host(number) for number in range(1, count + 1)}


def test_a_rolling_restart_takes_one_after_the_other():
    bed = Bed(3)
    rolling = moves.Rolling(bed, bed.brokers[2])
    rolling.begin()
    for moment in range(100):
        rolling.tick(moment * 0.4)
        assert sum(host.asked for host in bed.brokers.values()) <= 1
    assert [host.starts for host in bed.brokers.values()] == [1, 1, 1]
    rolling.heal()


def test_a_rolling_restart_that_is_cut_short_leaves_no_broker_down():
    bed = Bed(3)
    rolling = moves.Rolling(bed, bed.brokers[1])
    rolling.begin()
    rolling.tick(0.0)
    assert bed.brokers[1].asked
    rolling.heal()
    assert [host.starts for host in bed.brokers.values()] == [1, 0, 0]


def test_moves_have_as_many_replicas_as_the_promise_needs():
    for seed in range(200):
        for count in (3, 5):
            move = moves.Reassign(Bed(count), "t", 6, 5, seed)
            for targets in move.rounds:
                for partition, replicas in targets.items():
                    assert 0 <= partition < 6 and len(set(replicas)) == len(replicas)
                    assert set(replicas) <= set(range(1, count + 1))
                    assert len(replicas) == 3 if count > 3 else len(replicas) in (2, 3)
