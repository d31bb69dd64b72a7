# SPDX-License-Identifier: Apache-2.0
"""
dump-log on folders that brokers wrote: while they run, after a clean stop, and damaged. Where BARNABAS_KAFKA_LIBS names
a folder with the jars of Apache Kafka 3.9, every output is compared with that of its own DumpLogSegments.
"""
import glob
import os
import re
import subprocess

import pytest

import clients
from cluster import Cluster
from processes import run

KAFKA_LIBS = os.environ.get("BARNABAS_KAFKA_LIBS")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
RECORDS = 300


@pytest.fixture(scope="module")
def written(tmp_path_factory, zookeeper):
    """A broker with one topic a codec, in segments of some 20 KiB, with keys, nulls and headers."""
    folder = tmp_path_factory.mktemp("dump")
    settings = {"log.segment.bytes": 20000, "log.index.interval.bytes": 500, "log.flush.interval.messages": 1}
    with Cluster(folder, zookeeper, "/dump-log", brokers=1, settings=settings) as cluster:
        for codec in CODECS:
            # librdkafka sends lz4 only to brokers that serve groups: the broker compresses instead.
            cluster.create_topic("dump-" + codec, 1, 1, **({"compression_type": "lz4"} if codec == "lz4" else {}))
            produce(cluster, "dump-" + codec, "none" if codec == "lz4" else codec, codec)
        yield cluster


def produce(cluster, topic, compression, codec):
    """Two thirds by idempotent producers, in batches of some 40 records."""
    for producer in range(3):
        lines = "".join("key%d:%s\n" % (i, "value of %s %d/%d " % (codec, producer, i) * 5) for i in range(RECORDS))
        arguments = ["-P", "-t", topic, "-p", "0", "-K", ":", "-H", "header=its value", "-z", compression,
                     "-X", "batch.num.messages=40", "-X", "enable.idempotence=%s" % ("true" if producer else "false")]
        clients.kcat(cluster.bootstrap, *arguments, input=lines.encode())
    clients.kcat(cluster.bootstrap, "-P", "-t", topic, "-p", "0", "-K", ":", "-Z", input=b"tombstone:\n:nokey\n")


def files_of(cluster, topic, *suffixes):
    folder = cluster.brokers[1].data / (topic + "-0")
    return sorted(name for suffix in suffixes for name in glob.glob("%s/*%s" % (folder, suffix)))


def dump(cluster, *arguments, check=True):
    return cluster.tool("kafka-dump-log.sh", *arguments, check=check)


def kafka_prints(*arguments):
    """The output of Kafka's tool, without what its logging library says."""
    command = ["java", "-cp", KAFKA_LIBS + "/*", "kafka.tools.DumpLogSegments", *arguments]
    result = subprocess.run(command, env=dict(os.environ, LC_ALL="C.UTF-8"), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=True, timeout=120)
    told = [line for line in result.stderr.split(b"\n") if not line.startswith((b"SLF4J", b"log4j"))]
    return result.stdout, b"\n".join(told)


def check_against_kafka(result, *arguments):
    if KAFKA_LIBS:
        printed, told = kafka_prints(*arguments)
        assert result.stdout == printed
        assert result.stderr == told


@pytest.mark.parametrize("codec", CODECS)
def test_all_records_of_a_running_broker(written, codec):
    logs = files_of(written, "dump-" + codec, ".log")
    assert len(logs) > 1 or codec != "none"
    arguments = ("--print-data-log", "--files", ",".join(logs))
    result = dump(written, *arguments)
    text = result.stdout.decode()
    offsets = [int(offset) for offset in re.findall(r"^\| offset: (\d+) ", text, re.MULTILINE)]
    assert offsets == list(range(3 * RECORDS + 2))
    assert len(re.findall(r"headerKeys: \[header\] key: key\d+ payload: value of %s " % codec, text)) == 3 * RECORDS
    assert "keySize: 9 valueSize: -1 sequence: -1 headerKeys: [] key: tombstone\n" in text
    assert "compresscodec: " + codec in text and "isvalid: false" not in text
    assert result.stderr == b""
    check_against_kafka(result, *arguments)


@pytest.mark.parametrize("how", ["--verify-index-only", "--index-sanity-check", None])
def test_indexes(written, how):
    names = [name for codec in ("none", "gzip") for name in files_of(written, "dump-" + codec, ".index", ".timeindex")]
    assert any(os.path.getsize(name) > 0 for name in names)
    arguments = ([how] if how else []) + ["--files", ",".join(names)]
    result = dump(written, *arguments)
    assert result.stderr == b""
    check_against_kafka(result, *arguments)


def test_snapshots(written):
    names = files_of(written, "dump-none", ".snapshot")
    assert names
    arguments = ("--files", ",".join(names))
    result = dump(written, *arguments)
    assert re.search(rb"producerId: \d+ producerEpoch: 0 coordinatorEpoch: -1 "
                     rb"currentTxnFirstOffset: OptionalLong.empty", result.stdout)
    check_against_kafka(result, *arguments)


def test_a_stopped_broker_and_damage(written, tmp_path):
    broker = written.brokers[1]
    assert broker.stop() == 0
    try:
        names = files_of(written, "dump-lz4", ".log", ".index", ".timeindex", ".snapshot")
        arguments = ("--deep-iteration", "--files", ",".join(names))
        before = {name: (os.stat(name).st_mtime_ns, os.path.getsize(name)) for name in names}
        result = dump(written, *arguments)
        assert before == {name: (os.stat(name).st_mtime_ns, os.path.getsize(name)) for name in names}
        check_against_kafka(result, *arguments)
        damage(files_of(written, "dump-lz4", ".log")[0], tmp_path, written)
    finally:
        broker.start()
        broker.wait_ready()


def damage(log, folder, cluster):
    """A copy with one bit turned, one with a torn tail: each is told, with status 1."""
    with open(log, "rb") as file:
        data = bytearray(file.read())
    copy = folder / os.path.basename(log)
    copy.write_bytes(data[:-7])
    result = dump(cluster, "--files", str(copy), check=False)
    assert result.returncode == 1
    assert re.search(rb"Found \d+ invalid bytes at the end of %s\n" % copy.name.encode(), result.stdout)
    data[100] ^= 1
    copy.write_bytes(data)
    result = dump(cluster, "--deep-iteration", "--files", str(copy), check=False)
    assert result.returncode == 1
    assert b"isvalid: false" in result.stdout
    assert b"the CRC of the batch at position 0 (last offset " in result.stderr


def test_wrong_use(written):
    for arguments, sentence in ((["--deep-iteration"], b'Missing required argument "[files]"'),
                                (["--files", "x.log", "--offsets-decoder"], b"--offsets-decoder is not supported"),
                                (["--files", "x.log", "--max-bytes", "many"], b"many")):
        result = dump(written, *arguments, check=False)
        assert result.returncode == 1 and sentence in result.stderr, result
    shown = run([str(written.brokers[1].command[0]).replace("barnabasd", "barnabas"), "dump-log", "--help"])
    assert b"--print-data-log" in shown.stdout and shown.returncode == 0
