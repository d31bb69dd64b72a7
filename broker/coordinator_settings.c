/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of this broker that live in ZooKeeper: /config/brokers/<id>, over /config/brokers/<default>.
 * Both are read at the first connection of a session and whenever their watch fires, whoever wrote them; what
 * is not there has no settings. A read that failed is tried again with the next connection or tick. The
 * broker registers when both have been read: from then on it copies, and must know how fast it may. A node
 * that ZooKeeper will not show does not keep it out: that is said in the log, and tried again now and then.
 *
 *     get, watched --there--> told; the watch brings us back
 *         '--not there--> exists, watched --there meanwhile--> get
 *                             '--not there--> told as empty; the watch brings us back
 */
#include <stdlib.h>
#include <string.h>

#include "broker/coordinator_internal.h"
#include "common/arena.h"
#include "common/clock.h"
#include "common/memory.h"
#include "coordinator/zk/path.h"

#define CLUSTER_WIDE (-1) /* zk_path_config_broker's <default> */
/* How long a node that ZooKeeper will not show is left alone. */
#define REFUSED_PAUSE_MS 5000

static void read_node(struct watched_settings *watched);

static void tell(struct watched_settings *watched)
{
    struct coordinator *coordinator = watched->coordinator;
    const struct coordinator_callbacks *callbacks = &coordinator->options.callbacks;
    if (callbacks->settings_changed != NULL)
        callbacks->settings_changed(callbacks->context, &coordinator->own_settings.node,
                                    &coordinator->cluster_settings.node);
}

/* All that is to be had of this node is here; with both, the broker joins the cluster. */
static void now_known(struct watched_settings *watched)
{
    struct coordinator *coordinator = watched->coordinator;
    watched->known = true;
    if (coordinator->own_settings.known && coordinator->cluster_settings.known)
        coordinator_register(coordinator);
}

/* Takes what the node holds; data that cannot be read changes nothing. */
static void adopt(struct watched_settings *watched, struct slice data)
{
    struct node_config node;
    struct buffer problem;
    buffer_init(&problem);
    node_config_init(&node);
    if (node_config_decode(data, &node, &problem) == 0) {
        node_config_release(&watched->node);
        watched->node = node;
        tell(watched);
    } else {
        log_warn(watched->coordinator->options.logger, "coordinator", "%s cannot be read: %s", watched->path,
                 buffer_string(&problem));
        node_config_release(&node);
    }
    buffer_release(&problem);
    now_known(watched);
}

/* No answer, or one that shows nothing. It is read again; only the former is worth waiting for. */
static void not_read(struct watched_settings *watched, enum zk_result result)
{
    uint64_t suppressed;
    watched->stale = true;
    if (result != ZK_AUTH && result != ZK_ERROR && result != ZK_TOO_BIG)
        return;
    int64_t now_ms = clock_monotonic_ms();
    watched->not_before_ms = now_ms + REFUSED_PAUSE_MS;
    if (log_limiter_allow(&watched->unreadable, now_ms, &suppressed))
        log_warn(watched->coordinator->options.logger, "coordinator",
                 "cannot read the settings in %s: %s; the broker goes on with those it has", watched->path,
                 zk_result_name(result));
    now_known(watched);
}

static void on_exists(void *context, const struct zk_response *response)
{
    struct watched_settings *watched = context;
    watched->reading = false;
    if (watched->coordinator->stopping)
        return;
    if (response->result == ZK_NO_NODE)
        adopt(watched, slice_of(NULL));
    else if (response->result == ZK_OK)
        read_node(watched);
    else
        not_read(watched, response->result);
}

static void on_data(void *context, const struct zk_response *response)
{
    struct watched_settings *watched = context;
    watched->reading = false;
    if (watched->coordinator->stopping)
        return;
    if (response->result == ZK_OK) {
        adopt(watched, response->data);
    } else if (response->result == ZK_NO_NODE) {
        watched->reading = true;
        zk_exists(zk_session_client(watched->coordinator->session), watched->path, true,
                  zk_completion_make(on_exists, watched));
    } else {
        not_read(watched, response->result);
    }
}

/* While a read is under way another is owed: what it finds may be older than what we were called for. */
static void read_node(struct watched_settings *watched)
{
    watched->stale = watched->reading;
    if (watched->reading)
        return;
    watched->reading = true;
    zk_get(zk_session_client(watched->coordinator->session), watched->path, true,
           zk_completion_make(on_data, watched));
}

static void on_connected(struct zk_listener *listener, bool new_session)
{
    (void)new_session;
    struct coordinator *coordinator = container_of(listener, struct coordinator, settings_listener);
    read_node(&coordinator->own_settings);
    read_node(&coordinator->cluster_settings);
}

static void on_watch_event(struct zk_listener *listener, enum zk_event event, const char *path)
{
    (void)event;
    struct coordinator *coordinator = container_of(listener, struct coordinator, settings_listener);
    if (strcmp(path, coordinator->own_settings.path) == 0)
        read_node(&coordinator->own_settings);
    else if (strcmp(path, coordinator->cluster_settings.path) == 0)
        read_node(&coordinator->cluster_settings);
}

static void tick_node(struct watched_settings *watched)
{
    if (watched->stale && !watched->reading && clock_monotonic_ms() >= watched->not_before_ms &&
        zk_client_is_connected(zk_session_client(watched->coordinator->session)))
        read_node(watched);
}

void coordinator_tick_settings(struct coordinator *coordinator)
{
    tick_node(&coordinator->own_settings);
    tick_node(&coordinator->cluster_settings);
}

static void watched_init(struct watched_settings *watched, struct coordinator *coordinator, int32_t broker_id)
{
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    watched->coordinator = coordinator;
    watched->path = memory_copy_string(zk_path_config_broker(&arena, broker_id));
    node_config_init(&watched->node);
    arena_release(&arena);
}

static void watched_release(struct watched_settings *watched)
{
    free(watched->path);
    node_config_release(&watched->node);
}

void coordinator_settings_init(struct coordinator *coordinator)
{
    watched_init(&coordinator->own_settings, coordinator, coordinator->options.config->broker_id);
    watched_init(&coordinator->cluster_settings, coordinator, CLUSTER_WIDE);
    coordinator->settings_listener =
        (struct zk_listener){.connected = on_connected, .watch_event = on_watch_event};
}

void coordinator_settings_begin(struct coordinator *coordinator)
{
    struct zk_client *client = zk_session_client(coordinator->session);
    zk_client_add_listener(client, &coordinator->settings_listener);
    if (zk_client_is_connected(client))
        on_connected(&coordinator->settings_listener, true);
}

void coordinator_settings_release(struct coordinator *coordinator)
{
    watched_release(&coordinator->own_settings);
    watched_release(&coordinator->cluster_settings);
}
