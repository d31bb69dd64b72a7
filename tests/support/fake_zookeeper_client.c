/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of the fake ZooKeeper: their queues, watches and sessions. A request goes from `waiting` (no
 * connection) to `to_server`, is carried out there, and comes back as an answer in `to_client`, in order.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/zk/zk_response.h"
#include "tests/support/fake_zookeeper_internal.h"

void fake_item_free(struct fake_item *item)
{
    for (size_t i = 0; i < item->operation_count; i++) {
        free((char *)item->operations[i].path);
        free((uint8_t *)item->operations[i].data.data);
        if (item->outcomes != NULL)
            free((char *)item->outcomes[i].path);
    }
    for (size_t i = 0; i < item->child_count; i++)
        free(item->children[i]);
    free(item->operations);
    free(item->outcomes);
    free(item->children);
    free(item->data);
    free(item->made);
    free(item->path);
    free(item);
}

static struct fake_item *item_new(enum fake_item_kind kind, const char *path)
{
    struct fake_item *item = memory_allocate_zeroed(1, sizeof(*item));
    item->kind = kind;
    item->path = path != NULL ? memory_copy_string(path) : NULL;
    item->culprit = ZK_NO_CULPRIT;
    list_init(&item->node);
    return item;
}

/* Puts it at the end of a queue, never to arrive before what is already there. */
static void enqueue(struct fake_client *client, struct list *queue, struct fake_item *item, bool to_server)
{
    const struct fake_zookeeper_options *options = &client->zookeeper->options;
    int64_t delay = options->delay_ms ? options->delay_ms(options->delay_context, client, to_server) : 0;
    item->due_ms = client->zookeeper->now_ms + delay;
    if (!list_is_empty(queue))
        item->due_ms = max_i64(item->due_ms, container_of(queue->previous, struct fake_item, node)->due_ms);
    list_push_back(queue, &item->node);
}

static void request(struct fake_client *client, struct fake_item *item, struct zk_completion completion)
{
    item->completion = completion;
    if (client->told_connected && client->link_up && client->told_connection == client->connection)
        enqueue(client, &client->to_server, item, true);
    else
        list_push_back(&client->waiting, &item->node);
}

static struct fake_client *client_of(struct zk_client *zk)
{
    return container_of(zk, struct fake_client, zk);
}

static void operation_get(struct zk_client *zk, const char *path, bool watch, struct zk_completion completion)
{
    struct fake_item *item = item_new(FAKE_GET, path);
    item->watch = watch;
    request(client_of(zk), item, completion);
}

static void operation_exists(struct zk_client *zk, const char *path, bool watch,
                             struct zk_completion completion)
{
    struct fake_item *item = item_new(FAKE_EXISTS, path);
    item->watch = watch;
    request(client_of(zk), item, completion);
}

static void operation_children(struct zk_client *zk, const char *path, bool watch,
                               struct zk_completion completion)
{
    struct fake_item *item = item_new(FAKE_CHILDREN, path);
    item->watch = watch;
    request(client_of(zk), item, completion);
}

static void operation_write(struct zk_client *zk, const struct zk_operation *operations, size_t count,
                            bool alone, bool fenced, struct zk_completion completion)
{
    struct fake_item *item = item_new(FAKE_WRITE, NULL);
    item->alone = alone;
    item->fenced = fenced;
    item->operations = memory_allocate_zeroed(count, sizeof(*operations));
    item->operation_count = count;
    for (size_t i = 0; i < count; i++) {
        item->operations[i] = operations[i];
        item->operations[i].path = memory_copy_string(operations[i].path);
        struct slice data = operations[i].data;
        if (!slice_is_null(data))
            item->operations[i].data = slice_make(memory_copy_bytes(data.data, data.length), data.length);
    }
    request(client_of(zk), item, completion);
}

static void operation_refuse(struct zk_client *zk, enum zk_result result, struct zk_completion completion)
{
    struct fake_client *client = client_of(zk);
    struct fake_item *item = item_new(FAKE_REFUSE, NULL);
    item->result = result;
    request(client, item, completion);
}

static int64_t operation_session_id(const struct zk_client *zk)
{
    const struct fake_client *client = container_of(zk, struct fake_client, zk);
    return client->told_lost ? 0 : client->session;
}

static int64_t operation_session_timeout_ms(const struct zk_client *zk)
{
    return container_of(zk, struct fake_client, zk)->zookeeper->options.session_timeout_ms;
}

static bool operation_is_connected(const struct zk_client *zk)
{
    return container_of(zk, struct fake_client, zk)->told_connected;
}

const struct zk_client_operations fake_client_operations = {
    .get = operation_get,
    .exists = operation_exists,
    .children = operation_children,
    .write = operation_write,
    .refuse = operation_refuse,
    .session_id = operation_session_id,
    .session_timeout_ms = operation_session_timeout_ms,
    .is_connected = operation_is_connected,
};

