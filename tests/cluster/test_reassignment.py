# SPDX-License-Identifier: Apache-2.0
"""
Partitions move between brokers, under a producer with acks=all: asked for through the API, by an old tool's znode, and
with Kafka's own kafka-reassign-partitions. Nothing acknowledged is lost, and the folders left behind vanish.

BARNABAS_KAFKA_LIBS names the folder with the jars of Apache Kafka 3.9; without it Kafka's tool is not asked.
"""
import json
import os
import shutil

import pytest

import clients
import znodes
from clients import SteadyProducer, kcat_read
from processes import run, wait_until
from reassignments import alter, moving

KAFKA_LIBS = os.environ.get("BARNABAS_KAFKA_LIBS")
NONE, INVALID_REPLICA_ASSIGNMENT, NO_REASSIGNMENT_IN_PROGRESS, UNKNOWN_TOPIC_OR_PARTITION = 0, 39, 85, 3
FROM = {partition: [1, 2] if partition % 2 else [2, 1] for partition in range(6)}
TO = {partition: [3, 4] if partition % 2 else [4, 1] for partition in range(6)}

needs_kafka = pytest.mark.skipif(not KAFKA_LIBS or not shutil.which("java"),
                                 reason="BARNABAS_KAFKA_LIBS names no folder of Kafka jars, or there is no java")


# ---- what should come of it ----

def wait_moved(cluster, topic, targets, seconds=40):
    """Metadata, and the disks, show the targets and nothing else."""
    def moved():
        rows = cluster.partitions(topic)
        return all(rows[partition]["replicas"] == replicas and sorted(rows[partition]["isr"]) == sorted(replicas) and
                   rows[partition]["leader"] in replicas for partition, replicas in targets.items())

    wait_until(moved, seconds, lambda: "not moved: %s" % cluster.partitions(topic))

    def folders():
        return {partition: sorted(broker.id for broker in cluster.running() if any(
            path.name == "%s-%d" % (topic, partition) for path in broker.data.iterdir())) for partition in targets}

    wanted = {partition: sorted(broker for broker in replicas if cluster.brokers[broker].is_running())
              for partition, replicas in targets.items()}
    wait_until(lambda: folders() == wanted, 20, lambda: "folders are on %s, not on %s" % (folders(), wanted))
    assert moving(cluster.running()[0].port) == {}


def check_acknowledged(cluster, topic, acknowledged):
    read = kcat_read(cluster.bootstrap, topic)
    lost = [where for where, value in acknowledged.items() if read.get(where) != value]
    assert acknowledged and not lost, "%d of %d acknowledged records are lost: %s" % (
        len(lost), len(acknowledged), lost[:5])


@pytest.fixture
def four(make_cluster):
    """Four brokers, and six partitions with data on the first two."""
    cluster = make_cluster(brokers=4, settings={"min.insync.replicas": 1})
    cluster.start()
    cluster.create_topic("moved", assignment=FROM)
    producer = clients.python_producer(cluster.bootstrap)
    for number in range(3000):
        producer.send("moved", b"old %05d " % number + b"x" * 500, partition=number % 6)
    producer.flush()
    producer.close()
    return cluster


def test_moves_there_and_back_under_a_producer(four):
    producer = SteadyProducer(four.bootstrap, "moved", 6).start()
    wait_until(lambda: len(producer.acknowledged) > 50, 20, "the producer does not begin")
    for targets in (TO, FROM, TO):
        # any broker takes it, not only the controller
        assert set(alter(four.brokers[3].port, "moved", targets).values()) == {NONE}
        wait_moved(four, "moved", targets)
    before = len(producer.acknowledged)
    wait_until(lambda: len(producer.acknowledged) > before + 50, 20, "the producer has stopped")
    acknowledged = producer.stop()
    assert not producer.errors
    check_acknowledged(four, "moved", acknowledged)


