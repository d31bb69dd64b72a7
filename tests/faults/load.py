# SPDX-License-Identifier: Apache-2.0
"""
What runs while things break: recording producers and consumers (history/clients.py), and a canary in this process.

The recording clients write the histories that history/check.py judges. The canary writes small records to every
partition of its own topic all the time, to tell at once how long writes were held up, and remembers what was
acknowledged where.
"""
import collections
import json
import subprocess
import threading
import time

import clients
import confluent_kafka
from network import CLIENTS
from places import HISTORY, PYTHON, SCALE, wait_until

from bed import Server

TOPICS = {"plain": (), "exact": ("--idempotent",)}
PARTITIONS = 6
CANARY = "canary"
# A frozen or cut-off peer says nothing: these make a client look elsewhere in time. (Not by a short
# topic.metadata.refresh.interval.ms: librdkafka then forgets the topic while no broker answers, leaves a gap in its
# sequences, begins a new epoch, and an idempotent producer writes twice what was in flight.)
IMPATIENT = {"socket.timeout.ms": 4000, "reconnect.backoff.max.ms": 500}
PRODUCER_IMPATIENT = dict(IMPATIENT, **{"request.timeout.ms": 3000})
MESSAGE_TIMEOUT_MS = 30000
_LATENCIES = 100000


