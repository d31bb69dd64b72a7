# SPDX-License-Identifier: Apache-2.0
"""
What no honest client sends: each costs that connection or gets the protocol's error, is said in the log with its
sender, and disturbs nobody else.
"""
import random
import re
import struct
import time

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder

import wire
from processes import SCALE

CORRUPT_MESSAGE, UNKNOWN_TOPIC_OR_PARTITION, INVALID_RECORD = 2, 3, 87
UNSUPPORTED_VERSION = 35


@pytest.fixture(scope="module")
def broker(shared):
    shared.create_topic("target", assignment={0: [1, 2, 3]})
    return shared.brokers[1]


@pytest.fixture
def canary(broker):
    """An honest connection from before, which is served during and after."""
    with wire.Connection(broker.port) as connection:
        connection.metadata([])
        yield connection
        begin = time.monotonic()
        assert broker.id in connection.metadata([])["brokers"]
        assert time.monotonic() - begin < 2 * SCALE


def batch_of(*values):
    """A sound record batch of magic 2."""
    builder = DefaultRecordBatchBuilder(magic=2, compression_type=0, is_transactional=0, producer_id=-1,
                                        producer_epoch=-1, base_sequence=-1, batch_size=1 << 20)
    for number, value in enumerate(values):
        builder.append(number, timestamp=1700000000000, key=None, value=value, headers=[])
    return bytes(builder.build())


def header_of(key, version):
    return wire.header(key, version, 1)


def random_frame(size, seed):
    return struct.pack(">i", size) + random.Random(seed).randbytes(size)


def framed(body):
    return struct.pack(">i", len(body)) + body


# Name -> bytes after which the broker closes.
CLOSING = {
    "length_of_2_gib": struct.pack(">i", 0x7FFFFFFF) + b"hello",
    "negative_length": struct.pack(">i", -1),
    "zero_length": struct.pack(">i", 0),
    "http": b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
    "tls_hello": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "random_100_bytes": random_frame(100, 1),
    "random_10000_bytes": random_frame(10000, 2),
    "unknown_api": framed(header_of(999, 0)),
    "version_too_high": framed(header_of(wire.METADATA, 99) + bytes(20)),
    "negative_array_count": framed(header_of(wire.METADATA, 1) + struct.pack(">i", -2)),
    "huge_array_count": framed(header_of(wire.METADATA, 1) + struct.pack(">i", 0x7FFFFFFF)),
    "string_beyond_the_frame": framed(header_of(wire.METADATA, 1) + struct.pack(">ih", 1, 30000) + b"short"),
    "null_topic_name": framed(header_of(wire.PRODUCE, 3) + struct.pack(">hhiih", -1, 1, 1000, 1, -1)),
    "empty_body": framed(header_of(wire.PRODUCE, 3)),
}


@pytest.mark.parametrize("name", sorted(CLOSING))
def test_costs_the_connection(broker, canary, name):
    with wire.Connection(broker.port) as connection:
        connection.socket.sendall(CLOSING[name])
        connection.socket.settimeout(10 * SCALE)
        assert connection.is_closed_by_peer(), "the connection stays open"


def test_random_frames_of_every_api(broker, canary):
    """A true header before random bytes: answered or closed, never more."""
    chance = random.Random(30)
    versions = canary.api_versions()
    for key, (lowest, highest) in sorted(versions.items()):
        for _ in range(10):
            with wire.Connection(broker.port, seconds=0.5) as connection:
                body = chance.randbytes(chance.randrange(200))
                connection.send_frame(header_of(key, chance.randint(lowest, highest)) + body)
                connection.socket.shutdown(1)
                try:
                    connection.receive_frame()
                except (wire.Closed, OSError):
                    pass
    assert broker.is_running()


def test_frame_cut_at_every_byte(broker, canary):
    frame = framed(header_of(wire.METADATA, 1) + struct.pack(">i", 1) + wire.string("target"))
    for size in range(len(frame)):
        with wire.Connection(broker.port) as connection:
            connection.socket.sendall(frame[:size])
    assert broker.is_running()


def test_bytes_that_drip(broker, canary):
    with wire.Connection(broker.port) as connection:
        body = header_of(wire.METADATA, 1) + struct.pack(">i", 0)
        for byte in framed(body):
            connection.socket.sendall(bytes([byte]))
        assert wire.Reader(connection.receive_frame()).number("i") == 1


def test_many_requests_in_one_write_are_answered_in_order(broker, canary):
    with wire.Connection(broker.port) as connection:
        count = 5000
        connection.socket.settimeout(30 * SCALE)
        frames = (framed(wire.header(wire.METADATA, 1, number) + struct.pack(">i", 0)) for number in range(count))
        connection.socket.setblocking(True)
        connection.socket.sendall(b"".join(frames))
        for number in range(count):
            assert wire.Reader(connection.receive_frame()).number("i") == number


