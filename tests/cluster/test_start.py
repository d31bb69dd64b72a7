# SPDX-License-Identifier: Apache-2.0
"""
A broker starts quickly, alone or as one of many, and refuses to start as somebody it is not.
"""
import re
import time

import pytest

import wire
from processes import SCALE, ZooKeeper, wait_until

# The promise is 300 ms on a quiet machine; two workers share this one.
READY_SECONDS = 0.3
PATIENCE = 5


def start_and_time(broker):
    """Seconds from the start of the process until it is registered and serves metadata."""
    begin = time.monotonic()
    broker.start()
    wait_until(broker.is_ready, 20, "not ready: see %s" % broker.log)
    return time.monotonic() - begin


def test_ready_in_a_moment_on_an_empty_folder(make_cluster, record_property):
    cluster = make_cluster(brokers=1)
    seconds = start_and_time(cluster.brokers[1])
    record_property("ready_seconds", seconds)
    print("ready after %.0f ms" % (seconds * 1000))
    assert seconds < READY_SECONDS * PATIENCE * SCALE


def test_single_broker_serves_and_stops(make_cluster):
    cluster = make_cluster(brokers=1)
    cluster.start()
    cluster.create_topic("alone", partitions=2, replicas=1)
    broker = cluster.brokers[1]
    assert broker.stop() == 0
    assert wire.metadata_of(broker.port) is None, "somebody still listens"
    assert start_and_time(broker) < READY_SECONDS * PATIENCE * SCALE
    cluster.wait_topic("alone", 2)


def test_killed_broker_waits_out_its_old_registration(make_cluster):
    cluster = make_cluster(brokers=1)
    cluster.start()
    broker = cluster.brokers[1]
    broker.kill()
    broker.start()
    broker.wait_ready()


def test_killed_broker_sends_clients_away_until_it_is_registered(make_cluster):
    """
    Its old registration stands for as long as the old session: longer than clients are kept waiting, and all that
    time it knows nothing. Whoever asks it is sent to another broker, and never told that a topic does not exist.
    """
    cluster = make_cluster(settings={"zookeeper.session.timeout.ms": 16000})
    cluster.start()
    cluster.create_topic("known", partitions=3, replicas=3)
    broker = cluster.brokers[3]
    broker.kill()
    broker.start()
    known = wait_until(lambda: wire.metadata_of(broker.port, ["known"], seconds=30), 60, "no answer")
    assert known["topics"]["known"]["error"] == 0, known
    assert "connections of clients that wait are closed" in broker.log_text()
    cluster.wait_isr("known", 3)


def refused(broker, seconds=20):
    """The log of a broker that is expected to give up, with a status other than 0."""
    broker.start()
    assert broker.wait(seconds) != 0
    return broker.log_text()


def test_second_broker_of_the_same_id_is_refused(make_cluster):
    cluster = make_cluster(brokers=2)
    first, second = cluster.brokers[1], cluster.brokers[2]
    first.start()
    first.wait_ready()
    second.settings["broker.id"] = 1
    text = refused(second)
    assert re.search(r"ERROR.*broker\.id.*\b1\b", text), text
    assert first.is_ready()


def test_folder_of_another_broker_is_refused(make_cluster):
    cluster = make_cluster(brokers=1)
    broker = cluster.brokers[1]
    cluster.start()
    broker.stop()
    broker.settings["broker.id"] = 7
    text = refused(broker)
    assert re.search(r"ERROR.*meta\.properties", text), text


def test_folder_of_another_cluster_is_refused(make_cluster):
    cluster = make_cluster(brokers=1)
    broker = cluster.brokers[1]
    cluster.start()
    broker.stop()
    meta = broker.data / "meta.properties"
    text = meta.read_text()
    assert re.search(r"^cluster\.id=[\w-]{22}$", text, re.MULTILINE), text
    meta.write_text(re.sub(r"cluster\.id=.*", "cluster.id=AAAAAAAAAAAAAAAAAAAAAA", text))
    said = refused(broker)
    assert re.search(r"ERROR.*AAAAAAAAAAAAAAAAAAAAAA", said), said


@pytest.mark.parametrize("key,value", [("listeners", "PLAINTEXT//nonsense"), ("num.network.threads", "0"),
                                       ("log.segment.bytes", "lots"), ("zookeeper.connect", None)])
def test_bad_setting_is_refused_by_name(make_cluster, key, value):
    broker = make_cluster(brokers=1).brokers[1]
    broker.settings[key] = value
    text = refused(broker)
    assert key in text, text


def test_port_in_use_is_refused_by_number(make_cluster):
    cluster = make_cluster(brokers=2)
    first, second = cluster.brokers[1], cluster.brokers[2]
    first.start()
    first.wait_ready()
    second.settings["listeners"] = first.settings["listeners"]
    text = refused(second)
    assert re.search(r"ERROR.*%d" % first.port, text), text


def test_unknown_setting_is_only_warned_of(make_cluster):
    cluster = make_cluster(brokers=1, settings={"no.such.key": "1"})
    cluster.start()
    cluster.brokers[1].wait_log(r"(?i)warn.*no\.such\.key")


def test_brokers_live_through_a_restart_of_zookeeper(make_cluster, folder):
    with ZooKeeper(folder / "zookeeper") as server:
        cluster = make_cluster(zookeeper=server)
        cluster.start()
        cluster.create_topic("before", partitions=3, replicas=3)
        server.kill()
        server.start()
        cluster.wait_ready(30)
        cluster.create_topic("afterwards", partitions=3, replicas=3)
        cluster.wait_isr("afterwards", 3)
        cluster.close()


def test_first_start_may_come_before_zookeeper(make_cluster, folder):
    server = ZooKeeper(folder / "zookeeper")
    cluster = make_cluster(zookeeper=server, brokers=1, settings={"zookeeper.connection.timeout.ms": 200})
    cluster.brokers[1].start()
    try:
        cluster.brokers[1].wait_log("is ZooKeeper running there")
        server.start()
        cluster.brokers[1].wait_ready()
        cluster.close()
    finally:
        cluster.kill()
        server.stop()


def test_a_broker_that_waits_for_zookeeper_stops_when_it_is_told_to(make_cluster, folder):
    cluster = make_cluster(zookeeper=ZooKeeper(folder / "zookeeper"), brokers=1,
                           settings={"zookeeper.connection.timeout.ms": 100})
    broker = cluster.brokers[1]
    broker.start()
    broker.wait_log("is ZooKeeper running there")
    assert broker.stop() == 0


def test_a_broker_is_silent_until_it_knows_the_cluster(make_cluster):
    """
    Whoever asks a broker that starts gets its first answer when there is something to tell: never an empty cluster,
    never a topic that is said not to exist, and not much later than the broker is ready.
    """
    cluster = make_cluster()
    cluster.start()
    cluster.create_topic("known", partitions=12, replicas=3)
    for _ in range(5):
        for broker in cluster.brokers.values():
            broker.stop()
            broker.start()
            known = wait_until(lambda: broker.metadata(["known"]), 20, "no answer")
            assert known["topics"]["known"]["error"] == 0, known
            assert sorted(known["topics"]["known"]["partitions"]) == list(range(12)), known
            assert broker.id in known["brokers"], known
            cluster.wait_isr("known", 3)
