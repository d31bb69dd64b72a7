/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients. A producer has one batch under way; it sends it to whom it takes for the leader, which is not
 * always right. An idempotent one sends a batch again until it is answered for; a plain one gives up. What is
 * acknowledged with acks=all is a promise from the moment in which the broker says so. Consumers read from
 * leaders and followers alike, and what they were served is a promise too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

#define PRODUCE_VERSION 9
#define PATIENCE_MS 600
#define MAIL_DELAY_MAX_MS 300

static void produce_next(struct world *world, int32_t broker, void *data);
static void produce_send(struct world *world, struct sim_producer *producer);

/* ---- a produce that waits for replication ---- */

struct parked_produce {
    int references; /* the watch or task that looks next, and the deadline */
    struct world *world;
    int32_t broker;
    struct partition *partition;
    struct message *message;
    struct partition_watcher watcher;
    bool answered;
    int64_t base_offset;
    int64_t end_offset;
    int32_t leader_epoch;
};

static void parked_drop(struct parked_produce *parked, int references)
{
    parked->references -= references;
    if (parked->references > 0)
        return;
    partition_release(parked->partition);
    message_release(parked->message);
    free(parked);
}

static void parked_release(void *data)
{
    parked_drop(data, 1);
}

static void on_produce_answer(struct world *world, int32_t broker, void *data)
{
    struct message *answer = data;
    (void)broker;
    struct sim_producer *producer = &world->producers[answer->request->token];
    if (producer->busy && producer->serial == answer->request->serial) {
        int16_t error = answer->error;
        bool done = error == KAFKA_NONE || error == KAFKA_DUPLICATE_SEQUENCE_NUMBER || !producer->idempotent;
        if (error == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER || error == KAFKA_INVALID_PRODUCER_EPOCH) {
            /* As clients do: a new producer id, a new beginning; this batch is given up. */
            producer->producer_id += 1000;
            producer->sequence = 0;
            producer->busy = false;
        } else if (done) {
            producer->sequence += producer->records;
            producer->busy = false;
        }
    }
    message_release(answer);
}

static void answer_produce(struct world *world, int32_t index, struct message *message, int16_t error)
{
    struct message *reply = message_new(index);
    reply->request = message_acquire(message);
    reply->error = error;
    network_send(world, index, -1, on_produce_answer, reply);
}

static void acknowledge(struct parked_produce *parked)
{
    struct world *world = parked->world;
    struct sim_broker *broker = &world->brokers[parked->broker];
    const struct sim_partition *known = &world->partitions[parked->message->partition];
    if (!broker_acts(broker) || !topic_is_stable(world, parked->message->partition) ||
        !topic_is_of(world, parked->message->partition, partition_topic_id(parked->partition)))
        return;
    struct partition_log *log = log_manager_find(broker->logs, slice_of(known->topic), known->number);
    const struct scanned_batch *batch = NULL;
    if (log != NULL && parked->base_offset < partition_log_start_offset(log))
        return; /* deleted before its producer has heard of it */
    world->judging = true;
    bool read = log_scan_log(&world->scan, log, parked->base_offset, 1);
    world->judging = false;
    if (read)
        batch = log_scan_find(&world->scan, parked->base_offset);
    if (!broker_acts(broker) || (!read && !disks_are_sound(broker)))
        return;
    bool same = batch != NULL && batch->last_offset + 1 == parked->end_offset;
    if (!same || batch->checksum != log_scan_checksum(buffer_slice(&parked->message->bytes))) {
        world_fail(world, "I1", "broker %lld acknowledges offset %lld of partition %lld, which it has not",
                   TRACE_OF(broker->id, parked->base_offset, parked->message->partition));
        return;
    }
    struct partition_status status;
    partition_status(parked->partition, &status);
    if (status.role != ROLE_LEADER || status.high_watermark < parked->end_offset ||
        status.isr.count < (size_t)topic_of(world, parked->message->partition)->min_insync_replicas)
        world_fail(
            world, "I21",
            "broker %lld acknowledges offset %lld of partition %lld with high watermark %lld and an ISR "
            "of %lld",
            TRACE_OF(broker->id, parked->base_offset, parked->message->partition, status.high_watermark,
                     (int64_t)status.isr.count));
    world_note(world, "broker %lld acknowledges partition %lld, offset %lld, epoch %lld",
               TRACE_OF(broker->id, parked->message->partition, parked->base_offset, batch->leader_epoch));
    world->counters.acknowledged++;
    check_promise(world, parked->message->partition, &status, batch, true);
}

