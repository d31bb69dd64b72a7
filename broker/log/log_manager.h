/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log directories of a broker: which logs there are, where they lie, and the small files beside them
 * (.lock, meta.properties, .kafka_cleanshutdown, recovery-point-offset-checkpoint,
 * replication-offset-checkpoint, log-start-offset-checkpoint).
 *
 * Start (invariants I8, I12): lock each directory; compare meta.properties with broker id and cluster id;
 * note the clean-shutdown marker, remove it and sync the directory before anything is loaded; read the
 * checkpoints; open every partition's log, several at once. Stop: flush and close all logs, write the
 * checkpoints, then the marker, last.
 *
 * Threads: calls come from any thread; the map of logs has its own lock. The logs themselves are guarded by
 * their partitions.
 */
#ifndef BROKER_LOG_LOG_MANAGER_H
#define BROKER_LOG_LOG_MANAGER_H

#include "broker/log/partition_log.h"
#include "common/base.h"
#include "common/file.h"
#include "common/log.h"
#include "common/slice.h"
#include "common/uuid.h"

struct log_manager;
struct buffer;

struct log_manager_options {
    struct file_system *files;
    struct logger *logger;
    const char *const *directories; /* log.dirs */
    size_t directories_count;
    int32_t broker_id;
    const char *cluster_id; /* as ZooKeeper has it; written into meta.properties where that is missing */
    struct log_settings defaults;
    int recovery_threads; /* num.recovery.threads.per.data.dir; below 2: all on the caller's thread */
    /* The wall clock and the seed of everything random here; NULL and 0 outside of simulations. */
    int64_t (*wall_clock_ms)(void *context);
    void *wall_clock_context;
    uint64_t seed;
};

/*
 * Locks and loads. On failure `error` gets one sentence for the operator: what, where, what to do. -EBUSY:
 * locked by another process; -EINVAL: meta.properties belongs to another broker or cluster; or -errno.
 */
MUST_CHECK int log_manager_open(const struct log_manager_options *options, struct log_manager **manager,
                                struct buffer *error);
/* Clean stop: closes all logs, writes checkpoints and the marker. 0 or the first -errno (no marker then). */
MUST_CHECK int log_manager_close(struct log_manager *manager);
/* Frees without a clean stop, as a crash would leave it. Also after log_manager_close. */
void log_manager_free(struct log_manager *manager);

/* The log of a partition, NULL where there is none. The manager keeps owning it. */
struct partition_log *log_manager_find(struct log_manager *manager, struct slice topic, int32_t partition);
/* Finds or creates (in the directory with the fewest partitions). 0 or -errno. */
MUST_CHECK int log_manager_obtain(struct log_manager *manager, struct slice topic, int32_t partition,
                                  const struct log_settings *settings, struct partition_log **log);
/*
 * Takes the log out and removes its folder: renamed to <topic>-<partition>.<hex>-delete at once, unlinked
 * after. The caller holds the partition and uses the log no more. 0 or -errno; -ENOENT where there is none.
 */
MUST_CHECK int log_manager_delete(struct log_manager *manager, struct slice topic, int32_t partition);

/* Calls visit for each log, under the lock of the map: nothing may be found, obtained or deleted from within.
 */
void log_manager_each(struct log_manager *manager,
                      void (*visit)(void *context, struct slice topic, int32_t partition,
                                    struct partition_log *log),
                      void *context);

/* The high watermark that the replication checkpoint had for a partition at start; 0 where none. */
int64_t log_manager_checkpointed_high_watermark(struct log_manager *manager, struct slice topic,
                                                int32_t partition);

struct high_watermark_entry {
    struct slice topic;
    int32_t partition;
    int64_t high_watermark;
};

/* Writes the replication-offset-checkpoint of every directory from the entries (each in its log's directory);
 * logs without an entry keep what was written before. 0 or the first -errno. */
MUST_CHECK int log_manager_checkpoint_high_watermarks(struct log_manager *manager,
                                                      const struct high_watermark_entry *entries,
                                                      size_t count);
/* The recovery-point and log-start checkpoints likewise. The offsets are those that the caller collected
 * under the partitions' locks. */
struct recovery_entry {
    struct slice topic;
    int32_t partition;
    int64_t recovery_point;
    int64_t log_start_offset;
};
MUST_CHECK int log_manager_checkpoint_recovery(struct log_manager *manager,
                                               const struct recovery_entry *entries, size_t count);

#endif
