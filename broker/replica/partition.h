/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica of a partition on this broker: the core that decides, the log that keeps, and those who wait.
 *
 * One mutex each. All functions may be called from any thread and take it themselves; no second lock is taken
 * inside it; watchers fire and the host is called only after it was released. Nothing in it waits for another
 * machine.
 *
 * Lifetime: counted references. The replica manager's table holds one; whoever keeps a pointer (a parked
 * request, a fetcher) holds its own.
 */
#ifndef BROKER_REPLICA_PARTITION_H
#define BROKER_REPLICA_PARTITION_H

#include "broker/log/partition_log.h"
#include "broker/replica/partition_core.h"
#include "broker/replica/replica_selector.h"
#include "common/base.h"
#include "common/list.h"
#include "common/slice.h"
#include "common/uuid.h"

struct partition;

enum flush_urgency {
    FLUSH_AWAITED, /* acknowledgements wait for it (flush.messages) */
    FLUSH_AT_EASE, /* a whole segment waits to be synced */
};

/* Where a partition turns to after an event, outside its mutex. */
struct partition_host {
    /* The partition has an ISR proposal to be sent (partition_take_proposal); called on the thread of the
     * event. */
    void (*proposal_wanted)(struct partition_host *host, struct partition *partition);
    /*
     * The log is to be flushed: the host calls partition_flush_begin with this urgency from wherever the disk
     * may be waited for, soon. Asked once until then; what comes meanwhile is in the same flush, what comes
     * later asks again when that one has ended. Called on the thread of the event, which must not wait. NULL:
     * nobody flushes.
     */
    void (*flush_wanted)(struct partition_host *host, struct partition *partition,
                         enum flush_urgency urgency);
    /* The log has failed, alone or with its directory: this replica serves no more, and others are to know.
     * Told once, by a tick. NULL: nobody is told. */
    void (*log_failed)(struct partition_host *host, struct partition *partition);
};

struct partition_options {
    struct slice topic;
    struct uuid topic_id;
    int32_t partition;
    int32_t broker_id;
    struct partition_log *log; /* borrowed: the log manager's */
    int64_t high_watermark;    /* checkpointed */
    int32_t min_insync_replicas;
    int64_t replica_lag_time_max_ms;
    struct partition_host *host;
    struct partition_faults faults;
};

/* One reference, the caller's. */
struct partition *partition_new(const struct partition_options *options);
struct partition *partition_acquire(struct partition *partition);
void partition_release(struct partition *partition);

/* These never change. */
struct slice partition_topic(const struct partition *partition);
struct uuid partition_topic_id(const struct partition *partition);
int32_t partition_number(const struct partition *partition);

/* Settings that changed while it runs. */
void partition_configure(struct partition *partition, const struct log_settings *settings,
                         int32_t min_insync_replicas);

/* Whether throttles hold this replica up, as the topic's settings say (replication_throttle.h). No lock is
 * taken. */
void partition_set_throttled(struct partition *partition, bool as_leader, bool as_follower);
bool partition_is_throttled_as_leader(const struct partition *partition);
bool partition_is_throttled_as_follower(const struct partition *partition);

/* ---- roles ---- */

/*
 * Applies what the controller says (leader-and-isr). KAFKA_NONE also for an exact repeat;
 * KAFKA_STALE_CONTROLLER_EPOCH when we know better; KAFKA_KAFKA_STORAGE_ERROR. *follow is set when this
 * replica follows now and its fetching must be (re)started; *role tells the role that it has now.
 */
int16_t partition_apply_state(struct partition *partition, const struct control_partition *state,
                              int64_t now_ms, enum partition_role *role, bool *follow);
/* Stops leading and following; with `leader_epoch` >= 0 only if it is not lower than ours (else
 * KAFKA_FENCED_LEADER_EPOCH). */
int16_t partition_stop(struct partition *partition, int32_t leader_epoch);
/* Stops for good: the log will be deleted or closed and is not touched any more. */
void partition_close(struct partition *partition);

struct partition_status {
    enum partition_role role;
    int32_t leader;
    int32_t leader_epoch;
    int32_t partition_epoch;
    int64_t high_watermark;
    /* What the checkpoint may say: no more than the recovery point while a cut of the log is not on disk.
     * Else a power loss could bring back what was cut, below a high watermark that was reached later with
     * other records. */
    int64_t durable_high_watermark;
    int64_t log_start_offset;
    int64_t log_end_offset;
    int64_t recovery_point;
    int64_t size_bytes;
    int failure; /* 0, or the -errno that took the log offline */
    struct isr_set isr;
};

