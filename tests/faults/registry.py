# SPDX-License-Identifier: Apache-2.0
"""
The catalogue: every scenario with its name, its numbers in the catalogue of faults, what it needs and how long it takes.

    @scenario("kill-leader", "F1", "kill -9 of a leader, again and again", seconds=40)
    def kill_leader(trial): …
"""
SCENARIOS = {}


class Scenario:
    """One entry; function(trial) breaks things."""

    def __init__(self, function, name, numbers, title, seconds=30, needs=(), brokers=3, settings=None,
                 errors_allowed=False, is_mix=False):
        self.function = function
        self.name = name
        self.numbers = numbers
        self.title = title
        self.seconds = seconds
        self.needs = needs
        self.brokers = brokers
        self.settings = settings or {}
        self.errors_allowed = errors_allowed
        self.is_mix = is_mix


def scenario(name, numbers, title, **options):
    def register(function):
        if name in SCENARIOS:
            raise ValueError("two scenarios are named %s" % name)
        SCENARIOS[name] = Scenario(function, name, numbers, title, **options)
        return function

    return register
