/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of one partition: a folder of segments in Kafka's formats (docs of the formats stand in
 * segment.h, offset_index.h, time_index.h, epoch_cache.h, producer_state.h).
 *
 * Thread: none of its own. The owner (the partition, under its mutex) makes all calls; the one exception is a
 * log_range, which is released from any thread. All files go through common/file.h.
 *
 * Errors: protocol-level functions return a Kafka error code; KAFKA_KAFKA_STORAGE_ERROR means that the disk
 * refused and `partition_log_failure` tells the errno. After a failed write the file is cut back to where it
 * was (invariant I5); where that fails too, or a sync failed, or on EIO, EROFS and their like (disk_error.h),
 * the log is offline for good (I6): every later call says KAFKA_KAFKA_STORAGE_ERROR. A full disk is no
 * failure: see partition_log_is_full.
 */
#ifndef BROKER_LOG_PARTITION_LOG_H
#define BROKER_LOG_PARTITION_LOG_H

#include <stdatomic.h>

#include "broker/log/transaction_index.h"
#include "common/base.h"
#include "common/file.h"
#include "common/log.h"
#include "common/slice.h"
#include "common/uuid.h"
#include "proto/records/validate.h"

struct open_files;
struct partition_log;
struct record_walkers;
struct segment;

/* The effective topic settings that the log acts on; Kafka's names in comments where they differ. */
struct log_settings {
    int64_t segment_bytes;
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int64_t index_interval_bytes;
    int64_t segment_index_bytes;
    int64_t max_message_bytes;
    int64_t flush_messages;
    bool log_append_time; /* message.timestamp.type=LogAppendTime */
    int64_t timestamp_before_max_ms;
    int64_t timestamp_after_max_ms;
    int compression; /* enum codec, or -1: keep the producer's */
    int32_t compression_gzip_level;
    int32_t compression_lz4_level;
    int32_t compression_zstd_level;
    bool compacted; /* cleanup.policy has compact */
    bool retained;  /* cleanup.policy has delete: retention by time and size */
    int64_t producer_id_expiration_ms;
    int64_t flush_ms;
    int64_t retention_ms;         /* -1: unlimited */
    int64_t retention_bytes;      /* -1: unlimited */
    int64_t file_delete_delay_ms; /* between a file's renaming to .deleted and its unlinking */
    int64_t delete_retention_ms;  /* how long tombstones and markers outlive what they delete */
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
    bool ignore_sequences; /* only a test of the tests: what a producer repeats is appended again */
};

/* Kafka's defaults. */
void log_settings_init(struct log_settings *settings);
/* At which age a segment is closed: segment.ms, in a compacted log max.compaction.lag.ms where that is less
 * (KIP-354). */
int64_t log_settings_segment_ms(const struct log_settings *settings);

/* Within what the offsets of a log in the checkpoint files on disk must lie. */
struct log_checkpoint_bounds {
    int64_t recovery_point_min;
    int64_t recovery_point_max;
    int64_t log_start_offset_max;
    int64_t log_start_offset_min;
};

/*
 * The log is about to do what a crash would only survive if the checkpoints lie within these bounds; where
 * they do not, or have no entry for the log at all, they are to be written now. Called by truncations
 * (nothing above the cut may be trusted any more; a log that begins anew has nothing below there), before a
 * gap between two segments (what lies behind it must not be taken for the rest of a log with a hole), and at
 * the first roll; under the owner's lock. 0, or -errno: then the log does not do it.
 */
typedef int log_keep_checkpoints(void *context, const struct log_checkpoint_bounds *bounds);

/*
 * What all logs of one log directory share: the error that took it offline (I6). The first log that fails
 * tells it, all others see it at their next call. Any thread; it must outlive the logs.
 */
