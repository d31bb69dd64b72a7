/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a partition log, shared by the partition_log_*.c files only. See partition_log.h for the
 * contract and README.md for who does what.
 */
#ifndef BROKER_LOG_PARTITION_LOG_PRIVATE_H
#define BROKER_LOG_PARTITION_LOG_PRIVATE_H

#include <stdatomic.h>

#include "broker/log/epoch_cache.h"
#include "broker/log/epoch_file.h"
#include "broker/log/flush_gate.h"
#include "broker/log/partition_log.h"
#include "broker/log/producer_state.h"
#include "broker/log/record_walkers.h"
#include "broker/log/segment.h"
#include "common/buffer.h"
#include "common/prng.h"

#define LEADER_EPOCH_CHECKPOINT "leader-epoch-checkpoint"

/* Where the last appends lie: reads at the end of the log need no file. */
#define RECENT_APPENDS 64

struct recent_append {
    int64_t base_offset;
    int64_t last_offset;
    int64_t position; /* in the active segment */
    int64_t size_bytes;
};

/* Whether anybody has looked at where the batches end (partition_log_end.c). */
enum log_end_state {
    LOG_END_CHECKED,
    LOG_END_BELIEVED, /* as a clean stop left it; the active segment's indexes may not be loaded */
    LOG_END_WRONG,    /* it was believed, and is not so: the log is offline, or loaded again */
};

/* Files of one base offset that are called .deleted now (log_garbage.h). */
struct discarded_files {
    int64_t offset;
    uint32_t kinds; /* a bit for each enum log_file_kind */
    int64_t due_ms; /* DISCARDED_UNSEEN: the delay has not begun */
};

#define DISCARDED_UNSEEN INT64_MIN

/* What the log was like when all of it was as a clean stop leaves it: where nothing has changed since, the
 * next stop has nothing to do. */
struct settled_log {
    bool known;
    int64_t end_offset;
    uint64_t truncations;
    uint64_t names_changed;
};

struct partition_log {
    struct file_system *files;
    struct logger *logger;
    char *directory;
    struct log_settings settings;
    log_keep_checkpoints *keep_checkpoints;
    void *keep_checkpoints_context;
    struct prng prng;

    struct segment **segments; /* by base offset; the last one is active. Never empty once open */
    size_t segments_count;
    size_t segments_capacity;
    atomic_int_least64_t
        start_offset; /* this and the recovery point: read by the log manager's checkpoints */
    /* Where the log begins for checkpoints, while it is lower for the moment of an append: it began anew with
     * a batch that its start lies within (I9). Never above what the start was last, unless it was cut. */
    atomic_int_least64_t start_offset_kept;
    int64_t end_offset;
    enum log_end_state end_state;
    int64_t size_bytes;
    atomic_int_least64_t recovery_point;     /* without the owner's lock */
    atomic_int_least64_t first_dirty_offset; /* compaction: all below was cleaned; -1: nothing was */
    atomic_int failure;                      /* -errno; ask partition_log_failure */
    struct log_health *health;               /* NULL: none */

    struct epoch_cache epochs;     /* changed: since the newest version of its text was made */
    struct epoch_file *epoch_file; /* shared with flushes */
    struct flush_gate *flush_gate; /* likewise */
    uint64_t epochs_version;       /* of the newest text */
    uint64_t epochs_durable;       /* of the text that is known to be on disk */
    struct producer_state *producers;
    int64_t known_high_watermark; /* as it was told last */
    int64_t next_expiry_ms;
    int64_t next_index_look_ms; /* of open_files' clock: for indexes that nobody uses */
    int64_t *snapshots;         /* offsets of the .snapshot files, ascending */
    size_t snapshots_count;
    size_t snapshots_capacity;
    struct uuid topic_id;
    struct discarded_files *discarded; /* to be unlinked later */
    size_t discarded_count;
    size_t discarded_capacity;

    struct recent_append *recent; /* a ring, of the active segment; NULL before the first append: idle
                                   * partitions are many */
    size_t recent_next;
    size_t recent_count;

    uint64_t truncations;       /* a flush that began before one says nothing about what came after */
    uint64_t names_changed;     /* counts created, renamed, removed files */
    uint64_t names_synced;      /* as of when the directory was synced last */
    struct settled_log settled; /* as a clean stop left it, or leaves it */
    bool parent_unsynced;       /* the folder itself was made since */
    bool checkpoints_unsure; /* they were to fall and did not: to be told again before anything is written */
    bool cut_unsynced;       /* the end of the active segment was cut since */
    bool durable_rolls;      /* a segment is durable before the next one begins */
    bool cleaning_paused;    /* by who copies the log */
    struct record_walkers *walkers; /* shared; may be NULL */
    struct open_files *open_files;  /* likewise; a reference */
    struct buffer scratch;          /* uncompressed records; empty and small between calls, as the next */
    struct buffer rebuilt;          /* a batch that had to be made anew */
};

