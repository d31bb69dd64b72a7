/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A topic's own znodes: putting right what an old tool has written, and deletion.
 *
 * Deletion is as far as ZooKeeper says, so any controller carries on where the last one stopped (I36):
 *
 *   /admin/delete_topics/<t> appears -> brokers forget the topic -> its replicas are removed, by all that
 * take messages (a move may have left one behind); a replica whose broker is down is waited for -> the znodes
 * go bottom-up -> last, in one multi if it fits: the topic, its settings, the request
 *
 * Every multi checks that the request is still there: by the time a lost answer is made good, another topic
 * of that name may have been created. A request for an unknown topic, or while delete.topic.enable is off, is
 * removed.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

struct deletion {
    char *name;
    uint64_t id; /* of this one among all of its name */
    bool begun;  /* by now it may have been carried out; false: seen to stand */
    bool asked;  /* the topic was not known, and was looked for */
    bool busy;   /* a request of it is in flight */
    int64_t not_before_ms;
    struct arena arena;              /* paths of the operations */
    struct zk_operation *operations; /* still to be done, in order */
    size_t operation_count, operation_capacity;
    size_t sent;
    struct zk_version version; /* of the request's node */
};

/* What a completion brings: deletions are found by name and id, they may have ended meanwhile. */
struct deletion_step {
    char *name;
    uint64_t id;
};

/* These go together, so that no other controller finds settings without their topic. */
#define LAST_DELETES 4

struct rewrite {
    char *name;
};

static void rewrite_free(void *payload)
{
    struct rewrite *rewrite = payload;
    free(rewrite->name);
    free(rewrite);
}

static void rewrite_done(struct controller *controller, void *payload, const struct zk_response *response)
{
    const struct rewrite *rewrite = payload;
    controller->rewrites_in_flight--;
    if (shell_met_fence(controller, response))
        return;
    if (response->result == ZK_OK || response->result == ZK_BAD_VERSION)
        shell_look(controller, LOOK_TOPIC, slice_of(rewrite->name), 0);
    else
        shell_look_later(controller, LOOK_TOPIC, slice_of(rewrite->name), 0);
}

void shell_topic_rewrite(struct controller *controller, struct slice name, const struct node_topic *node,
                         struct zk_version version)
{
    struct arena arena;
    struct buffer data;
    arena_init(&arena, ARENA_NO_BUDGET);
    buffer_init(&data);
    struct rewrite *rewrite = memory_allocate_zeroed(1, sizeof(*rewrite));
    rewrite->name = memory_copy_bytes(name.data, name.length);
    log_info(controller->logger, SHELL_AREA, "topic %s: its znode lacks id or partitions, putting them back",
             rewrite->name);
    node_topic_encode(node, &data);
    controller->rewrites_in_flight++;
    struct zk_operation operation =
        zk_operation_set(zk_path_topic(&arena, name), buffer_slice(&data), version);
    zk_fenced_multi(controller->zk, controller->fence, &operation, 1,
                    shell_request(controller, false, rewrite_done, rewrite_free, rewrite));
    buffer_release(&data);
    arena_release(&arena);
}

static void operations_clear(struct deletion *deletion)
{
    free(deletion->operations);
    deletion->operations = NULL;
    deletion->operation_count = deletion->operation_capacity = 0;
    arena_clear(&deletion->arena);
}

static void deletion_free(struct deletion *deletion)
{
    operations_clear(deletion);
    arena_release(&deletion->arena);
    free(deletion->name);
    free(deletion);
}

void shell_deletions_set(struct controller *controller, const char *const *names, size_t count, bool periodic)
{
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_of(names[i]);
        if (map_get(controller->deletions, name) != NULL)
            continue;
        struct deletion *deletion = memory_allocate_zeroed(1, sizeof(*deletion));
        deletion->name = memory_copy_string(names[i]);
        deletion->id = ++controller->last_token;
        deletion->begun = true; /* the list may have been read before the last deletion of that name ended */
        arena_init(&deletion->arena, ARENA_NO_BUDGET);
        map_put(controller->deletions, name, deletion);
        if (!periodic || controller->office != OFFICE_IN)
            continue;
        controller->gauges.healed++;
        log_warn(controller->logger, SHELL_AREA,
                 "comparison with ZooKeeper found a request nobody told of: deletion of topic %s", names[i]);
    }
}

