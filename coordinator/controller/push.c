/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing and building messages to brokers, see push.h. */
#include "coordinator/controller/push.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

void push_channel_init(struct push_channel *channel, int32_t broker_id, int64_t broker_epoch)
{
    *channel = (struct push_channel){.broker_id = broker_id, .broker_epoch = broker_epoch, .full = true};
    channel->stop_pending = true;
    channel->complete_owed = true;
}

/* The broker is to hear of this partition's leader and ISR. */
static bool is_for(const struct image_partition *partition, const struct push_channel *channel)
{
    return partition->has_state && partition->leader_isr_sequence > channel->leader_isr_told &&
           node_replicas_contains(&partition->assignment.replicas, channel->broker_id);
}

/* Neither waiting for a decision nor for ZooKeeper. */
static bool is_settled(const struct image_partition *partition)
{
    return !partition->dirty && !partition->unsettled && !partition->busy;
}

static struct image_partition *changed(struct list *node)
{
    return container_of(node, struct image_partition, changes);
}

static bool leader_isr_pending(struct image *image, struct push_channel *channel)
{
    bool pending = false;
    for (struct list *node = image->changes.previous; node != &image->changes; node = node->previous) {
        struct image_partition *partition = changed(node);
        if (partition->sequence <= channel->leader_isr_told)
            break;
        if (!is_for(partition, channel))
            continue;
        if (is_settled(partition))
            pending = true;
        else
            partition->withheld = true;
    }
    if (!pending)
        channel->leader_isr_told = image->sequence;
    return pending;
}

/* Every broker is told: one that is not among the replicas may have been, and have missed that it is not. */
static bool stop_concerns(const struct image_partition *partition, int32_t broker_id)
{
    return !push_is_deleted(partition, broker_id);
}

/* The broker has forgotten the topic and may remove its replicas. */
static bool stop_is_due(const struct image_topic *topic, const struct push_channel *channel)
{
    return topic->deleting && topic->deletion_sequence <= channel->metadata_told;
}

static bool stop_is_pending(const struct image *image, struct push_channel *channel)
{
    size_t position = 0;
    void *value;
    bool later = false;
    if (!channel->stop_pending || channel->stop_held)
        return false;
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        for (size_t i = 0; topic->deleting && i < topic->partition_count; i++)
            if (!stop_concerns(topic->partitions[i], channel->broker_id))
                continue;
            else if (stop_is_due(topic, channel))
                return true;
            else
                later = true;
    }
    channel->stop_pending = later;
    return false;
}

enum control_kind push_next(struct image *image, struct push_channel *channel)
{
    if (channel->in_flight != CONTROL_NONE)
        return CONTROL_NONE;
    if (channel->complete_owed && channel->complete_possible)
        channel->full = true;
    if (channel->full)
        return CONTROL_UPDATE_METADATA;
    /* Leaders that were told come into the metadata before the next are: thousands may change one after the
     * other, and clients would be sent to the former ones until the last has. */
    if (channel->leaders_owed && channel->metadata_told < image->sequence)
        return CONTROL_UPDATE_METADATA;
    if (leader_isr_pending(image, channel))
        return CONTROL_LEADER_AND_ISR;
    if (stop_is_pending(image, channel))
        return CONTROL_STOP_REPLICA;
    return channel->metadata_told < image->sequence ? CONTROL_UPDATE_METADATA : CONTROL_NONE;
}

static struct isr_member *build_isr(struct arena *arena, const struct node_partition_state *state)
{
    struct isr_member *isr = arena_allocate_array(arena, state->isr_count, sizeof(*isr));
    CHECK(isr != NULL);
    for (size_t i = 0; i < state->isr_count; i++)
        isr[i] = (struct isr_member){
            state->isr[i], state->isr_broker_epochs != NULL ? state->isr_broker_epochs[i] : NO_BROKER_EPOCH};
    return isr;
}

static int32_t *build_offline(struct arena *arena, const struct image *image,
                              const struct image_partition *from, size_t *count)
{
    int32_t *ids = arena_allocate_array(arena, max_size(from->disks_count, 1), sizeof(*ids));
    CHECK(ids != NULL);
    *count = 0;
    for (size_t i = 0; i < from->disks_count; i++)
        if (image_replica_disk(image, from, from->disks[i].broker_id) == REPLICA_DISK_FAILED)
            ids[(*count)++] = from->disks[i].broker_id;
    return ids;
}