void partition_status(struct partition *partition, struct partition_status *status);

/* Where the log of a replica ends that knows of no leader, with the leader epoch that it knows; *last_epoch
 * -1: the log is empty. false: there is a leader, or no log. */
MUST_CHECK bool partition_leaderless_end(struct partition *partition, int32_t *leader_epoch,
                                         int32_t *last_epoch, int64_t *end_offset);

/* ---- produce ---- */

struct produce_result {
    int64_t base_offset; /* -1 on error */
    int64_t append_time_ms;
    int64_t log_start_offset;
    int64_t end_offset;        /* exclusive: what must be below the high watermark for acks=all */
    bool durable;              /* as flush.messages demands: acks=1 may be answered */
    int32_t leader_epoch;      /* in which it was appended */
    const char *error_message; /* constant or NULL */
    /* The records that are to blame; see struct log_append_result. */
    struct record_error record_errors[RECORD_ERRORS_MAX];
    size_t record_error_count;
};

/* Appends one batch, patched in place; see partition_log_append_as_leader. A Kafka error code. */
int16_t partition_produce(struct partition *partition, uint8_t *batch, size_t length, int16_t produce_version,
                          bool acks_all, int64_t wall_ms, int64_t now_ms, struct produce_result *result);
/* Whether it is acknowledged: KAFKA_NONE, an error, or PRODUCE_PENDING (partition_core_check_acknowledged).
 */
int16_t partition_check_produce(struct partition *partition, bool acks_all, int32_t leader_epoch,
                                int64_t end_offset);

/* ---- fetch ---- */

struct fetch_query {
    int32_t replica_id;           /* -1: a consumer */
    int64_t replica_epoch;        /* broker epoch of the follower; NO_BROKER_EPOCH: not given */
    int32_t current_leader_epoch; /* -1: not given */
    int32_t last_fetched_epoch;   /* -1: not given */
    int64_t fetch_offset;
    int64_t log_start_offset; /* follower's; -1 */
    int64_t max_bytes;
    bool at_least_one;        /* the first batch whole, whatever max_bytes */
    bool read_committed;      /* of a consumer: no further than the last stable offset */
    int64_t enough_bytes;     /* where fewer are found, more_behind is looked for */
    bool leader_only;         /* consumers before v11 read from leaders only */
    bool bounds_only;         /* no records: the reader is sent elsewhere */
    bool hold_up;             /* a follower that is not in the ISR gets no records (replication_throttle.h) */
    bool tell_high_watermark; /* a follower is to hear at once when it has moved (KIP-392) */
};

struct fetch_result {
    int64_t high_watermark;
    int64_t last_stable_offset;
    int64_t log_start_offset;
    int64_t log_end_offset;
    int32_t leader; /* for the hint in NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH answers */
    int32_t leader_epoch;
    bool diverging; /* then: */
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
    struct log_range range;
    struct aborted_transaction *aborted; /* read_committed: those that touch the range, by their markers */
    size_t aborted_count;
    size_t aborted_capacity;
    /* Behind the range lies more that may be read, in the next segment or beyond max_bytes: however long one
     * waits, the range does not grow. */
    bool more_behind;
    bool held_up;              /* there are records, but the follower is held up */
    bool high_watermark_moved; /* since this follower was last told; with tell_high_watermark */
};

/*
 * Plans a fetch: checks epochs and bounds and finds the bytes, all under one lock (I22). A follower's fetch
 * also moves its replica state. *result is filled as far as it is known also on error. A Kafka error code.
 */
int16_t partition_fetch(struct partition *partition, const struct fetch_query *query, int64_t now_ms,
                        struct fetch_result *result);
/*
 * The followers that a consumer may read from `fetch_offset` on: in the ISR, and with that offset within what
 * the leader knows of their logs. Only leaders name any. Racks are the caller's to fill in. At most
 * PARTITION_REPLICAS_MAX of them.
 */
size_t partition_read_candidates(struct partition *partition, int64_t fetch_offset, int64_t now_ms,
                                 struct read_candidate *candidates);
/* Gives back the range, where it is there still, and the list of transactions. */
void fetch_result_release(struct fetch_result *result);

