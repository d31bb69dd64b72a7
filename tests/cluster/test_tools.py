# SPDX-License-Identifier: Apache-2.0
"""
The operators' tools under Kafka's names, as every tutorial prints them: topics, console producer, console consumer.
"""
import array
import fcntl
import os
import re
import signal
import subprocess
import termios

import pytest

from clients import kcat
from cluster import Cluster
from processes import BIN, SCALE, ZooKeeper, die_with_parent, wait_until


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
    wait_until(lambda: topic not in topics(own, "--list", *where, name=name).stdout.decode(), 15, "still listed")


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


def test_creating_twice_fails_unless_told_otherwise(own):
    where = ("--bootstrap-server", own.bootstrap, "--topic", "once")
    topics(own, "--create", *where)
    assert topics(own, "--create", *where, check=False).returncode != 0
    assert topics(own, "--create", "--if-not-exists", *where).returncode == 0


def test_nobody_there_is_said_and_not_waited_for_ever():
    result = subprocess.run([BIN / "kafka-topics.sh", "--list", "--bootstrap-server", "127.0.0.1:1"],
                            capture_output=True, timeout=90 * SCALE, stdin=subprocess.DEVNULL)
    assert result.returncode != 0 and b"127.0.0.1:1" in result.stderr


WRONG_TOPICS = [
    ([], "This tool helps to create, delete, describe, or change a topic."),
    (["--create", "--topic", "x"], "--bootstrap-server must be specified"),
    (["--create", "--bootstrap-server", "BOOTSTRAP"], 'Missing required argument "[topic]"'),
    (["--create", "--zookeeper", "ZOOKEEPER", "--topic", "x"], 'Missing required argument "[partitions]"'),
    (["--list", "--create", "--bootstrap-server", "BOOTSTRAP"],
     "Command must include exactly one action: --list, --describe, --create, --alter or --delete"),
    (["--bootstrap-server", "BOOTSTRAP"],
     "Command must include exactly one action: --list, --describe, --create, --alter or --delete"),
    (["--list", "--bootstrap-server", "BOOTSTRAP", "--zookeeper", "ZOOKEEPER"],
     "Only one of --bootstrap-server or --zookeeper must be specified"),
    (["--list", "--bootstrap-server", "BOOTSTRAP", "--partitions", "1"],
     'Option "[list]" can\'t be used with option "[partitions]"'),
    (["--create", "--bootstrap-server", "BOOTSTRAP", "--topic", "x", "--partitions", "two"],
     "Cannot parse argument 'two' of option partitions"),
    (["--alter", "--bootstrap-server", "BOOTSTRAP", "--topic", "x", "--config", "a=b"],
     'Option combination "[bootstrap-server],[config]" can\'t be used with option "[alter]"'),
    (["--topics"], "topics is not a recognized option\nDid you mean --topic?"),
    (["--list", "--bootstrap-server"], "Option bootstrap-server requires an argument"),
]


def with_addresses(own, arguments):
    places = {"BOOTSTRAP": own.bootstrap, "ZOOKEEPER": own.zookeeper.address}
    return [places.get(word, word) for word in arguments]


@pytest.mark.parametrize("arguments,said", WRONG_TOPICS)
def test_wrong_use_of_topics(own, arguments, said):
    """The sentence comes first, on standard error, and the status is 1."""
    result = topics(own, *with_addresses(own, arguments), check=False)
    assert result.returncode == 1 and not result.stdout
    assert result.stderr.decode().startswith(said), result.stderr.decode()