static void build_partition(struct arena *arena, const struct image *image, int32_t broker_id,
                            const struct image_partition *from, struct control_partition *to)
{
    const struct node_partition_state *state = &from->state;
    *to = (struct control_partition){
        .partition = from->number,
        .controller_epoch = state->controller_epoch,
        .leader = state->leader,
        .leader_epoch = state->leader_epoch,
        .partition_epoch = from->version,
        .isr = build_isr(arena, state),
        .isr_count = state->isr_count,
        .replicas = from->assignment.replicas.ids,
        .replicas_count = from->assignment.replicas.count,
        .adding_replicas = from->assignment.adding.ids,
        .adding_replicas_count = from->assignment.adding.count,
        .removing_replicas = from->assignment.removing.ids,
        .removing_replicas_count = from->assignment.removing.count,
        .is_new = image_is_replica_new(image, from, broker_id),
        .recovering = state->leader_recovery == NODE_LEADER_RECOVERING,
        .commits_held = state->elr_count > 0,
    };
    to->offline_replicas = build_offline(arena, image, from, &to->offline_replicas_count);
}

void push_build_broker(struct arena *arena, const struct roster_member *member, struct control_broker *to)
{
    const struct node_broker *node = &member->node;
    *to = (struct control_broker){.id = member->broker_id,
                                  .epoch = member->broker_epoch,
                                  .rack = slice_of(node->rack),
                                  .endpoints_count = node->endpoint_count};
    to->endpoints = arena_allocate_array(arena, node->endpoint_count, sizeof(*to->endpoints));
    CHECK(to->endpoints != NULL);
    for (size_t i = 0; i < node->endpoint_count; i++)
        to->endpoints[i] = (struct control_endpoint){
            slice_of(node->endpoints[i].listener), slice_of(node->endpoints[i].protocol),
            slice_of(node->endpoints[i].host), node->endpoints[i].port};
}

/* By topic, then number. */
static int compare_partitions(const void *a, const void *b)
{
    const struct image_partition *left = *(struct image_partition *const *)a;
    const struct image_partition *right = *(struct image_partition *const *)b;
    if (left->topic != right->topic)
        return strcmp(left->topic->name, right->topic->name);
    return left->number < right->number ? -1 : left->number > right->number;
}

/* The partitions that changed after `told`, sorted; leader_isr: only those this broker must hear of. */
static struct image_partition **collect(struct image *image, struct push_channel *channel, uint64_t told,
                                        bool leader_isr, struct arena *arena, size_t *count)
{
    struct image_partition **list =
        arena_allocate_array(arena, max_size(image->partition_count, 1), sizeof(*list));
    CHECK(list != NULL);
    *count = 0;
    for (struct list *node = image->changes.previous; node != &image->changes; node = node->previous) {
        struct image_partition *partition = changed(node);
        if (partition->sequence <= told)
            break;
        if (!partition->has_state)
            continue;
        if (leader_isr && (!is_for(partition, channel) || !is_settled(partition)))
            continue;
        list[(*count)++] = partition;
    }
    qsort(list, *count, sizeof(struct image_partition *), compare_partitions);
    return list;
}

static void build_topic(struct arena *arena, const struct image_topic *from, struct control_topic *to)
{
    to->name = slice_of(from->name);
    to->topic_id = from->topic_id;
    to->settings_count = from->config.count;
    to->settings = arena_allocate_array(arena, from->config.count, sizeof(*to->settings));
    CHECK(to->settings != NULL);
    for (size_t i = 0; i < from->config.count; i++)
        to->settings[i] = (struct control_setting){slice_of(from->config.entries[i].key),
                                                   slice_of(from->config.entries[i].value)};
}

