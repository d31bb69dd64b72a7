#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Compares the replicas of all partitions, byte for byte, without any client: it reads the brokers' log directories.

    replicas.py DATA_DIR… [--ends-may-differ] [--ignore TOPIC,…] [--copies N] [--json]

From the greatest log start of a partition's copies to the smallest end all batches must be the same bytes; after the
load has ended and everybody has caught up the ends must be equal too. leader-epoch-checkpoint is compared where it
speaks of that range, with the others' and with the epochs in the batches. Only a compacted topic may differ (each
replica cleans in its own time): --ignore it.

Exit status: 0 all the same, 1 a difference, 2 a directory that cannot be read.
"""
import argparse
import json
import mmap
import re
import struct
import sys
from pathlib import Path

HEADER = struct.Struct(">qiib")  # base offset, length, leader epoch, magic
HEADER_V2 = struct.Struct(">qiibIhiqqqhii")
HEADER_V2_NAMES = ("base_offset", "length", "leader_epoch", "magic", "crc", "attributes", "last_offset_delta",
                   "base_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence", "count")
PARTITION_FOLDER = re.compile(r"^(.+)-(\d+)$")
LENGTH_MOST = 1 << 30


class Replica:
    """One copy of a partition."""

    def __init__(self, folder, broker, log_start):
        self.folder = folder
        self.broker = broker
        self.segments = sorted(folder.glob("*.log"), key=lambda path: int(path.stem))
        first = int(self.segments[0].stem) if self.segments else 0
        self.log_start = max(first, log_start)
        self.end = first
        self.trouble = None
        self.epochs = []  # (epoch, first offset) as the batches say
        for batch in self.batches():
            self.end = batch["last"] + 1
            if not self.epochs or self.epochs[-1][0] != batch["epoch"]:
                self.epochs.append((batch["epoch"], batch["base"]))
        if self.segments:
            self.end = max(self.end, int(self.segments[-1].stem))

    def batches(self):
        """All batches in order: where they are, their offsets and bytes. Ends at what is no batch."""
        for path in self.segments:
            if path.stat().st_size == 0:
                continue
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            position = 0
            while position < len(data):
                if len(data) - position < HEADER.size:
                    self.trouble = "%s: %d bytes at %d are no batch" % (path, len(data) - position, position)
                    return
                base, length, epoch, magic = HEADER.unpack_from(data, position)
                size = length + 12
                if base == 0 and length == 0:
                    break  # room that was made in advance
                if not 14 <= length < LENGTH_MOST or position + size > len(data) or not 0 <= magic <= 2:
                    self.trouble = "%s: the batch at %d has length %d and magic %d" % (path, position, length, magic)
                    return
                last = base + struct.unpack_from(">i", data, position + 23)[0] if magic == 2 else base
                yield {"base": base, "last": last, "epoch": epoch if magic == 2 else -1, "segment": path.name,
                       "position": position, "bytes": data[position:position + size]}
                position += size

    def checkpoint_epochs(self):
        """(epoch, first offset) as leader-epoch-checkpoint says; None where there is none."""
        path = self.folder / "leader-epoch-checkpoint"
        if not path.exists():
            return None
        lines = path.read_text().split("\n")[2:]
        return [tuple(map(int, line.split())) for line in lines if line.strip()]

    def name(self):
        return "broker %s" % self.broker


def within(epochs, start, end):
    """Epochs that have records in [start, end), each from where it begins there."""
    known = []
    for number, (epoch, first) in enumerate(epochs):
        following = epochs[number + 1][1] if number + 1 < len(epochs) else end
        if max(first, start) < min(following, end):
            known.append((epoch, max(first, start)))
    return known


def header_text(batch):
    """A batch's header in words."""
    if batch is None:
        return "nothing"
    place = "%s at %d" % (batch["segment"], batch["position"])
    if len(batch["bytes"]) < HEADER_V2.size or batch["bytes"][16] != 2:
        return "%s: base_offset=%d size=%d" % (place, batch["base"], len(batch["bytes"]))
    fields = zip(HEADER_V2_NAMES, HEADER_V2.unpack_from(batch["bytes"]))
    return "%s: %s" % (place, " ".join("%s=%d" % field for field in fields))


def first_difference(one, other, start, end):
    """(offset, batch of one, batch of other) where they first differ in [start, end), or None."""
    mine = (batch for batch in one.batches() if start <= batch["last"] and batch["base"] < end)
    theirs = (batch for batch in other.batches() if start <= batch["last"] and batch["base"] < end)
    while True:
        left, right = next(mine, None), next(theirs, None)
        if left is None and right is None:
            return None
        if left is None or right is None or left["bytes"] != right["bytes"]:
            offset = min(batch["base"] for batch in (left, right) if batch is not None)
            return max(offset, start), left, right


