#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Recording clients: producers, consumers and the final read, with all they did and saw in a history (record.py).

    clients.py produce --bootstrap A --topics t1,t2 --partitions N --history PATH --seed S [--idempotent] [--acks 1] …
    clients.py consume --bootstrap A --topics t1,t2 --partitions N --history PATH --seed S …
    clients.py final   --bootstrap A --topics t1,t2 --partitions N --history PATH

They stop when the stop file appears, at SIGTERM, or after --seconds. A client that met a fatal error or an exception
that it does not know is thrown away and a new one, with a new name, goes on. Exit status: 0, or 1 when the final read
did not reach the ends in time.

Ends of a send: ok with its offset; fail when it certainly did not take place; info for everything in doubt. A timed
out record is always in doubt here, for these clients are not told whether it was ever sent.
"""
import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

from confluent_kafka import (Consumer, KafkaError, KafkaException, OFFSET_BEGINNING, Producer, TopicPartition)

from record import History, decode_payload, encode_payload, key_of, now, read_history

FILLER_LARGEST = 1000000
MESSAGE_LARGEST = 1048588
# Refused before anything was written, whatever was tried before.
CERTAIN_FAILURES = {
    KafkaError._QUEUE_FULL, KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.INVALID_RECORD,
}
# Certain only if no earlier attempt was made.
CERTAIN_FIRST_FAILURES = {KafkaError.NOT_ENOUGH_REPLICAS}


def end_of_send(code, retries):
    """The end in the history of a delivery with this error code (None: no error)."""
    if code is None:
        return "ok"
    if code in CERTAIN_FAILURES or (retries == 0 and code in CERTAIN_FIRST_FAILURES):
        return "fail"
    return "info"


class Stop:
    """Whether it is time to end: the stop file, a signal, or the seconds are over."""

    def __init__(self, options):
        self.path = options.stop_file
        self.deadline = now() + options.seconds if options.seconds else None
        self.signalled = False
        self.looked = 0
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, self._signal)

    def _signal(self, *_):
        self.signalled = True

    def __bool__(self):
        if not self.signalled and now() - self.looked > 0.05:
            self.looked = now()
            self.signalled = bool(self.path and os.path.exists(self.path)) or bool(
                self.deadline and now() > self.deadline)
        return self.signalled


def settings_of(options, **more):
    """What all clients share, then --set NAME=VALUE."""
    settings = {
        "bootstrap.servers": options.bootstrap, "socket.timeout.ms": 10000, "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 2000, "log_level": 2,
        "socket.keepalive.enable": True,
    }
    settings.update(more)
    settings.update(one.split("=", 1) for one in options.set)
    return settings


def filler_size(chance):
    """20 bytes to 1 MB, mostly small: one in a hundred is above 20 KB."""
    kind = chance.random()
    low, high = (20, 1000) if kind < 0.9 else (1000, 20000) if kind < 0.99 else (20000, FILLER_LARGEST)
    return int(low * (high / low) ** chance.random())


class RecordingProducer:
    """One producer after the other; each send has its line before it is handed over and one when it ended."""

    def __init__(self, options):
        self.options = options
        self.history = History(options.history)
        self.chance = random.Random(options.seed)
        self.noise = self.chance.randbytes(FILLER_LARGEST + 65536)
        self.keys = [(topic, partition) for topic in options.topics for partition in range(options.partitions)]
        self.open = 0
        self.broken = False
        self.make()

    def make(self):
        """A new client with a new name, its settings drawn from the seed."""
        options, chance = self.options, self.chance
        settings = settings_of(
            options, acks=options.acks, **{
                "enable.idempotence": options.idempotent, "message.timeout.ms": options.message_timeout_ms,
                "request.timeout.ms": 5000, "retry.backoff.ms": 50, "linger.ms": chance.choice((0, 1, 5, 20)),
                "message.max.bytes": MESSAGE_LARGEST, "queue.buffering.max.messages": 100000,
                "compression.type": chance.choice(("none", "none", "gzip", "snappy", "lz4", "zstd")),
                "error_cb": self._error})
        self.retries = int(settings.get("retries", 1000))
        self.proc = self.history.next_process()
        self.number = 0
        self.broken = False
        self.producer = Producer(settings)
        self.history.write({
            "proc": self.proc, "type": "ok", "f": "client", "kind": "producer", "acks": str(options.acks),
            "idempotent": options.idempotent, "canary": options.canary, "seed": options.seed})

    def _error(self, error):
        if error.code() == KafkaError._FATAL or error.fatal():
            self.broken = True

    def send(self):
        """Hands one record over; gives whether there was room for it."""
        topic, partition = self.chance.choice(self.keys)
        value = "%s-%d" % (self.proc, self.number)
        size = 20 if self.options.canary else min(filler_size(self.chance), self.options.largest)
        start = self.chance.randrange(65536)
        payload = encode_payload(topic, partition, value, self.noise[start:start + size])
        begun, proc, key = round(now(), 6), self.proc, key_of(topic, partition)
        self.history.write({"t": begun, "proc": proc, "type": "invoke", "f": "send",
                            "mops": [["send", key, None, value]]})
        self.number += 1

        def delivered(error, message):
            self.open -= 1
            code = error.code() if error is not None else None
            offset = message.offset() if error is None else None
            if error is not None and error.fatal():
                self.broken = True
            self._ended(begun, proc, key, value, end_of_send(code, self.retries), offset, error)

        self.open += 1
        try:
            self.producer.produce(topic, payload, partition=partition, on_delivery=delivered)
        except (BufferError, KafkaException) as error:
            self.open -= 1
            code = KafkaError._QUEUE_FULL if isinstance(error, BufferError) else error.args[0].code()
            self._ended(begun, proc, key, value, "fail", None, error)
            self.broken = code != KafkaError._QUEUE_FULL and code not in CERTAIN_FAILURES
            return False
        return True

    def _ended(self, begun, proc, key, value, end, offset, error):
        line = {"t": round(now(), 6), "t0": begun, "proc": proc, "type": end, "f": "send",
                "mops": [["send", key, offset if end == "ok" else None, value]]}
        if error is not None:
            line["error"] = str(error)
        self.history.write(line)

    def _poll(self, seconds):
        """Lets librdkafka call back; a fatal error, which it raises, makes this client one to throw away."""
        try:
            self.producer.poll(seconds)
        except KafkaException:
            self.broken = True

    def replace(self):
        """Throws the client away; what it still had on its way is in doubt."""
        self._purge()
        self.history.write({"proc": self.proc, "type": "info", "f": "crash"})
        self.make()

    def _purge(self):
        self.producer.purge()
        deadline = now() + 10
        while len(self.producer) and now() < deadline:
            self._poll(0.1)

    def run(self, stop):
        interval = 1.0 / self.options.rate
        due = now()
        while not stop:
            if self.broken:
                self.replace()
            if self.open >= self.options.in_flight:
                self._poll(0.05)
                due = now()
                continue
            if now() >= due:
                if not self.send():
                    self._poll(0.1)
                due = max(due + interval, now() - 1)
            self._poll(max(0, min(0.05, due - now())))
        deadline = now() + self.options.message_timeout_ms / 1000 + 10
        while self.open > 0 and not self.broken and now() < deadline:
            self._poll(0.1)
        if self.broken:
            self._purge()
        self.history.write({"proc": self.proc, "type": "ok", "f": "end"})


class RecordingConsumer:
    """Reads partitions that it assigns to itself, without a group, from where the one before it came to."""

    def __init__(self, options, history, keys, final=False):
        self.options = options
        self.history = history
        self.keys = keys
        self.final = final
        self.next = {key: None for key in keys}
        self.consumer = None
        self.make()

    def make(self):
        """A new consumer with a new name."""
        settings = settings_of(self.options, **{
            "group.id": "history", "enable.auto.commit": False, "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100, "fetch.error.backoff.ms": 50, "enable.partition.eof": False, "check.crcs": True,
            "message.max.bytes": 2 * MESSAGE_LARGEST, "queued.max.messages.kbytes": 16384})
        if self.options.rack:
            settings["client.rack"] = self.options.rack
        self.proc = self.history.next_process()
        self.consumer = Consumer(settings)
        self.history.write({"proc": self.proc, "type": "ok", "f": "client", "kind": "consumer", "final": self.final,
                            "canary": self.options.canary})
        self.assign()

    def assign(self):
        positions = {key_of(*key): self.next[key] for key in self.keys}
        self.history.write({"proc": self.proc, "type": "ok", "f": "assign", "seek": True, "keys": positions})
        self.consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING if offset is None else offset)
                              for (topic, partition), offset in self.next.items()])

    def poll(self, timeout_seconds=0.2):
        """One poll and its line; a consumer that failed is replaced. Gives how many records it brought."""
        begun = round(now(), 6)
        try:
            messages = self.consumer.consume(500, timeout_seconds)
        except KafkaException as error:
            self.replace(str(error))
            return 0
        records, trouble, count = {}, None, 0
        for message in messages:
            if message.error() is not None:
                trouble = self._trouble(message) or trouble
                continue
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            value, wrong = decode_payload(topic, partition, message.value())
            entry = [offset, value] if wrong is None else [offset, None, wrong]
            records.setdefault(key_of(topic, partition), []).append(entry)
            self.next[(topic, partition)] = offset + 1
            count += 1
        if records:
            self.history.write({"t0": begun, "proc": self.proc, "type": "ok", "f": "poll",
                                "mops": [["poll", records]]})
        if trouble:
            self.replace(trouble)
        return count

    def _trouble(self, message):
        """What is wrong when a consumer cannot go on after this event."""
        error = message.error()
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self.next[(message.topic(), message.partition())] = None
            return "%s-%d: %s" % (message.topic(), message.partition(), error)
        return str(error) if error.fatal() else None

    def replace(self, why):
        self.history.write({"proc": self.proc, "type": "info", "f": "crash", "error": why})
        self.close()
        time.sleep(0.2)
        self.make()

    def close(self):
        try:
            self.consumer.close()
        except (KafkaException, RuntimeError):
            pass


def produce(options):
    RecordingProducer(options).run(Stop(options))
    return 0


def consume(options):
    stop = Stop(options)
    history = History(options.history)
    consumer = RecordingConsumer(options, history, keys_of(options))
    while not stop:
        consumer.poll()
    history.write({"proc": consumer.proc, "type": "ok", "f": "end"})
    consumer.close()
    return 0


def keys_of(options):
    return [(topic, partition) for topic in options.topics for partition in range(options.partitions)]


def highest_known(folder):
    """{key: highest offset that was acknowledged or seen} by the histories of a folder."""
    highest, weak = {}, set()
    for path in sorted(Path(folder).glob("*.jsonl")):
        for line in read_history(path):
            if line["f"] == "client" and line.get("acks") in ("0", "1"):
                weak.add(line["proc"])
            if line["type"] != "ok" or line["proc"] in weak:
                continue
            for mop in line.get("mops", ()):
                if mop[0] == "send" and mop[2] is not None:
                    highest[mop[1]] = max(highest.get(mop[1], -1), mop[2])
                elif mop[0] == "poll":
                    for key, records in mop[1].items():
                        highest[key] = max(highest.get(key, -1), records[-1][0])
    return highest


def bounds_of(consumer, keys, deadline):
    """{key: (start, end)} as the leaders tell; None for a partition that did not tell in time."""
    bounds = {}
    for topic, partition in keys:
        bounds[(topic, partition)] = None
        while bounds[(topic, partition)] is None and now() < deadline:
            try:
                bounds[(topic, partition)] = consumer.get_watermark_offsets(TopicPartition(topic, partition), 5)
            except KafkaException:
                time.sleep(0.2)
    return bounds


def final(options):
    """Reads each topic with a fresh consumer from its beginning to its end, and as far as anybody ever saw."""
    deadline = now() + options.seconds if options.seconds else now() + 200
    highest = highest_known(Path(options.history).parent)
    history = History(options.history)
    complete = True
    for topic in options.topics:
        keys = [(topic, partition) for partition in range(options.partitions)]
        begun = round(now(), 6)
        reader = RecordingConsumer(options, history, keys, final=True)
        bounds = bounds_of(reader.consumer, keys, deadline)
        goals = {key: max(bounds[key][1] if bounds[key] else 1, highest.get(key_of(*key), -1) + 1) for key in keys}

        def position(key):
            return reader.next[key] or (bounds[key][0] if bounds[key] else 0)

        def behind():
            return {key_of(*key): [position(key), goals[key]] for key in keys if position(key) < goals[key]}

        while behind() and now() < deadline:
            reader.poll()
        missing = behind()
        history.write({
            "t0": begun, "proc": reader.proc, "type": "info" if missing else "ok", "f": "final", "missing": missing,
            "bounds": {key_of(*key): bounds[key] for key in keys}})
        reader.close()
        complete = complete and not missing
        if missing:
            print("final read: not reached in time (at, goal): %s" % missing, file=sys.stderr)
    return 0 if complete else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=("produce", "consume", "final"))
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT,…")
    parser.add_argument("--topics", required=True, type=lambda text: text.split(","))
    parser.add_argument("--partitions", required=True, type=int, help="of each topic")
    parser.add_argument("--history", required=True, metavar="PATH", help="a file NAME.jsonl, in a folder with the rest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--idempotent", action="store_true")
    parser.add_argument("--acks", default="all", choices=("all", "1", "0"))
    parser.add_argument("--rate", type=float, default=300, help="records a second (default 300)")
    parser.add_argument("--in-flight", type=int, default=2000, help="records without an answer, at most")
    parser.add_argument("--largest", type=int, default=FILLER_LARGEST, help="bytes of the largest filler")
    parser.add_argument("--message-timeout-ms", type=int, default=60000)
    parser.add_argument("--canary", action="store_true", help="small records; ten seconds without progress are wrong")
    parser.add_argument("--rack", help="client.rack: read from the replica near by")
    parser.add_argument("--seconds", type=float, help="then stop; for final: the time it has (200)")
    parser.add_argument("--stop-file", metavar="PATH")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of librdkafka")
    options = parser.parse_args()
    return {"produce": produce, "consume": consume, "final": final}[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
