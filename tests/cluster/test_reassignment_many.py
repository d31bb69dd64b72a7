# SPDX-License-Identifier: Apache-2.0
"""
Two thousand partitions move at once: in one request, half of them taken back, and the controller killed in the middle.
The topic's znode is then larger than what goes into one multi beside states, and nothing of it gets stuck.
"""
import logging
import time

from processes import wait_until
from reassignments import alter, moving

PARTITIONS = 2000
NONE, NO_REASSIGNMENT_IN_PROGRESS = 0, 85


def test_two_thousand_in_one_request(make_cluster):
    cluster = make_cluster(brokers=4, settings={"controlled.shutdown.enable": "false"})
    cluster.start()
    controller = cluster.controller()
    others = [broker.id for broker in cluster.running() if broker is not controller]
    origin = {partition: [others[partition % 3]] for partition in range(PARTITIONS)}
    target = {partition: [others[(partition + 1) % 3]] for partition in range(PARTITIONS)}
    cluster.create_topic("moved", assignment=origin)
    began = time.monotonic()
    assert set(alter(controller.port, "moved", target).values()) == {NONE}
    answered = time.monotonic()
    back = {partition: None for partition in range(0, PARTITIONS, 2)}
    errors = alter(controller.port, "moved", back)
    assert set(errors.values()) <= {NONE, NO_REASSIGNMENT_IN_PROGRESS}
    controller.kill()
    expected = {partition: origin[partition] if errors.get(partition) == NONE else target[partition]
                for partition in range(PARTITIONS)}

    def arrived():
        rows = cluster.partitions("moved")
        return len(rows) == PARTITIONS and all(
            rows[partition]["replicas"] == replicas and rows[partition]["leader"] == replicas[0]
            for partition, replicas in expected.items())

    wait_until(arrived, 60, "not all of them have arrived")
    wait_until(lambda: moving(cluster.running()[0].port) == {}, 20, "moves are left over")
    logging.info("answered after %.2f s, taken back %d, all over %.2f s after the request", answered - began,
                 sum(error == NONE for error in errors.values()), time.monotonic() - began)
