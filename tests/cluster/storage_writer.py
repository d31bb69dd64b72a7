# SPDX-License-Identifier: Apache-2.0
"""
Lives and deaths of tests/support/storage_writer.c: a process that appends to 20 partitions with everything going on
that happens to logs, on real files, and tells what it does through a pipe.
"""
import random
import struct
import subprocess
import threading

from processes import BUILD, SCALE, die_with_parent

PROGRAM = BUILD / "tests" / "storage_writer"
# struct storm_event of tests/support/storm_model.h; its first field is the kind, 0: all was found well.
EVENT = struct.Struct("=iiqQqqiiii")


class StorageWriter:
    """The writer of one folder through many lives; `events` counts what its journal has."""

    def __init__(self, folder, seed):
        self.data = folder / "logs"
        self.data.mkdir()
        self.journal = folder / "journal"
        self.journal.touch()
        self.chance = random.Random(seed)
        self.seed = seed
        self.lives = 0
        self.events = 0

    def _start(self, *arguments):
        self.lives += 1
        command = [PROGRAM, self.data, str(self.seed * 1000 + self.lives), self.journal, *arguments]
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, preexec_fn=die_with_parent)

    def _collect(self, process, well):
        """Appends what comes through the pipe to the journal, until the process is gone."""
        with self.journal.open("ab") as journal:
            while True:
                event = process.stdout.read(EVENT.size)
                if len(event) < EVENT.size:
                    break
                journal.write(event)
                self.events += 1
                if EVENT.unpack(event)[0] == 0:
                    well.set()
        well.set()

    def live_and_die(self, seconds):
        """One life: verified, then killed a random moment of up to `seconds` later; now and then before that."""
        process = self._start()
        well = threading.Event()
        collector = threading.Thread(target=self._collect, args=(process, well))
        collector.start()
        if self.chance.random() < 0.75:
            assert well.wait(60 * SCALE), "the writer did not come so far in a minute"
        try:
            process.wait(timeout=self.chance.random() * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        status = process.wait(timeout=30)
        collector.join()
        words = process.stderr.read().decode(errors="replace")
        process.stdout.close()
        process.stderr.close()
        assert status == -9, "life %d of seed %d ended by itself with %s: %s" % (
            self.lives, self.seed, status, words)

    def check(self):
        """A last life that verifies and stops cleanly."""
        process = self._start("check")
        well = threading.Event()
        self._collect(process, well)
        words = process.stderr.read().decode(errors="replace")
        status = process.wait(timeout=30)
        process.stdout.close()
        process.stderr.close()
        assert status == 0, "the last life of seed %d ended with %s: %s" % (self.seed, status, words)