def test_api_versions_of_an_unknown_version_gets_the_table(broker, canary):
    with wire.Connection(broker.port) as connection:
        connection.send_frame(header_of(wire.API_VERSIONS, 99) + b"\0" + b"\x05test" + b"\x021" + b"\0")
        answer = wire.Reader(connection.receive_frame())
        assert answer.number("i") == 1 and answer.number("h") == UNSUPPORTED_VERSION
        rows = answer.array(lambda: tuple(answer.number("h") for _ in range(3)))
        assert wire.API_VERSIONS in {key for key, _, _ in rows}
        connection.metadata([])


def bad_crc():
    data = bytearray(batch_of(b"honest"))
    data[-3] ^= 1
    return bytes(data)


def wrong_count():
    """A record count that the last offset delta contradicts, under a true checksum."""
    from kafka.record._crc32c import crc
    data = bytearray(batch_of(b"one", b"two"))
    data[57:61] = struct.pack(">i", 7)
    data[17:21] = struct.pack(">I", crc(bytes(data[21:])))
    return bytes(data)


def wrong_magic():
    data = bytearray(batch_of(b"honest"))
    data[16] = 9
    return bytes(data)


# Name -> (record bytes, the errors that the protocol has for it).
BATCHES = {
    "wrong_crc": (bad_crc(), (CORRUPT_MESSAGE,)),
    "truncated_batch": (batch_of(b"x" * 100)[:-40], (CORRUPT_MESSAGE, INVALID_RECORD)),
    "only_a_part_of_the_header": (batch_of(b"x")[:20], (CORRUPT_MESSAGE, INVALID_RECORD)),
    "negative_batch_length": (batch_of(b"x")[:8] + struct.pack(">i", -5) + batch_of(b"x")[12:],
                              (CORRUPT_MESSAGE, INVALID_RECORD)),
    "huge_batch_length": (batch_of(b"x")[:8] + struct.pack(">i", 0x7FFFFFF0) + batch_of(b"x")[12:],
                          (CORRUPT_MESSAGE, INVALID_RECORD)),
    "wrong_record_count": (wrong_count(), (INVALID_RECORD, CORRUPT_MESSAGE)),
    "unknown_magic": (wrong_magic(), (CORRUPT_MESSAGE, INVALID_RECORD)),
}


@pytest.mark.parametrize("name", sorted(BATCHES))
def test_bad_batch_gets_the_protocols_error(broker, canary, name):
    records, errors = BATCHES[name]
    before = canary.produce("target", 0, batch_of(b"before"))
    assert before[0] == 0
    with wire.Connection(broker.port) as connection:
        code, offset = connection.produce("target", 0, records)
        assert code in errors and offset == -1
        assert connection.produce("target", 0, batch_of(b"after")) == (0, before[1] + 1)


@pytest.mark.parametrize("name", ["length_of_2_gib", "negative_array_count", "random_100_bytes", "tls_hello",
                                  "truncated_batch", "wrong_crc"])
def test_log_says_what_came_from_whom(make_cluster, name):
    """On a broker of its own: what strangers can provoke at will is logged at most once a minute of a kind."""
    cluster = make_cluster(brokers=1)
    cluster.start()
    cluster.create_topic("target")
    with wire.Connection(cluster.brokers[1].port) as connection:
        if name in CLOSING:
            connection.socket.sendall(CLOSING[name])
        else:
            connection.produce("target", 0, BATCHES[name][0])
        line = cluster.brokers[1].wait_log(r"(?m)^.*WARN.*%s\b.*$" % re.escape(connection.address)).group(0)
    assert len(line) > 60, "the line says little: " + line


def test_bad_batch_leaves_its_neighbours_alone(broker, canary):
    """Two topics in one request: the unknown one gets its error, the other one its record."""
    sound = batch_of(b"sound")
    body = wire.string(None) + struct.pack(">hii", -1, 10000, 2)
    for topic in ("nobody-made-this", "target"):
        body += wire.string(topic) + struct.pack(">iii", 1, 0, len(sound)) + sound
    answer = canary.request(wire.PRODUCE, 3, body)

    def partition():
        row = answer.number("i"), answer.number("h"), answer.number("q")
        answer.number("q")
        return row

    rows = dict(answer.array(lambda: (answer.string(), answer.array(partition))))
    assert rows["nobody-made-this"][0][1] == UNKNOWN_TOPIC_OR_PARTITION
    assert rows["target"][0][1] == 0
