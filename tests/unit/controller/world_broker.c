/* SPDX-License-Identifier: Apache-2.0 */
/* Brokers that remember what they were told, and refuse what I32 says must be refused. */
#include "tests/unit/controller/world_broker.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

static struct slice key_of(char key[300], struct slice topic, int32_t partition)
{
    snprintf(key, 300, "%.*s-%d", SLICE_ARGUMENTS(topic), partition);
    return slice_of(key);
}

static void replica_free(struct world_replica *replica)
{
    if (replica == NULL)
        return;
    free(replica->topic);
    free(replica);
}

void world_replicas_clear(struct map *map)
{
    size_t position = 0;
    struct slice key;
    void *value;
    while (map_next(map, &position, &key, &value)) {
        map_remove(map, key);
        replica_free(value);
    }
}

static struct world_replica *world_find_slice(struct map *map, struct slice topic, int32_t partition)
{
    char key[300];
    return map_get(map, key_of(key, topic, partition));
}

struct world_replica *world_find(struct map *map, const char *topic, int32_t partition)
{
    return world_find_slice(map, slice_of(topic), partition);
}

static struct world_replica *replica_put(struct map *map, const struct control_topic *topic,
                                         const struct control_partition *partition)
{
    char key[300];
    struct world_replica *replica = memory_allocate_zeroed(1, sizeof(*replica));
    replica->topic = memory_copy_bytes(topic->name.data, topic->name.length);
    replica->topic_id = topic->topic_id;
    replica->partition = partition->partition;
    replica->controller_epoch = partition->controller_epoch;
    replica->leader = partition->leader;
    replica->leader_epoch = partition->leader_epoch;
    replica->partition_epoch = partition->partition_epoch;
    CHECK(partition->isr_count <= WORLD_BROKERS_MAX && partition->replicas_count <= WORLD_BROKERS_MAX);
    replica->isr_count = partition->isr_count;
    memcpy(replica->isr, partition->isr, partition->isr_count * sizeof(*replica->isr));
    replica->replicas_count = partition->replicas_count;
    memcpy(replica->replicas, partition->replicas, partition->replicas_count * sizeof(*replica->replicas));
    replica_free(map_put(map, key_of(key, topic->name, partition->partition), replica));
    return replica;
}

static void replica_remove(struct map *map, struct slice topic, int32_t partition)
{
    char key[300];
    replica_free(map_remove(map, key_of(key, topic, partition)));
}

static bool is_replica(const struct world_broker *broker, const struct control_partition *partition)
{
    for (size_t i = 0; i < partition->replicas_count; i++)
        if (partition->replicas[i] == broker->id)
            return true;
    return false;
}

static int16_t accept_partition(struct world_broker *broker, const struct control_topic *topic,
                                const struct control_partition *partition)
{
    char key[300];
    const struct world_options *options = &broker->world->options;
    const struct world_replica *known =
        map_get(broker->replicas, key_of(key, topic->name, partition->partition));
    int16_t refusal =
        options->refuse_partition != NULL
            ? options->refuse_partition(broker->world, broker->id, topic->name, partition->partition)
            : KAFKA_NONE;
    if (refusal != KAFKA_NONE)
        return refusal;
    if (!is_replica(broker, partition))
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (known != NULL && uuid_equals(known->topic_id, topic->topic_id)) {
        if (partition->leader_epoch < known->leader_epoch)
            return KAFKA_STALE_CONTROLLER_EPOCH;
        if (partition->leader_epoch == known->leader_epoch &&
            partition->partition_epoch < known->partition_epoch)
            return KAFKA_STALE_CONTROLLER_EPOCH;
    }
    if (known != NULL && !uuid_equals(known->topic_id, topic->topic_id))
        return KAFKA_INCONSISTENT_TOPIC_ID;
    world_judge_accepted(broker->world, broker, topic, partition);
    replica_put(broker->replicas, topic, partition)->life = broker->life;
    return KAFKA_NONE;
}

