/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world of one seed: brokers (the shipped replica manager, logs, registration and controller of each, on
 * a disk in memory and a client of one ZooKeeper in memory), the network between them, clients, faults, and
 * what the judges remember. One thread, one virtual clock; everything that happens is a task of the heap or a
 * step of ZooKeeper, and the seed decides all that is not said.
 *
 *   world.c        life of the world, the loop, the two phases
 *   broker.c       life of a broker: start, death, pause, registration, periodic work
 *   network.c      messages between brokers and from clients
 *   control.c      controller to broker, and ISR proposals to the controller
 *   following.c    followers' fetches
 *   clients.c      producers and consumers
 *   topics.c       topics that come and go
 *   operator.c     what operators ask for: moves, elections, partitions, settings
 *   faults.c       who is struck when
 *   disks.c        disks that are full or fail
 *   aimed.c        chains of faults that chance alone hardly ever makes
 *   check_steps.c  judges after every step; check_end.c  at the end
 *   ghost.c        what was acknowledged and observed
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "broker/log/log_manager.h"
#include "broker/replica/replica_manager.h"
#include "common/base.h"
#include "coordinator/controller/controller.h"
#include "coordinator/membership/register.h"
#include "proto/records/builder.h"
#include "tests/sim/ghost.h"
#include "tests/sim/log_scan.h"
#include "tests/sim/swarm.h"
#include "tests/sim/tasks.h"
#include "tests/sim/trace.h"
#include "tests/support/fake_zookeeper.h"
#include "tests/support/memory_files.h"

#define SIM_PRODUCERS_MAX 3
#define SIM_CONSUMERS 2
/* The wall clock at virtual time 0. */
#define SIM_WALL_MS INT64_C(1700000000000)

/* Where a follower's fetching of one partition stands. */
struct follow_loop {
    bool active;
    bool idle;       /* it waits because there was nothing to fetch */
    uint64_t serial; /* of the present wait, timer or request; what carries an older one is late */
};

/* What a judge remembers of a replica, also while its broker is away. */
struct replica_memory {
    bool seen;
    uint64_t life;
    int32_t leader_epoch;
    int64_t high_watermark;
    int64_t end_offset;
    enum partition_role role;
    bool may_linger; /* of a topic that is no more, which it had left before */
};

struct message;

struct sim_broker {
    struct world *world;
    int32_t id; /* its index plus 1 */
    int32_t index;
    bool alive;
    bool paused;
    bool dying;    /* it is being torn down: nothing that it says is heard */
    uint64_t life; /* rises at each death and each start */
    int64_t clock_offset_ms;
    struct memory_files *disk;
    struct log_manager *logs;
    struct replica_manager *replicas;
    struct replica_host host;
    struct fake_client *client;
    struct registration *registration;
    struct controller *controller;
    bool controller_started;
    int64_t registered_epoch;       /* the last one of this life; -1: none yet */
    int32_t heard_controller_epoch; /* the highest of the messages that this life has accepted */
    int64_t intact_since;           /* the broker epoch since which its disk has lost nothing; -1: none yet */
    struct task_heap held;          /* what waits for the end of a pause */
    bool disk_full;                 /* for a while */
    uint32_t disk_failing;          /* the operations (bits) that fail; 0: none */
    const char *disk_failing_path;  /* in this log directory */
    bool disk_struck;               /* one has failed since the disk was last repaired */
    bool directories_changed;       /* the controller is to be told */
    bool directories_telling;       /* that is on its way */
    struct follow_loop loops[SIM_PARTITIONS_MAX];
    bool proposal_wanted[SIM_PARTITIONS_MAX];
    struct message *proposal; /* in flight */
    struct replica_memory memories[SIM_PARTITIONS_MAX];
};

struct sim_topic {
    char path[32];
    struct uuid id;
    bool exists;                 /* in ZooKeeper */
    bool deleting;               /* a tool has asked for it: nothing that it held is promised any more */
    int32_t min_insync_replicas; /* the lowest that was ever asked for */
};

/* A partition as ZooKeeper has it, and its history. */
struct sim_partition {
    char topic[16];
    int32_t number;
    char state_path[64];
    bool exists;                       /* in the topic's znode, with these replicas */
    bool moving;                       /* the replicas are the union of the former and the wanted ones */
    int32_t replicas[SIM_BROKERS_MAX]; /* ids */
    size_t replicas_count;
    bool unclean_asked;   /* an operator has put up with losses, at some time */
    bool voided;          /* and there was such an election: what was promised before it ... */
    int32_t voided_epoch; /* ... or by replicas of an epoch before this one, counts no more */
    bool has_state;
    int32_t leader;
    int32_t leader_epoch;
    int32_t isr[SIM_BROKERS_MAX];
    int64_t isr_broker_epochs[SIM_BROKERS_MAX]; /* NO_BROKER_EPOCH where the state names none */
    size_t isr_count;
    int32_t elr[SIM_BROKERS_MAX]; /* eligible leader replicas */
    int64_t elr_broker_epochs[SIM_BROKERS_MAX];
    size_t elr_count;
    int32_t *leaders; /* by leader epoch; NO_LEADER where there was none */
    size_t leaders_count;
    size_t leaders_capacity;
    int64_t claimed; /* the highest high watermark of any replica */
    int64_t deleted; /* no log start may be above it: what retention could take, or a client asked for */
    struct ghost ghost;
};

