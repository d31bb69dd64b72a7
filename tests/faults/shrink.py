# SPDX-License-Identifier: Apache-2.0
"""
Makes a failed plan smaller: which of its cycles, kinds of faults and single faults does the failure need?

A plan is a list of cycles, a cycle a list of steps (plan.py). Whether a smaller plan still fails is asked by running
it, so every question costs a minute or two, and the asking ends when the time is over. A failure that is a race does
not come each time: what is left is a plan that failed, not always the smallest one.
"""
import re


class TimeIsOver(Exception):
    """No further plan is tried."""


def signature(troubles):
    """What kinds of troubles these are, without what differs from run to run."""
    return {re.sub(r"[\d.]+", "#", re.split(r"[,\n\[]", trouble)[0])[:60] for trouble in troubles}


def without_kind(cycles, kind):
    return [steps for steps in ([step for step in steps if step.kind != kind] for steps in cycles) if steps]


def _keep(cycles, kept):
    """The cycles with only the steps whose numbers, counted over all cycles, are kept; empty cycles vanish."""
    number, left = 0, []
    for steps in cycles:
        left.append([step for at, step in enumerate(steps, number) if at in kept])
        number += len(steps)
    return [steps for steps in left if steps]


def _last_cycles(cycles, fails):
    """A failure mostly comes of the last cycle, or of the last two."""
    for count in (1, 2):
        if count < len(cycles) and fails(cycles[-count:]):
            return cycles[-count:]
    return cycles


def _drop_kinds(cycles, fails):
    for kind in sorted({step.kind for steps in cycles for step in steps}):
        smaller = without_kind(cycles, kind)
        if smaller and fails(smaller):
            cycles = smaller
    return cycles


def _halve(cycles, fails):
    """Leaves out halves, then quarters, and so on, down to single steps."""
    count = sum(map(len, cycles))
    size = (count + 1) // 2
    while size and count > 1:
        at = 0
        while at < count and count > 1:
            smaller = _keep(cycles, set(range(count)) - set(range(at, at + size)))
            if smaller and fails(smaller):
                cycles = smaller
                count = sum(map(len, cycles))
            else:
                at += size
        size //= 2
    return cycles


def shrink(cycles, fails):
    """
    The smallest plan found that fails. fails(plan) runs one and tells; it raises TimeIsOver when there is no time for
    another run.
    """
    best = [cycles]

    def tried(plan):
        if not fails(plan):
            return False
        best[0] = plan
        return True

    try:
        for step in (_last_cycles, _drop_kinds, _halve):
            step(best[0], tried)
    except TimeIsOver:
        pass
    return best[0]
