# SPDX-License-Identifier: Apache-2.0
"""
The scenarios by subject; importing this package fills registry.SCENARIOS, which prints them by their numbers.
"""
from scenarios import processes, networks, zookeepers, disks, operations, power_cuts, mix  # noqa: F401
