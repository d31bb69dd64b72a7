/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private API by which controller and brokers talk: the message is decoded here and handed to the thread
 * that it is for; and how the replica worker carries out what is meant for it.
 */
#include <stdlib.h>

#include "broker/api/answering.h"
#include "broker/api/table.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

struct control_operation {
    struct control_delivery delivery;
    struct request *request;
};

static void delivered(struct control_delivery *delivery)
{
    struct control_operation *operation = container_of(delivery, struct control_operation, delivery);
    struct request *request = operation->request;
    control_answer_encode(&delivery->answer, request_begin_answer(request)->buffer);
    arena_release(&delivery->arena);
    free(operation);
    request_answer(request);
}

void handle_control(struct api_context *context, struct request *request)
{
    struct control_operation *operation = memory_allocate_zeroed(1, sizeof(*operation));
    struct control_delivery *delivery = &operation->delivery;
    struct slice bytes = reader_slice(&request->body, reader_left(&request->body));
    arena_init(&delivery->arena, CONTROL_MESSAGE_BUDGET_BYTES);
    int rc = control_request_decode(bytes, &delivery->arena, &delivery->request);
    if (rc < 0) {
        arena_release(&delivery->arena);
        free(operation);
        request_refuse_malformed(request, rc);
        return;
    }
    operation->request = request;
    delivery->mailbox = reactor_mailbox(request->reactor);
    delivery->done = delivered;
    context->controller->deliver(context->controller, delivery);
}

/* Names it partitions that this broker leads? */
static bool names_us(const struct api_context *context, const struct update_metadata_request *update)
{
    for (size_t i = 0; i < update->topics_count; i++)
        for (size_t j = 0; j < update->topics[i].partitions_count; j++)
            if (update->topics[i].partitions[j].leader == context->broker_id)
                return true;
    return false;
}

static void update_metadata(struct api_context *context, const struct update_metadata_request *update,
                            struct control_response *response)
{
    response->error = replica_manager_check_epochs(context->replicas, update->controller_epoch,
                                                   update->broker_epoch, update->sequence);
    if (response->error != KAFKA_NONE)
        return;
    metadata_cache_update(context->metadata, update);
    replica_manager_set_strays_aside(context->replicas, update);
    for (size_t i = 0; i < update->topics_count; i++) {
        if (update->topics[i].partitions_count > 0)
            replica_manager_configure(context->replicas, &update->topics[i]);
        replica_manager_drop_departed(context->replicas, &update->topics[i]);
    }
    if (context->standing != NULL && update->full)
        standing_metadata_told(context->standing, update->broker_epoch, names_us(context, update));
}

void control_carry_out(struct api_context *context, const struct control_request *request,
                       struct arena *arena, struct control_answer *answer)
{
    int64_t now_ms = context->clock->monotonic_ms(context->clock);
    *answer = (struct control_answer){.kind = request->kind};
    switch (request->kind) {
    case CONTROL_LEADER_AND_ISR:
        replica_manager_leader_and_isr(context->replicas, &request->leader_and_isr, now_ms, arena,
                                       &answer->response);
        if (context->standing != NULL && answer->response.error == KAFKA_NONE)
            standing_leaders_told(context->standing, request->leader_and_isr.broker_epoch);
        break;
    case CONTROL_UPDATE_METADATA:
        update_metadata(context, &request->update_metadata, &answer->response);
        break;
    case CONTROL_STOP_REPLICA:
        replica_manager_stop_replica(context->replicas, &request->stop_replica, arena, &answer->response);
        break;
    default:
        answer->response.error = KAFKA_INVALID_REQUEST;
        break;
    }
}
