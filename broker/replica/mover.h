/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves logs between the log directories of this broker while they serve (KIP-113, AlterReplicaLogDirs).
 *
 * A move copies the live log piece by piece into a future log in the other directory (log_manager_future.h),
 * follows what happens to the live log meanwhile, and when it has all, the two change places under the
 * partition's lock. Compaction of the live log pauses while it is copied: the copy might else have a record
 * and not the tombstone that deleted it.
 *
 * A move ends when it is done, when another one is asked for, when the partition goes, or when one of the two
 * directories fails. Where only room is missing it waits for room. A move that a stop of the broker
 * interrupts goes on after the next start.
 *
 * Threads: num.replica.alter.log.dirs.threads of its own, each with one move at a time, piece by piece in
 * turn. The functions may be called from any thread; none but mover_start, mover_stop and mover_run waits for
 * the disk.
 */
#ifndef BROKER_REPLICA_MOVER_H
#define BROKER_REPLICA_MOVER_H

#include "broker/replica/replica_manager.h"
#include "common/base.h"
#include "common/log.h"
#include "common/slice.h"

struct mover;

struct mover_options {
    struct replica_manager *replicas;
    struct logger *logger;
    int threads;
    int64_t bytes_per_second; /* replica.alter.log.dirs.io.max.bytes.per.second */
    /* NULL outside of tests: the system's clocks. */
    int64_t (*monotonic_ms)(void *context);
    int64_t (*wall_ms)(void *context);
    void *clock_context;
};

struct mover *mover_new(const struct mover_options *options);
/* Finds the moves that the last stop interrupted and starts the threads. 0, or -errno. */
MUST_CHECK int mover_start(struct mover *mover);
/* Ends the threads; what is under way stays for the next start. */
void mover_stop(struct mover *mover);
void mover_free(struct mover *mover);

/*
 * One partition of an AlterReplicaLogDirs request. A Kafka error code:
 * KAFKA_NONE: it is there already (a move elsewhere ends), or is being moved from now on;
 * KAFKA_INVALID_TOPIC_EXCEPTION: the name is too long for a future folder;
 * KAFKA_LOG_DIR_NOT_FOUND: not in log.dirs; KAFKA_KAFKA_STORAGE_ERROR: offline, or the log is, or, as the log
 * may have a future log there, any directory is; KAFKA_REPLICA_NOT_AVAILABLE: no such replica here. Then a
 * replica that is made here later will be made there.
 */
int16_t mover_alter(struct mover *mover, struct slice topic, int32_t partition, struct slice path);

struct move_status {
    size_t directory; /* number of the target */
    int64_t size_bytes;
    int64_t end_offset; /* of the future log; 0 until it is opened */
};

/* False: it is not being moved. */
MUST_CHECK bool mover_status(struct mover *mover, struct slice topic, int32_t partition,
                             struct move_status *status);
/* Calls visit for each move, under the mover's lock, which comes after all other locks but the log manager's
 * checkpoint lock: nothing may be called from within that takes one. */
void mover_each(struct mover *mover,
                void (*visit)(void *context, struct slice topic, int32_t partition,
                              const struct move_status *status),
                void *context);

/* For tests without threads: does the next due piece of work. False: nothing is due now. */
bool mover_run(struct mover *mover);

#endif
