/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to brokers: what push.c chooses goes out, and what comes back moves the channel on. */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/shell.h"
#include "proto/kafka/error.h"

/* A disk that is full or broken does not get better in a moment. */
#define REPEAT_BACKOFF_MAX_MS 60000

static struct channel *channel_find(struct controller *controller, int32_t broker_id)
{
    for (size_t i = 0; i < controller->channel_count; i++)
        if (controller->channels[i].push.broker_id == broker_id)
            return &controller->channels[i];
    return NULL;
}

static void drop(struct controller *controller, int32_t broker_id)
{
    const struct controller_transport *transport = &controller->options.transport;
    if (transport->drop != NULL)
        transport->drop(transport->context, broker_id);
}

void shell_channel_open(struct controller *controller, int32_t broker_id, int64_t broker_epoch)
{
    struct channel *channel = channel_find(controller, broker_id);
    if (channel == NULL) {
        controller->channels = memory_grow(controller->channels, controller->channel_count,
                                           &controller->channel_capacity, sizeof(*controller->channels));
        channel = &controller->channels[controller->channel_count++];
    } else {
        drop(controller, broker_id);
    }
    *channel = (struct channel){0};
    push_channel_init(&channel->push, broker_id, broker_epoch);
}

void shell_channel_close(struct controller *controller, int32_t broker_id)
{
    struct channel *channel = channel_find(controller, broker_id);
    if (channel == NULL)
        return;
    drop(controller, broker_id);
    *channel = controller->channels[--controller->channel_count];
}

void shell_channels_clear(struct controller *controller)
{
    for (size_t i = 0; i < controller->channel_count; i++)
        drop(controller, controller->channels[i].push.broker_id);
    free(controller->channels);
    controller->channels = NULL;
    controller->channel_count = controller->channel_capacity = 0;
}

/* A later message has a higher number, so that a broker can tell one that comes late. */
static void number_message(struct control_request *request, uint64_t number)
{
    int64_t sequence = (int64_t)number;
    if (request->kind == CONTROL_LEADER_AND_ISR)
        request->leader_and_isr.sequence = sequence;
    else if (request->kind == CONTROL_UPDATE_METADATA)
        request->update_metadata.sequence = sequence;
    else
        request->stop_replica.sequence = sequence;
}

static void send(struct controller *controller, struct channel *channel, enum control_kind kind)
{
    struct arena arena;
    struct control_request request;
    const struct roster_member *member = roster_find(&controller->image.brokers, channel->push.broker_id);
    if (member == NULL)
        return;
    arena_init(&arena, ARENA_NO_BUDGET);
    channel->asks_all = kind == CONTROL_LEADER_AND_ISR && channel->push.leader_isr_told == 0;
    push_build(&controller->image, &channel->push, kind, controller->options.broker_id, controller->epoch,
               &arena, &request);
    struct control_broker broker;
    push_build_broker(&arena, member, &broker);
    channel->token = ++controller->last_token;
    number_message(&request, channel->token);
    controller->options.transport.send(controller->options.transport.context, &broker, channel->token,
                                       &request);
    arena_release(&arena);
}

/* Forgets removed topics that nobody has to hear of any more. */
static void trim(struct controller *controller)
{
    uint64_t told = UINT64_MAX;
    for (size_t i = 0; i < controller->channel_count; i++) {
        const struct push_channel *push = &controller->channels[i].push;
        if (!push->full)
            told = push->metadata_told < told ? push->metadata_told : told;
        else if (push->in_flight != CONTROL_NONE)
            told = push->in_flight_sequence < told ? push->in_flight_sequence : told;
    }
    image_trim_removed(&controller->image, told);
}

/* The image has all topics that exist, by their ids: what is being looked at may be another one, or one that
 * was taken for gone. */
static bool knows_all_topics(struct controller *controller)
{
    size_t position = 0;
    void *value;
    bool all = !controller->image.is_partial;
    while (all && map_next(controller->looks, &position, NULL, &value)) {
        const struct look *look = value;
        all = look->kind != LOOK_TOPIC && look->kind != LOOK_TOPICS;
    }
    return all;
}

