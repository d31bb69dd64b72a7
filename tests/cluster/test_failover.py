# SPDX-License-Identifier: Apache-2.0
"""
Brokers die, stop and freeze under a producer with acks=all: it goes on in time, and what was acknowledged stays where
it was acknowledged.
"""
import re
import time

import kafka.errors
import pytest

from clients import SteadyProducer, create_topic, kcat_read, python_producer
from cluster import SESSION_TIMEOUT_MS
from processes import SCALE, Process, wait_until

# Broker 1 leads half of six partitions; every broker has a copy of each.
HALF_LED_BY_1 = {0: [1, 2, 3], 1: [1, 3, 2], 2: [1, 2, 3], 3: [2, 3, 1], 4: [3, 1, 2], 5: [2, 1, 3]}
GO_ON_SECONDS = SESSION_TIMEOUT_MS / 1000 + 2


def steady(cluster, topic="steady", **settings):
    """A topic half of which broker 1 leads, and a producer that has had an answer from each partition."""
    cluster.create_topic(topic, assignment=HALF_LED_BY_1)
    cluster.wait_isr(topic, 3)
    producer = SteadyProducer(cluster.bootstrap, topic, len(HALF_LED_BY_1), **settings).start()
    wait_acknowledged_since(producer, 0)
    return producer


def wait_acknowledged_since(producer, since, seconds=20):
    """Every partition has acknowledged a record later than that; gives how long the slowest took."""
    def all_partitions():
        times = [producer.last_acknowledged(partition) for partition in range(producer.partitions)]
        return all(when > since for when in times)

    wait_until(all_partitions, seconds, lambda: "acknowledged since: %s" % [
        producer.last_acknowledged(partition) > since for partition in range(producer.partitions)])
    firsts = [min(when for where, _, _, when in list(producer.acknowledged) if where == partition and when > since)
              for partition in range(producer.partitions)]
    return max(firsts) - since


def check_acknowledged(cluster, topic, acknowledged):
    """Every acknowledged record is at its acknowledged offset."""
    read = kcat_read(cluster.bootstrap, topic)
    lost = {where: value for where, value in acknowledged.items() if read.get(where) != value}
    assert not lost, "%d of %d acknowledged records are not where they were: %s" % (
        len(lost), len(acknowledged), [(where, value, read.get(where)) for where, value in list(lost.items())[:5]])


def check_copies(cluster, topic, acknowledged):
    """Each broker in turn leads: all copies hold what was acknowledged. (Broker data is compared byte by byte.)"""
    cluster.wait_isr(topic, 3)
    for partition in range(len(HALF_LED_BY_1)):
        def copies():
            return {b"".join(path.read_bytes() for path in sorted((broker.data / ("%s-%d" % (topic, partition))).glob(
                "*.log"))) for broker in cluster.brokers.values()}

        wait_until(lambda: len(copies()) == 1, 10, "the copies of partition %d differ" % partition)


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
def test_leader_of_half_the_partitions_is_killed(cluster, record_property, idempotent):
    producer = steady(cluster, enable_idempotence=idempotent)
    cluster.brokers[1].kill()
    paused = wait_acknowledged_since(producer, time.monotonic())
    record_property("producer_paused_seconds", paused)
    print("the producer went on after %.2f s" % paused)
    assert paused < GO_ON_SECONDS * SCALE
    cluster.brokers[1].start()
    begin = time.monotonic()
    cluster.wait_isr("steady", 3, seconds=10)
    record_property("back_in_isr_seconds", time.monotonic() - begin)
    print("back in every ISR after %.2f s" % (time.monotonic() - begin))
    wait_acknowledged_since(producer, time.monotonic())
    acknowledged = producer.stop()
    assert not producer.errors
    check_acknowledged(cluster, "steady", acknowledged)
    check_copies(cluster, "steady", acknowledged)


def test_each_broker_is_killed_in_turn(cluster):
    producer = steady(cluster)
    for broker in cluster.brokers.values():
        cluster.wait_isr("steady", 3, seconds=15)
        broker.kill()
        wait_acknowledged_since(producer, time.monotonic())
        broker.start()
        broker.wait_ready()
    cluster.wait_isr("steady", 3, seconds=15)
    acknowledged = producer.stop()
    assert not producer.errors
    check_acknowledged(cluster, "steady", acknowledged)
    check_copies(cluster, "steady", acknowledged)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_i25_whole_cluster_ends_and_one_broker_stays_away(cluster, how):
    """Processes that end lose nothing: whoever is back keeps its seat and leads, without waiting for the last one."""
    producer = steady(cluster, message_timeout_ms=60000)
    wait_acknowledged_since(producer, time.monotonic())
    acknowledged = producer.stop()
    for broker in cluster.brokers.values():
        if how == "killed":
            broker.kill()
        else:
            broker.stop()
    back = [cluster.brokers[1], cluster.brokers[2]]
    for broker in back:
        broker.start()
    for broker in back:
        broker.wait_ready()

    def all_led():
        leaders = [partition["leader"] for partition in cluster.partitions("steady").values()]
        return len(leaders) == len(HALF_LED_BY_1) and all(leader in (1, 2) for leader in leaders)

    if how == "killed":  # a stop in good order leaves the last one alone in the ISRs: it alone has everything
        wait_until(all_led, 30, lambda: "leaders: %s" % cluster.partitions("steady"))
    cluster.brokers[3].start()
    cluster.wait_isr("steady", 3, seconds=30)
    check_acknowledged(cluster, "steady", acknowledged)
    check_copies(cluster, "steady", acknowledged)


