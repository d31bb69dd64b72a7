/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages, both ways, through the shipped codec. What a controller sends has at most one request in
 * flight to a broker and always an outcome: the answer, or a lost connection after a while (the request may
 * then still arrive, later than its repetition). ISR proposals: one request of a broker at a time, tried
 * again where the controller has moved, until its deadline.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

#define RETRY_MS 50

/* ---- from the controller ---- */

static void on_answer(struct world *world, int32_t index, void *data)
{
    struct message *message = data;
    if (!message->request->answered) {
        message->request->answered = true;
        struct arena arena;
        struct control_answer answer;
        arena_init(&arena, ARENA_NO_BUDGET);
        int error = control_answer_decode(buffer_slice(&message->bytes), &arena, &answer);
        CHECK(error == 0);
        controller_on_answer(world->brokers[index].controller, message->request->token, 0, &answer);
        arena_release(&arena);
    }
    message_release(message);
}

static void on_no_answer(struct world *world, int32_t index, void *data)
{
    struct message *message = data;
    if (!message->answered) {
        message->answered = true;
        controller_on_answer(world->brokers[index].controller, message->token, -ECONNRESET, NULL);
    }
    message_release(message);
}

static void judge_acceptance(struct world *world, const struct sim_broker *broker,
                             const struct control_request *request)
{
    if (request->kind == CONTROL_LEADER_AND_ISR)
        check_message_accepted(world, broker->index, request->leader_and_isr.controller_epoch,
                               request->leader_and_isr.broker_epoch);
    else if (request->kind == CONTROL_STOP_REPLICA)
        check_message_accepted(world, broker->index, request->stop_replica.controller_epoch,
                               request->stop_replica.broker_epoch);
    else
        check_message_accepted(world, broker->index, request->update_metadata.controller_epoch,
                               request->update_metadata.broker_epoch);
}

static void tell_partition_errors(struct world *world, const struct sim_broker *broker,
                                  const struct control_response *response)
{
    for (size_t i = 0; i < response->partitions_count; i++)
        if (response->partitions[i].error != KAFKA_NONE)
            world_note(
                world, "broker %lld answers %lld for a partition %lld",
                TRACE_OF(broker->id, response->partitions[i].error, response->partitions[i].partition));
}

/* Of what clients are told, the replicas want the settings, and to know what has moved away. */
static void take_metadata(struct sim_broker *broker, const struct update_metadata_request *update)
{
    replica_manager_set_strays_aside(broker->replicas, update);
    for (size_t i = 0; i < update->topics_count; i++) {
        if (update->topics[i].partitions_count > 0)
            replica_manager_configure(broker->replicas, &update->topics[i]);
        replica_manager_drop_departed(broker->replicas, &update->topics[i]);
    }
}

static void carry_out(struct world *world, struct sim_broker *broker, const struct control_request *request,
                      struct arena *arena, struct control_answer *answer)
{
    int64_t now_ms = broker_now_ms(broker);
    answer->kind = request->kind;
    switch (request->kind) {
    case CONTROL_LEADER_AND_ISR:
        replica_manager_leader_and_isr(broker->replicas, &request->leader_and_isr, now_ms, arena,
                                       &answer->response);
        break;
    case CONTROL_STOP_REPLICA:
        replica_manager_stop_replica(broker->replicas, &request->stop_replica, arena, &answer->response);
        break;
    case CONTROL_UPDATE_METADATA:
        answer->response = (struct control_response){
            .error = replica_manager_check_epochs(broker->replicas, request->update_metadata.controller_epoch,
                                                  request->update_metadata.broker_epoch,
                                                  request->update_metadata.sequence)};
        if (answer->response.error == KAFKA_NONE)
            take_metadata(broker, &request->update_metadata);
        break;
    default:
        UNREACHABLE();
    }
    if (answer->response.error == KAFKA_NONE)
        judge_acceptance(world, broker, request);
    tell_partition_errors(world, broker, &answer->response);
    if (request->kind == CONTROL_STOP_REPLICA)
        world_note(world, "broker %lld is told by controller %lld (epoch %lld) to stop %lld replicas: %lld",
                   TRACE_OF(broker->id, request->stop_replica.controller_id,
                            request->stop_replica.controller_epoch,
                            (int64_t)request->stop_replica.partitions_count, answer->response.error));
    if (request->kind == CONTROL_LEADER_AND_ISR)
        world_note(world,
                   "broker %lld is told roles by controller %lld (epoch %lld) for broker epoch %lld: %lld",
                   TRACE_OF(broker->id, request->leader_and_isr.controller_id,
                            request->leader_and_isr.controller_epoch, request->leader_and_isr.broker_epoch,
                            answer->response.error));
}

static void on_request(struct world *world, int32_t index, void *data)
{
    struct message *message = data;
    struct arena arena;
    struct control_request request;
    struct control_answer answer = {.kind = CONTROL_NONE};
    arena_init(&arena, ARENA_NO_BUDGET);
    int error = control_request_decode(buffer_slice(&message->bytes), &arena, &request);
    CHECK(error == 0);
    carry_out(world, &world->brokers[index], &request, &arena, &answer);
    struct message *reply = message_new(index);
    control_answer_encode(&answer, &reply->bytes);
    reply->request = message;
    network_send(world, index, message->from, on_answer, reply);
    arena_release(&arena);
}