def test_cancelled_and_refused(four):
    port = four.brokers[1].port
    assert alter(port, "moved", {0: None, 1: [3, 3], 2: [9], 77: [3]}) == {
        0: NO_REASSIGNMENT_IN_PROGRESS, 1: INVALID_REPLICA_ASSIGNMENT, 2: INVALID_REPLICA_ASSIGNMENT,
        77: UNKNOWN_TOPIC_OR_PARTITION}
    # the target is alive, says nothing, and so does not arrive
    four.brokers[4].pause()
    assert alter(port, "moved", {0: [4, 2]}) == {0: NONE}
    assert moving(port) == {("moved", 0): ([4, 2, 1], [4], [1])}
    wait_until(lambda: four.partitions("moved")[0]["replicas"] == [4, 2, 1], 10,
               lambda: "metadata shows %s" % four.partitions("moved")[0])
    assert alter(port, "moved", {0: None}) == {0: NONE}
    four.brokers[4].resume()
    wait_moved(four, "moved", {0: [2, 1]})


def test_a_removed_broker_was_away(four):
    four.brokers[1].kill()
    wait_until(lambda: 1 not in four.brokers[2].metadata([])["brokers"], 20, "broker 1 is still listed")
    assert set(alter(four.brokers[2].port, "moved", {one: [3, 4] for one in FROM}).values()) == {NONE}
    targets = {one: [3, 4] for one in FROM}
    wait_moved(four, "moved", targets)
    assert any(path.name.startswith("moved-") for path in four.brokers[1].data.iterdir())
    four.brokers[1].start()
    four.brokers[1].wait_ready()
    wait_moved(four, "moved", targets)


def test_the_controller_is_killed_on_the_way(four):
    producer = SteadyProducer(four.bootstrap, "moved", 6).start()
    wait_until(lambda: len(producer.acknowledged) > 50, 20, "the producer does not begin")
    for targets in (TO, FROM):
        controller = four.controller()
        asked = next(broker for broker in four.running() if broker is not controller)
        assert set(alter(asked.port, "moved", targets).values()) == {NONE}
        controller.kill()
        controller.start()
        controller.wait_ready()
        wait_moved(four, "moved", targets)
    acknowledged = producer.stop()
    assert not producer.errors
    check_acknowledged(four, "moved", acknowledged)


def test_an_old_tool_asks_in_a_znode(four):
    wanted = [{"topic": "moved", "partition": 0, "replicas": [3, 4]},
              {"topic": "nobody", "partition": 0, "replicas": [3, 4]}]
    znodes.write(four, "/admin/reassign_partitions", json.dumps({"version": 1, "partitions": wanted}))
    wait_moved(four, "moved", {0: [3, 4]})
    znodes.write(four, "/admin/reassign_partitions", "{}")
    znodes.write(four, "/admin/reassign_partitions",
                 json.dumps({"version": 1, "partitions": [dict(wanted[0], replicas=[1])]}))
    wait_moved(four, "moved", {0: [1]})


def reassign_partitions(bootstrap, *arguments):
    result = run(["java", "-Xmx256m", "-cp", KAFKA_LIBS + "/*",
                  "org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--bootstrap-server", bootstrap,
                  *arguments], seconds=120, check=False)
    return (result.stdout + result.stderr).decode(errors="replace")


@needs_kafka
def test_kafkas_own_tool(four, folder):
    def plan(targets):
        path = folder / "plan.json"
        path.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": "moved", "partition": partition, "replicas": replicas}
            for partition, replicas in targets.items()]}))
        return "--reassignment-json-file", str(path)

    bootstrap = four.brokers[1].address
    said = reassign_partitions(bootstrap, *plan(TO), "--execute")
    assert "Successfully started partition reassignments" in said, said
    wait_moved(four, "moved", TO)
    said = reassign_partitions(bootstrap, *plan(TO), "--verify", "--preserve-throttles")
    assert said.count("is completed") == 6, said
    said = reassign_partitions(bootstrap, "--list")
    assert "No partition reassignments found" in said, said
    # a target that does not answer: the move is listed until it is cancelled
    four.brokers[2].pause()
    assert alter(four.brokers[1].port, "moved", {1: [2, 3]}) == {1: NONE}
    said = reassign_partitions(bootstrap, "--list")
    assert "moved-1: replicas: 2,3,4. adding: 2. removing: 4." in said, said
    said = reassign_partitions(bootstrap, *plan({1: [2, 3]}), "--cancel", "--preserve-throttles")
    assert "Successfully cancelled partition reassignment for: moved-1" in said, said
    four.brokers[2].resume()
    wait_moved(four, "moved", {1: [3, 4]})