def test_frozen_leader_is_replaced_and_comes_back_as_follower(cluster):
    # A frozen peer says nothing: only the client's own limits make it look elsewhere.
    producer = steady(cluster, request_timeout_ms=3000, socket_timeout_ms=4000,
                      topic_metadata_refresh_interval_ms=1000)
    cluster.brokers[1].pause()
    wait_acknowledged_since(producer, time.monotonic(), seconds=40)
    cluster.brokers[1].resume()
    cluster.wait_isr("steady", 3, seconds=20)
    wait_acknowledged_since(producer, time.monotonic())
    acknowledged = producer.stop()
    check_acknowledged(cluster, "steady", acknowledged)
    check_copies(cluster, "steady", acknowledged)


def test_consumer_follows_the_leaders(cluster, folder):
    """It sees every offset once and in order, before and after, and goes on in time."""
    producer = steady(cluster)
    consumer = Process(["kcat", "-C", "-b", cluster.bootstrap, "-t", "steady", "-o", "beginning", "-u", "-q",
                        "-X", "topic.metadata.refresh.interval.ms=500", "-X", "log_level=0", "-f", "%p %o\n"],
                       folder / "consumed")
    consumer.start()
    try:
        def consumed():
            rows = re.findall(r"(?m)^(\d+) (\d+)\n", consumer.log_text())
            return [(int(partition), int(offset)) for partition, offset in rows]

        wait_until(lambda: len(consumed()) > 200, 20, "the consumer reads nothing")
        cluster.brokers[1].kill()
        wait_acknowledged_since(producer, time.monotonic())
        acknowledged = producer.stop()
        wait_until(lambda: set(acknowledged) <= set(consumed()), 20,
                   lambda: "%d records were not read" % len(set(acknowledged) - set(consumed())))
        for partition in range(len(HALF_LED_BY_1)):
            offsets = [offset for where, offset in consumed() if where == partition]
            assert offsets == list(range(len(offsets))), "partition %d was read in leaps" % partition
    finally:
        consumer.kill()


def test_orderly_stop_moves_leaders_first(cluster):
    producer = steady(cluster)
    begin = time.monotonic()
    assert cluster.brokers[1].stop() == 0
    took = time.monotonic() - begin
    assert took < 10 * SCALE, "the stop took %.1f s" % took
    rows = cluster.partitions("steady")
    assert all(row["leader"] in (2, 3) for row in rows.values()), rows
    wait_acknowledged_since(producer, time.monotonic())
    acknowledged = producer.stop()
    assert not producer.errors
    check_acknowledged(cluster, "steady", acknowledged)


def test_killed_controller_is_replaced(cluster):
    old = cluster.controller()
    old.kill()
    wait_until(lambda: cluster.controller() is not old, GO_ON_SECONDS + 5, "no new controller")
    cluster.wait_ready()
    create_topic(cluster.bootstrap, "after", partitions=4, replicas=2)
    cluster.wait_topic("after", 4)
    old.start()
    old.wait_ready()
    cluster.wait_ready()
    create_topic(cluster.bootstrap, "after-return", partitions=3, replicas=3)
    cluster.wait_topic("after-return", 3)


def test_too_few_in_sync_replicas_are_refused(cluster):
    cluster.create_topic("careful", assignment={0: [1, 2, 3]}, min_insync_replicas=2)
    cluster.wait_isr("careful", 3)
    producer = python_producer(cluster.bootstrap)
    assert producer.send("careful", b"three", partition=0).get(timeout=20 * SCALE).offset == 0
    cluster.brokers[3].kill()
    cluster.wait_isr("careful", 2, seconds=15)
    assert producer.send("careful", b"two", partition=0).get(timeout=20 * SCALE).offset == 1
    cluster.brokers[2].kill()
    cluster.wait_isr("careful", 1, seconds=15)
    with pytest.raises((kafka.errors.NotEnoughReplicasError, kafka.errors.NotEnoughReplicasAfterAppendError)):
        producer.send("careful", b"refused", partition=0).get(timeout=20 * SCALE)
    producer.close()
    easy = python_producer(cluster.bootstrap, acks=1)
    easy.send("careful", b"one", partition=0).get(timeout=20 * SCALE)
    easy.close()
    cluster.brokers[2].start()
    cluster.wait_isr("careful", 2, seconds=15)
    producer = python_producer(cluster.bootstrap)
    producer.send("careful", b"two again", partition=0).get(timeout=20 * SCALE)
    producer.close()
    values = [value for _, value in sorted(kcat_read(cluster.bootstrap, "careful").items())]
    assert values == [b"three", b"two", b"one", b"two again"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_all_brokers_go_and_come_back(cluster, how):
    producer = steady(cluster)
    wait_until(lambda: len(producer.acknowledged) > 2000, 30, "the producer is slow")
    acknowledged = producer.stop()
    for broker in cluster.brokers.values():
        if how == "stop":
            broker.popen.terminate()
        else:
            broker.popen.kill()
    for broker in cluster.brokers.values():
        status = broker.wait(30)
        assert how == "kill" or status == 0
    for broker in cluster.brokers.values():
        broker.start()
    cluster.wait_ready()
    cluster.wait_topic("steady", len(HALF_LED_BY_1))
    # All have kept their seats: what is committed shows again when they have told the leaders so.
    wait_until(lambda: set(acknowledged) <= set(kcat_read(cluster.bootstrap, "steady")), 20,
               "not all acknowledged records can be read")
    check_acknowledged(cluster, "steady", acknowledged)
    check_copies(cluster, "steady", acknowledged)
    again = SteadyProducer(cluster.bootstrap, "steady", len(HALF_LED_BY_1)).start()
    wait_acknowledged_since(again, 0)
    later = again.stop()
    assert not set(later) & set(acknowledged), "offsets were given out twice"
    check_acknowledged(cluster, "steady", {**acknowledged, **later})
