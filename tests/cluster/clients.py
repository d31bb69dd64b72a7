# SPDX-License-Identifier: Apache-2.0
"""
Clients that nobody here wrote, with the settings the tests want: kcat, kafka-python, librdkafka through Python.
"""
import random
import threading
import time

import confluent_kafka
import kafka
import kafka.admin
import kafka.errors

from processes import SCALE, run

LINE_BYTES = 100


def kcat(bootstrap, *arguments, input=None, seconds=60, check=True):
    return run(["kcat", "-b", bootstrap, *arguments], input, seconds, check)


def admin(bootstrap):
    return kafka.admin.KafkaAdminClient(bootstrap_servers=bootstrap.split(","), request_timeout_ms=int(15000 * SCALE))


def create_topic(bootstrap, name, partitions=1, replicas=1, assignment=None, config=None):
    """Creates a topic with kafka-python. assignment: {partition: [brokers]} instead of the two counts."""
    topic = kafka.admin.NewTopic(
        name, -1 if assignment else partitions, -1 if assignment else replicas, replica_assignments=assignment,
        topic_configs={key.replace("_", "."): str(value) for key, value in (config or {}).items()})
    client = admin(bootstrap)
    try:
        client.create_topics([topic], timeout_ms=int(15000 * SCALE))
    finally:
        client.close()


def delete_topic(bootstrap, name):
    client = admin(bootstrap)
    try:
        client.delete_topics([name], timeout_ms=int(15000 * SCALE))
    finally:
        client.close()


def python_producer(bootstrap, **settings):
    """kafka-python's producer; no retries, so that a test sees each error."""
    options = {"acks": "all", "retries": 0, "request_timeout_ms": int(20000 * SCALE),
               "max_block_ms": int(20000 * SCALE)}
    options.update(settings)
    return kafka.KafkaProducer(bootstrap_servers=bootstrap.split(","), **options)


def python_read(bootstrap, topic, partitions, seconds=60):
    """{(partition, offset): record} of a whole topic, read with kafka-python and without a group."""
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap.split(","), group_id=None, enable_auto_commit=False,
                                   auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20)
    try:
        ids = [kafka.TopicPartition(topic, partition) for partition in range(partitions)]
        consumer.assign(ids)
        ends = consumer.end_offsets(ids)
        consumer.seek_to_beginning(*ids)
        records = {}
        deadline = time.monotonic() + seconds * SCALE
        while any(consumer.position(one) < ends[one] for one in ids):
            assert time.monotonic() < deadline, "read %d records, not up to %s" % (len(records), ends)
            for batch in consumer.poll(timeout_ms=500).values():
                records.update({(record.partition, record.offset): record for record in batch})
        return records
    finally:
        consumer.close()


def kcat_read(bootstrap, topic, seconds=120):
    """{(partition, offset): value} of a whole topic of text lines, read with kcat."""
    output = kcat(bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o %s\n", seconds=seconds)
    rows = (line.split(b" ", 2) for line in output.stdout.split(b"\n") if line)
    return {(int(partition), int(offset)): value for partition, offset, value in rows}


def numbered_lines(count, seed=1):
    """Distinct lines of 100 bytes that begin with their number."""
    chance = random.Random(seed)
    letters = "".join(chance.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(4096))
    for number in range(count):
        start = chance.randrange(4096 - LINE_BYTES)
        yield ("%08d " % number + letters[start:start + LINE_BYTES])[:LINE_BYTES].encode()


def random_values(count, seed, largest=900 * 1024):
    """(key, value, headers) with values of 1 byte to 900 KiB, as many small as large ones, half compressible."""
    chance = random.Random(seed)
    for number in range(count):
        size = max(1, min(largest, int(largest ** chance.random())))
        if number in (0, 1):
            size = (1, largest)[number]
        value = chance.randbytes(size) if chance.random() < 0.5 else (chance.randbytes(16) * (size // 16 + 1))[:size]
        key = chance.choice((None, b"", chance.randbytes(chance.randrange(1, 64))))
        headers = [("h%d" % one, chance.choice((b"", chance.randbytes(chance.randrange(1, 200)))))
                   for one in range(chance.randrange(4))]
        yield key, value, headers


class SteadyProducer:
    """
    librdkafka producing numbered lines to partitions in turn from a thread of its own, remembering what was
    acknowledged, where and when.
    """

    def __init__(self, bootstrap, topic, partitions, pause_seconds=0.002, **settings):
        options = {"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, "retry.backoff.ms": 50,
                   "message.timeout.ms": int(60000 * SCALE), "reconnect.backoff.max.ms": 500}
        options.update({key.replace("_", "."): value for key, value in settings.items()})
        self.producer = confluent_kafka.Producer(options)
        self.topic = topic
        self.partitions = partitions
        self.pause_seconds = pause_seconds
        self.acknowledged = []
        self.errors = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def _run(self):
        number = 0
        while not self.stopping.is_set():
            value = b"record %d" % number
            try:
                self.producer.produce(self.topic, value, partition=number % self.partitions,
                                      on_delivery=self._delivered)
                number += 1
            except BufferError:
                pass
            self.producer.poll(self.pause_seconds)

    def _delivered(self, error, message):
        if error:
            self.errors.append(error)
        else:
            self.acknowledged.append((message.partition(), message.offset(), message.value(), time.monotonic()))

    def stop(self):
        """Ends it when everything sent was answered; gives {(partition, offset): value} of the acknowledged."""
        self.stopping.set()
        self.thread.join()
        left = self.producer.flush(70 * SCALE)
        assert left == 0, "%d records were never answered" % left
        return {(partition, offset): value for partition, offset, value, _ in self.acknowledged}

    def last_acknowledged(self, partition):
        """When the partition's last record so far was acknowledged, or 0."""
        return max((when for where, _, _, when in list(self.acknowledged) if where == partition), default=0)
