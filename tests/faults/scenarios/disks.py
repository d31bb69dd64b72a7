# SPDX-License-Identifier: Apache-2.0
"""
Disks that are full, broken, slow or replaced; wall clocks that jump (F29, F30, F34 to F36).
"""
from bed import RESUME_SECONDS
from inject import CLOCK, DISK, ClockJump, DiskRules, Kill
from registry import scenario

WAYS_TO_FILL = "write+open+mkdir+truncate"
YEAR_SECONDS = 365 * 24 * 3600


def any_directory(trial):
    return trial.chance.randrange(2)


@scenario("full-disk", "F29", "one log directory of a broker is full", seconds=20, needs=(DISK,), errors_allowed=True)
def full_disk(trial):
    for _ in trial.rounds():
        fault = DiskRules(trial.bed, trial.broker(), any_directory(trial), WAYS_TO_FILL, "ENOSPC")
        with trial.during(fault):
            trial.expect(fault.has_struck, 10, "nothing was written to the full disk")
            trial.expect_writes(RESUME_SECONDS + 5)
            trial.hold(5)
        trial.expect_writes(RESUME_SECONDS + 5)
        trial.settle(60)


@scenario("disk-errors", "F30", "writes, then syncs, then all calls on a log directory give EIO", seconds=40,
          needs=(DISK,), errors_allowed=True)
def disk_errors(trial):
    kinds = ["write", "sync+write", "all"]
    for number in trial.rounds(at_most=12):
        fault = DiskRules(trial.bed, trial.broker(), any_directory(trial), kinds[number % 3], "EIO")
        with trial.during(fault):
            trial.expect(fault.has_struck, 10, "nothing was done on the broken disk")
            trial.expect_writes(RESUME_SECONDS + 5)
            trial.hold(3)
        trial.expect_writes(RESUME_SECONDS + 5)
        trial.settle(60)


@scenario("slow-disk", "F34", "writes take 200 ms, syncs 2 s, on one log directory", seconds=30, needs=(DISK,))
def slow_disk(trial):
    broker = trial.broker()
    folder = broker.data[any_directory(trial)]
    with trial.during(DiskRules(trial.bed, broker, any_directory(trial), "sync", "delay:2000")):
        broker.set_disk_rules("sync delay:2000 * %s" % folder, "write delay:200 * %s" % folder)
        for _ in trial.rounds():
            trial.hold(2)
    trial.expect_writes(RESUME_SECONDS + 20)
    trial.settle(60)


@scenario("empty-disk", "F35", "a log directory is replaced by an empty one while its broker is down", seconds=20)
def empty_disk(trial):
    for _ in trial.rounds():
        broker = trial.broker()
        with trial.during(Kill(trial.bed, broker)):
            broker.wipe(broker.data[any_directory(trial)])
            trial.note("a directory of %s was replaced" % broker.host)
        trial.expect_writes(RESUME_SECONDS + 5)
        trial.settle(60)


@scenario("clock-jump", "F36", "the wall clock of a broker jumps by hours and by years", seconds=30, needs=(CLOCK,))
def clock_jump(trial):
    jumps = [3600, -3600, YEAR_SECONDS, -YEAR_SECONDS]
    for number in trial.rounds(at_most=len(jumps) * 10):
        with trial.during(ClockJump(trial.bed, trial.broker(), jumps[number % len(jumps)])):
            trial.hold(4)
            trial.expect_writes(3, "writes do not care")
        trial.expect_writes(3, "writes do not care")
    trial.settle()
