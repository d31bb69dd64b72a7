/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a look has shown goes into the image, and tells what else to look at. What cannot be understood costs
 * one log line with its path and is skipped (B49): the rest of the cluster goes on.
 */
#include <inttypes.h>

#include "coordinator/controller/shell.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

/* How long a notification of changed settings stays, and how many, the oldest first, a comparison looks at.
 */
#define CHANGE_LIFETIME_MS (15 * 60 * 1000)
#define CHECKED_CHANGES_MAX 500

static void log_skipped(struct controller *controller, const char *path, struct slice name,
                        struct buffer *error)
{
    struct buffer escaped;
    buffer_init(&escaped);
    buffer_append_escaped(&escaped, name, 300);
    log_warn(controller->logger, SHELL_AREA, "%s%s skipped: %s", path, buffer_string(&escaped),
             buffer_string(error));
    buffer_release(&escaped);
}

/* Only the periodic comparison has found this: some event was missed. */
static void note_healed(struct controller *controller, const struct look *look, const char *what)
{
    if (!look->periodic || controller->office != OFFICE_IN)
        return;
    controller->gauges.healed++;
    log_warn(controller->logger, SHELL_AREA,
             "comparison with ZooKeeper found a difference nobody told of: %s", what);
}

/* Looks at the children's own nodes with the same urgency as the list was looked at. */
static void look_like(struct controller *controller, const struct look *look, enum look_kind kind,
                      struct slice name, int32_t number)
{
    if (look->periodic && controller->office == OFFICE_IN)
        shell_look_periodic(controller, kind, name, number);
    else
        shell_look(controller, kind, name, number);
}

static bool names_contain(const struct zk_response *response, const char *name)
{
    size_t low = 0, high = response->child_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, response->children[middle]);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static void broker_gone(struct controller *controller, const struct look *look, int32_t broker_id)
{
    if (!image_remove_broker(&controller->image, broker_id))
        return;
    note_healed(controller, look, "a broker is gone");
    log_info(controller->logger, SHELL_AREA, "broker %d is gone", broker_id);
    shell_channel_close(controller, broker_id);
    shell_progress_begin(controller);
    image_mark_dirty_of_broker(&controller->image, broker_id);
}

static void apply_brokers(struct controller *controller, const struct look *look,
                          const struct zk_response *response)
{
    const struct roster *roster = &controller->image.brokers;
    for (size_t i = roster->count; i-- > 0;) {
        char name[16];
        struct buffer text;
        buffer_init(&text);
        buffer_print(&text, "%d", roster->members[i].broker_id);
        memcpy(name, buffer_string(&text), min_size(text.length + 1, sizeof(name)));
        buffer_release(&text);
        if (!names_contain(response, name))
            broker_gone(controller, look, roster->members[i].broker_id);
    }
    for (size_t i = 0; i < response->child_count; i++) {
        int32_t broker_id;
        if (zk_parse_id(slice_of(response->children[i]), &broker_id))
            look_like(controller, look, LOOK_BROKER, slice_of(""), broker_id);
    }
}

static void apply_broker(struct controller *controller, const struct look *look,
                         const struct zk_response *response)
{
    struct node_broker node;
    struct buffer error;
    if (response->result == ZK_NO_NODE) {
        broker_gone(controller, look, look->number);
        return;
    }
    buffer_init(&error);
    if (node_broker_decode(response->data, &node, &error) != 0) {
        log_warn(controller->logger, SHELL_AREA, "%s/%d skipped: %s", ZK_PATH_BROKER_IDS, look->number,
                 buffer_string(&error));
        broker_gone(controller, look, look->number);
        buffer_release(&error);
        return;
    }
    buffer_release(&error);
    int64_t known = image_broker_epoch(&controller->image, look->number);
    if (!image_set_broker(&controller->image, look->number, response->stat.czxid, &node))
        return;
    note_healed(controller, look, "a broker is there");
    log_info(controller->logger, SHELL_AREA, "broker %d %s, epoch %" PRId64, look->number,
             known < 0                       ? "is there"
             : known == response->stat.czxid ? "has changed its registration"
                                             : "has bounced",
             response->stat.czxid);
    shell_channel_open(controller, look->number, response->stat.czxid);
    shell_progress_begin(controller);
    image_mark_dirty_of_broker(&controller->image, look->number);
}

