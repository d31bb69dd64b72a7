# SPDX-License-Identifier: Apache-2.0
"""
The scenarios by subject; importing this package fills registry.SCENARIOS, in the order of the catalogue.
"""
from scenarios import processes  # noqa: F401