static bool is_complete_owed(const struct controller *controller)
{
    for (size_t i = 0; i < controller->channel_count; i++)
        if (controller->channels[i].push.complete_owed)
            return true;
    return false;
}

bool shell_all_stopped(const struct controller *controller, const struct image_topic *topic)
{
    for (size_t i = 0; i < controller->channel_count; i++)
        if (!controller->channels[i].failing && !push_has_stopped(&controller->channels[i].push, topic))
            return false;
    return true;
}

void shell_channels_pump(struct controller *controller)
{
    bool complete = is_complete_owed(controller) && knows_all_topics(controller);
    for (size_t i = 0; i < controller->channel_count; i++) {
        struct channel *channel = &controller->channels[i];
        if (channel->repeats && channel->repeat_at_ms <= controller->now_ms) {
            channel->repeats = false;
            push_recheck(&channel->push);
        }
        if (channel->not_before_ms > controller->now_ms)
            continue;
        channel->push.complete_possible = complete;
        channel->push.stop_held = channel->stop_not_before_ms > controller->now_ms;
        enum control_kind kind = push_next(&controller->image, &channel->push);
        if (kind != CONTROL_NONE)
            send(controller, channel, kind);
    }
    trim(controller);
}

int64_t shell_channels_deadline(const struct controller *controller)
{
    int64_t deadline = INT64_MAX;
    for (size_t i = 0; i < controller->channel_count; i++) {
        const struct channel *channel = &controller->channels[i];
        if (channel->not_before_ms > controller->now_ms)
            deadline = min_i64(deadline, channel->not_before_ms);
        if (channel->stop_not_before_ms > controller->now_ms)
            deadline = min_i64(deadline, channel->stop_not_before_ms);
        if (channel->repeats)
            deadline = min_i64(deadline, channel->repeat_at_ms);
    }
    return deadline;
}

void shell_channel_recheck(struct controller *controller, int32_t broker_id)
{
    struct channel *channel = channel_find(controller, broker_id);
    if (channel != NULL)
        push_recheck(&channel->push);
}

bool shell_all_told(struct controller *controller, uint64_t sequence)
{
    for (size_t i = 0; i < controller->channel_count; i++)
        if (!controller->channels[i].failing &&
            !push_has_told(&controller->image, &controller->channels[i].push, sequence))
            return false;
    return true;
}

static void retry_later(struct controller *controller, struct channel *channel)
{
    channel->not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
}

static int64_t next_backoff_ms(const struct controller *controller, int64_t backoff_ms)
{
    return backoff_ms == 0 ? controller->options.retry_backoff_ms
                           : min_i64(backoff_ms * 2, REPEAT_BACKOFF_MAX_MS);
}

static void stop_later(struct controller *controller, struct channel *channel)
{
    channel->stop_backoff_ms = next_backoff_ms(controller, channel->stop_backoff_ms);
    channel->stop_not_before_ms = controller->now_ms + channel->stop_backoff_ms;
}

/*
 * A disk that is offline or was full for a moment, too many open files, the folder of another topic: the
 * broker is told of its partitions again, or they would stay as they are; it alone, and more and more rarely.
 * Likewise a leader that had already heard, in the answer to its proposal, of a newer ISR than the message
 * names: what else the message said (other replicas) has been refused with it.
 */
static void repeat_later(struct controller *controller, struct channel *channel,
                         const struct control_response *response)
{
    bool refused = false;
    for (size_t i = 0; i < response->partitions_count; i++)
        refused = refused || shell_is_disk_error(response->partitions[i].error) ||
                  response->partitions[i].error == KAFKA_STALE_CONTROLLER_EPOCH;
    if (!refused && channel->asks_all && !channel->repeats)
        channel->repeat_backoff_ms = 0;
    if (!refused || channel->repeats)
        return;
    channel->repeats = true;
    channel->repeat_backoff_ms = next_backoff_ms(controller, channel->repeat_backoff_ms);
    channel->repeat_at_ms = controller->now_ms + channel->repeat_backoff_ms;
}

