/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the coordinator thread, in three directions:
 *
 * - call: from this broker to the controller, wherever it is (an outgoing_call each). Where no controller is
 *   known, or the one asked is not in office any more, the call is tried again until its deadline.
 * - deliver: from the network to this broker's controller or replicas.
 * - send: from this broker's controller, in office, to a broker (a controller_send each); a message to this
 *   broker itself takes the same way through the codec, without the socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/coordinator_internal.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

/* Between two attempts of a call. */
#define CALL_RETRY_MS 50
/* A controller that cannot be reached in this time may have a successor: look again. */
#define CALL_CONNECT_TIMEOUT_MS 1000
/* A broker that does not answer a control message in this time is asked again. */
#define CONTROL_ANSWER_TIMEOUT_MS 30000
#define CONTROL_CONNECT_TIMEOUT_MS 3000
#define CONTROL_RECONNECT_BACKOFF_MS 50
#define CONTROL_ANSWER_MAX_BYTES ((size_t)64 << 20)

struct outgoing_call {
    struct coordinator *coordinator;
    struct controller_call *call;
    struct arena arena; /* the request decoded, for our own controller */
    struct client_request request;
    struct loop_timer retry;
    struct list node;
};

struct controller_send {
    struct coordinator *coordinator;
    uint64_t token;
    struct client_request request; /* to another broker */
    struct control_delivery local; /* to this one */
    struct list node;
};

static void attempt(struct outgoing_call *outgoing);

static bool says_not_controller(const struct control_answer *answer)
{
    switch (answer->kind) {
    case CONTROL_ALTER_PARTITION:
        return answer->alter_partition.error == KAFKA_NOT_CONTROLLER;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        return answer->allocate_producer_ids.error == KAFKA_NOT_CONTROLLER;
    case CONTROL_CONTROLLED_SHUTDOWN:
        return answer->controlled_shutdown.error == KAFKA_NOT_CONTROLLER;
    case CONTROL_FORWARD:
        return answer->forward.error == KAFKA_NOT_CONTROLLER;
    default:
        return false;
    }
}

/* ---- connections to other brokers ---- */

static struct client *open_client(struct coordinator *coordinator, const char *host, int32_t port)
{
    struct client_options options = {
        .loop = coordinator->loop,
        .mailbox = coordinator->mailbox,
        .resolver = coordinator->options.resolver,
        .logger = coordinator->options.logger,
        .client_id = "coordinator",
        .host = host,
        .port = port,
        .response_limit_bytes = CONTROL_ANSWER_MAX_BYTES,
        .connect_timeout_ms = CONTROL_CONNECT_TIMEOUT_MS,
        .reconnect_backoff_ms = CONTROL_RECONNECT_BACKOFF_MS,
    };
    return client_new(&options);
}

/* The peer with its connections set to this address. */
static struct peer *obtain_peer(struct coordinator *coordinator, int32_t broker_id, const char *host,
                                int32_t port)
{
    uint64_t key = (uint64_t)broker_id;
    struct peer *peer = map_get(coordinator->peers, map_integer_key(&key));
    if (peer == NULL) {
        peer = memory_allocate_zeroed(1, sizeof(*peer));
        peer->broker_id = broker_id;
        peer->control = open_client(coordinator, host, port);
        peer->forward = open_client(coordinator, host, port);
        map_put(coordinator->peers, map_integer_key(&key), peer);
    }
    client_set_address(peer->control, host, port);
    client_set_address(peer->forward, host, port);
    return peer;
}

static void free_peer(struct peer *peer)
{
    client_free(peer->control);
    client_free(peer->forward);
    free(peer);
}

/* ---- call: to the controller ---- */

static void end_outgoing(struct outgoing_call *outgoing, int status, const struct buffer *answer)
{
    loop_timer_cancel(outgoing->coordinator->loop, &outgoing->retry);
    list_remove(&outgoing->node);
    controller_call_finish(outgoing->call, status, answer);
    arena_release(&outgoing->arena);
    free(outgoing);
}

static void retry_later(struct outgoing_call *outgoing)
{
    if (outgoing->coordinator->stopping)
        end_outgoing(outgoing, -ECANCELED, NULL);
    else
        loop_timer_set(outgoing->coordinator->loop, &outgoing->retry, clock_monotonic_ms() + CALL_RETRY_MS);
}

