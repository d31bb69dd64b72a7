/* SPDX-License-Identifier: Apache-2.0 */
/* Connections and sessions of the fake ZooKeeper: connecting, cuts, timeouts, expiry, pauses, death. */
#include <stdlib.h>

#include "common/memory.h"
#include "tests/support/fake_zookeeper_internal.h"

struct fake_client *fake_client_new(struct fake_zookeeper *zookeeper, const char *name)
{
    struct fake_client *client = memory_allocate_zeroed(1, sizeof(*client));
    zk_client_init(&client->zk, &fake_client_operations);
    client->zookeeper = zookeeper;
    client->name = memory_copy_string(name);
    client->lost_at_ms = client->expires_at_ms = client->reconnect_at_ms = INT64_MAX;
    list_init(&client->waiting);
    list_init(&client->to_server);
    list_init(&client->to_client);
    client->watches = map_new(3);
    list_push_back(&zookeeper->clients, &client->node);
    return client;
}

struct zk_client *fake_client_zk(struct fake_client *client)
{
    return &client->zk;
}

bool fake_client_is_idle(const struct fake_client *client)
{
    return list_is_empty(&client->waiting) && list_is_empty(&client->to_server) &&
           list_is_empty(&client->to_client);
}

bool fake_client_is_writing(const struct fake_client *client)
{
    list_for_each(node, &client->to_server) if (container_of(node, struct fake_item, node)->kind ==
                                                FAKE_WRITE) return true;
    return false;
}

static void watches_clear(struct fake_client *client)
{
    size_t position = 0;
    void *watch;
    while (map_next(client->watches, &position, NULL, &watch))
        free(watch);
    map_free(client->watches);
    client->watches = map_new(3);
}

/* When the server, hearing nothing more, ends the session: some time after its timeout. */
static int64_t expiry_from_now(struct fake_client *client)
{
    struct fake_zookeeper *zookeeper = client->zookeeper;
    int64_t timeout = zookeeper->options.session_timeout_ms;
    return zookeeper->now_ms + timeout + (int64_t)prng_below(&zookeeper->prng, (uint64_t)timeout / 4 + 1);
}

/* Of the requests on their way, a prefix of random length is carried out; nobody will say which. */
static void apply_prefix(struct fake_client *client)
{
    struct fake_zookeeper *zookeeper = client->zookeeper;
    list_for_each(node, &client->to_server)
    {
        struct fake_item *item = container_of(node, struct fake_item, node);
        size_t culprit;
        if (client->expired || prng_one_in(&zookeeper->prng, 2))
            break;
        if (item->kind == FAKE_WRITE)
            fake_history_write(zookeeper, client->session, item->operations, item->operation_count, &culprit,
                               NULL, NULL);
    }
}

static void make_unknown(struct fake_item *item)
{
    if (item->kind == FAKE_REFUSE)
        return;
    item->result = ZK_UNKNOWN;
    item->culprit = ZK_NO_CULPRIT;
    item->armed = 0;
    item->zxid = 0;
}

void fake_client_cut(struct fake_client *client)
{
    if (!client->link_up)
        return;
    client->link_up = false;
    apply_prefix(client);
    list_for_each_safe(node, after, &client->to_client)
    {
        struct fake_item *item = container_of(node, struct fake_item, node);
        if (item->kind == FAKE_EVENT) {
            list_remove(node);
            fake_item_free(item);
        } else if (item->kind < FAKE_EVENT) {
            make_unknown(item);
        }
    }
    fake_client_notify(client, FAKE_DISCONNECTED, false);
    struct list *node;
    while ((node = list_pop_front(&client->to_server)) != NULL) {
        make_unknown(container_of(node, struct fake_item, node));
        list_push_back(&client->to_client, node);
    }
    size_t position = 0;
    void *watch;
    while (map_next(client->watches, &position, NULL, &watch))
        ((struct fake_watch *)watch)->armed = ((struct fake_watch *)watch)->confirmed;
    client->lost_at_ms = client->zookeeper->now_ms + client->zookeeper->options.session_timeout_ms;
    if (client->expires_at_ms == INT64_MAX && !client->zookeeper->without_quorum)
        client->expires_at_ms = expiry_from_now(client);
    int64_t again = client->zookeeper->options.reconnect_ms;
    if (again >= 0)
        client->reconnect_at_ms = client->zookeeper->now_ms + again +
                                  (int64_t)prng_below(&client->zookeeper->prng, (uint64_t)again + 1);
}

void fake_client_disconnect(struct fake_client *client)
{
    fake_client_cut(client);
    client->reconnect_at_ms = INT64_MAX;
}

