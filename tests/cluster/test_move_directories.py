# SPDX-License-Identifier: Apache-2.0
"""
Replicas move between the log directories of their brokers while records are produced: leaders and followers, to and
fro, with brokers that are killed in the middle. Every acknowledged record stays where it was acknowledged.
"""
import itertools
import json
import struct
import time

import pytest

import wire
from clients import SteadyProducer, kcat_read, numbered_lines, python_producer
from processes import SCALE, wait_until

ALTER_REPLICA_LOG_DIRS, DESCRIBE_LOG_DIRS = 34, 35
NONE, LOG_DIR_NOT_FOUND, UNKNOWN_TOPIC = 0, 57, 3
TOPIC = "moving"
PARTITIONS = 4


def directories(broker):
    return [str(broker.folder / name / "data") for name in ("one", "two")]


@pytest.fixture
def cluster(make_cluster):
    """Two brokers with two log directories each."""
    made = make_cluster(brokers=2, settings={"log.segment.bytes": 200000, "min.insync.replicas": 1,
                                             "log.segment.delete.delay.ms": 500,
                                             "replica.lag.time.max.ms": 2000,
                                             "replica.fetch.wait.max.ms": 200})
    for broker in made.brokers.values():
        broker.settings["log.dirs"] = ",".join(directories(broker))
    made.start()
    return made


def move(broker, topic, places):
    """Orders partitions to directories, {partition: directory}; gives {partition: error}."""
    def named(place):
        partitions = [partition for partition, wanted in places.items() if wanted == place]
        body = wire.string(place) + struct.pack(">i", 1) + wire.string(topic)
        return body + struct.pack(">i", len(partitions)) + b"".join(struct.pack(">i", one) for one in partitions)

    wanted = sorted(set(places.values()))
    with wire.Connection(broker.port) as connection:
        answer = connection.request(ALTER_REPLICA_LOG_DIRS, 1,
                                    struct.pack(">i", len(wanted)) + b"".join(map(named, wanted)))
    assert answer.number("i") == 0
    results = answer.array(lambda: (answer.string(), answer.array(lambda: (answer.number("i"), answer.number("h")))))
    assert [name for name, _ in results] == [topic]
    return dict(results[0][1])


def describe(broker):
    """{directory: {(topic, partition, is future): (size, lag)}}"""
    with wire.Connection(broker.port) as connection:
        answer = connection.request(DESCRIBE_LOG_DIRS, 1, struct.pack(">i", -1))
    assert answer.number("i") == 0

    def partition():
        row = answer.number("i"), answer.number("q"), answer.number("q"), bool(answer.number("b"))
        return (row[0], row[3]), row[1:3]

    def directory():
        assert answer.number("h") == 0
        path = answer.string()
        topics = answer.array(lambda: (answer.string(), answer.array(partition)))
        return path, {(topic, *key): value for topic, rows in topics for key, value in rows}

    return dict(answer.array(directory))


def places(broker, topic):
    """{partition: its directory}; None while one is being moved."""
    found = {}
    for path, logs in describe(broker).items():
        for (name, partition, future) in logs:
            if name != topic:
                continue
            if future:
                return None
            found[partition] = path
    return found


def other(broker, path):
    return next(one for one in directories(broker) if one != path)


def move_all(broker, topic):
    """Everything to the other directory, and waits for it; the order is given again to whoever forgot it."""
    wanted = {partition: other(broker, path) for partition, path in places(broker, topic).items()}
    assert set(move(broker, topic, wanted).values()) == {NONE}
    wait_until(lambda: places(broker, topic) == wanted, 60, lambda: "broker %d: %s, wanted %s" % (
        broker.id, describe(broker), wanted))


def check(cluster, topic, acknowledged):
    read = kcat_read(cluster.bootstrap, topic)
    lost = {where: value for where, value in acknowledged.items() if read.get(where) != value}
    assert not lost, "%d of %d acknowledged records are not where they were: %s" % (
        len(lost), len(acknowledged), [(where, value, read.get(where)) for where, value in list(lost.items())[:5]])


def load(cluster, topic, lines):
    """Lines, evenly over the partitions; gives {(partition, offset): line}."""
    producer = python_producer(cluster.bootstrap, linger_ms=20, batch_size=60000)
    sent = [(number % PARTITIONS, line, producer.send(topic, line, partition=number % PARTITIONS))
            for number, line in enumerate(numbered_lines(lines))]
    producer.flush(60 * SCALE)
    producer.close()
    return {(partition, future.get().offset): line for partition, line, future in sent}


def check_folders(cluster):
    """One folder for each partition on each broker, once the old ones are removed."""
    def folders(broker):
        return sorted(path.name for one in directories(broker) for path in broker.folder.glob(
            str(one)[len(str(broker.folder)) + 1:] + "/%s-*" % TOPIC))

    expected = ["%s-%d" % (TOPIC, partition) for partition in range(PARTITIONS)]
    for broker in cluster.brokers.values():
        wait_until(lambda: folders(broker) == expected, 30, lambda: "broker %d: %s" % (broker.id, folders(broker)))


