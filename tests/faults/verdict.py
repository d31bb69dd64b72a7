# SPDX-License-Identifier: Apache-2.0
"""
What the checker found in the histories, held against the logs: a record that stands twice because its client began a
new producer epoch is the client's doing, and said as such.

librdkafka begins a new epoch by itself when its own queue has a gap (after a leader moved while retries waited, or
after a record timed out), and sends again what was in flight. No broker can know the one for the other. The same
record twice under one producer epoch would be the brokers' fault.
"""
import json
import struct
import subprocess

from places import HISTORY, PYTHON, SCALE

_BATCH = struct.Struct(">qiibIhiqqqhii")
_SHOWN = 3


def producers_of(folder, offsets):
    """{offset: (producer id, producer epoch)} as one replica's log says, for the offsets that it holds."""
    found = {}
    for path in sorted(folder.glob("*.log")):
        data, position = path.read_bytes(), 0
        while position + _BATCH.size <= len(data):
            fields = _BATCH.unpack_from(data, position)
            base, length, delta = fields[0], fields[1], fields[6]
            if length <= 0:
                break
            found.update({offset: fields[9:11] for offset in offsets if base <= offset <= base + delta})
            position += 12 + length
    return found


def is_of_two_epochs(anomaly, data_folders):
    """Whether the places of a duplicate were all written under different epochs of one producer."""
    if anomaly["anomaly"] != "duplicate":
        return False
    for data in data_folders:
        folder = data / anomaly["key"]
        found = producers_of(folder, anomaly["offsets"]) if folder.is_dir() else {}
        if len(found) == len(anomaly["offsets"]):
            return len(set(found.values())) == len(found)
    return False


def judge_history(history, data_folders, report):
    """
    Runs the checker, whose full answer goes to the file `report`. Gives (troubles in words, how many duplicates are
    those of a client that began a new epoch, the facts in words).
    """
    command = [PYTHON, "-B", HISTORY / "check.py", history, "--json", "--examples", "100000"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300 * SCALE)
    report.write_text(result.stdout + result.stderr)
    if result.returncode not in (0, 1):
        return ["the histories cannot be judged: %s" % (result.stderr.strip() or result.returncode)], 0, ""
    answer = json.loads(result.stdout)
    excused = [one for one in answer["anomalies"] if is_of_two_epochs(one, data_folders)]
    by_name = {}
    for one in answer["anomalies"]:
        if one not in excused:
            by_name.setdefault(one["anomaly"], []).append(one)
    troubles = ["%s, %d times, for instance:\n%s" % (name, len(group), "\n".join(
        "  %s\n    %s" % (one["text"], "\n    ".join(one["lines"])) for one in group[:_SHOWN]))
        for name, group in sorted(by_name.items())]
    return troubles, len(excused), ", ".join("%s %s" % (value, name) for name, value in answer["facts"].items())
