/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controller and the brokers say to each other, as plain structs. On the wire each message is a
 * protobuf body (control.proto) in one private API key, in the ordinary Kafka framing on the inter-broker
 * listener. The generated protobuf types stop at encode.c and decode.c.
 *
 * Fencing (invariants I31, I32): a message from the controller carries the controller epoch and the epoch of
 * the broker it is meant for, as this controller has reconciled it; a receiver refuses a controller epoch
 * lower than the highest it has seen, a broker epoch that is not its own, a leader epoch lower than the one
 * it knows, and at an equal leader epoch a lower partition epoch. What one controller tells one broker is
 * numbered besides (`sequence`, rising; 0: without a number): a message that was given up, and arrives when a
 * later one has been carried out, is refused whole. So nothing that a later message has taken away comes
 * back.
 *
 * Ownership: everything that a decoded message points to lies in the arena it was decoded with, slices may
 * point into the input. To encode, the caller fills the structs with memory of its own.
 */
#ifndef PROTO_CONTROL_CONTROL_H
#define PROTO_CONTROL_CONTROL_H

#include "common/arena.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"
#include "common/uuid.h"

/* The private API key and its only version; brokers of one cluster upgrade by protobuf fields. */
#define CONTROL_API_KEY 10001
#define CONTROL_API_VERSION 0

/* What one message may take when it is decoded; a full metadata update of a large cluster fits well. */
#define CONTROL_MESSAGE_BUDGET_BYTES ((size_t)256 << 20)

/* No leader; also the leader of a partition that is being deleted is NO_LEADER_DELETED in metadata updates.
 */
#define NO_LEADER (-1)
#define NO_LEADER_DELETED (-2)
/* The broker epoch of a seat that another tool wrote, or of a sender that does not know it. */
#define NO_BROKER_EPOCH (-1)

/* A seat in the ISR: a broker in one of its lives (invariant I25). */
struct isr_member {
    int32_t broker_id;
    int64_t broker_epoch;
};

struct control_partition {
    int32_t partition;
    int32_t controller_epoch; /* of the controller that wrote this state */
    int32_t leader;           /* broker id or NO_LEADER */
    int32_t leader_epoch;
    int32_t partition_epoch; /* version of the state znode */
    struct isr_member *isr;
    size_t isr_count;
    int32_t *replicas; /* preferred leader first */
    size_t replicas_count;
    int32_t *adding_replicas;
    size_t adding_replicas_count;
    int32_t *removing_replicas;
    size_t removing_replicas_count;
    int32_t *offline_replicas; /* of live brokers whose disk does not serve them */
    size_t offline_replicas_count;
    bool is_new;     /* created just now: an empty log is no surprise */
    bool recovering; /* after an unclean election */
    /* Replicas outside the ISR are kept eligible to lead, because the ISR is too small: the leader moves the
     * high watermark no more, whatever its own min.insync.replicas is. */
    bool commits_held;
};

struct control_setting {
    struct slice name;
    struct slice value;
};

struct control_topic {
    struct slice name;
    struct uuid topic_id;
    struct control_setting *settings; /* the topic's own settings, of /config/topics/<topic> */
    size_t settings_count;
    struct control_partition *partitions;
    size_t partitions_count;
};

struct control_endpoint {
    struct slice listener;
    struct slice security_protocol; /* "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" */
    struct slice host;
    int32_t port;
};

struct control_broker {
    int32_t id;
    int64_t epoch;
    struct slice rack; /* null: none */
    struct control_endpoint *endpoints;
    size_t endpoints_count;
};

/* Controller to broker: take these roles. Answered per partition. */
struct leader_and_isr_request {
    int32_t controller_id;
    int32_t controller_epoch;
    int64_t broker_epoch; /* of the receiver */
    int64_t sequence;
    struct control_broker *brokers;
    size_t brokers_count; /* those that lead one of the partitions */
    struct control_topic *topics;
    size_t topics_count;
};

/* Controller to broker: what clients are to be told. `full`: topics and settings not named are gone. */
struct update_metadata_request {
    int32_t controller_id;
    int32_t controller_epoch;
    int64_t broker_epoch;
    int64_t sequence;
    bool full;
    /* Only of a full one: the controller knows all topics that exist, by id. Each is in `topics`, or among
     * the `unlisted`: those that are being deleted, or have no state yet. Any other topic id is of a topic
     * that is no more. */
    bool complete;
    struct uuid *unlisted;
    size_t unlisted_count;
    struct control_broker *brokers; /* always all live brokers */
    size_t brokers_count;
    struct control_topic
        *topics; /* a partition with leader NO_LEADER_DELETED is removed, a topic without partitions too */
    size_t topics_count;
};

