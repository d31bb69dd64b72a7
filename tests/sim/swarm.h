/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a seed draws before anything happens: how large the cluster is, how fast everything goes, and which
 * faults exist at all this time (each is absent in about half of the seeds, so that what one fault hides
 * another seed shows).
 */
#ifndef TESTS_SIM_SWARM_H
#define TESTS_SIM_SWARM_H

#include "broker/replica/partition_core.h"
#include "common/base.h"
#include "common/buffer.h"
#include "coordinator/controller/controller.h"

#define SIM_BROKERS_MAX 5
#define SIM_PARTITIONS_MAX 4

/* Rules of the code around the cores, broken from outside. */
struct world_faults {
    bool clean_mark_kept; /* I8: a log directory looks cleanly stopped whatever has happened */
};

/* What the command line says, the same for all seeds. */
struct sim_options {
    struct partition_faults partition_faults;
    struct controller_faults controller_faults;
    struct world_faults world_faults;
    bool lossy;    /* power cuts too: of one broker of each seed, and min.insync.replicas is 2; or with
                      flush.messages=1 of any */
    bool flush;    /* flush.messages=1 in all seeds */
    bool moves;    /* operators move replicas in every seed */
    bool unhashed; /* nobody asks for the hash of the story */
    bool trace;    /* the story to standard output */
};

/*
 * What a small share of the seeds is aimed at: chains of events so long that chance alone hardly ever makes
 * them (aimed.c).
 */
enum sim_aim {
    AIM_NONE,
    AIM_LATE_PROPOSAL,      /* an ISR proposal arrives after its repeat was refused, and is welcome again */
    AIM_DEPOSED_CONTROLLER, /* writes of a controller arrive after the election of the next one */
};

struct swarm {
    uint64_t seed;
    enum sim_aim aim;
    int brokers;
    int topics;
    int partitions_each; /* partitions of a topic */
    int slots_each;      /* with those that it may get later */
    int replication_factor;
    int32_t min_insync_replicas;
    int zookeeper_servers;
    bool topics_without_id; /* as an old tool writes them */
    int64_t segment_bytes;
    int64_t flush_messages;  /* INT64_MAX: none */
    int64_t sync_ms;         /* how long a sync takes, at most */
    int64_t retention_bytes; /* -1: all is kept */

    int64_t safety_ms; /* how long there are faults */
    int64_t session_timeout_ms;
    int64_t replica_lag_time_max_ms;
    int64_t fetch_idle_ms;       /* pause of a follower that has everything */
    int64_t fetch_timeout_ms;    /* without an answer, ask again */
    int64_t proposal_timeout_ms; /* likewise, ISR proposals */
    int64_t control_timeout_ms;  /* likewise, the controller's messages */
    int64_t delay_low_ms;        /* of a message between two machines */
    int64_t delay_high_ms;
    int64_t zookeeper_delay_ms; /* at most */
    int64_t tick_ms;            /* of the replica managers */
    int64_t controller_retry_ms;
    int64_t
        controller_compare_ms; /* of the controller's memory with ZooKeeper; seldom: it hides lost events */
    int64_t checkpoint_ms;     /* of high watermarks and recovery points */
    int64_t produce_ms;        /* between two batches of a producer */
    int64_t consume_ms;
    int64_t delete_topic_ms; /* between two deletions of topics; 0: never */
    int64_t delete_ms;       /* between two DeleteRecords; 0: never */
    /* Between two wishes of operators; 0: never. */
    int64_t move_every_ms;
    int64_t elect_every_ms;
    int64_t grow_every_ms;
    int64_t configure_every_ms;
    bool unclean; /* they ask for unclean elections too */
    int producers;

    /* Mean times between two of a kind, over the whole cluster; 0: never. */
    int64_t crash_every_ms;
    int64_t power_cut_every_ms;
    int power_victim; /* index of the one broker that loses power: fewer than min.insync.replicas logs are
                         damaged; -1: any, as with flush.messages=1 nothing that counts is */
    int64_t disk_full_every_ms; /* of any broker */
    int64_t disk_failure_every_ms;
    int disk_victim;      /* whose; min.insync.replicas is 2 then */
    bool two_directories; /* in log.dirs of each broker */
    int64_t orderly_stop_every_ms;
    int64_t pause_every_ms;
    int64_t expire_every_ms;
    int64_t depose_every_ms;      /* a tool removes /controller */
    int64_t quorum_loss_every_ms; /* ZooKeeper serves nobody for a while */
    int64_t clog_every_ms;        /* one way between two brokers, for a while */
    int64_t cut_every_ms;         /* likewise, nothing gets through */
    int64_t down_ms;              /* how long a dead broker stays away, at most */
    /* Once in n messages; 0: never. */
    uint32_t lose_one_in;
    uint32_t duplicate_one_in;
    uint32_t straggle_one_in; /* is late by up to straggle_ms */
    int64_t straggle_ms;
    uint32_t lose_answer_one_in; /* ZooKeeper's */
    uint32_t cut_one_in;         /* connections to ZooKeeper */
    bool tells_intact;           /* brokers register since when their disks have lost nothing */
    bool crash_in_write;         /* some crashes come in the middle of a disk operation */
};

void swarm_draw(struct swarm *swarm, uint64_t seed, const struct sim_options *options);
/* How long it takes at most, without faults, until a record is on a follower's disk and the leader knows. */
int64_t swarm_append_way_ms(const struct swarm *swarm);
/* What a broker has written may be gone: lost power, or its disk. */
bool swarm_damages(const struct swarm *swarm);
/* All of it, for a failure's report. */
void swarm_tell(const struct swarm *swarm, struct buffer *out);

#endif
