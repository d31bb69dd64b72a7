# SPDX-License-Identifier: Apache-2.0
"""AlterPartitionReassignments and ListPartitionReassignments by hand: no Python client has them."""
import struct

import wire

ALTER, LIST = 45, 46


def _count(number):
    """Of an array or text, as a varint above it by one."""
    number += 1
    encoded = b""
    while number >= 128:
        encoded += struct.pack(">B", number % 128 + 128)
        number //= 128
    return encoded + struct.pack(">B", number)


def _size(answer):
    number, shift = 0, 0
    while True:
        byte = answer.number("B")
        number += byte % 128 << shift
        shift += 7
        if byte < 128:
            return number - 1


def _request(port, key, body, host):
    with wire.Connection(port, 60, host) as connection:
        answer = connection.request(key, 0, b"\0" + body)  # the header's tagged fields, then the body
        assert answer.number("b") == 0
        assert answer.number("i") == 0
        return answer


def _array(answer, read):
    return [read() for _ in range(_size(answer))]


def _text(answer):
    return answer.take(max(_size(answer), 0)).decode()  # of a null, too


def alter(port, topic, targets, host="127.0.0.1"):
    """Asks the controller. Gives {partition: error}; a target of None cancels."""
    body = struct.pack(">i", 30000) + _count(1) + _count(len(topic)) + topic.encode() + _count(len(targets))
    for partition, replicas in targets.items():
        body += struct.pack(">i", partition)
        body += b"\0" if replicas is None else _count(len(replicas)) + b"".join(
            struct.pack(">i", one) for one in replicas)
        body += b"\0"
    answer = _request(port, ALTER, body + b"\0\0", host)
    assert answer.number("h") == 0 and _text(answer) == ""

    def partition():
        number, error = answer.number("i"), answer.number("h")
        _text(answer)
        answer.number("b")
        return number, error

    def one_topic():
        assert _text(answer) == topic
        rows = dict(_array(answer, partition))
        answer.number("b")
        return rows

    return _array(answer, one_topic)[0]


def moving(port, host="127.0.0.1"):
    """{(topic, partition): (replicas, adding, removing)} of all moves."""
    answer = _request(port, LIST, struct.pack(">i", 30000) + b"\0\0", host)
    assert answer.number("h") == 0 and _text(answer) == ""

    def ids():
        return _array(answer, lambda: answer.number("i"))

    def partition():
        row = answer.number("i"), (ids(), ids(), ids())
        answer.number("b")
        return row

    def topic():
        name, rows = _text(answer), dict(_array(answer, partition))
        answer.number("b")
        return {(name, number): row for number, row in rows.items()}

    found = {}
    for one in _array(answer, topic):
        found.update(one)
    return found
