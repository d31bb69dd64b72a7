# SPDX-License-Identifier: Apache-2.0
"""
Kills at single system calls (F31): before and behind the n-th write, fsync, rename, unlink or ftruncate of a broker
that appends, rolls, flushes, compacts, retains, deletes a topic, stops or starts; and again while it recovers. Which
call, and which n, is drawn from the seed.
"""
import time

import clients
from bed import RESUME_SECONDS
from keyed import KeyedLoad
from load import PARTITIONS
from moves import in_background
from registry import scenario
from scenarios.operations import SMALL_SEGMENTS, topic_exists
from torn import TRACE, attach, strace_words

COMPACTED, SHORT, DOOMED = "compacted", "short", "doomed"
BUSY = dict(SMALL_SEGMENTS, **{
    "log.cleaner.backoff.ms": 200, "log.retention.check.interval.ms": 500, "log.flush.interval.messages": 40,
    "log.flush.offset.checkpoint.interval.ms": 500, "log.flush.start.offset.checkpoint.interval.ms": 500,
    "replica.high.watermark.checkpoint.interval.ms": 500})
# What the broker is at, which calls that takes, how large n may be.
MOMENTS = {
    "append": (("write",), 60),
    "roll": (("truncate", "rename", "any"), 20),
    "flush and checkpoints": (("sync", "rename"), 30),
    "retention and compaction": (("unlink", "rename", "truncate"), 20),
    "deletion": (("rename", "unlink", "any"), 30),
    "stop": (("write", "sync", "rename", "truncate", "any"), 40),
    "start": (("write", "sync", "rename", "unlink", "truncate", "make", "any"), 60),
}
WAIT_SECONDS = 6


@scenario("torn-writes", "F31", "killed at the n-th write, fsync, rename, unlink or ftruncate, and again in recovery",
          seconds=150, needs=(TRACE,), settings=BUSY, ignore_topics=(COMPACTED, SHORT))
def torn_writes(trial):
    trial.create_topic(COMPACTED, PARTITIONS, config={
        "cleanup.policy": "compact", "segment.bytes": 65536, "min.cleanable.dirty.ratio": 0.01,
        "delete.retention.ms": 1000})
    trial.create_topic(SHORT, PARTITIONS, config={"segment.bytes": 16384, "retention.bytes": 32768})
    loads = [KeyedLoad(trial.bed.bootstrap, topic, PARTITIONS) for topic in (COMPACTED, SHORT)]
    for load in loads:
        load.start()
    struck = 0
    try:
        for number in trial.rounds():
            struck += one_crash(trial, trial.broker(), list(MOMENTS)[number % len(MOMENTS)])
            trial.expect_writes(RESUME_SECONDS + 10)
            trial.settle(60)
    finally:
        for load in loads:
            load.stop()
    trial.note("%d kills at a call" % struck)
    wrong = loads[0].check()
    assert not wrong, "%d keys or steps are wrong: %s" % (len(wrong), "; ".join(wrong[:5]))
    assert struck, "no call was ever struck"


def one_crash(trial, broker, moment):
    """One death in the middle of something, perhaps another in the recovery. Gives how many calls were struck."""
    calls, most = MOMENTS[moment]
    calls, number = trial.chance.choice(calls), trial.chance.randrange(1, most + 1)
    trial.note("%s of %s: killed at %s %d" % (moment, broker.host, calls, number))
    if moment == "start":
        broker.stop(60)
        struck = killed_in_start(trial, broker, calls, number)
    else:
        struck = killed_at_work(trial, broker, moment, calls, number)
    if trial.chance.random() < 0.6:
        calls, number = trial.chance.choice(MOMENTS["start"][0]), trial.chance.randrange(1, 41)
        trial.note("recovery of %s: killed at %s %d" % (broker.host, calls, number))
        struck += killed_in_start(trial, broker, calls, number)
    broker.start()
    if moment == "deletion":
        trial.expect(lambda: not topic_exists(trial, DOOMED), 60, "the topic is not gone")
    return struck


def killed_at_work(trial, broker, moment, calls, number):
    if moment == "deletion":
        trial.create_topic(DOOMED, PARTITIONS)
    broker.wanted = False
    tracer = attach(broker, calls, number)
    if moment == "deletion":
        in_background(clients.delete_topic, trial.bed.bootstrap, DOOMED)
    elif moment == "stop":
        broker.begin_stop()
    return was_struck(trial, broker, lambda: not tracer.is_running())


def killed_in_start(trial, broker, calls, number):
    broker.wrapper = strace_words(calls, number, broker.folder / "strace")
    try:
        broker.start()
        broker.wanted = False
        return was_struck(trial, broker, lambda: broker.metadata([], 0.5) is not None)
    finally:
        broker.wrapper = []


def was_struck(trial, broker, is_over):
    """Waits for the death; a broker that outlived its call is killed without one."""
    deadline = time.monotonic() + WAIT_SECONDS
    while broker.is_running() and time.monotonic() < deadline and not is_over():
        trial.hold(0.1)
    if broker.is_running():
        trial.hold(0.5)
    if not broker.is_running() and broker.popen.returncode == -9:
        return 1
    trial.note("there was no such call: %s" % ("it ended in order" if not broker.is_running() else "killed anyway"))
    broker.kill()
    return 0
