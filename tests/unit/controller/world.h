/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster of controllers for tests: real controllers over the fake ZooKeeper, and brokers that are little
 * more than a registration and a memory of what they were told. Virtual time, one seed, no threads. While it
 * runs, every request for a write, every transaction of ZooKeeper, every message that a broker accepts and
 * every answer to a leader is judged from outside (I13, I24-I27, I29, I31, I33-I36, I38, I39); a violation
 * stops the process with the seed.
 *
 *   world.c            processes, registration, messages, time
 *   world_broker.c     what brokers make of messages
 *   world_request.c    what brokers and clients ask of a controller
 *   world_writes.c     judges each request for a write before ZooKeeper has it (I29, I39)
 *   world_judge.c      judges transactions; world_judge_state.c: those of partition states
 *   world_judge_end.c  judges what brokers were told, and the end
 */
#ifndef TESTS_UNIT_CONTROLLER_WORLD_H
#define TESTS_UNIT_CONTROLLER_WORLD_H

#include "common/map.h"
#include "common/prng.h"
#include "coordinator/controller/controller.h"
#include "coordinator/zk/node_partition_state.h"
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
    uint32_t life; /* of the broker, in which it was last told: its log is open since */
};

/* A life of a broker, as it stood in its registration. */
struct world_registration {
    int64_t epoch, intact_since, intact_until, alive_since;
};

/* The table of a client of ZooKeeper, looked at on the way (world_writes.c). */
struct world_spy {
    struct zk_client_operations operations;
    const struct zk_client_operations *original;
    struct world *world;
};

struct world_broker {
    struct world *world;
    struct world_spy spy;
    struct world_registration *registrations; /* all that it ever had, oldest first */
    size_t registration_count, registration_capacity;
    int32_t id;
    bool alive;
    uint32_t life; /* counts processes */
    struct fake_client *client;
    struct zk_listener listener;
    struct controller *controller;
    int64_t epoch;                      /* as registered; -1: not */
    int64_t intact_since, intact_until; /* its disks have lost nothing of these registrations; -1: of none */
    int64_t started_since, started_until; /* the same as this process found it */
    int64_t first_epoch;                  /* of this process; -1: none yet */
    bool registering;
    int64_t register_at_ms;
    int32_t seen_controller_epoch;
    int64_t seen_sequence; /* of that controller's messages */
    struct map *replicas;  /* "topic-partition" -> world_replica: disk, survives the process */
    struct map *metadata;  /* the same for the metadata cache */
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
    bool is_late;             /* its sender has given it up, and hears no answer */
    int32_t controller_epoch; /* of the request */
    int64_t broker_epoch;     /* likewise */
    int status;
    struct buffer body;
};

struct world_options {
    uint64_t seed;
    int brokers;
    int zookeeper_servers;
    const char *const *racks; /* one a broker, or NULL */
    struct controller_faults faults;
    bool auto_leader_rebalance;
    int32_t leader_imbalance_percentage;
    int64_t leader_imbalance_check_ms; /* 0: the controller's default */
    int32_t min_insync_replicas;
    bool unclean_leader_election;
    int64_t
        zookeeper_delay_ms; /* requests and answers of ZooKeeper take up to this, now and then ten times it */
    uint32_t lose_message_one_in; /* 0: never; the next two as in fake_zookeeper.h */
    uint32_t lose_answer_one_in, cut_one_in;
    void *context;    /* of the two functions below */
    bool keep_intact; /* a restarted broker has lost nothing */
    bool log;
    bool tells; /* prints every transaction */
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

    struct list proposals;   /* world_proposal: all that leaders have ever proposed */
    struct map *newest;      /* \"topic id-partition\" -> the last of its proposals */
    uint32_t open_requests;  /* of brokers and clients, not answered yet */
    struct map *may_unclean; /* topic -> itself: unclean elections are or were allowed, or asked for */
    struct map *odd_min_isr; /* topic -> itself: has or had a min.insync.replicas of its own */
    struct map *tallies;     /* topic -> world_tally */
    uint32_t config_changes; /* notifications that tools have written */

