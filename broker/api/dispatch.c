/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its handler; and the life of what handlers share. */
#include <stdlib.h>

#include "broker/api/api.h"
#include "broker/api/auto_create.h"
#include "broker/api/fetch_sessions.h"
#include "broker/api/held_requests.h"
#include "broker/api/producer_ids.h"
#include "broker/api/table.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/prng.h"
#include "proto/kafka/api.h"

struct api {
    struct request_handler handler;
    struct api_context context;
    struct held_requests *held; /* NULL: nobody ever waits for the broker's standing */
};

static int64_t system_monotonic_ms(const struct api_clock *clock)
{
    (void)clock;
    return clock_monotonic_ms();
}

static int64_t system_wall_ms(const struct api_clock *clock)
{
    (void)clock;
    return clock_wall_ms();
}

const struct api_clock *api_clock_system(void)
{
    static const struct api_clock clock = {system_monotonic_ms, system_wall_ms};
    return &clock;
}

/* True: the broker may not speak for the cluster at this moment; the request goes on when it may. */
static bool must_wait(struct api *api, struct request *request)
{
    const struct api_clock *clock = api->context.clock;
    return api->held != NULL && held_requests_take(api->held, request, clock->monotonic_ms(clock));
}

static void handle_in_turn(struct request *request)
{
    struct api *api = request->state;
    request->state = NULL;
    request->abandoned = NULL;
    request->on_turn = NULL;
    if (!must_wait(api, request)) /* the turn may have come after we stood still */
        api_row_find(request->header.api_key)->handle(&api->context, request);
}

/* Its client is gone before its turn came. */
static void drop_waiting(struct request *request)
{
    request_answer_nothing(request);
}

/*
 * A client that pipelines produces asks for metadata behind them. When a leader dies they wait for a new one,
 * and metadata that were collected before that would send the client back to where it came from.
 */
static void wait_for_turn(struct api *api, struct request *request)
{
    request->state = api;
    request->abandoned = drop_waiting;
    request->on_turn = handle_in_turn;
}

/* One that is served, of a client that may use it. */
static void route(void *context, struct request *request)
{
    struct api *api = context;
    const struct api_row *row = api_row_find(request->header.api_key);
    if (row->in_turn && !request_is_first(request))
        wait_for_turn(api, request);
    else
        row->handle(&api->context, request);
}

static void dispatch(struct request_handler *handler, struct request *request)
{
    struct api *api = container_of(handler, struct api, handler);
    const struct request_header *header = &request->header;
    const struct api_row *row = api_row_find(header->api_key);
    if (row == NULL) {
        request_close_connection(request, "this API is not served");
        return;
    }
    if (row->inter_broker && !request->inter_broker) {
        request_close_connection(request, "this API is for brokers only");
        return;
    }
    bool served = header->api_version >= row->minimum_version && header->api_version <= row->maximum_version;
    /* ApiVersions answers for itself: a client must learn what we know (KIP-511). */
    if (!served && row->key != KAFKA_API_API_VERSIONS) {
        request_close_connection(request, "this version of the API is not served");
        return;
    }
    /* What the controller says is what others wait for. */
    if (row->inter_broker || !must_wait(api, request))
        route(api, request);
}

struct api *api_new(const struct api_context *context, uint64_t seed)
{
    struct api *api = memory_allocate_zeroed(1, sizeof(*api));
    api->handler.handle = dispatch;
    api->context = *context;
    if (api->context.clock == NULL)
        api->context.clock = api_clock_system();
    api->context.hash_seed = random_u64();
    if (context->standing != NULL)
        api->held =
            held_requests_new(context->standing, (size_t)context->config->num_network_threads, route, api);
    api->context.sessions =
        fetch_sessions_new((size_t)context->config->max_incremental_fetch_session_cache_slots, seed);
    api->context.producer_ids = producer_ids_new();
    api->context.topic_creator = topic_creator_new();
    return api;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    fetch_sessions_free(api->context.sessions);
    producer_ids_free(api->context.producer_ids);
    topic_creator_free(api->context.topic_creator);
    held_requests_free(api->held);
    free(api);
}

struct request_handler *api_handler(struct api *api)
{
    return &api->handler;
}

struct api_context *api_context_of(struct api *api)
{
    return &api->context;
}
