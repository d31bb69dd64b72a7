/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every request for a write passes here on its way to ZooKeeper: what a controller writes is one multi that
 * begins with the check of /controller_epoch and names the version of everything it changes (I29), and no
 * request is too large (I39). Two things may be written over any version, as another node in the same multi
 * guards them: what belongs to a topic whose deletion is checked to be asked for, and the settings of a topic
 * that is created with them.
 */
#include <stdio.h>

#include "coordinator/zk/path.h"
#include "tests/unit/controller/world.h"

/* A broker's own: its registration, and what an election writes. */
static bool is_controllers(const char *path)
{
    struct zk_path_parts parts;
    enum zk_path_kind kind = zk_path_parse(path, &parts);
    return kind != ZK_PATH_KIND_CONTROLLER && kind != ZK_PATH_KIND_CONTROLLER_EPOCH &&
           kind != ZK_PATH_KIND_BROKER;
}

/* The multi checks the request to delete the topic, or creates the topic. */
static bool is_guarded(const struct zk_operation *operations, size_t count, const struct zk_operation *it)
{
    struct zk_path_parts parts;
    bool settings = zk_path_parse(it->path, &parts) == ZK_PATH_KIND_CONFIG_ENTITY;
    for (size_t i = 0; i < count; i++) {
        enum zk_path_kind kind = zk_path_parse(operations[i].path, &parts);
        if (it->kind == ZK_OPERATION_DELETE && kind == ZK_PATH_KIND_DELETE_TOPIC &&
            operations[i].kind == ZK_OPERATION_CHECK && !operations[i]._any_version)
            return true;
        if (settings && it->kind == ZK_OPERATION_SET && kind == ZK_PATH_KIND_TOPIC &&
            operations[i].kind == ZK_OPERATION_CREATE)
            return true;
    }
    return false;
}

static void judge_operation(struct world *world, const struct zk_operation *operations, size_t count,
                            const struct zk_operation *operation, bool fenced)
{
    bool changes = operation->kind == ZK_OPERATION_SET || operation->kind == ZK_OPERATION_DELETE;
    if (operation->kind == ZK_OPERATION_CHECK || !is_controllers(operation->path))
        return;
    if (!fenced)
        world_complain(world, "I29: a write without the fence", operation->path);
    bool any = operation->_any_version || operation->version.value < 0;
    if (changes && any && !is_guarded(operations, count, operation))
        world_complain(world, "I29: a write over any version", operation->path);
    if (operation->data.length > ZK_DATA_BYTES_MAX)
        world_complain(world, "I39: a value too large", operation->path);
}

static void spy_write(struct zk_client *client, const struct zk_operation *operations, size_t count,
                      bool alone, bool fenced, struct zk_completion completion)
{
    struct world_spy *spy = container_of(client->operations, struct world_spy, operations);
    bool checked = fenced && operations[0].kind == ZK_OPERATION_CHECK &&
                   strcmp(operations[0].path, ZK_PATH_CONTROLLER_EPOCH) == 0 && !operations[0]._any_version;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += zk_operation_bytes(&operations[i]);
        judge_operation(spy->world, operations, count, &operations[i], checked);
    }
    if (count > ZK_MULTI_OPERATIONS_MAX + 1 || (count > 2 && bytes > ZK_MULTI_BYTES_MAX))
        world_complain(spy->world, "I39: a multi too large", operations[0].path);
    spy->original->write(client, operations, count, alone, fenced, completion);
}

void world_spy_begin(struct world_broker *broker)
{
    struct zk_client *client = fake_client_zk(broker->client);
    broker->spy = (struct world_spy){*client->operations, client->operations, broker->world};
    broker->spy.operations.write = spy_write;
    client->operations = &broker->spy.operations;
}