/* ---- deletion of records (partition_delete.c) ---- */

#define DELETE_UP_TO_HIGH_WATERMARK (-1)

/*
 * DeleteRecords: the leader's log begins at `offset`, or at the high watermark, from now on; an offset below
 * the log start changes nothing. *required: what the low watermark has to reach. A Kafka error code:
 * KAFKA_NOT_LEADER_OR_FOLLOWER, KAFKA_POLICY_VIOLATION (cleanup.policy has no delete),
 * KAFKA_OFFSET_OUT_OF_RANGE (above the high watermark, or negative), KAFKA_KAFKA_STORAGE_ERROR.
 */
int16_t partition_delete_records(struct partition *partition, int64_t offset, int64_t now_ms,
                                 int64_t *required);

struct low_watermark {
    int64_t offset;       /* of all replicas that live; -1: one of them is not known to this leader yet */
    int64_t moves;        /* and */
    int32_t leader_epoch; /* for partition_watch: WATCH_LOG_STARTS */
};

/* The lowest log start of the replicas that live. KAFKA_NONE, or KAFKA_NOT_LEADER_OR_FOLLOWER. */
int16_t partition_low_watermark(struct partition *partition,
                                bool (*is_alive)(const void *context, int32_t broker_id), const void *context,
                                struct low_watermark *low);

/* ---- offsets ---- */

/*
 * ListOffsets for one partition, below the high watermark, read_committed: below the last stable offset.
 * timestamp >= 0, or -1 latest, -2 earliest, -3 max timestamp, -4 earliest
 * local, -5 latest tiered. A Kafka error code (KAFKA_OFFSET_NOT_AVAILABLE while a new leader does not know
 * yet what is committed).
 */
int16_t partition_list_offset(struct partition *partition, int32_t replica_id, int32_t current_leader_epoch,
                              bool read_committed, int64_t timestamp, struct log_timestamp_offset *found);
/* OffsetForLeaderEpoch: where the greatest epoch <= `epoch` ends. */
int16_t partition_epoch_end(struct partition *partition, int32_t current_leader_epoch, int32_t epoch,
                            int32_t *found_epoch, int64_t *end_offset);

/* ---- following ---- */

struct follow_position {
    int32_t leader;
    int32_t leader_epoch;
    int64_t fetch_offset;
    int32_t last_fetched_epoch; /* -1: empty log */
    int64_t log_start_offset;
    /* The disk has it as flush.messages demands. A fetch says to the leader that we hold everything below its
     * offset, so it must not be sent before (WATCH_DURABLE at fetch_offset tells when). */
    bool durable;
};

/* What to ask the leader next; false when this replica does not follow. */
MUST_CHECK bool partition_follow_position(struct partition *partition, struct follow_position *position);

struct follow_answer {
    int32_t leader; /* of the request that it answers */
    int32_t leader_epoch;
    int64_t fetch_offset;
    int32_t last_fetched_epoch; /* likewise */
    int16_t error;
    int64_t high_watermark;
    int64_t log_start_offset;
    bool diverging;
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
    struct slice records;
};

enum follow_outcome {
    FOLLOW_CONTINUE, /* ask again at once */
    FOLLOW_BACKOFF,  /* ask again after a pause (an error of the leader) */
    FOLLOW_DAMAGED,  /* the same: the batch at the offset that was asked for is damaged at the leader */
    FOLLOW_STALE,    /* the answer belongs to another time: nothing was done */
    FOLLOW_FAILED,   /* this replica cannot go on (its disk) */
};

/*
 * Takes a leader's answer in the order of I18: a divergence truncates and nothing else is taken from it; else
 * append, then log start, then high watermark. Offsets out of range at the leader are handled here too: the
 * log is cut or emptied to where the leader's begins (the answer's log_start_offset and high_watermark).
 */
enum follow_outcome partition_follow(struct partition *partition, const struct follow_answer *answer,
                                     int64_t wall_ms, int64_t now_ms);

/* ---- ISR ---- */

/* Leader: looks for laggards and repeats proposals; resigns when its log has failed. Call it every second or
 * more often. False: somebody held the partition until `wait_until_ms` (clock_monotonic_ms), perhaps one whom
 * a disk keeps waiting, and nothing was done; the next call makes up for it. */
