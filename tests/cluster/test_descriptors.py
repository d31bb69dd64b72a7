# SPDX-License-Identifier: Apache-2.0
"""
A broker that may have few files open serves many partitions: it closes what is not used, and opens it again.
"""
import os
from pathlib import Path

from clients import kcat, kcat_read
from processes import wait_until

DESCRIPTORS = 400
PARTITIONS = 600


def limit_descriptors(broker):
    """Has the broker start with this limit, soft and hard."""
    script = broker.folder / "limited"
    script.write_text('#!/bin/sh\nulimit -n %d\nexec %s "$@"\n' % (DESCRIPTORS, broker.command[0]))
    script.chmod(0o755)
    broker.command[0] = str(script)


def open_segments(broker):
    links = []
    for entry in Path("/proc/%d/fd" % broker.pid).iterdir():
        try:
            links.append(os.readlink(entry))
        except FileNotFoundError:
            pass
    return sum(link.endswith(".log") for link in links)


def test_more_partitions_than_descriptors(make_cluster):
    cluster = make_cluster(brokers=1)
    broker = cluster.brokers[1]
    limit_descriptors(broker)
    cluster.start()
    cluster.create_topic("many", partitions=PARTITIONS, replicas=1)
    rows = [b"%d:value %d" % (i, i) for i in range(5 * PARTITIONS)]
    for start in range(0, len(rows), 500):
        kcat(cluster.bootstrap, "-P", "-t", "many", "-K", ":", "-X", "message.timeout.ms=60000",
             input=b"\n".join(rows[start:start + 500]) + b"\n")
    wait_until(lambda: open_segments(broker) <= DESCRIPTORS // 2, 30, "the broker closes no files")
    values = sorted(row.split(b":")[1] for row in rows)
    assert sorted(kcat_read(cluster.bootstrap, "many").values()) == values
    assert broker.restart() == 0
    cluster.wait_ready()
    assert open_segments(broker) < 20
    assert sorted(kcat_read(cluster.bootstrap, "many").values()) == values
