/* SPDX-License-Identifier: Apache-2.0 */
/* The history of the fake ZooKeeper, its servers, and the scheduler that picks what happens next. */
#include "tests/support/fake_zookeeper.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/zk/path.h"
#include "tests/support/fake_zookeeper_internal.h"

struct fake_zookeeper *fake_zookeeper_new(const struct fake_zookeeper_options *options)
{
    struct fake_zookeeper *zookeeper = memory_allocate_zeroed(1, sizeof(*zookeeper));
    zookeeper->options = *options;
    if (zookeeper->options.session_timeout_ms == 0)
        zookeeper->options.session_timeout_ms = 6000;
    prng_init(&zookeeper->prng, options->seed);
    zookeeper->next_session = 0x1000;
    zookeeper->server_count = options->servers > 0 ? options->servers : 1;
    zookeeper->servers = memory_allocate_zeroed((size_t)zookeeper->server_count, sizeof(struct fake_server));
    for (int i = 0; i < zookeeper->server_count; i++)
        fake_tree_init(&zookeeper->servers[i].tree);
    fake_tree_init(&zookeeper->scratch);
    list_init(&zookeeper->clients);
    return zookeeper;
}

void fake_zookeeper_free(struct fake_zookeeper *zookeeper)
{
    CHECK(list_is_empty(&zookeeper->clients));
    for (size_t i = 0; i < zookeeper->history_count; i++) {
        for (size_t s = 0; s < zookeeper->history[i].step_count; s++)
            fake_step_release(&zookeeper->history[i].steps[s]);
        free(zookeeper->history[i].steps);
    }
    free(zookeeper->history);
    for (int i = 0; i < zookeeper->server_count; i++)
        fake_tree_release(&zookeeper->servers[i].tree);
    free(zookeeper->servers);
    fake_tree_release(&zookeeper->scratch);
    free(zookeeper->orphans);
    free(zookeeper);
}

void fake_zookeeper_set_faults(struct fake_zookeeper *zookeeper, uint32_t lose_answer_one_in,
                               uint32_t cut_one_in)
{
    zookeeper->options.lose_answer_one_in = lose_answer_one_in;
    zookeeper->options.cut_one_in = cut_one_in;
}

int64_t fake_server_zxid(const struct fake_zookeeper *zookeeper, int server)
{
    size_t applied = zookeeper->servers[server].applied;
    return applied == 0 ? 0 : zookeeper->history[applied - 1].zxid;
}

bool fake_server_lags(const struct fake_zookeeper *zookeeper, int server)
{
    return zookeeper->servers[server].applied < zookeeper->history_count;
}

void fake_server_apply_next(struct fake_zookeeper *zookeeper, int server)
{
    struct fake_server *at = &zookeeper->servers[server];
    const struct fake_transaction *transaction = &zookeeper->history[at->applied++];
    for (size_t i = 0; i < transaction->step_count; i++)
        fake_tree_apply(&at->tree, &transaction->steps[i], transaction->zxid, transaction->time_ms);
    for (size_t i = 0; i < transaction->step_count; i++) {
        list_for_each(node, &zookeeper->clients)
        {
            struct fake_client *client = container_of(node, struct fake_client, node);
            if (client->link_up && client->server == server)
                fake_client_on_step(client, &transaction->steps[i]);
        }
    }
}

void fake_server_catch_up(struct fake_zookeeper *zookeeper, int server, int64_t zxid)
{
    while (fake_server_zxid(zookeeper, server) < zxid)
        fake_server_apply_next(zookeeper, server);
}

