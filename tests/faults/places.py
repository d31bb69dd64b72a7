# SPDX-License-Identifier: Apache-2.0
"""
Where things are: the modules that this harness shares with the cluster tests, and where it keeps its logs.
"""
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
for _folder in (TESTS / "cluster", TESTS / "zookeeper"):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))

from processes import BIN, BUILD, SCALE, Process, die_with_parent, free_port, wait_until  # noqa: E402,F401

LOGS = BUILD / "test-logs" / "faults"
HISTORY = HERE / "history"
IO_FAULTS = BUILD / "tests" / "libio_faults.so"
CLOCK_FAULTS = BUILD / "tests" / "libclock_faults.so"
PYTHON = "/usr/bin/python3"
