# SPDX-License-Identifier: Apache-2.0
"""
The smallest history that shows an anomaly: the lines about its values, offsets and clients, with everything else cut
out of a poll's line. Read again from the files, once for all anomalies that are shown.
"""
import json

LINES_MOST = 40


def lines_that_show(found, paths):
    """Adds "lines" to each anomaly."""
    wanted = [_Wanted(one) for one in found]
    if not wanted:
        return
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    _offer(wanted, "%s:%d" % (path.name, number), line)


def _offer(wanted, place, raw):
    line = None
    for one in wanted:
        if not one.is_full() and one.may_concern(raw):
            line = line or json.loads(raw)
            one.offer(place, line)


class _Wanted:
    """What one anomaly is about."""

    def __init__(self, anomaly):
        self.lines = anomaly["lines"] = []
        self.key = anomaly.get("key")
        self.values = set(anomaly.get("values") or ())
        self.offsets = set(anomaly.get("offsets") or ())
        if anomaly.get("offset", -1) >= 0:
            self.offsets.add(anomaly["offset"])
        self.procs = set(anomaly.get("procs") or ())
        self.times = set(anomaly.get("times") or ())
        self.group_times = set(anomaly.get("group_times") or ())
        needles = [json.dumps(word) for word in self.values | ({self.key} if self.offsets and self.key else set())]
        needles += ['"t":%s' % json.dumps(t) for t in self.times]
        if self.group_times:
            needles.append('"group"')
        self.needles = [needle.encode() for needle in needles]

    def is_full(self):
        return len(self.lines) >= LINES_MOST

    def may_concern(self, raw):
        return any(needle in raw for needle in self.needles)

    def offer(self, place, line):
        if self.group_times:
            if line["t"] in self.group_times and line.get("group"):
                self._add(place, line)
        elif "mops" in line:
            mops = [mop for mop in map(self._cut, line["mops"]) if mop]
            if mops and (not self.procs or line["proc"] in self.procs or mops[0][0] == "send"):
                self._add(place, dict(line, mops=mops))
        elif line["t"] in self.times:
            self._add(place, line)

    def _cut(self, mop):
        """The part of an operation that matters, or None."""
        if mop[0] == "send":
            same_place = mop[1] == self.key and mop[2] is not None and mop[2] in self.offsets
            return mop if mop[3] in self.values or same_place else None
        cut = {}
        for key, records in mop[1].items():
            matter = [one for one in records if one[1] in self.values or (
                key == self.key and one[0] in self.offsets)]
            if matter:
                cut[key] = matter
        return ["poll", cut] if cut else None

    def _add(self, place, line):
        self.lines.append("%s %s" % (place, json.dumps(line, separators=(",", ":"))))
