/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cleaner of all logs: chooses the one that needs it most, cleans it, and remembers those that cannot be
 * cleaned. The threads are somebody else's, each does rounds:
 *
 *     struct log_cleaner_round round;
 *     log_cleaner_begin(cleaner, &round);
 *     for each partition there is
 *         if (log_cleaner_offer(cleaner, &round, topic, partition, &access)) remember it
 *     if (log_cleaner_take(cleaner, &round))
 *         log_cleaner_clean(cleaner, &round, &access of the one remembered)
 *     log_cleaner_end(cleaner, &round);
 *
 * One log is cleaned by one thread at a time, and nothing of its name besides, whatever its topic's id is. A
 * batch that is damaged, or a key map with no room for one key, marks the log as uncleanable until the broker
 * starts again, with one line in the log. Whatever else fails, as no descriptors, puts the log off for 15
 * seconds, then for twice as long each time, up to 10 minutes: so a log that fails forever does not keep the
 * others from their turn. A full disk makes its directory count as full, in which nothing is cleaned; a
 * broken one takes it offline.
 *
 * Memory: log.cleaner.dedupe.buffer.size for the key maps of all threads, the two io buffers of each
 * (log.cleaner.io.buffer.size for all), grown while a larger batch is worked on; all of it is given back
 * after each cleaning.
 *
 * Any thread; nothing here is called with a lock held but what `access` takes.
 */
#ifndef BROKER_LOG_LOG_CLEANER_H
#define BROKER_LOG_LOG_CLEANER_H

#include "broker/log/clean_plan.h"
#include "broker/log/log_manager.h"
#include "broker/log/partition_log.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/log.h"

struct log_cleaner;

/* The clock and the sleep of the cleaner. */
struct log_cleaner_time {
    void *context;
    int64_t (*wall_ms)(void *context);
    int64_t (*monotonic_us)(void *context);
    /* Sleeps so long, or shorter when it is time to stop. */
    void (*sleep_us)(void *context, int64_t duration_us);
    /* Whether to stop: a cleaning under way ends soon then. */
    bool (*stopped)(void *context);
};

struct log_cleaner_options {
    struct log_manager *logs; /* keeps the checkpoint; NULL: nobody does */
    struct logger *logger;
    int threads;
    int64_t dedupe_buffer_bytes;
    int64_t io_buffer_bytes;
    double load_factor;
    double max_bytes_per_second; /* of reads and writes together */
    uint64_t hash_key[2];        /* random */
    struct log_cleaner_time time;
};

struct log_cleaner *log_cleaner_new(const struct log_cleaner_options *options);
/* NULL is fine. */
void log_cleaner_free(struct log_cleaner *cleaner);

/* The way to a log under its owner's lock. */
struct log_cleaner_access {
    void *context;
    /* Locks and gives the log and its high watermark; NULL, and not locked: it is gone. */
    struct partition_log *(*enter)(void *context, int64_t *high_watermark);
    void (*leave)(void *context);
};

struct log_cleaner_round {
    size_t number;
    bool found;
    struct buffer key; /* of the filthiest so far */
    char *topic;
    int32_t partition;
    struct uuid topic_id;
    struct clean_plan plan;
    double max_dirty_ratio; /* of all that were offered */
};

void log_cleaner_begin(struct log_cleaner *cleaner, struct log_cleaner_round *round);
/* Looks at a log. True: it is the one to be cleaned, unless another is offered that is filthier. */
bool log_cleaner_offer(struct log_cleaner *cleaner, struct log_cleaner_round *round, struct slice topic,
                       int32_t partition, const struct log_cleaner_access *access);
/* After all there are were offered: takes the filthiest; false where there is none, or another thread was
 * faster. What was known of logs that are gone is forgotten. */
bool log_cleaner_take(struct log_cleaner *cleaner, struct log_cleaner_round *round);
/* Cleans what was taken. True: it was done to the end. Whether or not, others may be waiting. */
bool log_cleaner_clean(struct log_cleaner *cleaner, struct log_cleaner_round *round,
                       const struct log_cleaner_access *access);
void log_cleaner_end(struct log_cleaner *cleaner, struct log_cleaner_round *round);

/* For metrics and questions. */
struct log_cleaner_statistics {
    int64_t cleanings;
    int64_t map_bytes; /* read to fill maps */
    int64_t read_bytes;
    int64_t written_bytes;
    int64_t records_without_key;
    int64_t uncleanable; /* logs, until the next start */
    int64_t last_run_ms; /* wall clock of the last round; 0: none */
    double max_dirty_ratio;
    double max_map_utilization; /* of the last cleaning, 0 to 1 */
};

void log_cleaner_statistics(struct log_cleaner *cleaner, struct log_cleaner_statistics *statistics);

#endif
