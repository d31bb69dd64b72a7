/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The storage threads: everything that waits for disks and that nobody's request or message must wait behind.
 *
 *     flushes          for each log directory, so that a slow or hanging disk holds up nobody else's: several
 *                      threads for flushes that acknowledgements wait for, one for those of whole segments
 *                      and of flush.ms
 *     storage-files    for each log directory: retention, files and folders whose time to go has come
 *     storage-keeper   for each log directory: checkpoints of recovery points, log starts and high
 * watermarks, logs that are to be flushed by flush.ms, whether a full directory has room again
 *
 * background.threads is about how many there are together with one directory: half of them flush.
 *
 * Retention compares timestamps with the wall clock. Where that has jumped against the monotonic clock
 * between two rounds, one round is left out, with a line in the log.
 */
#ifndef BROKER_STORAGE_H
#define BROKER_STORAGE_H

#include "broker/config/broker_config.h"
#include "broker/replica/replica_manager.h"
#include "common/base.h"
#include "common/log.h"

struct storage;

struct storage_options {
    const struct broker_config *config;
    struct logger *logger;
    size_t directories; /* of log.dirs, as many as the log manager has */
};

/* Starts the threads that flush. 0 or -errno. */
MUST_CHECK int storage_new(const struct storage_options *options, struct storage **storage);
/* Starts the periodic work. 0 or -errno. */
MUST_CHECK int storage_start(struct storage *storage, struct replica_manager *replicas);
/*
 * Ends the threads: what is under way comes to its end, what is queued is dropped (closing a log flushes it).
 * Before the partitions and the logs go, and before the loops whose mailboxes waiters use; nothing may be
 * asked for any more but from these threads. NULL is fine.
 */
void storage_stop(struct storage *storage);
/* Stops if need be. NULL is fine. */
void storage_free(struct storage *storage);

/* Whether the wall clock was set since the last look, by more than the clocks drift apart: by it files are
 * removed for good. *difference_ms: wall less monotonic clock, then and afterwards; *jump_ms: by how much. */
MUST_CHECK bool storage_clock_has_jumped(int64_t *difference_ms, int64_t wall_ms, int64_t monotonic_ms,
                                         int64_t *jump_ms);

/* From any thread: flush it (struct partition_host). Once stopped nothing happens. */
void storage_flush_wanted(struct storage *storage, struct partition *partition, enum flush_urgency urgency);

#endif
