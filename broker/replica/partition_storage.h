/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the storage threads do with a partition's log from time to time. All of it blocks for the disk, and
 * takes the partition's mutex for short steps only. A partition that is closed, or whose log is offline, is
 * left alone. One call at a time for a partition.
 */
#ifndef BROKER_REPLICA_PARTITION_STORAGE_H
#define BROKER_REPLICA_PARTITION_STORAGE_H

#include "common/base.h"

struct partition;

/*
 * One pass of retention: by log start, size and time, never beyond this replica's high watermark (I9); on
 * leaders and followers alike. Every log.retention.check.interval.ms. `wall_ms` is compared with timestamps,
 * `now_ms` is the monotonic clock. 0, or -errno (said in the process's log).
 *
 * What goes must lie below the recovery point on disk. A checkpoint that says less is written on the way,
 * under the partition's mutex; so whoever can wait for the disk has it written before. *again: more can go
 * now that this call has flushed: once more, after another checkpoint.
 */
int partition_retain(struct partition *partition, int64_t wall_ms, int64_t now_ms, bool *again);

/* Unlinks the files that were let go of file.delete.delay.ms ago; to be called about every second. `now_ms`:
 * the monotonic clock. 0, or -errno (said in the process's log). */
int partition_remove_garbage(struct partition *partition, int64_t now_ms);

#endif
