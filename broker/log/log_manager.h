/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log directories of a broker: which logs there are, where they lie, and the small files beside them
 * (.lock, meta.properties, .kafka_cleanshutdown, recovery-point-offset-checkpoint,
 * replication-offset-checkpoint, log-start-offset-checkpoint).
 *
 * Each directory has its own health (struct log_health), which its logs share: the first failure takes it
 * offline, alone, and nothing is written there any more.
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
    size_t open_segments_max; /* so many segments' files are held open, roughly; 0: any number */
    int recovery_threads;     /* num.recovery.threads.per.data.dir; 0: all on the caller's thread */
    const char *boot_id; /* of the running kernel: what it holds in memory outlives this process. NULL: not
                            known, and only a clean stop leaves the logs intact */
    /*
     * A directory has failed, has become full or has room again. Any thread, perhaps under a partition's lock
     * or the manager's: it may only note and wake; nothing here may be called from within but
     * log_manager_usable_directories. May be NULL.
     */
    void (*directories_changed)(void *context);
    void *directories_context;
    /* The wall clock and the seed of everything random here; NULL and 0 outside of simulations. */
    int64_t (*wall_clock_ms)(void *context);
    void *wall_clock_context;
    uint64_t seed;
};

/*
 * Locks and loads. A directory that cannot be used, or that holds a log that cannot be read, is offline from
 * the start, with a line in the process's log; one usable directory is enough. On failure `error` gets one
 * sentence for the operator: what, where, what to do. -EBUSY: a directory is locked by another process;
 * -EINVAL: its meta.properties belongs to another broker or cluster; or the -errno of the last directory.
 */
MUST_CHECK int log_manager_open(const struct log_manager_options *options, struct log_manager **manager,
                                struct buffer *error);
/* Clean stop: closes all logs, writes checkpoints and the marker, in the directories that are online. 0 or
 * the first -errno (no marker there then). */
MUST_CHECK int log_manager_close(struct log_manager *manager);
/* Frees without a clean stop, as a crash would leave it. Also after log_manager_close. */
void log_manager_free(struct log_manager *manager);

/* The logs have lost nothing of what they held in lives of these epochs; -1 and -1: nobody knows. */
struct log_intact {
    int64_t since;
    int64_t until;
};

/* As the start found it (I25, log_manager_intact.c). */
struct log_intact log_manager_intact(const struct log_manager *manager);
/* Tells the next start of this life, registered with that epoch. Syncs a small file in each directory; one
 * thread at a time. 0, or -errno (the next start knows nothing then); -EIO also where a directory is offline.
 */
MUST_CHECK int log_manager_mark_intact(struct log_manager *manager, int64_t broker_epoch);

/* The log of a partition, NULL where there is none, or it is not open. The manager keeps owning it. */
struct partition_log *log_manager_find(struct log_manager *manager, struct slice topic, int32_t partition);
/*
 * Finds or creates (in the usable directory with the fewest partitions; in a full one only where there is no
 * other). While a directory is offline, a log that is not found may lie there: then it is made only where
 * `is_new` says that no such log can be (I12). 0; -EIO where the log is, or may be, in an offline directory;
 * or -errno.
 */
MUST_CHECK int log_manager_obtain(struct log_manager *manager, struct slice topic, int32_t partition,
                                  bool is_new, const struct log_settings *settings,
                                  struct partition_log **log);
/*
 * Takes the log out: its folder is renamed to <topic>-<partition>.<hex>-delete at once, and removed by
 * log_manager_remove_due; removed at once where the disk has no room for the name. The checkpoints tell of it
 * until they are written next, but never of another log. The caller holds the partition and uses the log no
 * more. 0 or -errno; -ENOENT where there is none, -EIO where its directory is offline (nothing was done).
 */
MUST_CHECK int log_manager_delete(struct log_manager *manager, struct slice topic, int32_t partition);
/*
 * Likewise, where nobody can say that the log is not missed: the folder is renamed to
 * <topic>-<partition>.<hex>-stray, which no start opens and nobody removes but the operator. `aside` gets its
 * path appended. Where the disk has no room for the name, nothing is done.
 */
MUST_CHECK int log_manager_set_stray(struct log_manager *manager, struct slice topic, int32_t partition,
                                     struct buffer *aside);
/*
 * Removes the folders whose time has come: file.delete.delay.ms after their log was deleted, at once what an
 * earlier life of the broker left behind. For a thread that may wait for the disk; one at a time. The wall
 * clock when the next one is due, INT64_MAX where there is none.
 */
int64_t log_manager_remove_due(struct log_manager *manager, int64_t now_ms);
/* The same in one directory (the number below); several directories at a time. */
int64_t log_manager_remove_due_in(struct log_manager *manager, size_t number, int64_t now_ms);

/* ---- directories ---- */

enum log_directory_state {
    LOG_DIRECTORY_ONLINE,
    LOG_DIRECTORY_FULL,    /* reads and deletions only, until log_manager_probe finds room */
    LOG_DIRECTORY_OFFLINE, /* until the broker starts again */
};

struct log_directory_info {
    const char *path; /* lives as long as the manager */
    enum log_directory_state state;
    int error; /* -errno that made it full or took it offline; 0 online */
};

