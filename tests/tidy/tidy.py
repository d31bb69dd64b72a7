# SPDX-License-Identifier: Apache-2.0
"""
Runs the house rules (rules.py) over the tree and prints what breaks them: tests/tidy/tidy.py [rule…].

The two rules about size have a ratchet, ratchet.txt: an offender listed there is borne at the size written beside it
and may only shrink; --tighten rewrites the file to today's sizes and never raises one.
"""
import sys
from pathlib import Path

from rules import RULES, file_sizes, function_sizes
from tree import Finding, load

ROOT = Path(__file__).resolve().parent.parent.parent
RATCHET = Path(__file__).resolve().parent / "ratchet.txt"
RATCHETED = {rule.__name__: rule for rule in (file_sizes, function_sizes)}


def read_ratchet(text):
    """{(rule, name): size} of lines `rule name size`."""
    rows = [line.split() for line in text.split("\n") if line.strip() and not line.startswith("#")]
    return {(rule, name): int(size) for rule, name, size in rows}


def apply_ratchet(rule, findings, ratchet):
    """Findings beyond what the ratchet bears, and entries that are looser than they need be."""
    seen = set()
    for finding in findings:
        key = (rule, finding.path)
        seen.add(key)
        if finding.line > ratchet.get(key, 0):
            yield finding
        elif finding.line < ratchet[key]:
            yield Finding(finding.path, finding.line, "it shrank: run tests/tidy/tidy.py --tighten")
    for entry in ratchet:
        if entry[0] == rule and entry not in seen:
            yield Finding(entry[1], 0, "no offender any more: run tests/tidy/tidy.py --tighten")


def findings_of(rule, sources, root=ROOT):
    """What breaks a rule in the tree."""
    found = list(rule(sources, root))
    if rule.__name__ in RATCHETED:
        return list(apply_ratchet(rule.__name__, found, read_ratchet(RATCHET.read_text())))
    return found


def tighten(sources):
    """Lowers the ratchet to today's sizes; new offenders do not enter."""
    old = RATCHET.read_text()
    ratchet = read_ratchet(old)
    rows = [line for line in old.split("\n") if line.startswith("#")]
    for name, rule in RATCHETED.items():
        for finding in rule(sources, ROOT):
            if (name, finding.path) in ratchet:
                rows.append("%s %s %d" % (name, finding.path, min(finding.line, ratchet[name, finding.path])))
    RATCHET.write_text("\n".join(rows) + "\n")


def main():
    names = sys.argv[1:]
    sources = load(ROOT)
    if names == ["--tighten"]:
        tighten(sources)
        return 0
    status = 0
    for rule in RULES:
        if not names or rule.__name__ in names:
            for finding in findings_of(rule, sources):
                print("%s: %s" % (rule.__name__, finding))
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
