/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call, one answer, over broker/net/client.h, see cluster_client.h. A link is a connection with the
 * versions that its broker knows; there are two, to the broker that was found first and to the controller.
 */
#include "tools/cluster_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/net/client.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/api_versions.h"
#include "proto/kafka/messages/metadata.h"

#define RESPONSE_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define RECONNECT_BACKOFF_MS 50
#define FIRST_ATTEMPT_MS 500
#define API_VERSIONS_VERSION 3
#define WAIT_CONTROLLER_MS 100
#define FOREIGN_ROUNDS 3

/* What a broker says of an API. */
struct served {
    int16_t api_key;
    int16_t minimum;
    int16_t maximum;
};

struct link {
    struct client *client;
    char *host;
    int32_t port;
    struct served *served;
    size_t served_count;
};

struct cluster_client {
    struct loop *loop;
    struct mailbox *mailbox;
    struct worker *resolver;
    const char *client_id;
    const char *call;
    int64_t timeout_ms;
    struct link found;
    struct link controller; /* client NULL: not connected, or it is the one found */
};

struct exchange {
    struct client_request request;
    struct buffer body; /* of the answer */
    int status;
    bool done;
};

int bootstrap_next(const char **list, char **host, int32_t *port)
{
    *list += strspn(*list, ", ");
    size_t length = strcspn(*list, ", ");
    if (length == 0)
        return -ENOENT;
    char *entry = memory_copy_bytes(*list, length);
    *list += length;
    char *scheme = strstr(entry, "://");
    char *start = scheme != NULL ? scheme + 3 : entry;
    char *colon = strrchr(start, ':');
    char *end = NULL;
    long number = colon != NULL ? strtol(colon + 1, &end, 10) : 0;
    int rc = -EINVAL;
    if (colon != NULL && colon > start && colon[1] != '\0' && *end == '\0' && number > 0 && number < 65536) {
        bool bracketed = start[0] == '[' && colon[-1] == ']';
        *host = bracketed ? memory_copy_bytes(start + 1, (size_t)(colon - start) - 2)
                          : memory_copy_bytes(start, (size_t)(colon - start));
        *port = (int32_t)number;
        rc = 0;
    }
    free(entry);
    return rc;
}

static void exchange_done(struct client_request *request, int status, struct byte_reader *body)
{
    struct exchange *exchange = container_of(request, struct exchange, request);
    exchange->status = status;
    if (status == 0)
        buffer_append(&exchange->body, body->at, reader_left(body));
    exchange->done = true;
}

/* Sends one encoded request and waits; the answer is in exchange->body, released by the caller. */
static int exchange_run(struct cluster_client *client, struct link *link, struct exchange *exchange,
                        int16_t api_key, int16_t version, const void *message, int64_t deadline_ms)
{
    const struct kafka_api *api = kafka_api_find(api_key);
    CHECK(api != NULL);
    *exchange = (struct exchange){
        .request = {
            .api_key = api_key, .api_version = version, .deadline_ms = deadline_ms, .done = exchange_done}};
    buffer_init(&exchange->body);
    buffer_init(&exchange->request.body);
    struct wire_writer writer;
    wire_writer_init(&writer, &exchange->request.body);
    api->request->encode(message, &writer, version);
    wire_writer_release(&writer);
    client_send(link->client, &exchange->request);
    while (!exchange->done)
        loop_run_once(client->loop, 100);
    return exchange->status;
}

static void link_release(struct link *link)
{
    if (link->client != NULL)
        client_free(link->client);
    free(link->host);
    free(link->served);
    *link = (struct link){0};
}

static void link_note_versions(struct link *link, const struct api_versions_response *response)
{
    free(link->served);
    link->served = memory_allocate((response->api_keys_count + 1) * sizeof(*link->served));
    link->served_count = response->api_keys_count;
    for (size_t i = 0; i < response->api_keys_count; i++)
        link->served[i] = (struct served){response->api_keys[i].api_key, response->api_keys[i].min_version,
                                          response->api_keys[i].max_version};
}

/* Asks which versions the broker knows; an old broker answers the first question in version 0, with an error.
 */
