# SPDX-License-Identifier: Apache-2.0
"""
The way of the bytes as strace sees it: a plain fetch leaves by sendfile, and an append is one write of the batch.
"""
import re
import subprocess
from pathlib import Path

import pytest

from clients import kcat, kcat_read, numbered_lines
from processes import SCALE, wait_until


class Trace:
    """strace on a running process; calls() gives (name, line) of what it did meanwhile."""

    def __init__(self, pid, path, calls):
        self.path = path
        self.process = subprocess.Popen(["strace", "-f", "-qq", "-s", "0", "-o", str(path), "-e", "trace=" + calls,
                                         "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.pid = pid

    def wait_attached(self):
        """Every thread is traced; skips the test where that is not allowed."""
        def attached():
            if self.process.poll() is not None:
                pytest.skip("strace may not attach here: " + self.process.stderr.read().decode().strip())
            states = [path.read_text() for path in Path("/proc/%d/task" % self.pid).glob("*/status")]
            return all("TracerPid:\t%d\n" % self.process.pid in state for state in states)

        wait_until(attached, 10, "strace does not attach")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20 * SCALE)

    def calls(self):
        return re.findall(r"^\d+\s+(?:<\.\.\. )?(\w+)(.*)$", self.path.read_text(), re.MULTILINE)


@pytest.fixture
def trace(shared, folder):
    """trace(broker, calls) begins a trace that ends with the test at the latest."""
    traces = []

    def begin(broker, calls):
        traces.append(Trace(broker.pid, folder / ("strace-%d" % len(traces)), calls))
        traces[-1].wait_attached()
        return traces[-1]

    yield begin
    for one in traces:
        one.stop()


def result_of(line):
    match = re.search(r"= (\d+)$", line)
    return int(match.group(1)) if match else 0


def fill(shared, topic, count):
    shared.create_topic(topic, assignment={0: [1, 2, 3]})
    shared.wait_isr(topic, 3)
    kcat(shared.brokers[1].address, "-P", "-t", topic, "-p", "0", "-X", "acks=all",
         input=b"\n".join(numbered_lines(count)) + b"\n")


def test_fetch_leaves_by_sendfile(shared, trace):
    count = 20000
    fill(shared, "sent", count)
    tracing = trace(shared.brokers[1], "sendfile")
    assert len(kcat_read(shared.bootstrap, "sent")) == count
    tracing.stop()
    sent = sum(result_of(line) for name, line in tracing.calls() if name == "sendfile")
    stored = sum(path.stat().st_size for path in (shared.brokers[1].data / "sent-0").glob("*.log"))
    assert sent >= stored, "%d of %d bytes left by sendfile" % (sent, stored)


def test_append_is_one_write_of_the_batch(shared, trace):
    """Each batch reaches the leader's file in one call, and the file is written by nothing else."""
    fill(shared, "written", 1)
    path = next((shared.brokers[1].data / "written-0").glob("*.log"))
    before = path.stat().st_size
    tracing = trace(shared.brokers[1], "pwrite64,pwritev,pwritev2,writev,write")
    batches = 20
    for number in range(batches):
        kcat(shared.brokers[1].address, "-P", "-t", "written", "-p", "0", "-X", "acks=all",
             input=b"x" * 50000 + b"%d\n" % number)
    tracing.stop()
    grown = path.stat().st_size - before
    large = [result_of(line) for _, line in tracing.calls() if result_of(line) >= 50000]
    assert grown >= batches * 50000
    assert len(large) == batches, "%d writes for %d batches: %s" % (len(large), batches, large)
