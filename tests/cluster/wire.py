# SPDX-License-Identifier: Apache-2.0
"""
A few requests of the client protocol by hand, for what no client library does: asking one broker quickly, and
sending what no honest client sends.
"""
import socket
import struct

PRODUCE, METADATA, API_VERSIONS, DELETE_RECORDS = 0, 3, 18, 21


class Closed(Exception):
    """The broker closed the connection."""


def string(text):
    if text is None:
        return struct.pack(">h", -1)
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def header(key, version, correlation, client="wire-test"):
    return struct.pack(">hhi", key, version, correlation) + string(client)


class Reader:
    """Reads the protocol's primitive types."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, size):
        self.at += size
        assert self.at <= len(self.data), "the answer ends early"
        return self.data[self.at - size:self.at]

    def number(self, letter):
        return struct.unpack(">" + letter, self.take(struct.calcsize(">" + letter)))[0]

    def string(self):
        size = self.number("h")
        return None if size < 0 else self.take(size).decode()

    def array(self, read):
        return [read() for _ in range(self.number("i"))]


class Connection:
    """One plain connection to a broker, on this machine unless it says otherwise."""

    def __init__(self, port, seconds=10, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_frame(self, body):
        self.socket.sendall(struct.pack(">i", len(body)) + body)

    def receive(self, size):
        data = b""
        while len(data) < size:
            try:
                chunk = self.socket.recv(size - len(data))
            except ConnectionResetError as error:
                raise Closed from error
            if not chunk:
                raise Closed
            data += chunk
        return data

    def receive_frame(self):
        return self.receive(struct.unpack(">i", self.receive(4))[0])

    def request(self, key, version, body):
        """Sends a request with a header of version 1 and gives the answer's body."""
        self.correlation += 1
        self.send_frame(header(key, version, self.correlation) + body)
        answer = Reader(self.receive_frame())
        assert answer.number("i") == self.correlation
        return answer

    def is_closed_by_peer(self):
        """Waits for the broker to close; what it says before that is passed over."""
        try:
            while True:
                self.receive(1)
        except Closed:
            return True
        except socket.timeout:
            return False

    def api_versions(self):
        """{api key: (lowest version, highest version)}"""
        answer = self.request(API_VERSIONS, 0, b"")
        assert answer.number("h") == 0
        return {row[0]: row[1:] for row in answer.array(lambda: tuple(answer.number("h") for _ in range(3)))}

    def metadata(self, topics=None):
        """Metadata of the named topics (None: of all) as this broker knows it."""
        body = struct.pack(">i", -1 if topics is None else len(topics)) + b"".join(map(string, topics or ()))
        return read_metadata(self.request(METADATA, 1, body))

    def produce(self, topic, partition, records, acks=-1):
        """The error code and base offset of one partition's answer to raw record bytes."""
        body = string(None) + struct.pack(">hii", acks, 10000, 1) + string(topic)
        body += struct.pack(">iii", 1, partition, len(records)) + records
        answer = self.request(PRODUCE, 3, body)
        assert answer.number("i") == 1 and answer.string() == topic and answer.number("i") == 1
        assert answer.number("i") == partition
        return answer.number("h"), answer.number("q")

    def delete_records(self, topic, partition, offset, timeout_ms=10000):
        """The error code and low watermark of one partition's answer; offset -1: up to the high watermark."""
        body = struct.pack(">i", 1) + string(topic) + struct.pack(">iiqi", 1, partition, offset, timeout_ms)
        answer = self.request(DELETE_RECORDS, 1, body)
        assert answer.number("i") == 0
        assert answer.number("i") == 1 and answer.string() == topic and answer.number("i") == 1
        assert answer.number("i") == partition
        low_watermark = answer.number("q")
        return answer.number("h"), low_watermark


def read_metadata(answer):
    """{"brokers": {id: (host, port)}, "controller": id, "topics": {name: {"error", "partitions"}}}"""
    brokers = answer.array(lambda: (answer.number("i"), answer.string(), answer.number("i"), answer.string()))
    controller = answer.number("i")

    def partition():
        error, index, leader = answer.number("h"), answer.number("i"), answer.number("i")
        replicas = answer.array(lambda: answer.number("i"))
        isr = answer.array(lambda: answer.number("i"))
        return index, {"error": error, "leader": leader, "replicas": replicas, "isr": isr}

    def topic():
        error, name, internal = answer.number("h"), answer.string(), answer.number("b")
        return name, {"error": error, "internal": bool(internal), "partitions": dict(answer.array(partition))}

    topics = dict(answer.array(topic))
    return {"brokers": {row[0]: (row[1], row[2]) for row in brokers}, "controller": controller, "topics": topics}


def metadata_of(port, topics=None, seconds=5, host="127.0.0.1"):
    """Metadata over a connection of its own, or None when the broker does not serve it."""
    try:
        with Connection(port, seconds, host) as connection:
            return connection.metadata(topics)
    except (OSError, Closed):
        return None