static inline struct segment *partition_log_active(const struct partition_log *log)
{
    return log->segments[log->segments_count - 1];
}

/* Takes the log offline for good, with a line in the process's log. */
void partition_log_go_offline(struct partition_log *log, int error, const char *what);
/* Takes this log alone offline: its disk is sound, and what it holds is not what it was taken for. The caller
 * says why. */
void partition_log_refuse(struct partition_log *log, int error);
/* Takes the directory offline for all its logs, with a line in the process's log; once. Any thread; `where`
 * is the folder that it happened in. */
void log_health_fail(struct log_health *health, struct logger *logger, const char *where, int error,
                     const char *what);
/* The Kafka error for a -errno of the disk; what disk_error.h calls a failure takes the log offline, no room
 * marks its directory as full; of what passes there is one line a minute. */
int16_t partition_log_disk_error(struct partition_log *log, int error, const char *what);

/* Lets go of the memory of scratch and rebuilt where an unusual batch made it large. */
void partition_log_trim_buffers(struct partition_log *log);
/* <directory>/<name> into `path`, which is cleared first. */
const char *partition_log_path(const struct partition_log *log, const char *name, struct buffer *path);
/* Appends the checkpoint's present text where the file may lack it, and tells its version; 0: the file has
 * it.
 */
uint64_t partition_log_format_epochs(struct partition_log *log, struct buffer *text);
/* The text of that version is on disk. */
void partition_log_epochs_written(struct partition_log *log, uint64_t version);
/* Makes created and removed names durable. 0, or -errno. */
MUST_CHECK int partition_log_sync_names(struct partition_log *log);
/* Closes the files of segments that were not used for so long, and are durable. */
void partition_log_close_idle(struct partition_log *log, int64_t idle_ms);
/* Likewise lets go of the memory of their indexes, but for those of the active segment. */
void partition_log_forget_indexes(struct partition_log *log, int64_t idle_ms);
/* Adds a segment at the end of the list. */
void partition_log_push_segment(struct partition_log *log, struct segment *segment);
/* The number of the segment with the greatest base <= `offset`; 0 where there is none. */
size_t partition_log_segment_number(const struct partition_log *log, int64_t offset);
/* Where the segment ends: the base of the next one, or the log's end. */
int64_t partition_log_segment_end(const struct partition_log *log, size_t number);

/* partition_log_load.c: fills an empty log from its folder. 0, or -errno. */
MUST_CHECK int partition_log_load(struct partition_log *log, const struct partition_log_options *options);

/* partition_log_end.c: takes the recovery point for the end where the folder's names and sizes do not
 * contradict, or says false. */
bool partition_log_believe_end(struct partition_log *log, int64_t recovery_point, int64_t log_start_offset,
                               bool epochs_known);
/* The end from the last batches; loads the active segment's indexes. 0, -errno; -EBADMSG: no clean stop has
 * left that, and what begins at *recover_from is to be checked. */
MUST_CHECK int partition_log_find_clean_end(struct partition_log *log, int64_t *end_offset,
                                            int64_t *recover_from);
/* Looks whether a believed end is right, once. 0, -EBADMSG (LOG_END_WRONG now), or -errno. */
MUST_CHECK int partition_log_look_at_end(struct partition_log *log);
/* The same before the active segment is used: a wrong end takes the log offline, alone. 0, or -errno, which
 * was said. */
MUST_CHECK int partition_log_use_end(struct partition_log *log);
/* The same before segment `number` is read, where that matters to it. */
MUST_CHECK int partition_log_use_segment(struct partition_log *log, size_t number);

/* partition_log_recover.c: checks and repairs the segments from that of offset `from` on; recovery_point:
 * what the checkpoint says, up to where gaps may be meant, or LOG_RECOVERY_POINT_UNKNOWN. Adds what it has
 * checked to *checked_bytes (may be NULL) on the way. 0, or -errno. */
MUST_CHECK int partition_log_recover(struct partition_log *log, int64_t from, int64_t recovery_point,
                                     atomic_int_least64_t *checked_bytes);

/* partition_log_roll.c */
MUST_CHECK int partition_log_roll(struct partition_log *log, int64_t base_offset, int64_t now_ms);
/* Rolls where Kafka's rules ask for it before an append. 0, or -errno. */
MUST_CHECK int partition_log_roll_if_due(struct partition_log *log, const struct segment_append *append,
                                         int64_t first_offset, int64_t now_ms);

