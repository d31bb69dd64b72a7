# SPDX-License-Identifier: Apache-2.0
"""
A private ZooKeeper server for tests: Debian's jars, a small heap, a data folder and a free port of its own.

    server = ZooKeeper(folder); server.start(); ... server.port ...; server.stop()

It dies with the test process, however that ends. Run as a program it serves one command: `zookeeper.py -- program
argument…` starts a server, runs the program with ZOOKEEPER=127.0.0.1:port in its environment, stops the server and
gives the program's exit status. `zookeeper.py serve` is for tests in C: it starts a server, prints "ready ADDRESS", and
obeys the lines pause, resume, kill, stop and start of its standard input, each answered with "ok"; at the end of the
input it stops. Where Java or ZooKeeper is not installed it exits with 77.
"""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JARS = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
START_SECONDS = 60
NOT_INSTALLED = 77
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent():
    """Run in a child between fork and exec: the kernel kills it when the thread that started it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    """A port that nobody listens on, below those that the system gives to outgoing connections."""
    for _ in range(1000):
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


class ZooKeeper:
    """One server. After stop or kill it can be started again on the same port with the same data."""

    def __init__(self, data_dir, port=None, tick_ms=500):
        self.folder = Path(data_dir)
        self.port = port or free_port()
        self.tick_ms = tick_ms
        self.process = None

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    @property
    def log(self):
        return self.folder / "zookeeper.log"

    def start(self):
        """Starts the server and waits until it answers."""
        self.spawn()
        self.wait_ready()

    def spawn(self):
        """Starts the server and returns at once."""
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        settings = self.folder / "zoo.cfg"
        settings.write_text(
            "tickTime=%d\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n"
            "minSessionTimeout=1000\nmaxSessionTimeout=60000\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=*\n" % (self.tick_ms, self.folder / "data", self.port))
        command = ["java", "-Xms32m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                   "-Dzookeeper.fsync.warningthresholdms=10000", "-Dzookeeper.forceSync=no", "-cp", JARS,
                   "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(settings)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=die_with_parent)

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while self.ask("ruok") != "imok":
            if self.process.poll() is not None:
                raise RuntimeError("ZooKeeper ended with status %d: see %s" % (self.process.returncode, self.log))
            if time.monotonic() > deadline:
                raise RuntimeError("ZooKeeper does not answer: see %s" % self.log)
            time.sleep(0.05)

    def ask(self, word):
        """The answer to a four-letter word, or '' when there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(word.encode())
                answer = b""
                while chunk := connection.recv(65536):
                    answer += chunk
                return answer.decode(errors="replace")
        except OSError:
            return ""

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends the server in order."""
        self._end(signal.SIGTERM)

    def kill(self):
        """Ends it as a power switch would, for its process."""
        self._end(signal.SIGKILL)

    def pause(self):
        """Freezes the server, all its threads, before it returns; connections stay."""
        self.process.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while not self._is_stopped() and time.monotonic() < deadline:
            time.sleep(0.001)

    def _is_stopped(self):
        tasks = Path("/proc/%d/task" % self.process.pid)
        return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir())

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def _end(self, sign):
        if not self.is_running():
            return
        self.process.send_signal(sign)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def is_installed():
    return shutil.which("java") is not None and all(Path(jar).exists() for jar in JARS.split(":"))


def serve():
    """Obeys standard input until it ends."""
    with tempfile.TemporaryDirectory(prefix="zookeeper-") as folder, ZooKeeper(folder) as server:
        print("ready", server.address, flush=True)
        actions = {"pause": server.pause, "resume": server.resume, "kill": server.kill, "stop": server.stop,
                   "start": server.start}
        for line in sys.stdin:
            actions[line.strip()]()
            print("ok", flush=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not is_installed():
        print("skipped: java or %s is not installed" % JARS, file=sys.stderr)
        sys.exit(NOT_INSTALLED)
    if sys.argv[1:] == ["serve"]:
        serve()
        return
    if len(sys.argv) < 3 or sys.argv[1] != "--":
        sys.exit("usage: zookeeper.py -- program argument… | serve")
    with tempfile.TemporaryDirectory(prefix="zookeeper-") as folder, ZooKeeper(folder) as server:
        sys.exit(subprocess.call(sys.argv[2:], env=dict(os.environ, ZOOKEEPER=server.address)))


if __name__ == "__main__":
    main()