/* Tells the hook of the newest transaction; the servers have not applied it yet. */
static void tell_committed(struct fake_zookeeper *zookeeper, int64_t session)
{
    if (zookeeper->options.committed == NULL)
        return;
    const struct fake_transaction *transaction = &zookeeper->history[zookeeper->history_count - 1];
    struct fake_change *changes = memory_allocate_zeroed(transaction->step_count, sizeof(*changes));
    size_t count = 0;
    for (size_t i = 0; i < transaction->step_count; i++) {
        const struct fake_step *step = &transaction->steps[i];
        if (step->kind == ZK_OPERATION_CHECK)
            continue;
        const struct fake_node *old = fake_tree_find(&zookeeper->servers[0].tree, step->path);
        const struct fake_node *new = fake_tree_find(&zookeeper->scratch, step->path);
        changes[count++] = (struct fake_change){
            .kind = step->kind,
            .path = step->path,
            .data = step->has_data ? slice_make(step->data, step->data_length) : slice_of(NULL),
            .old_data = old != NULL ? fake_node_data(old) : slice_of(NULL),
            .version = new != NULL ? new->version : (old != NULL ? old->version : 0),
            .owner = step->owner,
        };
    }
    zookeeper->options.committed(zookeeper->options.committed_context, zookeeper->zxid, session, changes,
                                 count);
    free(changes);
}

/* What the servers' clocks say. */
static int64_t wall_ms(const struct fake_zookeeper *zookeeper)
{
    return zookeeper->options.wall_ms + zookeeper->now_ms;
}

/* Takes over the steps. */
static void commit(struct fake_zookeeper *zookeeper, int64_t session, struct fake_step *steps, size_t count)
{
    zookeeper->history = memory_grow(zookeeper->history, zookeeper->history_count,
                                     &zookeeper->history_capacity, sizeof(*zookeeper->history));
    zookeeper->history[zookeeper->history_count++] =
        (struct fake_transaction){zookeeper->zxid, wall_ms(zookeeper), steps, count};
    tell_committed(zookeeper, session);
    fake_server_catch_up(zookeeper, 0, zookeeper->zxid);
}

enum zk_result fake_history_write(struct fake_zookeeper *zookeeper, int64_t session,
                                  const struct zk_operation *operations, size_t count, size_t *culprit,
                                  struct zk_operation_outcome *outcomes, char **paths)
{
    struct fake_step *steps = memory_allocate_zeroed(count, sizeof(*steps));
    size_t done = 0;
    enum zk_result result = ZK_OK;
    zookeeper->zxid++;
    for (; done < count; done++) {
        result = fake_tree_prepare(&zookeeper->scratch, &operations[done], session, &steps[done]);
        if (result != ZK_OK)
            break;
        fake_tree_apply(&zookeeper->scratch, &steps[done], zookeeper->zxid, wall_ms(zookeeper));
        const struct fake_node *node = fake_tree_find(&zookeeper->scratch, steps[done].path);
        if (outcomes != NULL && steps[done].kind == ZK_OPERATION_SET)
            outcomes[done].stat = fake_node_stat(node);
        if (paths != NULL && steps[done].kind == ZK_OPERATION_CREATE)
            paths[done] = memory_copy_string(steps[done].path);
    }
    if (result == ZK_OK) {
        commit(zookeeper, session, steps, count);
        return ZK_OK;
    }
    *culprit = done;
    while (done-- > 0) {
        fake_tree_restore(&zookeeper->scratch, &zookeeper->servers[0].tree, steps[done].path);
        fake_step_release(&steps[done]);
    }
    free(steps);
    return result;
}

void fake_history_end_session(struct fake_zookeeper *zookeeper, int64_t session)
{
    size_t position = 0;
    void *value;
    const struct fake_tree *tree = &zookeeper->servers[0].tree;
    size_t count = 0, capacity = 0;
    struct zk_operation *operations = NULL;
    while (map_next(tree->nodes, &position, NULL, &value)) {
        const struct fake_node *node = value;
        if (session != 0 && node->owner == session) {
            operations = memory_grow(operations, count, &capacity, sizeof(*operations));
            operations[count++] = zk_operation_delete_any_version(memory_copy_string(node->path));
        }
    }
    size_t culprit;
    if (count > 0)
        CHECK(fake_history_write(zookeeper, session, operations, count, &culprit, NULL, NULL) == ZK_OK);
    for (size_t i = 0; i < count; i++)
        free((char *)operations[i].path);
    free(operations);
}

