/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeCluster: brokers, controller and cluster id. */
#include "broker/api/answering.h"
#include "broker/api/table.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/describe_cluster.h"

#define ENDPOINTS_OF_BROKERS 1
#define ENDPOINTS_OF_CONTROLLERS 2

static void fill_brokers(struct describe_cluster_response *response, const struct metadata_image *image,
                         const char *listener, struct arena *arena)
{
    size_t count = metadata_image_broker_count(image);
    response->brokers = answer_array(arena, count, sizeof(response->brokers[0]));
    for (size_t i = 0; i < count; i++) {
        const struct metadata_broker *broker = metadata_image_broker_at(image, i);
        const struct metadata_endpoint *endpoint = metadata_broker_endpoint(broker, listener);
        if (endpoint == NULL)
            continue;
        response->brokers[response->brokers_count++] = (struct describe_cluster_response_broker){
            broker->id, endpoint->host, endpoint->port, broker->rack};
    }
}

void handle_describe_cluster(struct api_context *context, struct request *request)
{
    struct describe_cluster_request body;
    int16_t version = request->header.api_version;
    int rc = describe_cluster_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    struct arena arena;
    struct describe_cluster_response response;
    const struct metadata_image *image = metadata_cache_acquire(context->metadata);
    arena_init(&arena, ARENA_NO_BUDGET);
    describe_cluster_response_init(&response);
    response.cluster_id = slice_of(metadata_cache_cluster_id(context->metadata));
    response.endpoint_type = body.endpoint_type;
    if (body.endpoint_type == ENDPOINTS_OF_BROKERS) {
        response.controller_id = metadata_image_controller_id(image);
        fill_brokers(&response, image, request->listener, &arena);
    } else if (body.endpoint_type == ENDPOINTS_OF_CONTROLLERS) {
        response.error_code = KAFKA_MISMATCHED_ENDPOINT_TYPE;
        response.error_message = slice_of("controllers have no endpoints of their own here; ask for brokers");
    } else {
        response.error_code = KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message = slice_of("there is no such type of endpoint");
    }
    describe_cluster_response_encode(&response, request_begin_answer(request), version);
    metadata_image_release(image);
    arena_release(&arena);
    request_answer(request);
}
