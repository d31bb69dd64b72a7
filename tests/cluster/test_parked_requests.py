# SPDX-License-Identifier: Apache-2.0
"""Requests that wait when their partition moves or goes are answered then, not when their time is up."""
import json
import struct
import threading
import time

from clients import delete_topic
from processes import SCALE, wait_until
from test_flush import record_batch
from wire import Connection, string
from znodes import write

FETCH = 1
WAIT_MS = 60000
NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION = 6, 3


def fetch(connection, topic, offset):
    """The error code of a fetch that waits for records of partition 0."""
    body = struct.pack(">iiiibi", -1, WAIT_MS, 1, 1 << 20, 0, 1) + string(topic)
    answer = connection.request(FETCH, 4, body + struct.pack(">iiqi", 1, 0, offset, 1 << 20))
    answer.number("i")
    assert answer.number("i") == 1 and answer.string() == topic and answer.number("i") == 1
    assert answer.number("i") == 0
    return answer.number("h")


class Parked(threading.Thread):
    """A request on a connection of its own, and when its answer came."""

    def __init__(self, broker, ask):
        super().__init__(daemon=True)
        self.connection = Connection(broker.port, seconds=60 * SCALE)
        self.ask = ask
        self.result = self.answered = self.trouble = None
        self.start()

    def run(self):
        try:
            self.result = self.ask(self.connection)
            self.answered = time.monotonic()
        except Exception as trouble:  # told by wait_answer
            self.trouble = trouble

    def wait_answer(self, seconds=20):
        self.join(seconds * SCALE)
        self.connection.close()
        assert self.trouble is None, self.trouble
        assert self.answered is not None, "no answer"
        return self.result


def test_a_deleted_topic_ends_the_wait(cluster):
    cluster.create_topic("going", assignment={0: [1, 2, 3]})
    cluster.wait_isr("going", 3)
    parked = Parked(cluster.brokers[1], lambda connection: fetch(connection, "going", 0))
    time.sleep(0.2)  # not for luck: one that comes later is refused at once, which would say nothing
    assert parked.answered is None
    begin = time.monotonic()
    delete_topic(cluster.bootstrap, "going")
    wait_until(lambda: "going" not in (cluster.brokers[1].metadata() or {"topics": "going"})["topics"], 10,
               "broker 1 still knows the topic")
    gone = time.monotonic()
    assert parked.wait_answer() in (NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION)
    print("answered %.0f ms after the request to delete, %.0f ms after the topic was gone" % (
        1000 * (parked.answered - begin), 1000 * (parked.answered - gone)))
    assert parked.answered - gone < 0.1 * SCALE


def test_a_new_leader_ends_the_wait(make_cluster):
    """acks=all hangs on a frozen replica; a fetch waits for records. Then another broker is elected."""
    cluster = make_cluster(settings={"zookeeper.session.timeout.ms": 20000, "auto.leader.rebalance.enable": "false"})
    cluster.start()
    leader = cluster.controller()
    preferred, frozen = [broker for broker in cluster.brokers.values() if broker is not leader]
    cluster.create_topic("moving", assignment={0: [preferred.id, leader.id, frozen.id]})
    cluster.wait_isr("moving", 3)
    preferred.restart()
    preferred.wait_ready()
    cluster.wait_isr("moving", 3, seconds=20)
    assert cluster.partitions("moving")[0]["leader"] == leader.id
    frozen.pause()
    try:
        produced = Parked(leader, lambda connection: connection.produce("moving", 0, record_batch(b"parked"))[0])
        fetched = Parked(leader, lambda connection: fetch(connection, "moving", 0))
        time.sleep(0.5)  # both are there; the record is above the high watermark
        assert produced.answered is None and fetched.answered is None
        write(cluster, "/admin/preferred_replica_election",
              json.dumps({"version": 1, "partitions": [{"topic": "moving", "partition": 0}]}, separators=(",", ":")))
        wait_until(lambda: leader.metadata(["moving"])["topics"]["moving"]["partitions"][0]["leader"] == preferred.id,
                   20, "the preferred replica does not lead")
        known = time.monotonic()
        for parked in (produced, fetched):
            assert parked.wait_answer() == NOT_LEADER_OR_FOLLOWER
            print("answered %.0f ms after the new leader was known" % (1000 * (parked.answered - known)))
            assert parked.answered - known < 0.1 * SCALE
    finally:
        frozen.resume()