    /* The judge. */
    struct map *written; /* "topic id-partition-version" -> what was written, see judge_told */
    int64_t read_mzxid;  /* of the topic's znode that was decoded last: its id is known */
    char read_path[300];
    struct uuid read_topic_id;
    struct map *led;            /* "topic id-partition-epoch" -> leader + 1 */
    int64_t controller_session; /* who made the last epoch */
    bool is_partial;            /* in its term a topic had no id: strays stay, see controller/README.md */
    int64_t last_writer;        /* session of the last transaction */
    uint64_t writes;            /* transactions of sessions */
    uint64_t decisions;         /* of these, those that do more than remove notifications */
    bool complain_only;         /* count violations instead of stopping */
    uint32_t violations;
};

struct world *world_new(const struct world_options *options);
void world_free(struct world *world);

/* A world whose brokers have all started, and are at rest. */
struct world *world_begin(const struct world_options *options);

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
/* How often a topic of this name has been created, deleted, asked to be deleted. */
struct world_tally {
    uint32_t created, deleted, delete_asked;
    int64_t deleted_at_ms; /* the last time */
};
struct world_tally *world_tally(struct world *world, struct slice topic);

/* What a leader has proposed; kept until the end, as a write may come late. */
struct world_proposal {
    struct list node;
    struct world_proposal *older; /* of the same partition */
    struct world_broker *broker;
    uint32_t life;
    char topic[250];
    struct uuid topic_id;
    int32_t partition, leader_epoch, partition_epoch;
    struct isr_member isr[WORLD_BROKERS_MAX];
    size_t isr_count;
    bool applied, answered;
};

/* Any proposal, to any controller that is alive. */
void world_propose_item(struct world_broker *from, int64_t broker_epoch, struct world_broker *to,
                        const struct alter_partition_item *item);
/* A leader proposes an ISR by what it knows, to who is in office. */
void world_propose(struct world *world, struct world_broker *broker, struct world_replica *replica,
                   const struct isr_member *isr, size_t count);
struct world_replica *world_find(struct map *map, const char *topic, int32_t partition);

/* A client's request to the controller of `to`. `done` hears the answer, once, then the context is freed. */
struct world_ask {
    struct world *world;
    void (*done)(struct world_ask *ask, int16_t error, struct slice body);
    int16_t key, version;
    char topic[64];
    struct world_tally before; /* of the topic, when it was asked */
    bool existed, deleting;    /* likewise; also just deleted, as the controller may not have heard yet */
    bool validate_only;
};
void world_ask_controller(struct world_broker *to, const struct world_ask *ask, struct slice body,
                          int64_t timeout_ms);
/* As brokers ask for what only they ask for; the answer is only counted. */
void world_ask_as_broker(struct world_broker *to, const struct control_request *request);

/* ZooKeeper, the image of the controller and what brokers were told agree; stops the process otherwise. */
void world_check_converged(struct world *world);
/* Lets every request for writing pass before the judge. */
void world_spy_begin(struct world_broker *broker);
/* For fake_zookeeper's hook. */
void world_judge(void *context, int64_t zxid, int64_t session, const struct fake_change *changes,
                 size_t count);
void world_judge_accepted(struct world *world, const struct world_broker *broker,
                          const struct control_topic *topic, const struct control_partition *partition);
/* A leader was told the state of its partition in the answer to a proposal, or a broker by a message: I34. */
void world_judge_told(struct world *world, struct uuid topic_id, int32_t partition, int32_t leader_epoch,
                      int32_t partition_epoch, int32_t leader, const struct isr_member *isr, size_t isr_count,
                      const char *where);
void world_judge_state(struct world *world, const struct fake_change *change, struct slice topic,
                       int32_t partition);
void world_judge_proposal_answered(struct world *world, struct world_proposal *proposal,
                                   const struct alter_partition_result *result);
/* The controller epoch of a controller's message, and the broker epoch that it is meant for. */
int32_t world_message_epochs(const struct control_request *request, int64_t *broker_epoch);
void world_judge_sent(struct world_broker *from, const struct control_request *request, int32_t to);
/* Text for maps: "topic id-partition". */
struct slice world_key(char key[96], struct uuid topic_id, int32_t partition);
bool world_topic_id(struct world *world, struct slice topic, struct uuid *id);
bool world_read_state(const struct world *world, struct slice topic, int32_t partition,
                      struct node_partition_state *state);
bool world_in_isr(const struct node_partition_state *state, int32_t broker);
/* One leader for a topic id, partition and leader epoch (I13). */
void world_judge_leader(struct world *world, struct uuid topic_id, int32_t partition, int32_t leader_epoch,
                        int32_t leader, const char *where);
void world_complain(struct world *world, const char *what, const char *where);

#endif
