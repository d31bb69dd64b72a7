/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reactor: one thread, one event loop, one mailbox, and the connections that were given to it. It reads
 * their requests, runs the handler to completion, and sends what was answered at the end of each turn, so
 * that answers that were finished in one turn leave in one call.
 *
 * Everything here belongs to the reactor's thread, except: reactor_new, reactor_start, reactor_join and
 * reactor_free (the thread that owns the server), reactor_give and reactor_drain (any thread), and the
 * connection count.
 */
#ifndef BROKER_NET_REACTOR_H
#define BROKER_NET_REACTOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/net/connection_limits.h"
#include "broker/net/frame_pool.h"
#include "broker/net/notice.h"
#include "broker/net/request.h"
#include "broker/net/request_memory.h"
#include "common/base.h"
#include "common/list.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mailbox.h"

/* What all reactors of a server share; constant while they run, or with a lock of its own. */
struct reactor_shared {
    size_t request_max_bytes;
    int64_t connections_max_idle_ms; /* < 0: never */
    struct logger *logger;
    struct request_handler *handler;
    struct request_memory memory;
    struct connection_limits *limits;
};

struct reactor {
    int number;
    struct reactor_shared *shared;
    struct loop *loop;
    struct mailbox *mailbox;
    pthread_t thread;
    bool started;
    struct frame_pool pool;
    struct notice_table notices;
    atomic_size_t connection_count; /* the acceptor counts up, the reactor down; for the even spread */

    struct list connections; /* all that are open, the longest idle first */
    size_t open_connections; /* in `connections` */
    size_t live_requests;    /* handed out and not yet finished by the handler */
    struct list unflushed;   /* connections that may have something to send or to do this turn */
    struct list starved;     /* connections that wait for request memory to begin a frame */
    struct list growing;     /* connections that wait for request memory to go on with one */
    struct list graveyard;   /* closed connections that nobody refers to any more; freed at the turn's end */
    struct loop_hook flush_hook;
    struct loop_timer
        flush_timer; /* due at once while `unflushed` is not empty: a hook behind ours filled it */
    struct loop_timer idle_timer;
    struct request_memory_waiter memory_waiter;

    struct connection *chosen; /* may grow its frame beyond the bound of request memory; NULL: nobody */
    struct loop_timer pressure_timer; /* while memory is short: closes connections that hold it up */
    int64_t pressure_checked_ms;      /* when it looked last; 0: never in this shortage */

    struct mail drain_mail;
    struct loop_timer drain_timer;
    int64_t drain_timeout_ms;
    bool draining;
    uint8_t *range_scratch; /* for small file ranges that are sent from memory */
};

/* As many bytes of small ranges go out in one call at most. */
#define REACTOR_RANGE_SCRATCH_BYTES ((size_t)64 * 1024)

struct reactor *reactor_new(int number, struct reactor_shared *shared);
MUST_CHECK int reactor_start(struct reactor *reactor);
/* From any thread: connections end as they are answered, at the latest after timeout_ms; then the thread. */
void reactor_drain(struct reactor *reactor, int64_t timeout_ms);
void reactor_join(struct reactor *reactor);
/* Handles what is in the mailbox. */
void reactor_free(struct reactor *reactor);

/* Hands an accepted connection over, from any thread. The reactor owns it from now on. */
void reactor_give(struct reactor *reactor, struct connection *connection);

/* For connections: */

/* The connection is looked at before the turn ends (connection_flush). */
void reactor_want_flush(struct reactor *reactor, struct connection *connection);
/* The connection waits for request memory; it is tried again when there may be some. */
void reactor_starve(struct reactor *reactor, struct connection *connection);
/* Asks to be the one whose frame may grow although there is no room. */
MUST_CHECK bool reactor_choose(struct reactor *reactor, struct connection *connection);
/* The chosen one has its frame, or is gone. */
void reactor_unchoose(struct reactor *reactor, struct connection *connection);
/* Something happened: the connection is the least idle one. */
void reactor_note_activity(struct reactor *reactor, struct connection *connection);
/* The connection was closed and is out of all lists. */
void reactor_note_closed(struct reactor *reactor, struct connection *connection);
/* Nobody refers to the closed connection any more. */
void reactor_bury(struct reactor *reactor, struct connection *connection);

#endif
