# SPDX-License-Identifier: Apache-2.0
"""Writes the *.txt files of this folder: what Kafka 3.9's own DumpLogSegments prints of the *.hex files.

    KAFKA_LIBS=<folder of Kafka's jars> python3 make.py

all.*.hex are the files of one segment: batches of every codec, nulls, headers, text that is not UTF-8, both kinds of
timestamps, sequences that wrap, transactions and their markers, a delete horizon, a batch emptied by compaction, and
gaps. old.log.hex are message sets of magic 0 and 1, plain and compressed.
"""
import os
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
STEM = "00000000000000000000"
ALL = ",".join(STEM + suffix for suffix in (".log", ".index", ".timeindex", ".txnindex", ".snapshot"))
RUNS = {  # name: (which files, arguments)
    "shallow": ("all", ["--files", ALL]),
    "print": ("all", ["--print-data-log", "--files", ALL]),
    "deep": ("all", ["--deep-iteration", "--files", STEM + ".log"]),
    "skip": ("all", ["--skip-record-metadata", "--print-data-log", "--files", STEM + ".log"]),
    "bytes": ("all", ["--max-bytes", "600", "--files", STEM + ".log"]),
    "verify": ("all", ["--verify-index-only", "--files", STEM + ".index," + STEM + ".timeindex"]),
    "sanity": ("all", ["--index-sanity-check", "--files", STEM + ".index," + STEM + ".timeindex"]),
    "old": ("old", ["--print-data-log", "--files", STEM + ".log"]),
}

for name, (which, arguments) in RUNS.items():
    with tempfile.TemporaryDirectory() as folder:
        for file in HERE.glob(which + ".*.hex"):
            suffix = file.name[len(which):-len(".hex")]
            (pathlib.Path(folder) / (STEM + suffix)).write_bytes(bytes.fromhex(file.read_text()))
        command = ["java", "-cp", os.environ["KAFKA_LIBS"] + "/*", "kafka.tools.DumpLogSegments", *arguments]
        environment = dict(os.environ, LC_ALL="C.UTF-8")
        printed = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True).stdout
        (HERE / (name + ".txt")).write_bytes(printed)
