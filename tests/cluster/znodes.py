# SPDX-License-Identifier: Apache-2.0
"""What old tools do: znodes written straight into ZooKeeper, with ZooKeeper's own command line client."""
import json

from processes import run
from zookeeper import JARS


def _client(cluster, *words):
    result = run(["java", "-XX:TieredStopAtLevel=1", "-cp", JARS, "org.apache.zookeeper.ZooKeeperMain", "-server",
                  cluster.zookeeper.address + cluster.chroot, *words], seconds=60, check=False)
    said = (result.stdout + result.stderr).decode(errors="replace")
    return result.returncode == 0 and "Node does not exist" not in said and "already exists" not in said, said


def write(cluster, path, text):
    """Sets the node's data, or makes it; its parent is there."""
    done, said = _client(cluster, "set", path, text)
    if not done:
        done, said = _client(cluster, "create", path, text)
    assert done, "%s cannot be written:\n%s" % (path, said[-2000:])


def write_settings(cluster, entity, **settings):
    """Settings of an entity below /config: write_settings(cluster, "brokers/1", num_replica_fetchers=2)."""
    config = {key.replace("_", "."): str(value) for key, value in settings.items()}
    write(cluster, "/config/" + entity, json.dumps({"version": 1, "config": config}, separators=(",", ":")))