/* As a leader epoch: the topic is being deleted, and nothing of it comes later. */
#define STOP_REPLICA_TOPIC_DELETED (-2)

struct stop_replica_partition {
    struct slice topic;
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch; /* STOP_REPLICA_TOPIC_DELETED, -1: unknown; both pass the epoch check */
    bool delete_log;
};

/* Controller to broker: stop following or leading, and delete the log where asked. Answered per partition. */
struct stop_replica_request {
    int32_t controller_id;
    int32_t controller_epoch;
    int64_t broker_epoch;
    int64_t sequence;
    struct stop_replica_partition *partitions;
    size_t partitions_count;
};

struct control_partition_error {
    struct slice topic;
    int32_t partition;
    int16_t error;
    bool full; /* the role is taken, but the log directory has no room: another replica should lead */
    /* Of leader-and-ISR, where the partition has no leader: where this replica's log ends. */
    bool tells_end;
    int32_t leader_epoch; /* of the state that was taken */
    int32_t last_epoch;   /* -1: an empty log */
    int64_t end_offset;
};

/* The answer to the three above. */
struct control_response {
    int16_t error; /* of the request as a whole */
    struct control_partition_error *partitions;
    size_t partitions_count;
};

struct alter_partition_item {
    struct slice topic;
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch;
    int32_t partition_epoch;
    struct isr_member *isr; /* proposed, with the epochs in which the leader knows the members */
    size_t isr_count;
    bool recovering;
};

/* Leader to controller: change the ISR (KIP-497, KIP-903). */
struct alter_partition_request {
    int32_t broker_id;
    int64_t broker_epoch;
    struct alter_partition_item *partitions;
    size_t partitions_count;
};

struct alter_partition_result {
    struct slice topic;
    int32_t partition;
    int16_t error;
    int32_t leader;
    int32_t leader_epoch;
    int32_t partition_epoch;
    struct isr_member *isr;
    size_t isr_count;
    bool recovering;
    bool commits_held; /* as in struct control_partition */
};

struct alter_partition_response {
    int16_t error; /* of the request as a whole */
    struct alter_partition_result *partitions;
    size_t partitions_count;
};

/* Broker to controller: a block of producer ids (KIP-730). */
struct allocate_producer_ids_request {
    int32_t broker_id;
    int64_t broker_epoch;
};

struct allocate_producer_ids_response {
    int16_t error;
    int64_t first;
    int32_t count;
};

/* Broker to controller: move my leaderships, I am going to stop. */
struct controlled_shutdown_request {
    int32_t broker_id;
    int64_t broker_epoch;
};

struct controlled_shutdown_response {
    int16_t error;
    int32_t partitions_remaining;
};

/* Broker to controller: a client's request that only the controller can carry out (the body behind its
 * header). */
struct forward_request {
    int16_t api_key;
    int16_t api_version;
    struct slice client_id;
    struct slice client_host;
    struct slice principal;
    struct slice body;
};

struct forward_response {
    int16_t error; /* NOT_CONTROLLER: ask another one */
    struct slice body;
};

enum control_kind {
    CONTROL_NONE,
    CONTROL_LEADER_AND_ISR,
    CONTROL_UPDATE_METADATA,
    CONTROL_STOP_REPLICA,
    CONTROL_ALTER_PARTITION,
    CONTROL_ALLOCATE_PRODUCER_IDS,
    CONTROL_CONTROLLED_SHUTDOWN,
    CONTROL_FORWARD,
};

struct control_request {
    enum control_kind kind;
    union {
        struct leader_and_isr_request leader_and_isr;
        struct update_metadata_request update_metadata;
        struct stop_replica_request stop_replica;
        struct alter_partition_request alter_partition;
        struct allocate_producer_ids_request allocate_producer_ids;
        struct controlled_shutdown_request controlled_shutdown;
        struct forward_request forward;
    };
};

struct control_answer {
    enum control_kind kind; /* that of the request */
    union {
        struct control_response response; /* leader-and-isr, update metadata, stop replica */
        struct alter_partition_response alter_partition;
        struct allocate_producer_ids_response allocate_producer_ids;
        struct controlled_shutdown_response controlled_shutdown;
        struct forward_response forward;
    };
};

/* Appends the protobuf body. */
void control_request_encode(const struct control_request *request, struct buffer *out);
void control_answer_encode(const struct control_answer *answer, struct buffer *out);

/*
 * 0; -EBADMSG: not such a message, a part is missing, or a number is out of its range; -ENOMEM: more than the
 * arena's budget. On error nothing of it may be used.
 */
MUST_CHECK int control_request_decode(struct slice bytes, struct arena *arena,
                                      struct control_request *request);
MUST_CHECK int control_answer_decode(struct slice bytes, struct arena *arena, struct control_answer *answer);

#endif
