/* SPDX-License-Identifier: Apache-2.0 */
/* Puts acceptor and reactors together, and takes them apart in the right order. */
#include "broker/net/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/net/acceptor.h"
#include "broker/net/connection_limits.h"
#include "broker/net/reactor.h"
#include "common/check.h"
#include "common/memory.h"

struct network_server {
    struct reactor_shared shared;
    struct acceptor *acceptor;
    size_t listener_count;
    int reactor_count;
    bool stopped;
    struct reactor *reactors[];
};

static int check_options(const struct network_server_options *options, struct buffer *error)
{
    if (options->listener_count == 0) {
        buffer_append_string(error, "there is no listener: set `listeners`, e.g. PLAINTEXT://:9092");
        return -EINVAL;
    }
    for (size_t i = 0; i < options->listener_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(options->listeners[i].name, options->listeners[j].name) == 0) {
                buffer_print(error, "listener %s: the name occurs twice in `listeners`",
                             options->listeners[i].name);
                return -EINVAL;
            }
        }
    }
    return 0;
}

int network_server_new(const struct network_server_options *options, struct network_server **result,
                       struct buffer *error)
{
    CHECK(options->reactor_count > 0 && options->handler != NULL);
    int failure = check_options(options, error);
    if (failure)
        return failure;
    size_t count = (size_t)options->reactor_count;
    struct network_server *server =
        memory_allocate_zeroed(1, sizeof(*server) + count * sizeof(server->reactors[0]));
    struct reactor_shared *shared = &server->shared;
    shared->request_max_bytes = min_size(options->request_max_bytes, INT32_MAX);
    /* 0 would expire what has just arrived. */
    shared->connections_max_idle_ms =
        options->connections_max_idle_ms == 0 ? 1 : options->connections_max_idle_ms;
    shared->logger = options->logger;
    shared->handler = options->handler;
    request_memory_init(&shared->memory, options->queued_max_request_bytes);
    shared->limits = connection_limits_new(options->max_connections, options->max_connections_per_ip);
    server->listener_count = options->listener_count;
    for (; server->reactor_count < options->reactor_count; server->reactor_count++)
        server->reactors[server->reactor_count] = reactor_new(server->reactor_count, shared);
    failure = connection_limits_override(shared->limits, options->max_connections_per_ip_overrides, error);
    if (failure == 0)
        failure = acceptor_new(options, server->reactors, shared->limits, &server->acceptor, error);
    if (failure) {
        network_server_free(server);
        return failure;
    }
    *result = server;
    return 0;
}

int network_server_start(struct network_server *server)
{
    for (int i = 0; i < server->reactor_count; i++) {
        int error = reactor_start(server->reactors[i]);
        if (error)
            return error;
    }
    return acceptor_start(server->acceptor);
}

void network_server_stop(struct network_server *server, int64_t timeout_ms)
{
    if (server->stopped)
        return;
    server->stopped = true;
    if (server->acceptor != NULL)
        acceptor_stop(server->acceptor);
    for (int i = 0; i < server->reactor_count; i++)
        reactor_drain(server->reactors[i], timeout_ms);
    for (int i = 0; i < server->reactor_count; i++)
        reactor_join(server->reactors[i]);
}

void network_server_free(struct network_server *server)
{
    if (server == NULL)
        return;
    network_server_stop(server, 0);
    for (int i = 0; i < server->reactor_count; i++)
        reactor_free(server->reactors[i]);
    acceptor_free(server->acceptor);
    connection_limits_free(server->shared.limits);
    request_memory_release(&server->shared.memory);
    free(server);
}

int network_server_port(const struct network_server *server, size_t listener)
{
    CHECK(listener < server->listener_count);
    return acceptor_port(server->acceptor, listener);
}

int network_server_reactor_count(const struct network_server *server)
{
    return server->reactor_count;
}

struct reactor *network_server_reactor(struct network_server *server, int number)
{
    CHECK(number >= 0 && number < server->reactor_count);
    return server->reactors[number];
}

void network_server_statistics(const struct network_server *server,
                               struct network_server_statistics *statistics)
{
    *statistics = (struct network_server_statistics){
        .connections = connection_limits_count(server->shared.limits),
        .queued_request_bytes = atomic_load(&server->shared.memory.used),
        .accepted = acceptor_accepted(server->acceptor),
        .refused = acceptor_refused(server->acceptor),
    };
}
