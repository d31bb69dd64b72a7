/* SPDX-License-Identifier: Apache-2.0 */
/* What session.c (the life of the session) and session_request.c (the life of a request) share. */
#ifndef COORDINATOR_ZK_SESSION_INTERNAL_H
#define COORDINATOR_ZK_SESSION_INTERNAL_H

/* The library has a structure of the same name as ours. */
#define buffer zookeeper_buffer
#include <zookeeper/zookeeper.h>
#undef buffer

#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "coordinator/zk/session.h"
#include "coordinator/zk/session_servers.h"

/* Requests handed to the library and not answered; more wait in our queue. */
#define SESSION_IN_FLIGHT_MAX 1000

enum session_state {
    SESSION_STOPPED,
    SESSION_RESOLVING,  /* no handle yet */
    SESSION_CONNECTING, /* a handle without connection */
    SESSION_PREPARING,  /* connected, the chroot is being made */
    SESSION_CONNECTED
};

struct zk_session {
    struct zk_client client; /* first: the client is the session */
    struct loop *loop;
    struct logger *logger;
    struct zk_servers servers;
    struct zk_resolver *resolver;
    struct buffer addresses; /* what the library knows now */
    int64_t asked_timeout_ms;
    int64_t timeout_ms; /* negotiated */

    enum session_state state;
    zhandle_t *handle;
    bool in_library;   /* inside a call of the library: nothing is submitted, the handle is not closed */
    bool session_open; /* this handle has had a session */
    bool lost_told;
    bool chroot_made;
    int64_t session_id;
    int64_t contact_ms; /* when the server was heard last */

    struct loop_watch watch;
    bool watching;
    int descriptor;                  /* of the present connection, -1: none */
    struct loop_timer library_timer; /* when the library wants to be called at the latest */
    struct loop_timer flush_timer;   /* due at once: requests wait to be submitted */
    struct loop_timer lost_timer;    /* no contact for a session timeout */
    struct loop_timer resolve_timer; /* resolve (again), then open a handle if there is none */

    struct list queued;
    size_t queued_count;
    size_t queued_bytes;
    struct list refused; /* to be completed at the next flush, never sent */
    struct list in_flight;
    size_t in_flight_count;
    struct map *watched; /* "d/path", "c/path" -> this session, of armed data and child watches */
    size_t watched_bytes;
    bool watched_alarm;

    uint64_t session_count;
    uint64_t connection_count;
    uint64_t request_count;
    struct log_limiter down_limiter;
    struct log_limiter up_limiter;
    struct log_limiter resolve_limiter;
};

/* session_request.c */
extern const struct zk_client_operations session_operations;
/* Completes what was refused and submits what may go out; true when the library has got something. */
bool session_flush(struct zk_session *session);
/* Completes every request in flight; what the library says of them later is dropped. */
void session_fail_in_flight(struct zk_session *session, enum zk_result result);
/* Completes every request that waits. */
void session_fail_queued(struct zk_session *session, enum zk_result result);
/* Creates one node by its full path, not through the queue; used for the chroot. */
void session_create_raw(struct zk_session *session, const char *path, struct zk_completion completion);
/* The path without the chroot. */
const char *session_path_of_client(const struct zk_session *session, const char *full_path);
/* An armed watch has fired: it no longer counts. */
void session_watch_fired(struct zk_session *session, enum zk_event event, const char *full_path);
void session_watches_clear(struct zk_session *session);

/* session.c */
/* Between on (1) and off (0) what the library sends is held back until it fills packets. */
void session_cork(const struct zk_session *session, int on);
/* The watcher given to the library with every watch. */
void session_on_watch(zhandle_t *handle, int type, int state, const char *path, void *context);

#endif
