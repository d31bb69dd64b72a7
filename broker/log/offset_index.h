/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offset index of a segment (.index): 8 bytes an entry, int32 last offset of an append minus the
 * segment's base, int32 position at which that append began. Both strictly rise. The first append of a
 * segment never makes an entry, so neither number is ever zero, and a zeroed tail is told from entries.
 *
 * An entry (L, P) is used for targets >= L: the batch that holds L begins at or behind P, and every offset
 * above L lies behind it.
 *
 * Not thread-safe: guarded by the log's owner.
 */
#ifndef BROKER_LOG_OFFSET_INDEX_H
#define BROKER_LOG_OFFSET_INDEX_H

#include "broker/log/index_file.h"
#include "common/base.h"

#define OFFSET_INDEX_ENTRY_BYTES 8

struct offset_index {
    struct index_file file;
    int64_t base_offset;
};

void offset_index_init(struct offset_index *index, struct file_system *files, const char *path,
                       int64_t base_offset);
void offset_index_release(struct offset_index *index);

/*
 * Loads the file and keeps the prefix that is sane: rising, positions below segment_bytes. 0, or -errno.
 */
MUST_CHECK int offset_index_load(struct offset_index *index, int64_t segment_bytes);
/* Adds an entry; one that would not rise is left out. */
void offset_index_append(struct offset_index *index, int64_t last_offset, int64_t position);
/* The position of the greatest entry with an offset <= `offset`; 0 where there is none. */
int64_t offset_index_find(const struct offset_index *index, int64_t offset);
/* The greatest position of an entry that is <= `position`; 0 where there is none. */
int64_t offset_index_find_position(const struct offset_index *index, int64_t position);
/* The offset of the first entry at or behind `position`: above all that ends there; -1 where there is none.
 */
int64_t offset_index_find_behind(const struct offset_index *index, int64_t position);
/* Keeps the entries with offsets below `offset` and positions below `position`. 0, or -EIO. */
MUST_CHECK int offset_index_truncate(struct offset_index *index, int64_t offset, int64_t position);

#endif
