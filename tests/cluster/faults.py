# SPDX-License-Identifier: Apache-2.0
"""
A broker's disks on command: tests/faults/io_faults.c in front of its C library, and the file of rules.

    faults = Faults(broker)                     before it starts
    faults.set("read EIO * %s" % folder)        from now on; set() heals all disks
"""
import os

import pytest

from processes import BUILD

LIBRARY = BUILD / "tests" / "libio_faults.so"


class Faults:
    """The rules of one broker, which is not started yet."""

    def __init__(self, broker):
        if os.environ.get("BARNABAS_PRESET") in ("asan", "tsan"):
            pytest.skip("a library in front of the C library does not go together with a sanitizer's runtime")
        assert LIBRARY.exists(), "there is no %s: build first (tests/run does)" % LIBRARY
        self.rules = broker.folder / "faults"
        self.struck_file = broker.folder / "faults.struck"
        broker.environment = dict(os.environ, LD_PRELOAD=str(LIBRARY), IO_FAULTS=str(self.rules))

    def set(self, *rules):
        """Replaces all rules, with all counts at the beginning."""
        fresh = self.rules.with_suffix(".new")
        fresh.write_text("".join(rule + "\n" for rule in rules))
        fresh.rename(self.rules)

    def struck(self, rule=""):
        """The calls that rules have struck so far, oldest first: '<calls> <what> <path>', those of one rule."""
        if not self.struck_file.exists():
            return []
        return [line for line in self.struck_file.read_text().splitlines() if line.startswith(rule)]
