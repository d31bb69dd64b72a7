#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs each line of a file of seeds and options through the simulator; all of them have to be clean.

usage: run_failed_seeds.py SIMULATE FILE
"""

import subprocess
import sys


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return [line.split() for line in file if line.strip() and not line.startswith("#")]


def main():
    simulate, path = sys.argv[1:]
    failed = 0
    for words in lines_of(path):
        run = subprocess.run([simulate, "--seed", *words], stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode != 0:
            failed += 1
            print(run.stdout)
    sys.exit(1 if failed else 0)


main()
