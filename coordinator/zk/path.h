/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything lies in ZooKeeper: Kafka's paths, built and taken apart. Pure.
 *
 * Builders allocate in the caller's arena and return a NUL-terminated path below the chroot; the arena has no
 * budget (ARENA_NO_BUDGET), so they never fail. Topic names go in as they are: Kafka allows only
 * [a-zA-Z0-9._-] in them. Names of users, clients and addresses are percent-encoded by the builders; the
 * literal "<default>" is not.
 */
#ifndef COORDINATOR_ZK_PATH_H
#define COORDINATOR_ZK_PATH_H

#include "common/arena.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

#define ZK_PATH_CONTROLLER "/controller"
#define ZK_PATH_CONTROLLER_EPOCH "/controller_epoch"
#define ZK_PATH_BROKER_IDS "/brokers/ids"
#define ZK_PATH_BROKER_SEQUENCE "/brokers/seqid"
#define ZK_PATH_TOPICS "/brokers/topics"
#define ZK_PATH_CLUSTER_ID "/cluster/id"
#define ZK_PATH_CONFIG "/config"
#define ZK_PATH_CONFIG_CHANGES "/config/changes"
#define ZK_PATH_CONFIG_TOPICS "/config/topics"
#define ZK_PATH_CONFIG_BROKERS "/config/brokers"
#define ZK_PATH_CONFIG_CLIENTS "/config/clients"
#define ZK_PATH_CONFIG_USERS "/config/users"
#define ZK_PATH_CONFIG_IPS "/config/ips"
/* Create with ZK_PERSISTENT_SEQUENTIAL: the server appends the number. */
#define ZK_PATH_CONFIG_CHANGE_PREFIX "/config/changes/config_change_"
#define ZK_PATH_DELETE_TOPICS "/admin/delete_topics"
#define ZK_PATH_REASSIGN_PARTITIONS "/admin/reassign_partitions"
#define ZK_PATH_PREFERRED_REPLICA_ELECTION "/admin/preferred_replica_election"
#define ZK_PATH_ISR_CHANGES "/isr_change_notification"
#define ZK_PATH_ISR_CHANGE_PREFIX "/isr_change_notification/isr_change_"
#define ZK_PATH_LOG_DIR_EVENTS "/log_dir_event_notification"
#define ZK_PATH_LOG_DIR_EVENT_PREFIX "/log_dir_event_notification/log_dir_event_"
#define ZK_PATH_PRODUCER_ID_BLOCK "/latest_producer_id_block"
#define ZK_PATH_FEATURE "/feature"
#define ZK_PATH_CONSUMERS "/consumers"
#define ZK_PATH_DEFAULT_ENTITY "<default>"

/* The persistent nodes that a broker makes at start where they are missing, parents before children. */
extern const char *const zk_persistent_paths[];
extern const size_t zk_persistent_path_count;

const char *zk_path_broker(struct arena *arena, int32_t broker_id);            /* /brokers/ids/<id> */
const char *zk_path_topic(struct arena *arena, struct slice topic);            /* /brokers/topics/<t> */
const char *zk_path_topic_partitions(struct arena *arena, struct slice topic); /* …/partitions */
const char *zk_path_partition(struct arena *arena, struct slice topic,
                              int32_t partition); /* …/partitions/<p> */
/* …/partitions/<p>/state */
const char *zk_path_partition_state(struct arena *arena, struct slice topic, int32_t partition);
const char *zk_path_delete_topic(struct arena *arena, struct slice topic); /* /admin/delete_topics/<t> */
const char *zk_path_config_topic(struct arena *arena, struct slice topic); /* /config/topics/<t> */
/* /config/brokers/<id>; a negative id is the default entity. */
const char *zk_path_config_broker(struct arena *arena, int32_t broker_id);
/* /config/clients/<c>, /config/ips/<i>, /config/users/<u>[/clients/<c>]; "<default>" as name is the default.
 */