static void on_retry(struct loop_timer *timer)
{
    attempt(container_of(timer, struct outgoing_call, retry));
}

static void on_local_answer(void *context, const struct control_answer *answer)
{
    struct outgoing_call *outgoing = context;
    if (says_not_controller(answer)) {
        retry_later(outgoing);
        return;
    }
    struct buffer bytes;
    buffer_init(&bytes);
    control_answer_encode(answer, &bytes);
    end_outgoing(outgoing, 0, &bytes);
    buffer_release(&bytes);
}

static void take_remote_answer(struct outgoing_call *outgoing, struct slice bytes)
{
    struct arena arena;
    arena_init(&arena, CONTROL_MESSAGE_BUDGET_BYTES);
    struct control_answer answer;
    bool readable = control_answer_decode(bytes, &arena, &answer) == 0;
    bool moved = readable && says_not_controller(&answer);
    arena_release(&arena);
    if (moved) {
        retry_later(outgoing);
        return;
    }
    struct buffer kept;
    buffer_init(&kept);
    buffer_append(&kept, bytes.data, bytes.length);
    end_outgoing(outgoing, 0, &kept);
    buffer_release(&kept);
}

static void on_remote_answer(struct client_request *request, int status, struct byte_reader *body)
{
    struct outgoing_call *outgoing = container_of(request, struct outgoing_call, request);
    if (status == 0)
        take_remote_answer(outgoing, reader_slice(body, reader_left(body)));
    else if (status == -ECONNREFUSED)
        retry_later(outgoing); /* nobody was there: it was not carried out */
    else if (outgoing->coordinator->stopping)
        end_outgoing(outgoing, -ECANCELED, NULL);
    else
        end_outgoing(outgoing, status == -ETIMEDOUT ? -ETIMEDOUT : -ECONNRESET, NULL);
}

static void ask_own_controller(struct outgoing_call *outgoing)
{
    struct coordinator *coordinator = outgoing->coordinator;
    struct control_request request;
    arena_clear(&outgoing->arena);
    if (control_request_decode(buffer_slice(&outgoing->call->request), &outgoing->arena, &request) != 0) {
        end_outgoing(outgoing, -EBADMSG, NULL);
        return;
    }
    coordinator_tick_controller(coordinator);
    controller_handle(coordinator->controller, &request, outgoing->call->deadline_ms,
                      (struct controller_respond){.respond = on_local_answer, .context = outgoing});
}

static void attempt(struct outgoing_call *outgoing)
{
    struct coordinator *coordinator = outgoing->coordinator;
    struct controller_call *call = outgoing->call;
    if (clock_monotonic_ms() >= call->deadline_ms) {
        end_outgoing(outgoing, -ENOTCONN, NULL);
        return;
    }
    int32_t controller_id = coordinator->controller ? controller_current(coordinator->controller) : -1;
    if (controller_id == coordinator->options.config->broker_id) {
        ask_own_controller(outgoing);
        return;
    }
    char host[256];
    int32_t port;
    struct address_book *book = coordinator->options.addresses;
    if (controller_id < 0 || !book->find(book, controller_id, host, sizeof(host), &port)) {
        retry_later(outgoing);
        return;
    }
    struct peer *peer = obtain_peer(coordinator, controller_id, host, port);
    outgoing->request =
        (struct client_request){.api_key = CONTROL_API_KEY,
                                .api_version = CONTROL_API_VERSION,
                                .deadline_ms = call->deadline_ms,
                                .connect_deadline_ms = clock_monotonic_ms() + CALL_CONNECT_TIMEOUT_MS,
                                .done = on_remote_answer};
    buffer_init(&outgoing->request.body);
    buffer_append(&outgoing->request.body, call->request.data, call->request.length);
    client_send(call->kind == CONTROL_FORWARD ? peer->forward : peer->control, &outgoing->request);
}

static void start_call(struct mail *mail)
{
    struct controller_call *call = container_of(mail, struct controller_call, mail);
    struct coordinator *coordinator = call->link_state;
    if (coordinator->stopping) {
        controller_call_finish(call, -ECANCELED, NULL);
        return;
    }
    struct outgoing_call *outgoing = memory_allocate_zeroed(1, sizeof(*outgoing));
    outgoing->coordinator = coordinator;
    outgoing->call = call;
    outgoing->retry.fire = on_retry;
    arena_init(&outgoing->arena, CONTROL_MESSAGE_BUDGET_BYTES);
    list_push_back(&coordinator->calls, &outgoing->node);
    attempt(outgoing);
}