REFUSED = [
    (["--create", "--topic", "a b"],
     "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
    (["--create", "--topic", "big", "--replication-factor", "4", "--partitions", "1"],
     "Replication factor: 4 larger than available brokers: 3."),
    (["--create", "--topic", "none", "--partitions", "0"], "The partitions must be greater than 0"),
    (["--create", "--topic", "none", "--replication-factor", "0"],
     "The replication factor must be between 1 and 32767 inclusive"),
    (["--create", "--topic", "none", "--config", "retention.ms"],
     'requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".'),
    (["--create", "--topic", "none", "--config", "foo=1"], "Unknown topic config name: foo"),
    (["--create", "--topic", "none", "--config", "retention.ms=abc"],
     "Invalid value abc for configuration retention.ms: Not a number of type LONG"),
    (["--describe", "--topic", "nowhere"], "Topic 'nowhere' does not exist as expected"),
    (["--delete", "--topic", "nowhere"], "Topic 'nowhere' does not exist as expected"),
    (["--alter", "--topic", "nowhere", "--partitions", "2"], "Topic 'nowhere' does not exist as expected"),
    (["--alter", "--topic", "exists", "--partitions", "1"],
     "Topic currently has 2 partitions, which is higher than the requested 1."),
    (["--create", "--topic", "exists"], "Topic 'exists' already exists."),
]


@pytest.fixture(scope="module")
def exists(own):
    own.create_topic("exists", partitions=2)


@pytest.mark.parametrize("arguments,said", REFUSED)
def test_refused_by_brokers(own, exists, arguments, said):
    """What cannot be done is said on standard output, where scripts look for it, and the status is 1."""
    result = topics(own, *arguments, "--bootstrap-server", own.bootstrap, check=False)
    assert result.returncode == 1
    assert result.stdout.decode() == "Error while executing topic command : %s\n" % said


REFUSED_IN_ZOOKEEPER = [
    (["--create", "--topic", "a b", "--partitions", "1", "--replication-factor", "1"],
     'Topic name "a b" is illegal, it contains a character other than ASCII alphanumerics, \'.\', \'_\' and \'-\''),
    (["--create", "--topic", "big", "--replication-factor", "4", "--partitions", "1"],
     "Replication factor: 4 larger than available brokers: 3."),
    (["--create", "--topic", "exists", "--replication-factor", "1", "--partitions", "1"],
     "Topic 'exists' already exists."),
    (["--describe", "--topic", "nowhere"], "Topic nowhere does not exist on ZK path ZOOKEEPER"),
    (["--delete", "--topic", "nowhere"], "Topic nowhere does not exist on ZK path ZOOKEEPER"),
    (["--alter", "--topic", "nowhere", "--partitions", "2"], "Topic nowhere does not exist on ZK path ZOOKEEPER"),
]


@pytest.mark.parametrize("arguments,said", REFUSED_IN_ZOOKEEPER)
def test_refused_in_zookeeper(own, exists, arguments, said):
    result = topics(own, *arguments, "--zookeeper", own.zookeeper.address, check=False)
    said = said.replace("ZOOKEEPER", own.zookeeper.address)
    assert result.returncode == 1
    assert result.stdout.decode() == "Error while executing topic command : %s\n" % said


def test_fewer_partitions_in_zookeeper(own, exists):
    result = topics(own, "--alter", "--zookeeper", own.zookeeper.address, "--topic", "exists", "--partitions", "2",
                    check=False)
    assert result.returncode == 1 and result.stdout.decode().endswith(
        "Error while executing topic command : The number of partitions for a topic can only be increased. Topic "
        "exists currently has 2 partitions, 2 would not be an increase.\n")


@pytest.mark.parametrize("door", ["zookeeper", "bootstrap-server"])
def test_if_exists_is_silent(own, door):
    where = ("--" + door, own.zookeeper.address if door == "zookeeper" else own.bootstrap)
    for action in (["--delete"], ["--describe"], ["--alter", "--partitions", "3"]):
        result = topics(own, *action, *where, "--if-exists", "--topic", "nowhere")
        assert not result.stdout


@pytest.mark.parametrize("door,created,altered", [
    ("zookeeper", 'Created topic "%s".\n',
     "WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the messages "
     "will be affected\nAdding partitions succeeded!\n"),
    ("bootstrap-server", "Created topic %s.\n", ""),
])
def test_texts_of_both_doors(own, door, created, altered):
    where = ("--" + door, own.zookeeper.address if door == "zookeeper" else own.bootstrap)
    name = "texts-" + door
    made = topics(own, "--create", *where, "--topic", name, "--partitions", "2", "--replication-factor", "2",
                  "--config", "retention.ms=3600000")
    assert made.stdout.decode() == created % name
    own.wait_topic(name, 2)
    assert topics(own, "--alter", *where, "--topic", name, "--partitions", "3").stdout.decode() == altered
    own.wait_topic(name, 3)
    header = topics(own, "--describe", *where, "--topic", name).stdout.decode().split("\n")[0]
    if door == "zookeeper":
        assert header == "Topic:%s\tPartitionCount:3\tReplicationFactor:2\tConfigs:retention.ms=3600000" % name
    else:
        assert re.fullmatch(r"Topic: %s\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 2\t"
                            r"Configs: (.*,)?retention\.ms=3600000(,.*)?" % name, header), header


@pytest.mark.parametrize("door", ["zookeeper", "bootstrap-server"])
def test_assignment_is_taken_as_given(own, door):
    where = ("--" + door, own.zookeeper.address if door == "zookeeper" else own.bootstrap)
    name = "assigned-by-" + door
    topics(own, "--create", *where, "--topic", name, "--replica-assignment", "3:1,2:3")
    own.wait_topic(name, 2)
    rows = own.partitions(name)
    assert rows[0]["replicas"] == [3, 1] and rows[1]["replicas"] == [2, 3]


def test_the_wrong_port_is_named(own):
    result = topics(own, "--list", "--bootstrap-server", own.zookeeper.address, check=False)
    assert result.returncode == 1 and b"ZooKeeper's port" in result.stderr
    assert b"Timed out waiting for a node assignment. Call: listTopics" in result.stdout


def test_no_zookeeper_there():
    result = subprocess.run([BIN / "kafka-topics.sh", "--list", "--zookeeper", "127.0.0.1:1", "--timeout", "1000"],
                            capture_output=True, timeout=60 * SCALE, stdin=subprocess.DEVNULL)
    assert result.returncode == 1 and result.stdout.decode() == (
        "Error while executing topic command : Unable to connect to zookeeper server '127.0.0.1:1' within timeout: "
        "1000\n")


@pytest.mark.parametrize("tool", ["kafka-topics", "kafka-console-producer.sh", "kafka-console-consumer"])
def test_help_and_version(own, tool):
    shown = own.tool(tool, "--help")
    assert b"--topic" in shown.stdout and not shown.stderr
    assert re.fullmatch(r"barnabas \S+\nKafka 3\.9\n", own.tool(tool, "--version").stdout.decode())
    bare = own.tool(tool, check=False)
    assert bare.returncode == 1 and bare.stderr.startswith(b"This tool helps to ") and not bare.stdout


def test_barnabas_lists_its_commands(own):
    assert b"console-producer" in own.tool("barnabas", "--help").stdout
    wrong = own.tool("barnabas", "topic", check=False)
    assert wrong.returncode == 1 and b"Did you mean barnabas topics?" in wrong.stderr


WRONG_CONSUMER = [
    (["--topic", "t"], 'Missing required argument "[bootstrap-server]"'),
    (["--bootstrap-server", "BOOTSTRAP"], "Exactly one of --include/--topic is required."),
    (["--bootstrap-server", "BOOTSTRAP", "--topic", "t", "--offset", "1"],
     "The partition is required when offset is specified."),
    (["--bootstrap-server", "BOOTSTRAP", "--topic", "t", "--partition", "0", "--offset", "1", "--from-beginning"],
     "Options from-beginning and offset cannot be specified together."),
    (["--bootstrap-server", "BOOTSTRAP", "--topic", "t", "--partition", "0", "--group", "g"],
     "Options group and partition cannot be specified together."),
    (["--bootstrap-server", "BOOTSTRAP", "--topic", "t", "--partition", "0", "--offset", "-5"],
     "The provided offset value '-5' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."),
    (["--bootstrap-server", "BOOTSTRAP", "--topic", "t", "--group", "g"],
     "Consumer groups come with a later release of Barnabas."),
]


@pytest.mark.parametrize("arguments,said", WRONG_CONSUMER)
def test_wrong_use_of_the_consumer(own, arguments, said):
    result = own.tool("kafka-console-consumer.sh", *with_addresses(own, arguments), check=False)
    assert result.returncode == 1 and not result.stdout
    assert result.stderr.decode().startswith(said), result.stderr.decode()


@pytest.mark.parametrize("tool", ["kafka-console-producer", "kafka-console-consumer"])
def test_consoles_name_who_does_not_answer(own, tool):
    result = own.tool(tool, "--bootstrap-server", "127.0.0.1:1", "--topic", "t", "--timeout-connect", "1000",
                      input=b"x\n", check=False)
    assert result.returncode == 1 and b"127.0.0.1:1" in result.stderr


def test_consumer_without_records_ends_in_time(own):
    own.create_topic("silent")
    result = own.tool("kafka-console-consumer.sh", "--bootstrap-server", own.bootstrap, "--topic", "silent",
                      "--timeout-ms", "500")
    assert b"ERROR Error processing message, terminating consumer process:" in result.stderr
    assert result.stderr.endswith(b"Processed a total of 0 messages\n")


def test_columns(own):
    own.create_topic("columns")
    own.tool("kafka-console-producer.sh", "--broker-list", own.bootstrap, "--topic", "columns",
             "--property", "parse.key=true", "--property", "parse.headers=true", "--property", "key.separator=|",
             "--property", "null.marker=NIL", "--compression-codec", "--sync", "--request-required-acks", "all",
             input=b"h1:v1,h2:v2\tkey|value\n\tNIL|NIL\n")
    read = own.tool("kafka-console-consumer.sh", "--bootstrap-server", own.bootstrap, "--topic", "columns",
                    "--from-beginning", "--max-messages", "2", *(
                        word for name in ("timestamp", "partition", "offset", "headers", "key")
                        for word in ("--property", "print.%s=true" % name)))
    assert re.fullmatch(r"CreateTime:\d+\tPartition:0\tOffset:0\th1:v1,h2:v2\tkey\tvalue\n"
                        r"CreateTime:\d+\tPartition:0\tOffset:1\tNO_HEADERS\tnull\tnull\n", read.stdout.decode())
    assert read.stderr.endswith(b"Processed a total of 2 messages\n")


def test_line_without_a_separator(own):
    own.create_topic("separators")
    result = own.tool("kafka-console-producer.sh", "--bootstrap-server", own.bootstrap, "--topic", "separators",
                      "--property", "parse.key=true", input=b"a\tb\nnone\n", check=False)
    assert result.returncode == 1 and b"No key separator found on line number 2: 'none'" in result.stderr
    assert kcat(own.bootstrap, "-C", "-t", "separators", "-o", "beginning", "-e", "-q").stdout == b"b\n"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_many_lines_come_back(own, codec):
    name = "many-" + codec
    own.create_topic(name, partitions=1)
    lines = b"".join(b"line %d of many\n" % number for number in range(20000)) + b"the last without an end"
    own.tool("kafka-console-producer", "--bootstrap-server", own.bootstrap, "--topic", name, "--compression-codec",
             codec, input=lines)
    read = own.tool("kafka-console-consumer", "--bootstrap-server", own.bootstrap, "--topic", name,
                    "--from-beginning", "--max-messages", "20001")
    assert read.stdout == lines + b"\n"


def test_missing_topic_of_a_producer(make_cluster):
    """Without auto-creation the producer says what is missing, and that it failed."""
    cluster = make_cluster(brokers=1, settings={"auto.create.topics.enable": "false"})
    cluster.start()
    result = cluster.tool("kafka-console-producer.sh", "--bootstrap-server", cluster.bootstrap, "--topic", "nowhere",
                          "--max-block-ms", "500", input=b"x\n", check=False)
    assert result.returncode == 1
    assert b"{nowhere=UNKNOWN_TOPIC_OR_PART" in result.stderr
    assert b"Topic nowhere not present in metadata after 500 ms." in result.stderr


def test_consumer_of_the_zookeeper_era(own):
    own.create_topic("old-way", partitions=2)
    kcat(own.bootstrap, "-P", "-t", "old-way", input=b"a\nb\nc\n")
    read = own.tool("kafka-console-consumer.sh", "--zookeeper", own.zookeeper.address, "--topic", "old-way",
                    "--from-beginning", "--max-messages", "3")
    assert sorted(read.stdout.split()) == [b"a", b"b", b"c"]
    assert b"is deprecated" in read.stderr


def test_consumer_of_topics_by_expression(own):
    for name in ("by-name-1", "by-name-2", "not-by-name"):
        own.create_topic(name)
        kcat(own.bootstrap, "-P", "-t", name, input=name.encode() + b"\n")
    read = own.tool("kafka-console-consumer.sh", "--bootstrap-server", own.bootstrap, "--include", "by-name-.*",
                    "--from-beginning", "--max-messages", "2")
    assert sorted(read.stdout.split()) == [b"by-name-1", b"by-name-2"]


def test_interrupted_consumer_ends_in_order(own):
    own.create_topic("interrupted")
    kcat(own.bootstrap, "-P", "-t", "interrupted", input=b"one\n")
    command = [BIN / "kafka-console-consumer.sh", "--bootstrap-server", own.bootstrap, "--topic", "interrupted",
               "--from-beginning"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL) as consumer:
        try:
            assert consumer.stdout.readline() == b"one\n"
            consumer.send_signal(signal.SIGINT)
            assert consumer.wait(timeout=20 * SCALE) == 0
            assert consumer.stderr.read() == b"Processed a total of 1 messages\n"
        finally:
            consumer.kill()


def test_interrupted_producer_sends_what_it_read(own):
    own.create_topic("cut-short")
    command = [BIN / "kafka-console-producer.sh", "--bootstrap-server", own.bootstrap, "--topic", "cut-short",
               "--timeout", "100"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as producer:
        try:
            producer.stdin.write(b"first\n")
            producer.stdin.flush()
            wait_until(lambda: kcat(own.bootstrap, "-C", "-t", "cut-short", "-o", "beginning", "-e", "-q").stdout
                       == b"first\n", 20, "the first line has not come")
            producer.stdin.write(b"second\n")
            producer.stdin.flush()
            wait_until(lambda: producer_has_read(producer), 10, "the second line is not read")
            producer.send_signal(signal.SIGINT)
            assert producer.wait(timeout=20 * SCALE) == 130
        finally:
            producer.kill()
    assert kcat(own.bootstrap, "-C", "-t", "cut-short", "-o", "beginning", "-e", "-q").stdout == b"first\nsecond\n"


def producer_has_read(producer):
    """Nothing is left in the pipe to its standard input."""
    left = array.array("i", [0])
    fcntl.ioctl(producer.stdin.fileno(), termios.FIONREAD, left)
    return left[0] == 0


def test_prompt_on_a_terminal_only(own):
    own.create_topic("prompted")
    front, back = os.openpty()
    command = [BIN / "kafka-console-producer.sh", "--bootstrap-server", own.bootstrap, "--topic", "prompted"]
    with subprocess.Popen(command, stdin=back, stdout=subprocess.PIPE, preexec_fn=die_with_parent) as producer:
        try:
            os.close(back)
            assert producer.stdout.read(1) == b">"
            os.write(front, b"typed\n")
            assert producer.stdout.read(1) == b">"
            os.write(front, b"\x04")
            assert producer.wait(timeout=20 * SCALE) == 0 and producer.stdout.read() == b""
        finally:
            producer.kill()
            os.close(front)
    piped = own.tool("kafka-console-producer.sh", "--bootstrap-server", own.bootstrap, "--topic", "prompted",
                     input=b"piped\n")
    assert piped.stdout == b""
    read = kcat(own.bootstrap, "-C", "-t", "prompted", "-o", "beginning", "-e", "-q").stdout
    assert read == b"typed\npiped\n"


def test_second_interrupt_does_not_wait(make_cluster):
    """With its brokers gone a producer waits for them, unless it is told twice to end."""
    cluster = make_cluster(brokers=1)
    cluster.start()
    cluster.create_topic("gone")
    command = [BIN / "kafka-console-producer.sh", "--bootstrap-server", cluster.bootstrap, "--topic", "gone"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as producer:
        try:
            producer.stdin.write(b"first\n")
            producer.stdin.flush()
            wait_until(lambda: kcat(cluster.bootstrap, "-C", "-t", "gone", "-o", "beginning", "-e", "-q").stdout
                       == b"first\n", 20, "the first line has not come")
            cluster.kill()
            producer.stdin.write(b"second\n")
            producer.stdin.flush()
            wait_until(lambda: producer_has_read(producer), 10, "the second line is not read")
            producer.send_signal(signal.SIGINT)
            with pytest.raises(subprocess.TimeoutExpired):
                producer.wait(timeout=1)
            producer.send_signal(signal.SIGINT)
            assert producer.wait(timeout=20 * SCALE) == 130
            assert b"1 messages may not have been sent" in producer.stderr.read()
        finally:
            producer.kill()