static struct fake_watch *watch_of(struct fake_client *client, const char *path)
{
    struct fake_watch *watch = map_get(client->watches, slice_of(path));
    if (watch == NULL) {
        watch = memory_allocate_zeroed(1, sizeof(*watch));
        map_put(client->watches, slice_of(path), watch);
    }
    return watch;
}

void fake_client_notify(struct fake_client *client, enum fake_item_kind kind, bool new_session)
{
    struct fake_item *item = item_new(kind, NULL);
    item->new_session = new_session;
    item->connection = client->connection;
    enqueue(client, &client->to_client, item, false);
}

void fake_client_push_event(struct fake_client *client, enum zk_event event, const char *path)
{
    struct fake_item *item = item_new(FAKE_EVENT, path);
    item->event = event;
    enqueue(client, &client->to_client, item, false);
}

/* Fires what of `kinds` is armed at the path. The client takes the watch for armed until it has the event. */
static void fire(struct fake_client *client, const char *path, uint8_t kinds, enum zk_event event)
{
    struct fake_watch *watch = map_get(client->watches, slice_of(path));
    if (watch == NULL || (watch->armed & kinds) == 0)
        return;
    watch->armed &= (uint8_t)~kinds;
    fake_client_push_event(client, event, path);
}

void fake_client_on_step(struct fake_client *client, const struct fake_step *step)
{
    char *parent = memory_copy_string(step->path);
    char *slash = strrchr(parent, '/');
    slash[slash == parent ? 1 : 0] = '\0';
    switch (step->kind) {
    case ZK_OPERATION_CHECK:
        break;
    case ZK_OPERATION_CREATE:
        fire(client, step->path, FAKE_WATCH_DATA | FAKE_WATCH_MISSING, ZK_EVENT_CREATED);
        fire(client, parent, FAKE_WATCH_CHILD, ZK_EVENT_CHILDREN);
        break;
    case ZK_OPERATION_SET:
        fire(client, step->path, FAKE_WATCH_DATA | FAKE_WATCH_MISSING, ZK_EVENT_CHANGED);
        break;
    case ZK_OPERATION_DELETE:
        fire(client, step->path, FAKE_WATCH_DATA | FAKE_WATCH_MISSING | FAKE_WATCH_CHILD, ZK_EVENT_DELETED);
        fire(client, parent, FAKE_WATCH_CHILD, ZK_EVENT_CHILDREN);
        break;
    }
    free(parent);
}

static void process_read(struct fake_client *client, struct fake_item *item)
{
    const struct fake_node *node =
        fake_tree_find(&client->zookeeper->servers[client->server].tree, item->path);
    item->result = node != NULL ? ZK_OK : ZK_NO_NODE;
    if (node != NULL) {
        item->stat = fake_node_stat(node);
        if (item->kind == FAKE_GET && node->data != NULL) {
            item->has_data = true;
            item->data = (uint8_t *)memory_copy_bytes(node->data, node->data_length);
            item->data_length = node->data_length;
        }
        if (item->kind == FAKE_CHILDREN) {
            const char **names = fake_node_children(node);
            item->child_count = map_size(node->children);
            item->children = memory_allocate(item->child_count * sizeof(*item->children));
            for (size_t i = 0; i < item->child_count; i++)
                item->children[i] = memory_copy_string(names[i]);
            free(names);
        }
    }
    if (!item->watch || (node == NULL && item->kind != FAKE_EXISTS))
        return;
    item->armed = item->kind == FAKE_CHILDREN ? FAKE_WATCH_CHILD
                  : node == NULL              ? FAKE_WATCH_MISSING
                                              : FAKE_WATCH_DATA;
    watch_of(client, item->path)->armed |= item->armed;
}

static void process_write(struct fake_client *client, struct fake_item *item)
{
    struct fake_zookeeper *zookeeper = client->zookeeper;
    bool lost = zookeeper->options.lose_answer_one_in > 0 &&
                prng_one_in(&zookeeper->prng, zookeeper->options.lose_answer_one_in);
    if (lost && prng_one_in(&zookeeper->prng, 2)) {
        item->result = ZK_UNKNOWN;
        return;
    }
    item->outcomes = memory_allocate_zeroed(item->operation_count, sizeof(*item->outcomes));
    char **paths = memory_allocate_zeroed(item->operation_count, sizeof(*paths));
    item->result = fake_history_write(zookeeper, client->session, item->operations, item->operation_count,
                                      &item->culprit, item->outcomes, paths);
    fake_server_catch_up(zookeeper, client->server,
                         zookeeper->history_count > 0 && item->result == ZK_OK ? zookeeper->zxid : 0);
    for (size_t i = 0; i < item->operation_count; i++)
        item->outcomes[i].path = paths[i];
    free(paths);
    if (lost) {
        item->result = ZK_UNKNOWN;
        item->culprit = ZK_NO_CULPRIT;
    }
}

