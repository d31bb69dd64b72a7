/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ZooKeeper in memory for tests and the simulator: one ordered history of transactions, several servers
 * that apply it with lag, sessions, and clients of the table in coordinator/zk/zk.h with all its rules.
 *
 * Nothing happens by itself. Requests, answers, watch events and notices stand in queues, one way in order
 * for each client; fake_zookeeper_step carries out one thing that is due, chosen by the seed, and the driver
 * calls it until nothing is due (and then, with virtual time, at fake_zookeeper_next_due again). The same
 * seed and the same calls give the same history.
 *
 * What it copies of the real one: result codes of multis, one-shot watches with the event before the answer
 * that shows the change, ephemerals, sequential names, reads that lag (a client sees its own writes and never
 * goes back in time), watches kept over a reconnect, a cut connection that leaves every write in flight
 * unknown (a prefix of them applied), expiry told only at reconnect while the client gives its roles up by
 * its own timer, packet limits (checked by zk.c).
 */
#ifndef TESTS_SUPPORT_FAKE_ZOOKEEPER_H
#define TESTS_SUPPORT_FAKE_ZOOKEEPER_H

#include "common/buffer.h"
#include "coordinator/zk/zk.h"

struct fake_zookeeper;
struct fake_client;

/* One change of the history, as the hook sees it. */
struct fake_change {
    enum zk_operation_kind kind; /* create, set or delete */
    const char *path;
    struct slice data;     /* create, set */
    struct slice old_data; /* set, delete */
    int32_t version;       /* after it; of a delete: before it */
    int64_t owner;         /* session of an ephemeral, else 0 */
};

struct fake_zookeeper_options {
    uint64_t seed;
    int64_t wall_ms;            /* the servers' wall clock at time 0 */
    int64_t session_timeout_ms; /* 0: 6000 */
    int servers;                /* 0: 1, which never lags */
    /* Each once in n, 0 never: a write is applied or not by a coin and answered ZK_UNKNOWN; or the connection
     * is cut after a request was carried out (whose answer is lost with it). */
    uint32_t lose_answer_one_in;
    uint32_t cut_one_in;
    /* A cut client connects again after this (plus up to as much, by the seed); -1: only by
     * fake_client_connect. */
    int64_t reconnect_ms;
    /* How long a request (to_server) or an answer is on its way; NULL: not at all. */
    int64_t (*delay_ms)(void *context, const struct fake_client *client, bool to_server);
    void *delay_context;
    /*
     * Called after each transaction with all of its changes; `session` made it (0: a tool). It may look at
     * the tree, but not make requests.
     */
    void (*committed)(void *context, int64_t zxid, int64_t session, const struct fake_change *changes,
                      size_t count);
    void *committed_context;
};

struct fake_zookeeper *fake_zookeeper_new(const struct fake_zookeeper_options *options);
/* All clients must have been freed. */
void fake_zookeeper_free(struct fake_zookeeper *zookeeper);

/* Carries out one thing that is due at now_ms. false: nothing is. Time never goes back. */
bool fake_zookeeper_step(struct fake_zookeeper *zookeeper, int64_t now_ms);
/* When the next thing is due; INT64_MAX: never, unless somebody asks for something. */
int64_t fake_zookeeper_next_due(const struct fake_zookeeper *zookeeper);
/* Steps until nothing is due at now_ms; at most `limit` steps. Returns how many. */
size_t fake_zookeeper_run(struct fake_zookeeper *zookeeper, int64_t now_ms, size_t limit);
/* Faults on and off in the middle of a run: as in the options. */
void fake_zookeeper_set_faults(struct fake_zookeeper *zookeeper, uint32_t lose_answer_one_in,
                               uint32_t cut_one_in);

/* Without a quorum nobody is connected and no session ends; when it is back, all sessions have their whole
 * timeout again. */
void fake_zookeeper_set_quorum(struct fake_zookeeper *zookeeper, bool has_quorum);

/* A client that is not connected. `name` is for the dump. */
struct fake_client *fake_client_new(struct fake_zookeeper *zookeeper, const char *name);
/*
 * The process dies: what is in flight is applied in part, by the seed; open requests are completed with
 * ZK_UNKNOWN, listeners hear nothing. Its session lives on until its timeout.
 */
void fake_client_free(struct fake_client *client);
/* An orderly end: the session is closed and its ephemerals are gone at once; otherwise as fake_client_free.
 */
void fake_client_close(struct fake_client *client);
struct zk_client *fake_client_zk(struct fake_client *client);

void fake_client_connect(struct fake_client *client);
void fake_client_disconnect(struct fake_client *client);
/* The server ends the session and the connection; the client learns of it when it connects again. */
void fake_client_expire(struct fake_client *client);
/* A paused process: nothing of it is carried out or delivered; its session may expire meanwhile. */
void fake_client_pause(struct fake_client *client, bool paused);
bool fake_client_is_idle(const struct fake_client *client); /* nothing in flight or waiting */
/* A write is on its way to the server, which has not taken it. */
bool fake_client_is_writing(const struct fake_client *client);

/* What a tool would do, at once, on the newest state. */
/* NULL and *stat untouched when there is no such node. The slice is borrowed until the next change. */
bool fake_zookeeper_read(const struct fake_zookeeper *zookeeper, const char *path, struct slice *data,
                         struct zk_stat *stat);
/* Creates with parents, or sets. */
void fake_zookeeper_put(struct fake_zookeeper *zookeeper, const char *path, struct slice data);
/* Removes a node and all below it. */
void fake_zookeeper_remove(struct fake_zookeeper *zookeeper, const char *path);
/* Names of the children, sorted: count of them; the array is the caller's to free, the names are borrowed. */
size_t fake_zookeeper_list(const struct fake_zookeeper *zookeeper, const char *path, const char ***names);
/* The paths of zk_persistent_paths and /controller_epoch's parents, as a first broker makes them. */
void fake_zookeeper_put_persistent_paths(struct fake_zookeeper *zookeeper);
/* zxid of the newest transaction, and how many there were. */
int64_t fake_zookeeper_zxid(const struct fake_zookeeper *zookeeper);
/* All servers have applied all transactions. */
bool fake_zookeeper_is_settled(const struct fake_zookeeper *zookeeper);
/* All nodes with data and version, sorted by path. */
void fake_zookeeper_dump(const struct fake_zookeeper *zookeeper, struct buffer *out);

#endif