bool shell_is_being_deleted(const struct controller *controller, struct slice name)
{
    return map_get(controller->deletions, name) != NULL;
}

void shell_deletions_clear(struct controller *controller)
{
    size_t position = 0;
    void *deletion;
    while (map_next(controller->deletions, &position, NULL, &deletion))
        deletion_free(deletion);
    map_free(controller->deletions);
    controller->deletions = map_new(1);
}

int64_t shell_deletions_deadline(const struct controller *controller)
{
    int64_t deadline = INT64_MAX;
    size_t position = 0;
    void *value;
    while (map_next(controller->deletions, &position, NULL, &value)) {
        const struct deletion *deletion = value;
        if (!deletion->busy && deletion->not_before_ms > controller->now_ms)
            deadline = min_i64(deadline, deletion->not_before_ms);
    }
    return deadline;
}

size_t shell_deletions_in_work(const struct controller *controller)
{
    size_t count = 0, position = 0;
    void *value;
    while (map_next(controller->deletions, &position, NULL, &value)) {
        const struct deletion *deletion = value;
        count += deletion->busy || deletion->not_before_ms > controller->now_ms;
    }
    return count;
}

static void retry_later(struct controller *controller, struct deletion *deletion)
{
    deletion->busy = false;
    deletion->not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
}

static void step_free(void *payload)
{
    struct deletion_step *step = payload;
    free(step->name);
    free(step);
}

static struct zk_completion step_completion(struct controller *controller, struct deletion *deletion,
                                            void (*done)(struct controller *, void *,
                                                         const struct zk_response *))
{
    struct deletion_step *step = memory_allocate_zeroed(1, sizeof(*step));
    step->name = memory_copy_string(deletion->name);
    step->id = deletion->id;
    deletion->busy = true;
    return shell_request(controller, false, done, step_free, step);
}

static struct deletion *deletion_of(struct controller *controller, const struct deletion_step *step)
{
    struct deletion *deletion = map_get(controller->deletions, slice_of(step->name));
    return deletion != NULL && deletion->id == step->id ? deletion : NULL;
}

static void add_delete(struct deletion *deletion, const char *path)
{
    deletion->operations = memory_grow(deletion->operations, deletion->operation_count,
                                       &deletion->operation_capacity, sizeof(*deletion->operations));
    deletion->operations[deletion->operation_count++] = zk_operation_delete_any_version(path);
}

static void drop_operations(struct deletion *deletion, size_t first, size_t count)
{
    size_t behind = deletion->operation_count - first - count;
    memmove(&deletion->operations[first], &deletion->operations[first + count],
            behind * sizeof(*deletion->operations));
    deletion->operation_count -= count;
}

static void end_deletion(struct controller *controller, struct deletion *deletion)
{
    map_remove(controller->deletions, slice_of(deletion->name));
    deletion_free(deletion);
}

void shell_deletion_forget(struct controller *controller, struct slice name)
{
    struct deletion *deletion = map_get(controller->deletions, name);
    if (deletion != NULL)
        end_deletion(controller, deletion);
    shell_look(controller, LOOK_DELETIONS, slice_of(""), 0);
}

static void finished(struct controller *controller, struct deletion *deletion)
{
    struct image_topic *topic = image_find_topic(&controller->image, slice_of(deletion->name));
    if (topic != NULL && topic->deleting) {
        log_info(controller->logger, SHELL_AREA, "topic %s has been deleted", deletion->name);
        shell_forget_topic(controller, topic);
    }
    end_deletion(controller, deletion);
}

