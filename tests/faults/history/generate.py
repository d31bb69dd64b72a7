# SPDX-License-Identifier: Apache-2.0
"""
Makes clean histories from a seed, for the checker's own test: what producers, consumers, groups and a final read on
partitions without any fault would have written. Kept as lists of lines per file, so that a test can spoil one.
"""
import random

from record import History, key_of

KEYS = [key_of("topic", number) for number in range(3)]


class World:
    """A history: files {name: lines}, in which every line is a dictionary."""

    def __init__(self, seed, sends=400, idempotent=True, acks="all"):
        self.chance = random.Random(seed)
        self.t = 100.0
        self.files = {}
        self.logs = {key: [] for key in KEYS}  # the values, by offset
        self.acks = acks
        for number in (1, 2):
            self.add("producer-%d" % number, {"proc": "p%d" % number, "type": "ok", "f": "client", "kind": "producer",
                                              "acks": acks, "idempotent": idempotent, "canary": False})
        self._produce(sends)
        self.consumers = ("c1", "c2")
        for name in self.consumers:
            self._consume(name)
        self._group()
        self.add("marks", {"type": "ok", "f": "mark", "mark": "healed"})
        self._consume("final", final=True)

    def now(self):
        self.t = round(self.t + self.chance.uniform(0.0005, 0.003), 6)
        return self.t

    def add(self, name, line):
        line.setdefault("t", self.now())
        self.files.setdefault(name, []).append(line)
        return line

    def _produce(self, sends):
        counters = {1: 0, 2: 0}
        for _ in range(sends):
            number = self.chance.choice((1, 2))
            key, value = self.chance.choice(KEYS), "p%d-%d" % (number, counters[number])
            counters[number] += 1
            begun = self.add("producer-%d" % number, {
                "proc": "p%d" % number, "type": "invoke", "f": "send", "mops": [["send", key, None, value]]})["t"]
            fate = self.chance.random()
            if fate > 0.03:  # else it certainly did not take place, or nobody knows
                self.logs[key].append(value)
            end = "ok" if fate > 0.06 else "info" if fate > 0.015 else "fail"
            if fate > 0.05:
                self.add("producer-%d" % number, {
                    "t0": begun, "proc": "p%d" % number, "type": end, "f": "send",
                    "mops": [["send", key, len(self.logs[key]) - 1 if end == "ok" else None, value]]})
            elif end == "fail":
                self.add("producer-%d" % number, {
                    "t0": begun, "proc": "p%d" % number, "type": "fail", "f": "send",
                    "mops": [["send", key, None, value]]})

    def _consume(self, name, final=False):
        proc = name if not final else "f1"
        self.add(name, {"proc": proc, "type": "ok", "f": "client", "kind": "consumer", "final": final,
                        "canary": False})
        self.add(name, {"proc": proc, "type": "ok", "f": "assign", "seek": True, "keys": dict.fromkeys(KEYS)})
        begun = self.now()
        at = dict.fromkeys(KEYS, 0)
        while any(at[key] < len(self.logs[key]) for key in KEYS):
            records = {}
            for key in self.chance.sample(KEYS, 2):
                upto = min(len(self.logs[key]), at[key] + self.chance.randrange(1, 40))
                if upto > at[key]:
                    records[key] = [[offset, self.logs[key][offset]] for offset in range(at[key], upto)]
                    at[key] = upto
            if records:
                self.add(name, {"t0": self.now(), "proc": proc, "type": "ok", "f": "poll", "mops": [["poll", records]]})
        if final:
            self.add(name, {"t0": begun, "proc": proc, "type": "ok", "f": "final", "missing": {},
                            "bounds": {key: [0, len(self.logs[key])] for key in KEYS}})

    def _group(self):
        """Two members in two generations, committing and reading back."""
        for generation in (1, 2):
            for member, keys in (("m1", KEYS[:2]), ("m2", KEYS[2:])):
                self.add("group", {"proc": member, "type": "ok", "f": "assigned", "group": "g", "gen": generation,
                                   "member": member, "keys": keys})
            for step in range(1, 6):
                for member, keys in (("m1", KEYS[:2]), ("m2", KEYS[2:])):
                    offsets = {key: generation * 100 + step * 7 for key in keys}
                    for f in ("commit", "committed"):
                        self.add("group", {"t0": self.now(), "t": self.now(), "proc": member, "type": "ok", "f": f,
                                           "group": "g", "member": member, "gen": generation,
                                           "offsets": dict(offsets)})

    # What a spoiler looks for

    def lines(self, f, kind="ok"):
        return [(name, line) for name, lines in self.files.items() for line in lines
                if line["f"] == f and line["type"] == kind]

    def acknowledged(self):
        """(line, key, offset, value) of sends that were acknowledged."""
        return [(line, *line["mops"][0][1:]) for _, line in self.lines("send")]

    def readings(self, key, offset):
        """(file's name, line, the list of records, its place in it) wherever that record was read."""
        for name, line in self.lines("poll"):
            records = line["mops"][0][1].get(key, [])
            for place, record in enumerate(records):
                if record[0] == offset:
                    yield name, line, records, place

    def drop(self, key, offset):
        """Nobody reads that record."""
        for _, _, records, place in list(self.readings(key, offset)):
            del records[place]
        for _, line in self.lines("poll"):
            line["mops"][0][1] = {key: records for key, records in line["mops"][0][1].items() if records}

    def write(self, folder):
        for name, lines in self.files.items():
            history = History(folder / (name + ".jsonl"))
            for line in lines:
                history.write(line)
            history.close()
