/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that a log has let go of. Retention, truncation and compaction rename the files of a segment to
 * <name>.deleted at once, under the owner's lock, where that is quick; who reads them reads on from the open
 * file. After file.delete.delay.ms they are unlinked, outside the lock, where a large file may take its time:
 *
 *     lock; garbage = partition_log_take_garbage(log, now, false); unlock; log_garbage_remove(garbage);
 *
 * The delay counts from the first call that sees a file, so a log needs no clock to let go of one. Names are
 * made when they are taken: a folder that was renamed in between loses nothing.
 *
 * Crash: what is still there as .deleted is removed when the folder is opened again.
 */
#ifndef BROKER_LOG_LOG_GARBAGE_H
#define BROKER_LOG_LOG_GARBAGE_H

#include "common/base.h"

struct partition_log;
struct log_garbage;

/*
 * What is due at `now_ms` (any clock that only rises, the same at each call), or all there is. Under the
 * owner's lock. NULL: nothing. The caller hands it to log_garbage_remove; the log need not live until then.
 */
struct log_garbage *partition_log_take_garbage(struct partition_log *log, int64_t now_ms, bool all);

/* Unlinks the files and frees the list; on any thread, without a lock. What cannot be removed stays until the
 * next start. 0, or the first -errno. */
int log_garbage_remove(struct log_garbage *garbage);
/* Frees the list and leaves the files. */
void log_garbage_free(struct log_garbage *garbage);

/* Under the owner's lock: tells the log what log_garbage_remove said; -EIO takes it offline (I6). */
void partition_log_garbage_failed(struct partition_log *log, int error);

#endif