/* The client names its watches to the new server, which answers with what has changed since. */
static void watches_set_again(struct fake_client *client)
{
    size_t position = 0;
    struct slice path;
    void *value;
    const struct fake_tree *tree = &client->zookeeper->servers[client->server].tree;
    while (map_next(client->watches, &position, &path, &value)) {
        struct fake_watch *watch = value;
        char *name = memory_copy_bytes(path.data, path.length);
        const struct fake_node *node = fake_tree_find(tree, name);
        uint8_t hit = 0;
        if (node == NULL)
            hit = watch->armed & (FAKE_WATCH_DATA | FAKE_WATCH_CHILD);
        else if (node->czxid > client->last_zxid || (watch->armed & FAKE_WATCH_MISSING))
            hit = watch->armed & FAKE_WATCH_MISSING;
        if (hit != 0)
            fake_client_push_event(client, node == NULL ? ZK_EVENT_DELETED : ZK_EVENT_CREATED, name);
        watch->armed &= (uint8_t)~hit;
        if (node != NULL && (watch->armed & FAKE_WATCH_DATA) && node->mzxid > client->last_zxid) {
            fake_client_push_event(client, ZK_EVENT_CHANGED, name);
            watch->armed &= (uint8_t)~FAKE_WATCH_DATA;
        }
        if (node != NULL && (watch->armed & FAKE_WATCH_CHILD) && node->pzxid > client->last_zxid) {
            fake_client_push_event(client, ZK_EVENT_CHILDREN, name);
            watch->armed &= (uint8_t)~FAKE_WATCH_CHILD;
        }
        free(name);
    }
}

void fake_client_connect(struct fake_client *client)
{
    struct fake_zookeeper *zookeeper = client->zookeeper;
    if (client->link_up)
        return;
    if (zookeeper->without_quorum) {
        client->reconnect_at_ms = zookeeper->now_ms + max_i64(zookeeper->options.reconnect_ms, 1);
        return;
    }
    client->link_up = true;
    client->connection++;
    client->reconnect_at_ms = client->lost_at_ms = client->expires_at_ms = INT64_MAX;
    client->server = (int)prng_below(&zookeeper->prng, (uint64_t)zookeeper->server_count);
    fake_server_catch_up(zookeeper, client->server, client->last_zxid);
    bool new_session = client->session == 0 || client->expired;
    if (new_session && client->session != 0 && !client->told_lost) {
        fake_client_notify(client, FAKE_LOST, false);
        client->told_lost = true;
    }
    if (new_session) {
        client->session = zookeeper->next_session++;
        client->expired = false;
        watches_clear(client);
    }
    fake_client_notify(client, FAKE_CONNECTED, new_session);
    if (!new_session)
        watches_set_again(client);
}

static void end_session(struct fake_client *client)
{
    if (client->session == 0 || client->expired)
        return;
    client->expired = true;
    client->expires_at_ms = INT64_MAX;
    fake_history_end_session(client->zookeeper, client->session);
}

void fake_client_expire(struct fake_client *client)
{
    end_session(client);
    fake_client_cut(client);
    client->expires_at_ms = INT64_MAX;
}

void fake_client_quorum_changed(struct fake_client *client)
{
    if (client->session == 0 || client->expired || client->link_up)
        return;
    client->expires_at_ms = client->zookeeper->without_quorum ? INT64_MAX : expiry_from_now(client);
}

void fake_client_pause(struct fake_client *client, bool paused)
{
    if (paused == client->paused)
        return;
    client->paused = paused;
    if (client->link_up)
        client->expires_at_ms = paused && client->session != 0 ? expiry_from_now(client) : INT64_MAX;
}

void fake_client_timers(struct fake_client *client)
{
    int64_t now_ms = client->zookeeper->now_ms;
    if (client->expires_at_ms <= now_ms) {
        end_session(client);
        fake_client_cut(client);
        client->expires_at_ms = INT64_MAX;
    }
    if (client->lost_at_ms <= now_ms) {
        client->lost_at_ms = INT64_MAX;
        if (client->session != 0 && !client->told_lost) {
            fake_client_notify(client, FAKE_LOST, false);
            client->told_lost = true;
        }
    }
    if (client->reconnect_at_ms <= now_ms && !client->paused)
        fake_client_connect(client);
}

int64_t fake_client_next_timer(const struct fake_client *client)
{
    int64_t next = min_i64(client->expires_at_ms, client->lost_at_ms);
    return client->paused ? next : min_i64(next, client->reconnect_at_ms);
}

static void complete_all(struct list *queue)
{
    struct list *node;
    while ((node = list_pop_front(queue)) != NULL) {
        struct fake_item *item = container_of(node, struct fake_item, node);
        make_unknown(item);
        if (item->kind < FAKE_EVENT)
            fake_item_complete(item);
        else
            fake_item_free(item);
    }
}

static void client_free(struct fake_client *client)
{
    complete_all(&client->to_client);
    complete_all(&client->to_server);
    complete_all(&client->waiting);
    list_remove(&client->node);
    watches_clear(client);
    map_free(client->watches);
    free(client->name);
    free(client);
}

void fake_client_free(struct fake_client *client)
{
    struct fake_zookeeper *zookeeper = client->zookeeper;
    if (client->link_up)
        apply_prefix(client);
    if (client->session != 0 && !client->expired) {
        int64_t ends = client->expires_at_ms != INT64_MAX ? client->expires_at_ms : expiry_from_now(client);
        zookeeper->orphans = memory_grow(zookeeper->orphans, zookeeper->orphan_count,
                                         &zookeeper->orphan_capacity, sizeof(*zookeeper->orphans));
        zookeeper->orphans[zookeeper->orphan_count++] = (struct fake_orphan){client->session, ends};
    }
    client_free(client);
}

void fake_client_close(struct fake_client *client)
{
    if (client->link_up)
        apply_prefix(client);
    end_session(client);
    client_free(client);
}