static void end_orphans(struct fake_zookeeper *zookeeper)
{
    if (zookeeper->without_quorum)
        return;
    for (size_t i = 0; i < zookeeper->orphan_count;) {
        struct fake_orphan orphan = zookeeper->orphans[i];
        if (orphan.ends_ms > zookeeper->now_ms) {
            i++;
            continue;
        }
        zookeeper->orphans[i] = zookeeper->orphans[--zookeeper->orphan_count];
        fake_history_end_session(zookeeper, orphan.session);
    }
}

static bool head_is_due(const struct list *queue, int64_t now_ms)
{
    return !list_is_empty(queue) && container_of(queue->next, struct fake_item, node)->due_ms <= now_ms;
}

/* Counts what could be done now; carries out the one numbered `chosen`. */
static size_t possibilities(struct fake_zookeeper *zookeeper, size_t chosen)
{
    size_t count = 0;
    list_for_each_safe(node, after, &zookeeper->clients)
    {
        struct fake_client *client = container_of(node, struct fake_client, node);
        if (client->paused)
            continue;
        if (client->link_up && head_is_due(&client->to_server, zookeeper->now_ms) && count++ == chosen) {
            fake_client_process(client);
            return count;
        }
        if (head_is_due(&client->to_client, zookeeper->now_ms) && count++ == chosen) {
            fake_client_deliver(client);
            return count;
        }
    }
    for (int i = 1; i < zookeeper->server_count; i++) {
        if (fake_server_lags(zookeeper, i) && count++ == chosen) {
            fake_server_apply_next(zookeeper, i);
            return count;
        }
    }
    return count;
}

void fake_zookeeper_set_quorum(struct fake_zookeeper *zookeeper, bool has_quorum)
{
    zookeeper->without_quorum = !has_quorum;
    for (size_t i = 0; has_quorum && i < zookeeper->orphan_count; i++)
        zookeeper->orphans[i].ends_ms = zookeeper->now_ms + zookeeper->options.session_timeout_ms;
    list_for_each(node, &zookeeper->clients)
    {
        struct fake_client *client = container_of(node, struct fake_client, node);
        if (!has_quorum)
            fake_client_cut(client);
        fake_client_quorum_changed(client);
    }
}

bool fake_zookeeper_step(struct fake_zookeeper *zookeeper, int64_t now_ms)
{
    CHECK(now_ms >= zookeeper->now_ms);
    zookeeper->now_ms = now_ms;
    end_orphans(zookeeper);
    list_for_each(node, &zookeeper->clients) fake_client_timers(container_of(node, struct fake_client, node));
    size_t count = possibilities(zookeeper, SIZE_MAX);
    if (count == 0)
        return false;
    possibilities(zookeeper, prng_below(&zookeeper->prng, count));
    return true;
}

size_t fake_zookeeper_run(struct fake_zookeeper *zookeeper, int64_t now_ms, size_t limit)
{
    size_t steps = 0;
    while (steps < limit && fake_zookeeper_step(zookeeper, now_ms))
        steps++;
    return steps;
}

static int64_t head_due(const struct list *queue)
{
    return list_is_empty(queue) ? INT64_MAX : container_of(queue->next, struct fake_item, node)->due_ms;
}

int64_t fake_zookeeper_next_due(const struct fake_zookeeper *zookeeper)
{
    int64_t due = INT64_MAX;
    list_for_each(node, &zookeeper->clients)
    {
        const struct fake_client *client = container_of(node, struct fake_client, node);
        due = min_i64(due, fake_client_next_timer(client));
        if (client->paused)
            continue;
        if (client->link_up)
            due = min_i64(due, head_due(&client->to_server));
        due = min_i64(due, head_due(&client->to_client));
    }
    for (int i = 1; i < zookeeper->server_count; i++)
        if (fake_server_lags(zookeeper, i))
            due = min_i64(due, zookeeper->now_ms);
    for (size_t i = 0; !zookeeper->without_quorum && i < zookeeper->orphan_count; i++)
        due = min_i64(due, zookeeper->orphans[i].ends_ms);
    return due;
}

