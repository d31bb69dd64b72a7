/* SPDX-License-Identifier: Apache-2.0 */
/* Clients' requests: their life from decoding to the answer, whatever their kind. See admin.h. */
#include "coordinator/controller/admin.h"

#include <stdarg.h>
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/assign.h"

#define ADMIN_ARENA_BYTES_MAX ((size_t)64 * 1024 * 1024)

static const struct admin_kind *const kinds[] = {&admin_create_topics,       &admin_delete_topics,
                                                 &admin_create_partitions,   &admin_elect_leaders,
                                                 &admin_alter_reassignments, &admin_list_reassignments};

static const struct admin_kind *kind_of(int16_t api_key)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i]->api_key == api_key)
            return kinds[i];
    return NULL;
}

bool controller_admin_serves(int16_t api_key)
{
    return kind_of(api_key) != NULL;
}

void admin_make_topics(struct admin_request *request, size_t count)
{
    request->topics = memory_allocate_zeroed(max_size(count, 1), sizeof(*request->topics));
    request->topic_count = count;
    for (size_t i = 0; i < count; i++) {
        request->topics[i].index = i;
        request->topics[i].partition_count = request->topics[i].replication_factor = -1;
        node_topic_init(&request->topics[i].node);
        node_config_init(&request->topics[i].config);
    }
}

static void request_free(struct admin_request *request)
{
    list_remove(&request->node);
    for (size_t i = 0; i < request->topic_count; i++) {
        node_topic_release(&request->topics[i].node);
        node_config_release(&request->topics[i].config);
    }
    shell_elect_end(request->elections);
    free(request->topics);
    arena_release(&request->arena);
    free(request);
}

void admin_mark_named_twice(struct admin_request *request)
{
    struct map *names = map_new((uint64_t)(uintptr_t)request);
    for (size_t i = 0; i < request->topic_count; i++) {
        struct admin_topic *topic = &request->topics[i];
        struct admin_topic *other = map_put(names, topic->name, topic);
        if (other != NULL)
            topic->named_twice = other->named_twice = true;
    }
    map_free(names);
}

void admin_fail(struct admin_request *request, struct admin_topic *topic, int16_t error, const char *format,
                ...)
{
    node_topic_release(&topic->node);
    topic->status = ADMIN_DONE;
    topic->error = error;
    topic->message = NULL;
    if (format == NULL)
        return;
    struct buffer text;
    va_list arguments;
    buffer_init(&text);
    va_start(arguments, format);
    buffer_print_list(&text, format, arguments);
    va_end(arguments);
    topic->message = arena_copy_string(&request->arena, buffer_slice(&text));
    buffer_release(&text);
}

/* Which topic of which request a multi belongs to. */
struct sent {
    uint64_t request_id;
    size_t index;
    void (*done)(struct admin_request *, struct admin_topic *, const struct zk_response *);
};

static void sent_done(struct controller *controller, void *payload, const struct zk_response *response)
{
    const struct sent *sent = payload;
    controller->admin_in_flight--;
    if (shell_met_fence(controller, response))
        return;
    list_for_each_safe(node, after, &controller->admins)
    {
        struct admin_request *request = container_of(node, struct admin_request, node);
        if (request->id != sent->request_id)
            continue;
        struct admin_topic *topic = &request->topics[sent->index];
        if (topic->status == ADMIN_WRITING)
            sent->done(request, topic, response);
        return;
    }
}

void admin_send(struct admin_request *request, struct admin_topic *topic,
                const struct zk_operation *operations, size_t count,
                void (*done)(struct admin_request *, struct admin_topic *, const struct zk_response *))
{
    struct controller *controller = request->controller;
    struct sent *sent = memory_allocate_zeroed(1, sizeof(*sent));
    *sent = (struct sent){request->id, (size_t)(topic - request->topics), done};
    topic->status = ADMIN_WRITING;
    controller->admin_in_flight++;
    zk_fenced_multi(controller->zk, controller->fence, operations, count,
                    shell_request(controller, false, sent_done, free, sent));
}

void admin_look(struct admin_request *request, struct admin_topic *topic, enum zk_result result)
{
    topic->status = ADMIN_VERIFY;
    if (result == ZK_UNKNOWN)
        shell_look_later(request->controller, LOOK_TOPIC, topic->name, 0);
    else
        shell_look(request->controller, LOOK_TOPIC, topic->name, 0);
}

