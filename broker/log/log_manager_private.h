/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the log manager, shared by log_manager.c, log_manager_load.c and log_manager_checkpoint.c. */
#ifndef BROKER_LOG_LOG_MANAGER_PRIVATE_H
#define BROKER_LOG_LOG_MANAGER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/log/checkpoint_file.h"
#include "broker/log/log_directory.h"
#include "broker/log/log_manager.h"
#include "common/buffer.h"
#include "common/map.h"
#include "common/prng.h"

struct managed_log {
    struct log_manager *manager;
    struct log_directory *directory;
    struct list link; /* in the directory's list; guarded by checkpoint_mutex */
    char *topic;
    int32_t partition;
    struct partition_log *log;
    atomic_bool has_entry; /* the recovery point checkpoint on disk has a line for this log */
    /* What the checkpoint files say, or are to say; guarded by checkpoint_mutex once the log is open. */
    int64_t recovery_point;
    int64_t log_start_offset;
    int64_t high_watermark;
};

struct log_manager {
    struct file_system *files;
    struct logger *logger;
    struct log_settings defaults;
    int64_t (*wall_clock_ms)(void *context);
    void *wall_clock_context;
    struct log_directory *directories;
    size_t directories_count;
    pthread_mutex_t mutex;       /* guards logs, high_watermarks, prng, logs_count of the directories */
    struct map *logs;            /* "<topic>-<partition>" -> struct managed_log */
    struct map *high_watermarks; /* likewise -> int64_t: the checkpoints as they were at start */
    struct prng prng;
    /* Guards the checkpoint files, the directories' lists and what the logs last said. Taken last: under
     * `mutex`, under a partition's lock, or under none. */
    pthread_mutex_t checkpoint_mutex;
};

int64_t log_manager_now_ms(const struct log_manager *manager);
/* "<topic>-<partition>" in `key`, which is cleared first. */
struct slice log_manager_key(struct buffer *key, struct slice topic, int32_t partition);
/* Opens the log in the directory and adds it. 0, or -errno. `mutex` is not held, or nobody else is there. */
MUST_CHECK int managed_log_open(struct managed_log *managed, bool clean, bool expect_none,
                                const struct log_settings *settings, uint64_t seed);
struct managed_log *managed_log_new(struct log_manager *manager, struct log_directory *directory,
                                    struct slice topic, int32_t partition);
void managed_log_free(struct managed_log *managed);

/* log_manager_load.c: fills the map from the directories, which are open. 0, or -errno with a sentence. */
MUST_CHECK int log_manager_load(struct log_manager *manager, int threads, struct buffer *error);

/* log_manager_checkpoint.c. All of them: 0, or the first -errno. */
enum log_checkpoint {
    LOG_CHECKPOINT_RECOVERY = 1,
    LOG_CHECKPOINT_START = 2,
    LOG_CHECKPOINT_HIGH_WATERMARK = 4
};
/* Rewrites the files of the set `which` in one directory, checkpoint_mutex held. */
MUST_CHECK int log_manager_write_checkpoints(struct log_manager *manager,
                                             const struct log_directory *directory, unsigned which);
/* log_keep_checkpoints of a managed log. */
int log_manager_keep_checkpoints(void *context, const struct log_checkpoint_bounds *bounds);

#endif