/* Groups sorted partitions by topic; `removed` topics, without partitions, come first. */
static struct control_topic *build_topics(struct arena *arena, int32_t broker_id,
                                          struct image_partition *const *partitions, size_t count,
                                          const struct image *image, uint64_t removed_since,
                                          size_t *topics_count)
{
    size_t most = count, at = 0;
    list_for_each(node, &image->removed) most++;
    struct control_topic *topics = arena_allocate_array(arena, max_size(most, 1), sizeof(*topics));
    struct control_partition *built = arena_allocate_array(arena, max_size(count, 1), sizeof(*built));
    CHECK(topics != NULL && built != NULL);
    list_for_each(node, &image->removed)
    {
        const struct image_removed *removed = container_of(node, struct image_removed, node);
        if (removed->sequence > removed_since)
            topics[at++] =
                (struct control_topic){.name = slice_of(removed->name), .topic_id = removed->topic_id};
    }
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || partitions[i]->topic != partitions[i - 1]->topic) {
            build_topic(arena, partitions[i]->topic, &topics[at]);
            topics[at++].partitions = &built[i];
        }
        build_partition(arena, image, broker_id, partitions[i], &built[i]);
        topics[at - 1].partitions_count++;
    }
    *topics_count = at;
    return topics;
}

/* The brokers that lead one of the partitions (of any, when partitions is NULL). */
static struct control_broker *build_brokers(struct arena *arena, const struct image *image,
                                            struct image_partition *const *partitions, size_t count,
                                            size_t *brokers_count)
{
    const struct roster *roster = &image->brokers;
    struct control_broker *brokers =
        arena_allocate_array(arena, max_size(roster->count, 1), sizeof(*brokers));
    bool *leads = arena_allocate_array(arena, max_size(roster->count, 1), sizeof(*leads));
    CHECK(brokers != NULL && leads != NULL);
    for (size_t i = 0; i < count && partitions != NULL; i++) {
        const struct roster_member *leader = roster_find(roster, partitions[i]->state.leader);
        if (leader != NULL)
            leads[leader - roster->members] = true;
    }
    *brokers_count = 0;
    for (size_t i = 0; i < roster->count; i++)
        if (partitions == NULL || leads[i])
            push_build_broker(arena, &roster->members[i], &brokers[(*brokers_count)++]);
    return brokers;
}

static void build_stop(const struct image *image, const struct push_channel *channel, struct arena *arena,
                       struct stop_replica_request *request)
{
    size_t count = 0, position = 0;
    void *value;
    struct stop_replica_partition *list =
        arena_allocate_array(arena, max_size(image->partition_count, 1), sizeof(*list));
    CHECK(list != NULL);
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        bool due = stop_is_due(topic, channel);
        for (size_t i = 0; due && i < topic->partition_count; i++)
            if (stop_concerns(topic->partitions[i], channel->broker_id))
                list[count++] = (struct stop_replica_partition){.topic = slice_of(topic->name),
                                                                .topic_id = topic->topic_id,
                                                                .partition = topic->partitions[i]->number,
                                                                .leader_epoch = STOP_REPLICA_TOPIC_DELETED,
                                                                .delete_log = true};
    }
    request->partitions = list;
    request->partitions_count = count;
}

static void build_leader_and_isr(struct image *image, struct push_channel *channel, struct arena *arena,
                                 struct leader_and_isr_request *request)
{
    size_t count;
    struct image_partition **partitions =
        collect(image, channel, channel->leader_isr_told, true, arena, &count);
    request->brokers = build_brokers(arena, image, partitions, count, &request->brokers_count);
    request->topics =
        build_topics(arena, channel->broker_id, partitions, count, image, UINT64_MAX, &request->topics_count);
}

/* Topics that exist, and of which the message tells nothing. */
static void build_unlisted(const struct image *image, struct arena *arena,
                           struct update_metadata_request *request)
{
    size_t position = 0;
    void *value;
    request->unlisted =
        arena_allocate_array(arena, max_size(map_size(image->topics), 1), sizeof(*request->unlisted));
    CHECK(request->unlisted != NULL);
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        bool listed = false;
        for (size_t i = 0; !topic->deleting && i < topic->partition_count; i++)
            listed = listed || topic->partitions[i]->has_state;
        if (!listed)
            request->unlisted[request->unlisted_count++] = topic->topic_id;
    }
}

static void build_metadata(struct image *image, struct push_channel *channel, struct arena *arena,
                           struct update_metadata_request *request)
{
    size_t count;
    uint64_t told = channel->full ? 0 : channel->metadata_told;
    struct image_partition **partitions = collect(image, channel, told, false, arena, &count);
    request->full = channel->full;
    request->complete = channel->full && channel->complete_possible;
    channel->complete_in_flight = request->complete;
    if (request->complete)
        build_unlisted(image, arena, request);
    request->brokers = build_brokers(arena, image, NULL, 0, &request->brokers_count);
    request->topics = build_topics(arena, channel->broker_id, partitions, count, image,
                                   channel->full ? UINT64_MAX : told, &request->topics_count);
}

