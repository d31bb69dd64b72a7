/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZooKeeper as the coordinator sees it: a table of asynchronous operations, the only door between everything
 * that decides and the ensemble. coordinator/zk/session.c implements it over the C library; the simulator and
 * the unit tests put their own table in its place. One client is one session at a time, and belongs to one
 * loop's thread: all calls and all callbacks happen there.
 *
 * Rules that every implementation keeps, and every caller may rely on:
 *  1. Each request is completed exactly once, never from inside the call that made it. Paths and data are
 *     copied before the call returns; what a response points to is gone when its callback returns.
 *  2. Requests of one client are carried out in the order in which they were made, and answered in that
 * order; a watch event comes before the first answer that shows its change.
 *  3. ZK_UNKNOWN means unknown: a write may have been applied, or may not. Nobody repeats it behind the
 *     caller's back. The caller reads and compares; so writes are compare-and-set, or
 * create-and-look-who-owns.
 *  4. ZK_EXPIRED: the request belonged to a session that is over. A write may have been applied before.
 *  5. Requests made while there is no connection wait in a bounded queue, and go out when it is back; those
 * of a session that ends meanwhile are completed with ZK_EXPIRED. A full queue completes with ZK_UNKNOWN.
 *  6. A watch is one-shot and says only "look again"; an event for something unknown is normal. The read that
 *     follows arms the next one. get() and children() of a missing node arm none, exists() does.
 *  7. A read may be seconds old, even while connected. Who takes over a role writes first, then reads.
 */
#ifndef COORDINATOR_ZK_ZK_H
#define COORDINATOR_ZK_ZK_H

#include "common/base.h"
#include "common/check.h"
#include "common/list.h"
#include "common/slice.h"

enum zk_result {
    ZK_OK,
    ZK_NO_NODE,     /* the node, or the parent of a create, is not there */
    ZK_NODE_EXISTS, /* perhaps made by oneself, by a request whose answer was lost */
    ZK_BAD_VERSION, /* perhaps changed by oneself, as above */
    ZK_NOT_EMPTY,   /* delete of a node with children */
    ZK_UNKNOWN,     /* rule 3: connection lost, timed out, client closed, queue full */
    ZK_EXPIRED,     /* rule 4 */
    ZK_TOO_BIG,     /* never sent: above the limits below */
    ZK_AUTH,        /* not allowed */
    ZK_ERROR        /* refused for another reason; a mistake of the caller, or of the server. Not applied. */
};

/* "no node", "connection lost, outcome unknown"... for log lines. */
const char *zk_result_name(enum zk_result result);

/* Limits, against the server's 1 MiB (jute.maxbuffer): a request above it drops the connection, for ever. */
#define ZK_DATA_BYTES_MAX ((size_t)512 * 1024) /* of one value */
#define ZK_MULTI_BYTES_MAX \
    ((size_t)256 * 1024)            /* of one multi, unless it is a single operation beside the fence */
#define ZK_MULTI_OPERATIONS_MAX 500 /* of one multi, the fence not counted */
#define ZK_WATCHED_BYTES_MAX \
    ((size_t)512 * 1024) /* of all watched paths; topics' data take three quarters, beyond: ZK_TOO_BIG */
#define ZK_QUEUED_REQUESTS_MAX 20000 /* waiting for a connection */
#define ZK_QUEUED_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* The version of a znode's data: never negative, so never "any version". */
struct zk_version {
    int32_t value;
};

static inline struct zk_version zk_version_make(int32_t value)
{
    CHECK(value >= 0);
    return (struct zk_version){value};
}

struct zk_stat {
    int64_t czxid; /* of the creation; of a broker registration: the broker epoch */
    int64_t mzxid; /* of the last change of the data */
    int64_t ctime_ms;
    int64_t mtime_ms;
    int64_t ephemeral_owner; /* session id, 0 for a persistent node */
    struct zk_version version;
    int32_t num_children;
};

enum zk_create_mode {
    ZK_PERSISTENT,
    ZK_EPHEMERAL,
    ZK_PERSISTENT_SEQUENTIAL, /* the server appends ten digits */
    ZK_EPHEMERAL_SEQUENTIAL
};

enum zk_operation_kind { ZK_OPERATION_CHECK, ZK_OPERATION_CREATE, ZK_OPERATION_SET, ZK_OPERATION_DELETE };