bool fake_zookeeper_read(const struct fake_zookeeper *zookeeper, const char *path, struct slice *data,
                         struct zk_stat *stat)
{
    const struct fake_node *node = fake_tree_find(&zookeeper->servers[0].tree, path);
    if (node == NULL)
        return false;
    if (data != NULL)
        *data = fake_node_data(node);
    if (stat != NULL)
        *stat = fake_node_stat(node);
    return true;
}

static enum zk_result write_one(struct fake_zookeeper *zookeeper, struct zk_operation operation)
{
    size_t culprit;
    return fake_history_write(zookeeper, 0, &operation, 1, &culprit, NULL, NULL);
}

void fake_zookeeper_put(struct fake_zookeeper *zookeeper, const char *path, struct slice data)
{
    if (write_one(zookeeper, zk_operation_set_any_version(path, data)) == ZK_OK)
        return;
    char *parent = memory_copy_string(path);
    *strrchr(parent, '/') = '\0';
    if (parent[0] != '\0' && !fake_zookeeper_read(zookeeper, parent, NULL, NULL))
        fake_zookeeper_put(zookeeper, parent, slice_of(NULL));
    free(parent);
    CHECK(write_one(zookeeper, zk_operation_create(path, data, ZK_PERSISTENT)) == ZK_OK);
}

void fake_zookeeper_remove(struct fake_zookeeper *zookeeper, const char *path)
{
    struct fake_node *node = fake_tree_find(&zookeeper->servers[0].tree, path);
    if (node == NULL)
        return;
    while (map_size(node->children) > 0) {
        size_t position = 0;
        void *child;
        map_next(node->children, &position, NULL, &child);
        char *child_path = memory_copy_string(((struct fake_node *)child)->path);
        fake_zookeeper_remove(zookeeper, child_path);
        free(child_path);
    }
    CHECK(write_one(zookeeper, zk_operation_delete_any_version(path)) == ZK_OK);
}

size_t fake_zookeeper_list(const struct fake_zookeeper *zookeeper, const char *path, const char ***names)
{
    const struct fake_node *node = fake_tree_find(&zookeeper->servers[0].tree, path);
    *names = node != NULL ? fake_node_children(node) : NULL;
    return node != NULL ? map_size(node->children) : 0;
}

void fake_zookeeper_put_persistent_paths(struct fake_zookeeper *zookeeper)
{
    for (size_t i = 0; i < zk_persistent_path_count; i++)
        fake_zookeeper_put(zookeeper, zk_persistent_paths[i], slice_of(NULL));
}

int64_t fake_zookeeper_zxid(const struct fake_zookeeper *zookeeper)
{
    return zookeeper->zxid;
}

bool fake_zookeeper_is_settled(const struct fake_zookeeper *zookeeper)
{
    for (int i = 0; i < zookeeper->server_count; i++)
        if (fake_server_lags(zookeeper, i))
            return false;
    return true;
}

static int compare_nodes(const void *a, const void *b)
{
    return strcmp((*(struct fake_node *const *)a)->path, (*(struct fake_node *const *)b)->path);
}

void fake_zookeeper_dump(const struct fake_zookeeper *zookeeper, struct buffer *out)
{
    const struct map *nodes = zookeeper->servers[0].tree.nodes;
    struct fake_node **sorted = memory_allocate(map_size(nodes) * sizeof(struct fake_node *));
    size_t count = 0, position = 0;
    void *node;
    while (map_next(nodes, &position, NULL, &node))
        sorted[count++] = node;
    qsort(sorted, count, sizeof(struct fake_node *), compare_nodes);
    for (size_t i = 0; i < count; i++) {
        buffer_print(out, "%s v%d owner=%" PRIx64 " ", sorted[i]->path, sorted[i]->version,
                     (uint64_t)sorted[i]->owner);
        buffer_append_escaped(out, fake_node_data(sorted[i]), 500);
        buffer_append_string(out, "\n");
    }
    free(sorted);
}
