# SPDX-License-Identifier: Apache-2.0
"""
Very many of something: connections, slow readers, topics; very little of something: memory, descriptors (F27, F46 to
F48). Who keeps to its share must notice next to nothing.
"""
import contextlib
import resource
import socket
import struct
import threading
import time
from pathlib import Path

import clients
import confluent_kafka
import kafka.admin
import kafka.errors
import wire
from bed import RESUME_SECONDS
from inject import Kill, Stop
from load import PARTITIONS, PRODUCER_IMPATIENT
from pace import slowness
from registry import scenario
from scenarios.zookeepers import broker_sessions

IDLE, SLOW_READERS, STORM_A_SECOND = 10000, 1000, 2000
STORM_SECONDS = 5
IDLE_BYTES = 8192
CALM_SECONDS = 8
# Under this a latency is that of the machine's scheduler.
LEAST_P99_SECONDS = 0.05
TOPICS_MOST, TOPICS_A_REQUEST = 12000, 100
FETCH = 1
FEW_DESCRIPTORS = 256
MEMORY_BYTES = 256 << 20
MEMORY = "memory"
_CGROUPS = Path("/sys/fs/cgroup/memory")


def more_descriptors(count):
    """This process may have so many files open, or as many as it may have at most. Gives how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def connect(broker, seconds=10):
    return socket.create_connection((broker.address, broker.port), timeout=seconds)


@contextlib.contextmanager
def connections(trial, count):
    """So many connections to the brokers in turn."""
    brokers = list(trial.bed.brokers.values())
    made = []
    try:
        for number in range(count):
            made.append(connect(brokers[number % len(brokers)]))
            if number % 200 == 0:
                trial.hold(0)
        yield made
    finally:
        for one in made:
            one.close()


def p99(trial, seconds):
    """The canary's, over so many seconds from now."""
    began = time.monotonic()
    trial.hold(seconds)
    return trial.expect(lambda: trial.load.canary.latency_p99_seconds(began), 30, "the canary is not acknowledged")[0]


def compare(trial, what, calm, crowded):
    """Fails where the canary's latency is more than twice what it was, and enough to be the broker's."""
    trial.note("the canary's p99 with %s: %.1f ms; before: %.1f ms" % (what, crowded * 1000, calm * 1000))
    bound = 2 * max(calm, LEAST_P99_SECONDS * slowness())
    assert crowded <= bound, "with %s the canary's p99 is %.0f ms, above %.0f ms" % (
        what, crowded * 1000, bound * 1000)


@scenario("idle-connections", "F46", "10,000 idle connections", seconds=20)
def idle_connections(trial):
    count = min(IDLE, more_descriptors(IDLE + 500) - 500)
    for _ in trial.rounds():
        calm = p99(trial, CALM_SECONDS)
        brokers = trial.bed.brokers.values()
        before = sum(broker.rss_bytes() for broker in brokers)
        with connections(trial, count):
            trial.note("%d connections" % count)
            compare(trial, "%d idle connections" % count, calm, p99(trial, CALM_SECONDS))
            each = max(0, sum(broker.rss_bytes() for broker in brokers) - before) / count
            trial.note("%.0f bytes of the brokers' memory a connection" % each)
            assert each < IDLE_BYTES, "an idle connection costs %.0f bytes" % each
        trial.settle()


