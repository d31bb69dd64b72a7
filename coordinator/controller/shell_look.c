/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks: everything that is read from ZooKeeper. A look names what to read, never what was seen (I34). It is
 * repeated until there is an answer; asked for again while it is in flight, it is read once more after it.
 * Loading the state at a failover is nothing else than looking at everything.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/path.h"

/* The key of a look in the map: kind, number, name. */
static struct slice look_key(struct buffer *key, enum look_kind kind, struct slice name, int32_t number)
{
    buffer_init(key);
    buffer_print(key, "%d %d ", (int)kind, number);
    buffer_append(key, name.data, name.length);
    return buffer_slice(key);
}

static struct look *look_find(const struct controller *controller, enum look_kind kind, struct slice name,
                              int32_t number)
{
    struct buffer key;
    struct look *look = map_get(controller->looks, look_key(&key, kind, name, number));
    buffer_release(&key);
    return look;
}

static void look_free(struct look *look)
{
    list_remove(&look->node);
    free(look->name);
    free(look);
}

static struct look *look_add(struct controller *controller, enum look_kind kind, struct slice name,
                             int32_t number)
{
    struct look *look = memory_allocate_zeroed(1, sizeof(*look));
    struct buffer key;
    look->kind = kind;
    look->name = memory_copy_bytes(name.data, name.length);
    look->number = number;
    list_init(&look->node);
    map_put(controller->looks, look_key(&key, kind, name, number), look);
    buffer_release(&key);
    list_push_back(&controller->looks_waiting, &look->node);
    return look;
}

void shell_look(struct controller *controller, enum look_kind kind, struct slice name, int32_t number)
{
    struct look *look = look_find(controller, kind, name, number);
    if (look == NULL)
        look = look_add(controller, kind, name, number);
    look->again = look->in_flight;
    look->periodic = false;
}

void shell_look_later(struct controller *controller, enum look_kind kind, struct slice name, int32_t number)
{
    shell_look(controller, kind, name, number);
    struct look *look = look_find(controller, kind, name, number);
    look->not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
}

void shell_look_periodic(struct controller *controller, enum look_kind kind, struct slice name,
                         int32_t number)
{
    if (look_find(controller, kind, name, number) == NULL)
        look_add(controller, kind, name, number)->periodic = true;
}

void shell_look_at_state(struct controller *controller, struct image_partition *partition)
{
    partition->busy = true;
    shell_look(controller, LOOK_STATE, slice_of(partition->topic->name), partition->number);
}

bool shell_is_looking(const struct controller *controller, enum look_kind kind, struct slice name,
                      int32_t number)
{
    /* asked all the time, and hardly ever is there anything */
    return map_size(controller->looks) > 0 && look_find(controller, kind, name, number) != NULL;
}

static const char *const look_names[] = {
    [LOOK_BROKERS] = "the list of brokers",
    [LOOK_BROKER] = "the registration of a broker",
    [LOOK_TOPICS] = "the list of topics",
    [LOOK_TOPIC] = "the assignment of topic",
    [LOOK_CONFIG] = "the settings of topic",
    [LOOK_CONFIG_CHANGES] = "the list of changed settings",
    [LOOK_CONFIG_CHANGE] = "the notification",
    [LOOK_DELETIONS] = "the list of deletions",
    [LOOK_DIRECTORY_EVENTS] = "the list of log directory events",
    [LOOK_DIRECTORY_EVENT] = "the log directory event",
    [LOOK_PREFERRED_ELECTION] = "the preferred elections asked for",
    [LOOK_REASSIGNMENTS] = "the moves asked for",
    [LOOK_STATE] = "a partition state of topic",
};

/* Without these lists nothing right can be decided, so that they are asked for until they can be read.
 * Anything else that ZooKeeper will not show is skipped, and seen again by the periodic comparison. */
static bool is_needed(enum look_kind kind)
{
    return kind == LOOK_BROKERS || kind == LOOK_TOPICS || kind == LOOK_DELETIONS;
}

/* A state says more than it should while its topic is still to be looked at: a new leader epoch may have been
 * written together with replicas that are not known yet, and brokers would be told of one without the other.
 */
