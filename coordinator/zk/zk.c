/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every implementation of the client table shares: the checks before a request, the planner of multis,
 * the typed controller write, and the listeners.
 */
#include "coordinator/zk/zk.h"

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/zk/path.h"
#include "coordinator/zk/zk_response.h"

/* What ZooKeeper's serialisation adds to path and data of an operation: headers, lengths, ACL, flags. */
#define OPERATION_OVERHEAD_BYTES 96

const char *zk_result_name(enum zk_result result)
{
    switch (result) {
    case ZK_OK:
        return "done";
    case ZK_NO_NODE:
        return "no such node";
    case ZK_NODE_EXISTS:
        return "node exists";
    case ZK_BAD_VERSION:
        return "version has changed";
    case ZK_NOT_EMPTY:
        return "node has children";
    case ZK_UNKNOWN:
        return "no answer, outcome unknown";
    case ZK_EXPIRED:
        return "session expired";
    case ZK_TOO_BIG:
        return "request too big";
    case ZK_AUTH:
        return "not allowed";
    case ZK_ERROR:
        return "refused";
    }
    return "unknown result";
}

struct zk_operation zk_operation_check(const char *path, struct zk_version version)
{
    return (struct zk_operation){.kind = ZK_OPERATION_CHECK, .path = path, .version = version};
}

struct zk_operation zk_operation_create(const char *path, struct slice data, enum zk_create_mode mode)
{
    return (struct zk_operation){.kind = ZK_OPERATION_CREATE, .path = path, .data = data, .mode = mode};
}

struct zk_operation zk_operation_set(const char *path, struct slice data, struct zk_version version)
{
    return (struct zk_operation){.kind = ZK_OPERATION_SET, .path = path, .data = data, .version = version};
}

struct zk_operation zk_operation_set_any_version(const char *path, struct slice data)
{
    return (struct zk_operation){.kind = ZK_OPERATION_SET, .path = path, .data = data, ._any_version = true};
}

struct zk_operation zk_operation_delete(const char *path, struct zk_version version)
{
    return (struct zk_operation){.kind = ZK_OPERATION_DELETE, .path = path, .version = version};
}

struct zk_operation zk_operation_delete_any_version(const char *path)
{
    return (struct zk_operation){.kind = ZK_OPERATION_DELETE, .path = path, ._any_version = true};
}

size_t zk_operation_bytes(const struct zk_operation *operation)
{
    return OPERATION_OVERHEAD_BYTES + strlen(operation->path) + operation->data.length;
}

size_t zk_multi_fit(const struct zk_operation *operations, size_t count)
{
    size_t bytes = OPERATION_OVERHEAD_BYTES + strlen(ZK_PATH_CONTROLLER_EPOCH);
    size_t most = min_size(count, ZK_MULTI_OPERATIONS_MAX);
    for (size_t i = 0; i < most; i++) {
        bytes += zk_operation_bytes(&operations[i]);
        if (i > 0 && bytes > ZK_MULTI_BYTES_MAX)
            return i;
    }
    return most;
}

void zk_response_finish_multi(struct zk_response *response, bool fenced)
{
    if (!fenced)
        return;
    if (response->outcome_count > 0) {
        response->outcomes++;
        response->outcome_count--;
    }
    if (response->culprit == ZK_NO_CULPRIT)
        return;
    if (response->culprit > 0) {
        response->culprit--;
        return;
    }
    response->culprit = ZK_NO_CULPRIT;
    response->fenced = true;
    response->result = ZK_BAD_VERSION;
}

void zk_client_init(struct zk_client *client, const struct zk_client_operations *operations)
{
    client->operations = operations;
    list_init(&client->_listeners);
}

void zk_client_add_listener(struct zk_client *client, struct zk_listener *listener)
{
    list_push_back(&client->_listeners, &listener->_node);
}

void zk_client_remove_listener(struct zk_client *client, struct zk_listener *listener)
{
    (void)client;
    list_remove(&listener->_node);
}

void zk_client_tell_connected(struct zk_client *client, bool new_session)
{
    list_for_each_safe(node, after, &client->_listeners)
    {
        struct zk_listener *listener = container_of(node, struct zk_listener, _node);
        if (listener->connected)
            listener->connected(listener, new_session);
    }
}

void zk_client_tell_disconnected(struct zk_client *client)
{
    list_for_each_safe(node, after, &client->_listeners)
    {
        struct zk_listener *listener = container_of(node, struct zk_listener, _node);
        if (listener->disconnected)
            listener->disconnected(listener);
    }
}

