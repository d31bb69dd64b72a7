# SPDX-License-Identifier: Apache-2.0
"""
What faults cost a cluster with many partitions: one ZooKeeper and three brokers on this machine, 10,000 partitions
with three replicas each, release build. See README.md in the folder above for what each row means.
"""
import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "cluster")]

import kafka.admin  # noqa: E402
import kafka.errors  # noqa: E402

import clients  # noqa: E402
import elections  # noqa: E402
import probe  # noqa: E402
from cluster import Cluster  # noqa: E402
from processes import BIN, ZooKeeper  # noqa: E402

# What the controller's log says when all is settled; the times count from the line that `began` finds.
SETTLED = (r"settled: (\d+) elections written after (\d+) ms, (\d+) states in (\d+) multis after (\d+) ms, "
           r"brokers told after (\d+) ms")
GOALS = {"memory": 8.0, "kill": 1.0, "takeover": 1.0, "shutdown": 2.0}


class Bench:
    def __init__(self, cluster, zookeeper, partitions, topics):
        self.cluster = cluster
        self.zookeeper = zookeeper
        self.topics = {"bench-%d" % number: partitions // topics for number in range(topics)}
        self.partitions = sum(self.topics.values())
        self.rows = []

    def note(self, name, values, unit, goal=None):
        middle = statistics.median(values)
        met = "" if goal is None else ("   goal %g: %s" % (goal, "met" if middle < goal else "MISSED"))
        print("%-52s %8.3f %-4s (%s)%s" % (name, middle, unit, ", ".join("%.3f" % one for one in values), met),
              flush=True)
        self.rows.append({"name": name, "median": middle, "values": values, "unit": unit, "goal": goal})

    # ---- the state of the cluster ----

    def assignment(self):
        """{topic: {partition: row}} as the first running broker knows it."""
        return {name: topic["partitions"]
                for name, topic in self.cluster.metadata(list(self.topics))["topics"].items()}

    def all_settled(self):
        """Every running broker knows all partitions with a leader and all replicas in sync."""
        for broker in self.cluster.running():
            known = broker.metadata(list(self.topics))
            rows = [row for topic in (known or {"topics": {}})["topics"].values()
                    for row in topic["partitions"].values()]
            if len(rows) != self.partitions or any(row["leader"] < 0 or len(row["isr"]) != 3 for row in rows):
                return False
        return True

    def settle(self, seconds=180):
        start = time.time()
        probe.wait_until(self.all_settled, seconds, "not all replicas are in sync")
        return time.time() - start

    def prefer(self):
        """Gives every partition back to its preferred replica, as kafka-leader-election does."""
        elections.elect_preferred(self.cluster.controller(), 60000)

    def heirs_of(self, broker):
        """{other broker: {topic: [partitions]}}: who leads what when the broker is gone."""
        heirs = {other: {} for other in self.cluster.running() if other is not broker}
        for topic, rows in self.assignment().items():
            for number, row in rows.items():
                if row["leader"] == broker.id:
                    heir = self.cluster.brokers[next(one for one in row["replicas"] if one != broker.id)]
                    heirs[heir].setdefault(topic, []).append(number)
        return heirs

    def led(self, heirs):
        return sum(len(numbers) for partitions in heirs.values() for numbers in partitions.values())

    def start_again(self, broker):
        broker.start()
        broker.wait_ready(60)
        self.settle()
        self.prefer()

    def create(self, topic, count, seconds=180):
        """Thousands of folders may take longer than the request lasts: it is carried out all the same."""
        client = clients.admin(self.cluster.bootstrap)
        try:
            client.create_topics([kafka.admin.NewTopic(topic, count, 3)], timeout_ms=10000)
        except kafka.errors.RequestTimedOutError:
            pass
        finally:
            client.close()
        self.cluster.wait_topic(topic, count, seconds)

    # ---- the measurements ----

    def memory(self):
        before = {broker: probe.heap_bytes(broker) for broker in self.cluster.running()}
        start = time.time()
        for topic, count in self.topics.items():
            self.create(topic, count)
        self.note("creation of %d partitions" % self.partitions, [time.time() - start], "s")
        self.settle()
        time.sleep(5)
        grown = [(probe.heap_bytes(broker) - size) / self.partitions / 1024 for broker, size in before.items()]
        self.note("heap of an idle partition on one broker", grown, "KiB", GOALS["memory"])
        busy = {broker: probe.cpu_seconds(broker) for broker in self.cluster.running()}
        time.sleep(10)
        self.note("CPU of an idle broker, of one core",
                  [(probe.cpu_seconds(broker) - spent) * 10 for broker, spent in busy.items()], "%")
        self.note("descriptors of a broker", [float(probe.open_files(one)) for one in before], "")

    # ---- the phases of a failure, as the controller's log tells them ----

    def phases(self, began, gone):
        """
        [(phase, seconds since the session's end)]; began: [(phase, pattern of its line)], the first is the line
        from which the controller counts.
        """
        brokers = self.cluster.running()
        stamps = [(phase, probe.first_match(brokers, pattern, gone - 0.1)[0]) for phase, pattern in began]
        _, settled = probe.first_match(brokers, SETTLED, gone - 0.1)
        elections, elected, states, multis, written, told = map(int, settled.groups())
        rows = [(phase, stamp - gone) for phase, stamp in stamps]
        start = stamps[0][1] - gone
        rows.append(("%d elections written" % elections, start + elected / 1000))
        rows.append(("%d states written, %d multis" % (states, multis), start + written / 1000))
        rows.append(("all brokers told and answered", start + told / 1000))
        return rows

    def note_phases(self, runs):
        """One row a phase, over all runs; what they count is taken from the first run."""
        for position, (phase, _) in enumerate(runs[0]):
            self.note("    phase: " + phase, [run[position][1] for run in runs], "s")

    def other_than_controller(self):
        office = self.cluster.controller()
        return next(broker for broker in self.cluster.running() if broker is not office)

    def kill(self, rounds):
        times, phases = [], []
        for _ in range(rounds):
            victim = self.other_than_controller()
            heirs = self.heirs_of(victim)
            path = probe.broker_path(self.zookeeper, victim)
            serve = probe.LeadersServe(heirs)
            victim.kill()
            serve.start()
            gone = probe.wait_gone(self.zookeeper, path)
            times.append(max(serve.wait() - gone, 0.0))
            phases.append(self.phases([("death seen", "broker %d is gone" % victim.id)], gone))
            self.start_again(victim)
        self.note("SIGKILL of a broker that leads %d" % self.led(heirs), times, "s", GOALS["kill"])
        self.note_phases(phases)

    def takeover(self, rounds):
        in_office, all_served, phases = [], [], []
        for _ in range(rounds):
            victim = self.cluster.controller()
            heirs = self.heirs_of(victim)
            path = probe.broker_path(self.zookeeper, victim)  # goes with /controller, which has an heir at once
            serve = probe.LeadersServe(heirs)
            victim.kill()
            serve.start()
            gone = probe.wait_gone(self.zookeeper, path)
            served = serve.wait()
            phases.append(self.phases([("elected", "elected, epoch"), ("states read", "in office, epoch")], gone))
            in_office.append(phases[-1][1][1])
            all_served.append(served - gone)
            self.start_again(victim)
        self.note("kill of the controller: until the new one is in office", in_office, "s", GOALS["takeover"])
        self.note("... until all that the old one led is served", all_served, "s", GOALS["takeover"])
        self.note_phases(phases)

    def shutdown(self, rounds):
        moved, served, ended = [], [], []
        for _ in range(rounds):
            victim = self.other_than_controller()
            heirs = self.heirs_of(victim)
            serve = probe.LeadersServe(heirs)
            serve.start()
            start = time.time()
            victim.popen.terminate()
            victim.wait(60)
            ended.append(time.time() - start)
            moved.append(probe.log_time(victim, "leaderships moved away", start) - start)
            served.append(serve.wait() - start)
            self.start_again(victim)
        self.note("controlled shutdown: until the %d leaders have moved" % self.led(heirs), moved, "s",
                  GOALS["shutdown"])
        self.note("... until the new leaders serve", served, "s", GOALS["shutdown"])
        self.note("... until the process has ended", ended, "s")

    def rolling(self):
        clients.create_topic(self.cluster.bootstrap, "load", 12, 3, config={"min_insync_replicas": 2})
        producer = clients.SteadyProducer(self.cluster.bootstrap, "load", 12).start()
        starts = []
        time.sleep(3)
        for broker in list(self.cluster.brokers.values()):
            start = time.time()
            broker.stop(60)
            broker.start()
            broker.wait_ready(60)
            starts.append(time.time() - start)
            self.settle()
            self.cluster.wait_isr("load", 3, 60)
            self.prefer()
        time.sleep(3)
        producer.stop()
        self.note("rolling restart: stop and start of one broker", starts, "s")
        pauses = []
        for partition in range(12):
            moments = [when for where, _, _, when in producer.acknowledged if where == partition]
            pauses.append(max(later - earlier for earlier, later in zip(moments, moments[1:])))
        self.note("... longest pause of a producer, by partition", pauses, "s")
        print("... longest pause of all: %.3f s; %d records acknowledged, %d errors that were not retried%s" % (
            max(pauses), len(producer.acknowledged), len(producer.errors),
            ": %s" % producer.errors[0] if producer.errors else ""), flush=True)
        self.rows.append({"name": "client errors", "values": [len(producer.errors)], "unit": "", "goal": 1})


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run-cluster", description=__doc__)
    parser.add_argument("--partitions", type=int, default=10000)
    parser.add_argument("--topics", type=int, default=10, help="the partitions are spread over so many topics")
    parser.add_argument("--runs", "--rounds", type=int, default=3,
                        help="how often each fault is made; the medians are printed, and all values")
    parser.add_argument("--only", action="append", choices=["kill", "takeover", "shutdown", "rolling"])
    parser.add_argument("--json", type=Path, help="write the rows to a file, too")
    parser.add_argument("--dir", type=Path, help="where the brokers' folders go; kept when it is named")
    return parser.parse_args()


def measure(folder, options):
    zookeeper = ZooKeeper(folder / "zookeeper")
    zookeeper.start()
    cluster = Cluster(folder, zookeeper, "/bench", 3, {
        "auto.leader.rebalance.enable": "false", "zookeeper.session.timeout.ms": 6000})
    try:
        cluster.start()
        bench = Bench(cluster, zookeeper, options.partitions, options.topics)
        only = options.only or ["kill", "takeover", "shutdown", "rolling"]
        bench.memory()
        for name in ("kill", "takeover", "shutdown"):
            if name in only:
                getattr(bench, name)(options.runs)
        if "rolling" in only:
            bench.rolling()
        if options.json:
            options.json.write_text(json.dumps(bench.rows, indent=1) + "\n")
    finally:
        cluster.kill()
        zookeeper.stop()


def main():
    options = arguments()
    if not (BIN / "barnabasd").exists():
        sys.exit("there is no %s: build first" % (BIN / "barnabasd"))
    if options.dir:
        options.dir.mkdir(parents=True, exist_ok=True)
        measure(options.dir, options)
    else:
        with tempfile.TemporaryDirectory(prefix="barnabas-bench-") as folder:
            measure(Path(folder), options)


if __name__ == "__main__":
    main()
