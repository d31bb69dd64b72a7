# SPDX-License-Identifier: Apache-2.0
"""
Histories: what a client did and saw, one JSON object a line, and the payloads that make records tell who they are.

A line is written with one system call before the next thing happens, so a killed client loses none. All clients of a
machine share one monotonic clock. Lines of one file are in the order in which the client saw things.

    {"t":12.1,"proc":"p1.812.0","type":"invoke","f":"send","mops":[["send","topic-0",null,"p1.812.0-877"]]}
    {"t":12.3,"t0":12.1,"proc":"p1.812.0","type":"ok","f":"send","mops":[["send","topic-0",1041,"p1.812.0-877"]]}
    {"t":12.4,"t0":12.2,"proc":"c1.813.0","type":"ok","f":"poll","mops":[["poll",{"topic-0":[[1041,"p1.812.0-877"]]}]]}

A key is one partition, "topic-partition". A value is the process that wrote it and a number that grows by one with
each of its sends. A record that does not check is polled as [offset, null, "what is wrong with it"].
"""
import json
import os
import time
import zlib

def now():
    return time.monotonic()


def key_of(topic, partition):
    return "%s-%d" % (topic, partition)


class History:
    """A file of lines that several clients of one process, one after the other, write."""

    def __init__(self, path):
        self.path = os.fspath(path)
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.stem = "%s.%d" % (os.path.basename(self.path).partition(".")[0], os.getpid())
        self.clients = 0

    def next_process(self):
        """The name of a new client: no other in any history of this folder has it."""
        self.clients += 1
        return "%s.%d" % (self.stem, self.clients - 1)

    def write(self, line):
        """One line; "t" is set to now unless it is there."""
        line.setdefault("t", round(now(), 6))
        self.write_bytes(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def write_bytes(self, line):
        written = os.write(self.file, line)
        if written != len(line):
            raise OSError("a line of %s was written in part" % self.path)

    def close(self):
        os.close(self.file)


def read_history(path):
    """The lines of one file as objects; a last line cut off by a kill is left out."""
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def encode_payload(topic, partition, value, filler):
    """The bytes of a record: where it belongs, its value, a sum over all of it, the filler."""
    head = b"%s\n%d\n%s\n" % (topic.encode(), partition, value.encode())
    return b"%s%08x\n%s" % (head, zlib.crc32(filler, zlib.crc32(head)), filler)


def decode_payload(topic, partition, payload):
    """(value, None), or (None, what is wrong) for a record read from that partition."""
    parts = payload.split(b"\n", 4) if payload is not None else ()
    if len(parts) != 5:
        return None, "%d bytes that no client wrote" % (len(payload) if payload is not None else 0)
    head = payload[:sum(map(len, parts[:3])) + 3]
    if b"%08x" % zlib.crc32(parts[4], zlib.crc32(head)) != parts[3]:
        return None, "its sum is wrong"
    if parts[0] != topic.encode() or parts[1] != b"%d" % partition:
        return None, "it was written to %s-%s" % (parts[0].decode(errors="replace"), parts[1].decode(errors="replace"))
    return parts[2].decode(errors="replace"), None
