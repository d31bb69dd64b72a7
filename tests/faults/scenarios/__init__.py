# SPDX-License-Identifier: Apache-2.0
"""
The scenarios by subject; importing this package fills registry.SCENARIOS, which prints them by their numbers.
"""
from scenarios import (crowds, disks, mix, networks, operations, power_cuts, processes, rot,  # noqa: F401
                       torn_writes, zookeepers)