struct log_health {
    atomic_int failure; /* 0, or -errno: offline until the broker starts again */
    atomic_int full;    /* 0, or -ENOSPC, -EDQUOT: appends are refused until a probe has found room */
    /* Errors that pass may come with every append: one line a minute, by the monotonic clock. */
    atomic_int_least64_t next_passing_line_ms;
    atomic_uint_least64_t passing_untold; /* since the last one */
    atomic_bool has_cut; /* a recovery found less than there had been: see log_manager_intact.c */
    atomic_int_least64_t refused_bytes; /* the largest append that found no room: a probe asks for as much */
    /* Told once, by whoever met the failure, perhaps under a partition's lock: it may only note and wake. May
     * be NULL. */
    void (*failed)(struct log_health *health, int error);
    /* Likewise, each time that it becomes full. */
    void (*filled)(struct log_health *health, int error);
};

/* Checkpoints that say nothing of this log. */
#define LOG_RECOVERY_POINT_UNKNOWN (-1)

struct partition_log_options {
    struct file_system *files;
    struct logger *logger;
    const char *directory;     /* the partition's folder; made when missing */
    struct log_health *health; /* NULL: the log fails alone */
    struct log_settings settings;
    struct open_files *open_files; /* those of all logs; NULL: not counted, none is closed */
    bool clean;                    /* the last stop was clean: trust what is there, read no segment */
    bool expect_none;       /* nobody knows of such a log: a folder that is there all the same is not trusted,
                               whatever `clean` and `recovery_point` say */
    int64_t recovery_point; /* everything below is known to be on disk; or LOG_RECOVERY_POINT_UNKNOWN: then
                               all is checked, and gaps between segments are believed */
    bool durable_rolls; /* a segment is durable before the next one begins: recovery may believe all gaps */
    int64_t log_start_offset;               /* checkpointed; 0 where none */
    int64_t high_watermark;                 /* checkpointed; 0 where none */
    atomic_int_least64_t *checked_bytes;    /* recovery adds what it has checked; may be NULL */
    int64_t first_dirty_offset;             /* of the cleaner's checkpoint; 0, -1: nothing was cleaned */
    int64_t now_ms;                         /* wall clock */
    uint64_t seed;                          /* for the jitter of segment.ms */
    struct record_walkers *walkers;         /* shared with other logs; NULL: none are kept */
    log_keep_checkpoints *keep_checkpoints; /* may be NULL */
    void *keep_checkpoints_context;
};

/*
 * Opens or creates the log. Not clean: recovers from the recovery point on: every batch is checked, a torn
 * tail is cut (later segments go), indexes, epoch cache and producer state are rebuilt. 0 or -errno; -EIO is
 * never taken for a torn tail.
 */
MUST_CHECK int partition_log_open(const struct partition_log_options *options, struct partition_log **log);
/* Closes without flushing: what a crash of the process leaves behind is the same. */
void partition_log_free(struct partition_log *log);
/* Flushes, writes the producer snapshot and cuts the indexes, for a clean stop; then the log may only be
 * freed. */
MUST_CHECK int partition_log_close(struct partition_log *log);

/* Whether an append or read may look at new settings from now on. */
void partition_log_configure(struct partition_log *log, const struct log_settings *settings);
const struct log_settings *partition_log_settings(const struct partition_log *log);

/* May be asked without the owner's lock. */
int64_t partition_log_start_offset(const struct partition_log *log);
/* The same for a checkpoint: it does not fall while an append begins the log within a batch. */
int64_t partition_log_start_offset_kept(const struct partition_log *log);
/* The offset that the next record gets. */
int64_t partition_log_end_offset(const struct partition_log *log);
/* Everything below is durable. May lie above the end, before a gap that is about to be crossed. May be asked
 * without the owner's lock. */
int64_t partition_log_recovery_point(const struct partition_log *log);
int64_t partition_log_size_bytes(const struct partition_log *log);
/* To be called every second or so: closes files that were not used for a while when many are open. `now_ms`
 * of a clock that does not go back. */
void partition_log_tick(struct partition_log *log, int64_t now_ms);
/* 0, or the -errno that took the log, or its whole directory, offline. May be asked without the owner's
 * lock. */
int partition_log_failure(const struct partition_log *log);
/* What it shares with the logs of its directory; NULL: nothing. May be asked without the owner's lock. */
struct log_health *partition_log_health(const struct partition_log *log);