static void link_forward(struct controller_link *link, struct controller_call *call)
{
    struct coordinator *coordinator = container_of(link, struct coordinator, link);
    call->link_state = coordinator;
    call->mail.handle = start_call;
    mailbox_post(coordinator->mailbox, &call->mail);
}

/* ---- deliver: from the network to our controller or replicas ---- */

/* Copies an answer that is only lent into the delivery's arena. */
static void on_delivered(void *context, const struct control_answer *answer)
{
    struct control_delivery *delivery = context;
    struct buffer bytes;
    buffer_init(&bytes);
    control_answer_encode(answer, &bytes);
    struct slice kept = arena_copy_slice(&delivery->arena, buffer_slice(&bytes));
    buffer_release(&bytes);
    if (control_answer_decode(kept, &delivery->arena, &delivery->answer) != 0)
        delivery->answer = (struct control_answer){.kind = CONTROL_NONE};
    control_delivery_finish(delivery);
}

/* What a broker without a controller says: it stops, or has not begun. */
static void refuse_delivery(struct control_delivery *delivery)
{
    struct control_answer *answer = &delivery->answer;
    *answer = (struct control_answer){.kind = delivery->request.kind};
    switch (answer->kind) {
    case CONTROL_ALTER_PARTITION:
        answer->alter_partition.error = KAFKA_NOT_CONTROLLER;
        break;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        answer->allocate_producer_ids.error = KAFKA_NOT_CONTROLLER;
        break;
    case CONTROL_CONTROLLED_SHUTDOWN:
        answer->controlled_shutdown.error = KAFKA_NOT_CONTROLLER;
        break;
    case CONTROL_FORWARD:
        answer->forward.error = KAFKA_NOT_CONTROLLER;
        break;
    default:
        answer->response.error = KAFKA_INVALID_REQUEST;
        break;
    }
    control_delivery_finish(delivery);
}

static void start_delivery(struct mail *mail)
{
    struct control_delivery *delivery = container_of(mail, struct control_delivery, mail);
    struct coordinator *coordinator = delivery->link_state;
    if (coordinator->stopping || coordinator->controller == NULL) {
        refuse_delivery(delivery);
        return;
    }
    coordinator_tick_controller(coordinator);
    controller_handle(coordinator->controller, &delivery->request,
                      clock_monotonic_ms() + CONTROL_ANSWER_TIMEOUT_MS,
                      (struct controller_respond){.respond = on_delivered, .context = delivery});
}

static bool is_for_replicas(enum control_kind kind)
{
    return kind == CONTROL_LEADER_AND_ISR || kind == CONTROL_UPDATE_METADATA || kind == CONTROL_STOP_REPLICA;
}

static void link_deliver(struct controller_link *link, struct control_delivery *delivery)
{
    struct coordinator *coordinator = container_of(link, struct coordinator, link);
    if (is_for_replicas(delivery->request.kind)) {
        coordinator->options.deliver_to_replicas(coordinator->options.replicas, delivery);
        return;
    }
    delivery->link_state = coordinator;
    delivery->mail.handle = start_delivery;
    mailbox_post(coordinator->mailbox, &delivery->mail);
}

/* ---- send: from our controller to a broker ---- */

static void end_send(struct controller_send *send, int status, const struct control_answer *answer)
{
    struct coordinator *coordinator = send->coordinator;
    list_remove(&send->node);
    if (coordinator->controller != NULL) {
        coordinator_tick_controller(coordinator);
        controller_on_answer(coordinator->controller, send->token, status, answer);
    }
    arena_release(&send->local.arena);
    free(send);
}

static void on_sent(struct client_request *request, int status, struct byte_reader *body)
{
    struct controller_send *send = container_of(request, struct controller_send, request);
    struct control_answer answer;
    if (status == 0)
        status = control_answer_decode(reader_slice(body, reader_left(body)), &send->local.arena, &answer);
    end_send(send, status, status == 0 ? &answer : NULL);
}