static void look(struct world *world, int32_t index, void *data);

static void on_watch(struct partition_watcher *watcher)
{
    struct parked_produce *parked = container_of(watcher, struct parked_produce, watcher);
    /* The mail to the thread that waits may lie there for a while. */
    struct prng *prng = &parked->world->schedule;
    int64_t delay_ms = prng_one_in(prng, 4) ? prng_between(prng, 0, MAIL_DELAY_MAX_MS) : 0;
    world_later(parked->world, parked->broker, delay_ms, look, parked_release, parked);
}

static void look(struct world *world, int32_t index, void *data)
{
    struct parked_produce *parked = data;
    while (!parked->answered) {
        struct partition_status status;
        partition_status(parked->partition, &status);
        int16_t verdict =
            partition_check_produce(parked->partition, true, parked->leader_epoch, parked->end_offset);
        if (verdict == PRODUCE_PENDING) {
            if (partition_watch(parked->partition, &parked->watcher, WATCH_HIGH_WATERMARK, parked->end_offset,
                                status.leader_epoch))
                return; /* the watch has this reference now */
            continue;
        }
        parked->answered = true;
        if (verdict == KAFKA_NONE)
            acknowledge(parked);
        answer_produce(world, index, parked->message, verdict);
    }
    parked_release(parked);
}

static void on_deadline(struct world *world, int32_t index, void *data)
{
    struct parked_produce *parked = data;
    bool disarmed = false;
    if (!parked->answered) {
        parked->answered = true;
        answer_produce(world, index, parked->message, KAFKA_REQUEST_TIMED_OUT);
        disarmed = partition_unwatch(parked->partition, &parked->watcher);
    }
    parked_drop(parked, disarmed ? 2 : 1); /* with the watch's reference */
}

/* ---- a produce arrives ---- */

static void on_produce(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = &world->brokers[index];
    struct message *message = data;
    struct partition *partition = broker_partition(world, index, message->partition);
    struct produce_result result = {.base_offset = -1};
    bool acks_all = message->acks_all;
    int16_t error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (partition != NULL) {
        buffer_clear(&world->scratch);
        buffer_append(&world->scratch, message->bytes.data, message->bytes.length);
        error = partition_produce(partition, world->scratch.data, world->scratch.length, PRODUCE_VERSION,
                                  acks_all, broker_wall_ms(broker), broker_now_ms(broker), &result);
    }
    if (error == KAFKA_NONE) {
        world_note(world, "broker %lld appends to partition %lld in epoch %lld: %lld to %lld, producer %lld",
                   TRACE_OF(broker->id, message->partition, result.leader_epoch, result.base_offset,
                            result.end_offset, (int64_t)message->token));
        following_wake(world, message->partition);
    }
    if (error != KAFKA_NONE || !acks_all) {
        answer_produce(world, index, message, error);
        partition_release(partition);
        message_release(message);
        return;
    }
    struct parked_produce *parked = memory_allocate_zeroed(1, sizeof(*parked));
    *parked = (struct parked_produce){.references = 2,
                                      .world = world,
                                      .broker = index,
                                      .partition = partition,
                                      .message = message,
                                      .watcher = {.fire = on_watch},
                                      .base_offset = result.base_offset,
                                      .end_offset = result.end_offset,
                                      .leader_epoch = result.leader_epoch};
    world_later(world, index, PATIENCE_MS, on_deadline, parked_release, parked);
    look(world, index, parked);
}

/* ---- producers ---- */

static void make_batch(struct world *world, int32_t number, struct sim_producer *producer)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    if (producer->idempotent) {
        parameters.producer_id = producer->producer_id;
        parameters.producer_epoch = 0;
        parameters.base_sequence = producer->sequence;
    }
    record_batch_builder_clear(&world->builder, &parameters);
    producer->records = (int32_t)prng_between(&world->workload, 1, 3);
    for (int32_t i = 0; i < producer->records; i++) {
        char value[96];
        int length = snprintf(value, sizeof(value), "%d:%llu:%.*s", number,
                              (unsigned long long)producer->counter++, (int)prng_below(&world->workload, 60),
                              "............................................................");
        record_batch_builder_append(&world->builder, SIM_WALL_MS + world->now_ms, slice_of(NULL),
                                    slice_make(value, (size_t)length), NULL, 0);
    }
    buffer_clear(&producer->batch);
    int error =
        record_batch_builder_finish(&world->builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &producer->batch);
    CHECK(error == 0);
}