struct sim_producer {
    bool idempotent;
    int64_t producer_id;
    int32_t sequence; /* of the next batch */
    uint64_t counter; /* makes values unique */
    /* The batch that is not answered yet. */
    bool busy;
    bool acks_all;
    int32_t partition;
    uint64_t serial;
    int32_t records;
    struct buffer batch;
};

struct sim_consumer {
    int64_t positions[SIM_PARTITIONS_MAX];
};

struct violation {
    bool found;
    const char *rule;
    const char *format;
    int64_t values[TRACE_VALUES];
};

/* How often something worth seeing has happened; printed, so that nobody believes a blind simulator. */
struct sim_counters {
    uint64_t acknowledged, observed, deletions, truncations, elections, isr_changes, crashes, pauses,
        expiries, power_cuts, orderly_stops, topics_deleted, healed, deposed, late_proposals, moves_asked,
        moves_cancelled, moves_ended, elections_asked, unclean_elections, partitions_grown, settings_changed,
        quorum_losses, directories_full, disks_failed, disks_replaced;
};

/* Where an aimed chain of faults stands. */
enum aimed_stage { AIMED_WAITING, AIMED_PROPOSED, AIMED_REFUSED };

struct aimed {
    enum aimed_stage stage;
    int32_t leader; /* indices of brokers */
    int32_t controller;
    int32_t joiner;
    int32_t partition;
    int64_t until_ms; /* then it is given up, or over */
};

struct world {
    struct sim_options options;
    struct swarm swarm;
    struct trace trace;
    struct violation violation;
    struct sim_counters counters;
    struct prng schedule; /* order and delays */
    struct prng faults;
    struct prng workload;
    struct prng random; /* what processes draw */
    int64_t now_ms;
    uint64_t steps;
    bool judging;              /* a judge looks: no disk fails by that */
    bool safety;               /* the first phase: there are faults */
    int64_t messages_until_ms; /* when the latest of the messages on their way comes */
    struct task_heap tasks;
    struct fake_zookeeper *zookeeper;
    int64_t zookeeper_written_ms; /* when anything was last changed there */
    int32_t controller_epoch;     /* as ZooKeeper has it */
    struct sim_broker brokers[SIM_BROKERS_MAX];
    struct sim_topic topics[SIM_PARTITIONS_MAX];
    struct sim_partition partitions[SIM_PARTITIONS_MAX];
    int partition_count; /* those included that are to come */
    struct sim_producer producers[SIM_PRODUCERS_MAX];
    struct sim_consumer consumers[SIM_CONSUMERS];
    struct aimed aimed;
    /* From one broker to another (by index): until when nothing arrives, or all comes late. */
    int64_t cut_until_ms[SIM_BROKERS_MAX][SIM_BROKERS_MAX];
    int64_t clog_until_ms[SIM_BROKERS_MAX][SIM_BROKERS_MAX];
    struct record_batch_builder builder;
    struct log_scan scan;
    struct log_scan other_scan;
    struct buffer scratch;
};

/* ---- world.c ---- */

struct world *world_new(uint64_t seed, const struct sim_options *options);
void world_free(struct world *world);
/* Both phases. false: a judge has found something, see world->violation. */
bool world_run(struct world *world);
/* The first violation is kept. */
void world_fail(struct world *world, const char *rule, const char *format,
                const int64_t values[TRACE_VALUES]);
/* Something happens after `delay_ms`; broker: index, or -1. */
void world_later(struct world *world, int32_t broker, int64_t delay_ms,
                 void (*run)(struct world *world, int32_t broker, void *data), void (*drop)(void *data),
                 void *data);
/* The index of a partition, -1: there is no such one. */
int32_t world_partition_index(const struct world *world, struct slice topic, int32_t number);
/* Time as this broker's clocks have it. */
int64_t broker_now_ms(const struct sim_broker *broker);
int64_t broker_wall_ms(const struct sim_broker *broker);
void world_note(struct world *world, const char *format, const int64_t values[TRACE_VALUES]);

/* ---- broker.c ---- */