static void note_partition_errors(struct controller *controller, struct channel *channel,
                                  const struct control_response *response)
{
    size_t failed = 0;
    const struct control_partition_error *first = NULL;
    for (size_t i = 0; i < response->partitions_count; i++) {
        if (response->partitions[i].error == KAFKA_NONE)
            continue;
        if (failed++ == 0)
            first = &response->partitions[i];
    }
    if (failed > 0)
        log_line(controller->logger, channel->complained ? LOG_DEBUG : LOG_WARN, SHELL_AREA,
                 "broker %d refused %zu partitions, first %.*s-%d: %s", channel->push.broker_id, failed,
                 SLICE_ARGUMENTS(first->topic), first->partition, kafka_error_name(first->error));
    /* what it has said once is said again only after all has been well */
    if (failed > 0)
        channel->complained = true;
    else if (channel->asks_all)
        channel->complained = false;
}

/* Replicas that are gone, or never were there, count as removed; for the others the broker is asked again, if
 * it is among the replicas. One that is not has hardly anything, and the deletion does not wait for its disk:
 * what it has all the same it sets aside later. */
static void stopped(struct controller *controller, struct channel *channel,
                    const struct control_response *response)
{
    /* a partition left out of the answer must not be asked for in a tight loop */
    bool again = response->partitions_count == 0;
    for (size_t i = 0; i < response->partitions_count; i++) {
        const struct control_partition_error *item = &response->partitions[i];
        struct image_partition *partition =
            image_partition_of(&controller->image, item->topic, item->partition);
        if (partition == NULL || !partition->topic->deleting)
            continue;
        if (item->error == KAFKA_NONE || item->error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
            !node_replicas_contains(&partition->assignment.replicas, channel->push.broker_id))
            push_note_deleted(partition, channel->push.broker_id);
        else
            again = true;
    }
    if (again)
        stop_later(controller, channel);
    else
        channel->stop_backoff_ms = 0;
}

static void refused(struct controller *controller, struct channel *channel, int status, int16_t error)
{
    if (status != 0)
        log_debug(controller->logger, SHELL_AREA, "broker %d has not answered (%d)", channel->push.broker_id,
                  status);
    else
        log_line(controller->logger, channel->complained ? LOG_DEBUG : LOG_WARN, SHELL_AREA,
                 "broker %d refused a message: %s", channel->push.broker_id, kafka_error_name(error));
    channel->complained = channel->complained || status == 0;
    channel->failing = true;
    if (status != 0 && controller->options.faults.forget_messages)
        push_succeeded(&channel->push);
    else
        push_failed(&channel->push);
    retry_later(controller, channel);
    if (status == 0 && error == KAFKA_STALE_CONTROLLER_EPOCH)
        shell_election_look(controller);
    if (status == 0 && error == KAFKA_STALE_BROKER_EPOCH)
        shell_look(controller, LOOK_BROKER, slice_of(""), channel->push.broker_id);
}

void controller_on_answer(struct controller *controller, uint64_t token, int status,
                          const struct control_answer *answer)
{
    struct channel *channel = NULL;
    for (size_t i = 0; i < controller->channel_count; i++)
        if (controller->channels[i].token == token && token != 0)
            channel = &controller->channels[i];
    if (channel == NULL)
        return;
    channel->token = 0;
    bool answered = status == 0 && answer != NULL && answer->kind == channel->push.in_flight;
    if (!answered || answer->response.error != KAFKA_NONE) {
        refused(controller, channel, answered ? 0 : (status != 0 ? status : -1),
                answered ? answer->response.error : KAFKA_NONE);
    } else {
        channel->failing = false;
        push_succeeded(&channel->push);
        if (answer->kind == CONTROL_STOP_REPLICA)
            stopped(controller, channel, &answer->response);
        if (answer->kind == CONTROL_LEADER_AND_ISR) {
            shell_note_directories(controller, channel->push.broker_id, &answer->response);
            repeat_later(controller, channel, &answer->response);
        }
        note_partition_errors(controller, channel, &answer->response);
    }
    shell_work(controller);
}