/* As in log.dirs; numbered from 0 in that order. Any thread. */
size_t log_manager_directories_count(const struct log_manager *manager);
void log_manager_directory_info(const struct log_manager *manager, size_t number,
                                struct log_directory_info *info);
/* Of the file system that holds it; -1 where it cannot tell. */
void log_manager_directory_room(const struct log_manager *manager, size_t number, int64_t *total_bytes,
                                int64_t *usable_bytes);
/* How many are not offline: with none left the broker has to stop. */
size_t log_manager_usable_directories(const struct log_manager *manager);
/* The number of the directory in which a log lies, offline or not; -1 where there is no such log. */
int log_manager_directory_of(struct log_manager *manager, struct slice topic, int32_t partition);
/* The size of a log that no partition owns yet; 0 where there is none. */
int64_t log_manager_size_bytes(struct log_manager *manager, struct slice topic, int32_t partition);
/* Whether the log could not be opened for want of room: log_manager_obtain tries that again. */
bool log_manager_log_is_left_out(struct log_manager *manager, struct slice topic, int32_t partition);
/* The topic id of a log, open or not; the zero id where its folder tells none. 0; -ENOENT where there is no
 * such log; -EIO where its directory is offline; or -errno. May wait for the disk. */
MUST_CHECK int log_manager_topic_id(struct log_manager *manager, struct slice topic, int32_t partition,
                                    struct uuid *topic_id);
/* Whether the log lies in an offline directory, or, where it is not found, may lie in one. */
bool log_manager_log_is_offline(struct log_manager *manager, struct slice topic, int32_t partition);
/*
 * Looks whether directories that are full have room again, by writing. To be called every second from a
 * thread that may wait for the disk; costs nothing while none is full.
 */
void log_manager_probe(struct log_manager *manager);
/* The same of one directory. */
void log_manager_probe_in(struct log_manager *manager, size_t number);
/* What its logs share; as long as the manager. */
const struct log_health *log_manager_directory_health(const struct log_manager *manager, size_t number);

/* Calls visit for each -future folder that was found at start, in a directory that is not offline: the name
 * of the folder, and what it is named for. Not loaded; whoever moves logs removes it or goes on with it. */
void log_manager_each_future(struct log_manager *manager,
                             void (*visit)(void *context, size_t directory, const char *folder,
                                           struct slice topic, int32_t partition),
                             void *context);

/* Calls visit for each log, under the lock of the map: nothing may be found, obtained or deleted from within.
 */
void log_manager_each(struct log_manager *manager,
                      void (*visit)(void *context, struct slice topic, int32_t partition,
                                    struct partition_log *log),
                      void *context);

/* The high watermark that the replication checkpoint had for a partition at start; 0 where none. */
int64_t log_manager_checkpointed_high_watermark(struct log_manager *manager, struct slice topic,
                                                int32_t partition);

/* All of log.dirs, where a number of one is asked for. */
#define LOG_DIRECTORIES_ALL SIZE_MAX

/* `instance` tells the log from others of its name that come after it. */
typedef void log_instance_visit(void *context, struct slice topic, int32_t partition, uint64_t instance,
                                struct partition_log *log);
/* As log_manager_each, the logs of one directory. */
void log_manager_each_in(struct log_manager *manager, size_t number, log_instance_visit *visit,
                         void *context);

struct high_watermark_entry {
    struct slice topic;
    int32_t partition;
    int64_t high_watermark;
    uint64_t instance; /* of log_manager_each_in: not for another log that has its name by now; 0: for any */
};

/* Writes the replication-offset-checkpoint of every directory from the entries (each in its log's directory);
 * logs without an entry keep what was written before. 0 or the first -errno. */
MUST_CHECK int log_manager_checkpoint_high_watermarks(struct log_manager *manager,
                                                      const struct high_watermark_entry *entries,
                                                      size_t count);
/* The same in one directory, whose disk alone is waited for; the other directories' entries do not matter. */
MUST_CHECK int log_manager_checkpoint_high_watermarks_in(struct log_manager *manager, size_t number,
                                                         const struct high_watermark_entry *entries,
                                                         size_t count);
/* The recovery-point and log-start checkpoints likewise. The offsets are those that the caller collected
 * under the partitions' locks. */
struct recovery_entry {
    struct slice topic;
    int32_t partition;
    int64_t recovery_point;
    int64_t log_start_offset;
    uint64_t instance; /* as above */
};
MUST_CHECK int log_manager_checkpoint_recovery(struct log_manager *manager,
                                               const struct recovery_entry *entries, size_t count);
MUST_CHECK int log_manager_checkpoint_recovery_in(struct log_manager *manager, size_t number,
                                                  const struct recovery_entry *entries, size_t count);
/* Writes the cleaner-offset-checkpoint of the log's directory: its first dirty offset has moved up (it falls
 * by itself, with the recovery point). 0 or -errno; -ENOENT where there is no such log. */
MUST_CHECK int log_manager_checkpoint_cleaned(struct log_manager *manager, struct slice topic,
                                              int32_t partition);

#endif
