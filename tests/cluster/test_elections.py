# SPDX-License-Identifier: Apache-2.0
"""
Leaders that somebody asks for: ElectLeaders, Kafka's own kafka-leader-election, the znode that ZooKeeper-era tools
write, the controller's own balancing, and a broker that stops in order.

BARNABAS_KAFKA_LIBS names the folder with the jars of Apache Kafka 3.9; without it its tool is left out.
"""
import json
import os
import shutil
import time

import pytest

import elections
import znodes
from processes import run, wait_until

KAFKA_LIBS = os.environ.get("BARNABAS_KAFKA_LIBS")
ELIGIBLE_NOT_AVAILABLE, NOT_NEEDED, PREFERRED_NOT_AVAILABLE, UNKNOWN = 83, 84, 80, 3
# Each broker is preferred by two of six partitions.
ASSIGNMENT = {0: [1, 2, 3], 1: [2, 3, 1], 2: [3, 1, 2], 3: [1, 3, 2], 4: [2, 1, 3], 5: [3, 2, 1]}


def leaders(cluster, topic):
    return {number: row["leader"] for number, row in cluster.partitions(topic).items()}


def are_preferred(cluster, topic):
    return leaders(cluster, topic) == {number: replicas[0] for number, replicas in ASSIGNMENT.items()}


def unbalanced(cluster, topic):
    """A topic one broker of which has been away: it leads nothing any more."""
    cluster.create_topic(topic, assignment=ASSIGNMENT)
    cluster.wait_isr(topic, 3)
    away = next(one for one in cluster.running() if one is not cluster.controller())
    away.restart()
    cluster.wait_ready()
    cluster.wait_isr(topic, 3, 30)
    assert not are_preferred(cluster, topic)
    return away


@pytest.fixture
def quiet(make_cluster):
    """Three brokers that do not balance by themselves."""
    made = make_cluster(settings={"auto.leader.rebalance.enable": "false"})
    made.start()
    return made


def test_elect_leaders(quiet):
    """Any broker takes the request; it answers when every broker knows the new leaders."""
    away = unbalanced(quiet, "asked")
    error, results = elections.elect(away, elections.PREFERRED, {"asked": [0, 1, 2, 3, 4, 5, 6]})
    assert error == 0
    moved = [number for number, replicas in ASSIGNMENT.items() if replicas[0] == away.id]
    assert results == {("asked", number): 0 if number in moved else UNKNOWN if number == 6 else NOT_NEEDED
                       for number in range(7)}
    assert are_preferred(quiet, "asked")
    assert elections.elect(away) == (0, {})


def test_refusals_and_unclean(quiet):
    """A preferred replica that is away is not elected; an operator may take what is left when nobody may lead."""
    quiet.create_topic("left", assignment={0: [1, 2]})
    quiet.wait_isr("left", 2)
    quiet.brokers[2].stop()
    wait_until(lambda: quiet.partitions("left")[0]["isr"] == [1], 15, "broker 2 stays in the ISR")
    quiet.brokers[1].kill()
    quiet.brokers[2].start()
    quiet.brokers[2].wait_ready()
    other = quiet.brokers[3]
    wait_until(lambda: other.metadata(["left"])["topics"]["left"]["partitions"][0]["leader"] == -1, 20,
               "the partition still has a leader")
    assert elections.elect(other, elections.PREFERRED, {"left": [0]})[1] == {("left", 0): PREFERRED_NOT_AVAILABLE}
    wait_until(lambda: elections.elect(other, elections.UNCLEAN, {"left": [0]})[1] == {("left", 0): 0}, 15,
               "no unclean election")
    assert other.metadata(["left"])["topics"]["left"]["partitions"][0]["leader"] == 2
    assert any("unclean election: broker 2 leads left-0" in broker.log_text() for broker in quiet.running())
    assert elections.elect(other, elections.UNCLEAN, {"left": [0]})[1] == {("left", 0): NOT_NEEDED}


def test_old_tools_znode(quiet):
    """What an old tool writes is carried out and removed; what makes no sense is removed with a line in the log."""
    unbalanced(quiet, "znode")
    path = "/admin/preferred_replica_election"
    request = {"version": 1, "partitions": [{"topic": "znode", "partition": number} for number in ASSIGNMENT]}
    znodes.write(quiet, path, json.dumps(request, separators=(",", ":")))
    wait_until(lambda: are_preferred(quiet, "znode"), 15, lambda: "leaders are %s" % leaders(quiet, "znode"))
    log = quiet.controller()
    log.wait_log("preferred_replica_election is done: 2 leaders moved, 0 could not be")
    znodes.write(quiet, path, "nonsense")
    log.wait_log("preferred_replica_election: .*; it is removed")


def test_balancing(make_cluster):
    """The controller gives partitions back by itself, 5 s after it took office and then in its interval."""
    cluster = make_cluster(settings={"leader.imbalance.check.interval.seconds": 2})
    cluster.start()
    cluster.create_topic("balanced", assignment=ASSIGNMENT)
    cluster.wait_isr("balanced", 3)
    away = next(one for one in cluster.running() if one is not cluster.controller())
    away.restart()
    cluster.wait_ready()
    wait_until(lambda: are_preferred(cluster, "balanced"), 30, lambda: "leaders: %s" % leaders(cluster, "balanced"))


def test_orderly_stop_moves_leaders(quiet):
    """A stopping broker hands over before it goes, and does not wait where nobody else could take over."""
    quiet.create_topic("handed", assignment=ASSIGNMENT)
    quiet.wait_isr("handed", 3)
    first = quiet.brokers[1]
    assert first.stop() == 0
    assert 1 not in leaders(quiet, "handed").values() and -1 not in leaders(quiet, "handed").values()
    assert quiet.brokers[2].stop() == 0
    start = time.monotonic()
    assert quiet.brokers[3].stop() == 0
    assert time.monotonic() - start < 10


@pytest.mark.skipif(not KAFKA_LIBS or not shutil.which("java"),
                    reason="BARNABAS_KAFKA_LIBS names no folder of Kafka jars, or there is no java")
def test_kafka_leader_election_tool(quiet, folder):
    """Kafka 3.9's kafka-leader-election, for all partitions and for some."""
    tool = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", KAFKA_LIBS + "/*",
            "org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server", quiet.bootstrap,
            "--election-type", "preferred"]
    away = unbalanced(quiet, "tool")
    said = run(tool + ["--all-topic-partitions"], seconds=60).stdout.decode()
    assert "Successfully completed leader election (PREFERRED)" in said
    assert are_preferred(quiet, "tool")
    away.restart()
    quiet.wait_ready()
    quiet.wait_isr("tool", 3, 30)
    chosen = folder / "partitions.json"
    chosen.write_text(json.dumps({"partitions": [{"topic": "tool", "partition": number} for number in ASSIGNMENT]}))
    said = run(tool + ["--path-to-json-file", chosen], seconds=60).stdout.decode()
    assert "Successfully completed" in said and "Valid replica already elected" in said
    assert are_preferred(quiet, "tool")
