# SPDX-License-Identifier: Apache-2.0
"""
One scenario on one bed: it breaks things and expects things; at the end all is healed, settled and judged.

A scenario is a function that takes a Trial. It breaks with `during`, lets time pass only with `hold` and `expect`,
which notice a server that ended unasked, and repeats itself by a loop over `rounds()`.
"""
import contextlib
import random
import subprocess
import time

import kafka.errors

import clients
import inject
import power
import verdict
from bed import RESUME_SECONDS, Bed, lagging
from load import Load
from pace import Pace
from places import CLOCK_FAULTS, HISTORY, IO_FAULTS, PYTHON, SCALE

SETTLE_SECONDS = 60


class Failed(Exception):
    """What was expected did not come about."""


class Trial:
    """The means of one scenario: bed, load, chance from the seed, what was injected when."""

    def __init__(self, scenario, network, folder, options, report):
        self.scenario = scenario
        self.options = options
        self.report = report
        self.folder = folder
        self.chance = random.Random("%s %d" % (scenario.name, options.seed))
        self.seconds = options.minutes * 60 if options.minutes else scenario.seconds
        self.bed = Bed(network, folder, max(options.brokers, scenario.brokers), scenario.settings,
                       scenario.uses(inject.DISK) and IO_FAULTS.exists(),
                       scenario.uses(inject.CLOCK) and CLOCK_FAULTS.exists())
        self.load = Load(self.bed, options.seed, options.client_debug,
                         segment_bytes=scenario.settings.get("log.segment.bytes"))
        self.active = []
        self.events = []
        self.cycles = []
        self.began = time.monotonic()
        self.troubles = []

    # ---- what scenarios use ----

    def note(self, text):
        """Writes into the report what happens now."""
        moment = time.monotonic() - self.began
        self.events.append((moment, text))
        self.report.event(moment, text)

    @contextlib.contextmanager
    def during(self, injection):
        """Breaks something for as long as the block lasts."""
        self.begin(injection)
        yield injection
        self.heal(injection)

    def begin(self, injection):
        self.note(str(injection))
        self.active.append(injection)
        injection.begin()

    def heal(self, injection):
        self.active.remove(injection)
        injection.heal()
        self.note("healed: %s" % injection)

    def once(self, injection):
        """For what heals by itself."""
        with self.during(injection):
            pass

    def hold(self, seconds):
        """Lets time pass under the load."""
        deadline = time.monotonic() + seconds
        while True:
            self._watch()
            left = deadline - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.05, left))

    def expect(self, condition, seconds, what):
        """
        Waits for a condition; Failed when it does not come about in time, which a busy machine stretches (Pace). Gives
        its value and how long it took.
        """
        began, pace = time.monotonic(), Pace()
        while True:
            value = condition()
            took = time.monotonic() - began
            if value:
                return value, took
            if pace.spent() > seconds * SCALE:
                raise Failed("after %.1f s: %s" % (took, what() if callable(what) else what))
            self.hold(0.05)

    def expect_writes(self, seconds=RESUME_SECONDS, why="writes go on"):
        """Every partition of the canary takes a record again, in so many seconds from now."""
        began = time.monotonic()
        took, _ = self.expect(lambda: self.load.canary.slowest_since(began), seconds,
                              lambda: "%s: the canary's partitions without an acknowledged record since: %s" % (
                                  why, [partition for partition, when in self.load.canary.last.items()
                                        if when <= began]))
        self.note("%s after %.2f s" % (why, took))

    def settle(self, seconds=30):
        """Every partition has a leader and all its replicas in sync again."""
        _, took = self.expect(lambda: not self.unsettled(), seconds,
                              lambda: "the replicas are not in sync: %s" % self.unsettled())
        self.note("all in sync after %.2f s" % took)

    def unsettled(self):
        for broker in self.bed.brokers.values():
            if not broker.is_well():
                return ["%s does not run" % broker.host]
            found = lagging(broker.metadata())
            if found:
                return ["%s says: %s" % (broker.host, row) for row in found[:6]]
        return []

    def rounds(self, at_most=1000):
        """Counts rounds until the scenario's time is over; one at least."""
        began = time.monotonic()
        for number in range(at_most):
            if number and time.monotonic() - began > self.seconds:
                return
            self.report.progress((time.monotonic() - began) / self.seconds)
            yield number

    def create_topic(self, name, partitions, config=None):
        """Makes a topic of three replicas, asking again while the cluster cannot answer, and waits for its leaders."""
        def asked():
            try:
                clients.create_topic(self.bed.bootstrap, name, partitions, 3, config=config)
            except (kafka.errors.KafkaError, AssertionError) as error:
                self.note("topic %s: %s" % (name, error or type(error).__name__))
            return len(self.bed.partitions(name)) == partitions

        self.expect(asked, 30, "topic %s is not made" % name)
        self.expect(lambda: all(row["leader"] >= 0 and not row["error"] for row in
                                self.bed.partitions(name).values()), 30, "topic %s has not all its leaders" % name)

    def broker(self):
        """Any broker, by the seed."""
        return self.bed.brokers[self.chance.choice(sorted(self.bed.brokers))]

    # ---- the frame ----

    def _watch(self):
        for injection in self.active:
            injection.tick(time.monotonic())
        ended = self.bed.unasked_ends() + self.load.unasked_ends()
        if ended:
            for server in ended:
                server.wanted = False
            raise Failed("ended unasked: %s" % ", ".join(
                "%s with status %s (see %s)" % (server.host, server.popen.returncode, server.log)
                for server in ended))
        self.report.tick()

    def run(self):
        """The whole trial. Gives the troubles, in words; none is success."""
        try:
            self._step("start", self._start)
            if not self.troubles:
                self._step("scenario", lambda: self.scenario.function(self))
                self._step("healing", self._heal)
                self._step("judging", self._judge)
                self.report.progress(1.0)
        finally:
            self.load.close()
            self.bed.close()
        return self.troubles

    def _step(self, name, action):
        try:
            action()
        except (Failed, AssertionError, OSError, subprocess.SubprocessError, RuntimeError) as error:
            self.troubles.append("%s: %s" % (name, str(error) or type(error).__name__))
            self.note("FAILED %s" % self.troubles[-1])
        except Exception as error:  # a client's exception or one of our own: it fails this scenario, not the run
            self.troubles.append("%s: %s: %s" % (name, type(error).__name__, error))
            self.note("FAILED %s" % self.troubles[-1])

    def _start(self):
        if self.scenario.uses(power.POWER):
            self.bed.power = power.PowerDisks(self.bed)
        self.bed.start()
        self.load.start()
        self.note("%d brokers, 3 ZooKeepers, load runs" % len(self.bed.brokers))
        self.hold(2)

    def _heal(self):
        self.active.clear()
        inject.heal_everything(self.bed)
        self.load.mark_healed()
        self.note("all healed")
        self.bed.wait_brokers(SETTLE_SECONDS)
        self.settle(SETTLE_SECONDS)
        self.expect_writes(SETTLE_SECONDS, "writes to all partitions")

    def _judge(self):
        self.troubles += self.load.finish()
        missing = self.load.canary.missing()
        if missing:
            self.troubles.append("the canary misses %d of %d acknowledged records: %s" % (
                len(missing), len(self.load.canary.acknowledged), "; ".join(missing[:5])))
        self._step("after the load", lambda: self.settle(SETTLE_SECONDS))
        self._step("stopping", self._stop_brokers)
        folders = [folder for broker in self.bed.brokers.values() for folder in broker.data]
        self._step("history", lambda: self._judge_history(folders))
        self._step("replicas", lambda: self._compare_replicas(folders))
        self._read_logs()
        if self.load.canary.refusals:
            self.note("the canary's producer was refused %d times: %s" % (
                len(self.load.canary.refusals), self.load.canary.refusals[-1]))
        self.note("longest pause of the canary: %.2f s" % self.load.canary.longest_gap_seconds)

    def _stop_brokers(self):
        """All at once: nothing is to be moved any more."""
        for broker in self.bed.brokers.values():
            if not broker.is_running():
                raise Failed("%s does not run" % broker.host)
            broker.begin_stop()
        for broker in self.bed.brokers.values():
            status = broker.stop(60)
            if status != 0:
                raise Failed("%s ended with status %s after SIGTERM (see %s)" % (broker.host, status, broker.log))

    def _judge_history(self, folders):
        troubles, excused, facts = verdict.judge_history(self.load.folder, folders, self.folder / "history.json")
        self.troubles += ["history: " + trouble for trouble in troubles]
        self.note("history: %s" % facts)
        if excused:
            self.note("%d records stand twice, for their producer began a new epoch by itself" % excused)

    def _compare_replicas(self, folders):
        command = [PYTHON, "-B", HISTORY / "replicas.py", *folders, "--ignore", ",".join(self.scenario.ignore_topics)]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300 * SCALE)
        (self.folder / "replicas.txt").write_text(result.stdout + result.stderr)
        said = (result.stdout + result.stderr).strip().splitlines()
        if result.returncode != 0:
            self.troubles.append("replicas: %s" % "\n".join(said[:40]))
        self.note("replicas: %s" % (said or [""])[-1])

    def _read_logs(self):
        for broker in self.bed.brokers.values():
            self.troubles += ["%s wrote: %s" % (broker.host, report) for report in broker.reports()]
            errors = broker.error_lines()
            if errors and not (broker.errors_allowed or self.scenario.errors_allowed):
                self.troubles.append("%s logged %d errors, the first: %s (see %s)" % (
                    broker.host, len(errors), errors[0], broker.log))