/* Whether the log's directory is full: appends are refused at once, reads and deletions go on. May be asked
 * without the owner's lock. */
bool partition_log_is_full(const struct partition_log *log);

/* partition.metadata: the id of the topic that this folder belongs to; zero where there is none. */
struct uuid partition_log_topic_id(const struct partition_log *log);
/* Writes it; -EEXIST where there is another id already. */
MUST_CHECK int partition_log_set_topic_id(struct partition_log *log, struct uuid topic_id);

/* ---- append ---- */

struct log_append_result {
    int64_t base_offset;
    int64_t last_offset;
    int64_t append_time_ms; /* LogAppendTime topics; else -1 */
    int64_t log_start_offset;
    bool duplicate; /* a repeat of a known batch of an idempotent producer: nothing was written, the offsets
                       are the old ones */
    const char *error_message; /* constant text for the client where the error needs one; else NULL */
    /* The records that are to blame, for Produce v8+; none: the batch as a whole is. Texts are constant. */
    struct record_error record_errors[RECORD_ERRORS_MAX];
    size_t record_error_count;
};

/*
 * Appends the batch of one produce request to a log that this broker leads. `batch` is patched in place (base
 * offset, leader epoch, append time) and written from there with one write; it must not change until then.
 * Checks length, magic, CRC, counts, keys, timestamps and producer state in Kafka's order, also of the
 * records inside a compressed batch (proto/records/validate.h). A Kafka error code. Unless it is KAFKA_NONE
 * nothing is appended. Nothing is synced: whoever acknowledges looks at the recovery point.
 */
MUST_CHECK int16_t partition_log_append_as_leader(struct partition_log *log, uint8_t *batch, size_t length,
                                                  int16_t produce_version, int32_t leader_epoch,
                                                  int64_t now_ms, struct log_append_result *result);

/*
 * Appends what a leader answered to a fetch: whole batches (a partial one at the end is left out), each with
 * its CRC checked, offsets rising from the log's end (a gap is allowed: compaction), epochs not falling
 * (invariants I2, I3, I4). An empty log whose start lies within the first batch begins anew with that batch.
 * KAFKA_NONE, KAFKA_CORRUPT_MESSAGE, KAFKA_OFFSET_OUT_OF_RANGE (does not continue
 * the log), or KAFKA_KAFKA_STORAGE_ERROR. *appended (may be NULL): bytes taken.
 */
MUST_CHECK int16_t partition_log_append_as_follower(struct partition_log *log, const uint8_t *batches,
                                                    size_t length, int64_t now_ms, size_t *appended);

/* ---- read ---- */

/* A piece of a segment's file. Holds a reference on the segment: it can be sent although the log was
 * truncated or deleted since. */
struct log_range {
    struct segment *segment; /* NULL: empty range */
    int64_t position;        /* in the file */
    int64_t length;
    struct log_health *health; /* of the log's directory; NULL: none */
};

void log_range_release(struct log_range *range);
/* Whoever reads or sends the bytes by the descriptor met this -errno: what is a failure of the disk takes the
 * log's directory offline, as if the log had met it. Any thread. */
void log_range_failed(const struct log_range *range, int error);
/* The descriptor for sendfile; -1 in simulation. */
int log_range_descriptor(const struct log_range *range);
/* Reads all of it into `out` (room for range->length bytes). 0 or -errno. */
MUST_CHECK int log_range_read(const struct log_range *range, uint8_t *out);

/*
 * Finds the batches from the one that holds `offset` on, at most max_bytes, none with offsets at or above
 * `upper_bound`; from one segment. The first batch comes whole even if it is longer than max_bytes where
 * `at_least_one`; the last one is cut short only where max_bytes ends within it and no boundary near is
 * known. KAFKA_NONE (an empty range at the end or when nothing fits), KAFKA_OFFSET_OUT_OF_RANGE (below the
 * log start or above the end), KAFKA_CORRUPT_MESSAGE (no sound batch begins where it should; one line for
 * each such place says where), or KAFKA_KAFKA_STORAGE_ERROR.
 */
