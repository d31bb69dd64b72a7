/* SPDX-License-Identifier: Apache-2.0 */
/* InitProducerId for idempotent producers. Transactional ones are refused: nobody coordinates them yet. */
#include "broker/api/answering.h"
#include "broker/api/producer_ids.h"
#include "broker/api/table.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/init_producer_id.h"

static int16_t assign(struct api_context *context, struct request *request,
                      const struct init_producer_id_request *body, struct init_producer_id_response *response)
{
    if (!slice_is_null(body->transactional_id)) {
        struct buffer id;
        buffer_init(&id);
        buffer_append_escaped(&id, body->transactional_id, 100);
        request_notice(request, "transactional id",
                       "transactional id \"%s\" is refused: transactions are not served by this release",
                       buffer_string(&id));
        buffer_release(&id);
        return KAFKA_INVALID_REQUEST;
    }
    return producer_ids_next(context, reactor_mailbox(request->reactor), &response->producer_id);
}

void handle_init_producer_id(struct api_context *context, struct request *request)
{
    struct init_producer_id_request body;
    struct init_producer_id_response response;
    int16_t version = request->header.api_version;
    int rc = init_producer_id_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    init_producer_id_response_init(&response);
    response.error_code = assign(context, request, &body, &response);
    response.producer_epoch = response.error_code == KAFKA_NONE ? 0 : -1;
    init_producer_id_response_encode(&response, request_begin_answer(request), version);
    request_answer(request);
}
