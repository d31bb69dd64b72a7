# SPDX-License-Identifier: Apache-2.0
"""
The trials of tests/faults/mutants: what is broken at which moment for each rule that is off, and what is to be found.

All have three brokers: a leader, a follower and the controller, in a cluster of plain processes. Whether a moment has
come is read from the histories or from metadata, with a deadline; a time that is waited out is one that the scenario is
about (a pause that is longer than replica.lag.time.max.ms).
"""
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster import Cluster
from processes import BUILD, SCALE, Process, ZooKeeper, wait_until

HISTORY = Path(__file__).resolve().parent / "history"
TOPIC = "t"
LOST = {"lost-write", "unseen", "inconsistent-offset"}


class Trial:
    """One cluster with one rule switched off (None: with all rules), clients, and the checkers' words."""

    def __init__(self, mutant, scenario, folder, zookeeper, chroot, seed):
        self.scenario, self.folder, self.seed = scenario, folder, seed
        settings = {"replica.lag.time.max.ms": scenario.lag_ms, "min.insync.replicas": 1,
                    "zookeeper.session.timeout.ms": scenario.session_ms, "controlled.shutdown.enable": "false"}
        self.cluster = Cluster(folder, zookeeper, chroot, brokers=3, settings=settings)
        for broker in self.cluster.brokers.values():
            broker.environment = dict(os.environ, BARNABAS_MUTANT=mutant or "")
        self.clients = []
        self.notes = []

    def start(self):
        cluster = self.cluster
        cluster.start()
        self.controller = cluster.controller()
        self.leader, self.follower = (one for one in cluster.brokers.values() if one is not self.controller)
        replicas = [self.leader.id, self.follower.id] + [self.controller.id] * (self.scenario.replicas == 3)
        cluster.create_topic(TOPIC, assignment={0: replicas}, **{"min.insync.replicas": self.scenario.min_isr})
        cluster.wait_isr(TOPIC, len(replicas))
        self.client("produce", *self.scenario.flags, "--rate", 60, "--largest", 200, "--message-timeout-ms", 20000,
                    "--set", "linger.ms=0", "--set", "batch.num.messages=1", "--set", "compression.type=none",
                    "--set", "request.timeout.ms=1000", "--set", "socket.timeout.ms=1500")
        self.client("consume", "--set", "socket.timeout.ms=2000", "--set", "topic.metadata.refresh.interval.ms=500")
        self.wait_more_acknowledged(60)

    def client(self, what, *flags):
        command = [sys.executable, "-B", HISTORY / "clients.py", what, "--bootstrap", self.cluster.bootstrap,
                   "--topics", TOPIC, "--partitions", "1", "--history", self.folder / "history" / (what + ".jsonl"),
                   "--seed", self.seed, *flags]
        process = Process(command, self.folder / (what + ".log"))
        process.start()
        self.clients.append(process)
        return process

    def acknowledged(self):
        path = self.folder / "history" / "produce.jsonl"
        return path.read_bytes().count(b'"type":"ok","f":"send"') if path.exists() else 0

    def wait_more_acknowledged(self, count, seconds=20):
        before = self.acknowledged()
        wait_until(lambda: self.acknowledged() >= before + count, seconds,
                   lambda: "only %d records more were acknowledged" % (self.acknowledged() - before))

    def wait_isr_at(self, broker, isr, seconds=10):
        """That broker has heard of this ISR."""
        def known():
            rows = (broker.metadata([TOPIC]) or {"topics": {}})["topics"].get(TOPIC, {"partitions": {}})["partitions"]
            return 0 in rows and set(rows[0]["isr"]) == set(isr)

        wait_until(known, seconds, lambda: "the ISR is not %s: %s" % (isr, broker.metadata([TOPIC])))

    def note_unless(self, action):
        """What a broken cluster may fail to do is noted: the checkers give the verdict."""
        try:
            action()
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            self.notes.append(str(error)[:300])

    def others_take_over(self):
        """A leader was killed. Writes go on with another, or, where nobody may lead, not before it is back."""
        try:
            self.wait_more_acknowledged(40, self.scenario.session_ms / 1000 + 6)
        except AssertionError:
            pass
        self.leader.start()
        self.leader.wait_ready()

    def finish(self):
        """Everything runs again, the load ends, all is read and compared. Gives {anomaly: count}."""
        for broker in self.cluster.brokers.values():
            if not broker.is_running():
                broker.start()
            broker.resume()
        self.note_unless(lambda: self.cluster.wait_isr(TOPIC, self.scenario.replicas, 20))
        self.note_unless(lambda: self.wait_more_acknowledged(20))
        for process in reversed(self.clients):
            process.stop(40)
        final = self.client("final", "--seconds", "20")
        final.wait(60)
        counts = self.verdict("check", [HISTORY / "check.py", self.folder / "history"])
        self.note_unless(self.cluster.close)
        counts.update(self.verdict("replicas", [HISTORY / "replicas.py"] + [
            broker.data for broker in self.cluster.brokers.values()]))
        return counts

    def verdict(self, name, command):
        done = subprocess.run([sys.executable, "-B", *map(str, command), "--json"], capture_output=True)
        (self.folder / (name + ".json")).write_bytes(done.stdout + done.stderr)
        if done.returncode not in (0, 1):
            raise AssertionError("%s could not judge: %s" % (name, done.stderr.decode()))
        said = json.loads(done.stdout)
        return said.get("counts") or dict(collections.Counter(one["anomaly"] for one in said["anomalies"]))

    def close(self):
        for process in self.clients:
            process.kill()
        self.cluster.kill()


