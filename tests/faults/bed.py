# SPDX-License-Identifier: Apache-2.0
"""
The bed of a fault test: three ZooKeepers and three to five brokers, each on a host of its own.

Every server knows whether it is meant to run (`wanted`), so that one that ended unasked is found. Nothing here waits
without a deadline, and close() ends every process by its id, frozen ones too.
"""
import os
import shutil
import socket

import wire
import zookeeper
from places import BIN, CLOCK_FAULTS, IO_FAULTS, Process, free_port, wait_until
from znodes import ZooKeeperClient

SESSION_TIMEOUT_MS = 4000
TICK_MS = 500
LAG_TIME_MS = 4000
# Writes go on this long after a leader died: its session ends, is noticed, a leader is elected, clients look again.
RESUME_SECONDS = SESSION_TIMEOUT_MS / 1000 + 2 * TICK_MS / 1000 + 3
ZOOKEEPERS = 3


class Server(Process):
    """A process on a host that is meant to run, or not. wrapper: words of a program that becomes it at its start."""

    def __init__(self, network, host, command, log, environment=None):
        self.words = [str(word) for word in command]
        super().__init__(network.command(host, self.words), log, environment)
        self.network = network
        self.host = host
        self.wrapper = []
        self.address = network.address(host)
        self.wanted = False
        self.frozen = False

    def start(self):
        if self.is_running():
            return
        self.wanted = True
        self.frozen = False
        self.command = self.network.command(self.host, self.wrapper + self.words)
        super().start()

    def kill(self):
        self.wanted = False
        super().kill()

    def stop(self, seconds=30):
        self.wanted = False
        return super().stop(seconds)

    def begin_stop(self):
        """SIGTERM, without waiting."""
        self.wanted = False
        self.popen.terminate()

    def pause(self):
        self.frozen = True
        super().pause()

    def resume(self):
        self.frozen = False
        if self.is_running():
            super().resume()

    def is_well(self):
        return self.is_running() and not self.frozen


