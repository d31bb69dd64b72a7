# SPDX-License-Identifier: Apache-2.0
"""
flush.messages=1 is group commit: an answer waits for a sync, many answers for the same one, on leader and followers;
and what was answered for survives SIGKILL.
"""
import re
import selectors
import struct
import time

import pytest
from kafka.record import MemoryRecordsBuilder

import wire
from clients import kcat_read
from processes import SCALE, wait_until
from test_system_calls import Trace

CLIENTS = 50


def record_batch(value):
    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=1 << 16)
    builder.append(timestamp=int(time.time() * 1000), key=None, value=value, headers=[])
    builder.close()
    return bytes(builder.buffer())


class Producer:
    """One connection with one batch under way; remembers what was acknowledged and how long each answer took."""

    def __init__(self, port, topic, acks, name):
        self.connection = wire.Connection(port)
        self.socket = self.connection.socket
        self.topic = topic
        self.acks = acks
        self.name = name
        self.received = b""
        self.sent = 0
        self.value = None
        self.sent_at = 0.0
        self.acknowledged = {}
        self.seconds = []
        self.errors = []

    def send_next(self):
        self.sent += 1
        self.value = b"%s %d" % (self.name, self.sent)
        records = record_batch(self.value)
        body = wire.string(None) + struct.pack(">hii", self.acks, 20000, 1) + wire.string(self.topic)
        body += struct.pack(">iii", 1, 0, len(records)) + records
        self.sent_at = time.monotonic()
        self.connection.send_frame(wire.header(wire.PRODUCE, 3, self.sent) + body)

    def take(self):
        """Reads what has come; whether the answer is whole."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise wire.Closed
        self.received += data
        if len(self.received) < 4 or len(self.received) < 4 + struct.unpack(">i", self.received[:4])[0]:
            return False
        answer = wire.Reader(self.received[4:])
        self.received = b""
        assert answer.number("i") == self.sent and answer.number("i") == 1 and answer.string() == self.topic
        assert answer.number("i") == 1 and answer.number("i") == 0
        error, offset = answer.number("h"), answer.number("q")
        self.seconds.append(time.monotonic() - self.sent_at)
        if error:
            self.errors.append(error)
        else:
            self.acknowledged[(0, offset)] = self.value
        return True


def produce_for(producers, seconds, until=None):
    """Each producer sends batch after batch for so long, or until the brokers go; then the last answers are taken."""
    selector = selectors.DefaultSelector()
    for producer in producers:
        selector.register(producer.socket, selectors.EVENT_READ, producer)
        producer.send_next()
    waiting = len(producers)
    end = time.monotonic() + seconds
    while waiting > 0:
        assert time.monotonic() < end + 30 * SCALE, "%d producers have no answer" % waiting
        for key, _ in selector.select(timeout=0.1):
            producer = key.data
            try:
                if not producer.take():
                    continue
                if time.monotonic() < end:
                    producer.send_next()
                    continue
            except (OSError, wire.Closed):
                assert until is not None, "the broker closed a connection"
            selector.unregister(producer.socket)
            waiting -= 1
        if until is not None:
            until()
    selector.close()


def open_producers(broker, topic, acks, count=CLIENTS):
    return [Producer(broker.port, topic, acks, b"%d" % number) for number in range(count)]


def close_producers(producers):
    for producer in producers:
        producer.connection.close()


def acknowledged_by(producers):
    """All that was acknowledged; each offset was given once."""
    together = {}
    for producer in producers:
        assert not producer.errors, producer.errors[:5]
        assert not together.keys() & producer.acknowledged.keys()
        together.update(producer.acknowledged)
    return together


def check_kept(cluster, topic, acknowledged):
    read = kcat_read(cluster.bootstrap, topic)
    lost = {where: value for where, value in acknowledged.items() if read.get(where) != value}
    assert not lost, "%d of %d acknowledged records are lost: %s" % (len(lost), len(acknowledged),
                                                                   sorted(lost.items())[:5])


@pytest.fixture
def trace(folder):
    traces = []

    def begin(broker, calls):
        traces.append(Trace(broker.pid, folder / ("strace-%d" % len(traces)), calls))
        traces[-1].wait_attached()
        return traces[-1]

    yield begin
    for one in traces:
        one.stop()


@pytest.mark.parametrize("acks", [1, -1])
def test_many_answers_share_a_sync(shared, trace, acks):
    """The leader syncs far less often than it acknowledges, and so does a follower; but both do sync."""
    topic = "shared-sync-%s" % ("all" if acks < 0 else "one")
    shared.create_topic(topic, assignment={0: [1, 2, 3]}, flush_messages=1)
    shared.wait_isr(topic, 3)
    traces = {number: trace(shared.brokers[number], "fdatasync") for number in (1, 2)}
    producers = open_producers(shared.brokers[1], topic, acks)
    produce_for(producers, 3)
    for tracing in traces.values():
        tracing.stop()
    acknowledged = acknowledged_by(producers)
    close_producers(producers)
    assert len(acknowledged) >= 4 * CLIENTS
    for number, tracing in traces.items():
        syncs = sum(1 for name, line in tracing.calls() if name == "fdatasync" and "resumed" not in line)
        assert 0 < syncs <= len(acknowledged) / 3, "broker %d: %d syncs for %d answers" % (
            number, syncs, len(acknowledged))
    check_kept(shared, topic, acknowledged)


def test_without_flush_messages_nothing_is_synced_for_an_answer(shared, trace):
    shared.create_topic("unsynced", assignment={0: [1, 2, 3]})
    shared.wait_isr("unsynced", 3)
    tracing = trace(shared.brokers[1], "fdatasync")
    producers = open_producers(shared.brokers[1], "unsynced", -1, 5)
    produce_for(producers, 1)
    tracing.stop()
    close_producers(producers)
    syncs = re.findall(r"fdatasync", tracing.path.read_text())
    assert len(acknowledged_by(producers)) > 20 and len(syncs) <= 20, "%d syncs" % len(syncs)


@pytest.mark.parametrize("acks, replicas", [(1, [1]), (-1, [1, 2, 3])])
def test_sigkill_loses_nothing(make_cluster, acks, replicas):
    """The broker that leads dies in the middle of it, and then all of them."""
    cluster = make_cluster()
    cluster.start()
    cluster.create_topic("kept", assignment={0: replicas}, flush_messages=1)
    cluster.wait_isr("kept", len(replicas))
    producers = open_producers(cluster.brokers[1], "kept", acks)
    end = time.monotonic() + 1.5

    def kill_in_time():
        if time.monotonic() > end and cluster.brokers[1].is_running():
            cluster.kill()

    produce_for(producers, 30 * SCALE, kill_in_time)
    acknowledged = acknowledged_by(producers)
    close_producers(producers)
    assert len(acknowledged) > CLIENTS
    for broker in cluster.brokers.values():
        broker.start()
    cluster.wait_ready()
    cluster.wait_topic("kept", 1)
    check_kept(cluster, "kept", acknowledged)


def test_new_settings_count_at_once(shared):
    """flush.messages given to a topic that is written to, and taken away again: no answer is left behind."""
    shared.create_topic("changing", assignment={0: [1, 2, 3]})
    shared.wait_isr("changing", 3)
    producers = open_producers(shared.brokers[1], "changing", 1, 10)
    changes = iter(["1", "9223372036854775807", "1", "3"])
    next_change = [time.monotonic()]

    def change():
        if time.monotonic() < next_change[0]:
            return
        next_change[0] = time.monotonic() + 0.7
        value = next(changes, None)
        if value is not None:
            shared.tool("kafka-topics", "--zookeeper", shared.zookeeper.address + shared.chroot, "--alter",
                        "--topic", "changing", "--config", "flush.messages=" + value)

    produce_for(producers, 3.5, change)
    acknowledged = acknowledged_by(producers)
    close_producers(producers)
    wait_until(lambda: len(kcat_read(shared.bootstrap, "changing")) >= len(acknowledged), 10, "records are missing")
    check_kept(shared, "changing", acknowledged)
