/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the log manager, shared by the log_manager*.c files only. */
#ifndef BROKER_LOG_LOG_MANAGER_PRIVATE_H
#define BROKER_LOG_LOG_MANAGER_PRIVATE_H

/* However many are asked for. */
#define LOG_THREADS_PER_DIRECTORY_MAX 64

#include <pthread.h>
#include <stdatomic.h>

#include "broker/log/checkpoint_file.h"
#include "broker/log/log_directory.h"
#include "broker/log/log_manager.h"
#include "broker/log/open_files.h"
#include "broker/log/record_walkers.h"
#include "common/buffer.h"
#include "common/map.h"
#include "common/prng.h"

struct managed_log {
    struct log_manager *manager;
    struct log_directory *directory;
    struct list link;  /* in the directory's list; guarded by its checkpoint_mutex */
    uint64_t instance; /* tells it from another log of the name, before or after it */
    char *topic;
    int32_t partition;
    struct partition_log *log; /* NULL: could not be opened, and its directory is offline; or half removed */
    bool busy; /* being made or removed: the name is taken, and nobody finds it; guarded by the
                  manager's mutex */
    /* The start found no room to open it: `log` is NULL, and it is opened when there is room and somebody
     * asks for it. Changed with managed_log_leave_out, while nobody else is there or the log is busy. */
    atomic_bool left_out;
    bool uncompared; /* another folder of that name lies elsewhere, and a start must say which is the log */
    atomic_bool has_entry; /* the recovery point checkpoint on disk has a line for this log */
    /* What the checkpoint files say, or are to say; guarded by the
     * directory's checkpoint_mutex once the log is open. */
    int64_t recovery_point;
    int64_t log_start_offset;
    int64_t high_watermark;
    int64_t first_dirty_offset; /* of compaction; 0: none */
};

/* A folder that was renamed to -delete. */
struct due_removal {
    struct list link;
    struct log_directory *directory;
    char *path;
    int64_t due_ms; /* wall clock */
};

struct future_log;

/* What moves between directories (log_manager_future.c, log_manager_twins.c); guarded by the manager's mutex,
 * or nobody else is there. */
struct log_moving {
    struct map *futures;        /* "<topic>-<partition>" -> struct future_log */
    struct map *preferences;    /* likewise -> struct log_directory, where it is to be made */
    struct managed_log **twins; /* found at start beside one of the same name */
    size_t twins_count;
    size_t twins_capacity;
};

/* A -future folder as found at start. */
struct future_folder {
    struct log_directory *directory;
    char *name;
};

struct log_manager {
    struct file_system *files;
    struct logger *logger;
    struct log_settings defaults;
    struct record_walkers *walkers; /* of all logs */
    struct open_files *open_files;  /* likewise */
    int64_t (*wall_clock_ms)(void *context);
    void *wall_clock_context;
    void (*directories_changed)(void *context); /* NULL while opening */
    void *directories_context;
    struct log_directory *directories;
    size_t directories_count;
    int recovery_threads;   /* of each directory, for starts and stops; 0: none */
    pthread_mutex_t mutex;  /* guards logs, high_watermarks, prng, removals, futures; nobody waits for the
                               disk under it, but for who puts a moved log into its place */
    pthread_cond_t settled; /* a log is not busy any more */
    struct map *logs;       /* "<topic>-<partition>" -> struct managed_log */
    struct map *high_watermarks; /* likewise -> int64_t: the checkpoints as they were at start */
    struct prng prng;
    struct list removals;
    struct log_moving *moving;
    struct future_folder *futures;
    size_t futures_count;
    size_t futures_capacity;
    atomic_uint_least64_t instances; /* of logs, so far */
    atomic_size_t left_out;          /* logs that are */
    char *boot_id;                   /* NULL: not known */
    struct log_intact intact;        /* as the start found it */
    int64_t marked_since;            /* what this life has written; -1: nothing yet */
};

int64_t log_manager_now_ms(const struct log_manager *manager);
/* At the end of a start: what the directories' marks say, see log_manager_intact.c. */
void log_manager_load_intact(struct log_manager *manager);
/* A directory has failed: the next start is not to believe the marks. Any thread, under any lock. */
void log_manager_forget_intact(struct log_manager *manager);
/* "<topic>-<partition>" in `key`, which is cleared first. */
struct slice log_manager_key(struct buffer *key, struct slice topic, int32_t partition);
/* Under the manager's mutex; NULL where there is none, or none yet, or none any more. */
struct managed_log *log_manager_find_managed(struct log_manager *manager, struct slice topic,
                                             int32_t partition);

/* The same when nobody is making or removing it any more: may let go of the mutex meanwhile. */
struct managed_log *log_manager_await_managed(struct log_manager *manager, struct slice topic,
                                              int32_t partition);
/* Ends the making or the removal, under the manager's mutex; out of the map where it is `gone`. */
void log_manager_settled(struct log_manager *manager, struct managed_log *managed, bool gone);