/* The request is not there any more: done already, the answer was lost; or somebody has taken it back. */
static void withdrawn(struct controller *controller, struct deletion *deletion)
{
    shell_look(controller, LOOK_TOPIC, slice_of(deletion->name), 0);
    shell_look(controller, LOOK_DELETIONS, slice_of(""), 0);
    finished(controller, deletion);
}

static void send_next(struct controller *controller, struct deletion *deletion);

static void deletes_done(struct controller *controller, void *payload, const struct zk_response *response)
{
    if (shell_met_fence(controller, response))
        return;
    struct deletion *deletion = deletion_of(controller, payload);
    if (deletion == NULL)
        return;
    bool culprit_known = response->result == ZK_NO_NODE && response->culprit != ZK_NO_CULPRIT;
    if (response->result == ZK_OK) {
        drop_operations(deletion, 0, deletion->sent);
    } else if (culprit_known && response->culprit == 0) {
        withdrawn(controller, deletion);
        return;
    } else if (culprit_known) {
        drop_operations(deletion, response->culprit - 1, 1);
    } else {
        /* not empty: somebody has put a node below; unknown: what is left is found by listing again */
        uint64_t suppressed;
        if (response->result != ZK_UNKNOWN && response->result != ZK_BAD_VERSION &&
            log_limiter_allow(&controller->unwritable, controller->now_ms, &suppressed))
            log_warn(controller->logger, SHELL_AREA, "deleting the znodes of topic %s: %s", deletion->name,
                     zk_result_name(response->result));
        operations_clear(deletion);
        retry_later(controller, deletion);
        return;
    }
    if (deletion->operation_count > 0)
        send_next(controller, deletion);
    else
        finished(controller, deletion);
}

static void send_next(struct controller *controller, struct deletion *deletion)
{
    size_t fit =
        min_size(zk_multi_fit(deletion->operations, deletion->operation_count), ZK_MULTI_OPERATIONS_MAX - 1);
    if (fit < deletion->operation_count && fit + LAST_DELETES > deletion->operation_count)
        fit = deletion->operation_count - LAST_DELETES;
    deletion->sent = fit;
    deletion->begun = true;
    struct zk_operation *operations = memory_allocate((fit + 1) * sizeof(*operations));
    operations[0] = zk_operation_check(zk_path_delete_topic(&deletion->arena, slice_of(deletion->name)),
                                       deletion->version);
    memcpy(operations + 1, deletion->operations, fit * sizeof(*operations));
    zk_fenced_multi(controller->zk, controller->fence, operations, fit + 1,
                    step_completion(controller, deletion, deletes_done));
    free(operations);
}

static void partitions_listed(struct controller *controller, void *payload,
                              const struct zk_response *response)
{
    struct deletion *deletion = deletion_of(controller, payload);
    if (deletion == NULL)
        return;
    if (response->result != ZK_OK && response->result != ZK_NO_NODE) {
        retry_later(controller, deletion);
        return;
    }
    struct slice name = slice_of(deletion->name);
    for (size_t i = 0; i < response->child_count && response->result == ZK_OK; i++) {
        struct slice child = slice_of(response->children[i]);
        const char *parent = zk_path_topic_partitions(&deletion->arena, name);
        const char *partition = zk_path_child(&deletion->arena, parent, child);
        add_delete(deletion, zk_path_child(&deletion->arena, partition, slice_of("state")));
        add_delete(deletion, partition);
    }
    add_delete(deletion, zk_path_topic_partitions(&deletion->arena, name));
    add_delete(deletion, zk_path_topic(&deletion->arena, name));
    add_delete(deletion, zk_path_config_topic(&deletion->arena, name));
    add_delete(deletion, zk_path_delete_topic(&deletion->arena, name));
    send_next(controller, deletion);
}