static void transport_send(void *context, const struct control_broker *to, uint64_t token,
                           const struct control_request *request)
{
    struct sim_broker *broker = context;
    struct world *world = broker->world;
    if (broker->dying)
        return;
    struct message *message = message_new(broker->index);
    message->token = token;
    control_request_encode(request, &message->bytes);
    message_acquire(message);
    bool sent = network_send(world, broker->index, to->id - 1, on_request, message_acquire(message));
    /* A lost connection is noticed at once, or only by its silence. */
    int64_t patience_ms = world->swarm.control_timeout_ms;
    if (!sent || (world->safety && prng_one_in(&world->faults, 50)))
        patience_ms = prng_between(&world->schedule, 1, patience_ms);
    world_later(world, broker->index, patience_ms, on_no_answer, message_release, message);
    message_release(message);
}

static void transport_drop(void *context, int32_t broker_id)
{
    (void)context;
    (void)broker_id;
}

struct controller_transport control_transport(struct sim_broker *broker)
{
    return (struct controller_transport){.context = broker, .send = transport_send, .drop = transport_drop};
}

/* ---- to the controller ---- */

static void send_proposals(struct world *world, int32_t index, void *data);
static void attempt(struct world *world, int32_t index, void *data);

static void finish_proposals(struct world *world, int32_t index, struct message *message,
                             const struct alter_partition_response *response)
{
    struct sim_broker *broker = &world->brokers[index];
    struct alter_partition_result failed = {.error = KAFKA_REQUEST_TIMED_OUT, .leader = NO_LEADER};
    if (response != NULL && response->error != KAFKA_NONE)
        failed.error = response->error;
    message->answered = true;
    for (int32_t p = 0; p < world->partition_count; p++) {
        struct partition *partition =
            message->proposed_epochs[p] >= 0 ? broker_partition(world, index, p) : NULL;
        const struct alter_partition_result *result = &failed;
        for (size_t i = 0; response != NULL && i < response->partitions_count; i++)
            if (world_partition_index(world, response->partitions[i].topic,
                                      response->partitions[i].partition) == p)
                result = &response->partitions[i];
        if (partition != NULL && uuid_equals(partition_topic_id(partition), message->proposed_topics[p])) {
            world_note(world, "broker %lld hears of its ISR proposal for partition %lld: %lld",
                       TRACE_OF(broker->id, p, result->error));
            partition_on_proposal_answer(partition, message->proposed_epochs[p], result,
                                         broker_now_ms(broker));
            aimed_on_verdict(world, index, p, result->error);
        }
        partition_release(partition);
    }
    message_release(broker->proposal);
    broker->proposal = NULL;
    send_proposals(world, index, NULL);
}

static void on_proposal_answer(struct world *world, int32_t index, void *data)
{
    struct message *message = data;
    if (!message->request->answered) {
        struct arena arena;
        struct control_answer answer;
        arena_init(&arena, ARENA_NO_BUDGET);
        int error = control_answer_decode(buffer_slice(&message->bytes), &arena, &answer);
        CHECK(error == 0 && answer.kind == CONTROL_ALTER_PARTITION);
        if (answer.alter_partition.error == KAFKA_NOT_CONTROLLER)
            world_later(world, index, RETRY_MS, attempt, message_release, message_acquire(message->request));
        else
            finish_proposals(world, index, message->request, &answer.alter_partition);
        arena_release(&arena);
    }
    message_release(message);
}

static void on_proposal_timeout(struct world *world, int32_t index, void *data)
{
    struct message *message = data;
    if (!message->answered)
        finish_proposals(world, index, message, NULL);
    message_release(message);
}

/* A broker's request at a controller, until that answers. */
struct parked_request {
    struct world *world;
    int32_t controller; /* index of its broker */
    struct message *message;
    void (*arrive)(struct world *world, int32_t broker, void *data); /* with the answer */
};

static void respond(void *context, const struct control_answer *answer)
{
    struct parked_request *parked = context;
    struct message *reply = message_new(parked->controller);
    control_answer_encode(answer, &reply->bytes);
    reply->request = parked->message;
    network_send(parked->world, parked->controller, parked->message->from, parked->arrive, reply);
    free(parked);
}

static void handle_request(struct world *world, int32_t index, struct message *message,
                           void (*arrive)(struct world *world, int32_t broker, void *data))
{
    struct sim_broker *broker = &world->brokers[index];
    struct arena arena;
    struct control_request request;
    arena_init(&arena, ARENA_NO_BUDGET);
    int error = control_request_decode(buffer_slice(&message->bytes), &arena, &request);
    CHECK(error == 0);
    struct parked_request *parked = memory_allocate(sizeof(*parked));
    *parked = (struct parked_request){world, index, message, arrive};
    controller_handle(broker->controller, &request, broker_now_ms(broker) + world->swarm.proposal_timeout_ms,
                      (struct controller_respond){.respond = respond, .context = parked});
    arena_release(&arena);
}