MUST_CHECK int16_t partition_log_read(struct partition_log *log, int64_t offset, int64_t max_bytes,
                                      int64_t upper_bound, bool at_least_one, struct log_range *range);

/*
 * The last stable offset (I53): the least of `high_watermark` and the first offset of the earliest
 * transaction that is open, or whose marker is not below the high watermark; not below the log start. What a
 * read_committed reader may see ends here, and compaction keeps below it.
 */
int64_t partition_log_last_stable_offset(const struct partition_log *log, int64_t high_watermark);
/* The high watermark is this now: what was kept only for the question above may be forgotten below it. Cheap.
 */
void partition_log_on_high_watermark(struct partition_log *log, int64_t high_watermark);
/*
 * Visits the aborted transactions that touch [from, to), in the order of their markers, each once: those
 * whose marker is at or above `from` and which begin below `to`. KAFKA_NONE or KAFKA_KAFKA_STORAGE_ERROR.
 */
MUST_CHECK int16_t partition_log_collect_aborted(struct partition_log *log, int64_t from, int64_t to,
                                                 transaction_visit *visit, void *context);
/* An offset above all that the range holds, not above upper_bound, and near its end where the offset index
 * tells: the bound for partition_log_collect_aborted. Under the same lock as the read that gave the range. */
int64_t partition_log_range_end(const struct partition_log *log, const struct log_range *range,
                                int64_t upper_bound);

struct log_timestamp_offset {
    int64_t timestamp; /* -1: none found */
    int64_t offset;    /* -1: none found */
    int32_t leader_epoch;
};

/* The first record with a timestamp >= timestamp_ms, at or above the log start and below `upper_bound`.
 * Errors as those of partition_log_read, also below. */
MUST_CHECK int16_t partition_log_find_timestamp(struct partition_log *log, int64_t timestamp_ms,
                                                int64_t upper_bound, struct log_timestamp_offset *found);
/* The record with the greatest timestamp below `upper_bound` (KIP-734). */
MUST_CHECK int16_t partition_log_find_max_timestamp(struct partition_log *log, int64_t upper_bound,
                                                    struct log_timestamp_offset *found);

/* ---- leader epochs (record-format rules of the epoch cache) ---- */

/* The epoch of the newest entry, -1 where there is none. */
int32_t partition_log_latest_epoch(const struct partition_log *log);
/* Notes that `epoch` starts at the log's end: when a leader takes office, also with no data (I4). The
 * checkpoint file follows at the next flush; what it lacks is found in the log again. */
MUST_CHECK int partition_log_begin_epoch(struct partition_log *log, int32_t epoch);
/* Where the greatest epoch <= `epoch` ends: (epoch, offset), or (-1, -1) where that is not known (KIP-101,
 * KIP-279). */
void partition_log_epoch_end(const struct partition_log *log, int32_t epoch, int32_t *found_epoch,
                             int64_t *end_offset);
/* The epoch of the entry that covers `offset`, -1 where there is none. */
int32_t partition_log_epoch_at(const struct partition_log *log, int64_t offset);

/* ---- truncation ---- */

/* Removes everything at and above `offset`; indexes, epoch cache and producer state go back with it. A Kafka
 * error code. */
MUST_CHECK int16_t partition_log_truncate(struct partition_log *log, int64_t offset, int64_t now_ms);
/* Empties the log; it goes on at `offset` (a follower whose leader's log starts above its own end). */
MUST_CHECK int16_t partition_log_truncate_fully(struct partition_log *log, int64_t offset, int64_t now_ms);
/* Moves the log start up to `offset` (never down, never above the end). Whole segments below it go with the
 * next pass of retention. */
MUST_CHECK int16_t partition_log_advance_start(struct partition_log *log, int64_t offset);

/*
 * One pass of retention (partition_log_retention.c): segments go from the front, by log start, size and time,
 * none with an offset at or above `high_watermark`; the log start moves to the first that stays. Their files
 * become garbage (log_garbage.h). *flush_first: something that must be durable before more may go is not, or
 * the pass has looked at as many segments as the lock should be held for: the caller flushes, without the
 * lock, and calls again. 0, or -errno.
 */
