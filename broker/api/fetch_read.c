/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the partitions of a Fetch, within its limits. */
#include "broker/api/answering.h"
#include "broker/api/fetch_operation.h"
#include "common/codec.h"
#include "proto/kafka/error.h"

/* What is left of the limits while the partitions are read in order. */
struct allowance {
    int64_t bytes;
    bool at_least_one; /* nothing was found yet, and the version asks for one batch whatever its size */
};

/* Finds the topic's name where the client gave its id. */
static int16_t resolve(struct fetch_operation *operation, const struct metadata_image *image,
                       const struct fetch_partition *asked, struct fetch_read *read)
{
    if (!operation->fetch.uses_topic_ids) {
        read->topic = asked->topic;
        return KAFKA_NONE;
    }
    const struct metadata_topic *topic = metadata_image_topic_by_id(image, asked->topic_id);
    if (topic == NULL)
        return KAFKA_UNKNOWN_TOPIC_ID;
    if (slice_is_null(read->topic))
        read->topic = arena_copy_slice(&operation->arena, topic->name);
    return KAFKA_NONE;
}

/* What old versions cannot be given. */
static int16_t check_version(const struct fetch_operation *operation, const struct metadata_image *image,
                             const struct fetch_read *read)
{
    if (operation->version >= FETCH_FIRST_VERSION_ZSTD)
        return KAFKA_NONE;
    const struct metadata_topic *topic = metadata_image_topic(image, read->topic);
    return topic && topic->effective.compression == CODEC_ZSTD ? KAFKA_UNSUPPORTED_COMPRESSION_TYPE
                                                               : KAFKA_NONE;
}

static int16_t find(struct fetch_operation *operation, const struct metadata_image *image,
                    const struct fetch_partition *asked, struct fetch_read *read)
{
    int16_t error = resolve(operation, image, asked, read);
    if (error == KAFKA_NONE)
        error = check_version(operation, image, read);
    if (error != KAFKA_NONE)
        return error;
    read->partition = find_partition(operation->context, image, read->topic, asked->partition, &error);
    if (read->partition == NULL)
        return error;
    struct uuid id = partition_topic_id(read->partition);
    bool other = operation->fetch.uses_topic_ids && !uuid_is_zero(id) && !uuid_equals(id, asked->topic_id);
    return other ? KAFKA_INCONSISTENT_TOPIC_ID : KAFKA_NONE;
}

bool fetch_operation_tells_high_watermark(const struct fetch_operation *operation)
{
    return operation->replica_id >= 0 && operation->context->config->reads_from_nearby_replicas;
}

/* The replica that a consumer should read from instead of this leader (KIP-392), or -1. */
static int32_t choose_replica(struct fetch_operation *operation, const struct metadata_image *image,
                              const struct fetch_partition *asked, struct partition *partition)
{
    const struct broker_config *config = operation->context->config;
    const struct api_clock *clock = operation->context->clock;
    struct slice rack = operation->body.rack_id;
    if (operation->replica_id >= 0 || !config->reads_from_nearby_replicas || rack.length == 0 ||
        operation->version < FETCH_FIRST_VERSION_FROM_FOLLOWERS || slice_equals(rack, slice_of(config->rack)))
        return PREFERRED_REPLICA_NONE;
    struct read_candidate candidates[PARTITION_REPLICAS_MAX];
    size_t count =
        partition_read_candidates(partition, asked->fetch_offset, clock->monotonic_ms(clock), candidates);
    for (size_t i = 0; i < count; i++) {
        const struct metadata_broker *broker = metadata_image_broker(image, candidates[i].broker_id);
        if (broker && metadata_broker_endpoint(broker, operation->request->listener))
            candidates[i].rack = broker->rack;
    }
    return replica_select_by_rack(rack, slice_of(config->rack), candidates, count);
}

/* How long the throttle holds followers up that are behind; 0: not at all. */
static int64_t hold_up_ms(const struct fetch_operation *operation, const struct partition *partition)
{
    struct replication_throttles *throttles = operation->context->throttles;
    const struct api_clock *clock = operation->context->clock;
    if (operation->replica_id < 0 || throttles == NULL || !partition_is_throttled_as_leader(partition))
        return 0;
    return replication_throttle_wait_ms(&throttles->leader, clock->monotonic_ms(clock));
}