static void apply_topics(struct controller *controller, const struct look *look,
                         const struct zk_response *response)
{
    for (size_t i = 0; i < response->child_count; i++) {
        struct slice name = slice_of(response->children[i]);
        if (!zk_topic_name_is_valid(name)) {
            struct buffer error;
            buffer_init(&error);
            buffer_append_string(&error, "not a legal topic name");
            log_skipped(controller, ZK_PATH_TOPICS "/", name, &error);
            buffer_release(&error);
            controller->image.is_partial = true;
        } else if (image_find_topic(&controller->image, name) == NULL) {
            look_like(controller, look, LOOK_TOPIC, name, 0);
        }
    }
    size_t position = 0;
    void *value;
    while (map_next(controller->image.topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        if (!names_contain(response, topic->name))
            look_like(controller, look, LOOK_TOPIC, slice_of(topic->name), 0);
    }
}

void shell_forget_topic(struct controller *controller, struct image_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++)
        shell_alters_fail(controller, topic->partitions[i], KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    for (size_t i = 0; i < controller->channel_count; i++)
        push_note_forgotten(&controller->channels[i].push, topic);
    image_remove_topic(&controller->image, topic);
}

/*
 * Puts back what an old tool may have dropped: the topic's id, and partitions (their number never falls).
 * true: *node has been changed and is to be written.
 */
static bool repair_topic(struct controller *controller, const struct image_topic *topic,
                         struct node_topic *node)
{
    bool changed = false;
    if (!node->has_topic_id) {
        controller->image.is_partial = true; /* its logs may have the id that it had */
        node->has_topic_id = true;
        node->topic_id = topic != NULL && topic->has_id ? topic->topic_id : (struct uuid){{0}};
        while (!uuid_is_usable(node->topic_id)) {
            uint8_t random[16];
            controller->options.callbacks.random(controller->options.callbacks.context, random,
                                                 sizeof(random));
            node->topic_id = uuid_from_random(random);
        }
        changed = true;
    }
    bool shrunk = false;
    for (size_t i = 0; topic != NULL && i < topic->partition_count; i++)
        shrunk = shrunk || node_topic_find(node, topic->partitions[i]->number) == NULL;
    if (!shrunk)
        return changed;
    struct node_topic whole;
    node_topic_init(&whole);
    whole.has_topic_id = true;
    whole.topic_id = node->topic_id;
    for (size_t i = 0; i < topic->partition_count; i++) {
        const struct node_replicas *replicas = &topic->partitions[i]->assignment.replicas;
        node_topic_add_partition(&whole, replicas->ids, replicas->count);
        whole.partitions[i].partition = topic->partitions[i]->number;
        const struct node_assignment *assignment = &topic->partitions[i]->assignment;
        node_replicas_set(&whole.partitions[i].adding, assignment->adding.ids, assignment->adding.count);
        node_replicas_set(&whole.partitions[i].removing, assignment->removing.ids,
                          assignment->removing.count);
    }
    node_topic_release(node);
    *node = whole;
    return true;
}

/* The topic's znode as it should stand: into the image. */
static void take_topic(struct controller *controller, const struct look *look, struct slice name,
                       const struct node_topic *node, int32_t version)
{
    struct image *image = &controller->image;
    struct image_topic *topic = image_find_topic(image, name);
    if (topic == NULL) {
        note_healed(controller, look, "a topic is there");
        topic = image_add_topic(image, name);
    } else if (topic->version != version) {
        note_healed(controller, look, "a topic has changed");
    }
    image_set_topic(image, topic, node, version);
    /* in the waiting list again: the write in doubt may have come after this */
    if (list_is_empty(&look->node))
        topic->assignment_unknown = false;
    if (!topic->config_known)
        shell_look(controller, LOOK_CONFIG, name, 0);
    for (size_t i = 0; i < topic->partition_count; i++)
        if (!topic->partitions[i]->state_known && !topic->partitions[i]->busy)
            shell_look_at_state(controller, topic->partitions[i]);
}

static void apply_topic(struct controller *controller, const struct look *look,
                        const struct zk_response *response)
{
    struct slice name = slice_of(look->name);
    struct image_topic *topic = image_find_topic(&controller->image, name);
    if (response->result == ZK_NO_NODE) {
        if (topic == NULL)
            return;
        note_healed(controller, look, "a topic is gone");
        log_info(controller->logger, SHELL_AREA, "topic %s is gone", look->name);
        shell_forget_topic(controller, topic);
        return;
    }
    struct node_topic node;
    struct buffer error;
    buffer_init(&error);
    if (node_topic_decode(response->data, &node, &error) != 0) {
        log_skipped(controller, ZK_PATH_TOPICS "/", name, &error);
        buffer_release(&error);
        controller->image.is_partial = true;
        return;
    }
    buffer_release(&error);
    if (topic != NULL && topic->deleting && node.has_topic_id &&
        uuid_equals(topic->topic_id, node.topic_id)) {
        node_topic_release(&node);
        return;
    }
    if (topic != NULL && topic->deleting) {
        shell_deletion_forget(controller, name);
        shell_forget_topic(controller, topic);
        topic = NULL;
    }
    if (topic != NULL && topic->has_id && node.has_topic_id && !uuid_equals(topic->topic_id, node.topic_id)) {
        log_info(controller->logger, SHELL_AREA, "topic %s has been created anew", look->name);
        shell_forget_topic(controller, topic);
        topic = NULL;
    }
    if (repair_topic(controller, topic, &node)) {
        note_healed(controller, look, "a topic lacks its id or partitions");
        shell_topic_rewrite(controller, name, &node, response->stat.version);
    } else {
        take_topic(controller, look, name, &node, response->stat.version.value);
    }
    node_topic_release(&node);
}

static bool configs_equal(const struct node_config *a, const struct node_config *b)
{
    struct buffer left, right;
    buffer_init(&left);
    buffer_init(&right);
    node_config_encode(a, &left);
    node_config_encode(b, &right);
    bool equal = slice_equals(buffer_slice(&left), buffer_slice(&right));
    buffer_release(&left);
    buffer_release(&right);
    return equal;
}

static void apply_config(struct controller *controller, const struct look *look,
                         const struct zk_response *response)
{
    struct image_topic *topic = image_find_topic(&controller->image, slice_of(look->name));
    if (topic == NULL)
        return;
    struct node_config config;
    struct buffer error;
    buffer_init(&error);
    node_config_init(&config);
    if (response->result == ZK_OK && node_config_decode(response->data, &config, &error) != 0) {
        log_skipped(controller, ZK_PATH_CONFIG_TOPICS "/", slice_of(look->name), &error);
        /* what was known stays: by a default min.insync.replicas, who is eligible could be forgotten */
        if (topic->config_known) {
            node_config_release(&config);
            buffer_release(&error);
            return;
        }
        node_config_init(&config);
    }
    buffer_release(&error);
    bool same = topic->config_known && configs_equal(&topic->config, &config);
    node_config_release(&topic->config);
    topic->config = config;
    topic->config_known = true;
    if (same)
        return;
    image_touch_topic(&controller->image, topic);
    for (size_t i = 0; i < topic->partition_count; i++)
        image_mark_dirty(&controller->image, topic->partitions[i]);
}

static void apply_config_changes(struct controller *controller, const struct look *look,
                                 const struct zk_response *response)
{
    size_t checked = 0;
    int32_t last = controller->last_config_change;
    for (size_t i = 0; i < response->child_count; i++) {
        int32_t sequence;
        struct slice name = slice_of(response->children[i]);
        if (!zk_parse_sequence(name, "config_change_", &sequence))
            continue;
        /* those that were there before the settings themselves were read have nothing to add */
        if (controller->config_changes_seen && sequence > controller->last_config_change)
            shell_look(controller, LOOK_CONFIG_CHANGE, name, 0);
        else if (look->periodic && checked++ < CHECKED_CHANGES_MAX)
            shell_look_periodic(controller, LOOK_CONFIG_CHANGE, name, 0);
        last = sequence > last ? sequence : last;
    }
    controller->config_changes_seen = true;
    controller->last_config_change = last;
}

static void purged(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    (void)shell_met_fence(controller, response);
}

/* A notification that everybody has had time to see goes; what cannot be removed now is, next time. */
static void purge_config_change(struct controller *controller, const struct look *look,
                                const struct zk_response *response)
{
    if (controller->office != OFFICE_IN || controller->wall_ms - response->stat.ctime_ms < CHANGE_LIFETIME_MS)
        return;
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    struct zk_operation operation =
        zk_operation_delete(zk_path_config_change(&arena, slice_of(look->name)), response->stat.version);
    zk_fenced_multi(controller->zk, controller->fence, &operation, 1,
                    shell_request(controller, false, purged, NULL, NULL));
    arena_release(&arena);
}

static void apply_config_change(struct controller *controller, const struct look *look,
                                const struct zk_response *response)
{
    if (response->result != ZK_OK)
        return;
    if (look->periodic) {
        purge_config_change(controller, look, response);
        return;
    }
    static const char topics[] = "topics/";
    struct buffer entity, error;
    buffer_init(&entity);
    buffer_init(&error);
    if (node_config_change_decode(response->data, &entity, &error) != 0)
        log_skipped(controller, ZK_PATH_CONFIG_CHANGES "/", slice_of(look->name), &error);
    else if (entity.length > strlen(topics) && memcmp(entity.data, topics, strlen(topics)) == 0)
        shell_look(controller, LOOK_CONFIG,
                   slice_make(entity.data + strlen(topics), entity.length - strlen(topics)), 0);
    buffer_release(&entity);
    buffer_release(&error);
}

/* The fault that takes every seat for one of the present life. */
static void believe_seats(const struct controller *controller, struct node_partition_state *state)
{
    for (size_t i = 0; i < state->isr_count && state->isr_broker_epochs != NULL; i++) {
        int64_t epoch = image_broker_epoch(&controller->image, state->isr[i]);
        if (epoch >= 0)
            state->isr_broker_epochs[i] = epoch;
    }
}

static void apply_state(struct controller *controller, const struct look *look,
                        const struct zk_response *response)
{
    struct image_partition *partition =
        image_partition_of(&controller->image, slice_of(look->name), look->number);
    if (partition == NULL)
        return;
    /* in the waiting list again: something happened while it was being read */
    partition->busy = !list_is_empty(&look->node);
    if (response->result == ZK_NO_NODE) {
        image_set_state(&controller->image, partition, NULL, 0);
        image_mark_dirty(&controller->image, partition);
        return;
    }
    struct node_partition_state state;
    struct buffer error;
    buffer_init(&error);
    if (node_partition_state_decode(response->data, &state, &error) != 0) {
        log_warn(controller->logger, SHELL_AREA, "%s/%s/partitions/%d/state skipped: %s", ZK_PATH_TOPICS,
                 look->name, look->number, buffer_string(&error));
        partition->state_known = false;
    } else {
        if (controller->options.faults.skip_reconciliation && controller->office == OFFICE_LOADING)
            believe_seats(controller, &state);
        image_set_state(&controller->image, partition, &state, response->stat.version.value);
        node_partition_state_release(&state);
    }
    image_mark_dirty(&controller->image, partition);
    buffer_release(&error);
}

void shell_apply_unreadable(struct controller *controller, const struct look *look)
{
    if (look->kind == LOOK_TOPIC)
        controller->image.is_partial = true;
    struct image_partition *partition =
        look->kind == LOOK_STATE ? image_partition_of(&controller->image, slice_of(look->name), look->number)
                                 : NULL;
    if (partition == NULL)
        return;
    partition->busy = !list_is_empty(&look->node);
    partition->state_known = false;
    image_mark_dirty(&controller->image, partition);
}

void shell_apply(struct controller *controller, const struct look *look, const struct zk_response *response)
{
    switch (look->kind) {
    case LOOK_BROKERS:
        apply_brokers(controller, look, response);
        return;
    case LOOK_BROKER:
        apply_broker(controller, look, response);
        return;
    case LOOK_TOPICS:
        apply_topics(controller, look, response);
        return;
    case LOOK_TOPIC:
        apply_topic(controller, look, response);
        return;
    case LOOK_CONFIG:
        apply_config(controller, look, response);
        return;
    case LOOK_CONFIG_CHANGES:
        apply_config_changes(controller, look, response);
        return;
    case LOOK_CONFIG_CHANGE:
        apply_config_change(controller, look, response);
        return;
    case LOOK_DELETIONS:
        shell_deletions_set(controller, response->children, response->child_count, look->periodic);
        return;
    case LOOK_DIRECTORY_EVENTS:
        shell_apply_directory_events(controller, response);
        return;
    case LOOK_DIRECTORY_EVENT:
        shell_apply_directory_event(controller, look, response);
        return;
    case LOOK_PREFERRED_ELECTION:
        shell_apply_preferred_election(controller, response);
        return;
    case LOOK_REASSIGNMENTS:
        shell_apply_reassignments(controller, response);
        return;
    case LOOK_STATE:
        apply_state(controller, look, response);
        return;
    }
}