const char *zk_path_config_client(struct arena *arena, struct slice client);
const char *zk_path_config_ip(struct arena *arena, struct slice ip);
const char *zk_path_config_user(struct arena *arena, struct slice user);
const char *zk_path_config_user_client(struct arena *arena, struct slice user, struct slice client);
const char *zk_path_config_change(struct arena *arena, struct slice child); /* /config/changes/<child> */
const char *zk_path_isr_change(struct arena *arena, struct slice child);    /* by name of the child */
const char *zk_path_log_dir_event(struct arena *arena, struct slice child); /* by name of the child */
/* /consumers/<g>/offsets/<t>/<p>, the group percent-encoded. */
const char *zk_path_consumer_offset(struct arena *arena, struct slice group, struct slice topic,
                                    int32_t partition);
/* parent "/" child; "/" as parent gives "/" child. */
const char *zk_path_child(struct arena *arena, const char *parent, struct slice child);

enum zk_path_kind {
    ZK_PATH_KIND_OTHER,
    ZK_PATH_KIND_CONTROLLER,
    ZK_PATH_KIND_CONTROLLER_EPOCH,
    ZK_PATH_KIND_BROKER_IDS, /* the parent, whose children change */
    ZK_PATH_KIND_BROKER,     /* broker_id */
    ZK_PATH_KIND_TOPICS,     /* the parent */
    ZK_PATH_KIND_TOPIC,      /* topic */
    ZK_PATH_KIND_TOPIC_PARTITIONS,
    ZK_PATH_KIND_PARTITION,       /* topic, partition */
    ZK_PATH_KIND_PARTITION_STATE, /* topic, partition */
    ZK_PATH_KIND_CLUSTER_ID,
    ZK_PATH_KIND_CONFIG_CHANGES, /* the parent */
    ZK_PATH_KIND_CONFIG_CHANGE,  /* sequence */
    ZK_PATH_KIND_CONFIG_ENTITY,  /* entity: the path below /config, as in change notifications */
    ZK_PATH_KIND_DELETE_TOPICS,  /* the parent */
    ZK_PATH_KIND_DELETE_TOPIC,   /* topic */
    ZK_PATH_KIND_REASSIGN_PARTITIONS,
    ZK_PATH_KIND_PREFERRED_REPLICA_ELECTION,
    ZK_PATH_KIND_ISR_CHANGES, /* the parent */
    ZK_PATH_KIND_ISR_CHANGE,  /* sequence */
    ZK_PATH_KIND_LOG_DIR_EVENTS,
    ZK_PATH_KIND_LOG_DIR_EVENT, /* sequence */
    ZK_PATH_KIND_PRODUCER_ID_BLOCK,
    ZK_PATH_KIND_FEATURE
};

struct zk_path_parts {
    struct slice topic;  /* borrowed from the path */
    struct slice entity; /* borrowed from the path */
    int32_t partition;
    int32_t broker_id;
    int32_t sequence;
};

/* What a path is, and what it names; whatever is not of that form, or out of range, is ZK_PATH_KIND_OTHER. */
enum zk_path_kind zk_path_parse(const char *path, struct zk_path_parts *parts);

/* A decimal number without sign or leading zeros, as in names of children; false when it does not fit. */
MUST_CHECK bool zk_parse_id(struct slice text, int32_t *id);
/* The number at the end of a sequential node's name ("config_change_0000000012"); false: not of that form. */
MUST_CHECK bool zk_parse_sequence(struct slice name, const char *prefix, int32_t *sequence);

/* Kafka's percent-encoding: [A-Za-z0-9._-] stay, all other bytes of the UTF-8 become %XX (upper case). */
void zk_percent_encode(struct slice name, struct buffer *out);
/* The way back; '+' is a space. -EINVAL at a broken escape. */
MUST_CHECK int zk_percent_decode(struct slice text, struct buffer *out);

/* Kafka's rule of topic names: 1..249 of [a-zA-Z0-9._-], not "." or "..". */
bool zk_topic_name_is_valid(struct slice name);

#endif
