# SPDX-License-Identifier: Apache-2.0
"""
Plans of the mix: drawn from the seed alone, within their bounds.
"""
import plan

ALL = {plan.NETWORK, plan.DISK, plan.CLOCK}
SEEDS = range(1, 201)


def test_the_same_seed_draws_the_same_plan():
    for seed in SEEDS:
        first = [plan.draw_cycle(seed, number, 3, ALL) for number in range(5)]
        assert first == [plan.draw_cycle(seed, number, 3, ALL) for number in range(5)]


def test_a_cycle_does_not_depend_on_those_before_it():
    alone = plan.draw_cycle(7, 4, 5, ALL)
    for number in range(5):
        again = plan.draw_cycle(7, number, 5, ALL)
    assert again == alone


def test_seeds_and_cycles_differ():
    drawn = {tuple(plan.draw_cycle(seed, number, 3, ALL)) for seed in SEEDS for number in range(3)}
    assert len(drawn) == len(SEEDS) * 3


def test_steps_keep_to_their_bounds():
    for seed in SEEDS:
        for brokers in (3, 4, 5):
            for step in plan.draw_cycle(seed, 0, brokers, ALL):
                _, shortest, longest, _ = plan.KINDS[step.kind]
                assert shortest - 0.01 <= step.seconds <= longest + 0.01
                assert 1 <= step.broker <= brokers and 1 <= step.other <= brokers and step.broker != step.other
                assert 1 <= step.zookeeper <= 3 and step.role in plan.ROLES and step.at >= 0


def test_at_most_two_steps_at_a_time():
    for seed in SEEDS:
        running = 0
        for _, begins, _ in plan.timeline(plan.draw_cycle(seed, 1, 3, ALL)):
            running += 1 if begins else -1
            assert 0 <= running <= 2


def test_only_what_the_bed_has_is_drawn():
    for seed in SEEDS:
        for step in plan.draw_cycle(seed, 0, 3, set()):
            assert plan.KINDS[step.kind][3] is None


def test_every_kind_is_drawn_some_time():
    kinds = {step.kind for seed in SEEDS for step in plan.draw_cycle(seed, 0, 3, ALL)}
    assert kinds == set(plan.KINDS)


def test_a_step_of_no_length_begins_before_it_ends():
    step = plan.draw_cycle(1, 1, 3, ALL)[0]._replace(seconds=0.0)
    assert [begins for _, begins, _ in plan.timeline([step])] == [True, False]


def test_the_timeline_begins_and_ends_every_step():
    for seed in SEEDS:
        steps = plan.draw_cycle(seed, 2, 3, ALL)
        rows = plan.timeline(steps)
        assert sorted(row[2] for row in rows if row[1]) == sorted(row[2] for row in rows if not row[1]) == steps
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
