/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Followers: for each partition that a broker follows, one loop of fetch, answer, next fetch. Where there was
 * nothing to fetch the follower waits, and is woken when its leader appends, as a held fetch is answered
 * then. A request without an answer is given up after a while; its answer may still come, late, and so may
 * a copy of the request.
 */
#include "proto/kafka/error.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

/* Sometimes an answer holds no more than one batch. */
#define SMALL_FETCH_BYTES 200
#define LARGE_FETCH_BYTES 65536

/* A timer of a loop: what is to be done unless the loop has gone on meanwhile. */
static void on_timer(struct world *world, int32_t index, void *data);

static void set_timer(struct world *world, int32_t index, int32_t partition, int64_t delay_ms)
{
    struct follow_loop *loop = &world->brokers[index].loops[partition];
    struct message *timer = message_new(index);
    timer->partition = partition;
    timer->serial = ++loop->serial;
    world_later(world, index, delay_ms, on_timer, message_release, timer);
}

void following_start(struct world *world, int32_t index, int32_t partition)
{
    struct follow_loop *loop = &world->brokers[index].loops[partition];
    loop->active = true;
    loop->idle = false;
    set_timer(world, index, partition, prng_between(&world->schedule, 0, 3));
}

void following_stop(struct world *world, int32_t index, int32_t partition)
{
    struct follow_loop *loop = &world->brokers[index].loops[partition];
    loop->active = false;
    loop->idle = false;
    loop->serial++;
}

void following_wake(struct world *world, int32_t partition)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct sim_broker *broker = &world->brokers[b];
        struct follow_loop *loop = &broker->loops[partition];
        if (!broker->alive || !loop->active || !loop->idle)
            continue;
        loop->idle = false;
        set_timer(world, b, partition, prng_between(&world->schedule, 0, 2));
    }
}

/* ---- the follower takes an answer ---- */

/*
 * Pause of a follower that has everything. While there are faults it may be longer than a leader is patient,
 * as replica.fetch.wait.max.ms must not be above replica.lag.time.max.ms in a configuration; but a cluster
 * that is to come to rest asks in time, the way of an append to the follower's disk and back counted in, or a
 * sound leader would shrink its ISR.
 */
static int64_t idle_ms(const struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    int64_t in_time = swarm->replica_lag_time_max_ms - swarm_append_way_ms(swarm);
    return world->safety ? swarm->fetch_idle_ms : min_i64(swarm->fetch_idle_ms, in_time);
}

static void take_answer(struct world *world, int32_t index, const struct message *answer,
                        struct partition *partition)
{
    struct sim_broker *broker = &world->brokers[index];
    int32_t number = answer->partition;
    struct follow_answer follow = answer->follow;
    follow.records = buffer_slice(&answer->bytes);
    struct partition_status before, after;
    partition_status(partition, &before);
    enum follow_outcome outcome =
        partition_follow(partition, &follow, broker_wall_ms(broker), broker_now_ms(broker));
    partition_status(partition, &after);
    if (after.log_end_offset != before.log_end_offset)
        world_note(world, "broker %lld follows %lld in partition %lld, epoch %lld: end %lld -> %lld",
                   TRACE_OF(broker->id, follow.leader, number, follow.leader_epoch, before.log_end_offset,
                            after.log_end_offset));
    struct follow_loop *loop = &broker->loops[number];
    if (!loop->active || loop->serial != answer->serial)
        return;
    loop->idle = outcome == FOLLOW_CONTINUE && follow.records.length == 0 && !follow.diverging;
    int64_t pause_ms = prng_between(&world->schedule, 0, 1);
    if (loop->idle)
        pause_ms = prng_between(&world->schedule, idle_ms(world) / 2, idle_ms(world));
    else if (outcome == FOLLOW_BACKOFF || outcome == FOLLOW_DAMAGED || outcome == FOLLOW_FAILED)
        pause_ms = prng_between(&world->schedule, 20, 100);
    set_timer(world, index, number, pause_ms);
}