void fake_client_process(struct fake_client *client)
{
    struct fake_zookeeper *zookeeper = client->zookeeper;
    struct fake_item *item = container_of(list_pop_front(&client->to_server), struct fake_item, node);
    if (item->kind == FAKE_WRITE)
        process_write(client, item);
    else if (item->kind != FAKE_REFUSE)
        process_read(client, item);
    item->zxid = fake_server_zxid(zookeeper, client->server);
    enqueue(client, &client->to_client, item, false);
    if (zookeeper->options.cut_one_in > 0 && prng_one_in(&zookeeper->prng, zookeeper->options.cut_one_in))
        fake_client_cut(client);
}

void fake_item_complete(struct fake_item *item)
{
    struct zk_response response = {.result = item->result, .culprit = ZK_NO_CULPRIT};
    if (item->kind == FAKE_WRITE && !item->alone) {
        response.culprit = item->culprit;
        if (item->result == ZK_OK) {
            response.outcomes = item->outcomes;
            response.outcome_count = item->operation_count;
        }
        zk_response_finish_multi(&response, item->fenced);
    } else if (item->kind == FAKE_WRITE) {
        if (item->result == ZK_OK) {
            response.stat = item->outcomes[0].stat;
            response.path = item->outcomes[0].path;
        }
    } else if (item->result == ZK_OK) {
        response.stat = item->stat;
        response.data = item->has_data ? slice_make(item->data, item->data_length) : slice_of(NULL);
        response.children = (const char *const *)item->children;
        response.child_count = item->child_count;
    }
    struct zk_completion completion = item->completion;
    if (completion.done != NULL)
        completion.done(completion.context, &response);
    fake_item_free(item);
}

/* The client has the event: the watches that it ends are over for it too. */
static void watch_ends(struct fake_client *client, const struct fake_item *item)
{
    static const uint8_t ended[] = {
        [ZK_EVENT_CREATED] = FAKE_WATCH_DATA | FAKE_WATCH_MISSING,
        [ZK_EVENT_DELETED] = FAKE_WATCH_DATA | FAKE_WATCH_MISSING | FAKE_WATCH_CHILD,
        [ZK_EVENT_CHANGED] = FAKE_WATCH_DATA | FAKE_WATCH_MISSING,
        [ZK_EVENT_CHILDREN] = FAKE_WATCH_CHILD,
        [ZK_EVENT_LOOK_AGAIN] = 0,
    };
    struct fake_watch *watch = map_get(client->watches, slice_of(item->path));
    if (watch != NULL)
        watch->confirmed &= (uint8_t)~ended[item->event];
}

/* A notice of the session; the item is still the caller's. */
static void deliver_notice(struct fake_client *client, const struct fake_item *item)
{
    switch (item->kind) {
    case FAKE_EVENT:
        watch_ends(client, item);
        zk_client_tell_watch_event(&client->zk, item->event, item->path);
        return;
    case FAKE_CONNECTED:
        if (!client->link_up || item->connection != client->connection)
            return;
        client->told_connected = true;
        client->told_connection = item->connection;
        client->told_lost = false;
        while (!list_is_empty(&client->waiting)) {
            struct list *node = list_pop_front(&client->waiting);
            enqueue(client, &client->to_server, container_of(node, struct fake_item, node), true);
        }
        zk_client_tell_connected(&client->zk, item->new_session);
        return;
    case FAKE_DISCONNECTED:
        client->told_connected = false;
        zk_client_tell_disconnected(&client->zk);
        return;
    case FAKE_LOST:
        client->told_connected = false;
        client->told_lost = true;
        struct list ended;
        list_init(&ended);
        list_move_all(&client->waiting, &ended);
        zk_client_tell_session_lost(&client->zk);
        struct list *node;
        while ((node = list_pop_front(&ended)) != NULL) {
            struct fake_item *request_item = container_of(node, struct fake_item, node);
            if (request_item->kind != FAKE_REFUSE)
                request_item->result = ZK_EXPIRED;
            fake_item_complete(request_item);
        }
        return;
    default:
        UNREACHABLE();
    }
}

void fake_client_deliver(struct fake_client *client)
{
    struct fake_item *item = container_of(list_pop_front(&client->to_client), struct fake_item, node);
    client->last_zxid = max_i64(client->last_zxid, item->zxid);
    if (item->kind < FAKE_EVENT) {
        /* Its event may be on its way already. */
        if (item->armed != 0)
            watch_of(client, item->path)->confirmed |= item->armed;
        fake_item_complete(item);
        return;
    }
    deliver_notice(client, item);
    fake_item_free(item);
}
