# SPDX-License-Identifier: Apache-2.0
"""
The faults, one class each: begin() breaks something, heal() makes it whole again as far as it does not by itself.

Each takes the bed first and says in words, by str(), what it did and to whom, for the report.
"""
import znodes
from network import CLIENTS
from places import wait_until

# In what order to heal when everything is to be healed: first the network and ZooKeeper, then brokers.
NETWORK = "network"
DISK = "disk"
CLOCK = "clock"


class Injection:
    """needs: what the bed must have for it: NETWORK (namespaces), DISK or CLOCK (a library in front of libc)."""

    needs = ()

    def __init__(self, bed):
        self.bed = bed

    def begin(self):
        raise NotImplementedError

    def tick(self, moment):
        """Called often, with the monotonic time, for what goes on by steps while it lasts."""

    def heal(self):
        pass


class Kill(Injection):
    """SIGKILL; heal starts them again."""

    def __init__(self, bed, *servers):
        super().__init__(bed)
        self.servers = servers

    def __str__(self):
        return "SIGKILL of %s" % names(self.servers)

    def begin(self):
        for server in self.servers:
            server.kill()

    def heal(self):
        for server in self.servers:
            server.start()


class FastRestart(Kill):
    """SIGKILL and a new start before the session can end."""

    def __str__(self):
        return "SIGKILL and immediate start of %s" % names(self.servers)

    def begin(self):
        super().begin()
        super().heal()


class Stop(Kill):
    """SIGTERM, waited for; heal starts again."""

    def __str__(self):
        return "orderly stop of %s" % names(self.servers)

    def begin(self):
        for server in self.servers:
            status = server.stop(60)
            assert status == 0, "%s ended with status %s after SIGTERM" % (server.host, status)


class Freeze(Injection):
    """SIGSTOP; heal thaws."""

    def __init__(self, bed, *servers):
        super().__init__(bed)
        self.servers = servers

    def __str__(self):
        return "SIGSTOP of %s" % names(self.servers)

    def begin(self):
        for server in self.servers:
            server.pause()

    def heal(self):
        for server in self.servers:
            server.resume()


class Cut(Injection):
    """Nothing passes from the first of a pair to the second."""

    needs = (NETWORK,)

    def __init__(self, bed, pairs, what=None):
        super().__init__(bed)
        self.pairs = [pair for pair in pairs if pair[0] != pair[1]]
        self.what = what

    def __str__(self):
        pairs = ", ".join("%s -> %s" % pair for pair in self.pairs)
        return "cut %s" % ("(%s): %s" % (self.what, pairs) if self.what else pairs)

    def begin(self):
        for pair in self.pairs:
            self.bed.network.cut(*pair)

    def heal(self):
        for pair in self.pairs:
            self.bed.network.join(*pair)


class Loss(Injection):
    """Links between the pairs lose a part of what they carry."""

    needs = (NETWORK,)

    def __init__(self, bed, pairs, percent, seed):
        super().__init__(bed)
        self.pairs, self.percent, self.seed = pairs, percent, seed

    def __str__(self):
        return "%d %% loss on %d links" % (self.percent, len(self.pairs))

    def begin(self):
        self.bed.network.begin_loss(self.pairs, self.percent, self.seed)

    def heal(self):
        self.bed.network.end_loss()


class Slow(Injection):
    """What a host sends goes at so many kilobits a second."""

    needs = (NETWORK,)

    def __init__(self, bed, server, kilobits):
        super().__init__(bed)
        self.server, self.kilobits = server, kilobits

    def __str__(self):
        return "%s sends %d kbit/s" % (self.server.host, self.kilobits)

    def begin(self):
        self.bed.network.slow(self.server.host, self.kilobits)

    def heal(self):
        self.bed.network.unslow(self.server.host)


class Reset(Injection):
    """All connections of a host end with a reset."""

    needs = (NETWORK,)

    def __init__(self, bed, server):
        super().__init__(bed)
        self.server = server

    def __str__(self):
        return "connections of %s reset" % self.server.host

    def begin(self):
        self.bed.network.reset_connections(self.server.host)