void zk_client_tell_session_lost(struct zk_client *client)
{
    list_for_each_safe(node, after, &client->_listeners)
    {
        struct zk_listener *listener = container_of(node, struct zk_listener, _node);
        if (listener->session_lost)
            listener->session_lost(listener);
    }
}

void zk_client_tell_watch_event(struct zk_client *client, enum zk_event event, const char *path)
{
    list_for_each_safe(node, after, &client->_listeners)
    {
        struct zk_listener *listener = container_of(node, struct zk_listener, _node);
        if (listener->watch_event)
            listener->watch_event(listener, event, path);
    }
}

int64_t zk_client_session_id(const struct zk_client *client)
{
    return client->operations->session_id(client);
}

int64_t zk_client_session_timeout_ms(const struct zk_client *client)
{
    return client->operations->session_timeout_ms(client);
}

bool zk_client_is_connected(const struct zk_client *client)
{
    return client->operations->is_connected(client);
}

void zk_get(struct zk_client *client, const char *path, bool watch, struct zk_completion completion)
{
    CHECK(path[0] == '/');
    client->operations->get(client, path, watch, completion);
}

void zk_exists(struct zk_client *client, const char *path, bool watch, struct zk_completion completion)
{
    CHECK(path[0] == '/');
    client->operations->exists(client, path, watch, completion);
}

void zk_children(struct zk_client *client, const char *path, bool watch, struct zk_completion completion)
{
    CHECK(path[0] == '/');
    client->operations->children(client, path, watch, completion);
}

/* The last look at a write before an implementation gets it. */
static bool write_is_allowed(const struct zk_operation *operations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct zk_operation *operation = &operations[i];
        CHECK(operation->path[0] == '/');
        CHECK(operation->_any_version || operation->version.value >= 0);
        CHECK(!operation->_any_version || operation->kind != ZK_OPERATION_CHECK);
        if (operation->data.length > ZK_DATA_BYTES_MAX)
            return false;
    }
    return zk_multi_fit(operations, count) == count;
}

static void write_alone(struct zk_client *client, struct zk_operation operation,
                        struct zk_completion completion)
{
    if (write_is_allowed(&operation, 1))
        client->operations->write(client, &operation, 1, true, false, completion);
    else
        client->operations->refuse(client, ZK_TOO_BIG, completion);
}

void zk_create(struct zk_client *client, const char *path, struct slice data, enum zk_create_mode mode,
               struct zk_completion completion)
{
    write_alone(client, zk_operation_create(path, data, mode), completion);
}

void zk_set(struct zk_client *client, const char *path, struct slice data, struct zk_version version,
            struct zk_completion completion)
{
    write_alone(client, zk_operation_set(path, data, version), completion);
}

void zk_set_any_version(struct zk_client *client, const char *path, struct slice data,
                        struct zk_completion completion)
{
    write_alone(client, zk_operation_set_any_version(path, data), completion);
}

void zk_delete(struct zk_client *client, const char *path, struct zk_version version,
               struct zk_completion completion)
{
    write_alone(client, zk_operation_delete(path, version), completion);
}

void zk_delete_any_version(struct zk_client *client, const char *path, struct zk_completion completion)
{
    write_alone(client, zk_operation_delete_any_version(path), completion);
}

void zk_multi(struct zk_client *client, const struct zk_operation *operations, size_t count,
              struct zk_completion completion)
{
    if (count == 0)
        client->operations->refuse(client, ZK_OK, completion);
    else if (write_is_allowed(operations, count))
        client->operations->write(client, operations, count, false, false, completion);
    else
        client->operations->refuse(client, ZK_TOO_BIG, completion);
}

void zk_fenced_multi(struct zk_client *client, struct zk_fence fence, const struct zk_operation *operations,
                     size_t count, struct zk_completion completion)
{
    CHECK(fence._made);
    if (!write_is_allowed(operations, count)) {
        client->operations->refuse(client, ZK_TOO_BIG, completion);
        return;
    }
    struct zk_operation *all = memory_allocate((count + 1) * sizeof(*all));
    all[0] = zk_operation_check(ZK_PATH_CONTROLLER_EPOCH, fence.controller_epoch_version);
    if (count > 0)
        memcpy(all + 1, operations, count * sizeof(*all));
    client->operations->write(client, all, count + 1, false, true, completion);
    free(all);
}