static int16_t fetch(struct fetch_operation *operation, const struct fetch_partition *asked,
                     struct fetch_read *read, struct allowance *allowance)
{
    int64_t held_up_ms = hold_up_ms(operation, read->partition);
    const struct fetch_query query = {
        .replica_id = operation->replica_id,
        .replica_epoch = operation->replica_epoch,
        .current_leader_epoch = asked->current_leader_epoch,
        .last_fetched_epoch = asked->last_fetched_epoch,
        .fetch_offset = asked->fetch_offset,
        .log_start_offset = asked->log_start_offset,
        .max_bytes = min_i64(max_i64(asked->max_bytes, 0), allowance->bytes),
        .at_least_one = allowance->at_least_one,
        .enough_bytes = operation->min_bytes,
        .read_committed = operation->body.isolation_level == FETCH_READ_COMMITTED,
        .leader_only = (operation->version < FETCH_FIRST_VERSION_FROM_FOLLOWERS),
        .bounds_only = read->preferred_replica >= 0,
        .hold_up = (held_up_ms > 0),
        .tell_high_watermark = fetch_operation_tells_high_watermark(operation),
    };
    const struct api_clock *clock = operation->context->clock;
    int16_t error = partition_fetch(read->partition, &query, clock->monotonic_ms(clock), &read->result);
    /* Records are kept in the format of version 4; making old ones of them is not served. */
    if (error == KAFKA_NONE && read->result.range.length > 0 &&
        operation->version < FETCH_FIRST_VERSION_NEW_FORMAT)
        error = KAFKA_UNSUPPORTED_VERSION;
    if (error == KAFKA_KAFKA_STORAGE_ERROR && operation->version <= FETCH_LAST_VERSION_WITHOUT_STORAGE_ERROR)
        error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (error == KAFKA_NONE && read->result.held_up)
        operation->held_up_ms = max_i64(operation->held_up_ms, held_up_ms);
    if (error != KAFKA_NONE || read->result.diverging)
        fetch_result_release(&read->result);
    return error;
}

static bool is_foreign_follower(const struct fetch_operation *operation)
{
    return operation->replica_id >= 0 && !operation->request->inter_broker;
}

void fetch_operation_read(struct fetch_operation *operation)
{
    struct allowance allowance = {.bytes = operation->max_bytes,
                                  .at_least_one = operation->version >= FETCH_FIRST_VERSION_AT_LEAST_ONE};
    const struct metadata_image *image = metadata_cache_acquire(operation->context->metadata);
    operation->bytes = 0;
    operation->must_answer = false;
    operation->held_up_ms = 0;
    for (size_t i = 0; i < operation->fetch.partitions_count; i++) {
        const struct fetch_partition *asked = &operation->fetch.partitions[i];
        struct fetch_read *read = &operation->reads[i];
        read->result = (struct fetch_result){.leader = -1, .leader_epoch = -1};
        /* Only brokers follow, and they come by their own listener. */
        read->error = is_foreign_follower(operation) ? KAFKA_TOPIC_AUTHORIZATION_FAILED
                                                     : find(operation, image, asked, read);
        read->preferred_replica = read->error == KAFKA_NONE
                                      ? choose_replica(operation, image, asked, read->partition)
                                      : PREFERRED_REPLICA_NONE;
        if (read->error == KAFKA_NONE)
            read->error = fetch(operation, asked, read, &allowance);
        int64_t length = read->error == KAFKA_NONE ? read->result.range.length : 0;
        if (length > 0)
            allowance.at_least_one = false;
        allowance.bytes = max_i64(allowance.bytes - length, 0);
        operation->bytes += length;
        operation->must_answer |= read->error != KAFKA_NONE || read->preferred_replica >= 0 ||
                                  read->result.diverging || read->result.more_behind ||
                                  read->result.high_watermark_moved;
    }
    metadata_image_release(image);
}

void fetch_operation_forget(struct fetch_operation *operation)
{
    for (size_t i = 0; i < operation->fetch.partitions_count; i++) {
        struct fetch_read *read = &operation->reads[i];
        fetch_result_release(&read->result);
        partition_release(read->partition);
        read->partition = NULL;
    }
}