struct managed_log_opening {
    bool clean;
    bool expect_none;
    const struct log_settings *settings;
    uint64_t seed;
    atomic_int_least64_t *checked_bytes; /* of recovery; may be NULL */
};

/* Opens the log in the directory and adds it. 0, or -errno. `mutex` is not held, or nobody else is there. */
MUST_CHECK int managed_log_open(struct managed_log *managed, const struct managed_log_opening *opening);
struct managed_log *managed_log_new(struct log_manager *manager, struct log_directory *directory,
                                    struct slice topic, int32_t partition);
void managed_log_free(struct managed_log *managed);
/* Notes that the log is left out, or is not any more. */
void managed_log_leave_out(struct managed_log *managed, bool left_out);
/* Its folder, in `path`, which is set up here. */
void managed_log_path(const struct managed_log *managed, struct buffer *path);

/* ---- log_manager_directories.c ---- */

/* Sets up the directory's health and what it tells. */
void log_manager_watch_directory(struct log_manager *manager, struct log_directory *directory);
/* Takes the directory offline, with a line that `what` begins; once. */
void log_manager_fail_directory(struct log_directory *directory, int error, const char *what);
/* An operation on the directory itself ended with `error` (-errno): acts on what disk_error.h makes of it.
 * Returns `error`. */
int log_manager_directory_error(struct log_directory *directory, int error, const char *what);
/* Where a new log goes; NULL where all are offline. */
struct log_directory *log_manager_choose_directory(struct log_manager *manager);

/* ---- log_manager_delete.c ---- */

/* The folder `path` is to be removed from `due_ms` on. Under the manager's mutex, or nobody else is there. */
void log_manager_remove_later(struct log_manager *manager, struct log_directory *directory, const char *path,
                              int64_t due_ms);

/* ---- log_manager_future.c ---- */

struct log_moving *log_moving_new(uint64_t seed);
void log_moving_free(struct log_moving *moving);
/* Where somebody wants the log to be made; NULL: nobody does. Asked once. Under the manager's mutex. */
struct log_directory *log_manager_take_preference(struct log_manager *manager, struct slice topic,
                                                  int32_t partition);
/* Gives the folder `from` a -delete (or -stray) name, durably; `path`, which is set up here, is where it is
 * then. 0, or -errno. Under the manager's mutex, or nobody else is there. */
MUST_CHECK int log_manager_set_aside(struct log_manager *manager, struct log_directory *directory,
                                     const char *from, struct slice topic, int32_t partition, bool stray,
                                     struct buffer *path);

/* ---- log_manager_twins.c ---- */

/* A log of a name that the map has already. */
void log_manager_add_twin(struct log_manager *manager, struct managed_log *managed);
/* The log of that directory, in the map or beside it; NULL where there is none. */
struct managed_log *log_manager_find_in(struct log_manager *manager, const struct log_directory *directory,
                                        struct slice topic, int32_t partition);
/* When all are open: leaves one of each name. */
void log_manager_settle_twins(struct log_manager *manager);

/* ---- log_manager_load.c ---- */

/* Fills the map from the directories that are online; directories that fail meanwhile go offline. 0, or
 * -errno with a sentence for what concerns the whole broker. */
MUST_CHECK int log_manager_load(struct log_manager *manager, int threads, struct buffer *error);

/* ---- log_manager_recover.c: opening what was found ---- */

/* The logs of one directory, to be opened by its threads. */
struct directory_load {
    struct log_directory *directory;
    struct managed_log **logs;
    uint64_t *seeds;
    size_t count;
    size_t capacity;
    atomic_size_t next;
    struct map *deleted; /* keys of logs whose folders have a -delete name */
};

/* Opens them all, with `threads` threads for each directory, or on the caller's where that is 0. 0, or -errno
 * with a sentence. */
MUST_CHECK int log_manager_open_logs(struct log_manager *manager, struct directory_load *loads, int threads,
                                     struct buffer *error);

/* ---- log_manager_checkpoint.c. All of them: 0, or the first -errno ---- */

enum log_checkpoint {
    LOG_CHECKPOINT_RECOVERY = 1,
    LOG_CHECKPOINT_START = 2,
    LOG_CHECKPOINT_HIGH_WATERMARK = 4,
    LOG_CHECKPOINT_CLEANER = 8,
    LOG_CHECKPOINT_ALL = 15
};
void log_manager_lock_checkpoints(struct log_directory *directory);
void log_manager_unlock_checkpoints(struct log_directory *directory);
/* Rewrites the files of the set `which` in one directory, its checkpoint_mutex held; the directory's failure
 * where it is offline. */
MUST_CHECK int log_manager_write_checkpoints(struct log_manager *manager, struct log_directory *directory,
                                             unsigned which);
/* log_manager_cleaner.c: what the cleaner's checkpoint says of a log that was just opened lies within it, or
 * is forgotten. The directory's checkpoint_mutex held. */
void log_manager_check_cleaned(struct managed_log *managed);
/* log_keep_checkpoints of a managed log. */
int log_manager_keep_checkpoints(void *context, const struct log_checkpoint_bounds *bounds);

#endif