/* Whom the producer takes for the leader. */
static int32_t choose_broker(struct world *world, int32_t partition)
{
    int32_t leader = world->partitions[partition].leader;
    if (leader < 0 || prng_one_in(&world->workload, 8))
        return (int32_t)prng_below(&world->workload, (uint64_t)world->swarm.brokers);
    return leader - 1;
}

static void on_produce_timeout(struct world *world, int32_t broker, void *data)
{
    struct message *message = data;
    struct sim_producer *producer = &world->producers[message->token];
    (void)broker;
    if (producer->busy && producer->serial == message->serial) {
        if (producer->idempotent)
            produce_send(world, producer);
        else
            producer->busy = false;
    }
    message_release(message);
}

static void produce_send(struct world *world, struct sim_producer *producer)
{
    struct message *message = message_new(-1);
    message->token = (uint64_t)(producer - world->producers);
    message->partition = producer->partition;
    message->serial = ++producer->serial;
    message->acks_all = producer->acks_all;
    buffer_append(&message->bytes, producer->batch.data, producer->batch.length);
    world_later(world, -1, prng_between(&world->workload, PATIENCE_MS / 4, 2 * PATIENCE_MS),
                on_produce_timeout, message_release, message_acquire(message));
    network_send(world, -1, choose_broker(world, producer->partition), on_produce, message);
}

static void produce_next(struct world *world, int32_t broker, void *data)
{
    struct sim_producer *producer = data;
    (void)broker;
    if (!world->safety)
        return;
    if (!producer->busy) {
        producer->busy = true;
        producer->acks_all = producer->idempotent || !prng_one_in(&world->workload, 6);
        if (!producer->idempotent || producer->sequence == 0)
            producer->partition = (int32_t)prng_below(&world->workload, (uint64_t)world->partition_count);
        make_batch(world, (int32_t)(producer - world->producers), producer);
        produce_send(world, producer);
    }
    world_later(world, -1, prng_between(&world->workload, 1, 2 * world->swarm.produce_ms), produce_next, NULL,
                producer);
}

/* ---- consumers ---- */

static void observe(struct world *world, int32_t number, struct sim_broker *broker,
                    const struct partition_status *status, struct log_range *range, int64_t high_watermark,
                    int64_t *position)
{
    buffer_clear(&world->scratch);
    uint8_t *room = buffer_extend(&world->scratch, (size_t)range->length);
    if (log_range_read(range, room) != 0 && !disks_are_sound(broker))
        return; /* its own reading fails */
    if (!log_scan_bytes(&world->scan, buffer_slice(&world->scratch))) {
        if (broker_acts(broker))
            world_fail(world, "I3", "broker %lld serves damaged bytes of partition %lld at offset %lld",
                       TRACE_OF(broker->id, number, *position));
        return;
    }
    for (size_t i = 0; i < world->scan.count; i++) {
        const struct scanned_batch *batch = &world->scan.batches[i];
        if (batch->last_offset >= high_watermark) {
            world_fail(world, "I22", "broker %lld serves offset %lld of partition %lld above %lld",
                       TRACE_OF(broker->id, batch->last_offset, number, high_watermark));
            return;
        }
        world->counters.observed++;
        check_promise(world, number, status, batch, false);
        *position = batch->last_offset + 1;
    }
    world_note(world, "broker %lld serves a consumer of partition %lld up to %lld",
               TRACE_OF(broker->id, number, *position));
}