static void on_proposal(struct world *world, int32_t index, void *data)
{
    handle_request(world, index, data, on_proposal_answer);
}

static void attempt(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = &world->brokers[index];
    struct message *message = data;
    if (message->answered) {
        message_release(message);
        return;
    }
    int32_t controller_id = controller_current(broker->controller);
    int64_t late_ms;
    if (controller_id < 0)
        world_later(world, index, RETRY_MS, attempt, message_release, message);
    else if ((late_ms = aimed_delay(world, index, controller_id - 1, message)) >= 0)
        world_later(world, controller_id - 1, late_ms, on_proposal, message_release, message);
    else
        network_send(world, index, controller_id - 1, on_proposal, message);
}

/* Somebody who is to join the ISR by this proposal. */
static void note_joiner(const struct world *world, int32_t number, const struct isr_set *isr,
                        struct message *message)
{
    const struct sim_partition *partition = &world->partitions[number];
    for (size_t i = 0; i < isr->count; i++) {
        bool sits = false;
        for (size_t seat = 0; seat < partition->isr_count; seat++)
            sits = sits || partition->isr[seat] == isr->members[i].broker_id;
        if (!sits) {
            message->joiner = isr->members[i].broker_id - 1;
            message->joiner_joins = number;
        }
    }
}

static void send_proposals(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = &world->brokers[index];
    struct isr_set *isrs = NULL;
    struct alter_partition_item items[SIM_PARTITIONS_MAX];
    struct message *message = NULL;
    size_t count = 0;
    (void)data;
    if (broker->proposal != NULL)
        return;
    for (int32_t p = 0; p < world->partition_count; p++) {
        struct partition *partition = broker->proposal_wanted[p] ? broker_partition(world, index, p) : NULL;
        broker->proposal_wanted[p] = false;
        if (partition != NULL && isrs == NULL)
            isrs = memory_allocate(SIM_PARTITIONS_MAX * sizeof(*isrs));
        if (partition != NULL &&
            partition_take_proposal(partition, broker_now_ms(broker), &isrs[count], &items[count])) {
            if (message == NULL)
                message = message_new(index);
            message->proposed_epochs[p] = items[count].leader_epoch;
            message->proposed_topics[p] = items[count].topic_id;
            items[count].topic = slice_of(world->partitions[p].topic);
            note_joiner(world, p, &isrs[count], message);
            world_note(world,
                       "broker %lld proposes an ISR of %lld for partition %lld, leader epoch %lld, "
                       "partition epoch %lld",
                       TRACE_OF(broker->id, (int64_t)items[count].isr_count, p, items[count].leader_epoch,
                                items[count].partition_epoch));
            count++;
        }
        partition_release(partition);
    }
    if (message != NULL) {
        struct control_request request = {
            .kind = CONTROL_ALTER_PARTITION,
            .alter_partition = {.broker_id = broker->id,
                                .broker_epoch = replica_manager_broker_epoch(broker->replicas),
                                .partitions = items,
                                .partitions_count = count}};
        control_request_encode(&request, &message->bytes);
        broker->proposal = message;
        world_later(world, index, world->swarm.proposal_timeout_ms, on_proposal_timeout, message_release,
                    message_acquire(message));
        attempt(world, index, message_acquire(message));
    }
    free(isrs);
}

void control_proposal_wanted(struct world *world, int32_t index, int32_t partition)
{
    struct sim_broker *broker = &world->brokers[index];
    if (!broker->proposal_wanted[partition])
        world_later(world, index, 0, send_proposals, NULL, NULL);
    broker->proposal_wanted[partition] = true;
}

void control_forget(struct sim_broker *broker)
{
    message_release(broker->proposal);
    broker->proposal = NULL;
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++)
        broker->proposal_wanted[p] = false;
}

/* ---- an orderly stop is announced ---- */

static void on_shutdown_answer(struct world *world, int32_t index, void *data)
{
    world_note(world, "broker %lld has moved its leaderships away", TRACE_OF(index + 1));
    message_release(data);
}

static void on_shutdown(struct world *world, int32_t index, void *data)
{
    handle_request(world, index, data, on_shutdown_answer);
}

void control_announce_stop(struct world *world, int32_t index)
{
    struct sim_broker *broker = &world->brokers[index];
    int32_t controller_id = controller_current(broker->controller);
    if (controller_id < 0)
        return;
    struct message *message = message_new(index);
    struct control_request request = {
        .kind = CONTROL_CONTROLLED_SHUTDOWN,
        .controlled_shutdown = {.broker_id = broker->id,
                                .broker_epoch = replica_manager_broker_epoch(broker->replicas)}};
    control_request_encode(&request, &message->bytes);
    world_note(world, "broker %lld announces its stop to controller %lld",
               TRACE_OF(broker->id, controller_id));
    network_send(world, index, controller_id - 1, on_shutdown, message);
}