/* One operation of a multi. Make it by the functions below; path and data are borrowed until the multi is
 * made. */
struct zk_operation {
    enum zk_operation_kind kind;
    const char *path;
    struct slice data; /* create, set; the null slice is a node without data */
    enum zk_create_mode mode;
    struct zk_version version; /* check, set, delete, unless _any_version */
    bool _any_version;
};

struct zk_operation zk_operation_check(const char *path, struct zk_version version);
struct zk_operation zk_operation_create(const char *path, struct slice data, enum zk_create_mode mode);
struct zk_operation zk_operation_set(const char *path, struct slice data, struct zk_version version);
struct zk_operation zk_operation_set_any_version(const char *path, struct slice data);
struct zk_operation zk_operation_delete(const char *path, struct zk_version version);
struct zk_operation zk_operation_delete_any_version(const char *path);
/* The bytes that an operation takes in a request, about. */
size_t zk_operation_bytes(const struct zk_operation *operation);

/* What one operation of a successful multi gave. */
struct zk_operation_outcome {
    struct zk_stat
        stat;         /* of a set: after it (its version, and the czxid of a node made in the same multi) */
    const char *path; /* of a create: the path made, with the sequence number if any; else NULL */
};

#define ZK_NO_CULPRIT SIZE_MAX

struct zk_response {
    enum zk_result result;       /* for a multi: of the whole; ZK_OK only if all of it was applied */
    struct slice data;           /* get: may be null (node without data) */
    struct zk_stat stat;         /* get, exists, set, children (of the parent) when ZK_OK */
    const char *path;            /* create: the path made */
    const char *const *children; /* children: names, sorted by bytes */
    size_t child_count;
    /* multi: the operation that failed, counted in the caller's list; the others were not applied either.
     * ZK_NO_CULPRIT when it is not known, or when it was the fence. */
    size_t culprit;
    bool fenced; /* fenced multi: the fence failed, another controller is in office; result is ZK_BAD_VERSION
                  */
    const struct zk_operation_outcome *outcomes; /* multi, ZK_OK: one per operation of the caller's list */
    size_t outcome_count;
};

/* Who is told of the end of a request. done may be NULL. */
struct zk_completion {
    void (*done)(void *context, const struct zk_response *response);
    void *context;
};

static inline struct zk_completion
zk_completion_make(void (*done)(void *context, const struct zk_response *response), void *context)
{
    return (struct zk_completion){done, context};
}

enum zk_event {
    ZK_EVENT_CREATED,
    ZK_EVENT_DELETED,
    ZK_EVENT_CHANGED,   /* the data of path */
    ZK_EVENT_CHILDREN,  /* the list of children of path */
    ZK_EVENT_LOOK_AGAIN /* the watch has ended without a change known */
};

/*
 * Who hears of the session and its watches. Memory is the owner's; any callback may be NULL. Every listener
 * hears of every watch event of the client and picks by path. Listeners are told in the order of adding; a
 * callback may make requests, and may remove its own listener, no other.
 */
struct zk_listener {
    /*
     * Requests go out now. new_session: the first connection of a session: no ephemeral node of ours exists
     * in it, no watch is armed, everything is to be read again. Otherwise the session has lived on: its
     * ephemerals are there and its watches are armed again by the library. This may also come after
     * session_lost (the servers were away longer than our timeout, yet kept the session): a role that ended
     * at session_lost then still has its ephemeral node, and takes it away before it begins anew.
     */
    void (*connected)(struct zk_listener *listener, bool new_session);
    /* The connection is gone; the session may live. Those in flight have been, or will be, ZK_UNKNOWN. */
    void (*disconnected)(struct zk_listener *listener);
    /*
     * The session is over, or must be taken for it: the server has said so, or there was no contact for a
     * session timeout. Every role that rests on the session ends now, before anything else happens. Told once
     * until the next `connected`.
     */
    void (*session_lost)(struct zk_listener *listener);
    void (*watch_event)(struct zk_listener *listener, enum zk_event event, const char *path);
    struct list _node;
};

struct zk_client;

