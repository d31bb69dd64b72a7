# SPDX-License-Identifier: Apache-2.0
"""ElectLeaders by hand: no Python client has it."""
import struct

import wire

ELECT_LEADERS = 43
PREFERRED, UNCLEAN = 0, 1


def elect(broker, kind=PREFERRED, partitions=None, timeout_ms=30000, host="127.0.0.1"):
    """The error of the whole, and {(topic, partition): error}; partitions: {topic: [numbers]}, None: all."""
    body = struct.pack(">b", kind)
    if partitions is None:
        body += struct.pack(">i", -1)
    else:
        body += struct.pack(">i", len(partitions)) + b"".join(
            wire.string(topic) + struct.pack(">i", len(numbers)) + struct.pack(">%di" % len(numbers), *numbers)
            for topic, numbers in partitions.items())
    with wire.Connection(broker.port, timeout_ms / 1000 + 10, host) as connection:
        answer = connection.request(ELECT_LEADERS, 1, body + struct.pack(">i", timeout_ms))
    answer.number("i")
    error = answer.number("h")
    results = {}
    for _ in range(answer.number("i")):
        topic = answer.string()
        for _ in range(answer.number("i")):
            partition, code = answer.number("i"), answer.number("h")
            answer.string()
            results[topic, partition] = code
    return error, results


def elect_preferred(broker, timeout_ms):
    error, results = elect(broker, PREFERRED, None, timeout_ms)
    if error or any(results.values()):
        raise RuntimeError("preferred election: error %d, %s" % (error, {
            place: code for place, code in results.items() if code}))
