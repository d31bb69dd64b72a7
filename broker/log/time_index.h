/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The time index of a segment (.timeindex): 12 bytes an entry, int64 the greatest timestamp so far, int32 the
 * last offset of the batch that has it minus the segment's base. Timestamps strictly rise, offsets do not
 * fall.
 *
 * An entry (T, L) says: no record at or below L has a timestamp above T, and the batch that ends at L has T.
 *
 * Not thread-safe: guarded by the log's owner.
 */
#ifndef BROKER_LOG_TIME_INDEX_H
#define BROKER_LOG_TIME_INDEX_H

#include "broker/log/index_file.h"
#include "common/base.h"

#define TIME_INDEX_ENTRY_BYTES 12

struct time_index_entry {
    int64_t timestamp; /* -1: none */
    int64_t offset;    /* absolute */
};

struct time_index {
    struct index_file file;
    int64_t base_offset;
};

void time_index_init(struct time_index *index, struct file_system *files, const char *path,
                     int64_t base_offset);
void time_index_release(struct time_index *index);

/* Loads the file and keeps the prefix that is sane. 0, or -errno. */
MUST_CHECK int time_index_load(struct time_index *index);
/* Adds an entry; one whose timestamp does not rise is left out. */
void time_index_append(struct time_index *index, int64_t timestamp, int64_t offset);
/* The newest entry; timestamp -1 and the segment's base where there is none. */
struct time_index_entry time_index_last(const struct time_index *index);
/* The greatest entry with a timestamp <= `timestamp`; timestamp -1 and the base where there is none. */
struct time_index_entry time_index_find(const struct time_index *index, int64_t timestamp);
/* Keeps the entries with offsets below `offset`. 0, or -EIO. */
MUST_CHECK int time_index_truncate(struct time_index *index, int64_t offset);

#endif
