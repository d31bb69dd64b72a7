# SPDX-License-Identifier: Apache-2.0
"""
A cluster of real brokers on this machine: private folder, free ports, its own place in a ZooKeeper.

    with Cluster(folder, zookeeper, chroot="/a", brokers=3) as cluster:
        cluster.brokers[1].kill()

Broker ids begin with 1. close() stops all brokers and finds fault with what a healthy one never does: an exit status
other than 0 after SIGTERM, a sanitizer's report, a failed check.
"""
from pathlib import Path

import clients
import wire
from processes import BIN, Process, free_port, run, wait_until

READY_SECONDS = 20
SESSION_TIMEOUT_MS = 2000


class Broker(Process):
    """One broker process and what its port answers."""

    def __init__(self, cluster, number, settings):
        self.id = number
        self.cluster = cluster
        self.folder = cluster.folder / ("broker-%d" % number)
        self.data = self.folder / "data"
        self.port = free_port()
        self.address = "127.0.0.1:%d" % self.port
        self.settings = {
            "broker.id": number,
            "listeners": "PLAINTEXT://" + self.address,
            "log.dirs": self.data,
            "zookeeper.connect": cluster.zookeeper.address + cluster.chroot,
            "zookeeper.session.timeout.ms": SESSION_TIMEOUT_MS,
            "log.segment.delete.delay.ms": 1000,
        }
        self.settings.update(settings)
        self.folder.mkdir(parents=True)
        super().__init__([BIN / "barnabasd", self.folder / "server.properties"], self.folder / "log")

    def start(self):
        """Writes the settings anew and starts; wait_ready tells when it serves."""
        rows = ["%s=%s" % (key, value) for key, value in self.settings.items() if value is not None]
        Path(self.command[1]).write_text("\n".join(rows) + "\n")
        super().start()

    def metadata(self, topics=None):
        return wire.metadata_of(self.port, topics)

    def is_ready(self):
        """Serves metadata that names itself and a controller."""
        assert self.is_running(), "broker %d ended with status %s; its last words:\n%s" % (
            self.id, self.popen.returncode, self.log_text()[-2000:])
        known = self.metadata([])
        return known is not None and self.id in known["brokers"] and known["controller"] in known["brokers"]

    def wait_ready(self, seconds=READY_SECONDS):
        wait_until(self.is_ready, seconds, "broker %d is not ready: see %s" % (self.id, self.log))

    def restart(self):
        status = self.stop()
        self.start()
        return status


class Cluster:
    """Brokers 1..N of one cluster."""

    def __init__(self, folder, zookeeper, chroot="", brokers=3, settings=None):
        self.folder = Path(folder)
        self.zookeeper = zookeeper
        self.chroot = chroot
        self.settings = {"default.replication.factor": min(3, brokers), "controlled.shutdown.enable": "true"}
        self.settings.update(settings or {})
        self.brokers = {number: Broker(self, number, self.settings) for number in range(1, brokers + 1)}

    @property
    def bootstrap(self):
        return ",".join(broker.address for broker in self.brokers.values())

    def running(self):
        return [broker for broker in self.brokers.values() if broker.is_running()]

    def start(self):
        for broker in self.brokers.values():
            broker.start()
        self.wait_ready()

    def wait_ready(self, seconds=READY_SECONDS):
        """Every running broker lists every running broker."""
        ids = {broker.id for broker in self.running()}
        for broker in self.running():
            broker.wait_ready(seconds)
            wait_until(lambda: set((broker.metadata([]) or {"brokers": ()})["brokers"]) == ids, seconds,
                       lambda: "broker %d lists %s, not %s" % (broker.id, broker.metadata([]), ids))

    def metadata(self, topics=None):
        """What the first running broker knows."""
        return self.running()[0].metadata(topics)

    def partitions(self, topic):
        """{partition: {leader, replicas, isr, error}} as the first running broker knows it; {} when unknown."""
        known = self.metadata([topic])
        return known["topics"].get(topic, {"partitions": {}})["partitions"] if known else {}

    def controller(self):
        """The broker that is the controller, once all running brokers agree on one that runs."""
        def agreed():
            known = [broker.metadata([]) for broker in self.running()]
            ids = {one["controller"] if one else None for one in known}
            return self.brokers.get(ids.pop()) if len(ids) == 1 else None

        def alive():
            broker = agreed()
            return broker if broker and broker.is_running() else None

        return wait_until(alive, 15, "no controller that all agree on")

    def create_topic(self, name, partitions=1, replicas=None, assignment=None, **config):
        """Creates a topic through the client protocol and waits until every broker knows its leaders."""
        replicas = replicas or min(3, len(self.brokers))
        clients.create_topic(self.bootstrap, name, partitions, replicas, assignment, config)
        self.wait_topic(name, len(assignment) if assignment else partitions)

    def wait_topic(self, name, partitions, seconds=15):
        """Every running broker knows a leader for each partition."""
        for broker in self.running():
            def known():
                answer = broker.metadata([name])
                rows = answer["topics"].get(name, {"partitions": {}})["partitions"] if answer else {}
                return len(rows) == partitions and all(
                    row["leader"] >= 0 and row["error"] == 0 for row in rows.values())

            wait_until(known, seconds, lambda: "broker %d: %s" % (broker.id, broker.metadata([name])))

    def wait_isr(self, topic, size, seconds=10):
        """Every partition of the topic has this many in-sync replicas, as every running broker knows."""
        for broker in self.running():
            def full():
                answer = broker.metadata([topic])
                rows = answer["topics"][topic]["partitions"].values() if answer else ()
                return rows and all(len(row["isr"]) == size for row in rows)

            wait_until(full, seconds, lambda: "in-sync replicas are not %d: broker %d says %s" % (
                size, broker.id, broker.metadata([topic])))

    def tool(self, name, *arguments, input=None, seconds=30, check=True):
        """Runs one of the operators' tools by its name in the bin folder."""
        return run([BIN / name, *arguments], input, seconds, check)

    def close(self):
        """Stops all; asserts that none of them ended or spoke as a sick one does."""
        for broker in self.running():
            broker.popen.terminate()
        troubles = []
        for broker in self.brokers.values():
            was_running = broker.is_running()
            status = broker.stop()
            if was_running and status != 0:
                troubles.append("broker %d ended with status %s after SIGTERM" % (broker.id, status))
            troubles += ["broker %d wrote: %s" % (broker.id, report) for report in broker.reports()]
        assert not troubles, "\n".join(troubles)

    def kill(self):
        for broker in self.brokers.values():
            broker.kill()

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.kill()
        else:
            self.close()
