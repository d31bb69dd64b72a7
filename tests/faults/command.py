# SPDX-License-Identifier: Apache-2.0
"""
The command `run`: chooses scenarios, runs each on a bed of its own, reports, and cleans up whatever happens.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import inject
import network as networks
import plan
import power
import report as reports
import scenarios  # noqa: F401  (fills the registry)
import shrink
import torn
import zookeeper
from bed import ZOOKEEPERS
from places import BIN, BUILD, CLOCK_FAULTS, IO_FAULTS, LOGS
from registry import SCENARIOS
from trial import Trial

EPILOG = """\
examples:
  tests/faults/run --list                       the catalogue
  tests/faults/run                              every scenario, one after the other
  tests/faults/run kill-leader freeze-leader    two of them
  tests/faults/run mix --minutes 30 --brokers 5 random faults for half an hour
  tests/faults/run mix --seed 4711              the same faults again
  tests/faults/run mix --shrink 20              a failure is sought again with fewer faults, for 20 minutes
  tests/faults/run mix --plan FOLDER/plan.json  the faults of a plan that a run left behind

The broker under test is that of BARNABAS_BUILD, or of build/release. As root each host is a network namespace;
otherwise all is on loopback, and what needs a network of its own is skipped and named.
Exit status: 0 all passed, 1 some failed, 2 it could not run.
"""


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="tests/faults/run", description="Breaks a private Barnabas cluster on "
                                     "purpose, and checks that nothing acknowledged is lost.",
                                     epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="without any: all but the mix")
    parser.add_argument("--list", action="store_true", help="list the scenarios")
    parser.add_argument("--seed", type=int, help="what is drawn by chance (a fresh one is drawn and printed)")
    parser.add_argument("--minutes", type=float, help="how long each scenario breaks things")
    parser.add_argument("--brokers", type=int, default=3, choices=(3, 4, 5), help="3 to 5 (default 3)")
    parser.add_argument("--logs", type=Path, default=LOGS, metavar="FOLDER", help="where the folders of runs go "
                        "(default: test-logs/faults in the build)")
    parser.add_argument("--keep", action="store_true", help="keep logs, histories and data of green runs too")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="the mix takes its faults from there (plan.json of a "
                        "failed run)")
    parser.add_argument("--shrink", type=float, metavar="MINUTES", help="when the mix fails: repeat it with fewer and "
                        "fewer faults, for so long")
    parser.add_argument("--client-debug", metavar="WHAT", help="librdkafka's setting debug, for the recording clients")
    parser.add_argument("--quiet", action="store_true", help="no line for each fault")
    options = parser.parse_intermixed_args(arguments)
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error("no scenario is named '%s'; --list has them all" % unknown[0])
    if options.minutes is not None and not 0 < options.minutes <= 7 * 24 * 60:
        parser.error("--minutes is above 0 and at most a week")
    if options.plan:
        try:
            plan.load(options.plan)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1, 1 << 31)
    return options


def in_order():
    """The scenarios by their first number in the catalogue."""
    return sorted(SCENARIOS.values(), key=lambda one: int(one.numbers[1:].split()[0]))


def list_scenarios():
    print("%-28s %-8s %-7s %s" % ("scenario", "faults", "needs", "what"))
    for one in in_order():
        print("%-28s %-8s %-7s %s" % (one.name, one.numbers, ",".join(one.needs) or "-", one.title))


def reason_to_skip(one, network):
    """Why a scenario cannot run here, or None."""
    if inject.NETWORK in one.needs and not network.is_private:
        return "needs network namespaces (root, and ip, tc, ss, nsenter)"
    if power.POWER in one.needs and not power.can_mount():
        return "needs loop devices to mount (root)"
    if inject.DISK in one.needs and not IO_FAULTS.exists():
        return "needs %s" % IO_FAULTS.relative_to(BUILD)
    if scenarios.crowds.MEMORY in one.needs and not scenarios.crowds.can_limit_memory():
        return "needs control groups for memory (root)"
    if torn.TRACE in one.needs and not torn.can_trace():
        return "needs strace, and leave to use it"
    if inject.CLOCK in one.needs and not CLOCK_FAULTS.exists():
        return "needs %s" % CLOCK_FAULTS.relative_to(BUILD)
    return None


def choose(options, network):
    """The scenarios to run, and (scenario, reason) of those that cannot be."""
    names = options.scenarios or [one.name for one in in_order() if not one.is_mix]
    chosen, skipped = [], []
    for name in names:
        reason = reason_to_skip(SCENARIOS[name], network)
        if reason:
            skipped.append((SCENARIOS[name], reason))
        else:
            chosen.append(SCENARIOS[name])
    return chosen, skipped


def again(one, options):
    words = ["tests/faults/run", one.name, "--seed %d" % options.seed, "--brokers %d" % options.brokers]
    if options.plan:
        words.append("--plan %s" % options.plan)
    return " ".join(words + (["--minutes %g" % options.minutes] if options.minutes else []))


def run_one(one, network, folder, options, report):
    """Runs one scenario. Gives its troubles, none when it passed, and the cycles of a mix."""
    began = time.monotonic()
    folder.mkdir(parents=True)
    trial = Trial(one, network, folder, options, report)
    troubles = ["it was interrupted"]
    try:
        troubles = trial.run()
    finally:
        network.heal()
        reports.write_events(folder, trial.events, options.seed)
        if trial.cycles:
            plan.save(folder / "plan.json", trial.cycles)
        report.end(one, troubles, time.monotonic() - began, folder, again(one, options))
    if not troubles and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return troubles, trial.cycles


def run_smaller(one, network, folder, options, report, troubles, cycles):
    """Seeks a smaller plan that fails as this one did, within the time of --shrink; each try has its own folder."""
    deadline = time.monotonic() + options.shrink * 60
    wanted = shrink.signature(troubles)
    smallest = [folder]
    tries = [0]

    def fails(smaller):
        if time.monotonic() > deadline:
            raise shrink.TimeIsOver
        tries[0] += 1
        place = folder.with_name("%s-smaller-%d" % (folder.name, tries[0]))
        place.parent.mkdir(parents=True, exist_ok=True)
        file = place.with_suffix(".plan")
        plan.save(file, smaller)
        report.say("== smaller plan %d: %s" % (tries[0], "; ".join(
            ", ".join(step.kind for step in steps) for steps in smaller)))
        again_options = argparse.Namespace(**dict(vars(options), plan=file))
        found, _ = run_one(one, network, place, again_options, report)
        if not shrink.signature(found) & wanted:
            return False
        smallest[0] = place
        return True

    best = shrink.shrink(cycles, fails)
    report.say("smallest plan that fails, of %d tried (%d faults, before %d): %s" % (
        tries[0], sum(map(len, best)), sum(map(len, cycles)), smallest[0] / "plan.json"))
    for number, steps in enumerate(best, 1):
        for step in steps:
            report.say("   cycle %d %s" % (number, plan.describe(step)))


def run_all(options, network, report):
    chosen, skipped = choose(options, network)
    report.plan(chosen, skipped, options, network)
    folder = options.logs.resolve() / ("run-%d-%s" % (os.getpid(), time.strftime("%Y%m%dT%H%M%S")))
    passed = failed = 0
    try:
        for number, one in enumerate(chosen, 1):
            report.begin(one, number, len(chosen))
            troubles, cycles = run_one(one, network, folder / one.name, options, report)
            if not troubles:
                passed += 1
                continue
            failed += 1
            if options.shrink and cycles:
                run_smaller(one, network, folder / one.name, options, report, troubles, cycles)
    finally:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
        report.say("%d passed, %d failed%s" % (passed, failed + (passed + failed < len(chosen)),
                                               ", %d skipped" % len(skipped) if skipped else ""))
    return 1 if failed else 0 if passed else 2


def interrupted(*_):
    """The first signal ends the run in order; further ones do not disturb the cleaning up, which is bounded."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments):
    options = parse_arguments(arguments)
    if options.list:
        list_scenarios()
        return 0
    if not (BIN / "barnabasd").exists():
        print("tests/faults/run: there is no %s; build first, or set BARNABAS_BUILD" % (BIN / "barnabasd"),
              file=sys.stderr)
        return 2
    if not zookeeper.is_installed():
        print("tests/faults/run: java or ZooKeeper's jars are missing; see deploy/packages", file=sys.stderr)
        return 2
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, interrupted)
    report = reports.Report(options.quiet)
    for name in networks.remove_stale():
        report.say("removed what a dead run left: %s" % name)
    hosts = ["b%d" % number for number in range(1, 6)] + ["z%d" % number for number in range(1, ZOOKEEPERS + 1)]
    network = None
    try:
        network = networks.open_network(hosts)
        return run_all(options, network, report)
    except KeyboardInterrupt:
        report.say("interrupted")
        return 2
    finally:
        if network:
            network.close()