bool partition_tick(struct partition *partition, int64_t now_ms, int64_t wait_until_ms);
/* The proposal to send, as an alter-partition item; its isr is filled into *isr and item->isr points there.
 */
MUST_CHECK bool partition_take_proposal(struct partition *partition, int64_t now_ms, struct isr_set *isr,
                                        struct alter_partition_item *item);
void partition_on_proposal_answer(struct partition *partition, int32_t leader_epoch,
                                  const struct alter_partition_result *result, int64_t now_ms);

/* ---- durability (partition_flush.c) ---- */

/*
 * Begins the flush that the host was asked for. *flush to be run (log_flush_run, on any thread) and ended; or
 * NULL: there is nothing to do (any more), or another one is under way, after which the host is asked again
 * where that is needed. 0 or -errno.
 */
MUST_CHECK int partition_flush_begin(struct partition *partition, enum flush_urgency urgency, int64_t now_ms,
                                     struct log_flush **flush);
/*
 * Ends it, with what log_flush_run said: moves the high watermark and wakes those whose records are durable
 * now, or, where the log has failed, all who wait. 0 or -errno (partition_log_flush_end): one that could not
 * be done for want of descriptors or room is asked for again after the next tick.
 */
int partition_flush_end(struct partition *partition, struct log_flush *flush, int error, int64_t now_ms);
/*
 * All three at once, whether it was asked for or not: makes durable what was appended so far. Blocks for the
 * disk, without the mutex: appends go on meanwhile. 0 or -errno.
 */
int partition_flush(struct partition *partition, int64_t now_ms);
/* Asks the host for a flush, at ease, where records have waited for theirs for flush.ms. */
void partition_ask_for_aged_flush(struct partition *partition, int64_t now_ms);
/* What the logs of the same directory share: tells directories apart, and outlives them. NULL: none. Takes no
 * lock: the directory may be one that hangs. */
const struct log_health *partition_directory_health(struct partition *partition);

/* ---- work on the log by others ---- */

/*
 * Locks the partition and gives its log, for retention, compaction and questions: NULL, and not locked, when
 * the partition is closed. What is done must be short and must not append. The way out tells the core of a
 * log start that has moved, and wakes those who wait.
 */
struct partition_log *partition_enter_log(struct partition *partition);
void partition_leave_log(struct partition *partition, int64_t now_ms);
/* The high watermark; only between the two. */
int64_t partition_entered_high_watermark(const struct partition *partition);
/*
 * Between the two: `log` takes the place of the log that was entered. It has the same end, and all of it is
 * durable. Nobody may use the other one afterwards but for ranges and flushes that were begun on it.
 */
void partition_put_log(struct partition *partition, struct partition_log *log);

/* ---- waiting ---- */

enum watch_kind {
    WATCH_HIGH_WATERMARK, /* until the high watermark is >= offset */
    WATCH_END,            /* until the log's end is > offset */
    WATCH_ACKNOWLEDGED,   /* until partition_check_produce(acks_all, leader_epoch, offset) has another verdict
                             than pending */
    WATCH_WRITTEN,        /* likewise, of acks=1 */
    WATCH_LOG_STARTS, /* leader: until the log start of some replica moves; `offset`: low_watermark.moves */
    WATCH_DURABLE,    /* follower: until everything below offset is durable as flush.messages demands */
};

#define WATCH_KINDS 6

/* One wait for one partition; memory is the waiter's. */
struct partition_watcher {
    /*
     * Called once, on any thread, without any lock held: when the condition holds, and at every change of
     * role, leader or leader epoch, and when the partition is closed. It only posts a mail.
     */
    void (*fire)(struct partition_watcher *watcher);
    struct list _node;
    enum watch_kind _kind;
    int64_t _offset;
    bool _armed;
};

/*
 * Arms the watcher. `leader_epoch` is the one the caller's last look saw, for WATCH_ACKNOWLEDGED and
 * WATCH_WRITTEN that of the append. False, and not armed, when the condition holds already or the leader
 * epoch is another by now (for those two: another leadership): look again.
 */
MUST_CHECK bool partition_watch(struct partition *partition, struct partition_watcher *watcher,
                                enum watch_kind kind, int64_t offset, int32_t leader_epoch);
/* True: disarmed, it will not fire. False: it has fired or is firing; its mail was or will be posted. */
bool partition_unwatch(struct partition *partition, struct partition_watcher *watcher);

#endif
