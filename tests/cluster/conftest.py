# SPDX-License-Identifier: Apache-2.0
"""
Fixtures of the cluster tests. One ZooKeeper a worker, a place of its own in it for each cluster; the data and logs of
a cluster stay on disk, and are named, when its test failed.
"""
import itertools
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from cluster import Cluster
from processes import BIN, BUILD, SCALE, ZooKeeper

_serial = itertools.count(1)


def pytest_configure(config):
    """SIGTERM ends the tests as an interrupt does: fixtures clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("kafka").setLevel(logging.ERROR)
    if not config.getoption("timeout", None):
        config.option.timeout = 240 * SCALE
        config.option.timeout_method = "signal"


def pytest_collection_modifyitems(items):
    """Without a built broker nothing can be tested, which is a failure and not a skip."""
    if items and not (BIN / "barnabasd").exists():
        raise pytest.UsageError("there is no %s: build first (tests/run does)" % (BIN / "barnabasd"))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.stash.setdefault(_failed, []).append(report.when)
        if item.module is not None:
            item.module.__dict__["_some_test_failed"] = True


_failed = pytest.StashKey()


def _folder(name):
    base = BUILD / "test-logs" / "cluster-data"
    base.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=re.sub(r"\W+", "-", name)[:60] + "-", dir=base))


def _finish(folder, failed):
    """Logs of a failed test stay, without the data, which is large."""
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
        return
    print("\nlogs of the failed test: %s" % folder)
    if os.environ.get("BARNABAS_KEEP_DATA") != "1":
        for data in folder.glob("**/data"):
            shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="session")
def zookeeper():
    """A ZooKeeper that the worker's tests share; whoever stops or pauses one starts its own."""
    folder = _folder("zookeeper")
    server = ZooKeeper(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(request):
    """A folder of the test's own, kept when it fails."""
    path = _folder(request.node.name)
    yield path
    _finish(path, request.node.stash.get(_failed, None))


@pytest.fixture
def make_cluster(request, zookeeper, folder):
    """make_cluster(brokers=3, settings={}, …) gives a cluster, not yet started; it is closed after the test."""
    clusters = []

    def make(**options):
        number = next(_serial)
        options.setdefault("chroot", "/cluster-%d-%d" % (os.getpid(), number))
        cluster = Cluster(folder / ("cluster-%d" % number), options.pop("zookeeper", zookeeper), **options)
        clusters.append(cluster)
        return cluster

    yield make
    try:
        if not request.node.stash.get(_failed, None):
            for cluster in clusters:
                cluster.close()
    finally:
        for cluster in clusters:
            cluster.kill()


@pytest.fixture
def cluster(make_cluster):
    """Three brokers of the test's own, ready."""
    made = make_cluster()
    made.start()
    return made


@pytest.fixture(scope="module")
def shared(request, zookeeper):
    """Three brokers for the tests of one file that leave them as they are."""
    path = _folder(request.module.__name__)
    made = Cluster(path, zookeeper, chroot="/shared-%d-%d" % (os.getpid(), next(_serial)))
    failed = True
    try:
        made.start()
        yield made
        failed = getattr(request.module, "_some_test_failed", False)
        made.close()
    finally:
        made.kill()
        _finish(path, failed)
