/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' requests inside the controller: what their three kinds share. Only admin*.c include this.
 *
 * Every topic of a request goes its own way:
 *
 *   WRITE -> WRITING -> VERIFY -> WAIT -> DONE
 *     ^                   |
 *     +---- not there ----+   (after a backoff)
 *
 * WRITE sends a fenced multi. Whatever its outcome, VERIFY looks at ZooKeeper: what was meant is there, or is
 * not, or something else is. WAIT is for leaders and for the brokers' answers. The request is answered when
 * all its topics are DONE, or at its deadline; one that was answered early lives on until it has written, or
 * has tried to once more.
 */
#ifndef COORDINATOR_CONTROLLER_ADMIN_H
#define COORDINATOR_CONTROLLER_ADMIN_H

#include "coordinator/controller/shell.h"
#include "proto/kafka/error.h"
#include "proto/kafka/wire.h"

enum admin_status { ADMIN_WRITE, ADMIN_WRITING, ADMIN_VERIFY, ADMIN_WAIT, ADMIN_DONE };

struct admin_topic {
    enum admin_status status;
    int64_t not_before_ms;
    bool tried_again;  /* written once more after the request had been answered */
    bool named_twice;  /* another topic of the request has the same name */
    bool taken;        /* CreateTopics: the last multi found a node in the place of the topic's */
    struct slice name; /* null: deletion by an unknown id */
    struct uuid topic_id;
    int16_t error;
    const char *message; /* in the arena; NULL: none */

    /* CreateTopics: what is to be written; CreatePartitions: the assignment of the new partitions. */
    struct node_topic node;
    struct node_config config;
    bool config_exists;
    int32_t partition_count; /* wanted, or created */
    int32_t replication_factor;
    size_t index;      /* in the decoded request */
    uint64_t sequence; /* that brokers must have been told: DeleteTopics */
};

struct admin_request;

/* One kind of request. */
struct admin_kind {
    int16_t api_key;
    /* Decodes the body, fills request->topics with their first status. False: not readable. */
    bool (*begin)(struct admin_request *request, struct slice body);
    void (*write)(struct admin_request *request, struct admin_topic *topic);
    void (*verify)(struct admin_request *request, struct admin_topic *topic);
    /* What WAIT waits for. */
    bool (*is_complete)(struct admin_request *request, struct admin_topic *topic);
    void (*encode)(struct admin_request *request, struct wire_writer *writer);
};

struct admin_request {
    struct list node;
    struct controller *controller;
    const struct admin_kind *kind;
    uint64_t id; /* completions find it by this */
    int16_t version;
    struct controller_admin_respond respond;
    bool answered;
    int64_t deadline_ms;
    int64_t timeout_ms; /* the request's own */
    bool validate_only;
    struct arena arena;
    const void *decoded;
    struct admin_topic *topics;
    size_t topic_count;
    struct elect_job *elections; /* ElectLeaders; else NULL */
};

extern const struct admin_kind admin_create_topics;
extern const struct admin_kind admin_delete_topics;
extern const struct admin_kind admin_create_partitions;
extern const struct admin_kind admin_elect_leaders;
extern const struct admin_kind admin_alter_reassignments;
extern const struct admin_kind admin_list_reassignments;

/* Room for the topics, initialised. */
void admin_make_topics(struct admin_request *request, size_t count);
/* Finds the names that the request has more than once. */
void admin_mark_named_twice(struct admin_request *request);
/* DONE with an error; the format may be NULL. What was to be written is given back. */
void admin_fail(struct admin_request *request, struct admin_topic *topic, int16_t error, const char *format,
                ...) PRINTF_LIKE(4, 5);
/*
 * Sends the operations; the topic is WRITING, then `done` is called with it (not when the request is gone).
 * done sees neither a lost fence nor, since nothing more is to be learnt from it, the end of the term.
 */
void admin_send(struct admin_request *request, struct admin_topic *topic,
                const struct zk_operation *operations, size_t count,
                void (*done)(struct admin_request *, struct admin_topic *, const struct zk_response *));
/* An outcome after which only a look tells: VERIFY, with the look on its way. */
void admin_look(struct admin_request *request, struct admin_topic *topic, enum zk_result result);
/* WRITE after a backoff; once only when nobody waits for the answer any more. */
void admin_write_again(struct admin_request *request, struct admin_topic *topic);
/* The topic of this name and id in the image. */
struct image_topic *admin_image_topic(const struct admin_request *request, const struct admin_topic *topic);
/* What a new topic and new partitions wait for: every partition has a leader and all brokers know; or the
 * topic is gone again. */
bool admin_is_usable(struct admin_request *request, struct admin_topic *topic);
/* Places `count` more partitions behind `first`, into node; false: the topic has failed. */
bool admin_place(struct admin_request *request, struct admin_topic *topic, size_t first, size_t count,
                 size_t replication_factor, size_t start, size_t shift);

#endif
