# SPDX-License-Identifier: Apache-2.0
"""
What the checker remembers of the lines that it is fed, and the verdict on records. Groups are judged by groups.py.

Everything is kept in arrays, about 20 bytes a value and 8 an offset, for histories of millions of lines. A value is
known by an id: the number of its process times 2^32 plus its number in that process. Of what a consumer read, only
jumps are kept; whether a jump skipped a record is known when all lines were read.

The order of a key is its map from offset to value, from acknowledged sends and from polls. Offsets that nobody ever
saw a value at are gaps (markers, compaction) and count for nothing.
"""
from array import array

from groups import Groups

NEVER, INVOKED, OK, FAIL, INFO = range(5)
ENDS = {"ok": OK, "fail": FAIL, "info": INFO, "invoke": INVOKED}
NOWHERE = -1
OFFSET_MOST = 1 << 40
CANARY_SECONDS = 10


class Sender:
    """One process that sends: what is known of its values, by their number."""

    def __init__(self, number, name):
        self.number = number
        self.name = name
        self.idempotent = False
        self.weak = False  # acks below all: what it was told is no promise
        self.state = bytearray()
        self.read = bytearray()  # 1: by somebody, 2: in the final read
        self.key = array("i")
        self.offset = array("q")  # acknowledged, or first read
        self.ended = False

    def grow(self, count):
        more = count - len(self.state)
        if more > 0:
            more = max(more, len(self.state) // 2)
            self.state.extend(bytes(more))
            self.read.extend(bytes(more))
            self.key.extend([-1] * more)
            self.offset.extend([NOWHERE] * more)


class Key:
    """One partition: the value at each offset that anybody saw."""

    def __init__(self, number, name):
        self.number = number
        self.name = name
        self.values = array("q")  # by offset from 0
        self.highest_read = -1
        self.final_start = None  # not read at the end

    def put(self, offset, value):
        """Gives the value that stood there already, if it is another one."""
        values = self.values
        if offset >= len(values):
            values.extend([NOWHERE] * (offset + 1 - len(values) + len(values) // 4))
        before = values[offset]
        if before == NOWHERE:
            values[offset] = value
        elif before != value:
            return before
        return None


class Judge:
    """take() each line of each file; then verdict()."""

    def __init__(self, stuck_seconds):
        self.stuck_seconds = stuck_seconds
        self.senders, self.sender_list = {}, []
        self.keys, self.key_list = {}, []
        self.positions = {}  # (consumer, key): last offset read
        self.final = set()
        self.skips = []
        self.found = []
        self.places = {}  # value at more than one offset: offsets
        self.open = {}  # value: (since, process)
        self.last_t = {}  # process: time of its last line
        self.canaries = {}  # process: time of its last progress
        self.healed = None
        self.late = []  # (begun, ended, value)
        self.groups = Groups()
        self.counts = dict.fromkeys(("lines", "ok sends", "failed sends", "sends in doubt", "records read"), 0)

    # Feeding

    def take(self, line):
        self.counts["lines"] += 1
        f = line["f"]
        if f == "send" or f == "poll" or f == "txn":
            self._operation(line)
        elif f == "client":
            self._client(line)
        elif f == "assign":
            for key in line["keys"]:
                self.positions.pop((line["proc"], key), None)
        elif f == "final":
            self._final(line)
        elif f == "mark" and line.get("mark") == "healed":
            self.healed = max(self.healed or 0, line["t"])
        elif f in ("commit", "committed", "assigned", "reset"):
            self.groups.take(line)
        elif f in ("end", "crash"):
            self._progress(line["proc"], line["t"], f)

    def _client(self, line):
        if line.get("kind") == "producer":
            sender = self._sender(line["proc"])
            sender.idempotent = bool(line.get("idempotent"))
            sender.weak = str(line.get("acks", "all")) in ("0", "1")
        if line.get("final"):
            self.final.add(line["proc"])
        if line.get("canary"):
            self.canaries[line["proc"]] = line["t"]

    def _operation(self, line):
        kind, proc = line["type"], line["proc"]
        for mop in line["mops"]:
            if mop[0] == "send":
                self._send(line, kind, mop)
            elif kind != "invoke":
                for key, records in mop[1].items():
                    self._poll(proc, key, records)
        if kind == "ok" and proc in self.canaries:
            self._progress(proc, line["t"], None)
        self.last_t[proc] = line["t"]

    def _progress(self, proc, t, last_word):
        """A canary did something: it must never be longer ago than ten seconds."""
        before = self.canaries.get(proc)
        if before is None:
            return
        if t - before > CANARY_SECONDS:
            self._find("stuck", "canary %s made no progress for %.1f s, from %.3f on" % (proc, t - before, before),
                       procs=[proc], times=[before, t])
        self.canaries[proc] = t
        if last_word:
            del self.canaries[proc]

    def _sender(self, name):
        sender = self.senders.get(name)
        if sender is None:
            sender = self.senders[name] = Sender(len(self.sender_list), name)
            self.sender_list.append(sender)
        return sender

    def _key(self, name):
        key = self.keys.get(name)
        if key is None:
            key = self.keys[name] = Key(len(self.key_list), name)
            self.key_list.append(key)
        return key

    def _value(self, text):
        """(sender, number) of a value as it is written."""
        name, _, number = text.rpartition("-")
        sender = self.senders.get(name) or self._sender(name)
        number = int(number)
        if not 0 <= number < 1 << 31:
            raise ValueError("a value's number is %d" % number)
        if number >= len(sender.state):
            sender.grow(number + 1)
        return sender, number

    def text_of(self, value):
        return "%s-%d" % (self.sender_list[value >> 32].name, value & 0xffffffff)

    def _send(self, line, kind, mop):
        _, key_name, offset, text = mop
        sender, number = self._value(text)
        key = self._key(key_name)
        sender.key[number] = key.number
        state = ENDS[kind]
        if state == INVOKED:
            if sender.state[number] == NEVER:
                sender.state[number] = INVOKED
                self.open[text] = (line["t"], line["proc"])
            return
        sender.state[number] = state
        begun = self.open.pop(text, (line.get("t0", line["t"]), None))[0]
        if line["t"] - begun > self.stuck_seconds:
            self.late.append((begun, line["t"], text, key_name))
        if state == OK:
            self.counts["ok sends"] += 1
            if offset is not None and not sender.weak:
                self._place(sender, number, key, offset)
        else:
            self.counts["failed sends" if state == FAIL else "sends in doubt"] += 1

    def _place(self, sender, number, key, offset):
        """A value stands at an offset, as somebody was told or saw."""
        if not 0 <= offset < OFFSET_MOST:
            raise ValueError("offset %d" % offset)
        value = sender.number << 32 | number
        other = key.put(offset, value)
        if other is not None:
            texts = [self.text_of(other), self.text_of(value)]
            self._find("inconsistent-offset", "%s offset %d is %s and %s" % (key.name, offset, *texts),
                       key=key.name, offset=offset, values=texts)
        known = sender.offset[number]
        if known == NOWHERE:
            sender.offset[number] = offset
        elif known != offset:
            self.places.setdefault((value, key.number), {known}).add(offset)

    def _poll(self, proc, key_name, records):
        key = self.keys.get(key_name) or self._key(key_name)
        final = 2 if proc in self.final else 0
        at = self.positions.get((proc, key_name))
        senders = self.senders
        for record in records:
            offset, text = record[0], record[1]
            if at is not None and offset != at + 1:
                self._jump(proc, key_name, at, offset)
            at = offset
            if text is None:
                self._find("phantom-read", "%s offset %d: %s" % (key_name, offset, record[2]), key=key_name,
                           offset=offset, values=[])
                continue
            name, _, digits = text.rpartition("-")
            sender = senders.get(name)
            if sender is None or int(digits) >= len(sender.state):
                sender, number = self._value(text)
            else:
                number = int(digits)
            sender.read[number] |= 1 | final
            # The usual case, without a call: the same value has been seen here before.
            values = key.values
            if offset >= len(values) or values[offset] != sender.number << 32 | number or (
                    sender.offset[number] != offset):
                self._place(sender, number, key, offset)
            if sender.key[number] != key.number:
                if sender.key[number] == -1:
                    sender.key[number] = key.number
                else:
                    self._find("phantom-read", "%s offset %d: %s was sent to %s" % (
                        key_name, offset, text, self.key_list[sender.key[number]].name), key=key_name, offset=offset,
                        values=[text])
        self.counts["records read"] += len(records)
        if at is not None:
            self.positions[(proc, key_name)] = at
            if at > key.highest_read:
                key.highest_read = at

    def _jump(self, proc, key_name, at, offset):
        if offset <= at:
            self._find("nonmonotonic-poll", "%s: %s read offset %d after %d" % (key_name, proc, offset, at),
                       key=key_name, procs=[proc], offsets=[at, offset], values=[])
        else:
            self.skips.append((proc, key_name, at, offset))

    def _final(self, line):
        if line["type"] != "ok":
            self._find("stuck", "the final read did not reach its goal in time (at, goal): %s" % line.get("missing"),
                       procs=[line["proc"]], times=[line["t"]])
        for name, bounds in (line.get("bounds") or {}).items():
            self._key(name).final_start = bounds[0] if bounds else 0

    def _find(self, anomaly, text, **more):
        self.found.append({"anomaly": anomaly, "text": text, **more})

    # The verdict

    def verdict(self):
        """All that was found, a list of {"anomaly", "text", …}."""
        self._judge_skips()
        self._judge_places()
        for sender in self.sender_list:
            self._judge_sender(sender)
        self._judge_open()
        self.found += self.groups.verdict()
        return self.found

    def facts(self):
        self.counts["sends never ended"] = len(self.open)
        self.counts["keys"] = len(self.key_list)
        self.counts["keys read at the end"] = sum(key.final_start is not None for key in self.key_list)
        return self.counts

    def _judge_skips(self):
        for proc, key_name, at, offset in self.skips:
            between = [value for value in self.keys[key_name].values[at + 1:offset] if value != NOWHERE]
            if between:
                texts = [self.text_of(value) for value in between[:3]]
                self._find("poll-skip", "%s: %s read offset %d after %d and skipped %d, first %s" % (
                    key_name, proc, offset, at, len(between), texts[0]), key=key_name, procs=[proc],
                    offsets=[at, offset], values=texts)

    def _judge_places(self):
        for (value, key_number), offsets in self.places.items():
            sender, text = self.sender_list[value >> 32], self.text_of(value)
            if sender.idempotent:
                self._find("duplicate", "%s stands in %s at offsets %s" % (
                    text, self.key_list[key_number].name, sorted(offsets)[:10]), key=self.key_list[key_number].name,
                    values=[text], offsets=sorted(offsets))

    def _judge_sender(self, sender):
        """One pass over the values of a process, in the order in which they were sent."""
        last = {}
        for number, state in enumerate(sender.state):
            read, key_number, offset = sender.read[number], sender.key[number], sender.offset[number]
            if state == NEVER:
                if read:
                    self._about("phantom-read", sender, number, "which nobody sent, was read")
                continue
            if state == FAIL and read:
                self._about("G1a-aborted-read", sender, number, "which failed, was read")
                continue
            if offset == NOWHERE:
                continue
            if not sender.weak:
                self._judge_kept(sender, number, state, read, self.key_list[key_number], offset)
            if sender.idempotent:
                before = last.get(key_number)
                if before is not None and offset < before[1]:
                    self._about("nonmonotonic-send", sender, number, "stands before %s-%d (offset %d) though it was "
                                "sent after it" % (sender.name, before[0], before[1]),
                                "%s-%d" % (sender.name, before[0]))
                else:
                    last[key_number] = (number, offset)

    def _judge_kept(self, sender, number, state, read, key, offset):
        """What was acknowledged, or read, must be there."""
        gone = key.final_start is not None and offset < key.final_start
        if state == OK and not read and offset < key.highest_read and not gone:
            self._about("lost-write", sender, number, "acknowledged, was read by nobody, though offset %d was"
                        % key.highest_read)
        if key.final_start is not None and not read & 2 and not gone:
            self._about("unseen", sender, number, "%s, is not in the final read" % (
                "acknowledged" if state == OK else "read before"))

    def _about(self, anomaly, sender, number, words, *others):
        text = "%s-%d" % (sender.name, number)
        key = self.key_list[sender.key[number]].name if sender.key[number] >= 0 else None
        self._find(anomaly, "%s offset %d: %s, %s" % (key, sender.offset[number], text, words), key=key,
                   offset=sender.offset[number], values=[text, *others])

    def _judge_open(self):
        """After everything was healed nothing may be open for long."""
        for proc, before in list(self.canaries.items()):
            self._progress(proc, max(self.last_t.get(proc, before), before), None)
        if self.healed is None:
            return
        for begun, ended, text, key in self.late:
            if ended - max(begun, self.healed) > self.stuck_seconds:
                self._find("stuck", "%s: %s was answered after %.1f s, %.1f s after the healing" % (
                    key, text, ended - begun, ended - self.healed), key=key, values=[text])
        for text, (begun, proc) in self.open.items():
            open_for = self.last_t[proc] - max(begun, self.healed)
            if open_for > self.stuck_seconds:
                self._find("stuck", "%s was never answered, %.1f s after the healing" % (text, open_for), values=[text])
