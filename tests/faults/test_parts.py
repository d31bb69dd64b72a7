# SPDX-License-Identifier: Apache-2.0
"""
The pure parts of the harness: arguments, names of namespaces, passwords of sessions, what metadata says is wrong.
"""
import io
import struct
from pathlib import Path

import pytest

import places  # noqa: F401  (finds the cluster tests' modules)
import bed
import command
import network
import plan
import registry
import report
import verdict
import znodes
from scenarios import mix


def test_names_of_our_namespaces():
    assert network.parse_name("bnb-4711-b1") == 4711
    assert network.parse_name("bnb-4711-net") == 4711
    for foreign in ("bnb", "bnb-x-b1", "bnb-1", "cni-4711-b1", "bnb-4711-b1-more", "xbnb-4711-b1"):
        assert network.parse_name(foreign) is None


def test_password_is_that_of_java_util_random():
    # new java.util.Random(0x1000 ^ 0xB3415C00L).nextBytes(new byte[16])
    assert znodes.session_password(0x1000).hex() == "8b5cdeecf1e55762d5f7ca2a47246981"
    assert len(znodes.session_password(-1)) == 16


def test_arguments():
    options = command.parse_arguments(["mix", "--minutes", "2.5", "kill-leader", "--seed", "7", "--brokers", "5"])
    assert options.scenarios == ["mix", "kill-leader"]
    assert (options.minutes, options.seed, options.brokers) == (2.5, 7, 5)


def test_a_fresh_seed_is_drawn():
    assert command.parse_arguments([]).seed != command.parse_arguments([]).seed


@pytest.mark.parametrize("words", [["no-such-scenario"], ["--brokers", "2"], ["--brokers", "6"], ["--minutes", "0"],
                                   ["--minutes", "-1"], ["--minutes", "nan"], ["--seed", "x"]])
def test_wrong_arguments_give_status_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        command.parse_arguments(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err


def test_the_line_that_repeats_a_run_is_understood():
    options = command.parse_arguments(["mix", "--minutes", "2.5", "--seed", "7", "--brokers", "5"])
    line = command.again(registry.SCENARIOS["mix"], options).split()
    assert vars(command.parse_arguments(line[1:])) == vars(options)


def test_without_names_all_but_the_mix_are_chosen():
    chosen, skipped = command.choose(command.parse_arguments([]), network.Loopback())
    names = {one.name for one in chosen} | {one.name for one, _ in skipped}
    assert names == set(registry.SCENARIOS) - {"mix"}
    assert {"cut-brokers", "leader-without-zookeeper"} <= {one.name for one, _ in skipped}


def test_every_kind_of_step_has_its_injection():
    class Bed:
        network = network.Loopback()

        def metadata(self, topics):
            return None

    class Host:
        def __init__(self, number):
            self.id = self.number = number
            self.host = "h%d" % number
            self.data = [Path("data-1"), Path("data-2")]

        def is_well(self):
            return True

        def mode(self):
            return "follower"

    made = Bed()
    made.brokers = {number: Host(number) for number in (1, 2, 3)}
    made.zookeepers = [Host(number) for number in (1, 2, 3)]

    class Trial:
        bed = made

    resolver = mix.Resolver(Trial())
    for kind in plan.KINDS:
        for role in plan.ROLES:
            assert str(resolver.injection(plan.Step(0, 1, kind, role, 1, 2, 3, 12345)))


def test_what_metadata_says_is_wrong():
    row = {"error": 0, "leader": 1, "replicas": [1, 2], "isr": [2, 1]}
    well = {"topics": {"t": {"error": 0, "partitions": {0: row}}}}
    assert bed.lagging(well) == []
    assert bed.lagging(None)
    for change in ({"leader": -1}, {"isr": [1]}, {"error": 5}):
        assert len(bed.lagging({"topics": {"t": {"error": 0, "partitions": {0: dict(row, **change)}}}})) == 1


def batch(base, count, producer, epoch):
    body = struct.pack(">ibIhiqqqhii", 3, 2, 0, 0, count - 1, 0, 0, producer, epoch, 0, count)
    return struct.pack(">qi", base, len(body)) + body


@pytest.mark.parametrize("epochs, excused", [((0, 0), False), ((0, 1), True)])
def test_duplicates_of_one_epoch_are_the_brokers_fault(tmp_path, epochs, excused):
    folder = tmp_path / "t-0"
    folder.mkdir()
    (folder / "00000000000000000000.log").write_bytes(batch(0, 3, 7, epochs[0]) + batch(3, 2, 7, epochs[1]))
    found = {"anomaly": "duplicate", "key": "t-0", "offsets": [2, 3]}
    assert verdict.is_of_two_epochs(found, [tmp_path / "none", tmp_path]) is excused
    assert not verdict.is_of_two_epochs(dict(found, offsets=[2, 9]), [tmp_path])
    assert not verdict.is_of_two_epochs(dict(found, anomaly="lost-write"), [tmp_path])


def test_report_of_a_failure_says_how_to_repeat_it():
    output = io.StringIO()
    shown = report.Report(output=output)
    shown.end(registry.SCENARIOS["mix"], ["history: lost\nmore"], 12, "folder/x", "tests/faults/run mix --seed 7")
    text = output.getvalue()
    assert "FAILED in 12 s" in text and "folder/x" in text and "again: tests/faults/run mix --seed 7" in text
