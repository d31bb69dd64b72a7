# SPDX-License-Identifier: Apache-2.0
"""
What the operator sees: the plan, lines with time (a bar on a terminal), a line for each scenario, the count at the end.
"""
import sys
import time

_BAR = 24
_HEARTBEAT_SECONDS = 20


def clock(seconds):
    return "%02d:%02d" % (seconds // 60, seconds % 60)


class Report:
    """Prints; `quiet` leaves out the events, which the trial's folder has in any case."""

    def __init__(self, quiet=False, output=None):
        self.output = output or sys.stdout
        self.quiet = quiet
        self.is_terminal = self.output.isatty()
        self.began = time.monotonic()
        self.spoke = self.began
        self.drawn = 0
        self.fraction = 0.0
        self.name = ""

    def _print(self, text):
        if self.is_terminal:
            self.output.write("\r\033[K")
        self.output.write(text + "\n")
        self.output.flush()
        self.spoke = time.monotonic()

    def plan(self, chosen, skipped, options, network):
        self._print("%-28s %-8s %-6s %s" % ("scenario", "faults", "about", "what"))
        for one in chosen:
            seconds = options.minutes * 60 if options.minutes else one.seconds
            self._print("%-28s %-8s %-6s %s" % (one.name, one.numbers, clock(seconds + 40), one.title))
        for one, reason in skipped:
            self._print("%-28s %-8s %-6s skipped: %s" % (one.name, one.numbers, "-", reason))
        self._print("seed %d; %s" % (options.seed, "each host in a network namespace of its own (bnb-*)"
                                     if network.is_private else "all on loopback"))

    def begin(self, one, number, count):
        self.name = "%d/%d %s" % (number, count, one.name)
        self.fraction = 0.0
        self._print("== %s: %s" % (self.name, one.title))

    def event(self, moment, text):
        if not self.quiet or text.startswith("FAILED"):
            self._print("   %6.1f s  %s" % (moment, text))

    def progress(self, fraction):
        self.fraction = min(1.0, fraction)

    def tick(self):
        """Called often: keeps the bar moving, or says now and then that the run lives."""
        now = time.monotonic()
        if self.is_terminal:
            if now - self.drawn > 0.25:
                full = int(self.fraction * _BAR)
                self.output.write("\r\033[K[%s%s] %s  %s" % ("#" * full, "." * (_BAR - full), self.name,
                                                             clock(now - self.began)))
                self.output.flush()
                self.drawn = now
        elif now - self.spoke > _HEARTBEAT_SECONDS:
            self._print("   %s  %s goes on, %d %%" % (clock(now - self.began), self.name, self.fraction * 100))

    def end(self, one, troubles, seconds, folder, again):
        self._print("%-28s %s in %d s" % (one.name, "FAILED" if troubles else "passed", seconds))
        for trouble in troubles:
            self._print("   " + trouble.replace("\n", "\n   "))
        if troubles:
            self._print("   logs, histories and data: %s" % folder)
            self._print("   again: %s" % again)

    def say(self, text):
        self._print(text)


def write_events(folder, events, seed):
    """What was injected when, beside the logs."""
    rows = ["seed %d" % seed] + ["%8.2f s  %s" % event for event in events]
    (folder / "events.txt").write_text("\n".join(rows) + "\n")
