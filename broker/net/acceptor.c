/* SPDX-License-Identifier: Apache-2.0 */
/* The accepting thread. */
#include "broker/net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/net/connection.h"
#include "common/memory.h"
#include "common/worker.h"

/* Connections taken from one listener in one wake-up, so that the others have their turn. */
#define ACCEPTS_PER_WAKE_UP 64
/* How long accepting rests when descriptors or memory of the system are used up. */
#define REST_MS 100
/* So many files may be opened beside connections, where the limit is wide enough. */
#define FILES_MIN 256

struct listening_socket {
    struct acceptor *acceptor;
    struct loop_watch watch;
    char *name;
    int descriptor;
    int port;
    bool inter_broker;
};

struct acceptor {
    struct loop *loop;
    pthread_t thread;
    bool started;
    struct logger *logger;
    struct notice_table notices;
    struct reactor **reactors;
    int reactor_count;
    struct connection_limits *limits;
    struct loop_timer rest_timer;
    int spare_descriptor;          /* given up when there are no others left */
    size_t descriptors_max;        /* connections stay below this number of open files; 0: no bound */
    atomic_uint_fast64_t accepted; /* written by the acceptor's thread, read by any */
    atomic_uint_fast64_t refused;
    size_t socket_count;
    struct listening_socket sockets[];
};

/* An eighth of the open files stays for what is opened for a moment and for segments; a quarter where that is
 * few. */
static size_t descriptors_for_connections(size_t open_files_max)
{
    return open_files_max - max_size(open_files_max / 8, min_size(open_files_max / 4, FILES_MIN));
}

static void watch_all(struct acceptor *acceptor, unsigned events)
{
    for (size_t i = 0; i < acceptor->socket_count; i++)
        loop_watch_set(&acceptor->sockets[i].watch, events);
}

static void on_rest_end(struct loop_timer *timer)
{
    watch_all(container_of(timer, struct acceptor, rest_timer), LOOP_READ);
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptors, or no memory in the kernel. */
static void rest(struct listening_socket *socket, int error)
{
    struct acceptor *acceptor = socket->acceptor;
    if ((error == EMFILE || error == ENFILE) && acceptor->spare_descriptor >= 0) {
        close(acceptor->spare_descriptor);
        int shed = accept4(socket->descriptor, NULL, NULL, SOCK_CLOEXEC);
        if (shed >= 0)
            close(shed);
        acceptor->spare_descriptor = open_spare();
        atomic_fetch_add_explicit(&acceptor->refused, 1, memory_order_relaxed);
    }
    char text[128];
    notice_write(&acceptor->notices, loop_now_ms(acceptor->loop), "accept", slice_of(""),
                 "cannot accept connections on %s: %s: raise the limit of open files (ulimit -n) or lower "
                 "max.connections",
                 socket->name, strerror_r(error, text, sizeof(text)));
    watch_all(acceptor, 0);
    loop_timer_set(acceptor->loop, &acceptor->rest_timer, loop_now_ms(acceptor->loop) + REST_MS);
}

static struct reactor *choose_reactor(struct acceptor *acceptor)
{
    struct reactor *best = acceptor->reactors[0];
    for (int i = 1; i < acceptor->reactor_count; i++) {
        struct reactor *reactor = acceptor->reactors[i];
        if (atomic_load(&reactor->connection_count) < atomic_load(&best->connection_count))
            best = reactor;
    }
    return best;
}

/* `reached`: the limit, for the log; lines about one address come apart from those about all. */
static void refuse(struct listening_socket *socket, int descriptor, const struct sockaddr_storage *peer,
                   bool by_address, const char *reached)
{
    struct acceptor *acceptor = socket->acceptor;
    char text[SOCKET_ADDRESS_TEXT_BYTES];
    socket_address_print(peer, text, sizeof(text));
    struct in6_addr address = socket_address_bytes(peer);
    close(descriptor);
    atomic_fetch_add_explicit(&acceptor->refused, 1, memory_order_relaxed);
    notice_write(&acceptor->notices, loop_now_ms(acceptor->loop), by_address ? "per ip" : "all",
                 by_address ? slice_make(&address, sizeof(address)) : slice_of(reached),
                 "refused a connection of %s on %s: %s is reached", text, socket->name, reached);
}

static void admit(struct listening_socket *socket, int descriptor, const struct sockaddr_storage *peer)
{
    struct acceptor *acceptor = socket->acceptor;
    /* Descriptors are the lowest free numbers: at this one, so many files are open. */
    if (acceptor->descriptors_max > 0 && (size_t)descriptor >= acceptor->descriptors_max) {
        refuse(socket, descriptor, peer, false,
               "what connections may take of the limit of open files (ulimit -n)");
        return;
    }
    struct in6_addr address = socket_address_bytes(peer);
    enum connection_verdict verdict = connection_limits_enter(acceptor->limits, &address);
    if (verdict != CONNECTION_ADMITTED) {
        bool by_address = verdict == CONNECTION_TOO_MANY_FROM_ADDRESS;
        refuse(socket, descriptor, peer, by_address,
               by_address ? "max.connections.per.ip" : "max.connections");
        return;
    }
    int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    struct reactor *reactor = choose_reactor(acceptor);
    atomic_fetch_add(&reactor->connection_count, 1);
    atomic_fetch_add_explicit(&acceptor->accepted, 1, memory_order_relaxed);
    reactor_give(reactor, connection_new(descriptor, peer, socket->name, socket->inter_broker));
}

static void on_ready(struct loop_watch *watch, unsigned events)
{
    (void)events;
    struct listening_socket *socket = container_of(watch, struct listening_socket, watch);
    for (int i = 0; i < ACCEPTS_PER_WAKE_UP; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t length = sizeof(peer);
        int descriptor =
            accept4(socket->descriptor, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            admit(socket, descriptor, &peer);
            continue;
        }
        int error = errno;
        if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            rest(socket, error);
            return;
        }
        if (error == EAGAIN)
            return;
        /* Anything else befell the one connection that was to be accepted: take the next. */
    }
}