static int link_ask_versions(struct cluster_client *client, struct link *link, int64_t deadline_ms)
{
    struct api_versions_request request = {.client_software_name = slice_of("barnabas-tools"),
                                           .client_software_version = slice_of(BARNABAS_VERSION)};
    int rc = -EBADMSG;
    for (int16_t version = API_VERSIONS_VERSION; version >= 0; version -= API_VERSIONS_VERSION) {
        struct exchange exchange;
        struct api_versions_response response;
        struct arena arena;
        arena_init(&arena, RESPONSE_BYTES_MAX);
        rc = exchange_run(client, link, &exchange, KAFKA_API_API_VERSIONS, version, &request, deadline_ms);
        bool too_new = rc == 0 && exchange.body.length >= 2 &&
                       (int16_t)load_u16(exchange.body.data) == KAFKA_UNSUPPORTED_VERSION;
        if (rc == 0 && !too_new) {
            struct byte_reader bytes;
            reader_init(&bytes, buffer_slice(&exchange.body));
            rc = api_versions_response_decode(&response, &bytes, version, &arena);
            if (rc == 0)
                link_note_versions(link, &response);
        }
        arena_release(&arena);
        buffer_release(&exchange.body);
        if (!too_new)
            break;
        rc = -EPROTONOSUPPORT;
    }
    return rc;
}

/* Takes over `host`. */
static int link_open(struct cluster_client *client, struct link *link, char *host, int32_t port,
                     int64_t deadline_ms)
{
    struct client_options options = {
        .loop = client->loop,
        .mailbox = client->mailbox,
        .resolver = client->resolver,
        .client_id = client->client_id,
        .host = host,
        .port = port,
        .response_limit_bytes = RESPONSE_BYTES_MAX,
        .connect_timeout_ms = client->timeout_ms,
        .reconnect_backoff_ms = RECONNECT_BACKOFF_MS,
    };
    *link = (struct link){.client = client_new(&options), .host = host, .port = port};
    int rc = link_ask_versions(client, link, deadline_ms);
    if (rc < 0)
        link_release(link);
    return rc;
}

static const char *reason_text(int rc)
{
    switch (rc) {
    case -ECONNREFUSED:
        return "the connection was refused";
    case -ETIMEDOUT:
        return "no answer in time";
    case -ECONNRESET:
        return "it closed the connection without an answer";
    case -EBADMSG:
        return "what answers there does not speak the Kafka protocol";
    case -EPROTONOSUPPORT:
        return "it knows no version of the protocol that is known here";
    default:
        return strerror(-rc);
    }
}

static void say_nobody(const struct cluster_client *client, const char *bootstrap, int last,
                       struct buffer *error, struct buffer *hint)
{
    buffer_print(error, "Timed out waiting for a node assignment. Call: %s", client->call);
    buffer_print(hint, "No broker of %s has answered: %s. ", bootstrap, reason_text(last));
    if (last == -EBADMSG)
        buffer_append_string(hint, "Is that a TLS listener? Name a PLAINTEXT one.");
    else if (last == -ECONNRESET)
        buffer_append_string(hint,
                             "Is that ZooKeeper's port, or a TLS listener? Name a broker's PLAINTEXT one.");
    else
        buffer_append_string(hint, "Is a broker running there? --timeout MS waits longer than 10 seconds.");
}

/* One round over the list. 0; -EINVAL: not a list of addresses; else why the last one failed. */
static int try_all(struct cluster_client *client, const char *bootstrap, int64_t attempt_ms,
                   int64_t deadline_ms, bool first_round)
{
    const char *rest = bootstrap;
    int last = -EINVAL;
    for (int number = 1;; number++) {
        char *host = NULL;
        int32_t port = 0;
        int rc = bootstrap_next(&rest, &host, &port);
        if (rc == -ENOENT)
            return last;
        if (rc < 0)
            return -EINVAL;
        int64_t now_ms = clock_monotonic_ms();
        char *name = memory_copy_string(host);
        last = link_open(client, &client->found, host, port, min_i64(now_ms + attempt_ms, deadline_ms));
        if (last < 0 && first_round)
            fprintf(
                stderr,
                "WARN [AdminClient clientId=%s] Connection to node -%d (%s:%d) could not be established: %s. "
                "Node may not be available.\n",
                client->client_id, number, name, (int)port, reason_text(last));
        free(name);
        if (last == 0)
            return 0;
    }
}

int cluster_client_open(const struct cluster_client_options *options, struct cluster_client **out,
                        struct buffer *error, struct buffer *hint)
{
    struct cluster_client *client = memory_allocate_zeroed(1, sizeof(*client));
    client->client_id = options->client_id;
    client->call = options->call;
    client->timeout_ms = options->timeout_ms;
    client->loop = loop_new();
    client->mailbox = mailbox_new(client->loop);
    int rc = worker_new("resolver", 1, &client->resolver);
    int64_t deadline_ms = clock_monotonic_ms() + options->timeout_ms;
    int64_t attempt_ms = FIRST_ATTEMPT_MS;
    for (int round = 1; rc == 0; round++) {
        int tried = try_all(client, options->bootstrap, attempt_ms, deadline_ms, round == 1);
        /* Who hangs up on a question twice, or answers in another language, will not come round. */
        bool is_foreign = tried == -EBADMSG || (tried == -ECONNRESET && round >= FOREIGN_ROUNDS);
        if (tried == 0) {
            *out = client;
            return 0;
        }
        if (tried == -EINVAL) {
            buffer_print(error, "Invalid url in bootstrap.servers: %s", options->bootstrap);
            buffer_append_string(hint, "Give addresses as host:port[,host:port...].");
            rc = -EINVAL;
        } else if (clock_monotonic_ms() + RECONNECT_BACKOFF_MS >= deadline_ms || is_foreign) {
            say_nobody(client, options->bootstrap, tried, error, hint);
            rc = -ETIMEDOUT;
        }
        attempt_ms *= 4;
        loop_run_once(client->loop, RECONNECT_BACKOFF_MS);
    }
    cluster_client_free(client);
    return rc;
}

