/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a session, over the single-threaded C library. How its traps are avoided:
 *
 *  - State is read from zoo_state() and is_unrecoverable() after every call, never from return codes (which
 * say "invalid state" also when there is merely no socket). The library's session events are ignored.
 *  - Its descriptor is watched anew after every zookeeper_interest(): a new socket often has the old number,
 * and epoll would then keep silent.
 *  - It never resolves names: it gets numeric addresses, and no resolution delay. Names are resolved by a
 *    worker at the start, at each reconnect, and every few seconds while there is no connection.
 *  - Nothing is submitted from inside its callbacks; requests wait in our queue (session_request.c).
 *  - It tells of expiry only after a reconnect. Our own timer ends the roles (session_lost) when the server
 * was not heard for a session timeout; the handle is kept, since the server may have kept the session.
 *  - After expiry the handle is closed (quick then) and a new one opened. Requests of the old one have been
 *    completed by then and forget their session, so no answer of an old life reaches anybody.
 *  - The chroot is prefixed here, not by the library, so that it can be made over the same handle.
 *
 *        STOPPED -> RESOLVING -> CONNECTING -> PREPARING -> CONNECTED
 *                       ^            ^------------+-------------'   connection lost
 *                       '------------------------- expired ---------'
 */
#include "coordinator/zk/session.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/session_internal.h"

#define RETRY_MS 1000
#define RESOLVE_AGAIN_MS 5000
#define SESSION_TIMEOUT_MS_MAX 3600000
/* The library takes one answer a call. Thousands may wait: so many are taken in one turn of the loop. */
#define ANSWERS_PER_TURN 200

static void settle(struct zk_session *session);

static int64_t now_ms(const struct zk_session *session)
{
    return loop_now_ms(session->loop);
}

/* The library's own lines are of no use to an operator: what matters is said here. */
static void discard_library_log(const char *message)
{
    (void)message;
}

static void on_session_event(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)type;
    (void)state;
    (void)path;
    (void)context;
}

void session_on_watch(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)state;
    struct zk_session *session = context;
    if (type == ZOO_SESSION_EVENT || handle != session->handle || session->state == SESSION_STOPPED)
        return;
    enum zk_event event = ZK_EVENT_LOOK_AGAIN;
    if (type == ZOO_CREATED_EVENT)
        event = ZK_EVENT_CREATED;
    else if (type == ZOO_DELETED_EVENT)
        event = ZK_EVENT_DELETED;
    else if (type == ZOO_CHANGED_EVENT)
        event = ZK_EVENT_CHANGED;
    else if (type == ZOO_CHILD_EVENT)
        event = ZK_EVENT_CHILDREN;
    session_watch_fired(session, event, path);
    zk_client_tell_watch_event(&session->client, event, session_path_of_client(session, path));
}

static void unwatch_descriptor(struct zk_session *session)
{
    if (!session->watching)
        return;
    loop_watch_release(&session->watch);
    session->watching = false;
}

/*
 * The library sends each request in two pieces, its length and its body, each in a packet of its own, which
 * wakes the server every time. Corked, the requests of one flush leave in full packets. Where the socket
 * cannot do that nothing is lost but time.
 */
