/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the brokers as consumers before Kafka 0.9 did: by their registrations, see console_consumer.h. */
#include <errno.h>
#include <string.h>

#include "coordinator/zk/blocking.h"
#include "coordinator/zk/node_broker.h"
#include "coordinator/zk/path.h"
#include "tools/console_consumer.h"

/* The first plaintext endpoint of a broker. */
static void append_broker(struct zk_blocking *zookeeper, const char *id, struct buffer *bootstrap)
{
    struct buffer path, data;
    struct node_broker node;
    buffer_init(&path);
    buffer_init(&data);
    buffer_print(&path, "%s/%s", ZK_PATH_BROKER_IDS, id);
    if (zk_blocking_get(zookeeper, buffer_string(&path), &data, NULL) == ZK_OK &&
        node_broker_decode(buffer_slice(&data), &node, NULL) == 0) {
        for (size_t i = 0; i < node.endpoint_count; i++) {
            const struct node_endpoint *endpoint = &node.endpoints[i];
            if (strcmp(endpoint->protocol, "PLAINTEXT") != 0)
                continue;
            bool is_ipv6 = strchr(endpoint->host, ':') != NULL;
            buffer_print(bootstrap, is_ipv6 ? "%s[%s]:%d" : "%s%s:%d", bootstrap->length > 0 ? "," : "",
                         endpoint->host, (int)endpoint->port);
            break;
        }
        node_broker_release(&node);
    }
    buffer_release(&data);
    buffer_release(&path);
}

int bootstrap_from_zookeeper(const char *connect, int64_t timeout_ms, struct buffer *bootstrap,
                             struct buffer *error)
{
    struct zk_blocking *zookeeper = NULL;
    int rc = zk_blocking_open(connect, timeout_ms, NULL, &zookeeper);
    if (rc == -EINVAL)
        buffer_print(error, "Invalid ZooKeeper connect string: %s", connect);
    else if (rc < 0)
        buffer_print(error, "Unable to connect to zookeeper server '%s' within timeout: %lld", connect,
                     (long long)timeout_ms);
    if (rc < 0)
        return rc;
    struct zk_names ids = {0};
    if (zk_blocking_children(zookeeper, ZK_PATH_BROKER_IDS, &ids) == ZK_OK) {
        for (size_t i = 0; i < ids.count; i++)
            append_broker(zookeeper, ids.names[i], bootstrap);
        zk_names_release(&ids);
    }
    zk_blocking_close(zookeeper);
    if (bootstrap->length == 0) {
        buffer_print(
            error,
            "No broker with a PLAINTEXT listener is registered in ZooKeeper at %s. Is the /chroot of the "
            "brokers' zookeeper.connect right?",
            connect);
        return -ENOENT;
    }
    return 0;
}
