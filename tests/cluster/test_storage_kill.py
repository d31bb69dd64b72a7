# SPDX-License-Identifier: Apache-2.0
"""
A writer on real files is killed at random moments; each restart is held against what it had acknowledged. The same
at every single file operation, without luck, is tests/unit/log/storm_test.c.

BARNABAS_STORAGE_KILLS says how often (20; 200 in a full run), BARNABAS_STORAGE_SEED repeats a run.
"""
import os
import random

from processes import FULL
from storage_writer import StorageWriter

KILLS = int(os.environ.get("BARNABAS_STORAGE_KILLS", "200" if FULL else "20"))
LIFE_SECONDS = 0.6


def test_what_was_acknowledged_survives_kills(folder):
    seed = int(os.environ.get("BARNABAS_STORAGE_SEED", random.randrange(1, 1 << 30)))
    print("seed %d" % seed)
    writer = StorageWriter(folder, seed)
    for _ in range(KILLS):
        writer.live_and_die(LIFE_SECONDS)
    writer.check()
    assert writer.events > KILLS * 20, "the writer did next to nothing in %d lives" % KILLS
