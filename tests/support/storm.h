/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm: appends to 20 partitions with everything that ever happens to logs going on between them (rolls,
 * flushes in three steps, checkpoints, moved starts, retention, compaction, truncations, new epochs, deleted
 * and recreated partitions, clean stops), all drawn from one seed. The same files and the same seed give the
 * same storm, operation for operation. Every event goes through the model first, and through `record` where a
 * journal is wanted.
 *
 * storm_verify holds what a restart found against the model; what does not fit ends the process with a
 * sentence that names the partition, and the storm's label.
 *
 * Not thread-safe.
 */
#ifndef TESTS_SUPPORT_STORM_H
#define TESTS_SUPPORT_STORM_H

#include "broker/log/log_manager.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"
#include "common/prng.h"
#include "tests/support/storm_model.h"

#define STORM_TOPIC "storm"
#define STORM_DIRECTORIES 2

struct storm {
    struct file_system *files;
    char *directories[STORM_DIRECTORIES];
    struct storm_model model;
    struct log_manager *manager; /* NULL: not open */
    struct prng prng;
    uint64_t seed;
    int64_t now_ms; /* the wall clock of the logs */
    struct buffer error;
    struct buffer label;                                            /* said when the process is ended */
    void (*record)(void *context, const struct storm_event *event); /* may be NULL */
    void *record_context;
    /* How often something was done that changed something: a storm without it would prove nothing. */
    uint64_t appended;  /* batches, acknowledged */
    uint64_t compacted; /* groups of segments */
    uint64_t retained;
    uint64_t truncated;
};

/* `root` is there; the log directories are made in it. */
void storm_init(struct storm *storm, struct file_system *files, const char *root, uint64_t seed);
/* Drops the logs; the files are the caller's. */
void storm_release(struct storm *storm);

/* Opens the log manager. 0, or -errno. */
MUST_CHECK int storm_open(struct storm *storm);
/* Lets go of all logs as a crash would. */
void storm_drop(struct storm *storm);
/* One thing that happens; false when the disk refused. */
bool storm_step(struct storm *storm);
/* After storm_open: what is there fits the model, which becomes what is there. `digest`: of all records. */
void storm_verify(struct storm *storm, uint64_t *digest);
/* Appends names and contents of all files in the log directories. */
void storm_dump(struct storm *storm, struct buffer *out);

/* ---- between the files of the storm ---- */

/* Ends the process with a sentence. */
_Noreturn void storm_fail(const struct storm *storm, int partition, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Applies the event to the model and records it. */
void storm_emit(struct storm *storm, const struct storm_event *event);
/* The log of a partition, or NULL. */
struct partition_log *storm_log(struct storm *storm, int partition);
/* Whether the partition's topic is compacted. */
bool storm_is_compacted(int partition);

#endif