static void on_sent_locally(struct control_delivery *delivery)
{
    struct controller_send *send = container_of(delivery, struct controller_send, local);
    bool answered = delivery->answer.kind != CONTROL_NONE;
    end_send(send, answered ? 0 : -EHOSTUNREACH, answered ? &delivery->answer : NULL);
}

static void send_locally(struct controller_send *send, const struct buffer *body)
{
    struct coordinator *coordinator = send->coordinator;
    struct control_delivery *delivery = &send->local;
    struct slice bytes = arena_copy_slice(&delivery->arena, buffer_slice(body));
    if (control_request_decode(bytes, &delivery->arena, &delivery->request) != 0)
        control_delivery_finish(delivery);
    else
        coordinator->options.deliver_to_replicas(coordinator->options.replicas, delivery);
}

/* The endpoint of the listener by which brokers talk to each other; false: the broker has none. */
static bool inter_broker_address(const struct coordinator *coordinator, const struct control_broker *broker,
                                 char host[256], int32_t *port)
{
    const char *listener = coordinator->options.config->listeners.inter_broker;
    for (size_t i = 0; i < broker->endpoints_count; i++) {
        const struct control_endpoint *endpoint = &broker->endpoints[i];
        if (!slice_is(endpoint->listener, listener) || endpoint->host.length >= 256)
            continue;
        memcpy(host, endpoint->host.data, endpoint->host.length);
        host[endpoint->host.length] = '\0';
        *port = endpoint->port;
        return true;
    }
    return false;
}

void coordinator_transport_send(void *context, const struct control_broker *broker, uint64_t token,
                                const struct control_request *request)
{
    struct coordinator *coordinator = context;
    struct controller_send *send = memory_allocate_zeroed(1, sizeof(*send));
    send->coordinator = coordinator;
    send->token = token;
    arena_init(&send->local.arena, CONTROL_MESSAGE_BUDGET_BYTES);
    send->local.mailbox = coordinator->mailbox;
    send->local.done = on_sent_locally;
    list_push_back(&coordinator->sends, &send->node);
    struct buffer body;
    buffer_init(&body);
    control_request_encode(request, &body);
    char host[256];
    int32_t port;
    if (broker->id == coordinator->options.config->broker_id) {
        send_locally(send, &body);
        buffer_release(&body);
    } else if (!inter_broker_address(coordinator, broker, host, &port)) {
        log_warn(coordinator->options.logger, "controller", "broker %d has no listener named %s", broker->id,
                 coordinator->options.config->listeners.inter_broker);
        buffer_release(&body);
        control_delivery_finish(&send->local);
    } else {
        send->request =
            (struct client_request){.api_key = CONTROL_API_KEY,
                                    .api_version = CONTROL_API_VERSION,
                                    .body = body,
                                    .deadline_ms = clock_monotonic_ms() + CONTROL_ANSWER_TIMEOUT_MS,
                                    .done = on_sent};
        client_send(obtain_peer(coordinator, broker->id, host, port)->control, &send->request);
    }
}

void coordinator_transport_drop(void *context, int32_t broker_id)
{
    struct coordinator *coordinator = context;
    uint64_t key = (uint64_t)broker_id;
    struct peer *peer = map_remove(coordinator->peers, map_integer_key(&key));
    if (peer != NULL)
        free_peer(peer);
}

/* ---- begin and end ---- */

void coordinator_calls_init(struct coordinator *coordinator)
{
    coordinator->link = (struct controller_link){.forward = link_forward, .deliver = link_deliver};
    coordinator->peers = map_new(0);
    list_init(&coordinator->calls);
    list_init(&coordinator->sends);
}

void coordinator_calls_end(struct coordinator *coordinator)
{
    CHECK(coordinator->stopping);
    size_t position = 0;
    void *value;
    while (map_next(coordinator->peers, &position, NULL, &value)) {
        uint64_t key = (uint64_t)((struct peer *)value)->broker_id;
        map_remove(coordinator->peers, map_integer_key(&key));
        free_peer(value); /* ends what was sent, with -ECANCELED */
    }
    list_for_each_safe(node, after, &coordinator->calls)
    {
        struct outgoing_call *outgoing = container_of(node, struct outgoing_call, node);
        /* A call at our own controller ends when the controller is freed. */
        if (loop_timer_is_set(&outgoing->retry))
            end_outgoing(outgoing, -ECANCELED, NULL);
    }
}
