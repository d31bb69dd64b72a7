# SPDX-License-Identifier: Apache-2.0
"""
Power that goes off: what a broker had not synced is gone (F32).
"""
from bed import RESUME_SECONDS
from power import POWER, PowerCut
from registry import scenario


@scenario("power-cut", "F32", "power off, one broker at a time, now and then at once back", seconds=60, needs=(POWER,))
def power_cut(trial):
    for _ in trial.rounds():
        with trial.during(PowerCut(trial.bed, trial.broker())):
            trial.hold(trial.chance.choice((0, RESUME_SECONDS)))
        trial.expect_writes(RESUME_SECONDS + 5)
        trial.settle(60)


@scenario("power-cut-all", "F32", "power off for all brokers at once, each write synced", seconds=40, needs=(POWER,),
          settings={"log.flush.interval.messages": 1}, errors_allowed=True)
def power_cut_all(trial):
    for _ in trial.rounds():
        with trial.during(PowerCut(trial.bed, *trial.bed.brokers.values())):
            trial.hold(trial.chance.uniform(0, 2))
        trial.expect_writes(30)
        trial.settle(60)