class ExpireSession(Injection):
    """The broker's ZooKeeper session ends, by a second handle."""

    def __init__(self, bed, broker):
        super().__init__(bed)
        self.broker = broker
        self.session = None

    def __str__(self):
        return "session of %s expired" % self.broker.host

    def begin(self):
        with self.bed.zookeeper() as client:
            self.session = client.owner("/barnabas/brokers/ids/%d" % self.broker.id)
        if self.session:
            server = self.bed.zookeeper_leader()
            try:
                znodes.expire_session(server.address, server.port, self.session)
            except znodes.ZooKeeperError:
                pass  # it had ended by itself


class DiskRules(Injection):
    """Calls on files of one log directory fail or wait. Heal ends that and restarts the broker."""

    needs = (DISK,)

    def __init__(self, bed, broker, directory, calls, what):
        super().__init__(bed)
        self.broker, self.folder, self.calls, self.what = broker, broker.data[directory], calls, what
        self.struck_before = 0

    def __str__(self):
        return "%s of %s: %s %s" % (self.folder.name, self.broker.host, self.calls, self.what)

    def begin(self):
        self.broker.errors_allowed = True
        self.struck_before = self._struck_bytes()
        self.broker.set_disk_rules("%s %s * %s" % (self.calls, self.what, self.folder))

    def _struck_bytes(self):
        noted = self.broker.rules.with_name(self.broker.rules.name + ".struck")
        return noted.stat().st_size if noted.exists() else 0

    def has_struck(self):
        """Whether a call has met the fault."""
        return self._struck_bytes() > self.struck_before

    def heal(self):
        self.broker.set_disk_rules()
        if not self.what.startswith("delay"):
            self.broker.stop(60)
            self.broker.start()


class ClockJump(Injection):
    """The wall clock of a broker jumps; heal brings it back."""

    needs = (CLOCK,)

    def __init__(self, bed, broker, seconds):
        super().__init__(bed)
        self.broker, self.seconds = broker, seconds

    def __str__(self):
        return "wall clock of %s %+d s" % (self.broker.host, self.seconds)

    def begin(self):
        self.broker.set_clock_offset(self.seconds)

    def heal(self):
        self.broker.set_clock_offset(0)


class Pulse(Injection):
    """A server that is frozen most of the time, without ever being away: slow, not dead."""

    def __init__(self, bed, *servers):
        super().__init__(bed)
        self.servers = servers

    def __str__(self):
        return "slow: %s" % names(self.servers)

    def begin(self):
        pass

    def tick(self, moment):
        frozen = moment % 0.5 < 0.4
        for server in self.servers:
            if frozen != server.frozen:
                (server.pause if frozen else server.resume)()

    def heal(self):
        for server in self.servers:
            server.resume()


def names(servers):
    return ", ".join(server.host for server in servers)


def both_ways(ones, others):
    """The pairs of a two-way cut between hosts."""
    return [pair for one in ones for other in others if one != other for pair in ((one, other), (other, one))]


def zookeeper_hosts(bed):
    return [one.host for one in bed.zookeepers]


def broker_hosts(bed, besides=None):
    return [broker.host for broker in bed.brokers.values() if broker is not besides]


def client_host():
    return CLIENTS


def heal_everything(bed):
    """Whatever is broken is whole again, and every server runs; the order is that of a careful operator."""
    bed.network.heal()
    for server in bed.servers:
        server.resume()
    for one in bed.zookeepers:
        one.start()
    wait_until(lambda: all(one.mode() for one in bed.zookeepers), 60, "the ZooKeepers do not come back")
    for broker in bed.brokers.values():
        if bed.disk_faults and broker.rules.exists() and broker.rules.read_text():
            broker.set_disk_rules()
            broker.stop(60)
        if bed.clock_faults and broker.clock.exists():
            broker.set_clock_offset(0)
        broker.start()
