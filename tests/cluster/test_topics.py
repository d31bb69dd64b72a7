# SPDX-License-Identifier: Apache-2.0
"""
Topics come and go: by the client protocol, by being named, by the old way through ZooKeeper; all brokers agree.
"""
import json
import re

import kafka.errors
import pytest

from clients import admin, create_topic, delete_topic, kcat
from processes import wait_until


def test_kcat_lists_three_brokers(shared):
    for broker in shared.brokers.values():
        text = kcat(broker.address, "-L").stdout.decode()
        assert "3 brokers:" in text
        for other in shared.brokers.values():
            assert "broker %d at %s" % (other.id, other.address) in text


def test_created_by_an_admin_client(shared):
    shared.create_topic("by-admin", partitions=6, replicas=3)
    rows = shared.partitions("by-admin")
    assert sorted(rows) == list(range(6))
    for row in rows.values():
        assert sorted(row["replicas"]) == [1, 2, 3] and row["leader"] == row["replicas"][0]
    shared.wait_isr("by-admin", 3)
    leaders = [row["leader"] for row in rows.values()]
    assert all(leaders.count(number) == 2 for number in (1, 2, 3)), "leaders are not spread: %s" % leaders


def test_created_with_a_given_assignment(shared):
    shared.create_topic("assigned", assignment={0: [3, 1], 1: [2, 3]})
    rows = shared.partitions("assigned")
    assert rows[0]["replicas"] == [3, 1] and rows[0]["leader"] == 3
    assert rows[1]["replicas"] == [2, 3] and rows[1]["leader"] == 2


def test_created_by_being_named(shared):
    kcat(shared.bootstrap, "-P", "-t", "by-name", input=b"hello\n")
    assert kcat(shared.bootstrap, "-C", "-t", "by-name", "-o", "beginning", "-e", "-q").stdout == b"hello\n"
    assert sorted(shared.partitions("by-name")[0]["replicas"]) == [1, 2, 3]


def test_twice_is_refused(shared):
    shared.create_topic("twice")
    with pytest.raises(kafka.errors.TopicAlreadyExistsError):
        create_topic(shared.bootstrap, "twice")


@pytest.mark.parametrize("name", ["a b", "a/b", "..", ".", "x" * 250])
def test_bad_name_is_refused(shared, name):
    with pytest.raises(kafka.errors.InvalidTopicError):
        create_topic(shared.bootstrap, name)


def test_more_replicas_than_brokers_is_refused(shared):
    with pytest.raises(kafka.errors.InvalidReplicationFactorError):
        create_topic(shared.bootstrap, "too-many", replicas=4)


def test_more_partitions_are_added(shared):
    from kafka.admin import NewPartitions
    shared.create_topic("grown", partitions=2)
    client = admin(shared.bootstrap)
    client.create_partitions({"grown": NewPartitions(5)})
    client.close()
    shared.wait_topic("grown", 5)
    kcat(shared.bootstrap, "-P", "-t", "grown", "-p", "4", input=b"in the new one\n")
    read = kcat(shared.bootstrap, "-C", "-t", "grown", "-p", "4", "-o", "beginning", "-e", "-q").stdout
    assert read == b"in the new one\n"


def test_deleted(shared):
    shared.create_topic("short-lived", partitions=3)
    kcat(shared.bootstrap, "-P", "-t", "short-lived", "-p", "1", input=b"gone soon\n")
    delete_topic(shared.bootstrap, "short-lived")
    for broker in shared.brokers.values():
        wait_until(lambda: "short-lived" not in broker.metadata()["topics"], 10, "broker %d keeps it" % broker.id)
        wait_until(lambda: not list(broker.data.glob("short-lived-*")), 60, "broker %d keeps its folders: %s" % (
            broker.id, list(broker.data.glob("short-lived*"))))


def test_created_anew_after_deletion_is_empty(shared):
    shared.create_topic("reborn")
    kcat(shared.bootstrap, "-P", "-t", "reborn", input=b"first life\n")
    delete_topic(shared.bootstrap, "reborn")
    wait_until(lambda: all("reborn" not in broker.metadata()["topics"] for broker in shared.running()), 10, "kept")
    shared.create_topic("reborn")
    kcat(shared.bootstrap, "-P", "-t", "reborn", input=b"second life\n")
    read = kcat(shared.bootstrap, "-C", "-t", "reborn", "-o", "beginning", "-e", "-q", "-f", "%o %s\n").stdout
    assert read == b"0 second life\n"


def test_unknown_topic_is_said_to_be_unknown(shared):
    answer = json.loads(kcat(shared.bootstrap, "-L", "-J", "-t", "nobody-made-it",
                             "-X", "allow.auto.create.topics=false").stdout)
    topic = answer["topics"][0]
    assert topic["topic"] == "nobody-made-it" and re.search("unknown topic", topic["error"], re.IGNORECASE)