void broker_init(struct world *world, int32_t index);
void broker_release(struct sim_broker *broker);
void broker_start(struct world *world, int32_t index);
/* The process ends at once; it is started again later, unless the phase starts all. */
void broker_kill(struct world *world, int32_t index, enum memory_files_crash crash);
/* Stops as an operator stops it. */
void broker_stop(struct world *world, int32_t index);
void broker_pause(struct world *world, int32_t index, int64_t duration_ms);
void broker_resume(struct world *world, int32_t index);
/* It runs and is not in the middle of its death. */
bool broker_acts(const struct sim_broker *broker);
/* A reference, or NULL. */
struct partition *broker_partition(struct world *world, int32_t index, int32_t partition);

/* ---- network.c ---- */

/* What travels. Shared by its copies, its timer and its answer; counted. */
struct message {
    int references;
    int32_t from; /* index of the broker; -1: a client */
    int32_t partition;
    struct uuid topic_id; /* of a fetch and its answer */
    uint64_t serial;
    uint64_t token;
    bool answered;
    bool acks_all;           /* of a produce */
    struct message *request; /* of an answer */
    int16_t error;
    struct fetch_query fetch;
    struct follow_answer follow;
    struct buffer bytes;
    int32_t proposed_epochs[SIM_PARTITIONS_MAX]; /* leader epoch of each partition proposed, else -1 */
    struct uuid proposed_topics[SIM_PARTITIONS_MAX];
    int32_t joiner;       /* index of a broker that is to join an ISR by this proposal; -1: none */
    int32_t joiner_joins; /* the partition */
};

struct message *message_new(int32_t from);
struct message *message_acquire(struct message *message);
void message_release(void *message);
/*
 * Sends, taking over one reference: to broker `to` (index), or to the clients (-1). The message comes never,
 * once or twice, to the life that the receiver is in now. false: it is lost.
 */
bool network_send(struct world *world, int32_t from, int32_t to,
                  void (*arrive)(struct world *world, int32_t broker, void *data), struct message *message);

/* ---- control.c ---- */

struct controller_transport control_transport(struct sim_broker *broker);
void control_proposal_wanted(struct world *world, int32_t index, int32_t partition);
/* Asks the controller to move this broker's leaderships away before it stops. */
void control_announce_stop(struct world *world, int32_t index);
/* The broker's process is gone. */
void control_forget(struct sim_broker *broker);

/* ---- following.c ---- */

void following_start(struct world *world, int32_t index, int32_t partition);
void following_stop(struct world *world, int32_t index, int32_t partition);
/* Something was appended: followers that wait for it ask at once, as a held fetch would be answered. */
void following_wake(struct world *world, int32_t partition);

/* ---- clients.c ---- */

void clients_init(struct world *world);
void clients_release(struct world *world);

/* ---- topics.c ---- */

void topics_define(struct world *world);
void topics_init(struct world *world);
/* A znode was written: perhaps a topic's. */
void topics_on_written(struct world *world, const char *path, struct slice data);
/* A znode was removed: perhaps a topic's. */
void topics_on_removed(struct world *world, const char *path);
struct sim_topic *topic_of(struct world *world, int32_t partition);
/* It is there, and nobody has asked for its deletion. */
bool topic_is_stable(const struct world *world, int32_t partition);
/* The partition's present topic has this id. */
bool topic_is_of(const struct world *world, int32_t partition, struct uuid topic_id);

/* ---- operator.c ---- */

void operator_init(struct world *world);

/* ---- faults.c ---- */

void faults_init(struct world *world);
/* A tool removes /controller, so that another election is held. */
void faults_depose(struct world *world);
/* Faults end, everybody is there again. */
void faults_end(struct world *world);

/* ---- disks.c ---- */

/* Strikes: a disk is full for a while; a log directory of the seed's victim fails until it is repaired. */
void disks_fill(struct world *world);
void disks_fail(struct world *world);
/* The disk is sound again, or (`replace`) another one, empty; the broker is killed if it has seen an error.
 */
void disks_repair(struct world *world, int32_t index, bool replace);
/* All disks are sound and have room. */
void disks_end(struct world *world);
/* No operation fails, and none has that the broker's present life knows of: it has to succeed in all it does.
 */
bool disks_are_sound(const struct sim_broker *broker);
/* log.dirs; their number. */
size_t disks_directories(const struct world *world, const char *const **directories);
/* From the log manager, or a partition: the controller is told, or the process ends. */
void disks_directories_changed(struct sim_broker *broker);
/* Looks whether there is room again. */
void disks_tick(struct sim_broker *broker);

/* ---- aimed.c ---- */

/* After each step: whether it is time for the next link of the chain. */
void aimed_step(struct world *world);
/* A broker sends an ISR proposal to this controller: how late it comes, or -1: as the network has it. */
int64_t aimed_delay(struct world *world, int32_t index, int32_t controller, const struct message *message);
/* A broker hears of its ISR proposal. */
void aimed_on_verdict(struct world *world, int32_t index, int32_t partition, int16_t error);

#endif