static void consume_from(struct world *world, struct sim_broker *broker, int32_t number, int64_t *position)
{
    struct partition *partition = broker_partition(world, broker->index, number);
    if (partition == NULL || !topic_is_stable(world, number) ||
        !topic_is_of(world, number, partition_topic_id(partition))) {
        partition_release(partition);
        return;
    }
    struct fetch_query query = {.replica_id = -1,
                                .replica_epoch = NO_BROKER_EPOCH,
                                .current_leader_epoch = -1,
                                .last_fetched_epoch = -1,
                                .fetch_offset = *position,
                                .log_start_offset = -1,
                                .max_bytes = 4096,
                                .at_least_one = true};
    struct fetch_result result;
    struct partition_status status;
    partition_status(partition, &status);
    int16_t error = partition_fetch(partition, &query, broker_now_ms(broker), &result);
    if (error == KAFKA_OFFSET_OUT_OF_RANGE && *position < result.log_start_offset)
        *position = result.log_start_offset;
    if (error == KAFKA_NONE && result.range.length > 0)
        observe(world, number, broker, &status, &result.range, result.high_watermark, position);
    log_range_release(&result.range);
    partition_release(partition);
}

static void consume_next(struct world *world, int32_t index, void *data)
{
    struct sim_consumer *consumer = data;
    (void)index;
    int32_t number = (int32_t)prng_below(&world->workload, (uint64_t)world->partition_count);
    struct sim_broker *broker = &world->brokers[prng_below(&world->workload, (uint64_t)world->swarm.brokers)];
    if (prng_one_in(&world->workload, 20))
        consumer->positions[number] = 0;
    if (broker_acts(broker) && !broker->paused)
        consume_from(world, broker, number, &consumer->positions[number]);
    if (world->safety)
        world_later(world, -1, prng_between(&world->workload, 1, 2 * world->swarm.consume_ms), consume_next,
                    NULL, consumer);
}

/* ---- deletion ---- */

/* Whoever takes itself for the leader deletes what it takes for committed. */
static void delete_records(struct world *world, struct sim_broker *broker, int32_t number)
{
    struct partition *partition = broker_partition(world, broker->index, number);
    if (partition == NULL || !topic_is_stable(world, number) ||
        !topic_is_of(world, number, partition_topic_id(partition))) {
        partition_release(partition);
        return;
    }
    struct partition_status status;
    partition_status(partition, &status);
    int64_t offset = prng_between(&world->workload, status.log_start_offset, status.high_watermark + 1),
            required;
    int16_t error = partition_delete_records(partition, offset, broker_now_ms(broker), &required);
    partition_release(partition);
    if (error != KAFKA_NONE)
        return;
    if (offset > status.high_watermark)
        world_fail(world, "I9",
                   "broker %lld deletes partition %lld up to %lld, above its high watermark %lld",
                   TRACE_OF(broker->id, number, offset, status.high_watermark));
    world->counters.deletions++;
    world->partitions[number].deleted = max_i64(world->partitions[number].deleted, offset);
    world_note(world, "broker %lld deletes partition %lld up to %lld", TRACE_OF(broker->id, number, offset));
}

static void delete_next(struct world *world, int32_t index, void *data)
{
    (void)index;
    int32_t number = (int32_t)prng_below(&world->workload, (uint64_t)world->partition_count);
    struct sim_broker *broker = &world->brokers[choose_broker(world, number)];
    if (broker_acts(broker) && !broker->paused)
        delete_records(world, broker, number);
    check_broker(world, broker->index); /* what that has moved was moved now, under the ISR of now */
    if (world->safety)
        world_later(world, -1, prng_between(&world->workload, 1, 2 * world->swarm.delete_ms), delete_next,
                    NULL, data);
}

/* ---- life ---- */

void clients_init(struct world *world)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    record_batch_builder_init(&world->builder, &parameters);
    for (int i = 0; i < world->swarm.producers; i++) {
        struct sim_producer *producer = &world->producers[i];
        producer->idempotent = prng_one_in(&world->workload, 2);
        producer->producer_id = i + 1;
        buffer_init(&producer->batch);
        world_later(world, -1, prng_between(&world->workload, 100, 800), produce_next, NULL, producer);
    }
    if (world->swarm.delete_ms > 0)
        world_later(world, -1, prng_between(&world->workload, 200, 1000), delete_next, NULL, NULL);
    for (int i = 0; i < SIM_CONSUMERS; i++)
        world_later(world, -1, prng_between(&world->workload, 200, 1000), consume_next, NULL,
                    &world->consumers[i]);
}

void clients_release(struct world *world)
{
    record_batch_builder_release(&world->builder);
    for (int i = 0; i < world->swarm.producers; i++)
        buffer_release(&world->producers[i].batch);
}