static void on_answer(struct world *world, int32_t index, void *data)
{
    struct message *answer = data;
    struct partition *partition = broker_partition(world, index, answer->partition);
    if (partition != NULL && uuid_equals(partition_topic_id(partition), answer->topic_id))
        take_answer(world, index, answer, partition);
    partition_release(partition);
    message_release(answer);
}

/* ---- the leader answers ---- */

static void copy_range(struct world *world, struct log_range *range, struct message *reply)
{
    if (range->length > 0) {
        uint8_t *room = buffer_extend(&reply->bytes, (size_t)range->length);
        if (log_range_read(range, room) != 0) {
            buffer_clear(&reply->bytes);
            reply->follow.error = KAFKA_KAFKA_STORAGE_ERROR;
            world_note(world, "a leader cannot read its log", TRACE_OF(0));
        }
    }
    log_range_release(range);
}

static void on_fetch(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = &world->brokers[index];
    struct message *message = data;
    struct message *reply = message_new(index);
    reply->partition = message->partition;
    reply->serial = message->serial;
    reply->follow = message->follow;
    struct partition *partition = broker_partition(world, index, message->partition);
    reply->topic_id = message->topic_id;
    if (partition == NULL || !uuid_equals(partition_topic_id(partition), message->topic_id)) {
        reply->follow.error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    } else {
        struct fetch_result result;
        reply->follow.error = partition_fetch(partition, &message->fetch, broker_now_ms(broker), &result);
        reply->follow.high_watermark = result.high_watermark;
        reply->follow.log_start_offset = result.log_start_offset;
        reply->follow.diverging = result.diverging;
        reply->follow.diverging_epoch = result.diverging_epoch;
        reply->follow.diverging_end_offset = result.diverging_end_offset;
        copy_range(world, &result.range, reply);
    }
    partition_release(partition);
    network_send(world, index, message->from, on_answer, reply);
    message_release(message);
}

/* ---- the follower asks ---- */

static void ask(struct world *world, int32_t index, int32_t number, struct uuid topic_id,
                const struct follow_position *position)
{
    struct sim_broker *broker = &world->brokers[index];
    struct message *message = message_new(index);
    set_timer(world, index, number, world->swarm.fetch_timeout_ms);
    message->partition = number;
    message->topic_id = topic_id;
    message->serial = broker->loops[number].serial;
    message->fetch = (struct fetch_query){
        .replica_id = broker->id,
        .replica_epoch = replica_manager_broker_epoch(broker->replicas),
        .current_leader_epoch = position->leader_epoch,
        .last_fetched_epoch = position->last_fetched_epoch,
        .fetch_offset = position->fetch_offset,
        .log_start_offset = position->log_start_offset,
        .max_bytes = prng_one_in(&world->schedule, 4) ? SMALL_FETCH_BYTES : LARGE_FETCH_BYTES,
        .at_least_one = true,
    };
    message->follow = (struct follow_answer){.leader = position->leader,
                                             .leader_epoch = position->leader_epoch,
                                             .fetch_offset = position->fetch_offset,
                                             .last_fetched_epoch = position->last_fetched_epoch};
    network_send(world, index, position->leader - 1, on_fetch, message);
}

static void on_timer(struct world *world, int32_t index, void *data)
{
    struct message *timer = data;
    int32_t number = timer->partition;
    struct follow_loop *loop = &world->brokers[index].loops[number];
    if (loop->active && loop->serial == timer->serial) {
        struct partition *partition = broker_partition(world, index, number);
        struct follow_position position;
        loop->idle = false;
        bool follows = partition != NULL && partition_follow_position(partition, &position);
        if (follows && position.durable)
            ask(world, index, number, partition_topic_id(partition), &position);
        else if (follows)
            set_timer(world, index, number, prng_between(&world->schedule, 0, 2)); /* our disk is at work */
        else
            set_timer(world, index, number, world->swarm.fetch_idle_ms);
        partition_release(partition);
    }
    message_release(timer);
}