static void receive_leader_and_isr(struct world_broker *broker, const struct leader_and_isr_request *request,
                                   struct arena *arena, struct control_response *response)
{
    size_t count = 0;
    for (size_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count;
    response->partitions = arena_allocate_array(arena, count, sizeof(*response->partitions));
    CHECK(response->partitions != NULL);
    broker->leader_and_isr_accepted++;
    for (size_t t = 0; t < request->topics_count; t++) {
        const struct control_topic *topic = &request->topics[t];
        for (size_t p = 0; p < topic->partitions_count; p++) {
            struct control_partition_error *error = &response->partitions[response->partitions_count++];
            error->topic = topic->name;
            error->partition = topic->partitions[p].partition;
            error->error = accept_partition(broker, topic, &topic->partitions[p]);
            error->tells_end = error->error == KAFKA_NONE && topic->partitions[p].leader == NO_LEADER;
            error->leader_epoch = topic->partitions[p].leader_epoch;
            error->end_offset = broker->id;
        }
    }
}

static void forget_topic(struct map *map, struct slice name)
{
    size_t position = 0;
    struct slice key;
    void *value;
    while (map_next(map, &position, &key, &value)) {
        struct world_replica *replica = value;
        if (slice_is(name, replica->topic)) {
            map_remove(map, key);
            replica_free(replica);
        }
    }
}

/* A replica that has moved away is removed, as replica_manager_drop_departed does it. */
static void drop_departed(struct world_broker *broker, const struct control_topic *topic,
                          const struct control_partition *partition)
{
    const struct world_replica *replica =
        world_find_slice(broker->replicas, topic->name, partition->partition);
    bool needed =
        partition->leader == broker->id || partition->leader == NO_LEADER || is_replica(broker, partition);
    for (size_t i = 0; i < partition->isr_count; i++)
        needed = needed || partition->isr[i].broker_id == broker->id;
    bool better = replica != NULL && replica->life == broker->life &&
                  (replica->partition_epoch > partition->partition_epoch ||
                   replica->leader_epoch > partition->leader_epoch);
    if (replica != NULL && !needed && !better && uuid_equals(replica->topic_id, topic->topic_id))
        replica_remove(broker->replicas, topic->name, partition->partition);
}

static bool names_topic(const struct update_metadata_request *request, struct uuid topic_id)
{
    for (size_t i = 0; i < request->topics_count; i++)
        if (uuid_equals(request->topics[i].topic_id, topic_id))
            return true;
    for (size_t i = 0; i < request->unlisted_count; i++)
        if (uuid_equals(request->unlisted[i], topic_id))
            return true;
    return false;
}

/* Replicas of topics that are no more go, as replica_manager_set_strays_aside does it. */
static void set_strays_aside(struct world_broker *broker, const struct update_metadata_request *request)
{
    size_t position = 0;
    struct slice key;
    void *value;
    while (map_next(broker->replicas, &position, &key, &value)) {
        struct world_replica *replica = value;
        if (!names_topic(request, replica->topic_id)) {
            map_remove(broker->replicas, key);
            replica_free(replica);
        }
    }
}

static void receive_metadata(struct world_broker *broker, const struct update_metadata_request *request)
{
    if (request->full && request->complete)
        set_strays_aside(broker, request);
    broker->metadata_accepted++;
    if (request->full)
        world_replicas_clear(broker->metadata);
    for (int i = 0; i < WORLD_BROKERS_MAX; i++)
        broker->known_epochs[i] = -1;
    for (size_t i = 0; i < request->brokers_count; i++)
        broker->known_epochs[request->brokers[i].id - 1] = request->brokers[i].epoch;
    for (size_t t = 0; t < request->topics_count; t++) {
        const struct control_topic *topic = &request->topics[t];
        if (topic->partitions_count == 0)
            forget_topic(broker->metadata, topic->name);
        for (size_t p = 0; p < topic->partitions_count; p++) {
            replica_put(broker->metadata, topic, &topic->partitions[p]);
            drop_departed(broker, topic, &topic->partitions[p]);
        }
    }
}

/* Another topic's replica stays: one that is open is an error, of another folder nothing is said. */
static int16_t stop_partition(struct world_broker *broker, const struct stop_replica_partition *stop)
{
    const struct world_replica *replica = world_find_slice(broker->replicas, stop->topic, stop->partition);
    if (replica == NULL)
        return KAFKA_NONE;
    if (!uuid_is_zero(stop->topic_id) && !uuid_equals(stop->topic_id, replica->topic_id))
        return replica->life == broker->life ? KAFKA_INCONSISTENT_TOPIC_ID : KAFKA_NONE;
    replica_remove(broker->replicas, stop->topic, stop->partition);
    return KAFKA_NONE;
}

static void receive_stop(struct world_broker *broker, const struct stop_replica_request *request,
                         struct arena *arena, struct control_response *response)
{
    response->partitions =
        arena_allocate_array(arena, request->partitions_count, sizeof(*response->partitions));
    CHECK(response->partitions != NULL);
    broker->stops_accepted++;
    for (size_t i = 0; i < request->partitions_count; i++) {
        const struct stop_replica_partition *partition = &request->partitions[i];
        response->partitions[response->partitions_count++] = (struct control_partition_error){
            .topic = partition->topic,
            .partition = partition->partition,
            .error = stop_partition(broker, partition),
        };
    }
}

static int16_t check_head(struct world_broker *broker, int32_t controller_epoch, int64_t broker_epoch,
                          int64_t sequence, enum control_kind kind)
{
    struct world *world = broker->world;
    if (broker->epoch < 0 || broker_epoch != broker->epoch)
        return KAFKA_STALE_BROKER_EPOCH;
    if (controller_epoch < broker->seen_controller_epoch)
        return KAFKA_STALE_CONTROLLER_EPOCH;
    if (controller_epoch == broker->seen_controller_epoch && sequence < broker->seen_sequence)
        return KAFKA_STALE_CONTROLLER_EPOCH; /* overtaken */
    broker->seen_controller_epoch = controller_epoch;
    broker->seen_sequence = sequence;
    return world->options.refuse != NULL ? world->options.refuse(world, broker->id, kind) : KAFKA_NONE;
}

void world_broker_receive(struct world_broker *broker, struct slice body, struct buffer *out)
{
    struct arena arena;
    struct control_request request;
    arena_init(&arena, ARENA_NO_BUDGET);
    CHECK(control_request_decode(body, &arena, &request) == 0);
    struct control_answer answer = {.kind = request.kind};
    switch (request.kind) {
    case CONTROL_LEADER_AND_ISR:
        answer.response.error =
            check_head(broker, request.leader_and_isr.controller_epoch, request.leader_and_isr.broker_epoch,
                       request.leader_and_isr.sequence, request.kind);
        if (answer.response.error == KAFKA_NONE)
            receive_leader_and_isr(broker, &request.leader_and_isr, &arena, &answer.response);
        break;
    case CONTROL_UPDATE_METADATA:
        answer.response.error =
            check_head(broker, request.update_metadata.controller_epoch, request.update_metadata.broker_epoch,
                       request.update_metadata.sequence, request.kind);
        if (answer.response.error == KAFKA_NONE)
            receive_metadata(broker, &request.update_metadata);
        break;
    case CONTROL_STOP_REPLICA:
        answer.response.error =
            check_head(broker, request.stop_replica.controller_epoch, request.stop_replica.broker_epoch,
                       request.stop_replica.sequence, request.kind);
        if (answer.response.error == KAFKA_NONE)
            receive_stop(broker, &request.stop_replica, &arena, &answer.response);
        break;
    default:
        UNREACHABLE();
    }
    control_answer_encode(&answer, out);
    arena_release(&arena);
}
