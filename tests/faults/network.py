# SPDX-License-Identifier: Apache-2.0
"""
Hosts of a private network: each a network namespace of its own, all on one bridge, with faults between any two.

    network = open_network(["b1", "b2", "z1"])     namespaces where we are root, else plain loopback
    network.cut("b1", "b2"); network.heal(); network.close()

A cut is one way: what the first host sends to the second is addressed to a machine that does not exist (a wrong
neighbour entry), so it vanishes in silence, as on a broken link. The calling process itself moves into the namespace
that holds the bridge, so that it and the clients it starts reach every host. Names begin with bnb-<pid>-; what a dead
run left behind is removed by remove_stale().
"""
import ctypes
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

CLIENTS = "net"
_CLONE_NEWNET = 0x40000000
_NOBODY = "02:62:6e:62:ff:ff"
_FOLDER = Path("/run/netns")


def _ip(lines, namespace=None, force=False):
    """Runs lines of ip commands in one process."""
    command = ["ip"] + (["-n", namespace] if namespace else []) + (["-force"] if force else []) + ["-batch", "-"]
    result = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=30)
    if result.returncode != 0 and not force:
        raise RuntimeError("ip: %s" % result.stderr.strip())


def can_make_namespaces():
    """Whether this process may make namespaces, bridges and what joins them."""
    if os.geteuid() != 0 or not all(shutil.which(word) for word in ("ip", "nsenter", "tc", "ss")):
        return False
    name = "bnb-%d-probe" % os.getpid()
    try:
        if subprocess.run(["ip", "netns", "add", name], capture_output=True, timeout=30).returncode != 0:
            return False
        made = subprocess.run(["ip", "-n", name, "link", "add", "br0", "type", "bridge"], capture_output=True,
                              timeout=30)
        return made.returncode == 0
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=30)


def parse_name(name):
    """The process id in the name of one of our namespaces, or None for somebody else's."""
    match = re.fullmatch(r"bnb-(\d+)-[a-z0-9]+", name)
    return int(match.group(1)) if match else None


def _is_running_harness(pid):
    """A process of that id that may be a run: then its namespaces are not touched."""
    try:
        return b"python" in Path("/proc/%d/cmdline" % pid).read_bytes()
    except OSError:
        return False


def remove_stale():
    """Removes the namespaces of runs that are dead, and the processes in them. Gives the names removed."""
    removed = []
    if os.geteuid() != 0 or not _FOLDER.is_dir():
        return removed
    for name in sorted(path.name for path in _FOLDER.iterdir()):
        pid = parse_name(name)
        if pid is not None and not _is_running_harness(pid):
            remove_namespace(name)
            removed.append(name)
    return removed


def remove_namespace(name):
    """Ends, one by one, the processes that live in a namespace, and removes it."""
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, timeout=30).stdout.split()
    for pid in found:
        if int(pid) != os.getpid():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
    subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=30)


class Loopback:
    """No network of our own: every host is this machine, and nothing between hosts can be broken."""

    is_private = False

    def address(self, host):
        return "127.0.0.1"

    def command(self, host, words):
        return list(words)

    def heal(self):
        pass

    def close(self):
        pass


