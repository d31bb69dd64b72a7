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
# What DumpLogSegments says of files that are not as they should be.
COMPLAINT = re.compile(r"mismatch|isvalid: false|out of order|corrupt|Exception|indexed offset|invalid|Non-consecutive",
                       re.IGNORECASE)

pytestmark = pytest.mark.skipif(not KAFKA_LIBS or not shutil.which("java"),
                                reason="BARNABAS_KAFKA_LIBS names no folder of Kafka jars, or there is no java")


def dump(files, *arguments):
    command = ["java", "-Xmx256m", "-cp", KAFKA_LIBS + "/*", "kafka.tools.DumpLogSegments", *arguments,
               "--files", ",".join(str(one) for one in files)]
    result = run(command, seconds=180)
    return (result.stdout + result.stderr).decode(errors="replace")


def is_compacted(folder):
    """Whether the writer compacts that partition: storm_is_compacted in tests/support/storm.c."""
    return int(folder.name.rsplit("-", 1)[1]) % 3 == 1


def complaints(text, compacted):
    if compacted:
        # Kafka's own cleaner leaves these too: gaps between offsets, and a batch without records that keeps its
        # greatest timestamp and its place in the time index, where the tool finds no record and says -1.
        text = re.sub(r"(?mi)^.*non-consecutive.*\n(^\s+.* is followed by .*\n)*", "", text)
        if not re.search(r"log timestamp: (?!-1$)", text, re.MULTILINE):
            text = text.replace("Found timestamp mismatch in", "")
    return [line for line in text.splitlines() if COMPLAINT.search(line)][:10]


def dump_soundly(folders, suffixes, *arguments):
    """What the tool says of all such files, which is no complaint."""
    said = []
    for compacted in (False, True):
        chosen = [folder for folder in folders if is_compacted(folder) == compacted]
        text = dump([path for suffix in suffixes for path in files_of(chosen, suffix)], *arguments)
        assert not complaints(text, compacted)
        said.append(text)
    return "".join(said)


def test_gaps_are_complained_of():
    gap = "Non-consecutive offsets in storm-0/00000000000000000000.log\n  5 is followed by 7\n"
    assert complaints(gap, False)
    assert not complaints(gap, True)
    assert complaints(gap + "Mismatches in :storm-1/00000000000000000000.index\n", True)


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
    text = dump_soundly(folders, [".log"], "--deep-iteration", "--print-data-log")
    assert text.count("Dumping ") == len(files_of(folders, ".log"))
    assert text.count("| offset: ") > 100


def test_every_index_is_sane(folders):
    text = dump_soundly(folders, [".index", ".timeindex"], "--index-sanity-check")
    indexes = len(files_of(folders, ".index") + files_of(folders, ".timeindex"))
    assert text.count("passed sanity check") + text.count("is empty.") == indexes
    assert text.count("passed sanity check") > indexes / 2


def test_every_index_leads_to_its_batches(folders):
    dump_soundly(folders, [".index", ".timeindex"], "--verify-index-only")


def test_every_snapshot_reads(folders):
    assert dump_soundly(folders, [".snapshot"]).count("producerId: ") > 0