struct image_topic *admin_image_topic(const struct admin_request *request, const struct admin_topic *topic)
{
    struct image_topic *found = image_find_topic(&request->controller->image, topic->name);
    return found != NULL && uuid_equals(found->topic_id, topic->topic_id) ? found : NULL;
}

void admin_write_again(struct admin_request *request, struct admin_topic *topic)
{
    const struct controller *controller = request->controller;
    bool enough = request->answered && topic->tried_again;
    topic->tried_again = request->answered;
    topic->status = enough ? ADMIN_DONE : ADMIN_WRITE;
    topic->not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
}

bool admin_is_usable(struct admin_request *request, struct admin_topic *topic)
{
    const struct image_topic *there = admin_image_topic(request, topic);
    uint64_t sequence = 0;
    if (there == NULL || there->deleting)
        return true;
    for (size_t i = 0; i < there->partition_count; i++) {
        const struct image_partition *partition = there->partitions[i];
        if (!partition->has_state || partition->state.leader == NODE_NO_LEADER || partition->unsettled ||
            partition->dirty || partition->busy)
            return false;
        sequence = partition->sequence > sequence ? partition->sequence : sequence;
    }
    return shell_all_told(request->controller, sequence);
}

bool admin_place(struct admin_request *request, struct admin_topic *topic, size_t first, size_t count,
                 size_t replication_factor, size_t start, size_t shift)
{
    const struct roster *brokers = &request->controller->image.brokers;
    struct assign_request wanted = {count, replication_factor, first, start, shift};
    /* the client's numbers are not believed before memory is taken for them */
    bool possible = replication_factor <= min_size(brokers->count, NODE_REPLICAS_MAX);
    int32_t *replicas =
        memory_allocate(possible ? max_size(count * replication_factor, 1) * sizeof(*replicas) : 1);
    enum assign_result result =
        possible ? assign_replicas(brokers, &wanted, replicas) : ASSIGN_TOO_FEW_BROKERS;
    for (size_t i = 0; result == ASSIGN_OK && i < count; i++)
        node_topic_add_partition(&topic->node, &replicas[i * replication_factor], replication_factor);
    free(replicas);
    if (result == ASSIGN_TOO_FEW_BROKERS)
        admin_fail(request, topic, KAFKA_INVALID_REPLICATION_FACTOR,
                   "Replication factor: %zu larger than available brokers: %zu.", replication_factor,
                   brokers->count);
    if (result == ASSIGN_RACKS_PARTIAL)
        admin_fail(request, topic, KAFKA_UNKNOWN_SERVER_ERROR,
                   "Replicas cannot be spread over racks: some brokers have a rack and some have none. Set "
                   "broker.rack on all brokers or on none.");
    return result == ASSIGN_OK;
}

static void respond(struct admin_request *request)
{
    if (request->answered)
        return;
    request->answered = true;
    struct buffer body;
    struct wire_writer writer;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    request->kind->encode(request, &writer);
    request->respond.respond(request->respond.context, KAFKA_NONE, buffer_slice(&body));
    wire_writer_release(&writer);
    buffer_release(&body);
}

static void topic_pump(struct admin_request *request, struct admin_topic *topic)
{
    struct controller *controller = request->controller;
    if (topic->status == ADMIN_VERIFY && !shell_is_looking(controller, LOOK_TOPIC, topic->name, 0))
        request->kind->verify(request, topic);
    if (topic->status == ADMIN_WRITE && topic->not_before_ms <= controller->now_ms &&
        controller->admin_in_flight < SHELL_ADMIN_IN_FLIGHT_MAX)
        request->kind->write(request, topic);
    if (topic->status == ADMIN_WAIT && request->kind->is_complete(request, topic))
        topic->status = ADMIN_DONE;
}

/* All have at least been written. */
static bool is_written(const struct admin_request *request)
{
    for (size_t i = 0; i < request->topic_count; i++)
        if (request->topics[i].status < ADMIN_WAIT)
            return false;
    return true;
}

static bool is_done(const struct admin_request *request)
{
    for (size_t i = 0; i < request->topic_count; i++)
        if (request->topics[i].status != ADMIN_DONE)
            return false;
    return true;
}

