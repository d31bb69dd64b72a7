# SPDX-License-Identifier: Apache-2.0
"""What old tools do: znodes written straight into ZooKeeper, with ZooKeeper's own command line client."""
import json

from processes import run, wait_until
from zookeeper import JARS


def _client(cluster, *words):
    result = run(["java", "-XX:TieredStopAtLevel=1", "-cp", JARS, "org.apache.zookeeper.ZooKeeperMain", "-server",
                  cluster.zookeeper.address + cluster.chroot, *words], seconds=60, check=False)
    return (result.stdout + result.stderr).decode(errors="replace")


def write(cluster, path, text):
    """Sets the node's data, or makes it; its parent is there."""
    said = _client(cluster, "set", path, text)
    if "Node does not exist" in said:
        said = _client(cluster, "create", path, text)
        assert "Created " + path in said, "%s cannot be written:\n%s" % (path, said[-2000:])


def write_settings(cluster, entity, **settings):
    """Settings of an entity below /config: write_settings(cluster, "brokers/1", num_replica_fetchers=2). ZooKeeper's
    client may end well after it lost its connection: what can be read back has been written."""
    config = {key.replace("_", "."): str(value) for key, value in settings.items()}
    path, text = "/config/" + entity, json.dumps({"version": 1, "config": config}, separators=(",", ":"))

    def written():
        write(cluster, path, text)
        return text in _client(cluster, "get", path)

    wait_until(written, 60, "%s cannot be written" % path)
