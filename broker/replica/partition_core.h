/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a replica of a partition decides: its role, the ISR, the high watermark. Pure: no locks, no files, no
 * clock. The shell (partition.c) holds the mutex, does what the log must do and tells this core; the
 * simulator runs the same code.
 *
 *                     apply_leader                     apply_leader (higher partition or leader epoch)
 *        +------+ --------------------> +--------+ ----.
 *        | none |                       | leader | <---'
 *        +------+ <-------------------- +--------+
 *            |  ^        resign            |  ^
 *            |  '------------.             v  |  apply_leader / apply_follower, always with a higher
 *            '------------> +----------+ <-'  |  leader epoch (I13, I32)
 *             apply_follower| follower | -----'
 *                           +----------+
 *
 * The rules that are kept here, by their numbers:
 *   I13  a leader is leader in the leader epoch that it was appointed in, and in no other.
 *   I17  a follower's position counts only from a fetch of its present broker epoch and the present leader
 *        epoch that was not answered with a divergence.
 *   I19  the high watermark is never above the end of any member of the maximal ISR: the committed one and
 *        everything proposed and not yet refused.
 *   I20  it does not advance while the ISR is smaller than min(min.insync.replicas, replicas), nor while the
 *        controller keeps replicas outside the ISR eligible to lead.
 *   I21  acks=all succeeds only below the high watermark, in the same leadership, with enough ISR members. A
 *        leader whose epoch the controller raised without anybody else leading in between (it removed a dead
 *        follower) has not cut its log: that is one leadership, and its producers need not send again.
 *   I24  a replica is proposed only at or above the high watermark and the start of the leader's epoch.
 *   I26  the ISR is never empty and holds the leader.
 *   I28  at most one ISR proposal is in flight; every outcome of it clears or repeats it.
 *
 * Durability (flush.messages = N): what is said to have arrived leaves at most N - 1 records to a power cut.
 * So a replica's position is not its log's end but partition_core_durable_end: for the leader in the high
 * watermark and in acks=1, for a follower in the offset that its next fetch names, which is its
 * acknowledgement.
 *
 * A proposal whose answer was lost may still be on its way when a repeat of it is refused: it could be
 * applied after the refusal. So after a refusal in doubt the members of the doubtful proposal go on to count,
 * and the leader proposes the committed ISR as it is: the controller writes it although nothing changes, the
 * partition epoch rises, and nothing older can be applied any more.
 */
#ifndef BROKER_REPLICA_PARTITION_CORE_H
#define BROKER_REPLICA_PARTITION_CORE_H

#include "common/base.h"
#include "proto/control/control.h"

/* More replicas than this are refused at creation (Kafka has no bound; nobody has more). */
#define PARTITION_REPLICAS_MAX 64
#define PARTITION_REPLICAS_FEW 4

enum partition_role { ROLE_NONE, ROLE_LEADER, ROLE_FOLLOWER };

/* Rules that a test may switch off to see that it finds what then breaks. All false in production. */
struct partition_faults {
    bool count_unconfirmed_isr; /* breaks I19: the proposed ISR counts at once, the committed one no more */
    bool truncate_to_high_watermark; /* breaks I15; acted on by the shell */
    bool ignore_fetch_epochs;        /* breaks I14 and I17 */
    bool ignore_epoch_start;         /* breaks I24 */
    bool ignore_durability;          /* breaks what flush.messages promises */
    bool no_barrier;                 /* breaks I19: a refusal in doubt is believed as any other */
    bool ignore_replica_epoch;       /* breaks I17: a fetch of a former life counts */
    bool ignore_min_isr;             /* breaks I20: the high watermark moves on however small the ISR is */
    bool acknowledge_any_epoch;  /* breaks I21: who waits is answered by whatever leadership comes later */
    bool forget_proposal;        /* breaks I28: a proposal that was not answered stays open */
    bool ignore_partition_epoch; /* breaks I32: an older state of the same leader epoch is applied */
    bool high_watermark_before_truncation; /* breaks I18; acted on by the shell, as are the following: */
    bool serve_uncommitted;                /* breaks I22: consumers read to the end of the log */
    bool ignore_controller_epoch;          /* breaks I32, in the replica manager, as do the last two: */
    bool ignore_broker_epoch;
    bool acknowledge_early;       /* breaks I21: acks=all as soon as it is appended */
    bool high_watermark_too_high; /* breaks I19: by two records, for one is on its way */
    bool no_truncation;           /* breaks I15: nobody notices that logs part; acted on by the shell */
    bool ignore_topic_id;         /* breaks I35: a topic is known by its name */
    bool keep_strays;             /* breaks I36: logs of topics that are no more stay */
    bool accept_overtaken;        /* breaks I36: a message counts that a later one has overtaken */
};

