#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Judges the histories of a folder (*.jsonl, of clients.py): what was lost, doubled, invented or seen out of order.

    check.py FOLDER [--json] [--unclean] [--examples N] [--stuck-seconds S]

Exit status: 0 nothing found, 1 something found, 2 the histories cannot be judged (none there, a broken line). What is
found is named as in README.md, each with the lines of the histories that show it and no others.
"""
import argparse
import json
import sys
from pathlib import Path

from evidence import lines_that_show
from judge import Judge

# Allowed where an unclean election may have happened.
UNCLEAN_ALLOWS = {"lost-write", "unseen", "poll-skip", "inconsistent-offset", "nonmonotonic-poll"}


def read(judge, paths):
    """Feeds all lines; gives an error's words, or None."""
    decode = json.JSONDecoder().raw_decode
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    break
                try:
                    judge.take(decode(line)[0])
                except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                    return "%s:%d: %s: %s" % (path, number, type(error).__name__, error)
    return None


def report(found, facts, paths, options):
    """Prints what was found and gives the exit status."""
    by_name = {}
    for one in found:
        by_name.setdefault(one["anomaly"], []).append(one)
    shown = [one for group in by_name.values() for one in group[:options.examples]]
    lines_that_show(shown, paths)
    counts = {name: len(group) for name, group in sorted(by_name.items())}
    if options.json:
        print(json.dumps({"valid": not found, "counts": counts, "facts": facts, "anomalies": shown}, indent=1))
    else:
        print("history: " + ", ".join("%s %s" % (value, name) for name, value in facts.items()))
        for name, group in sorted(by_name.items()):
            print("\n%s: %d" % (name, len(group)))
            for one in group[:options.examples]:
                print("  " + one["text"])
                for line in one["lines"]:
                    print("    " + line)
        print("\n" + (", ".join("%s: %d" % pair for pair in counts.items()) if counts else "no anomaly"))
    return 1 if found else 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--unclean", action="store_true", help="an unclean election may have lost records")
    parser.add_argument("--examples", type=int, default=5, help="shown of each anomaly (default 5)")
    parser.add_argument("--stuck-seconds", type=float, default=30,
                        help="an operation may be open that long after the mark `healed` (default 30)")
    options = parser.parse_args(arguments)
    paths = sorted(options.folder.glob("*.jsonl"))
    judge = Judge(options.stuck_seconds)
    error = read(judge, paths) if paths else "no histories in %s" % options.folder
    if error:
        print(error, file=sys.stderr)
        return 2
    found = judge.verdict()
    if options.unclean:
        found = [one for one in found if one["anomaly"] not in UNCLEAN_ALLOWS]
    return report(found, judge.facts(), paths, options)


if __name__ == "__main__":
    sys.exit(main())