def ask_and_not_read(broker, partition):
    """A reader that asks for a megabyte of a partition and never takes the answer."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.settimeout(10)
    reader.connect((broker.address, broker.port))
    body = wire.header(FETCH, 4, 1, "slow-reader") + struct.pack(">iiiib", -1, 100, 1, 1 << 20, 0)
    body += struct.pack(">i", 1) + wire.string("plain") + struct.pack(">iiqi", 1, partition, 0, 1 << 20)
    reader.sendall(struct.pack(">i", len(body)) + body)
    return reader


@scenario("slow-readers", "F46", "1,000 readers ask for a megabyte each and do not take it", seconds=20)
def slow_readers(trial):
    count = min(SLOW_READERS, more_descriptors(SLOW_READERS + 500) - 500)
    for _ in trial.rounds():
        calm = p99(trial, CALM_SECONDS)
        leaders = [trial.bed.leader("plain", partition) for partition in range(PARTITIONS)]
        readers = []
        began = time.monotonic()
        try:
            for number in range(count):
                readers.append(ask_and_not_read(leaders[number % PARTITIONS], number % PARTITIONS))
                trial.hold(0)
            trial.hold(1)
            trial.note("while they came, the canary's p99 was %.1f ms" % (
                1000 * (trial.load.canary.latency_p99_seconds(began) or 0)))
            compare(trial, "%d slow readers" % count, calm, p99(trial, CALM_SECONDS))
            trial.note("the brokers hold %s MiB" % [
                broker.rss_bytes() >> 20 for broker in trial.bed.brokers.values()])
        finally:
            for reader in readers:
                reader.close()
        trial.settle()


@scenario("connect-storm", "F46", "2,000 connections a second come, and go", seconds=15)
def connect_storm(trial):
    brokers = list(trial.bed.brokers.values())
    for _ in trial.rounds():
        calm = p99(trial, CALM_SECONDS)
        stopping, made, refused = threading.Event(), [0], [0]

        def storm():
            began = time.monotonic()
            while not stopping.is_set():
                if made[0] > (time.monotonic() - began) * STORM_A_SECOND:
                    time.sleep(0.001)
                    continue
                try:
                    connect(brokers[made[0] % len(brokers)], 2).close()
                except OSError:
                    refused[0] += 1
                made[0] += 1

        thread = threading.Thread(target=storm, daemon=True)
        thread.start()
        try:
            stormy = p99(trial, STORM_SECONDS)
        finally:
            stopping.set()
            thread.join(timeout=10)
        trial.note("%d connections in %d s, %d refused" % (made[0], STORM_SECONDS, refused[0]))
        # This process makes the storm and is the canary, too: its own share of the time counts for both.
        compare(trial, "a storm of connections", calm + LEAST_P99_SECONDS, stormy)
        trial.settle()


# ---- very many topics ----

def ask_topics(trial, ask, names):
    """One admin request for many topics; what it answers is seen in the cluster."""
    client = clients.admin(trial.bed.bootstrap)
    try:
        ask(client, names)
    except (kafka.errors.KafkaError, AssertionError) as error:
        trial.note("an answer: %s" % (str(error)[:120] or type(error).__name__))
    finally:
        client.close()


def make_topics(client, names):
    client.create_topics([kafka.admin.NewTopic(name, 1, 3) for name in names], timeout_ms=30000)


def remove_topics(client, names):
    client.delete_topics(names, timeout_ms=30000)


def topic_count(trial, broker):
    known = broker.metadata(None, 10)
    return sum(name.startswith("many-") for name in known["topics"]) if known else -1


@scenario("many-topics", "F27", "12,000 topics, or as many as a minute makes; a controller dies with them", seconds=60)
def many_topics(trial):
    sessions = broker_sessions(trial)
    names = []
    for _ in trial.rounds(at_most=TOPICS_MOST // TOPICS_A_REQUEST):
        more = ["many-%05d" % number for number in range(len(names), len(names) + TOPICS_A_REQUEST)]
        ask_topics(trial, make_topics, more)
        names += more
    trial.note("%d topics were asked for" % len(names))
    brokers = trial.bed.brokers.values()

    def all_know(count):
        return lambda: all(topic_count(trial, broker) == count for broker in brokers)

    trial.expect(all_know(len(names)), 60, lambda: "topics known: %s of %d" % (
        [topic_count(trial, broker) for broker in brokers], len(names)))
    assert broker_sessions(trial) == sessions, "a session was lost while topics were made"
    with trial.during(Kill(trial.bed, trial.bed.controller())):
        trial.expect_writes(RESUME_SECONDS + 10, "writes go on under the next controller")
    trial.expect(all_know(len(names)), 60, lambda: "topics known: %s of %d" % (
        [topic_count(trial, broker) for broker in brokers], len(names)))
    trial.settle(120)
    for at in range(0, len(names), TOPICS_A_REQUEST):
        ask_topics(trial, remove_topics, names[at:at + TOPICS_A_REQUEST])
        trial.hold(0)
    trial.expect(all_know(0), 180, lambda: "topics left: %s" % [topic_count(trial, broker) for broker in brokers])


# ---- very little ----

@scenario("few-descriptors", "F48", "a broker that may have 256 files open gets 600 connections", seconds=15,
          settings={"log.segment.bytes": 65536}, errors_allowed=True)
def few_descriptors(trial):
    more_descriptors(2000)
    broker = trial.broker()
    broker.wrapper = ["prlimit", "--nofile=%d" % FEW_DESCRIPTORS]
    with trial.during(Stop(trial.bed, broker)):
        pass
    trial.settle()
    spoken = len(broker.log_text())
    for _ in trial.rounds():
        # Its leaderships are back, and who asks it is connected, before the crowd comes, which may keep newcomers out.
        trial.expect(lambda: any(row["leader"] == broker.id for row in trial.bed.partitions("canary").values()),
                     RESUME_SECONDS, "%s leads nothing" % broker.host)
        trial.expect_writes(RESUME_SECONDS, "all are connected")
        waiting = []
        try:
            for _ in range(600):
                waiting.append(connect(broker))
            trial.note("600 connections to %s" % broker.host)
            trial.hold(5)
            trial.expect_writes(RESUME_SECONDS)
            said = broker.log_text()[spoken:].strip().splitlines()
            assert said, "%s ran out of descriptors and its log does not say so" % broker.host
            trial.note("its log: %s" % said[0][-160:])
        finally:
            for one in waiting:
                one.close()
        trial.expect(lambda: broker.metadata([], 2), 15, "%s does not answer a new connection" % broker.host)
        trial.settle()


def can_limit_memory():
    """Whether groups for memory can be made here."""
    try:
        group = _CGROUPS / "bnb-probe"
        group.mkdir()
        group.rmdir()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def little_memory(trial, broker):
    """A broker may have so much memory, files that it has written not yet to disk included."""
    group = _CGROUPS / (trial.bed.network.prefix + broker.host if trial.bed.network.is_private else "bnb-memory")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(MEMORY_BYTES))
        (group / "cgroup.procs").write_text(str(broker.pid))
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            (_CGROUPS / "cgroup.procs").write_text(pid)
        group.rmdir()


@scenario("little-memory", "F47", "a broker has 256 MiB; batches of a megabyte, slow readers", seconds=20,
          needs=(MEMORY,))
def little_memory_large_batches(trial):
    broker = trial.broker()
    producer = confluent_kafka.Producer(dict(PRODUCER_IMPATIENT, **{
        "bootstrap.servers": trial.bed.bootstrap, "acks": "all", "linger.ms": 20, "message.timeout.ms": 30000,
        "batch.size": 1000000, "queue.buffering.max.kbytes": 65536, "log_level": 0}))
    trial.create_topic("large", PARTITIONS)
    readers = []
    with little_memory(trial, broker):
        trial.note("%s has %d MiB" % (broker.host, MEMORY_BYTES >> 20))
        try:
            for _ in trial.rounds():
                for number in range(64):
                    with contextlib.suppress(BufferError):
                        producer.produce("large", bytes(900000), partition=number % PARTITIONS)
                    producer.poll(0)
                for partition in range(PARTITIONS):
                    if trial.bed.leader("plain", partition) is broker and len(readers) < 400:
                        readers += [ask_and_not_read(broker, partition) for _ in range(10)]
                trial.hold(0.5)
            trial.note("it holds %d MiB for %d slow readers" % (broker.rss_bytes() >> 20, len(readers)))
        finally:
            for reader in readers:
                reader.close()
            producer.purge()
            producer.flush(10)
    trial.expect_writes(RESUME_SECONDS + 5)
    trial.settle(60)
