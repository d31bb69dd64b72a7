# SPDX-License-Identifier: Apache-2.0
"""
A load for compacted topics: numbers that only grow, over a few keys. Compaction may drop any but the last of a key.
"""
import threading
import time

import clients
import confluent_kafka

from load import MESSAGE_TIMEOUT_MS, PRODUCER_IMPATIENT

KEYS = 50
# Less than any segment here: a larger batch would be refused.
BATCH_BYTES = 8192


class KeyedLoad:
    """An idempotent producer of growing numbers by key; check() reads what compaction left."""

    def __init__(self, bootstrap, topic, partitions):
        self.bootstrap = bootstrap
        self.topic = topic
        self.partitions = partitions
        self.producer = confluent_kafka.Producer(dict(
            PRODUCER_IMPATIENT, **{"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True,
                                   "linger.ms": 2, "batch.size": BATCH_BYTES, "message.timeout.ms": MESSAGE_TIMEOUT_MS,
                                   "log_level": 0}))
        self.acknowledged = {}
        self.sent = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            key = self.sent * 7 % KEYS
            try:
                self.producer.produce(self.topic, b"%d %s" % (self.sent, b"x" * 200), key=b"key-%d" % key,
                                      partition=key % self.partitions, on_delivery=self._delivered)
                self.sent += 1
            except (BufferError, confluent_kafka.KafkaException):
                time.sleep(0.1)
            self.producer.poll(0)
            time.sleep(0.002)

    def _delivered(self, error, message):
        if not error:
            key = message.key().decode()
            self.acknowledged[key] = max(self.acknowledged.get(key, -1), int(message.value().split()[0]))

    def stop(self):
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(timeout=30)
        self.producer.flush(MESSAGE_TIMEOUT_MS / 1000 + 10)

    def check(self):
        """What is wrong with what can be read, in words."""
        last, wrong = {}, []
        output = clients.kcat(self.bootstrap, "-C", "-t", self.topic, "-o", "beginning", "-e", "-q",
                              "-f", "%k %s\n").stdout.decode()
        for line in output.splitlines():
            key, number = line.split()[:2]
            if int(number) <= last.get(key, -1):
                wrong.append("%s goes back from %d to %s" % (key, last[key], number))
            last[key] = int(number)
        wrong += ["%s: %d was acknowledged, the last read is %s" % (key, number, last.get(key))
                  for key, number in sorted(self.acknowledged.items()) if last.get(key, -1) < number]
        return wrong
