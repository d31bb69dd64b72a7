/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the fake ZooKeeper share: the history on one side, the clients on the other. */
#ifndef TESTS_SUPPORT_FAKE_ZOOKEEPER_INTERNAL_H
#define TESTS_SUPPORT_FAKE_ZOOKEEPER_INTERNAL_H

#include "common/list.h"
#include "common/map.h"
#include "common/prng.h"
#include "tests/support/fake_zookeeper.h"
#include "tests/support/fake_zookeeper_tree.h"

struct fake_transaction {
    int64_t zxid;
    int64_t time_ms;
    struct fake_step *steps;
    size_t step_count;
};

struct fake_server {
    struct fake_tree tree;
    size_t applied; /* transactions of the history */
};

struct fake_zookeeper {
    struct fake_zookeeper_options options;
    struct prng prng;
    int64_t now_ms;
    int64_t zxid;
    int64_t next_session;
    bool without_quorum;
    struct fake_tree scratch;    /* the newest state plus the multi in work */
    struct fake_server *servers; /* the first one is always at the newest state */
    int server_count;
    struct fake_transaction *history;
    size_t history_count;
    size_t history_capacity;
    struct list clients;
    /* sessions whose client has died: they end at their time */
    struct fake_orphan {
        int64_t session;
        int64_t ends_ms;
    } * orphans;
    size_t orphan_count;
    size_t orphan_capacity;
};

enum fake_item_kind {
    FAKE_GET,
    FAKE_EXISTS,
    FAKE_CHILDREN,
    FAKE_WRITE,
    FAKE_REFUSE,
    /* only on the way to the client: */
    FAKE_EVENT,
    FAKE_CONNECTED,
    FAKE_DISCONNECTED,
    FAKE_LOST
};

/* A request, then its answer; or an event or a notice. */
struct fake_item {
    struct list node;
    enum fake_item_kind kind;
    int64_t due_ms;
    char *path;
    bool watch;
    struct zk_operation *operations; /* with copies of path and data */
    size_t operation_count;
    bool alone, fenced, new_session;
    uint32_t connection; /* of a notice of being connected */
    struct zk_completion completion;
    enum zk_event event;
    /* the answer */
    enum zk_result result;
    uint8_t *data;
    size_t data_length;
    bool has_data;
    struct zk_stat stat;
    char *made; /* create alone */
    char **children;
    size_t child_count;
    size_t culprit;
    struct zk_operation_outcome *outcomes;
    uint8_t armed; /* the watch that this answer confirms */
    int64_t zxid;  /* what the client has seen once it has this */
};

#define FAKE_WATCH_DATA 1
#define FAKE_WATCH_MISSING 2
#define FAKE_WATCH_CHILD 4

struct fake_watch {
    uint8_t armed;     /* at the server */
    uint8_t confirmed; /* of these, known to the client: they survive a reconnect */
};

struct fake_client {
    struct zk_client zk; /* first */
    struct fake_zookeeper *zookeeper;
    struct list node;
    char *name;
    int64_t session;          /* at the server; 0: none */
    bool link_up;             /* the server's view of the connection */
    bool told_connected;      /* the client's view */
    uint32_t connection;      /* counts connections at the server */
    uint32_t told_connection; /* the one that the client has been told of */
    bool told_lost;           /* since the last connection */
    bool expired;             /* the server has ended `session` */
    bool paused;
    int server;              /* the one it is connected to */
    int64_t last_zxid;       /* newest state it has seen */
    int64_t lost_at_ms;      /* when it gives its roles up; INT64_MAX while in contact */
    int64_t expires_at_ms;   /* when the server ends the session; INT64_MAX while in contact */
    int64_t reconnect_at_ms; /* INT64_MAX: not by itself */
    struct list waiting;     /* requests until there is a connection */
    struct list to_server;
    struct list to_client;
    struct map *watches; /* path -> fake_watch */
};

/* The history's side. */
/* Carries a write out: its result, and for ZK_OK the outcomes where wanted (memory of the caller). */
enum zk_result fake_history_write(struct fake_zookeeper *zookeeper, int64_t session,
                                  const struct zk_operation *operations, size_t count, size_t *culprit,
                                  struct zk_operation_outcome *outcomes, char **paths);
/* Deletes the ephemerals of a session. */
void fake_history_end_session(struct fake_zookeeper *zookeeper, int64_t session);
/* The server applies its next transaction, or all up to the zxid; its clients' watches fire. */
bool fake_server_lags(const struct fake_zookeeper *zookeeper, int server);
void fake_server_apply_next(struct fake_zookeeper *zookeeper, int server);
void fake_server_catch_up(struct fake_zookeeper *zookeeper, int server, int64_t zxid);
int64_t fake_server_zxid(const struct fake_zookeeper *zookeeper, int server);

/* The clients' side. */
/* A change reached the server of this client: events for the watches that it hits. */
void fake_client_on_step(struct fake_client *client, const struct fake_step *step);
/* The server takes the first request of the queue; the client gets the first item of its queue. */
void fake_client_process(struct fake_client *client);
void fake_client_deliver(struct fake_client *client);
/* What time does to it: giving up roles, expiry, reconnection. */
void fake_client_timers(struct fake_client *client);
int64_t fake_client_next_timer(const struct fake_client *client);
/* Its session does not end while there is no quorum, and has its whole timeout afterwards. */
void fake_client_quorum_changed(struct fake_client *client);
/* The connection breaks; everything on its way is unknown. */
void fake_client_cut(struct fake_client *client);
/* Puts a notice or an event behind what is on its way to the client. */
void fake_client_notify(struct fake_client *client, enum fake_item_kind kind, bool new_session);
/* An event carries no zxid, as in ZooKeeper: only answers move forward what the client has seen. Else the
 * loss of the second of two events of one transaction would never be noticed. */
void fake_client_push_event(struct fake_client *client, enum zk_event event, const char *path);
/* Calls the completion of a request; frees the item. */
void fake_item_complete(struct fake_item *item);
void fake_item_free(struct fake_item *item);

/* The operations of the client table. */
extern const struct zk_client_operations fake_client_operations;

#endif
