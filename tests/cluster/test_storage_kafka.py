# SPDX-License-Identifier: Apache-2.0
"""
Folders that a writer left which was killed again and again, with rolls, retention, compaction and truncations going
on, read by Apache Kafka's own DumpLogSegments: every segment record by record, every index, every snapshot.

BARNABAS_KAFKA_LIBS names the folder with the jars of Apache Kafka 3.9; without it there is nobody to ask.
"""
import os
import random
import re
import shutil

import pytest

from processes import run
from storage_writer import StorageWriter

KAFKA_LIBS = os.environ.get("BARNABAS_KAFKA_LIBS")
KILLS = 6
# What DumpLogSegments says of files that are not as they should be. (Gaps between offsets, "Non-consecutive", are what
# compaction leaves, and the tool names them whoever has compacted.)
COMPLAINT = re.compile(r"mismatch|isvalid: false|out of order|corrupt|Exception|indexed offset|invalid", re.IGNORECASE)

pytestmark = pytest.mark.skipif(not KAFKA_LIBS or not shutil.which("java"),
                                reason="BARNABAS_KAFKA_LIBS names no folder of Kafka jars, or there is no java")


def dump(files, *arguments):
    command = ["java", "-Xmx256m", "-cp", KAFKA_LIBS + "/*", "kafka.tools.DumpLogSegments", *arguments,
               "--files", ",".join(str(one) for one in files)]
    result = run(command, seconds=180)
    return (result.stdout + result.stderr).decode(errors="replace")


def complaints(text):
    # A batch that compaction has emptied keeps its greatest timestamp and its place in the time index, with Kafka's
    # cleaner too; the tool finds no record there and says -1.
    if not re.search(r"log timestamp: (?!-1$)", text, re.MULTILINE):
        text = text.replace("Found timestamp mismatch in", "")
    return [line for line in text.splitlines() if COMPLAINT.search(line)][:10]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The log directories as the last kill left them and a start repaired them, stopped cleanly."""
    folder = tmp_path_factory.mktemp("storage-kafka")
    writer = StorageWriter(folder, random.randrange(1, 1 << 30))
    for _ in range(KILLS):
        writer.live_and_die(1.0)
    writer.check()
    yield [path for path in writer.data.glob("*/storm-*") if re.fullmatch(r"storm-\d+", path.name)]
    shutil.rmtree(folder, ignore_errors=True)


def files_of(folders, suffix):
    found = sorted(path for folder in folders for path in folder.glob("*" + suffix))
    assert found, "not one %s" % suffix
    return found


def test_every_record_reads(folders):
    segments = files_of(folders, ".log")
    text = dump(segments, "--deep-iteration", "--print-data-log")
    assert not complaints(text)
    assert text.count("Dumping ") == len(segments)
    assert text.count("| offset: ") > 100


def test_every_index_is_sane(folders):
    indexes = files_of(folders, ".index") + files_of(folders, ".timeindex")
    text = dump(indexes, "--index-sanity-check")
    assert not complaints(text)
    assert text.count("passed sanity check") + text.count("is empty.") == len(indexes)
    assert text.count("passed sanity check") > len(indexes) / 2


def test_every_index_leads_to_its_batches(folders):
    indexes = files_of(folders, ".index") + files_of(folders, ".timeindex")
    assert not complaints(dump(indexes, "--verify-index-only"))


def test_every_snapshot_reads(folders):
    snapshots = files_of(folders, ".snapshot")
    text = dump(snapshots)
    assert not complaints(text)
    assert text.count("producerId: ") > 0
