# SPDX-License-Identifier: Apache-2.0
"""
The folder history has its own modules and is tested alone: some have the names of modules of the cluster tests.
"""
collect_ignore = ["history"]
