/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ZooKeeper session on our event loop: the real implementation of the table in coordinator/zk/zk.h, over
 * the single-threaded C library. It connects, reconnects, resolves names on a worker thread, makes the
 * chroot, opens a new session when one has expired, and tells listeners. All functions belong to the loop's
 * thread. session.c says how each trap of the library is avoided.
 */
#ifndef COORDINATOR_ZK_SESSION_H
#define COORDINATOR_ZK_SESSION_H

#include "common/log.h"
#include "common/loop.h"
#include "coordinator/zk/zk.h"

struct zk_session;

struct zk_session_settings {
    const char *connect;        /* zookeeper.connect: host[:port][,host[:port]]...[/chroot]; copied */
    int64_t session_timeout_ms; /* zookeeper.session.timeout.ms */
};

/* 0 when `connect` can be understood; else -EINVAL, and *problem (static text) says why. */
MUST_CHECK int zk_session_check(const char *connect, const char **problem);

/*
 * A session that is not started yet. Loop and logger outlive it. -EINVAL when `connect` is not understood.
 * Add listeners to its client, then start.
 */
MUST_CHECK int zk_session_new(struct loop *loop, struct logger *logger,
                              const struct zk_session_settings *settings, struct zk_session **session);
/* Begins to connect, and goes on trying until zk_session_stop. */
void zk_session_start(struct zk_session *session);
/*
 * Closes the session in order, so that its ephemerals vanish at once. Requests still open are completed with
 * ZK_UNKNOWN before it returns; listeners hear nothing more. Not from inside a callback of the client.
 */
void zk_session_stop(struct zk_session *session);
/* Stops if need be, frees. NULL is fine. */
void zk_session_free(struct zk_session *session);

/* The client, valid as long as the session object. */
struct zk_client *zk_session_client(struct zk_session *session);

/* What is worth a metric. */
struct zk_session_gauges {
    bool connected;
    uint64_t sessions;    /* opened so far */
    uint64_t connections; /* made so far */
    uint64_t requests;    /* sent so far */
    size_t in_flight;
    size_t queued;
    size_t watched_bytes; /* see ZK_WATCHED_BYTES_MAX */
};
struct zk_session_gauges zk_session_read_gauges(const struct zk_session *session);

/* For tests of expiry: copies the 16 bytes that, with the session id, allow another handle to take the
 * session over. False while there is no session. */
bool zk_session_password(const struct zk_session *session, uint8_t password[16]);

#endif
