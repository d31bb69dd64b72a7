# SPDX-License-Identifier: Apache-2.0
"""
The quick start brings a cluster up and takes all of it down again; when anything is in the way it says so in a line
and leaves nothing running.
"""
import socket
import subprocess
from pathlib import Path

import pytest

from clients import kcat
from processes import BIN, ROOT, SCALE, free_port


class QuickStart:
    """deploy/quickstart on ports and in a folder of its own."""

    def __init__(self, folder, bin_folder=BIN):
        self.data = folder / "quick"
        self.bin = bin_folder
        self.port = self.three_free_ports()
        self.zookeeper_port = free_port()

    @staticmethod
    def three_free_ports():
        while True:
            first = free_port()
            if not any(is_open(port) for port in range(first, first + 3)):
                return first

    def run(self, *arguments):
        command = [ROOT / "deploy" / "quickstart", *arguments, "--data", self.data, "--bin", self.bin,
                   "--port", self.port, "--zookeeper-port", self.zookeeper_port]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=150 * SCALE,
                              stdin=subprocess.DEVNULL)

    def processes(self):
        """The command lines that name the data folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_text().replace("\0", " ")
            except OSError:
                continue
            if str(self.data) in words and "deploy/quickstart" not in words:
                found.append(words)
        return found

    def assert_nothing_left(self):
        assert not self.processes()
        assert not [port for port in (*range(self.port, self.port + 3), self.zookeeper_port) if is_open(port)]


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def quick(folder):
    made = QuickStart(folder)
    yield made
    made.run("stop")
    assert not made.processes()


@pytest.fixture
def broken(folder):
    """A quick start whose broker is a script that says an error and ends."""
    program = folder / "bin" / "barnabasd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'ERROR broker: the disk is made of cheese'\nexit 1\n")
    program.chmod(0o755)
    return QuickStart(folder, program.parent)


def test_up_and_down(quick):
    assert quick.run("status").returncode == 1
    started = quick.run()
    assert started.returncode == 0, started.stdout + started.stderr
    assert "read it back" in started.stdout and "kafka-topics.sh" in started.stdout
    assert "3 brokers:" in kcat("127.0.0.1:%d" % quick.port, "-L").stdout.decode()
    status = quick.run("status")
    assert status.returncode == 0 and status.stdout.count("running") == 4
    again = quick.run("start")
    assert again.returncode == 0 and "the cluster is up" in again.stdout
    stopped = quick.run("stop")
    assert stopped.returncode == 0 and "killed" not in stopped.stdout, stopped.stdout
    quick.assert_nothing_left()
    assert quick.run("stop").returncode == 0


def test_data_outlives_a_stop(quick):
    assert quick.run("--brokers", "1").returncode == 0
    kcat("127.0.0.1:%d" % quick.port, "-P", "-t", "kept", input=b"still here\n")
    assert quick.run("stop").returncode == 0
    assert quick.run("--brokers", "1").returncode == 0
    read = kcat("127.0.0.1:%d" % quick.port, "-C", "-t", "kept", "-o", "beginning", "-e", "-q").stdout
    assert read == b"still here\n"


@pytest.mark.parametrize("which", ["broker", "zookeeper"])
def test_port_in_use_is_named(quick, which):
    port = quick.port + 1 if which == "broker" else quick.zookeeper_port
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        result = quick.run()
    assert result.returncode != 0
    assert len(result.stderr.strip().split("\n")) == 1 and str(port) in result.stderr
    quick.assert_nothing_left()


def test_broker_that_does_not_come_up_is_quoted(broken):
    result = broken.run()
    assert result.returncode != 0
    assert len(result.stderr.strip().split("\n")) == 1 and "made of cheese" in result.stderr
    broken.assert_nothing_left()


def test_missing_program_is_named(folder):
    result = QuickStart(folder, folder / "nowhere").run()
    assert result.returncode != 0 and "barnabasd" in result.stderr


@pytest.mark.parametrize("arguments", [["--brokers", "none"], ["--port"], ["restart"], ["--port", "70000"]])
def test_wrong_use_is_said(folder, arguments):
    command = [ROOT / "deploy" / "quickstart", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    assert result.returncode != 0 and len(result.stderr.strip().split("\n")) == 1


def test_pid_of_somebody_else_is_never_signalled(quick):
    """A pid file whose number now belongs to another process."""
    with subprocess.Popen(["sleep", "100"]) as bystander:
        try:
            (quick.data / "broker-1").mkdir(parents=True)
            (quick.data / "broker-1" / "pid").write_text("%d\n" % bystander.pid)
            (quick.data / "settings").write_text("3 %d %d\n" % (quick.port, quick.zookeeper_port))
            assert "nothing is running" in quick.run("stop").stdout
            assert bystander.poll() is None
        finally:
            bystander.kill()
