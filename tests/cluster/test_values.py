# SPDX-License-Identifier: Apache-2.0
"""
Random binary values from one byte to 900 KiB, with keys and headers, through two client libraries and every codec.
"""
import confluent_kafka
import kafka.errors
import pytest

from clients import kcat, python_producer, python_read, random_values
from processes import FULL, SCALE

COUNT = 2000 if FULL else 120
PARTITIONS = 3
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
SEED = 900


def check(shared, topic, sent):
    """sent: {(partition, offset): (key, value, headers)}"""
    read = python_read(shared.bootstrap, topic, PARTITIONS, seconds=240)
    assert len(read) == len(sent)
    for where, (key, value, headers) in sent.items():
        record = read[where]
        assert record.key == key and record.value == value, "record %s differs (seed %d)" % (where, SEED)
        assert record.headers == headers


@pytest.mark.parametrize("codec", CODECS)
def test_values_of_kafka_python(shared, codec):
    topic = "python-" + codec
    shared.create_topic(topic, partitions=PARTITIONS, replicas=3)
    producer = python_producer(shared.bootstrap, compression_type=None if codec == "none" else codec,
                               request_timeout_ms=int(200000 * SCALE))
    rows = list(random_values(COUNT, SEED))
    futures = [producer.send(topic, key=key, value=value, headers=headers) for key, value, headers in rows]
    placed = [future.get(timeout=200 * SCALE) for future in futures]
    producer.close()
    check(shared, topic, {(at.partition, at.offset): row for at, row in zip(placed, rows)})


@pytest.mark.parametrize("codec", CODECS)
def test_values_of_librdkafka(shared, codec):
    topic = "librdkafka-" + codec
    shared.create_topic(topic, partitions=PARTITIONS, replicas=3)
    producer = confluent_kafka.Producer({
        "bootstrap.servers": shared.bootstrap, "acks": "all", "compression.type": codec, "linger.ms": 5,
        "enable.idempotence": True, "message.timeout.ms": int(120000 * SCALE)})
    sent, errors = {}, []

    def delivered(row):
        def on_delivery(error, message):
            if error:
                errors.append(error)
            else:
                sent[message.partition(), message.offset()] = row
        return on_delivery

    for key, value, headers in random_values(COUNT, SEED + 1):
        producer.produce(topic, value, key, headers=headers, on_delivery=delivered((key, value, headers)))
        producer.poll(0)
    assert producer.flush(120 * SCALE) == 0 and not errors, errors
    assert len(sent) == COUNT
    check(shared, topic, sent)


def test_null_value_and_empty_value_stay_apart(shared):
    shared.create_topic("nulls", partitions=PARTITIONS)
    producer = python_producer(shared.bootstrap)
    placed = [producer.send("nulls", key=b"k", value=value).get(timeout=20 * SCALE) for value in (None, b"", b"x")]
    producer.close()
    read = python_read(shared.bootstrap, "nulls", PARTITIONS)
    assert [read[at.partition, at.offset].value for at in placed] == [None, b"", b"x"]


def test_too_large_a_record_is_refused(shared):
    shared.create_topic("large", partitions=1)
    producer = python_producer(shared.bootstrap, max_request_size=4 << 20)
    with pytest.raises(kafka.errors.MessageSizeTooLargeError):
        producer.send("large", value=bytes(2 << 20)).get(timeout=20 * SCALE)
    assert producer.send("large", value=b"small").get(timeout=20 * SCALE).offset == 0
    producer.close()


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_each_kind_of_acknowledgement(shared, acks):
    topic = "acks-" + acks
    shared.create_topic(topic, partitions=1, replicas=3)
    values = b"".join(b"value %d\n" % number for number in range(500))
    kcat(shared.bootstrap, "-P", "-t", topic, "-X", "acks=" + acks, input=values)
    read = kcat(shared.bootstrap, "-C", "-t", topic, "-p", "0", "-o", "beginning", "-c", "500", "-q").stdout
    assert read == values
