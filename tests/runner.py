# SPDX-License-Identifier: Apache-2.0
"""
Builds a preset and runs the tests in parts: tidy, unit, sim, fuzz, cluster, faults. Called by tests/run.

Every part yields results (a name, passed or failed, how to repeat it, where its log is); at the end the failed ones
are listed and the last line is `N passed, N failed`. What could not be run for lack of a program is said and is
never counted as passed.
"""
import argparse
import fcntl
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("tidy", "unit", "sim", "fuzz", "cluster", "faults")
PRESETS = ("release", "debug", "asan", "tsan")
# How much longer things may take than in a release build.
TIME_SCALE = {"release": 1, "debug": 2, "asan": 4, "tsan": 8}
# A part that takes longer than this, in seconds of a release build, hangs: it is ended and counts as failed.
PART_LIMIT_SECONDS = {"tidy": 300, "unit": 900, "sim": 1800, "fuzz": 900, "cluster": 1500, "faults": 480}

HELP = """\
A part is one of: tidy (the house rules), unit (C tests and their Python neighbours), sim (the simulator), fuzz
(decoders fed with anything), cluster (real brokers, real clients), faults (a short random mix of faults under
load; tests/faults/run has all of them). A part may name its own preset: unit@asan. Without parts, all run.

examples:
  tests/run                                everything, release preset
  tests/run unit cluster                   two parts
  tests/run --preset asan                  everything under the address sanitizer
  tests/run --preset tsan unit -k mailbox  the unit tests whose name holds "mailbox"
  tests/run sim --seeds 100000             the simulator at length
"""


class Result:
    """The outcome of one test."""

    def __init__(self, name, passed, repeat="", log=""):
        self.name = name
        self.passed = passed
        self.repeat = repeat
        self.log = str(log)