/* The deadline: what is not done yet is answered as timed out, and goes on. */
static void time_out(struct admin_request *request)
{
    for (size_t i = 0; i < request->topic_count && !request->answered; i++) {
        struct admin_topic *topic = &request->topics[i];
        if (topic->status != ADMIN_DONE)
            topic->error = KAFKA_REQUEST_TIMED_OUT;
    }
    respond(request);
}

static void request_pump(struct admin_request *request)
{
    for (size_t i = 0; i < request->topic_count; i++)
        topic_pump(request, &request->topics[i]);
    if (is_done(request))
        respond(request);
    else if (request->controller->now_ms >= request->deadline_ms)
        time_out(request);
    if (request->answered && is_written(request))
        request_free(request);
}

void shell_admin_pump(struct controller *controller)
{
    list_for_each_safe(node, after, &controller->admins)
        request_pump(container_of(node, struct admin_request, node));
}

int64_t shell_admin_deadline(const struct controller *controller)
{
    int64_t deadline = INT64_MAX;
    bool may_write = controller->admin_in_flight < SHELL_ADMIN_IN_FLIGHT_MAX;
    list_for_each(node, &controller->admins)
    {
        const struct admin_request *request = container_of(node, struct admin_request, node);
        if (!request->answered)
            deadline = min_i64(deadline, request->deadline_ms);
        for (size_t i = 0; may_write && i < request->topic_count; i++)
            if (request->topics[i].status == ADMIN_WRITE)
                deadline = min_i64(deadline, request->topics[i].not_before_ms);
    }
    return deadline;
}

void shell_admin_clear(struct controller *controller)
{
    struct list *node;
    while ((node = list_pop_front(&controller->admins)) != NULL) {
        struct admin_request *request = container_of(node, struct admin_request, node);
        if (!request->answered)
            request->respond.respond(request->respond.context, KAFKA_NOT_CONTROLLER, slice_of(NULL));
        request_free(request);
    }
}

void controller_admin(struct controller *controller, int16_t api_key, int16_t api_version,
                      struct slice client_id, struct slice body, int64_t deadline_ms,
                      struct controller_admin_respond responder)
{
    (void)client_id;
    const struct admin_kind *kind = kind_of(api_key);
    if (kind == NULL || controller->office != OFFICE_IN) {
        responder.respond(responder.context, kind == NULL ? KAFKA_INVALID_REQUEST : KAFKA_NOT_CONTROLLER,
                          slice_of(NULL));
        return;
    }
    struct admin_request *request = memory_allocate_zeroed(1, sizeof(*request));
    *request = (struct admin_request){.controller = controller,
                                      .kind = kind,
                                      .id = ++controller->last_token,
                                      .version = api_version,
                                      .respond = responder};
    list_init(&request->node);
    arena_init(&request->arena, ADMIN_ARENA_BYTES_MAX);
    struct slice copy = arena_copy_slice(&request->arena, body);
    if ((body.length > 0 && slice_is_null(copy)) || !kind->begin(request, copy)) {
        responder.respond(responder.context, KAFKA_INVALID_REQUEST, slice_of(NULL));
        request_free(request);
        return;
    }
    request->deadline_ms = min_i64(deadline_ms, controller->now_ms + max_i64(request->timeout_ms, 0));
    list_push_back(&controller->admins, &request->node);
    shell_work(controller);
}

struct forward_waiter {
    struct controller_respond respond;
};

static void forward_done(void *context, int16_t error, struct slice body)
{
    struct forward_waiter *waiter = context;
    struct control_answer answer = {.kind = CONTROL_FORWARD, .forward = {.error = error, .body = body}};
    waiter->respond.respond(waiter->respond.context, &answer);
    free(waiter);
}

void shell_forward(struct controller *controller, const struct forward_request *request, int64_t deadline_ms,
                   struct controller_respond responder)
{
    struct forward_waiter *waiter = memory_allocate_zeroed(1, sizeof(*waiter));
    waiter->respond = responder;
    controller_admin(controller, request->api_key, request->api_version, request->client_id, request->body,
                     deadline_ms, (struct controller_admin_respond){forward_done, waiter});
}