/* What a leader knows of another replica. */
struct remote_replica {
    int32_t broker_id;
    int64_t broker_epoch;          /* of the life that fetched last; NO_BROKER_EPOCH before that */
    int64_t end_offset;            /* its fetch offset; -1 unknown */
    int64_t start_offset;          /* its log start; -1 unknown */
    int64_t last_caught_up_ms;     /* when it last had all that the leader had */
    int64_t last_fetch_ms;         /* when it last fetched, and */
    int64_t last_fetch_leader_end; /* what the leader's end was then */
    int64_t told_high_watermark;   /* the last that an answer to it was made for (KIP-392) */
};

struct isr_set {
    struct isr_member members[PARTITION_REPLICAS_MAX];
    size_t count;
};

enum proposal_state {
    PROPOSAL_NONE,
    PROPOSAL_WANTED,    /* decided, to be sent */
    PROPOSAL_IN_FLIGHT, /* sent, not answered */
};

struct partition_core {
    int32_t broker_id; /* this broker */
    enum partition_role role;
    int32_t leader;
    int32_t leader_epoch;       /* -1 before the first appointment */
    int32_t leader_since_epoch; /* leader: the epoch in which this leadership began */
    int32_t compared_epoch;  /* follower: in which our log was last found to be a part of the leader's; -1 */
    int32_t partition_epoch; /* version of the state znode */
    int64_t epoch_start_offset; /* leader: the log's end when it took office */
    int64_t high_watermark;
    int64_t log_end_offset;   /* as the shell last told */
    int64_t log_start_offset; /* likewise */
    int64_t log_start_moves;  /* counts changes of the log starts, and of the replicas that they are of */
    int64_t recovery_point;   /* likewise: everything below is on disk */
    int64_t flush_messages;   /* INT64_MAX: the disk is never waited for */
    bool failed;              /* the log takes nothing any more */

    struct isr_set isr;      /* committed: as the controller wrote it */
    struct isr_set proposed; /* while proposal != PROPOSAL_NONE */
    enum proposal_state proposal;
    bool proposal_in_doubt;    /* an attempt of it was not answered */
    struct isr_set doubtful;   /* of an earlier proposal in doubt that was then refused */
    int64_t proposal_retry_ms; /* nothing is proposed before */
    bool recovering;
    bool commits_held; /* as the controller says (struct control_partition): nothing is committed */

    /* All of the assignment, this broker included: in `few`, or allocated where they are more. There are as
     * many of these structs as partitions, and hardly ever more than three replicas. */
    struct remote_replica *replicas;
    struct remote_replica few[PARTITION_REPLICAS_FEW];
    size_t replicas_count;

    int32_t min_insync_replicas;
    int64_t replica_lag_time_max_ms;
    struct partition_faults faults;
};

/* What the shell has to do after an event. */
struct partition_effects {
    bool high_watermark_moved;
    bool proposal_wanted; /* the ISR proposal is to be sent (partition_core_take_proposal) */
    bool role_changed;    /* role, leader or leader epoch: everybody who waits is told */
};

void partition_core_init(struct partition_core *core, int32_t broker_id, int64_t high_watermark,
                         int64_t log_start_offset, int64_t log_end_offset);
/* Its memory points into itself: it is never copied or moved. */
void partition_core_release(struct partition_core *core);
void partition_core_configure(struct partition_core *core, int32_t min_insync_replicas,
                              int64_t replica_lag_time_max_ms);

/*
 * Whether a leader-and-isr state may be applied (I32): KAFKA_NONE; KAFKA_STALE_CONTROLLER_EPOCH for a lower
 * leader epoch, or for a lower partition epoch in the same leader epoch. *news is false when it says exactly
 * what is known (a repeat, answered with success and nothing done).
 */
int16_t partition_core_check_state(const struct partition_core *core, const struct control_partition *state,
                                   bool *news);

/*
 * Takes office, or learns of a new ISR in the same leadership. In a new leader epoch the epoch starts at the
 * log's end (the shell has noted it in the log's epoch cache).
 */
void partition_core_apply_leader(struct partition_core *core, const struct control_partition *state,
                                 int64_t now_ms, struct partition_effects *effects);
void partition_core_apply_follower(struct partition_core *core, const struct control_partition *state,
                                   struct partition_effects *effects);
/* Neither leader nor follower: stopped or deleted. */
void partition_core_resign(struct partition_core *core, struct partition_effects *effects);
/* Its log has failed, for good: resigns, and whoever waits for an acknowledgement is told of the disk. */
void partition_core_fail(struct partition_core *core, struct partition_effects *effects);

/* The log has grown (or, for a follower, was cut): its bounds now. */
void partition_core_on_log(struct partition_core *core, int64_t log_start_offset, int64_t log_end_offset,
                           int64_t now_ms, struct partition_effects *effects);

/* flush.messages is this from now on. */
void partition_core_configure_flush(struct partition_core *core, int64_t flush_messages);
/* A flush has ended (or a truncation lowered it): everything below the recovery point is on disk. It may lie
 * above the log's end. */