def compare_partition(name, replicas, ends_may_differ):
    """What differs, a list of {"anomaly", "partition", "brokers", "offset", "text", "headers"}."""
    found = []

    def find(anomaly, brokers, offset, text, headers=()):
        found.append({"anomaly": anomaly, "partition": name, "brokers": brokers, "offset": offset,
                      "text": "%s: %s" % (name, text), "headers": list(headers)})

    start = max(replica.log_start for replica in replicas)
    end = min(replica.end for replica in replicas)
    if len({replica.end for replica in replicas}) > 1 and not ends_may_differ:
        find("different-ends", [replica.broker for replica in replicas], end, "ends are " + ", ".join(
            "%d on %s" % (replica.end, replica.name()) for replica in replicas))
    for replica in replicas:
        if replica.trouble:
            find("unreadable-log", [replica.broker], replica.end, "%s: %s" % (replica.name(), replica.trouble))
        written, said = replica.epochs, replica.checkpoint_epochs()
        said = [] if said is None else said
        wanted = within([one for one in written if one[0] >= 0], replica.log_start, replica.end)
        if wanted != within(said, replica.log_start, replica.end):
            find("wrong-epoch-checkpoint", [replica.broker], replica.log_start, "%s: leader-epoch-checkpoint says %s, "
                 "the batches %s" % (replica.name(), within(said, replica.log_start, replica.end)[-8:], wanted[-8:]))
    first = replicas[0]
    for other in replicas[1:]:
        difference = first_difference(first, other, start, end)
        if difference:
            offset, mine, theirs = difference
            find("divergent-replicas", [first.broker, other.broker], offset, "%s and %s differ from offset %d on" % (
                first.name(), other.name(), offset),
                ["%s: %s" % (first.name(), header_text(mine)), "%s: %s" % (other.name(), header_text(theirs))])
    return found


def broker_of(directory):
    """The broker id in meta.properties, or the directory's own name."""
    try:
        known = re.search(r"(?m)^broker\.id=(\d+)", (directory / "meta.properties").read_text())
    except FileNotFoundError:
        known = None
    return int(known.group(1)) if known else str(directory)


def log_starts(directory):
    """{folder's name: log start} of log-start-offset-checkpoint."""
    path = directory / "log-start-offset-checkpoint"
    if not path.exists():
        return {}
    rows = (line.split() for line in path.read_text().split("\n")[2:] if line.strip())
    return {"%s-%s" % (topic, partition): int(offset) for topic, partition, offset in rows}


def find_replicas(directories):
    """{"topic-partition": replicas} of all directories; folders being deleted, moved or set aside do not count."""
    partitions = {}
    for directory in directories:
        broker, starts = broker_of(directory), log_starts(directory)
        for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
            if PARTITION_FOLDER.match(folder.name) and any(folder.glob("*.log")):
                replica = Replica(folder, broker, starts.get(folder.name, 0))
                partitions.setdefault(folder.name, []).append(replica)
    return partitions


def compare(directories, ends_may_differ=False, ignore=(), copies=None):
    """(what differs, number of partitions, number of replicas)"""
    partitions = find_replicas(directories)
    found = []
    for name, replicas in sorted(partitions.items()):
        if name.rpartition("-")[0] in ignore:
            continue
        found += compare_partition(name, replicas, ends_may_differ)
        if copies is not None and len(replicas) != copies:
            found.append({"anomaly": "missing-replica", "partition": name, "offset": 0, "headers": [],
                          "brokers": [replica.broker for replica in replicas],
                          "text": "%s: %d copies, not %d" % (name, len(replicas), copies)})
    return found, len(partitions), sum(map(len, partitions.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directories", nargs="+", type=Path, metavar="DATA_DIR")
    parser.add_argument("--ends-may-differ", action="store_true", help="the load still runs, or somebody lags")
    parser.add_argument("--ignore", default="", type=lambda text: text.split(","), metavar="TOPIC,…")
    parser.add_argument("--copies", type=int, help="so many copies of each partition")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        found, partitions, replicas = compare(options.directories, options.ends_may_differ, options.ignore,
                                              options.copies)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"valid": not found, "partitions": partitions, "replicas": replicas, "anomalies": found},
                         indent=1))
    else:
        for one in found:
            print("%s: %s" % (one["anomaly"], one["text"]))
            for line in one["headers"]:
                print("    " + line)
        print("%d partitions, %d replicas: %s" % (partitions, replicas, "%d differences" % len(found) if found
                                                  else "all the same"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
