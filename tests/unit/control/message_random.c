/* SPDX-License-Identifier: Apache-2.0 */
/* Random legal control messages. */
#include "tests/unit/control/message.h"

#include "common/check.h"

static void *take(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_allocate_array(arena, count, size);
    CHECK(memory != NULL);
    return memory;
}

static size_t few(struct prng *prng)
{
    return prng_one_in(prng, 20) ? prng_below(prng, 40) : prng_below(prng, 4);
}

static int32_t number(struct prng *prng)
{
    return prng_one_in(prng, 3) ? (int32_t)prng_between(prng, 0, INT32_MAX) : (int32_t)prng_below(prng, 10);
}

static int64_t broker_epoch(struct prng *prng)
{
    return prng_one_in(prng, 5) ? NO_BROKER_EPOCH : (int64_t)(prng_next(prng) >> (1 + prng_below(prng, 60)));
}

static int16_t error_code(struct prng *prng)
{
    return (int16_t)prng_between(prng, -1, 129);
}

/* Any bytes, NUL and all. */
static struct slice text(struct prng *prng, struct arena *arena, size_t least, size_t most)
{
    size_t length = (size_t)prng_between(prng, (int64_t)least, (int64_t)most);
    uint8_t *bytes = take(arena, length, 1);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)prng_next(prng);
    return slice_make(bytes, length);
}

static struct uuid id(struct prng *prng)
{
    struct uuid id = {{0}};
    for (size_t i = 0; i < sizeof(id.bytes) && !prng_one_in(prng, 100); i++)
        id.bytes[i] = (uint8_t)prng_next(prng);
    return id;
}

static int32_t *ids(struct prng *prng, struct arena *arena, size_t *count)
{
    *count = few(prng);
    int32_t *list = take(arena, *count, sizeof(*list));
    for (size_t i = 0; i < *count; i++)
        list[i] = number(prng);
    return list;
}

static struct isr_member *isr(struct prng *prng, struct arena *arena, size_t *count)
{
    *count = few(prng);
    struct isr_member *list = take(arena, *count, sizeof(*list));
    for (size_t i = 0; i < *count; i++)
        list[i] = (struct isr_member){number(prng), broker_epoch(prng)};
    return list;
}

static struct control_partition partition(struct prng *prng, struct arena *arena)
{
    struct control_partition it = {0};
    it.partition = number(prng);
    it.controller_epoch = number(prng);
    it.leader = (int32_t)prng_between(prng, NO_LEADER_DELETED, 5);
    it.leader_epoch = number(prng);
    it.partition_epoch = number(prng);
    it.isr = isr(prng, arena, &it.isr_count);
    it.replicas = ids(prng, arena, &it.replicas_count);
    it.adding_replicas = ids(prng, arena, &it.adding_replicas_count);
    it.removing_replicas = ids(prng, arena, &it.removing_replicas_count);
    it.offline_replicas = ids(prng, arena, &it.offline_replicas_count);
    it.is_new = prng_one_in(prng, 2);
    it.recovering = prng_one_in(prng, 2);
    it.commits_held = prng_one_in(prng, 2);
    return it;
}

static struct control_topic *topics(struct prng *prng, struct arena *arena, size_t *count)
{
    *count = few(prng);
    struct control_topic *list = take(arena, *count, sizeof(*list));
    for (size_t t = 0; t < *count; t++) {
        struct control_topic *topic = &list[t];
        topic->name = text(prng, arena, 1, 249);
        topic->topic_id = id(prng);
        topic->settings_count = few(prng);
        topic->settings = take(arena, topic->settings_count, sizeof(*topic->settings));
        for (size_t i = 0; i < topic->settings_count; i++)
            topic->settings[i] =
                (struct control_setting){text(prng, arena, 0, 30), text(prng, arena, 0, 300)};
        topic->partitions_count = few(prng);
        topic->partitions = take(arena, topic->partitions_count, sizeof(*topic->partitions));
        for (size_t i = 0; i < topic->partitions_count; i++)
            topic->partitions[i] = partition(prng, arena);
    }
    return list;
}

static struct control_broker *brokers(struct prng *prng, struct arena *arena, size_t *count)
{
    *count = few(prng);
    struct control_broker *list = take(arena, *count, sizeof(*list));
    for (size_t b = 0; b < *count; b++) {
        struct control_broker *broker = &list[b];
        broker->id = number(prng);
        broker->epoch = broker_epoch(prng);
        broker->rack = prng_one_in(prng, 2) ? slice_of(NULL) : text(prng, arena, 0, 20);
        broker->endpoints_count = few(prng);
        broker->endpoints = take(arena, broker->endpoints_count, sizeof(*broker->endpoints));
        for (size_t i = 0; i < broker->endpoints_count; i++)
            broker->endpoints[i] =
                (struct control_endpoint){text(prng, arena, 0, 20), text(prng, arena, 0, 20),
                                          text(prng, arena, 0, 60), (int32_t)prng_below(prng, 65536)};
    }
    return list;
}

static void stop_replica(struct prng *prng, struct arena *arena, struct stop_replica_request *request)
{
    request->controller_id = number(prng);
    request->controller_epoch = number(prng);
    request->broker_epoch = broker_epoch(prng);
    request->partitions_count = few(prng);
    request->partitions = take(arena, request->partitions_count, sizeof(*request->partitions));
    for (size_t i = 0; i < request->partitions_count; i++)
        request->partitions[i] = (struct stop_replica_partition){
            .topic = text(prng, arena, 1, 30),
            .topic_id = id(prng),
            .partition = number(prng),
            .leader_epoch = (int32_t)prng_between(prng, -2, 3),
            .delete_log = prng_one_in(prng, 2),
        };
}