class PrivateNetwork:
    """Namespaces, a bridge, and the faults between hosts."""

    is_private = True

    def __init__(self, hosts):
        self.prefix = "bnb-%d-" % os.getpid()
        self.numbers = {host: 10 + number for number, host in enumerate(hosts)}
        self.numbers[CLIENTS] = 1
        self.cuts = set()
        self.slowed = set()
        self.loss = None
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        _ip(["netns add " + self.namespace(host) for host in self.numbers])
        net = self.namespace(CLIENTS)
        _ip(["link set lo up", "link add br0 address %s type bridge" % self._mac(CLIENTS),
             "addr add %s/24 dev br0" % self.address(CLIENTS), "link set br0 up"], net)
        for host in self.numbers:
            if host == CLIENTS:
                continue
            _ip(["link add v-%s type veth peer name e0 address %s netns %s" % (
                host, self._mac(host), self.namespace(host)),
                "link set v-%s master br0 up" % host], net)
            _ip(["link set lo up", "addr add %s/24 dev e0" % self.address(host), "link set e0 up"],
                self.namespace(host))
        for host in self.numbers:
            _ip([self._neighbour(host, other, self._mac(other)) for other in self.numbers if other != host],
                self.namespace(host))
        self._enter(os.open(str(_FOLDER / net), os.O_RDONLY | os.O_CLOEXEC))

    def _enter(self, descriptor):
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(descriptor)

    def namespace(self, host):
        return self.prefix + host

    def address(self, host):
        return "10.213.0.%d" % self.numbers[host]

    def _mac(self, host):
        return "02:62:6e:62:00:%02x" % self.numbers[host]

    def _device(self, host):
        return "br0" if host == CLIENTS else "e0"

    def _neighbour(self, host, other, mac):
        return "neigh replace %s lladdr %s dev %s nud permanent" % (self.address(other), mac, self._device(host))

    def command(self, host, words):
        """The command that runs a program on a host, under the same process id."""
        if host == CLIENTS:
            return list(words)
        return ["nsenter", "--net=" + str(_FOLDER / self.namespace(host)), "--"] + list(words)

    def cut(self, sender, receiver):
        """Nothing that the sender sends reaches the receiver any more; the other way is as before."""
        _ip([self._neighbour(sender, receiver, _NOBODY)], self.namespace(sender))
        self.cuts.add((sender, receiver))

    def join(self, sender, receiver):
        """Ends a cut."""
        _ip([self._neighbour(sender, receiver, self._mac(receiver))], self.namespace(sender))
        self.cuts.discard((sender, receiver))

    def slow(self, host, kilobits_a_second):
        """What a host sends goes at this rate, waiting up to a second in a queue and dropped beyond."""
        self._traffic(host, "replace dev %s root tbf rate %dkbit burst 20kb latency 1000ms" % (
            self._device(host), kilobits_a_second))
        self.slowed.add(host)

    def unslow(self, host):
        self._traffic(host, "del dev %s root" % self._device(host))
        self.slowed.discard(host)

    def _traffic(self, host, words):
        subprocess.run(["tc", "-n", self.namespace(host), "qdisc"] + words.split(), check=True, capture_output=True,
                       timeout=30)

    def reset_connections(self, host):
        """Every TCP connection of a host ends with a reset, at both ends."""
        subprocess.run(self.command(host, ["ss", "-K", "-t", "dst", "10.213.0.0/24"]), capture_output=True,
                       timeout=30)

    def begin_loss(self, pairs, percent, seed):
        """Links that lose: each way of each pair is down for some milliseconds, again and again, in all so much."""
        self.end_loss()
        self.loss = _Loss(self, pairs, percent, seed)

    def end_loss(self):
        if self.loss:
            self.loss.stop()
            self.loss = None

    def heal(self):
        """Ends every fault of the network."""
        self.end_loss()
        for sender, receiver in sorted(self.cuts):
            self.join(sender, receiver)
        for host in sorted(self.slowed):
            self.unslow(host)

    def close(self):
        """Removes all namespaces, with whatever still runs in them; the caller is back where it was."""
        self.end_loss()
        if self._home is not None:
            self._enter(self._home)
            self._home = None
        for host in self.numbers:
            if (_FOLDER / self.namespace(host)).exists():
                remove_namespace(self.namespace(host))


class _Loss:
    """A thread that cuts and joins links in short turns."""

    def __init__(self, network, pairs, percent, seed):
        self.network = network
        self.pairs = sorted(pairs)
        self.percent = percent
        self.chance = random.Random(seed)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping.is_set():
            down_seconds = self.chance.uniform(0.02, 0.2)
            self._set(True)
            time.sleep(down_seconds)
            self._set(False)
            self.stopping.wait(down_seconds * (100 - self.percent) / self.percent)

    def _set(self, down):
        for sender, receiver in self.pairs:
            if down:
                self.network.cut(sender, receiver)
            else:
                self.network.join(sender, receiver)

    def stop(self):
        self.stopping.set()
        self.thread.join(timeout=10)


def open_network(hosts):
    """A private network where that can be had, else loopback."""
    return PrivateNetwork(hosts) if can_make_namespaces() else Loopback()
