# SPDX-License-Identifier: Apache-2.0
"""
Shrinking of plans, with a judge that knows which faults the failure needs; deadlines that run by the machine's pace.
"""
import argparse
import io
import random

import places  # noqa: F401  (finds the cluster tests' modules)
import command
import pace
import plan
import registry
import report
import shrink

ALL = {plan.NETWORK, plan.DISK, plan.CLOCK}


def drawn(seed, count):
    return [plan.draw_cycle(seed, number, 5, ALL) for number in range(count)]


def needs(wanted):
    """A judge, and what it was asked."""
    asked = []

    def fails(cycles):
        asked.append(cycles)
        return wanted <= {step for steps in cycles for step in steps}

    return fails, asked


def test_exactly_what_the_failure_needs_is_left():
    for seed in range(1, 101):
        cycles = drawn(seed, 4)
        steps = [step for one in cycles for step in one]
        wanted = set(random.Random(seed).sample(steps, 1 + seed % 3))
        fails, asked = needs(wanted)
        found = shrink.shrink(cycles, fails)
        assert {step for one in found for step in one} == wanted
        assert all(one for one in found) and len(asked) < 120


def test_a_failure_that_never_comes_back_leaves_the_plan_as_it_was():
    cycles = drawn(1, 3)
    assert shrink.shrink(cycles, lambda smaller: False) == cycles


def test_when_time_is_over_the_best_so_far_is_given():
    cycles = drawn(2, 3)
    runs = []

    def fails(smaller):
        if runs:
            raise shrink.TimeIsOver
        runs.append(smaller)
        return True

    assert shrink.shrink(cycles, fails) == cycles[-1:] == runs[0]


def test_the_command_repeats_with_smaller_plans_and_prints_the_smallest(tmp_path, monkeypatch):
    cycles = drawn(5, 3)
    needed = cycles[1][0]
    output = io.StringIO()

    def run_one(one, network, folder, options, shown):
        steps = [step for steps in plan.load(options.plan) for step in steps]
        return (["history: lost-write, 2 times"] if needed in steps else ["start: something else"]), []

    monkeypatch.setattr(command, "run_one", run_one)
    options = argparse.Namespace(shrink=1, seed=5, brokers=5, minutes=None, plan=None)
    command.run_smaller(registry.SCENARIOS["mix"], None, tmp_path / "mix", options, report.Report(output=output),
                        ["history: lost-write, 9 times"], cycles)
    text = output.getvalue()
    assert "(1 faults, before %d)" % sum(map(len, cycles)) in text
    assert plan.describe(needed) in text


def test_troubles_are_the_same_whatever_their_numbers():
    first = shrink.signature(["history: lost-write, 3 times, for instance:\n  plain-1"])
    again = shrink.signature(["history: lost-write, 17 times, for instance:\n  exact-5", "replicas: b"])
    assert first & again
    assert not shrink.signature(["history: duplicate, 1 times"]) & first


def test_a_plan_comes_back_from_its_file(tmp_path):
    cycles = drawn(3, 5)
    plan.save(tmp_path / "plan.json", cycles)
    assert plan.load(tmp_path / "plan.json") == cycles


def test_a_deadline_runs_slower_on_a_busy_machine():
    now = [100.0]
    counted = pace.Pace(lambda: now[0], lambda: 2.0)
    now[0] += 10
    assert counted.spent() == 5.0
    now[0] += 1
    assert counted.spent() == 5.5
    assert 1.0 <= pace.slowness() <= 4.0
