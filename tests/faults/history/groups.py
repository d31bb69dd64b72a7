# SPDX-License-Identifier: Apache-2.0
"""
The verdict on consumer groups: generations and their owners, offsets committed and read back.

An operation took place somewhere between its beginning (t0) and its end (t); one in doubt may take place at any time
after its beginning. Only what no order of that kind explains is an anomaly.
"""
import collections

FOR_EVER = float("inf")

Commit = collections.namedtuple("Commit", "begun ended member generation offset ok")


class Groups:
    """take() lines about groups; then verdict()."""

    def __init__(self):
        self.commits = collections.defaultdict(list)  # (group, key): commits
        self.reads = []  # (group, key, begun, ended, offset)
        self.owners = collections.defaultdict(dict)  # (group, generation, key): {member: time}
        self.resets = collections.defaultdict(list)  # (group, key): times
        self.found = []

    def take(self, line):
        f, kind, group = line["f"], line["type"], line["group"]
        begun = line.get("t0", line["t"])
        if f == "reset":
            for key in line["keys"]:
                self.resets[(group, key)].append(line["t"])
        elif f == "assigned":
            for key in line["keys"]:
                self.owners[(group, line["gen"], key)].setdefault(line["member"], line["t"])
        elif f == "commit" and kind in ("ok", "info"):
            for key, offset in line["offsets"].items():
                self.commits[(group, key)].append(Commit(
                    begun, line["t"] if kind == "ok" else FOR_EVER, line.get("member"), line.get("gen"), offset,
                    kind == "ok"))
        elif f == "committed" and kind == "ok":
            for key, offset in line["offsets"].items():
                self.reads.append((group, key, begun, line["t"], offset))

    def verdict(self):
        for (group, generation, key), members in self.owners.items():
            if len(members) > 1:
                self._find("two-owners-in-one-generation", "%s generation %s of group %s belongs to %s" % (
                    key, generation, group, ", ".join(sorted(members))), group, key, sorted(members.values()))
        for (group, key), commits in self.commits.items():
            self._judge_commits(group, key, sorted((one for one in commits if one.ok), key=lambda one: one.begun))
        for read in self.reads:
            self._judge_read(*read)
        return self.found

    def _find(self, anomaly, text, group, key, times):
        self.found.append({"anomaly": anomaly, "text": text, "group": group, "key": key, "group_times": times})

    def _judge_commits(self, group, key, commits):
        """Each acknowledged commit against all that had ended when it began."""
        by_end = sorted(commits, key=lambda one: one.ended)
        ended, newest, highest = 0, None, {}
        for commit in commits:
            while ended < len(by_end) and by_end[ended].ended <= commit.begun:
                one = by_end[ended]
                ended += 1
                if one.generation is not None and (newest is None or one.generation > newest.generation):
                    newest = one
                if one.generation not in highest or one.offset >= highest[one.generation].offset:
                    highest[one.generation] = one
            if newest is not None and commit.generation is not None and commit.generation < newest.generation:
                self._find("commit-by-old-generation", "%s of group %s: generation %s committed %d after generation "
                           "%s had" % (key, group, commit.generation, commit.offset, newest.generation), group, key,
                           [newest.ended, commit.ended])
            before = highest.get(commit.generation)
            if before is not None and commit.offset < before.offset and not any(
                    before.begun < reset < commit.ended for reset in self.resets[(group, key)]):
                self._find("commit-went-back", "%s of group %s: %d committed after %d in generation %s" % (
                    key, group, commit.offset, before.offset, commit.generation), group, key,
                    [before.ended, commit.ended])

    def _judge_read(self, group, key, begun, ended, offset):
        """The offset is that of a commit that no other had certainly replaced."""
        known = [one for one in self.commits[(group, key)] if one.begun < ended]
        done = [one for one in known if one.ok and one.ended < begun]
        if not done and offset is None:
            return
        last_begun = max((one.begun for one in done), default=0)
        if offset is not None and any(one.offset == offset and one.ended >= last_begun for one in known):
            return
        if offset is None:
            name, words = "committed-offset-lost", "none, after %d was committed" % done[-1].offset
        elif any(one.offset == offset for one in known):
            name, words = "committed-offset-stale", "%d, replaced since" % offset
        else:
            name, words = "committed-offset-from-nowhere", "%d, which nobody committed" % offset
        self._find(name, "%s of group %s was read as %s" % (key, group, words), group, key,
                   [one.ended for one in done[-1:]] + [ended])