class Part:
    """One part of the tests in one preset: where it builds, where it logs, what its processes see."""

    def __init__(self, name, preset, options):
        self.name = name
        self.preset = preset
        self.options = options
        self.scale = TIME_SCALE[preset]
        self.build = ROOT / "build" / preset
        self.logs = self.build / "test-logs" / name
        self.deadline = time.monotonic() + PART_LIMIT_SECONDS[name] * self.scale

    def environment(self):
        environment = dict(os.environ)
        environment.update(
            BARNABAS_BUILD=str(self.build),
            BARNABAS_TIME_SCALE=str(self.scale),
            BARNABAS_PRESET=self.preset,
            PYTHONDONTWRITEBYTECODE="1",
            ASAN_OPTIONS="detect_leaks=1:halt_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1",
            UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
            TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:exitcode=66",
            LSAN_OPTIONS="report_objects=1",
        )
        if self.options.full:
            environment["BARNABAS_FULL"] = "1"
        return environment

    def run(self, command, log_name):
        """Runs a command with its output in a log. Gives its exit status (None when it hung) and the log's path."""
        log = self.logs / (log_name + ".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        status = run_logged(command, log, self.environment(), self.deadline - time.monotonic())
        return status, log

    def single(self, name, command):
        """One command that is one test."""
        status, log = self.run(command, name)
        if status is None:
            log.open("a").write("\nended: it took longer than it may\n")
        return Result(name, status == 0, shlex.join(str(word) for word in command), log)


def run_logged(command, log, environment, limit_seconds):
    """Runs a command in a process group of its own, so that nothing of it stays when it takes too long."""
    with log.open("wb") as output:
        process = subprocess.Popen([str(word) for word in command], cwd=ROOT, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            return process.wait(timeout=max(1, limit_seconds))
        except subprocess.TimeoutExpired:
            return None
        finally:
            end_group(process)


def end_group(process):
    """Ends what is left of a process group: first politely, so that tests clean up, then for certain."""
    for sign, patience_seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sign)
        try:
            process.wait(timeout=patience_seconds)
        except subprocess.TimeoutExpired:
            continue


def say(text):
    print(text, flush=True)


def lock_build(build):
    """Keeps other runs out of a build folder while this one lives: they would replace programs under test."""
    lock = (build / "test-logs" / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("== waiting for another run in %s" % build)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def build_preset(preset, options):
    """Configures and builds. Gives None, or the failed result."""
    build = ROOT / "build" / preset
    logs = build / "test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    options.locks.append(lock_build(build))
    log = logs / "build.log"
    environment = dict(os.environ, CLICOLOR_FORCE="0")
    for command in (["cmake", "--preset", preset], ["cmake", "--build", build, "--parallel", str(options.jobs)]):
        say("== " + shlex.join(str(word) for word in command))
        if run_logged(command, log, environment, 3600) != 0:
            say(tail(log, 40))
            return Result("build " + preset, False, shlex.join(str(word) for word in command), log)
    return None


def tail(path, lines):
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def junit_results(path, repeat_of, log):
    """The tests of a JUnit file, as ctest and pytest write it. Skipped ones are said, not counted."""
    results = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        if case.find("skipped") is not None:
            say("   skipped: %s: %s" % (name, case.find("skipped").get("message")))
            continue
        bad = case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail"
        results.append(Result(name, not bad, repeat_of(case), log))
    return results


def run_pytest(part, folder, workers):
    """One folder of pytest tests."""
    report = part.logs / (folder.name + ".xml")
    report.unlink(missing_ok=True)
    command = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--junitxml", report]
    if workers > 1:
        command += ["-n", workers, "--dist", "loadfile"]
    if part.options.keyword:
        command += ["-k", part.options.keyword]
    status, log = part.run(command + [folder], folder.name + "-pytest")
    relative = folder.relative_to(ROOT)

    def repeat_of(case):
        name = re.sub(r"^test_rule\[(\w+)\]|\[.*", r"\1", case.get("name"))
        return "tests/run --preset %s %s -k %s" % (part.preset, part.name, name)

    if status in (1, None, 5) or (status != 0 and not report.exists()):
        say(tail(log, 60))
    results = junit_results(report, repeat_of, log) if report.exists() else []
    if status not in (0, 1, 5) or not report.exists():
        results.append(Result("pytest %s" % relative, False, shlex.join(str(word) for word in command), log))
    return results


def run_tidy(part):
    return run_pytest(part, ROOT / "tests" / "tidy", 1)


def run_unit(part):
    """The C tests by ctest, then the Python tests that lie beside them."""
    report = part.logs / "ctest.xml"
    part.logs.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", part.build, "--parallel", part.options.jobs, "--output-on-failure",
               "--output-junit", report, "--timeout", 120 * part.scale, "--no-tests=ignore"]
    if part.options.keyword:
        command += ["-R", part.options.keyword]
    status, log = part.run(command, "ctest")

    def repeat_of(case):
        return "ctest --test-dir build/%s --output-on-failure -R '^%s$'" % (part.preset, case.get("name"))

    results = junit_results(report, repeat_of, log) if report.exists() else []
    if status != 0:
        say(tail(log, 60))
        if all(result.passed for result in results):
            results.append(Result("ctest", False, shlex.join(str(word) for word in command), log))
    for folder in sorted({path.parent for path in (ROOT / "tests").glob("*/**/test_*.py")}):
        if folder.relative_to(ROOT / "tests").parts[0] not in ("cluster", "tidy", "interop"):
            results += run_pytest(part, folder, 1)
    return results


def run_sim(part):
    """The simulator, its seeds split over the processors."""
    program = find_program(part.build, "simulate")
    if program is None:
        say("   no simulator in this build")
        return []
    command = [program, "--seeds", part.options.seeds or (2000 if part.scale == 1 else 500)]
    return [part.single("simulate", command)]


def run_fuzz(part):
    """Each fuzz target with its corpus and inputs that ctest does not try: another seed, more of them."""
    results = []
    runs = part.options.fuzz_runs or (100000 if part.scale == 1 else 20000)
    for path in sorted((part.build / "tests").glob("fuzz_*")):
        if not os.access(path, os.X_OK) or (part.options.keyword and part.options.keyword not in path.name):
            continue
        corpus = ROOT / "tests" / "fuzz" / "corpus" / path.name[len("fuzz_"):]
        command = [path, "--seed", part.options.fuzz_seed, "--runs", runs] + [corpus] * corpus.is_dir()
        results.append(part.single(path.name, command))
    return results


def run_cluster(part):
    return run_pytest(part, ROOT / "tests" / "cluster", min(2, part.options.jobs))


def run_faults(part):
    """The judges first; then a short random mix of faults, with a seed of its own each time."""
    results = run_pytest(part, ROOT / "tests" / "faults" / "history", 1)
    if part.preset == "release":
        results.append(part.single("mutants", mutants_command(part)))
    seed = part.options.faults_seed or random.SystemRandom().randrange(1, 1 << 31)
    say("   seed %d" % seed)
    command = [ROOT / "tests" / "faults" / "run", "mix", "--seed", seed, "--minutes", 2, "--brokers", 3]
    results.append(part.single("mix-%d" % seed, command))
    for result in results:
        if not result.passed and "pytest" not in result.log:
            say(tail(Path(result.log), 60))
    return results


def mutants_command(part):
    """Brokers with one rule off, in which the judges must find what is wrong: two, or all of them at full size."""
    some = [] if part.options.full else ["acks-before-replication", "no-truncation"]
    return ["env", "-u", "BARNABAS_BUILD", ROOT / "tests" / "faults" / "mutants", *some]


def find_program(build, name):
    for folder in ("bin", "tests", "tests/sim"):
        path = build / folder / name
        if path.is_file():
            return path
    return None


RUNNERS = {"tidy": run_tidy, "unit": run_unit, "sim": run_sim, "fuzz": run_fuzz, "cluster": run_cluster,
           "faults": run_faults}


def run_parts(parts, options):
    """Runs the parts in order, building each preset before its first part."""
    results = []
    built = {}
    started = time.monotonic()
    for name, preset in parts:
        if options.minutes and time.monotonic() - started > options.minutes * 60:
            say("== not run, the time given is over: %s@%s" % (name, preset))
            continue
        if preset not in built:
            built[preset] = build_preset(preset, options)
            if built[preset]:
                results.append(built[preset])
        if built[preset] and name != "tidy":
            say("== not run, the build failed: %s@%s" % (name, preset))
            continue
        say("== %s (%s)" % (name, preset))
        begin = time.monotonic()
        part_results = RUNNERS[name](Part(name, preset, options))
        for result in part_results:
            result.name = "%s@%s: %s" % (name, preset, result.name)
        failed = sum(not result.passed for result in part_results)
        say("   %d passed, %d failed in %d s" % (len(part_results) - failed, failed, time.monotonic() - begin))
        results += part_results
    return results


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="tests/run", description="Builds Barnabas and runs its tests.",
                                     epilog=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part[@preset]")
    parser.add_argument("--preset", choices=PRESETS, default="release")
    parser.add_argument("--install", action="store_true", help="first install the Debian packages that are missing")
    parser.add_argument("-k", dest="keyword", metavar="NAME", help="only the tests whose name holds NAME")
    parser.add_argument("--full", action="store_true", help="the cluster tests at full size")
    parser.add_argument("--seeds", type=int, help="how many seeds the simulator runs")
    parser.add_argument("--fuzz-seed", type=int, default=2, help="where the fuzz targets' inputs come from")
    parser.add_argument("--fuzz-runs", type=int, help="how many inputs each fuzz target gets")
    parser.add_argument("--faults-seed", type=int, help="what the faults are drawn from (a fresh one each time)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=int, help="begin no further part after this time")
    options = parser.parse_intermixed_args(arguments)
    options.pairs = []
    options.locks = []
    for word in options.parts or PARTS:
        name, _, preset = word.partition("@")
        if name not in PARTS or (preset and preset not in PRESETS):
            parser.error("no part is named '%s'; there are: %s" % (word, ", ".join(PARTS)))
        options.pairs.append((name, preset or options.preset))
    return options


def main():
    options = parse_arguments(sys.argv[1:])
    results = run_parts(options.pairs, options)
    failed = [result for result in results if not result.passed]
    if failed:
        say("\nfailed:")
    for result in failed:
        say("  %s\n    again: %s\n    log:   %s" % (result.name, result.repeat, result.log))
    say("%d passed, %d failed" % (len(results) - len(failed), len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
