#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Tests that carry the number of an invariant, and the table of docs/invariants-tests.md that lists them:
tests/tidy/invariants.py --write brings its column of named tests up to date.
"""
import re
import sys

from tree import Finding, load

TABLE = "docs/invariants-tests.md"
RULES = range(1, 41)
_C_TEST = re.compile(r"^static void ((?:test_)?i(\d+)_\w+)\(void \*\*", re.MULTILINE)
_PYTHON_TEST = re.compile(r"^def (test_i(\d+)_\w+)\(", re.MULTILINE)
_ROW = re.compile(r"^\| I(\d+) \|")


def named_tests(sources):
    """{number of the rule: the names of its tests, with their files}, in the order of the files."""
    tests = {}
    for source in sorted(sources, key=lambda source: source.path):
        if not source.path.startswith("tests/"):
            continue
        pattern = _C_TEST if source.path.endswith(".c") else _PYTHON_TEST
        if pattern is _PYTHON_TEST and not source.path.endswith(".py"):
            continue
        short = re.sub(r"^tests/(unit/)?", "", source.path)
        for match in pattern.finditer(source.text):
            tests.setdefault(int(match.group(2)), []).append("`%s::%s`" % (short, match.group(1)))
    return tests


def with_tests(line, tests):
    """A row of the table, its second column as it should be; any other line as it is."""
    row = _ROW.match(line)
    if not row:
        return line
    cells = line.split("|")
    cells[2] = " %s " % "<br>".join(tests.get(int(row.group(1)), []))
    return "|".join(cells)


def findings(sources):
    """Rules without a test of their number, and rows that do not list exactly the tests that there are."""
    table = [source for source in sources if source.path == TABLE]
    if not table:
        return
    tests = named_tests(sources)
    lines = table[0].lines
    rows = {int(_ROW.match(line).group(1)): number for number, line in enumerate(lines, 1) if _ROW.match(line)}
    for rule in RULES:
        if rule not in rows:
            yield Finding(TABLE, 1, "I%d has no row" % rule)
        if rule not in tests:
            yield Finding(TABLE, rows.get(rule, 1), "no test is named after I%d" % rule)
    for number, line in enumerate(lines, 1):
        if with_tests(line, tests) != line:
            yield Finding(TABLE, number, "not the tests that there are: run tests/tidy/invariants.py --write")


def main():
    from tidy import ROOT
    sources = load(ROOT)
    if sys.argv[1:] == ["--write"]:
        tests = named_tests(sources)
        lines = (ROOT / TABLE).read_text().split("\n")
        (ROOT / TABLE).write_text("\n".join(with_tests(line, tests) for line in lines))
    for finding in findings(load(ROOT)):
        print(finding)


if __name__ == "__main__":
    main()
