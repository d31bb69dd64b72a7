# SPDX-License-Identifier: Apache-2.0
"""
Brokers with two log directories, one of them a small file system of its own: filled to the brim it gives errors that
producers retry, and serves again when there is room; made read-only it goes offline alone, and what it held is led by
others; missing at a start it keeps nobody from starting. Nothing acknowledged is lost.
"""
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

import wire
from clients import SteadyProducer, kcat_read
from processes import run, wait_until

SMALL_MIB = 48
TOPIC = "spread"
# Broker 1 leads the first half and follows in the second; its replicas come to lie in both directories.
ASSIGNMENT = {0: [1, 2, 3], 1: [1, 3, 2], 2: [1, 2, 3], 3: [2, 1, 3], 4: [2, 1, 3], 5: [3, 1, 2]}
LAG_MS = 2000


class SmallDisk:
    """A small ext4 in a file, mounted."""

    def __init__(self, folder):
        self.image = folder / "image"
        self.folder = folder / "small"
        self.folder.mkdir()

    def mount(self):
        with open(self.image, "wb") as image:
            image.truncate(SMALL_MIB << 20)
        run(["mkfs.ext4", "-q", "-F", self.image])
        self.mount_again()

    def mount_again(self):
        run(["mount", "-o", "loop,errors=remount-ro", self.image, self.folder])

    def unmount(self):
        subprocess.run(["umount", "-l", self.folder], check=False, capture_output=True)

    def fill(self):
        """Writes until nothing more fits."""
        with open(self.folder / "ballast", "wb", buffering=0) as ballast:
            size = 1 << 20
            while size:
                try:
                    ballast.write(bytes(size))
                except OSError:
                    size //= 2

    def make_room(self):
        (self.folder / "ballast").unlink()

    def make_read_only(self):
        """As ext4 does when it meets an error of its own: also for files that are open for writing."""
        device = run(["findmnt", "-n", "-o", "SOURCE", self.folder]).stdout.decode().strip()
        (Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error").write_text("1")


@pytest.fixture
def small(folder):
    if os.geteuid() != 0:
        pytest.skip("mounting a file system of its own needs root")
    disk = SmallDisk(folder)
    try:
        disk.mount()
    except Exception as error:  # no loop device, no mkfs.ext4, a sandbox without mounts
        disk.unmount()
        pytest.skip("no small file system can be mounted here: %s" % error)
    yield disk
    disk.unmount()


@pytest.fixture
def cluster(small, make_cluster):
    """Three brokers; the second directory of broker 1 lies on the small disk."""
    made = make_cluster(settings={"replica.lag.time.max.ms": LAG_MS, "num.partitions": 1,
                                  "file.delete.delay.ms": 1000})
    broker = made.brokers[1]
    broker.settings["log.dirs"] = "%s,%s" % (broker.data, small.folder / "logs")
    made.start()
    made.create_topic(TOPIC, assignment=ASSIGNMENT)
    made.wait_isr(TOPIC, 3)
    return made


def on_small(small):
    """The partitions whose replica on broker 1 lies on the small disk."""
    names = [path.name for path in (small.folder / "logs").glob(TOPIC + "-?")]
    return {int(name.rpartition("-")[2]) for name in names}


def wait_acknowledged(producer, partitions, seconds=20):
    """Each of the partitions acknowledges a record from now on."""
    since = time.monotonic()
    wait_until(lambda: all(producer.last_acknowledged(partition) > since for partition in partitions), seconds,
               lambda: "acknowledged since then: %s" % {
                   partition: producer.last_acknowledged(partition) > since for partition in partitions})


def check_acknowledged(cluster, acknowledged):
    read = kcat_read(cluster.bootstrap, TOPIC)
    lost = {where: value for where, value in acknowledged.items() if read.get(where) != value}
    assert not lost, "%d of %d acknowledged records are not where they were: %s" % (
        len(lost), len(acknowledged), list(lost.items())[:5])


def start_producing(cluster):
    producer = SteadyProducer(cluster.bootstrap, TOPIC, len(ASSIGNMENT)).start()
    wait_acknowledged(producer, ASSIGNMENT)
    return producer


def test_replicas_spread_over_the_directories(cluster, small):
    there = on_small(small)
    assert len(there) == len(ASSIGNMENT) // 2
    here = {int(path.name.rpartition("-")[2]) for path in cluster.brokers[1].data.glob(TOPIC + "-?")}
    assert here | there == set(ASSIGNMENT) and not here & there


def wait_leaders(cluster, partitions, brokers):
    def leaders():
        rows = cluster.brokers[2].metadata([TOPIC])["topics"][TOPIC]["partitions"]
        return {partition: rows[partition]["leader"] for partition in partitions}

    wait_until(lambda: all(leader in brokers for leader in leaders().values()), 20, lambda: str(leaders()))


def test_a_full_disk_is_waited_out(cluster, small):
    broker = cluster.brokers[1]
    there = on_small(small)
    producer = start_producing(cluster)
    small.fill()
    broker.wait_log(r"log directory \S+/small/logs is full", seconds=30)
    # Who has room leads, so all go on, once the replicas on the full disk have left the ISR.
    wait_leaders(cluster, there, (2, 3))
    wait_acknowledged(producer, ASSIGNMENT, seconds=30)
    assert wire.metadata_of(broker.port) is not None
    small.make_room()
    broker.wait_log(r"log directory \S+/small/logs has room again", seconds=10)
    wait_acknowledged(producer, ASSIGNMENT, seconds=30)
    cluster.wait_isr(TOPIC, 3, seconds=30)
    acknowledged = producer.stop()
    assert not producer.errors
    check_acknowledged(cluster, acknowledged)
    assert broker.log_text().count("is full") == broker.log_text().count("has room again")


def wait_led_by_others(cluster, partitions):
    def elsewhere():
        rows = cluster.brokers[2].metadata([TOPIC])["topics"][TOPIC]["partitions"]
        return all(rows[partition]["leader"] in (2, 3) and 1 not in rows[partition]["isr"] for partition in partitions)

    wait_until(elsewhere, 20, lambda: str(cluster.brokers[2].metadata([TOPIC])))


def test_a_read_only_disk_goes_offline_alone(cluster, small):
    broker = cluster.brokers[1]
    there = on_small(small)
    producer = start_producing(cluster)
    small.make_read_only()
    broker.wait_log(r"log directory \S+/small/logs is offline", seconds=20)
    wait_led_by_others(cluster, there)
    wait_acknowledged(producer, ASSIGNMENT, seconds=30)
    rows = cluster.metadata([TOPIC])["topics"][TOPIC]["partitions"]
    assert all(rows[p]["leader"] == 1 for p in set(ASSIGNMENT) - there if ASSIGNMENT[p][0] == 1)
    assert broker.is_running()
    # Started again without the disk: something else is in the directory's place, and it is offline from the start.
    assert broker.stop() == 0
    small.unmount()
    (small.folder / "logs").write_text("no directory")
    broker.start()
    broker.wait_ready()
    assert len(re.findall(r"log directory \S+/small/logs is offline", broker.log_text())) == 2
    wait_acknowledged(producer, ASSIGNMENT, seconds=30)
    wait_led_by_others(cluster, there)
    # And with an empty one, as after the disk was replaced: all of it is copied from the others.
    assert broker.stop() == 0
    (small.folder / "logs").unlink()
    broker.start()
    broker.wait_ready()
    cluster.wait_isr(TOPIC, 3, seconds=40)
    wait_acknowledged(producer, ASSIGNMENT, seconds=30)
    acknowledged = producer.stop()
    assert not producer.errors
    check_acknowledged(cluster, acknowledged)


def test_the_last_directory_takes_the_broker_with_it(small, make_cluster):
    cluster = make_cluster(brokers=1)
    broker = cluster.brokers[1]
    broker.settings["log.dirs"] = small.folder / "logs"
    cluster.start()
    cluster.create_topic("alone", partitions=1, replicas=1)
    small.make_read_only()
    producer = SteadyProducer(cluster.bootstrap, "alone", 1, message_timeout_ms=2000).start()
    try:
        assert broker.wait(30) == 1
    finally:
        producer.stop()
    assert "the last log directory is gone" in broker.log_text()