class Canary:
    """Small records to every partition of its topic in turn, a hundred a second."""

    def __init__(self, bootstrap):
        settings = {"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, "retry.backoff.ms": 50,
                    "message.timeout.ms": MESSAGE_TIMEOUT_MS, "log_level": 0}
        settings.update(PRODUCER_IMPATIENT)
        self.producer = confluent_kafka.Producer(settings)
        self.bootstrap = bootstrap
        self.last = {partition: 0 for partition in range(PARTITIONS)}
        self.acknowledged = {}
        self.longest_gap_seconds = 0
        self.refusals = []
        self.latencies = collections.deque(maxlen=_LATENCIES)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    def _run(self):
        number = 0
        while not self.stopping.is_set():
            try:
                self.producer.produce(CANARY, b"canary %d" % number, partition=number % PARTITIONS,
                                      on_delivery=self._delivered)
                number += 1
            except BufferError:
                pass
            except confluent_kafka.KafkaException as error:
                # A broker that just started said so: to a client that knew the topic this is an error.
                self.refusals.append(str(error.args[0].str()))
            self.producer.poll(0.001)
            time.sleep(0.009)

    def _delivered(self, error, message):
        if error:
            return
        now = time.monotonic()
        partition = message.partition()
        if self.last[partition]:
            self.longest_gap_seconds = max(self.longest_gap_seconds, now - self.last[partition])
        self.last[partition] = now
        self.latencies.append((now, message.latency()))
        self.acknowledged[(partition, message.offset())] = message.value()

    def slowest_since(self, since):
        """How long after that moment every partition had taken a record; None while one has not."""
        return max(self.last.values()) - since if min(self.last.values()) > since else None

    def latency_p99_seconds(self, since):
        """Of what was sent since that moment; None when it is too little to say."""
        found = sorted(seconds for moment, seconds in list(self.latencies) if moment - seconds > since)
        return found[len(found) * 99 // 100] if len(found) >= 200 else None

    def stop(self):
        """Ends when all that was sent is answered or given up."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join(timeout=30)
        self.producer.flush(MESSAGE_TIMEOUT_MS / 1000 * SCALE + 10)

    def missing(self):
        """Acknowledged records that are not where they were acknowledged."""
        read = clients.kcat_read(self.bootstrap, CANARY)
        return ["canary-%d at offset %d: %r" % (*where, value) for where, value in sorted(self.acknowledged.items())
                if read.get(where) != value]


class Load:
    """The recording clients of one scenario."""

    def __init__(self, bed, seed, debug=None, rate=120, segment_bytes=None):
        self.bed = bed
        self.batch_bytes = segment_bytes // 2 if segment_bytes else None
        self.seed = seed
        self.debug = debug
        self.rate = rate
        self.folder = bed.folder / "history"
        self.folder.mkdir()
        self.stop_files = {what: bed.folder / ("stop-" + what) for what in ("produce", "consume")}
        self.processes = []
        self.canary = Canary(bed.bootstrap)

    def start(self):
        for topic in (*TOPICS, CANARY):
            clients.create_topic(self.bed.bootstrap, topic, PARTITIONS, 3)
        for topic in (*TOPICS, CANARY):
            wait_until(lambda: len(self.bed.partitions(topic)) == PARTITIONS, 20, "topic %s is not made" % topic)
        self.bed.wait_isr_full(20)
        for topic, flags in TOPICS.items():
            self._spawn("produce", topic, topic, "--rate", self.rate, "--largest", 20000,
                        "--message-timeout-ms", MESSAGE_TIMEOUT_MS, *flags)
            self._spawn("consume", topic, topic)
        self.canary.start()
        began = time.monotonic() - 0.001
        wait_until(lambda: self.canary.slowest_since(began), 30, "the canary's first records were not acknowledged")

    def _command(self, what, topics, name, *more):
        impatient = PRODUCER_IMPATIENT if what == "produce" else IMPATIENT
        command = [PYTHON, "-B", HISTORY / "clients.py", what, "--bootstrap", self.bed.bootstrap, "--topics", topics,
                   "--partitions", PARTITIONS, "--history", self.folder / ("%s-%s.jsonl" % (what, name)),
                   "--seed", self.seed, *more]
        if self.batch_bytes and what == "produce":
            # Whoever was held up sends large batches, and a batch that is larger than a segment is refused.
            impatient = dict(impatient, **{"batch.size": self.batch_bytes})
        for setting in impatient.items():
            command += ["--set", "%s=%s" % setting]
        if self.debug:
            command += ["--set", "debug=" + self.debug]
        return [str(word) for word in command]

    def _spawn(self, what, topics, name, *more):
        if what in self.stop_files:
            more += ("--stop-file", self.stop_files[what])
        process = Server(self.bed.network, CLIENTS, self._command(what, topics, name, *more),
                         self.bed.folder / ("%s-%s.log" % (what, name)))
        process.start()
        self.processes.append(process)
        return process

    def unasked_ends(self):
        return [process for process in self.processes if process.wanted and not process.is_running()]

    def _finish(self, what, seconds):
        """Ends the clients of one kind. Gives what went wrong, in words."""
        self.stop_files[what].write_text("")
        troubles = []
        for process in self.processes:
            if what not in process.command:
                continue
            process.wanted = False
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                status = "(it would not end)"
            if status != 0:
                troubles.append("a recording client ended with status %s: see %s" % (status, process.log))
        return troubles

    def mark_healed(self):
        """Tells the checker that from now on nothing may stay open for long."""
        line = {"t": round(time.monotonic(), 6), "proc": "harness", "type": "ok", "f": "mark", "mark": "healed"}
        with (self.folder / "harness.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def finish(self):
        """Ends producers, lets the consumers read what there is, then reads everything anew. Gives the troubles."""
        troubles = self._finish("produce", MESSAGE_TIMEOUT_MS / 1000 + 20)
        self.canary.stop()
        time.sleep(1)
        troubles += self._finish("consume", 30)
        final = self._spawn("final", ",".join(TOPICS), "all", "--seconds", int(120 * SCALE))
        final.wanted = False
        try:
            if final.wait(140) != 0:
                troubles.append("the final read did not reach the ends: see %s" % final.log)
        except subprocess.TimeoutExpired:
            final.kill()
            troubles.append("the final read did not end: see %s" % final.log)
        return troubles

    def close(self):
        self.canary.stopping.set()
        for process in self.processes:
            process.kill()