class ZooKeeperServer(Server):
    """One member of the ensemble."""

    def __init__(self, bed, number, ports):
        self.number = number
        self.folder = bed.folder / ("zookeeper-%d" % number)
        self.port, self.quorum_port, self.election_port = ports
        command = ["java", "-Xms48m", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                   "-Dzookeeper.fsync.warningthresholdms=10000", "-Dzookeeper.forceSync=no", "-cp", zookeeper.JARS,
                   "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.folder / "zoo.cfg"]
        super().__init__(bed.network, "z%d" % number, command, self.folder / "log")

    def write_settings(self, members):
        (self.folder / "data").mkdir(parents=True)
        (self.folder / "data" / "myid").write_text("%d\n" % self.number)
        rows = ["tickTime=%d" % TICK_MS, "initLimit=20", "syncLimit=6", "dataDir=%s" % (self.folder / "data"),
                "clientPort=%d" % self.port, "clientPortAddress=%s" % self.address, "maxClientCnxns=0",
                "minSessionTimeout=1000", "maxSessionTimeout=60000", "admin.enableServer=false",
                "4lw.commands.whitelist=*"]
        rows += ["server.%d=%s:%d:%d" % (one.number, one.address, one.quorum_port, one.election_port)
                 for one in members]
        (self.folder / "zoo.cfg").write_text("\n".join(rows) + "\n")

    def mode(self):
        """'leader', 'follower', or '' while it does not serve."""
        try:
            with socket.create_connection((self.address, self.port), timeout=1) as connection:
                connection.settimeout(1)
                connection.sendall(b"srvr")
                text = b""
                while chunk := connection.recv(65536):
                    text += chunk
        except OSError:
            return ""
        return next((line.split()[1] for line in text.decode(errors="replace").splitlines()
                     if line.startswith("Mode:")), "")


class Broker(Server):
    """One broker, with two log directories, and disks and a clock that fail on command where the bed wants that."""

    def __init__(self, bed, number, port):
        self.id = number
        self.bed = bed
        self.port = port
        self.folder = bed.folder / ("broker-%d" % number)
        self.folder.mkdir(parents=True)
        self.rules = self.folder / "disk-rules"
        self.clock = self.folder / "clock-offset-ms"
        self.data = [self.folder / "data-1", self.folder / "data-2"]
        self.errors_allowed = False
        super().__init__(bed.network, "b%d" % number, [BIN / "barnabasd", self.folder / "server.properties"],
                         self.folder / "log", self._environment())

    def _environment(self):
        wanted = (IO_FAULTS,) * self.bed.disk_faults + (CLOCK_FAULTS,) * self.bed.clock_faults
        libraries = [str(path) for path in wanted]
        return dict(os.environ, LD_PRELOAD=":".join(libraries), IO_FAULTS=str(self.rules),
                    CLOCK_FAULTS=str(self.clock)) if libraries else None

    @property
    def endpoint(self):
        return "%s:%d" % (self.address, self.port)

    def write_settings(self, settings):
        rows = {
            "broker.id": self.id,
            "listeners": "PLAINTEXT://" + self.endpoint,
            "log.dirs": ",".join(str(folder) for folder in self.data),
            "zookeeper.connect": self.bed.zookeeper_connect,
            "zookeeper.session.timeout.ms": SESSION_TIMEOUT_MS,
            "replica.lag.time.max.ms": LAG_TIME_MS,
            "default.replication.factor": 3,
            "min.insync.replicas": 2,
            "unclean.leader.election.enable": "false",
            "controlled.shutdown.enable": "true",
            "log.segment.delete.delay.ms": 1000,
            "log.retention.ms": -1,
            "auto.create.topics.enable": "false",
        }
        rows.update(settings)
        (self.folder / "server.properties").write_text(
            "".join("%s=%s\n" % (key, value) for key, value in rows.items()))

    def metadata(self, topics=None, seconds=2):
        return wire.metadata_of(self.port, topics, seconds, self.address)

    def set_disk_rules(self, *rules):
        """Replaces the rules of the library io_faults; none heals all disks."""
        fresh = self.rules.with_suffix(".new")
        fresh.write_text("".join(rule + "\n" for rule in rules))
        fresh.rename(self.rules)

    def set_clock_offset(self, seconds):
        """The wall clock of this broker is so far off from now on."""
        fresh = self.clock.with_suffix(".new")
        fresh.write_text("%d\n" % (seconds * 1000))
        fresh.rename(self.clock)

    def wipe(self, folder):
        """The disk below one log directory was replaced by an empty one."""
        shutil.rmtree(folder)
        folder.mkdir()

    def error_lines(self):
        return [line for line in self.log_text().splitlines() if " ERROR " in line[:40]]


class Bed:
    """The whole cluster."""

    def __init__(self, network, folder, brokers, settings=None, disk_faults=False, clock_faults=False):
        self.network = network
        self.folder = folder
        self.disk_faults = disk_faults
        self.clock_faults = clock_faults
        self.power = None
        private = network.is_private
        self.zookeepers = [ZooKeeperServer(self, number, (2181, 2888, 3888) if private else
                                           (free_port(), free_port(), free_port()))
                           for number in range(1, ZOOKEEPERS + 1)]
        self.zookeeper_connect = ",".join("%s:%d" % (one.address, one.port) for one in self.zookeepers) + "/barnabas"
        self.brokers = {number: Broker(self, number, 9092 if private else free_port())
                        for number in range(1, brokers + 1)}
        for one in self.zookeepers:
            one.write_settings(self.zookeepers)
        for broker in self.brokers.values():
            broker.write_settings(settings or {})

    @property
    def servers(self):
        return self.zookeepers + list(self.brokers.values())

    @property
    def bootstrap(self):
        return ",".join(broker.endpoint for broker in self.brokers.values())

    def start(self):
        for one in self.zookeepers:
            one.start()
        wait_until(lambda: sorted(one.mode() for one in self.zookeepers) == ["follower", "follower", "leader"], 60,
                   "the ZooKeepers find no leader: see %s" % self.zookeepers[0].log)
        for broker in self.brokers.values():
            broker.start()
        self.wait_brokers()

    def wait_brokers(self, seconds=30):
        """All brokers run, and each lists all of them."""
        def known():
            return all(broker.is_running() and set((broker.metadata([]) or {"brokers": ()})["brokers"])
                       == set(self.brokers) for broker in self.brokers.values())

        wait_until(known, seconds, lambda: "not all brokers are known: " + ", ".join(
            "broker %d %s" % (broker.id, "lists %s" % sorted((broker.metadata([]) or {"brokers": ()})["brokers"])
                              if broker.is_running() else "does not run") for broker in self.brokers.values()))

    def unasked_ends(self):
        """Servers that are meant to run and do not."""
        return [server for server in self.servers if server.wanted and not server.is_running()]

    def metadata(self, topics=None):
        """What the first broker that answers knows; None when none does."""
        for broker in self.brokers.values():
            if broker.is_well():
                known = broker.metadata(topics)
                if known:
                    return known
        return None

    def zookeeper(self):
        """A client of the first ZooKeeper that serves; close it."""
        def connected():
            for one in self.zookeepers:
                if one.is_well() and one.mode():
                    try:
                        return ZooKeeperClient(one.address, one.port)
                    except (OSError, ConnectionError):
                        continue
            return None

        return wait_until(connected, 30, "no ZooKeeper serves")

    def znode(self, path):
        with self.zookeeper() as client:
            return client.get_json("/barnabas" + path)

    def controller(self):
        """The broker that /controller names, once there is one that runs."""
        def found():
            known = self.znode("/controller")
            broker = self.brokers.get(known["brokerid"]) if known else None
            return broker if broker and broker.is_well() else None

        return wait_until(found, 30, "no controller")

    def partitions(self, topic):
        known = self.metadata([topic])
        return known["topics"].get(topic, {"partitions": {}})["partitions"] if known else {}

    def leader(self, topic, partition):
        """The broker that leads a partition, once there is one."""
        def found():
            row = self.partitions(topic).get(partition)
            return self.brokers.get(row["leader"]) if row else None

        return wait_until(found, 30, "no leader of %s-%d" % (topic, partition))

    def zookeeper_leader(self):
        return wait_until(lambda: next((one for one in self.zookeepers if one.is_well() and one.mode() == "leader"),
                                       None), 30, "no leader among the ZooKeepers")

    def wait_isr_full(self, seconds):
        """As each broker knows it, every partition of every topic has a leader and all replicas in sync."""
        for broker in self.brokers.values():
            wait_until(lambda: not lagging(broker.metadata()), seconds, lambda: "broker %d says: %s" % (
                broker.id, lagging(broker.metadata()) or "nothing"))

    def close(self):
        """Ends every process, first those that a crash of another would make noisy."""
        for server in list(self.brokers.values()) + self.zookeepers:
            server.kill()
        if self.power:
            self.power.close()


def lagging(known):
    """What keeps a cluster's metadata from being all well, in words."""
    if known is None:
        return ["no answer"]
    found = []
    for name, topic in known["topics"].items():
        if topic["error"]:
            found.append("%s: error %d" % (name, topic["error"]))
        for partition, row in topic["partitions"].items():
            if row["leader"] < 0 or row["error"] or set(row["isr"]) != set(row["replicas"]):
                found.append("%s-%d: leader %d, error %d, in sync %s of %s" % (
                    name, partition, row["leader"], row["error"], row["isr"], row["replicas"]))
    return found