static void *acceptor_run(void *argument)
{
    struct acceptor *acceptor = argument;
    watch_all(acceptor, LOOP_READ);
    loop_run(acceptor->loop);
    return NULL;
}

int acceptor_new(const struct network_server_options *options, struct reactor **reactors,
                 struct connection_limits *limits, struct acceptor **result, struct buffer *error)
{
    struct acceptor *acceptor =
        memory_allocate_zeroed(1, sizeof(*acceptor) + options->listener_count * sizeof(acceptor->sockets[0]));
    acceptor->logger = options->logger;
    acceptor->notices.logger = options->logger;
    acceptor->reactors = reactors;
    acceptor->reactor_count = options->reactor_count;
    acceptor->limits = limits;
    acceptor->loop = loop_new();
    acceptor->rest_timer.fire = on_rest_end;
    acceptor->spare_descriptor = open_spare();
    acceptor->descriptors_max = descriptors_for_connections(options->open_files_max);
    atomic_init(&acceptor->accepted, 0);
    atomic_init(&acceptor->refused, 0);
    for (size_t i = 0; i < options->listener_count; i++) {
        const struct network_listener_options *listener = &options->listeners[i];
        struct listening_socket *socket = &acceptor->sockets[i];
        int failure = listener_bind(listener, options, &socket->descriptor, &socket->port, error);
        if (failure) {
            acceptor_free(acceptor);
            return failure;
        }
        acceptor->socket_count++;
        socket->acceptor = acceptor;
        socket->name = memory_copy_string(listener->name);
        socket->inter_broker = options->inter_broker_listener != NULL &&
                               strcmp(listener->name, options->inter_broker_listener) == 0;
        loop_watch_init(&socket->watch, acceptor->loop, socket->descriptor, LOOP_PRIORITY_NORMAL, on_ready);
        log_info(options->logger, "net", "listening on %s %s:%d", listener->name,
                 listener->host != NULL ? listener->host : "", socket->port);
    }
    *result = acceptor;
    return 0;
}

int acceptor_start(struct acceptor *acceptor)
{
    int error = thread_start(&acceptor->thread, "net-accept", acceptor_run, acceptor);
    acceptor->started = error == 0;
    return error;
}

void acceptor_stop(struct acceptor *acceptor)
{
    if (acceptor->started) {
        loop_stop(acceptor->loop);
        pthread_join(acceptor->thread, NULL);
        acceptor->started = false;
    }
    loop_timer_cancel(acceptor->loop, &acceptor->rest_timer);
    for (size_t i = 0; i < acceptor->socket_count; i++) {
        struct listening_socket *socket = &acceptor->sockets[i];
        if (socket->descriptor < 0)
            continue;
        loop_watch_release(&socket->watch);
        close(socket->descriptor);
        socket->descriptor = -1;
    }
}

void acceptor_free(struct acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    acceptor_stop(acceptor);
    for (size_t i = 0; i < acceptor->socket_count; i++)
        free(acceptor->sockets[i].name);
    if (acceptor->spare_descriptor >= 0)
        close(acceptor->spare_descriptor);
    loop_free(acceptor->loop);
    free(acceptor);
}

int acceptor_port(const struct acceptor *acceptor, size_t listener)
{
    return acceptor->sockets[listener].port;
}

uint64_t acceptor_accepted(const struct acceptor *acceptor)
{
    return atomic_load_explicit(&acceptor->accepted, memory_order_relaxed);
}

uint64_t acceptor_refused(const struct acceptor *acceptor)
{
    return atomic_load_explicit(&acceptor->refused, memory_order_relaxed);
}