void cluster_client_free(struct cluster_client *client)
{
    if (client == NULL)
        return;
    link_release(&client->found);
    link_release(&client->controller);
    if (client->resolver != NULL)
        worker_free(client->resolver);
    mailbox_free(client->mailbox);
    loop_free(client->loop);
    free(client);
}

static int link_version(const struct link *link, int16_t api_key)
{
    const struct kafka_api *api = kafka_api_find(api_key);
    for (size_t i = 0; i < link->served_count; i++) {
        const struct served *served = &link->served[i];
        if (served->api_key != api_key)
            continue;
        int maximum = served->maximum < api->maximum_version ? served->maximum : api->maximum_version;
        int minimum = served->minimum > api->minimum_version ? served->minimum : api->minimum_version;
        return maximum >= minimum ? maximum : -1;
    }
    return -1;
}

int cluster_client_version(const struct cluster_client *client, int16_t api_key)
{
    return link_version(&client->found, api_key);
}

static int link_call(struct cluster_client *client, struct link *link, int16_t api_key, const void *request,
                     void *response, struct arena *arena, struct buffer *error)
{
    int version = link_version(link, api_key);
    if (version < 0) {
        buffer_print(error, "The broker at %s:%d does not support %s.", link->host, (int)link->port,
                     kafka_api_name(api_key));
        return -EPROTONOSUPPORT;
    }
    struct exchange exchange;
    int rc = exchange_run(client, link, &exchange, api_key, (int16_t)version, request,
                          clock_monotonic_ms() + client->timeout_ms);
    if (rc == 0) {
        struct slice body = arena_copy_slice(arena, buffer_slice(&exchange.body));
        struct byte_reader bytes;
        reader_init(&bytes, body);
        rc = kafka_api_find(api_key)->response->decode(response, &bytes, (int16_t)version, arena);
    }
    if (rc < 0)
        buffer_print(error, "%s to the broker at %s:%d failed: %s", kafka_api_name(api_key), link->host,
                     (int)link->port, reason_text(rc));
    buffer_release(&exchange.body);
    return rc;
}

int cluster_client_call(struct cluster_client *client, int16_t api_key, const void *request, void *response,
                        struct arena *arena, struct buffer *error)
{
    return link_call(client, &client->found, api_key, request, response, arena, error);
}

/* Host and port of the controller; -EAGAIN while there is none. *host is allocated. */
static int find_controller(struct cluster_client *client, char **host, int32_t *port, struct buffer *error)
{
    struct metadata_request request = {.topics = wire_empty_array()};
    struct metadata_response response;
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    int rc = cluster_client_call(client, KAFKA_API_METADATA, &request, &response, &arena, error);
    if (rc == 0) {
        rc = -EAGAIN;
        for (size_t i = 0; i < response.brokers_count; i++) {
            const struct metadata_response_broker *broker = &response.brokers[i];
            if (broker->node_id != response.controller_id)
                continue;
            *host = memory_copy_bytes(broker->host.data, broker->host.length);
            *port = broker->port;
            rc = 0;
        }
    }
    arena_release(&arena);
    return rc;
}

int cluster_client_call_controller(struct cluster_client *client, int16_t api_key, const void *request,
                                   void *response, struct arena *arena, struct buffer *error)
{
    int64_t deadline_ms = clock_monotonic_ms() + client->timeout_ms;
    for (;;) {
        char *host = NULL;
        int32_t port = 0;
        int rc = find_controller(client, &host, &port, error);
        if (rc == 0) {
            link_release(&client->controller);
            rc = link_open(client, &client->controller, host, port, deadline_ms);
            if (rc == 0)
                return link_call(client, &client->controller, api_key, request, response, arena, error);
        }
        if (clock_monotonic_ms() + WAIT_CONTROLLER_MS >= deadline_ms) {
            if (error->length == 0)
                buffer_print(error, "Timed out waiting for a node assignment. Call: %s", client->call);
            return -ETIMEDOUT;
        }
        buffer_clear(error);
        loop_run_once(client->loop, WAIT_CONTROLLER_MS);
    }
}