static bool is_too_early(const struct controller *controller, const struct look *look)
{
    return look->kind == LOOK_STATE && shell_is_looking(controller, LOOK_TOPIC, slice_of(look->name), 0);
}

static void look_done(struct controller *controller, void *payload, const struct zk_response *response)
{
    struct look *look = payload;
    controller->looks_in_flight--;
    look->in_flight = false;
    bool shown = response->result == ZK_OK || response->result == ZK_NO_NODE;
    bool unreadable =
        response->result == ZK_TOO_BIG || response->result == ZK_AUTH || response->result == ZK_ERROR;
    bool answered = shown || (unreadable && !is_needed(look->kind));
    bool early = is_too_early(controller, look);
    bool again = look->again || !answered || early;
    uint64_t suppressed;
    if (!shown || early)
        look->not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
    if (unreadable && log_limiter_allow(&controller->unreadable, controller->now_ms, &suppressed))
        log_error(controller->logger, SHELL_AREA,
                  "cannot read %s %s (%d): %s; %" PRIu64 " more since the last line", look_names[look->kind],
                  look->name, look->number, zk_result_name(response->result), suppressed);
    look->again = false;
    if (again)
        list_push_back(&controller->looks_waiting, &look->node);
    if (shown && !early)
        shell_apply(controller, look, response);
    else if (answered && !early)
        shell_apply_unreadable(controller, look);
    if (again)
        return;
    struct buffer key;
    map_remove(controller->looks, look_key(&key, look->kind, slice_of(look->name), look->number));
    buffer_release(&key);
    look_free(look);
}

/* A topic whose watch would be one too many is read without; the periodic comparison looks after it. */
static void read_topic_unwatched(struct controller *controller, void *payload,
                                 const struct zk_response *response)
{
    struct look *look = payload;
    if (response->result != ZK_TOO_BIG) {
        look_done(controller, payload, response);
        return;
    }
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    zk_get(controller->zk, zk_path_topic(&arena, slice_of(look->name)), false,
           shell_request(controller, false, look_done, NULL, look));
    arena_release(&arena);
}

/* Only this leaves a watch on a node that is not there. */
static void read_preferred_election(struct controller *controller, void *payload,
                                    const struct zk_response *response)
{
    if (response->result == ZK_OK)
        zk_get(controller->zk, ZK_PATH_PREFERRED_REPLICA_ELECTION, false,
               shell_request(controller, false, look_done, NULL, payload));
    else
        look_done(controller, payload, response);
}

/* The same for moves. */
static void read_reassignments(struct controller *controller, void *payload,
                               const struct zk_response *response)
{
    if (response->result == ZK_OK)
        zk_get(controller->zk, ZK_PATH_REASSIGN_PARTITIONS, false,
               shell_request(controller, false, look_done, NULL, payload));
    else
        look_done(controller, payload, response);
}

static void look_send(struct controller *controller, struct look *look)
{
    struct arena arena;
    struct slice name = slice_of(look->name);
    struct zk_client *zk = controller->zk;
    arena_init(&arena, ARENA_NO_BUDGET);
    look->in_flight = true;
    controller->looks_in_flight++;
    struct zk_completion done =
        shell_request(controller, false,
                      look->kind == LOOK_TOPIC                ? read_topic_unwatched
                      : look->kind == LOOK_PREFERRED_ELECTION ? read_preferred_election
                      : look->kind == LOOK_REASSIGNMENTS      ? read_reassignments
                                                              : look_done,
                      NULL, look);
    switch (look->kind) {
    case LOOK_BROKERS:
        zk_children(zk, ZK_PATH_BROKER_IDS, true, done);
        break;
    case LOOK_BROKER:
        zk_get(zk, zk_path_broker(&arena, look->number), true, done);
        break;
    case LOOK_TOPICS:
        zk_children(zk, ZK_PATH_TOPICS, true, done);
        break;
    case LOOK_TOPIC:
        zk_get(zk, zk_path_topic(&arena, name), true, done);
        break;
    case LOOK_CONFIG:
        zk_get(zk, zk_path_config_topic(&arena, name), false, done);
        break;
    case LOOK_CONFIG_CHANGES:
        zk_children(zk, ZK_PATH_CONFIG_CHANGES, true, done);
        break;
    case LOOK_CONFIG_CHANGE:
        zk_get(zk, zk_path_config_change(&arena, name), false, done);
        break;
    case LOOK_DELETIONS:
        zk_children(zk, ZK_PATH_DELETE_TOPICS, true, done);
        break;
    case LOOK_DIRECTORY_EVENTS:
        zk_children(zk, ZK_PATH_LOG_DIR_EVENTS, true, done);
        break;
    case LOOK_DIRECTORY_EVENT:
        zk_get(zk, zk_path_log_dir_event(&arena, name), false, done);
        break;
    case LOOK_PREFERRED_ELECTION:
        zk_exists(zk, ZK_PATH_PREFERRED_REPLICA_ELECTION, true, done);
        break;
    case LOOK_REASSIGNMENTS:
        zk_exists(zk, ZK_PATH_REASSIGN_PARTITIONS, true, done);
        break;
    case LOOK_STATE:
        zk_get(zk, zk_path_partition_state(&arena, name, look->number), false, done);
        break;
    }
    arena_release(&arena);
}