void push_build(struct image *image, struct push_channel *channel, enum control_kind kind,
                int32_t controller_id, int32_t controller_epoch, struct arena *arena,
                struct control_request *request)
{
    memset(request, 0, sizeof(*request));
    request->kind = kind;
    channel->in_flight = kind;
    channel->in_flight_sequence = image->sequence;
    switch (kind) {
    case CONTROL_LEADER_AND_ISR:
        request->leader_and_isr.controller_id = controller_id;
        request->leader_and_isr.controller_epoch = controller_epoch;
        request->leader_and_isr.broker_epoch = channel->broker_epoch;
        build_leader_and_isr(image, channel, arena, &request->leader_and_isr);
        return;
    case CONTROL_UPDATE_METADATA:
        request->update_metadata.controller_id = controller_id;
        request->update_metadata.controller_epoch = controller_epoch;
        request->update_metadata.broker_epoch = channel->broker_epoch;
        build_metadata(image, channel, arena, &request->update_metadata);
        return;
    case CONTROL_STOP_REPLICA:
        request->stop_replica.controller_id = controller_id;
        request->stop_replica.controller_epoch = controller_epoch;
        request->stop_replica.broker_epoch = channel->broker_epoch;
        build_stop(image, channel, arena, &request->stop_replica);
        return;
    default:
        UNREACHABLE();
    }
}

void push_succeeded(struct push_channel *channel)
{
    if (channel->in_flight == CONTROL_LEADER_AND_ISR) {
        channel->leader_isr_told = channel->in_flight_sequence;
        channel->leaders_owed = true;
    }
    if (channel->in_flight == CONTROL_UPDATE_METADATA) {
        channel->metadata_told = channel->in_flight_sequence;
        channel->full = false;
        channel->leaders_owed = false;
        channel->complete_owed = channel->complete_owed && !channel->complete_in_flight;
    }
    channel->in_flight = CONTROL_NONE;
}

void push_recheck(struct push_channel *channel)
{
    channel->leader_isr_told = 0;
    if (channel->in_flight == CONTROL_LEADER_AND_ISR)
        channel->in_flight_sequence = 0; /* what it answers may be older than the question */
}

void push_failed(struct push_channel *channel)
{
    channel->in_flight = CONTROL_NONE;
    channel->full = true;
    channel->complete_owed = true;
    channel->metadata_told = 0;
    channel->leader_isr_told = 0;
    channel->stop_pending = true;
}

bool push_has_told(struct image *image, struct push_channel *channel, uint64_t sequence)
{
    if (channel->full || channel->metadata_told < sequence)
        return false;
    if (channel->leader_isr_told >= sequence)
        return true;
    return channel->in_flight != CONTROL_LEADER_AND_ISR && !leader_isr_pending(image, channel);
}

bool push_has_stopped(const struct push_channel *channel, const struct image_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++)
        if (!push_is_deleted(topic->partitions[i], channel->broker_id))
            return false;
    return true;
}

void push_note_forgotten(struct push_channel *channel, const struct image_topic *topic)
{
    if (topic->deleting && push_has_stopped(channel, topic))
        return;
    channel->complete_owed = true;
    channel->complete_in_flight = false; /* it still says that the topic is there */
}

void push_note_deleted(struct image_partition *partition, int32_t broker_id)
{
    if (push_is_deleted(partition, broker_id))
        return;
    size_t bytes = (partition->deleted_on_count + 1) * sizeof(*partition->deleted_on);
    partition->deleted_on = memory_resize(partition->deleted_on, bytes);
    partition->deleted_on[partition->deleted_on_count++] = broker_id;
}

bool push_is_deleted(const struct image_partition *partition, int32_t broker_id)
{
    for (size_t i = 0; i < partition->deleted_on_count; i++)
        if (partition->deleted_on[i] == broker_id)
            return true;
    return false;
}

bool push_deletion_is_complete(const struct image_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++) {
        const struct node_replicas *replicas = &topic->partitions[i]->assignment.replicas;
        for (size_t r = 0; r < replicas->count; r++)
            if (!push_is_deleted(topic->partitions[i], replicas->ids[r]))
                return false;
    }
    return true;
}
