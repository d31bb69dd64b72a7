# SPDX-License-Identifier: Apache-2.0
"""
Kills in the middle of operations: reassignment, deletion, creation, segment roll, compaction (F38 to F41).
"""
import clients
from bed import RESUME_SECONDS
from inject import FastRestart, Kill
from keyed import KeyedLoad
from load import CANARY, PARTITIONS
from moves import ask_in_znode, folders_of, in_background, open_moves, stray_folders
from registry import scenario

SMALL_SEGMENTS = {"log.segment.bytes": 65536, "log.index.interval.bytes": 512}


def victim(trial):
    """The controller, or any broker."""
    return trial.bed.controller() if trial.chance.random() < 0.5 else trial.broker()


def kill_amid(trial, server, longest_seconds):
    """Kills a broker a moment after an operation began; it stays away for a while."""
    trial.hold(trial.chance.uniform(0, longest_seconds))
    with trial.during(Kill(trial.bed, server)):
        trial.hold(trial.chance.choice((0.5, RESUME_SECONDS)))


@scenario("kill-amid-reassignment", "F38", "partitions under load move, and controller, source or target is killed",
          seconds=60, brokers=4)
def kill_amid_reassignment(trial):
    for _ in trial.rounds():
        wanted = {}
        for partition in trial.bed.partitions("plain"):
            wanted[partition] = trial.chance.sample(sorted(trial.bed.brokers), 3)
        trial.note("reassign plain: %s" % wanted)
        ask_in_znode(trial.bed, "reassign_partitions", [
            {"topic": "plain", "partition": partition, "replicas": replicas}
            for partition, replicas in wanted.items()])
        kill_amid(trial, victim(trial), 2)
        trial.expect(lambda: not open_moves(trial.bed), 90, lambda: "not done: %s" % open_moves(trial.bed))
        trial.expect(lambda: {partition: row["replicas"] for partition, row in trial.bed.partitions("plain").items()}
                     == wanted, 20, lambda: "the replicas are %s, not %s" % (trial.bed.partitions("plain"), wanted))
        trial.settle(60)
        trial.expect(lambda: not stray_folders(trial.bed, ["plain"]), 30,
                     lambda: "left behind: %s" % stray_folders(trial.bed, ["plain"]))


@scenario("kill-amid-deletion", "F39", "a topic is deleted and made again, and the controller or a replica is killed",
          seconds=60)
def kill_amid_deletion(trial):
    name = "doomed"
    for number in trial.rounds():
        trial.create_topic(name, PARTITIONS)
        trial.expect(lambda: not read_lines(trial, name), 15, "a new topic holds records of the old one")
        clients.kcat(trial.bed.bootstrap, "-P", "-t", name, "-X", "acks=all",
                     input=b"".join(b"round %d record %d\n" % (number, one) for one in range(200)))
        trial.note("delete %s" % name)
        in_background(clients.delete_topic, trial.bed.bootstrap, name)
        trial.expect(lambda: deletion_began(trial, name), 10, "the deletion is not accepted")
        kill_amid(trial, victim(trial), 0.5)
        trial.expect(lambda: not topic_exists(trial, name), 60, "the topic is not gone")
        trial.expect(lambda: not any(folders_of(broker, name) for broker in trial.bed.brokers.values()), 30,
                     lambda: "left behind: %s" % [str(path) for broker in trial.bed.brokers.values()
                                                  for path in folders_of(broker, name)])
        trial.settle()


def topic_exists(trial, name):
    with trial.bed.zookeeper() as client:
        return any(client.get("/barnabas" + folder + name) is not None
                   for folder in ("/brokers/topics/", "/admin/delete_topics/"))


def deletion_began(trial, name):
    with trial.bed.zookeeper() as client:
        return (client.get("/barnabas/admin/delete_topics/" + name) is not None
                or client.get("/barnabas/brokers/topics/" + name) is None)


def has_leaders(trial, name, partitions):
    rows = trial.bed.partitions(name)
    return len(rows) == partitions and all(row["leader"] >= 0 and not row["error"] for row in rows.values())


def read_lines(trial, name):
    result = clients.kcat(trial.bed.bootstrap, "-C", "-t", name, "-o", "beginning", "-e", "-q", check=False)
    return result.stdout.splitlines() if result.returncode == 0 else [result.stderr.decode(errors="replace")]


@scenario("kill-amid-creation", "F40", "topics are made, and the controller or a broker is killed", seconds=60)
def kill_amid_creation(trial):
    for number in trial.rounds():
        name = "made-%d" % number
        thread = in_background(clients.create_topic, trial.bed.bootstrap, name, 20, 3)
        kill_amid(trial, victim(trial), 0.3)
        trial.expect(lambda: not thread.is_alive(), 60, "the request for a topic is never answered")
        if not topic_exists(trial, name):
            trial.note("%s was not made; asked for again" % name)
            trial.create_topic(name, 20)
        trial.expect(lambda: has_leaders(trial, name, 20), 60, "topic %s is not made whole" % name)
        trial.settle()


@scenario("kill-amid-roll", "F41", "segments of 64 KiB, and leaders killed at random", seconds=40,
          settings=SMALL_SEGMENTS)
def kill_amid_roll(trial):
    for _ in trial.rounds():
        trial.once(FastRestart(trial.bed, trial.broker()))
        trial.hold(trial.chance.uniform(0.5, 4))
    trial.expect_writes(RESUME_SECONDS + 5)
    trial.settle()


@scenario("kill-amid-compaction", "F41", "a topic is compacted all the time, and brokers are killed", seconds=40,
          settings=dict(SMALL_SEGMENTS, **{"log.cleaner.backoff.ms": 200}), ignore_topics=("compacted",))
def kill_amid_compaction(trial):
    topic = "compacted"
    trial.create_topic(topic, PARTITIONS, config={
        "cleanup.policy": "compact", "segment.bytes": 65536, "min.cleanable.dirty.ratio": 0.01,
        "delete.retention.ms": 1000})
    load = KeyedLoad(trial.bed.bootstrap, topic, PARTITIONS)
    load.start()
    try:
        for _ in trial.rounds():
            trial.once(FastRestart(trial.bed, trial.broker()))
            trial.hold(trial.chance.uniform(1, 5))
        trial.expect_writes(RESUME_SECONDS + 5)
        trial.settle()
    finally:
        load.stop()
    trial.note("%d records over %d keys" % (load.sent, len(load.acknowledged)))
    wrong = load.check()
    assert not wrong, "%d keys or steps are wrong: %s" % (len(wrong), "; ".join(wrong[:5]))


@scenario("leader-change-amid-load", "F1", "a leader is killed the moment it leads", seconds=40)
def leader_change_amid_load(trial):
    for _ in trial.rounds():
        partition = trial.chance.randrange(PARTITIONS)
        leader = trial.bed.leader(CANARY, partition)
        with trial.during(Kill(trial.bed, leader)):
            trial.expect(lambda: trial.bed.leader(CANARY, partition) is not leader, RESUME_SECONDS, "no new leader")
            with trial.during(FastRestart(trial.bed, trial.bed.leader(CANARY, partition))):
                trial.hold(1)
        trial.expect_writes(RESUME_SECONDS * 2)
        trial.settle()
