/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One directory of log.dirs: its lock, its meta.properties, its mark of a clean stop, its health.
 *
 * .kafka_cleanshutdown holds {"version":0,"brokerEpoch":-1}; only that it is there counts. It is the last
 * thing written at a clean stop and, at start, removed durably before anything is loaded (invariant I8): a
 * crash at any time between leaves none.
 *
 * Not thread-safe but for the health and what says so: used by log_manager.
 */
#ifndef BROKER_LOG_LOG_DIRECTORY_H
#define BROKER_LOG_LOG_DIRECTORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/log/partition_log.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"
#include "common/list.h"

#define CLEAN_SHUTDOWN_FILE ".kafka_cleanshutdown"
#define LOG_DIRECTORY_LOCK_FILE ".lock"
#define RECOVERY_POINT_CHECKPOINT "recovery-point-offset-checkpoint"
#define REPLICATION_CHECKPOINT "replication-offset-checkpoint"
#define LOG_START_CHECKPOINT "log-start-offset-checkpoint"
#define CLEANER_CHECKPOINT "cleaner-offset-checkpoint"
/* Written, and removed again, to see whether a full disk has room. */
#define LOG_DIRECTORY_PROBE_FILE ".room-probe"

struct log_manager;

struct log_directory {
    struct file_system *files;
    struct log_manager *manager; /* for the health's owner */
    char *path;
    struct file *lock; /* NULL: not held */
    bool was_clean;    /* the last stop was */
    bool was_new;      /* there was no meta.properties */
    struct log_health health;
    atomic_int_least64_t next_line_ms; /* before that, no line says again that it is full */
    atomic_bool told_full;             /* one has said so, and none yet that there is room again */
    atomic_size_t logs_count;
    /* Guards the checkpoint files, the three below and what the logs last said for the files; held while
     * those are written. Taken last: under the manager's mutex, a partition's lock, or none; of several
     * directories one at a time. */
    pthread_mutex_t checkpoint_mutex;
    struct list logs; /* the log manager's list of what lies here */
    /* enum log_checkpoint: files of which the last writing failed, or which a start found to say more than
     * the logs have. They are written before anything relies on them. Changed under the lock only. */
    atomic_uint unsure;
    unsigned unwritten; /* checkpoint files that still tell of logs that are gone: written before a new log is
                           made here */
};

void log_directory_init(struct log_directory *directory, struct file_system *files, const char *path);
/* Unlocks. */
void log_directory_release(struct log_directory *directory);
/*
 * Makes it (and what leads to it) if needed, locks, checks meta.properties, takes the clean mark away. 0, or
 * -errno with a sentence in `error`: -EBUSY and -EINVAL are the operator's mistakes, others the disk's.
 */
MUST_CHECK int log_directory_open(struct log_directory *directory, int32_t broker_id, const char *cluster_id,
                                  struct buffer *error);
/* Writes the mark. 0, or -errno. */
MUST_CHECK int log_directory_mark_clean(struct log_directory *directory);

/* Whether it is offline, and full. Any thread. */
bool log_directory_is_offline(const struct log_directory *directory);
bool log_directory_is_full(const struct log_directory *directory);
/* Writes, syncs and removes a file of some size, of that of the largest append that was refused at least. 0:
 * there is room; or -errno. */
MUST_CHECK int log_directory_probe(struct log_directory *directory);

#endif