/* Begins a segment above the log's end, or anew where the active one is empty. The end stays. 0, or -errno.
 */
MUST_CHECK int partition_log_begin_segment(struct partition_log *log, int64_t base_offset, int64_t now_ms);

/* partition_log_producers.c */
void partition_log_add_snapshot(struct partition_log *log, int64_t offset);
/* Writes <offset>.snapshot of the present state. 0, or -EIO; another failure costs a longer replay only. */
MUST_CHECK int partition_log_write_snapshot(struct partition_log *log, int64_t offset, bool durable);
/* Removes the snapshots from offset `from` to offset `to`, both included. 0, or -errno. */
MUST_CHECK int partition_log_remove_snapshots(struct partition_log *log, int64_t from, int64_t to);
/* Lets go of the snapshots below `offset`, but never of the newest one. 0, or -errno. */
MUST_CHECK int partition_log_discard_snapshots(struct partition_log *log, int64_t offset);
/* The state at `offset`: newest sound snapshot at or below it, then the batches between. 0, or -errno. */
MUST_CHECK int partition_log_rebuild_producers(struct partition_log *log, int64_t offset, int64_t now_ms);
/* The same at the base of the segment from which on all is recovered: the visitor of each batch goes on from
 * there, and fills the indexes of aborted transactions, which are emptied here. 0, or -errno. */
MUST_CHECK int partition_log_begin_recovery(struct partition_log *log, size_t first_segment);
/* The next batch, of `segment`: appended, or read again in recovery. bytes: of all of it where it is a
 * control batch. */
void partition_log_note_producer(struct partition_log *log, struct segment *segment,
                                 const struct scanned_batch *scanned, const uint8_t *bytes);
/* Reads the indexes of aborted transactions that were not recovered; one that is not sane is made anew; the
 * producer state is anything afterwards. 0, or -errno. */
MUST_CHECK int partition_log_load_transactions(struct partition_log *log);
/* Removes the snapshots that neither stand at a segment's base nor are the newest. 0, or -errno. */
MUST_CHECK int partition_log_drop_stray_snapshots(struct partition_log *log);
/* What the producer state wants to know of a batch; false where it does not matter to it. */
bool partition_log_producer_batch(const struct scanned_batch *scanned, const uint8_t *bytes,
                                  struct producer_batch *batch);

/* partition_log_retention.c: the largest timestamp of a sealed segment, from its indexes and batches, into
 * found_timestamp; read once, and not kept in memory but for the one number: thousands of logs have an oldest
 * segment. 0, or -errno. */
MUST_CHECK int partition_log_find_largest_timestamp(struct partition_log *log, struct segment *segment);

/* partition_log_read.c */
void partition_log_remember(struct partition_log *log, const struct scanned_batch *batch, int64_t position);
void partition_log_forget_recent(struct partition_log *log);
/* The Kafka error for a -errno that reading the segment ended with: CORRUPT_MESSAGE where it is damaged, with
 * one line for each place; else as partition_log_disk_error. */
int16_t partition_log_read_error(struct partition_log *log, size_t number, int error, const char *what);
/* The first batch of the segment whose last offset is >= `offset`: 1, 0, -errno. */
MUST_CHECK int partition_log_find(struct partition_log *log, size_t segment_number, int64_t offset,
                                  struct scanned_batch *batch);

/* log_garbage.c: renames the files of a segment that is not, or will not be, in the list any more to .deleted
 * (see log_garbage.h). 0: the log's reference on it is given up; -errno: it is not, and the call may be
 * repeated. */
MUST_CHECK int partition_log_discard_segment(struct partition_log *log, struct segment *segment);
/* The same for the file <offset>.snapshot; the list of snapshots is the caller's. 0, or -errno. */
MUST_CHECK int partition_log_discard_snapshot(struct partition_log *log, int64_t offset);

/* partition_log_truncate.c: sees to it that no checkpoint says more than `offset`, before what is there goes
 * or changes. 0, or -errno. */
MUST_CHECK int partition_log_lower_recovery_point(struct partition_log *log, int64_t offset);
/* As partition_log_truncate_fully, for an empty log that begins within a batch and is about to get that
 * batch, which begins at `offset`: after a crash before that the log start is still what it was. */
MUST_CHECK int16_t partition_log_begin_below(struct partition_log *log, int64_t offset, int64_t now_ms);
/* Discards the segments numbers from..to-1, newest first, and forgets them. 0, or -errno. */
MUST_CHECK int partition_log_remove_segments(struct partition_log *log, size_t from, size_t to);

#endif