void partition_core_on_durable(struct partition_core *core, int64_t recovery_point, int64_t now_ms,
                               struct partition_effects *effects);
/* Up to where the log may be acknowledged by flush.messages: recovery point > end - flush.messages. */
int64_t partition_core_durable_end(const struct partition_core *core);

struct follower_fetch {
    int32_t broker_id;
    int64_t broker_epoch; /* NO_BROKER_EPOCH: not given */
    int32_t leader_epoch; /* the follower's; -1: not given */
    int64_t fetch_offset;
    int64_t log_start_offset;
};

/*
 * Whether a follower's fetch may be served at all: KAFKA_NONE, KAFKA_NOT_LEADER_OR_FOLLOWER,
 * KAFKA_FENCED_LEADER_EPOCH, KAFKA_UNKNOWN_LEADER_EPOCH, or for a broker that has no replica here
 * KAFKA_UNKNOWN_LEADER_EPOCH (epoch given) and KAFKA_NOT_LEADER_OR_FOLLOWER.
 */
int16_t partition_core_check_follower(const struct partition_core *core, const struct follower_fetch *fetch);
/* The fetch was served without a divergence: its offset is the follower's end (I17). Stale lives are ignored.
 */
void partition_core_on_follower_fetch(struct partition_core *core, const struct follower_fetch *fetch,
                                      int64_t now_ms, struct partition_effects *effects);

/*
 * Where followers serve consumers, they are to hear of the high watermark at once (KIP-392): whether it is
 * above what this follower was last told. The caller answers with it now: it counts as told from here on.
 */
MUST_CHECK bool partition_core_tell_high_watermark(struct partition_core *core, int32_t broker_id);

/*
 * The low watermark: the lowest log start of this leader and of those followers that `is_alive` says live; -1
 * while one of them has not fetched from this leader yet.
 */
int64_t partition_core_low_watermark(const struct partition_core *core,
                                     bool (*is_alive)(const void *context, int32_t broker_id),
                                     const void *context);

/* Follower: what the leader says is committed, after the append (I18). */
void partition_core_on_leader_high_watermark(struct partition_core *core, int64_t leader_high_watermark,
                                             struct partition_effects *effects);

/* Looks for ISR members that lag (replica.lag.time.max.ms) and for proposals to repeat. */
void partition_core_on_tick(struct partition_core *core, int64_t now_ms, struct partition_effects *effects);

/*
 * The proposal to send now, if there is one that waits: fills *isr, and the proposal is in flight. The epochs
 * that belong to it are core->leader_epoch and core->partition_epoch.
 */
MUST_CHECK bool partition_core_take_proposal(struct partition_core *core, int64_t now_ms,
                                             struct isr_set *isr);

/* How long to wait before a proposal that failed is sent again. */
#define PROPOSAL_RETRY_MS 200

/* The controller's answer, or result->error = KAFKA_REQUEST_TIMED_OUT when none came. Answers of another
 * leader epoch are ignored. */
void partition_core_on_proposal_answer(struct partition_core *core, int32_t leader_epoch,
                                       const struct alter_partition_result *result, int64_t now_ms,
                                       struct partition_effects *effects);

/* Before an append: KAFKA_NONE, KAFKA_NOT_LEADER_OR_FOLLOWER, for acks=all KAFKA_NOT_ENOUGH_REPLICAS, or
 * KAFKA_KAFKA_STORAGE_ERROR. */
int16_t partition_core_check_append(const struct partition_core *core, bool acks_all);

/* "Not yet": no Kafka error has this number. */
#define PRODUCE_PENDING INT16_MIN

/*
 * Whether what was appended in `leader_epoch` up to `end_offset` (exclusive) is acknowledged (I21):
 * KAFKA_NONE, KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND, KAFKA_NOT_LEADER_OR_FOLLOWER, KAFKA_KAFKA_STORAGE_ERROR
 * or PRODUCE_PENDING. Without `acks_all` the leader's own disk is all that is asked.
 */
int16_t partition_core_check_acknowledged(const struct partition_core *core, bool acks_all,
                                          int32_t leader_epoch, int64_t end_offset);

/* Compares an epoch that a client names with ours: KAFKA_NONE, KAFKA_FENCED_LEADER_EPOCH,
 * KAFKA_UNKNOWN_LEADER_EPOCH. -1 passes. */
int16_t partition_core_check_epoch(const struct partition_core *core, int32_t leader_epoch);

/* Whether `broker_id` is in the committed ISR, in the maximal one. */
bool isr_set_contains(const struct isr_set *set, int32_t broker_id);
bool partition_core_in_maximal_isr(const struct partition_core *core, int32_t broker_id);

/* CHECKs what must hold between events; called at the end of each. */
void partition_core_invariants(const struct partition_core *core);

#endif