static void alter_partition(struct prng *prng, struct arena *arena, struct alter_partition_request *request)
{
    request->broker_id = number(prng);
    request->broker_epoch = broker_epoch(prng);
    request->partitions_count = few(prng);
    request->partitions = take(arena, request->partitions_count, sizeof(*request->partitions));
    for (size_t i = 0; i < request->partitions_count; i++) {
        struct alter_partition_item *item = &request->partitions[i];
        item->topic = text(prng, arena, 1, 30);
        item->topic_id = id(prng);
        item->partition = number(prng);
        item->leader_epoch = number(prng);
        item->partition_epoch = number(prng);
        item->isr = isr(prng, arena, &item->isr_count);
        item->recovering = prng_one_in(prng, 2);
    }
}

void message_random_request(struct prng *prng, struct arena *arena, enum control_kind kind,
                            struct control_request *request)
{
    memset(request, 0, sizeof(*request));
    request->kind = kind;
    switch (kind) {
    case CONTROL_LEADER_AND_ISR:
        request->leader_and_isr.controller_id = number(prng);
        request->leader_and_isr.controller_epoch = number(prng);
        request->leader_and_isr.broker_epoch = broker_epoch(prng);
        request->leader_and_isr.brokers = brokers(prng, arena, &request->leader_and_isr.brokers_count);
        request->leader_and_isr.topics = topics(prng, arena, &request->leader_and_isr.topics_count);
        return;
    case CONTROL_UPDATE_METADATA:
        request->update_metadata.controller_id = number(prng);
        request->update_metadata.controller_epoch = number(prng);
        request->update_metadata.broker_epoch = broker_epoch(prng);
        request->update_metadata.full = prng_one_in(prng, 2);
        request->update_metadata.brokers = brokers(prng, arena, &request->update_metadata.brokers_count);
        request->update_metadata.topics = topics(prng, arena, &request->update_metadata.topics_count);
        return;
    case CONTROL_STOP_REPLICA:
        stop_replica(prng, arena, &request->stop_replica);
        return;
    case CONTROL_ALTER_PARTITION:
        alter_partition(prng, arena, &request->alter_partition);
        return;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        request->allocate_producer_ids =
            (struct allocate_producer_ids_request){number(prng), broker_epoch(prng)};
        return;
    case CONTROL_CONTROLLED_SHUTDOWN:
        request->controlled_shutdown = (struct controlled_shutdown_request){number(prng), broker_epoch(prng)};
        return;
    case CONTROL_FORWARD:
        request->forward = (struct forward_request){
            .api_key = (int16_t)prng_below(prng, 32768),
            .api_version = (int16_t)prng_below(prng, 20),
            .client_id = prng_one_in(prng, 2) ? slice_of(NULL) : text(prng, arena, 0, 20),
            .client_host = text(prng, arena, 0, 20),
            .principal = text(prng, arena, 0, 20),
            .body = text(prng, arena, 0, 2000),
        };
        return;
    case CONTROL_NONE:
        break;
    }
    UNREACHABLE();
}

static void response(struct prng *prng, struct arena *arena, struct control_response *it)
{
    it->error = error_code(prng);
    it->partitions_count = few(prng);
    it->partitions = take(arena, it->partitions_count, sizeof(*it->partitions));
    for (size_t i = 0; i < it->partitions_count; i++)
        it->partitions[i] = (struct control_partition_error){.topic = text(prng, arena, 1, 30),
                                                             .partition = number(prng),
                                                             .error = error_code(prng),
                                                             .full = prng_one_in(prng, 2),
                                                             .tells_end = prng_one_in(prng, 2),
                                                             .leader_epoch = number(prng),
                                                             .last_epoch = (int32_t)prng_between(prng, -1, 4),
                                                             .end_offset = (int64_t)(prng_next(prng) >> 1)};
}

static void alter_response(struct prng *prng, struct arena *arena, struct alter_partition_response *it)
{
    it->error = error_code(prng);
    it->partitions_count = few(prng);
    it->partitions = take(arena, it->partitions_count, sizeof(*it->partitions));
    for (size_t i = 0; i < it->partitions_count; i++) {
        struct alter_partition_result *result = &it->partitions[i];
        result->topic = text(prng, arena, 1, 30);
        result->partition = number(prng);
        result->error = error_code(prng);
        result->leader = (int32_t)prng_between(prng, -1, 4);
        result->leader_epoch = (int32_t)prng_between(prng, -1, 4);
        result->partition_epoch = (int32_t)prng_between(prng, -1, 4);
        result->isr = isr(prng, arena, &result->isr_count);
        result->recovering = prng_one_in(prng, 2);
        result->commits_held = prng_one_in(prng, 2);
    }
}

void message_random_answer(struct prng *prng, struct arena *arena, enum control_kind kind,
                           struct control_answer *answer)
{
    memset(answer, 0, sizeof(*answer));
    answer->kind = kind;
    switch (kind) {
    case CONTROL_LEADER_AND_ISR:
    case CONTROL_UPDATE_METADATA:
    case CONTROL_STOP_REPLICA:
        response(prng, arena, &answer->response);
        return;
    case CONTROL_ALTER_PARTITION:
        alter_response(prng, arena, &answer->alter_partition);
        return;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        answer->allocate_producer_ids = (struct allocate_producer_ids_response){
            error_code(prng), (int64_t)(prng_next(prng) >> 1), number(prng)};
        return;
    case CONTROL_CONTROLLED_SHUTDOWN:
        answer->controlled_shutdown = (struct controlled_shutdown_response){error_code(prng), number(prng)};
        return;
    case CONTROL_FORWARD:
        answer->forward = (struct forward_response){error_code(prng), text(prng, arena, 0, 3000)};
        return;
    case CONTROL_NONE:
        break;
    }
    UNREACHABLE();
}
