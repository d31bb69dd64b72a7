/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader epochs of a log: which epoch begins at which offset. A pure function of the log's batches plus,
 * at the very end, the epoch of a leader that has not written yet (invariant I4).
 *
 * Entries are ascending in both epoch and start offset. The text form is that of leader-epoch-checkpoint:
 * line 1 the version 0, line 2 the number of entries, then "epoch start" a line.
 *
 * Pure. Not thread-safe: guarded by the log's owner.
 */
#ifndef BROKER_LOG_EPOCH_CACHE_H
#define BROKER_LOG_EPOCH_CACHE_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epoch_cache {
    struct epoch_entry *entries;
    size_t count;
    size_t capacity;
    bool changed; /* since the owner last set it to false: what the checkpoint file lacks */
};

void epoch_cache_init(struct epoch_cache *cache);
void epoch_cache_release(struct epoch_cache *cache);
void epoch_cache_clear(struct epoch_cache *cache);

/*
 * `epoch` starts at `start_offset`. Nothing happens where it is the newest epoch and starts no earlier than
 * known; else entries with an epoch or a start at or above the new one go first.
 */
void epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset);
/* Drops the entries that start at or above `offset`: the log was cut there. */
void epoch_cache_truncate_from_end(struct epoch_cache *cache, int64_t offset);
/* Drops the entries that end at or below `offset`; the one that covers it starts there. */
void epoch_cache_truncate_from_start(struct epoch_cache *cache, int64_t offset);

/* The newest epoch, -1 where there is none. */
int32_t epoch_cache_latest(const struct epoch_cache *cache);
/* The epoch that covers `offset` (below the log's end), -1 where none does. */
int32_t epoch_cache_at(const struct epoch_cache *cache, int64_t offset);
/* Where the greatest known epoch <= `epoch` ends; (-1, -1) where that is not known. */
void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end_offset,
                     int32_t *found_epoch, int64_t *end_offset);

/* Appends the checkpoint's text. */
void epoch_cache_format(const struct epoch_cache *cache, struct buffer *out);
/* Replaces the entries by those of the text. 0, or -EBADMSG (the cache is then empty). */
MUST_CHECK int epoch_cache_parse(struct epoch_cache *cache, struct slice text);

#endif
