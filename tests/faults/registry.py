# SPDX-License-Identifier: Apache-2.0
"""
The catalogue: each scenario with its name, its numbers in the catalogue of faults, what it needs, how long it takes.

    @scenario("kill-leader", "F1", "kill -9 of a leader, again and again", seconds=40)
    def kill_leader(trial): …

needs: without one of these (inject.NETWORK, DISK, CLOCK, power.POWER, torn.TRACE, crowds.MEMORY) it is skipped; wants:
it uses them where they are.
errors_allowed: ERROR lines in brokers' logs are no fault. ignore_topics: their replicas need not be the same bytes.
"""
SCENARIOS = {}


class Scenario:
    """One entry; function(trial) breaks things."""

    def __init__(self, function, name, numbers, title, seconds=30, needs=(), wants=(), brokers=3, settings=None,
                 errors_allowed=False, ignore_topics=(), is_mix=False):
        self.function = function
        self.name = name
        self.numbers = numbers
        self.title = title
        self.seconds = seconds
        self.needs = needs
        self.wants = wants
        self.brokers = brokers
        self.settings = settings or {}
        self.errors_allowed = errors_allowed
        self.ignore_topics = ignore_topics
        self.is_mix = is_mix

    def uses(self, what):
        return what in self.needs or what in self.wants


def scenario(name, numbers, title, **options):
    def register(function):
        if name in SCENARIOS:
            raise ValueError("two scenarios are named %s" % name)
        SCENARIOS[name] = Scenario(function, name, numbers, title, **options)
        return function

    return register