/* The request's node has been read: first of a known topic, then of an unknown one. */
static void request_read(struct controller *controller, void *payload, const struct zk_response *response)
{
    struct deletion *deletion = deletion_of(controller, payload);
    if (deletion == NULL)
        return;
    if (response->result == ZK_NO_NODE) {
        withdrawn(controller, deletion);
        return;
    }
    if (response->result != ZK_OK) {
        retry_later(controller, deletion);
        return;
    }
    operations_clear(deletion);
    deletion->version = response->stat.version;
    const struct image_topic *topic = image_find_topic(&controller->image, slice_of(deletion->name));
    struct slice name = slice_of(deletion->name);
    if (topic == NULL || !controller->options.delete_topic_enable) {
        add_delete(deletion, zk_path_delete_topic(&deletion->arena, name));
        send_next(controller, deletion);
    } else if (!topic->deleting) {
        deletion->begun = false; /* the request stands, and was seen: now it can begin */
        deletion->busy = false;
    } else {
        zk_children(controller->zk, zk_path_topic_partitions(&deletion->arena, name), false,
                    step_completion(controller, deletion, partitions_listed));
    }
}

static void carry_out(struct controller *controller, struct deletion *deletion)
{
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    zk_exists(controller->zk, zk_path_delete_topic(&arena, slice_of(deletion->name)), false,
              step_completion(controller, deletion, request_read));
    arena_release(&arena);
}

static void begin(struct controller *controller, struct deletion *deletion, struct image_topic *topic)
{
    log_info(controller->logger, SHELL_AREA, "deleting topic %s", topic->name);
    deletion->begun = true;
    for (size_t i = 0; i < topic->partition_count; i++)
        shell_alters_fail(controller, topic->partitions[i], KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    image_begin_deletion(&controller->image, topic);
    for (size_t i = 0; i < controller->channel_count; i++)
        controller->channels[i].push.stop_pending = true;
}

/*
 * Brokers learn from metadata that a replica has left them; of a topic in deletion they would not. So those
 * that take messages hear of it before.
 */
static bool departures_are_told(struct controller *controller, const struct image_topic *topic)
{
    uint64_t sequence = 0;
    for (size_t i = 0; topic->has_departed && i < topic->partition_count; i++) {
        const struct image_partition *partition = topic->partitions[i];
        if (partition->dirty || partition->busy || partition->unsettled)
            return false;
        sequence = partition->sequence > sequence ? partition->sequence : sequence;
    }
    return !topic->assignment_busy && shell_all_told(controller, sequence);
}

static void pump_one(struct controller *controller, struct deletion *deletion)
{
    struct slice name = slice_of(deletion->name);
    if (deletion->busy || controller->now_ms < deletion->not_before_ms ||
        shell_is_looking(controller, LOOK_TOPIC, name, 0))
        return;
    struct image_topic *topic = image_find_topic(&controller->image, name);
    if (!controller->options.delete_topic_enable) {
        log_warn(controller->logger, SHELL_AREA, "topic %s is not deleted: delete.topic.enable is false",
                 deletion->name);
        carry_out(controller, deletion);
    } else if (topic == NULL && !deletion->asked) {
        deletion->asked = true;
        shell_look(controller, LOOK_TOPIC, name, 0);
    } else if (topic == NULL) {
        carry_out(controller, deletion);
    } else if (!topic->deleting && deletion->begun && !controller->options.faults.strike_twice) {
        /* Another topic of that name. The request may have been carried out, without an answer: it is looked
         * at, lest it be taken for one to delete this topic. */
        carry_out(controller, deletion);
    } else if (!topic->deleting) {
        if (departures_are_told(controller, topic))
            begin(controller, deletion, topic);
    } else if ((push_deletion_is_complete(topic) && shell_all_stopped(controller, topic)) ||
               controller->options.faults.stop_part_way) {
        carry_out(controller, deletion);
    }
}

void shell_deletions_pump(struct controller *controller)
{
    size_t position = 0;
    void *deletion;
    while (map_next(controller->deletions, &position, NULL, &deletion))
        pump_one(controller, deletion);
}