MUST_CHECK int partition_log_retain(struct partition_log *log, int64_t high_watermark, int64_t now_ms,
                                    bool *flush_first);

/* ---- durability ---- */

/* Makes everything appended so far durable; the recovery point moves to the log's end. 0, or -errno: nothing
 * has moved, and unless it was the preparation that found no room or descriptor, the log is offline. */
MUST_CHECK int partition_log_flush(struct partition_log *log);

/* Whether a whole segment waits for its flush (Kafka flushes in the background after each roll),
 * flush.messages asks for one, or only what is durable can be closed and too many files are open. */
bool partition_log_wants_flush(const struct partition_log *log);

/*
 * The same flush in three steps, so that nobody waits for the disk under the partition's lock: begin under
 * the lock, run on any thread without it, end under the lock again (the log must still be there). Several may
 * be on their way at once, and appends go on meanwhile; a truncation in between only keeps the recovery point
 * where it is.
 */
struct log_flush;
/* 0 with *flush to run and end, or -errno. */
MUST_CHECK int partition_log_flush_begin(struct partition_log *log, struct log_flush **flush);
/* 0, or -errno: to be handed to the end. One run of a log at a time; after a sync that failed every other run
 * says the same. Such a sync takes the directory offline here, so nothing is forgotten where the log goes
 * before the end. */
MUST_CHECK int log_flush_run(struct log_flush *flush);
/* Frees the flush. `error`: what log_flush_run said. 0, or the -errno that took the log offline; or -EMFILE
 * or -ENFILE: there was no descriptor to do it with, nothing has moved, and it is for the caller to say so.
 */
MUST_CHECK int partition_log_flush_end(struct partition_log *log, struct log_flush *flush, int error);
/* Whether it was begun by this log, which still has to be there. A replica that moved to another directory
 * has another log by the time its flush ends. */
bool log_flush_is_of(const struct log_flush *flush, const struct partition_log *log);
/* What was there when it began ends here. */
int64_t log_flush_end_offset(const struct log_flush *flush);
/* Frees a flush whose log is gone. */
void log_flush_free(struct log_flush *flush);

/* ---- copies (partition_log_copy.c; log_manager_future.h) ---- */

/* How one log of a partition relates to another, longer one of the same partition. */
enum log_kinship {
    LOG_UNRELATED,       /* nothing proves that it has what the other one has */
    LOG_WITHOUT_RECORDS, /* nothing is in it, and the other one ends no lower */
    LOG_COPY /* it is what the other one once was: all it holds the other one has, or has deleted */
};
/* What `log` is to `other` (partition_log_history.c). Both were just opened. Reads their last batches; where
 * that cannot be done, they are unrelated. */
enum log_kinship partition_log_kinship(struct partition_log *log, struct partition_log *other);
/* Rises with each truncation, and is not lower in the log that takes this one's place. */
uint64_t partition_log_truncations(const struct partition_log *log);
/* The log was cut, and not flushed since: a power loss may bring back what was cut, above the recovery point.
 */
bool partition_log_has_unsynced_cut(const struct partition_log *log);
/* While it is paused, compaction neither begins nor puts its result into the log. */
void partition_log_pause_cleaning(struct partition_log *log, bool pause);
bool partition_log_cleaning_is_paused(const struct partition_log *log);
/* As partition_log_append_as_follower, with at least one whole batch; the first batch of an empty log may
 * begin below the log's start: then the log begins with it. */
MUST_CHECK int16_t partition_log_append_copy(struct partition_log *log, const uint8_t *batches, size_t length,
                                             int64_t now_ms, size_t *appended);
/* The log goes on at `offset`, above its end: compaction has left nothing before. A Kafka error code. */
MUST_CHECK int16_t partition_log_skip_to(struct partition_log *log, int64_t offset, int64_t now_ms);
/* The log, just opened and durable, takes the place of `former`: what was begun on that one must not be ended
 * on this. */
void partition_log_succeed(struct partition_log *log, const struct partition_log *former);

#endif
