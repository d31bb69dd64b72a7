# SPDX-License-Identifier: Apache-2.0
"""
The operators' tools under Kafka's names, as every tutorial prints them: topics, console producer, console consumer.
"""
import re
import subprocess

import pytest

from clients import kcat
from cluster import Cluster
from processes import BIN, SCALE, ZooKeeper, wait_until


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A cluster at the root of its own ZooKeeper, as old tools expect it."""
    folder = tmp_path_factory.mktemp("tools")
    with ZooKeeper(folder / "zookeeper") as server, Cluster(folder / "cluster", server) as cluster:
        yield cluster


def topics(cluster, *arguments, check=True, name="kafka-topics.sh"):
    return cluster.tool(name, *arguments, check=check)


@pytest.mark.parametrize("name", ["kafka-topics.sh", "kafka-topics"])
@pytest.mark.parametrize("door", ["zookeeper", "bootstrap-server"])
def test_topics_through_either_door(own, door, name):
    where = ("--" + door, own.zookeeper.address if door == "zookeeper" else own.bootstrap)
    topic = "tool-%s-%s" % (door, name.replace(".", "-"))
    topics(own, "--create", *where, "--replication-factor", "3", "--partitions", "4", "--topic", topic, name=name)
    own.wait_topic(topic, 4)
    assert topic in topics(own, "--list", *where, name=name).stdout.decode().split("\n")
    own.wait_isr(topic, 3)
    text = topics(own, "--describe", *where, "--topic", topic, name=name).stdout.decode()
    assert re.search(r"PartitionCount:\s*4\b", text) and re.search(r"ReplicationFactor:\s*3\b", text), text
    for partition in range(4):
        assert re.search(r"Topic:\s*%s\s+Partition:\s*%d\s+Leader:\s*[123]\s+Replicas:\s*[123],[123],[123]\s+"
                         r"Isr:\s*[123],[123],[123]" % (re.escape(topic), partition), text), text
    topics(own, "--delete", *where, "--topic", topic, name=name)
    wait_until(lambda: all(topic not in broker.metadata()["topics"] for broker in own.running()), 15, "still there")
    assert topic not in topics(own, "--list", *where, name=name).stdout.decode().split("\n")


def test_the_tutorial(own):
    """The four lines of every Kafka tutorial."""
    topics(own, "--create", "--zookeeper", own.zookeeper.address, "--replication-factor", "1", "--partitions", "1",
           "--topic", "test")
    assert "test" in topics(own, "--list", "--zookeeper", own.zookeeper.address).stdout.decode().split()
    own.wait_topic("test", 1)
    own.tool("kafka-console-producer.sh", "--broker-list", own.brokers[1].address, "--topic", "test",
             input=b"This is a message\nThis is another message\n")
    read = own.tool("kafka-console-consumer.sh", "--bootstrap-server", own.brokers[1].address, "--topic", "test",
                    "--from-beginning", "--max-messages", "2")
    assert read.stdout == b"This is a message\nThis is another message\n"


def test_console_consumer_from_an_offset(own):
    own.create_topic("offsets", partitions=2)
    kcat(own.bootstrap, "-P", "-t", "offsets", "-p", "1", input=b"".join(b"line %d\n" % one for one in range(10)))
    read = own.tool("kafka-console-consumer", "--bootstrap-server", own.bootstrap, "--topic", "offsets", "--partition",
                    "1", "--offset", "7", "--max-messages", "3")
    assert read.stdout == b"line 7\nline 8\nline 9\n"


def test_console_consumer_waits_for_what_comes(own):
    """Without --from-beginning it shows what is sent after it began."""
    own.create_topic("live", partitions=1)
    kcat(own.bootstrap, "-P", "-t", "live", input=b"old\n")
    command = [BIN / "kafka-console-consumer.sh", "--bootstrap-server", own.bootstrap, "--topic", "live",
               "--max-messages", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as consumer:
        try:
            def sent_and_seen():
                kcat(own.bootstrap, "-P", "-t", "live", input=b"new\n")
                return consumer.poll() is not None

            wait_until(sent_and_seen, 20, "the consumer shows nothing")
            assert consumer.stdout.read() == b"new\n" and consumer.returncode == 0
        finally:
            consumer.kill()


def test_console_producer_with_either_name_of_its_option(own):
    own.create_topic("options", partitions=1)
    own.tool("kafka-console-producer", "--bootstrap-server", own.bootstrap, "--topic", "options", input=b"a\n")
    own.tool("kafka-console-producer", "--broker-list", own.bootstrap, "--topic", "options", input=b"b\n")
    assert kcat(own.bootstrap, "-C", "-t", "options", "-o", "beginning", "-e", "-q").stdout == b"a\nb\n"


def test_barnabas_is_the_same_tool(own):
    own.tool("barnabas", "topics", "--create", "--bootstrap-server", own.bootstrap, "--partitions", "2", "--topic",
             "own")
    own.wait_topic("own", 2)
    own.tool("barnabas", "console-producer", "--bootstrap-server", own.bootstrap, "--topic", "own", input=b"x\n")
    read = own.tool("barnabas", "console-consumer", "--bootstrap-server", own.bootstrap, "--topic", "own",
                    "--from-beginning", "--max-messages", "1")
    assert read.stdout == b"x\n"


@pytest.mark.parametrize("arguments,said", [
    (["--create", "--topic", "x"], "bootstrap-server"),
    (["--create", "--bootstrap-server", "BOOTSTRAP"], "topic"),
    (["--create", "--bootstrap-server", "BOOTSTRAP", "--topic", "a b"], "name is invalid"),
    (["--no-such-option"], "no-such-option"),
])
def test_wrong_use_is_said_in_a_line(own, arguments, said):
    arguments = [own.bootstrap if word == "BOOTSTRAP" else word for word in arguments]
    result = topics(own, *arguments, check=False)
    assert result.returncode != 0 and said in (result.stderr + result.stdout).decode()


def test_creating_twice_fails_unless_told_otherwise(own):
    where = ("--bootstrap-server", own.bootstrap, "--topic", "once")
    topics(own, "--create", *where)
    assert topics(own, "--create", *where, check=False).returncode != 0
    assert topics(own, "--create", "--if-not-exists", *where).returncode == 0


def test_nobody_there_is_said_and_not_waited_for_ever():
    result = subprocess.run([BIN / "kafka-topics.sh", "--list", "--bootstrap-server", "127.0.0.1:1"],
                            capture_output=True, timeout=90 * SCALE, stdin=subprocess.DEVNULL)
    assert result.returncode != 0 and b"127.0.0.1:1" in result.stderr