def test_replicas_move_under_a_producer(cluster):
    cluster.create_topic(TOPIC, PARTITIONS, 2)
    cluster.wait_isr(TOPIC, 2)
    loaded = load(cluster, TOPIC, 40000)
    producer = SteadyProducer(cluster.bootstrap, TOPIC, PARTITIONS).start()
    for _ in range(2):
        for broker in cluster.brokers.values():
            move_all(broker, TOPIC)
            count = len(producer.acknowledged)
            wait_until(lambda: len(producer.acknowledged) > count + 100, 20, "the producer does not go on")
    acknowledged = {**loaded, **producer.stop()}
    assert not producer.errors
    check(cluster, TOPIC, acknowledged)
    check_folders(cluster)
    cluster.wait_isr(TOPIC, 2)
    for broker in cluster.brokers.values():
        assert broker.restart() == 0
        broker.wait_ready()
    cluster.wait_ready()
    cluster.wait_isr(TOPIC, 2, seconds=30)
    check(cluster, TOPIC, acknowledged)
    # The followers' copies too: each broker in turn serves alone.
    for broker in cluster.brokers.values():
        broker.stop()
        cluster.wait_isr(TOPIC, 1, seconds=30)
        check(cluster, TOPIC, acknowledged)
        broker.start()
        cluster.wait_isr(TOPIC, 2, seconds=30)


def test_brokers_are_killed_while_replicas_move(cluster):
    cluster.create_topic(TOPIC, PARTITIONS, 2)
    cluster.wait_isr(TOPIC, 2)
    loaded = load(cluster, TOPIC, 60000)
    producer = SteadyProducer(cluster.bootstrap, TOPIC, PARTITIONS).start()
    for turn, broker in zip(range(6), itertools.cycle(cluster.brokers.values())):
        cluster.wait_isr(TOPIC, 2, seconds=30)
        now = places(broker, TOPIC)
        if now is None:  # a move of before goes on
            wait_until(lambda: places(broker, TOPIC) is not None, 60, lambda: str(describe(broker)))
            now = places(broker, TOPIC)
        wanted = {partition: other(broker, path) for partition, path in now.items()}
        assert set(move(broker, TOPIC, wanted).values()) == {NONE}
        time.sleep(0.02 * turn)
        broker.kill()
        broker.start()
        broker.wait_ready(40)
        wait_until(lambda: places(broker, TOPIC) is not None and len(places(broker, TOPIC)) == PARTITIONS, 60,
                   lambda: "broker %d: %s" % (broker.id, describe(broker)))
    cluster.wait_isr(TOPIC, 2, seconds=30)
    acknowledged = {**loaded, **producer.stop()}
    check(cluster, TOPIC, acknowledged)
    check_folders(cluster)


def test_orders_that_cannot_be_carried_out(cluster):
    broker = cluster.brokers[1]
    cluster.create_topic(TOPIC, PARTITIONS, 2)
    assert move(broker, TOPIC, {0: "/nowhere"}) == {0: LOG_DIR_NOT_FOUND}
    assert move(broker, TOPIC, {99: directories(broker)[0]}) == {99: UNKNOWN_TOPIC}
    wanted = {partition: directories(broker)[1] for partition in range(PARTITIONS)}
    assert set(move(broker, "later", wanted).values()) == {UNKNOWN_TOPIC}
    cluster.create_topic("later", PARTITIONS, 2)
    assert places(broker, "later") == wanted


def test_log_dirs_tells_what_brokers_tell(cluster):
    cluster.create_topic(TOPIC, PARTITIONS, 2)
    cluster.create_topic("later", PARTITIONS, 2)
    cluster.wait_isr(TOPIC, 2)
    load(cluster, TOPIC, 1000)

    def log_dirs(*arguments, name="kafka-log-dirs.sh"):
        lines = cluster.tool(name, "--bootstrap-server", cluster.bootstrap, "--describe",
                             *arguments).stdout.decode().split("\n")
        assert lines[0] == "Querying brokers for log directories information" and lines[3] == ""
        answer = json.loads(lines[2])
        assert answer["version"] == 1
        ids = [broker["broker"] for broker in answer["brokers"]]
        assert lines[1] == "Received log directory information from brokers " + ",".join(map(str, ids))
        return {broker["broker"]: {directory["logDir"]: directory for directory in broker["logDirs"]}
                for broker in answer["brokers"]}

    told = log_dirs(name="kafka-log-dirs")
    assert sorted(told) == [1, 2]
    for number, broker in cluster.brokers.items():
        for path, logs in describe(broker).items():
            assert told[number][path]["error"] is None
            assert told[number][path]["partitions"] == [
                {"partition": "%s-%d" % (topic, partition), "size": size, "offsetLag": lag, "isFuture": future}
                for (topic, partition, future), (size, lag) in logs.items()]
    told = log_dirs("--broker-list", "2", "--topic-list", "later,nowhere")
    assert sorted(told) == [2]
    assert sorted(one["partition"] for directory in told[2].values() for one in directory["partitions"]) == [
        "later-%d" % partition for partition in range(PARTITIONS)]
    failed = cluster.tool("kafka-log-dirs.sh", "--bootstrap-server", cluster.bootstrap, "--describe", "--broker-list",
                          "1,9", check=False)
    assert failed.returncode == 1
    assert failed.stderr.decode() == ("ERROR: The given brokers do not exist from --broker-list: 9. Current existent "
                                      "brokers: 1,2\n")
    assert cluster.tool("kafka-log-dirs.sh", "--describe", check=False).returncode == 1