# What is broken, and when.

def leader_dies_with_a_tail(trial):
    """The followers are frozen for a while, far shorter than a session; what only the leader has dies with it."""
    frozen = (trial.follower, trial.controller)
    for broker in frozen:
        broker.pause()
    time.sleep(1.5)
    trial.leader.kill()
    for broker in frozen:
        broker.resume()
    trial.others_take_over()


def leader_dies_alone_in_the_isr(trial):
    """The follower lags and is taken out of the ISR; then the leader, who has gone on without it, dies."""
    trial.follower.pause()
    trial.wait_isr_at(trial.controller, [trial.leader.id])
    trial.wait_more_acknowledged(60)
    trial.leader.kill()
    trial.follower.resume()
    trial.others_take_over()


def leader_and_controller_die_while_a_proposal_waits(trial):
    """The follower lags; the leader's proposal to remove it reaches nobody, for the controller is frozen, then dead."""
    trial.follower.pause()
    trial.controller.pause()
    time.sleep(trial.scenario.lag_ms * 2.5 / 1000)
    trial.leader.kill()
    trial.controller.kill()
    trial.follower.resume()
    trial.others_take_over()


def registrations(broker):
    return broker.log_text().count("is registered with epoch")


def follower_comes_back_with_an_empty_disk(trial):
    """The controller, frozen at that moment, sees at once that it is there again and that the leader is gone."""
    trial.follower.kill()
    trial.leader.pause()
    shutil.rmtree(trial.follower.data)
    before = registrations(trial.follower)
    trial.follower.start()
    time.sleep(trial.scenario.session_ms * 0.6 / 1000)
    trial.controller.pause()
    trial.leader.kill()
    wait_until(lambda: registrations(trial.follower) > before, 30, "the follower is not registered again")
    trial.controller.resume()
    trial.others_take_over()


def leader_is_slow_to_answer(trial):
    """Frozen longer than the clients wait: they send again, and then it reads both."""
    for _ in range(3):
        trial.leader.pause()
        time.sleep(2.5)
        trial.leader.resume()
        trial.wait_more_acknowledged(40)


class Scenario:
    """A function above, the cluster that it needs, and the anomalies of which one must be reported."""

    def __init__(self, function, expected, replicas=3, min_isr=1, session_ms=5000, lag_ms=30000, flags=()):
        self.function, self.expected = function, expected
        self.replicas, self.min_isr, self.session_ms, self.lag_ms = replicas, min_isr, session_ms, lag_ms
        self.flags = flags


MUTANTS = {
    "acks-before-replication": Scenario(leader_dies_with_a_tail, LOST),
    "high-watermark-too-high": Scenario(leader_dies_with_a_tail, LOST),
    "serve-uncommitted": Scenario(leader_dies_with_a_tail, LOST),
    "no-truncation": Scenario(leader_dies_with_a_tail, {"divergent-replicas"}, flags=("--acks", "1")),
    "unclean-election": Scenario(leader_dies_alone_in_the_isr, LOST, replicas=2, lag_ms=1000),
    "unconfirmed-isr": Scenario(leader_and_controller_die_while_a_proposal_waits, LOST, replicas=2, lag_ms=1000,
                                session_ms=8000),
    "isr-by-id": Scenario(follower_comes_back_with_an_empty_disk, LOST, replicas=2, session_ms=8000),
    "no-sequences": Scenario(leader_is_slow_to_answer, {"duplicate"}, session_ms=8000, flags=("--idempotent",)),
}


def run_one(name, mutant, zookeeper, options):
    """(as it should be, words, seconds)"""
    base = BUILD / "test-logs" / "mutants"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=name + "-", dir=base))
    scenario = MUTANTS[name]
    began = time.monotonic()
    trial = Trial(mutant, scenario, folder / "bed", zookeeper, "/%s" % folder.name, options.seed)
    try:
        trial.start()
        scenario.function(trial)
        counts = trial.finish()
        good = bool(set(counts) & scenario.expected) if mutant else not counts and not trial.notes
        words = ", ".join("%s %d" % pair for pair in sorted(counts.items())) or "nothing"
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        good, words = False, "the scenario did not come about: %s" % str(error)[:500]
    finally:
        trial.close()
    if good and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        words += " (%s; see %s)" % ("; ".join(trial.notes) or "no trouble besides", folder)
    return good, words, time.monotonic() - began


def run(options):
    """Prints a row for each mutant; gives the exit status."""
    if options.list:
        for name, scenario in MUTANTS.items():
            print("%-28s %s" % (name, scenario.function.__doc__.split("\n")[0]))
        return 0
    unknown = set(options.names) - set(MUTANTS)
    if unknown:
        print("no mutant is named %s" % ", ".join(sorted(unknown)), file=sys.stderr)
        return 2
    names = options.names or list(MUTANTS)
    print("seed %d, time scale %g; %s" % (options.seed, SCALE, "control: all rules in force" if options.control else
                                        "one rule off"), flush=True)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="zookeeper-") as folder, ZooKeeper(folder) as zookeeper:
        for name in names:
            good, words, seconds = run_one(name, None if options.control else name, zookeeper, options)
            failed += not good
            print("%-4s %-28s %5.1f s  %s" % ("ok" if good else "BAD", name, seconds, words), flush=True)
    print("%d passed, %d failed" % (len(names) - failed, failed))
    return 1 if failed else 0