void session_cork(const struct zk_session *session, int on)
{
    if (session->descriptor >= 0)
        (void)setsockopt(session->descriptor, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static void close_handle(struct zk_session *session)
{
    unwatch_descriptor(session);
    loop_timer_cancel(session->loop, &session->library_timer);
    zhandle_t *handle = session->handle;
    session->handle = NULL;
    session->descriptor = -1;
    if (handle == NULL)
        return;
    CHECK(!session->in_library);
    session->in_library = true;
    zookeeper_close(handle);
    session->in_library = false;
}

/* --- connection and session events --------------------------------------------------------------------- */

static void announce(struct zk_session *session)
{
    bool new_session = !session->session_open;
    session->state = SESSION_CONNECTED;
    session->session_open = true;
    session->lost_told = false;
    if (new_session)
        session->session_count++;
    uint64_t suppressed = 0;
    if (new_session || log_limiter_allow(&session->up_limiter, now_ms(session), &suppressed)) {
        const char *server = zoo_get_current_server(session->handle);
        log_info(session->logger, "zk", "%s, server %s, session 0x%llx, timeout %lld ms",
                 new_session ? "session opened" : "connected again in the same session",
                 server ? server : "?", (unsigned long long)session->session_id,
                 (long long)session->timeout_ms);
    }
    zk_client_tell_connected(&session->client, new_session);
    loop_timer_set(session->loop, &session->flush_timer, now_ms(session));
}

static void make_chroot(struct zk_session *session);

static void on_chroot_made(void *context, const struct zk_response *response)
{
    struct zk_session *session = context;
    if (session->state != SESSION_PREPARING || response->result == ZK_UNKNOWN ||
        response->result == ZK_EXPIRED)
        return;
    if (response->result != ZK_OK && response->result != ZK_NODE_EXISTS)
        log_warn(session->logger, "zk", "the path %s of zookeeper.connect could not be created: %s",
                 session->servers.chroot, zk_result_name(response->result));
    session->chroot_made = true;
    announce(session);
}

/* All levels at once: answers come in order, so the last one tells. */
static void make_chroot(struct zk_session *session)
{
    session->state = SESSION_PREPARING;
    char *path = memory_copy_string(session->servers.chroot);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        session_create_raw(session, path, (struct zk_completion){0});
        *slash = '/';
    }
    session_create_raw(session, path, zk_completion_make(on_chroot_made, session));
    free(path);
}

static void on_contact(struct zk_session *session)
{
    session->contact_ms = now_ms(session);
    if (!session->lost_told)
        loop_timer_set(session->loop, &session->lost_timer, session->contact_ms + session->timeout_ms);
}

static void on_connection_up(struct zk_session *session)
{
    session->connection_count++;
    session->timeout_ms = zoo_recv_timeout(session->handle);
    session->session_id = zoo_client_id(session->handle)->client_id;
    on_contact(session);
    if (session->servers.all_numeric)
        loop_timer_cancel(session->loop, &session->resolve_timer);
    if (session->servers.chroot[0] != '\0' && !session->chroot_made)
        make_chroot(session);
    else
        announce(session);
}

static void on_connection_down(struct zk_session *session)
{
    bool told = session->state == SESSION_CONNECTED;
    session->state = SESSION_CONNECTING;
    uint64_t suppressed = 0;
    if (log_limiter_allow(&session->down_limiter, now_ms(session), &suppressed))
        log_warn(session->logger, "zk", "connection lost, connecting again (%llu more such lines left out)",
                 (unsigned long long)suppressed);
    session_fail_in_flight(session, ZK_UNKNOWN);
    if (told)
        zk_client_tell_disconnected(&session->client);
    if (!session->servers.all_numeric)
        loop_timer_set(session->loop, &session->resolve_timer, now_ms(session));
}

static void tell_session_lost(struct zk_session *session, const char *reason)
{
    loop_timer_cancel(session->loop, &session->lost_timer);
    if (session->lost_told || !session->session_open)
        return;
    session->lost_told = true;
    log_warn(session->logger, "zk", "session 0x%llx is lost: %s", (unsigned long long)session->session_id,
             reason);
    zk_client_tell_session_lost(&session->client);
    session_fail_in_flight(session, ZK_EXPIRED);
    session_fail_queued(session, ZK_EXPIRED);
}

static void on_lost_timer(struct loop_timer *timer)
{
    struct zk_session *session = container_of(timer, struct zk_session, lost_timer);
    tell_session_lost(session, "no server was heard for a session timeout");
}

/* The handle is dead: the server has ended the session, or does not let us in. */
static void on_unrecoverable(struct zk_session *session)
{
    bool refused = zoo_state(session->handle) == ZOO_AUTH_FAILED_STATE;
    bool was_connected = session->state == SESSION_CONNECTED;
    session->state = SESSION_RESOLVING;
    if (was_connected)
        zk_client_tell_disconnected(&session->client);
    tell_session_lost(session, refused ? "authentication failed" : "expired by the server");
    close_handle(session);
    session_fail_in_flight(session, ZK_EXPIRED);
    session_watches_clear(session);
    session->session_id = 0;
    session->session_open = false;
    session->lost_told = false;
    loop_timer_set(session->loop, &session->resolve_timer, now_ms(session) + (refused ? RETRY_MS : 0));
}

/* --- the library's turn -------------------------------------------------------------------------------- */

/* How many calls have been well: up to the one that finds nothing more, or an end of the connection. */
static int take_answers(struct zk_session *session, int events)
{
    int taken = 0;
    int most = session->state == SESSION_CONNECTED ? ANSWERS_PER_TURN : 1;
    session->in_library = true;
    while (taken < most && zookeeper_process(session->handle, events) == ZOK) {
        taken++;
        events &= ZOOKEEPER_READ;
        if (events == 0)
            break;
    }
    session->in_library = false;
    return taken;
}

static void on_descriptor_ready(struct loop_watch *watch, unsigned events)
{
    struct zk_session *session = container_of(watch, struct zk_session, watch);
    int library_events =
        (events & LOOP_READ ? ZOOKEEPER_READ : 0) | (events & LOOP_WRITE ? ZOOKEEPER_WRITE : 0);
    int taken = take_answers(session, library_events);
    bool heard = (events & LOOP_READ) && taken > 0 && session->state >= SESSION_PREPARING;
    if (heard)
        on_contact(session);
    settle(session);
    /* Everything stood still (a suspended machine), and the connection has survived: the roles may begin
     * anew. */
    if (heard && session->lost_told && session->state == SESSION_CONNECTED) {
        announce(session);
        on_contact(session);
    }
}

static void on_library_timer(struct loop_timer *timer)
{
    settle(container_of(timer, struct zk_session, library_timer));
}

static void on_flush_timer(struct loop_timer *timer)
{
    struct zk_session *session = container_of(timer, struct zk_session, flush_timer);
    if (session_flush(session))
        settle(session);
}

static int64_t to_ms(struct timeval interval)
{
    int64_t ms = (int64_t)interval.tv_sec * 1000 + (interval.tv_usec + 999) / 1000;
    return ms > 0 ? ms : 1;
}

/* Follows the library to its present state, and asks it what it waits for. */
static void settle(struct zk_session *session)
{
    if (session->handle == NULL)
        return;
    int descriptor = -1;
    int interest = 0;
    struct timeval interval = {1, 0};
    session->in_library = true;
    if (!is_unrecoverable(session->handle))
        (void)zookeeper_interest(session->handle, &descriptor, &interest, &interval);
    session->in_library = false;
    if (is_unrecoverable(session->handle)) {
        on_unrecoverable(session);
        return;
    }
    unwatch_descriptor(session);
    session->descriptor = descriptor;
    if (descriptor >= 0) {
        unsigned events =
            (interest & ZOOKEEPER_READ ? LOOP_READ : 0u) | (interest & ZOOKEEPER_WRITE ? LOOP_WRITE : 0u);
        loop_watch_init(&session->watch, session->loop, descriptor, LOOP_PRIORITY_HIGH, on_descriptor_ready);
        loop_watch_set(&session->watch, events);
        session->watching = true;
    }
    loop_timer_set(session->loop, &session->library_timer, now_ms(session) + to_ms(interval));
    bool connected = zoo_state(session->handle) == ZOO_CONNECTED_STATE;
    if (connected && session->state == SESSION_CONNECTING)
        on_connection_up(session);
    else if (!connected && session->state > SESSION_CONNECTING)
        on_connection_down(session);
}

static void open_handle(struct zk_session *session)
{
    session->state = SESSION_CONNECTING;
    session->handle =
        zookeeper_init2(buffer_string(&session->addresses), on_session_event, (int)session->asked_timeout_ms,
                        NULL, session, ZOO_NO_LOG_CLIENTENV, discard_library_log);
    if (session->handle == NULL) {
        log_error(session->logger, "zk", "the ZooKeeper library does not take the servers %s: error %d",
                  buffer_string(&session->addresses), errno);
        session->state = SESSION_RESOLVING;
        loop_timer_set(session->loop, &session->resolve_timer, now_ms(session) + RETRY_MS);
        return;
    }
    zoo_set_servers_resolution_delay(session->handle, -1);
    settle(session);
}

/* --- names --------------------------------------------------------------------------------------------- */

static void on_resolve_timer(struct loop_timer *timer)
{
    struct zk_session *session = container_of(timer, struct zk_session, resolve_timer);
    zk_resolver_start(session->resolver);
}

static void on_addresses(void *context, const char *addresses)
{
    struct zk_session *session = context;
    if (session->state == SESSION_STOPPED)
        return;
    if (addresses == NULL) {
        uint64_t suppressed = 0;
        if (log_limiter_allow(&session->resolve_limiter, now_ms(session), &suppressed))
            log_warn(session->logger, "zk", "no server of zookeeper.connect has an address; trying again");
        loop_timer_set(session->loop, &session->resolve_timer, now_ms(session) + RETRY_MS);
        return;
    }
    bool changed = !slice_is(buffer_slice(&session->addresses), addresses);
    if (changed) {
        buffer_clear(&session->addresses);
        buffer_append_string(&session->addresses, addresses);
    }
    if (session->handle == NULL) {
        open_handle(session);
    } else if (changed && session->state == SESSION_CONNECTING) {
        session->in_library = true;
        (void)zoo_set_servers(session->handle, addresses);
        session->in_library = false;
        settle(session);
    }
    if (!session->servers.all_numeric && session->state == SESSION_CONNECTING)
        loop_timer_set(session->loop, &session->resolve_timer, now_ms(session) + RESOLVE_AGAIN_MS);
}

/* --- life ---------------------------------------------------------------------------------------------- */

int zk_session_check(const char *connect, const char **problem)
{
    struct zk_servers servers;
    int result = zk_servers_parse(connect, &servers, problem);
    if (result == 0)
        zk_servers_release(&servers);
    return result;
}

int zk_session_new(struct loop *loop, struct logger *logger, const struct zk_session_settings *settings,
                   struct zk_session **created)
{
    const char *problem = NULL;
    struct zk_servers servers;
    int result = zk_servers_parse(settings->connect, &servers, &problem);
    if (result != 0) {
        log_error(logger, "zk", "zookeeper.connect=%s is not understood: %s", settings->connect, problem);
        return result;
    }
    struct zk_session *session = memory_allocate_zeroed(1, sizeof(*session));
    zk_client_init(&session->client, &session_operations);
    session->loop = loop;
    session->logger = logger;
    session->servers = servers;
    session->asked_timeout_ms = max_i64(1, min_i64(settings->session_timeout_ms, SESSION_TIMEOUT_MS_MAX));
    session->timeout_ms = session->asked_timeout_ms;
    session->state = SESSION_STOPPED;
    session->descriptor = -1;
    buffer_init(&session->addresses);
    list_init(&session->queued);
    list_init(&session->refused);
    list_init(&session->in_flight);
    session->watched = map_new(0);
    session->library_timer.fire = on_library_timer;
    session->flush_timer.fire = on_flush_timer;
    session->lost_timer.fire = on_lost_timer;
    session->resolve_timer.fire = on_resolve_timer;
    *created = session;
    return 0;
}

void zk_session_start(struct zk_session *session)
{
    CHECK(session->state == SESSION_STOPPED && session->resolver == NULL);
    session->state = SESSION_RESOLVING;
    session->resolver = zk_resolver_new(session->loop, &session->servers, on_addresses, session);
    zk_resolver_start(session->resolver);
}

void zk_session_stop(struct zk_session *session)
{
    if (session->state == SESSION_STOPPED)
        return;
    CHECK(!session->in_library);
    session->state = SESSION_STOPPED;
    session_fail_in_flight(session, ZK_UNKNOWN);
    close_handle(session);
    /* A completion may have made another request: until there are none. */
    while (!list_is_empty(&session->queued) || !list_is_empty(&session->refused))
        session_fail_queued(session, ZK_UNKNOWN);
    loop_timer_cancel(session->loop, &session->flush_timer);
    loop_timer_cancel(session->loop, &session->lost_timer);
    loop_timer_cancel(session->loop, &session->resolve_timer);
    zk_resolver_free(session->resolver);
    session->resolver = NULL;
    session->session_id = 0;
    session->session_open = false;
    session_watches_clear(session);
}

void zk_session_free(struct zk_session *session)
{
    if (session == NULL)
        return;
    zk_session_stop(session);
    session_fail_queued(session, ZK_UNKNOWN);
    loop_timer_cancel(session->loop, &session->flush_timer);
    map_free(session->watched);
    buffer_release(&session->addresses);
    zk_servers_release(&session->servers);
    free(session);
}

struct zk_client *zk_session_client(struct zk_session *session)
{
    return &session->client;
}

struct zk_session_gauges zk_session_read_gauges(const struct zk_session *session)
{
    return (struct zk_session_gauges){.connected = session->state == SESSION_CONNECTED,
                                      .sessions = session->session_count,
                                      .connections = session->connection_count,
                                      .requests = session->request_count,
                                      .in_flight = session->in_flight_count,
                                      .queued = session->queued_count,
                                      .watched_bytes = session->watched_bytes};
}

bool zk_session_password(const struct zk_session *session, uint8_t password[16])
{
    if (session->handle == NULL || session->session_id == 0)
        return false;
    memcpy(password, zoo_client_id(session->handle)->passwd, 16);
    return true;
}
