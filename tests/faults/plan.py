# SPDX-License-Identifier: Apache-2.0
"""
Plans of the random mix: what is broken when, drawn from a seed alone.

A plan is an endless row of cycles. A cycle is a handful of steps that may overlap, two at a time; after each cycle all
is healed and has to settle. The same seed draws the same cycles, however long each takes. Steps name servers by number
and by role; who plays a role is known only when the step begins.
"""
import json
import random
from collections import namedtuple

NETWORK, DISK, CLOCK = "network", "disk", "clock"

# kind: (weight, shortest seconds, longest seconds, what it needs)
KINDS = {
    "kill": (10, 1, 10, None),
    "fast-restart": (5, 0, 1, None),
    "stop": (4, 1, 8, None),
    "freeze": (8, 1, 14, None),
    "kill-two": (2, 1, 8, None),
    "expire": (4, 0, 1, None),
    "cut": (5, 4, 14, NETWORK),
    "cut-one-way": (5, 4, 14, NETWORK),
    "isolate": (4, 4, 14, NETWORK),
    "cut-zookeeper": (5, 4, 14, NETWORK),
    "loss": (3, 5, 15, NETWORK),
    "slow": (3, 5, 15, NETWORK),
    "reset": (3, 0, 1, NETWORK),
    "zookeeper-kill": (4, 2, 10, None),
    "zookeeper-quorum": (2, 2, 10, None),
    "zookeeper-freeze": (3, 2, 10, None),
    "full-disk": (2, 3, 8, DISK),
    "disk-error": (2, 3, 8, DISK),
    "slow-disk": (2, 3, 10, DISK),
    "clock": (3, 3, 10, CLOCK),
    "topic": (5, 1, 6, None),
    "reassign": (10, 1, 10, None),
    "elect": (3, 0, 1, None),
    "grow": (2, 0, 1, None),
    "rolling": (3, 12, 30, None),
}
ROLES = ("any", "leader", "controller")

# at: seconds from the start of its cycle; broker, other, zookeeper: numbers from 1; chance: for what else is drawn.
# What is drawn shorter than this still ends after it has begun.
SHORTEST = 0.01
Step = namedtuple("Step", "at seconds kind role broker other zookeeper chance")


def draw_cycle(seed, number, brokers, available):
    """The steps of one cycle, by their beginning. available: what the bed has of NETWORK, DISK and CLOCK."""
    chance = random.Random("mix %d cycle %d" % (seed, number))
    kinds = [kind for kind, row in KINDS.items() if row[3] is None or row[3] in available]
    weights = [KINDS[kind][0] for kind in kinds]
    steps = []
    free_at = [0.0, 0.0]
    for _ in range(chance.randrange(3, 7)):
        lane = chance.randrange(2)
        kind = chance.choices(kinds, weights)[0]
        _, shortest, longest, _ = KINDS[kind]
        at = free_at[lane] + chance.uniform(0, 4)
        seconds = chance.uniform(shortest, longest)
        broker = chance.randrange(1, brokers + 1)
        other = chance.choice([one for one in range(1, brokers + 1) if one != broker])
        steps.append(Step(round(at, 2), round(seconds, 2), kind, chance.choice(ROLES), broker, other,
                          chance.randrange(1, 4), chance.randrange(1 << 30)))
        free_at[lane] = at + seconds + 0.5
    return sorted(steps)


def timeline(steps):
    """(moment, begins, step) in order of time; a step that ends when another begins ends first."""
    rows = [(step.at, True, step) for step in steps]
    rows += [(step.at + max(step.seconds, SHORTEST), False, step) for step in steps]
    return sorted(rows, key=lambda row: (row[0], row[1]))


def describe(step):
    return "%6.2f s  %s for %.1f s (%s, b%d, b%d, z%d)" % (
        step.at, step.kind, step.seconds, step.role, step.broker, step.other, step.zookeeper)


def save(path, cycles):
    """Cycles as a file that load() reads: a line a cycle."""
    path.write_text("".join(json.dumps([list(step) for step in steps]) + "\n" for steps in cycles))


def load(path):
    """The cycles of a file; ValueError when it is none of ours."""
    cycles = []
    for line in path.read_text().splitlines():
        try:
            steps = [Step(*row) for row in json.loads(line)]
        except TypeError as error:
            raise ValueError("%s holds no plan: %s" % (path, error)) from error
        if any(step.kind not in KINDS for step in steps):
            raise ValueError("%s names a fault that is not known" % path)
        cycles.append(steps)
    return cycles
