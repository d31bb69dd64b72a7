/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who writes a log's leader-epoch-checkpoint: its flushes, of which several may be on their way. They share
 * this: a newer text is never replaced by an older one, and once the log is closed nobody writes into what
 * may be another log's folder by then.
 *
 * Threads: any; it has a lock of its own, held while the file is written, which is the last of all locks.
 */
#ifndef BROKER_LOG_EPOCH_FILE_H
#define BROKER_LOG_EPOCH_FILE_H

#include "common/base.h"
#include "common/file.h"
#include "common/slice.h"

struct epoch_file;

/* One reference, the caller's. */
struct epoch_file *epoch_file_new(struct file_system *files);
struct epoch_file *epoch_file_acquire(struct epoch_file *file);
/* NULL is fine. */
void epoch_file_release(struct epoch_file *file);

/*
 * Replaces the file at `path` durably by `text`, unless the same version of it or a newer one is there
 * already. Versions are the log's own count from 1. 0, -errno, or -ESHUTDOWN: closed, nothing was written.
 */
MUST_CHECK int epoch_file_write(struct epoch_file *file, const char *path, uint64_t version,
                                struct slice text);
/* Nothing is written from now on; what was being written is there. NULL is fine. */
void epoch_file_close(struct epoch_file *file);

#endif