void shell_looks_pump(struct controller *controller)
{
    list_for_each_safe(node, after, &controller->looks_waiting)
    {
        struct look *look = container_of(node, struct look, node);
        if (controller->looks_in_flight >= SHELL_LOOKS_IN_FLIGHT_MAX)
            return;
        if (look->not_before_ms > controller->now_ms)
            continue;
        list_remove(node);
        look_send(controller, look);
    }
}

/* Looks in flight belong to requests of a term that is over: their completions are dropped. */
void shell_looks_clear(struct controller *controller)
{
    size_t position = 0;
    void *look;
    while (map_next(controller->looks, &position, NULL, &look))
        look_free(look);
    map_free(controller->looks);
    controller->looks = map_new(1);
    list_init(&controller->looks_waiting);
    controller->looks_in_flight = 0;
}

int64_t shell_looks_deadline(const struct controller *controller)
{
    int64_t deadline = INT64_MAX;
    if (controller->looks_in_flight >= SHELL_LOOKS_IN_FLIGHT_MAX)
        return deadline;
    list_for_each(node, &controller->looks_waiting)
    {
        const struct look *look = container_of(node, struct look, node);
        deadline = min_i64(deadline, look->not_before_ms);
    }
    return deadline;
}

void shell_watch_event(struct controller *controller, enum zk_event event, const char *path)
{
    struct zk_path_parts parts;
    (void)event;
    enum zk_path_kind kind = zk_path_parse(path, &parts);
    if (kind == ZK_PATH_KIND_CONTROLLER) {
        shell_election_look(controller);
        return;
    }
    if (controller->office != OFFICE_LOADING && controller->office != OFFICE_IN)
        return;
    switch (kind) {
    case ZK_PATH_KIND_BROKER_IDS:
        shell_look(controller, LOOK_BROKERS, slice_of(""), 0);
        return;
    case ZK_PATH_KIND_BROKER:
        shell_look(controller, LOOK_BROKER, slice_of(""), parts.broker_id);
        return;
    case ZK_PATH_KIND_TOPICS:
        shell_look(controller, LOOK_TOPICS, slice_of(""), 0);
        return;
    case ZK_PATH_KIND_TOPIC:
        shell_look(controller, LOOK_TOPIC, parts.topic, 0);
        return;
    case ZK_PATH_KIND_CONFIG_CHANGES:
        shell_look(controller, LOOK_CONFIG_CHANGES, slice_of(""), 0);
        return;
    case ZK_PATH_KIND_LOG_DIR_EVENTS:
        shell_look(controller, LOOK_DIRECTORY_EVENTS, slice_of(""), 0);
        return;
    case ZK_PATH_KIND_PREFERRED_REPLICA_ELECTION:
        shell_look(controller, LOOK_PREFERRED_ELECTION, slice_of(""), 0);
        return;
    case ZK_PATH_KIND_REASSIGN_PARTITIONS:
        shell_look(controller, LOOK_REASSIGNMENTS, slice_of(""), 0);
        return;
    case ZK_PATH_KIND_DELETE_TOPICS:
        shell_look(controller, LOOK_DELETIONS, slice_of(""), 0);
        return;
    default:
        return;
    }
}
