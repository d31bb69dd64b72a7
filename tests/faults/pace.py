# SPDX-License-Identifier: Apache-2.0
"""
How fast this machine is for us right now. What must be done within so many seconds is meant for a machine that has
nothing else to do; where others work too, a second gives less than a second of a processor.

A bit of work is done now and then, and its time on the clock held against its time on a processor; a deadline runs
slower by that much, though never slower than a quarter.
"""
import time

_SLOWEST = 4.0
_SAMPLE_CPU_SECONDS = 0.015
_EVERY_SECONDS = 2.0


def slowness():
    """How many seconds pass while this thread gets one of a processor: 1 on an idle machine, at most 4."""
    began, cpu = time.monotonic(), time.thread_time()
    while time.thread_time() - cpu < _SAMPLE_CPU_SECONDS:
        sum(range(2000))
    used = time.thread_time() - cpu
    return max(1.0, min(_SLOWEST, (time.monotonic() - began) / used))


class Pace:
    """Counts the seconds that an idle machine would have given us since this was made."""

    def __init__(self, clock=time.monotonic, measure=slowness):
        self.clock = clock
        self.measure = measure
        self.counted = 0.0
        self.at = self.measured_at = clock()
        self.factor = None

    def spent(self):
        now = self.clock()
        if self.factor is None or now - self.measured_at > _EVERY_SECONDS:
            if now > self.at:
                self.factor = self.measure()
                self.measured_at = now
        if self.factor:
            self.counted += (now - self.at) / self.factor
            self.at = now
        return self.counted