/* The table. Implementations get requests that the functions below have checked. */
struct zk_client_operations {
    void (*get)(struct zk_client *client, const char *path, bool watch, struct zk_completion completion);
    void (*exists)(struct zk_client *client, const char *path, bool watch, struct zk_completion completion);
    void (*children)(struct zk_client *client, const char *path, bool watch, struct zk_completion completion);
    /* All writes. alone: a single write, answered as create, set or delete are; else as a multi is (count >
     * 0). */
    void (*write)(struct zk_client *client, const struct zk_operation *operations, size_t count, bool alone,
                  bool fenced, struct zk_completion completion);
    /* Completes later with this result, not in order with requests that are sent; nothing is sent. */
    void (*refuse)(struct zk_client *client, enum zk_result result, struct zk_completion completion);
    int64_t (*session_id)(const struct zk_client *client);
    int64_t (*session_timeout_ms)(const struct zk_client *client);
    bool (*is_connected)(const struct zk_client *client);
};

/* Embedded first in an implementation's structure. */
struct zk_client {
    const struct zk_client_operations *operations;
    struct list _listeners;
};

void zk_client_init(struct zk_client *client, const struct zk_client_operations *operations);
void zk_client_add_listener(struct zk_client *client, struct zk_listener *listener);
void zk_client_remove_listener(struct zk_client *client, struct zk_listener *listener);
/* For implementations: tell all listeners. */
void zk_client_tell_connected(struct zk_client *client, bool new_session);
void zk_client_tell_disconnected(struct zk_client *client);
void zk_client_tell_session_lost(struct zk_client *client);
void zk_client_tell_watch_event(struct zk_client *client, enum zk_event event, const char *path);

/* Owner of our ephemerals (zk_stat.ephemeral_owner); 0 while there is no session. */
int64_t zk_client_session_id(const struct zk_client *client);
/* As negotiated with the server; before the first connection as asked for. */
int64_t zk_client_session_timeout_ms(const struct zk_client *client);
bool zk_client_is_connected(const struct zk_client *client);

/* Reads. With `watch` the client's listeners hear of the next change. */
void zk_get(struct zk_client *client, const char *path, bool watch, struct zk_completion completion);
void zk_exists(struct zk_client *client, const char *path, bool watch, struct zk_completion completion);
void zk_children(struct zk_client *client, const char *path, bool watch, struct zk_completion completion);

/* Writes of those who are not the controller. A value above ZK_DATA_BYTES_MAX: ZK_TOO_BIG. */
void zk_create(struct zk_client *client, const char *path, struct slice data, enum zk_create_mode mode,
               struct zk_completion completion);
void zk_set(struct zk_client *client, const char *path, struct slice data, struct zk_version version,
            struct zk_completion completion);
/* Overwrites whatever is there. */
void zk_set_any_version(struct zk_client *client, const char *path, struct slice data,
                        struct zk_completion completion);
void zk_delete(struct zk_client *client, const char *path, struct zk_version version,
               struct zk_completion completion);
void zk_delete_any_version(struct zk_client *client, const char *path, struct zk_completion completion);

/* All operations or none. Beyond zk_multi_fit(): ZK_TOO_BIG. An empty list is ZK_OK. */
void zk_multi(struct zk_client *client, const struct zk_operation *operations, size_t count,
              struct zk_completion completion);

/*
 * The right to write as controller: the znode version that /controller_epoch had when this controller was
 * elected. Made by zk_fence_make alone; a fence that was not made is refused by CHECK.
 */
struct zk_fence {
    struct zk_version controller_epoch_version;
    bool _made;
};

static inline struct zk_fence zk_fence_make(struct zk_version controller_epoch_version)
{
    CHECK(controller_epoch_version.value >= 0);
    return (struct zk_fence){controller_epoch_version, true};
}

/*
 * Every write of a controller (I29): a multi that begins with the check of /controller_epoch. culprit and
 * outcomes count the caller's operations, without the check. Beyond zk_multi_fit(): ZK_TOO_BIG.
 */
void zk_fenced_multi(struct zk_client *client, struct zk_fence fence, const struct zk_operation *operations,
                     size_t count, struct zk_completion completion);

/*
 * The planner: how many of the operations, from the first, go into one multi (256 KB or 500 operations, the
 * fence included in the bytes). At least 1 when count > 0: an operation that is alone may be larger. Send
 * these, then plan the rest: each chunk is a multi of its own with its own fence.
 */
size_t zk_multi_fit(const struct zk_operation *operations, size_t count);

#endif
