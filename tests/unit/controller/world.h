/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster of controllers for tests: real controllers over the fake ZooKeeper, and brokers that are little
 * more than a registration and a memory of what they were told. Virtual time, one seed, no threads. While it
 * runs, every transaction of ZooKeeper and every message that a broker accepts is judged from outside (I13,
 * I26, I27, I29, I31, I35); a violation stops the process with the seed.
 */
#ifndef TESTS_UNIT_CONTROLLER_WORLD_H
#define TESTS_UNIT_CONTROLLER_WORLD_H

#include "common/map.h"
#include "common/prng.h"
#include "coordinator/controller/controller.h"
#include "coordinator/zk/node_topic.h"
#include "tests/support/fake_zookeeper.h"

#define WORLD_BROKERS_MAX 6

struct world;

/* What a broker was told of a partition. */
struct world_replica {
    char *topic;
    struct uuid topic_id;
    int32_t partition;
    int32_t controller_epoch, leader, leader_epoch, partition_epoch;
    int32_t replicas[WORLD_BROKERS_MAX];
    size_t replicas_count;
    struct isr_member isr[WORLD_BROKERS_MAX];
    size_t isr_count;
};

struct world_broker {
    struct world *world;
    int32_t id;
    bool alive;
    uint32_t life; /* counts processes */
    struct fake_client *client;
    struct zk_listener listener;
    struct controller *controller;
    int64_t epoch; /* as registered; -1: not */
    int64_t intact_since;
    bool registering;
    int64_t register_at_ms;
    int32_t seen_controller_epoch;
    struct map *replicas; /* "topic-partition" -> world_replica: disk, survives the process */
    struct map *metadata; /* the same for the metadata cache */
    int64_t known_epochs[WORLD_BROKERS_MAX]; /* of live brokers by the last metadata; -1 */
    uint32_t leader_and_isr_accepted, metadata_accepted, stops_accepted;
    int16_t last_proposal_error; /* of the last partition answered */
};

struct world_message {
    struct list node;
    int32_t from, to;
    uint32_t from_life, to_life;
    uint64_t token;
    int64_t due_ms;
    int64_t answer_at_ms; /* a lost one: when the sender gives up */
    bool is_answer;
    int status;
    struct buffer body;
};

struct world_options {
    uint64_t seed;
    int brokers;
    int zookeeper_servers;
    const char *const *racks; /* one a broker, or NULL */
    bool unclean_always_fault, isr_by_id_fault, skip_reconciliation_fault, move_ends_early_fault;
    bool auto_leader_rebalance;
    int32_t leader_imbalance_percentage;
    bool keep_intact; /* a restarted broker has lost nothing */
    bool log;
    /* An answer of brokers to a kind of message; 0: no error. */
    int16_t (*refuse)(struct world *world, int32_t broker, enum control_kind kind);
    /* The same to a single partition of leader-and-ISR. */
    int16_t (*refuse_partition)(struct world *world, int32_t broker, struct slice topic, int32_t partition);
};

struct world {
    struct world_options options;
    struct prng prng;
    int64_t now_ms;
    struct fake_zookeeper *zookeeper;
    struct world_broker brokers[WORLD_BROKERS_MAX];
    int broker_count;
    struct list messages;
    uint32_t lose_message_one_in; /* 0: never */
    struct logger *logger;

    /* The judge. */
    struct map *ghosts; /* state path -> ghost */
    int64_t read_mzxid; /* of the topic's znode that was decoded last: its id is known */
    struct uuid read_topic_id;
    struct map *led;            /* "topic id-partition-epoch" -> leader + 1 */
    int64_t controller_session; /* who made the last epoch */
    int64_t last_writer;        /* session of the last transaction */
    uint64_t writes;            /* transactions of sessions */
    bool complain_only;         /* count violations instead of stopping */
    uint32_t violations;
};

struct world *world_new(const struct world_options *options);
void world_free(struct world *world);

/* Begins a broker's process; it connects and registers by itself. */
void world_start(struct world *world, int32_t broker);
/* Ends it as by SIGKILL; its session lives on until its timeout. */
void world_kill(struct world *world, int32_t broker);

/* One thing happens, or time moves to the next thing. False: nothing will ever happen. */
bool world_step(struct world *world);
/* Steps until `until` says true or `ms` of virtual time are over; returns the last answer of until. */
bool world_run(struct world *world, int64_t ms, bool (*until)(struct world *world));
/* Nothing in flight anywhere, one controller in office, all living brokers registered. */
bool world_is_at_rest(struct world *world);
/* The controller in office; NULL: none. */
struct controller *world_controller(struct world *world);
struct world_broker *world_controller_broker(struct world *world);

/* As an old tool does it. */
void world_put_topic(struct world *world, const char *topic, int32_t partitions, size_t replication_factor);
/* A leader proposes an ISR by what it knows. */
void world_propose(struct world *world, struct world_broker *broker, struct world_replica *replica,
                   const struct isr_member *isr, size_t count);
struct world_replica *world_find(struct map *map, const char *topic, int32_t partition);

/* ZooKeeper, the image of the controller and what brokers were told agree; stops the process otherwise. */
void world_check_converged(struct world *world);
/* For fake_zookeeper's hook. */
void world_judge(void *context, int64_t zxid, int64_t session, const struct fake_change *changes,
                 size_t count);
void world_judge_accepted(struct world *world, const struct world_broker *broker,
                          const struct control_topic *topic, const struct control_partition *partition);
void world_complain(struct world *world, const char *what, const char *where);

#endif
