# SPDX-License-Identifier: Apache-2.0
"""
A leader that stood still (SIGSTOP) finds requests in its sockets when it goes on: it looks at its session before it
answers any of them (I37).
"""
import struct

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder

import wire
from cluster import SESSION_TIMEOUT_MS
from processes import SCALE, wait_until

NONE, NOT_LEADER_OR_FOLLOWER = 0, 6
PRODUCER = 4711


def batch_of(sequence):
    """One record of an idempotent producer."""
    builder = DefaultRecordBatchBuilder(magic=2, compression_type=0, is_transactional=0, producer_id=PRODUCER,
                                        producer_epoch=0, base_sequence=sequence, batch_size=1 << 20)
    builder.append(0, timestamp=1700000000000, key=None, value=b"record %d" % sequence, headers=[])
    return bytes(builder.build())


def produce_body(topic, records):
    return (wire.string(None) + struct.pack(">hii", -1, 10000, 1) + wire.string(topic) +
            struct.pack(">iii", 1, 0, len(records)) + records)


def produce_error(answer, topic):
    assert answer.number("i") == 1 and answer.string() == topic
    assert answer.number("i") == 1 and answer.number("i") == 0
    return answer.number("h")


@pytest.fixture
def frozen(make_cluster):
    """A cluster, and its broker 1, which led partition 0 of `late`, stands still."""
    cluster = make_cluster()
    cluster.start()
    cluster.create_topic("late", assignment={0: [1, 2, 3]})
    cluster.wait_isr("late", 3)
    leader = cluster.brokers[1]
    with wire.Connection(leader.port) as connection:
        answer = connection.request(wire.PRODUCE, 3, produce_body("late", batch_of(0)))
        assert produce_error(answer, "late") == NONE
    leader.pause()
    yield cluster, leader
    leader.resume()


def leader_for(broker):
    known = broker.metadata(["late"])
    return known["topics"]["late"]["partitions"][0]["leader"] if known else None


def answers_after(cluster, leader, new_leader):
    """
    What the leader says, when it goes on, to an old producer whose records in between went elsewhere, and to one who
    asks for the leader: both were sent while it stood still, each on a connection of its own.
    """
    with wire.Connection(leader.port, 30 * SCALE) as one, wire.Connection(leader.port, 30 * SCALE) as other:
        one.send_frame(wire.header(wire.PRODUCE, 3, 1) + produce_body("late", batch_of(7)))
        other.send_frame(wire.header(wire.METADATA, 1, 1) + struct.pack(">i", 1) + wire.string("late"))
        wait_until(lambda: leader_for(cluster.brokers[2]) in new_leader, SESSION_TIMEOUT_MS / 1000 + 10,
                   "no other leader")
        leader.resume()
        answers = [wire.Reader(connection.receive_frame()) for connection in (one, other)]
    assert [answer.number("i") for answer in answers] == [1, 1]
    known = wire.read_metadata(answers[1])
    return produce_error(answers[0], "late"), known["topics"]["late"]["partitions"][0]["leader"]


def test_I37_a_deposed_leader_learns_that_before_it_answers(frozen):
    cluster, leader = frozen
    error, told = answers_after(cluster, leader, (2, 3))
    assert error == NOT_LEADER_OR_FOLLOWER, "the producer was told %d by a leader of the past" % error
    assert told in (2, 3), "the old leader names itself"
