# SPDX-License-Identifier: Apache-2.0
"""
Processes under test: started with their output in a log, ended for certain, waited for by condition and deadline.
"""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "zookeeper"))

from zookeeper import ZooKeeper, die_with_parent, free_port  # noqa: E402,F401

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("BARNABAS_BUILD", ROOT / "build" / "release"))
BIN = BUILD / "bin"
# How much slower this build may be than a release build.
SCALE = float(os.environ.get("BARNABAS_TIME_SCALE", "1"))
FULL = os.environ.get("BARNABAS_FULL") == "1"
# The output of a sanitizer or of a failed CHECK: never acceptable in a log.
REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|check failed|CHECK failed"
                    r"|Assertion .* failed|double free|stack smashing", re.IGNORECASE)


def wait_until(condition, seconds, what):
    """The first true value of the condition; an AssertionError that says what was waited for when time is over."""
    deadline = time.monotonic() + seconds * SCALE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "after %g s: %s" % (seconds * SCALE, what() if callable(what) else what)
        time.sleep(0.02)


class Process:
    """One program with its log. stop() is orderly; kill() is SIGKILL; both wait for the end."""

    def __init__(self, command, log, environment=None):
        self.command = [str(word) for word in command]
        self.log = Path(log)
        self.environment = environment
        self.popen = None

    def start(self):
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                          env=self.environment, start_new_session=True, preexec_fn=die_with_parent)

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen is not None and self.popen.poll() is None

    def stop(self, seconds=30):
        """SIGTERM; gives the exit status, or None when it had to be killed."""
        if not self.is_running():
            return self.popen.returncode if self.popen else None
        self.popen.send_signal(signal.SIGTERM)
        self.popen.send_signal(signal.SIGCONT)
        try:
            return self.popen.wait(timeout=seconds * SCALE)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self):
        if self.is_running():
            self.popen.kill()
            self.popen.wait(timeout=30)

    def pause(self):
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self):
        self.popen.send_signal(signal.SIGCONT)

    def wait(self, seconds):
        return self.popen.wait(timeout=seconds * SCALE)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_log(self, pattern, seconds=5):
        """The first match of a regular expression in the log."""
        return wait_until(lambda: re.search(pattern, self.log_text()), seconds,
                          "no line of %s matches %r" % (self.log, pattern))

    def reports(self):
        """What sanitizers and failed checks wrote, a few lines each."""
        text = self.log_text()
        return [text[match.start():match.start() + 3000] for match in REPORT.finditer(text)][:3]

    def rss_bytes(self):
        status = Path("/proc/%d/status" % self.pid).read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def run(command, input=None, seconds=60, check=True):
    """Runs a client to its end. Its output is bytes; a failure tells both of its outputs."""
    result = subprocess.run([str(word) for word in command], input=input, capture_output=True,
                            timeout=seconds * SCALE, stdin=subprocess.DEVNULL if input is None else None)
    if check:
        assert result.returncode == 0, "%s gave %d\n%s\n%s" % (
            " ".join(str(word) for word in command), result.returncode,
            result.stdout[-2000:].decode(errors="replace"), result.stderr[-2000:].decode(errors="replace"))
    return result
