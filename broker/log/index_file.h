/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common part of offset and time index: entries of one size, all of them in memory. The file follows at a
 * roll, at a clean stop and after a rebuild, all of it at once: while a segment is being written the array in
 * memory rules, and a crash rebuilds that segment's indexes anyway, so an append need not write here. The
 * file is never kept open, never mapped and never preallocated.
 *
 * Indexes are hints (invariant I11). A write that fails is no error (a short file costs a scan later), except
 * EIO, which is handed up so that the log goes offline (I6). What a crash leaves in the file is cut to its
 * sane prefix by whoever loads it.
 *
 * Not thread-safe: guarded by the log's owner.
 */
#ifndef BROKER_LOG_INDEX_FILE_H
#define BROKER_LOG_INDEX_FILE_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"

/* Larger files than segment.index.bytes allows in any sane configuration are not believed. */
#define INDEX_FILE_BYTES_MAX ((size_t)256 * 1024 * 1024)

struct index_file {
    struct file_system *files;
    char *path;
    size_t entry_size;
    struct buffer entries;
    bool changed;        /* the file has something else, or is not there */
    bool only_in_memory; /* some of the entries, or that some are gone: loading would not bring them back */
};

/* Takes a copy of the path. Touches no file. */
void index_file_init(struct index_file *index, struct file_system *files, const char *path,
                     size_t entry_size);
void index_file_release(struct index_file *index);

static inline size_t index_file_count(const struct index_file *index)
{
    return index->entries.length / index->entry_size;
}

static inline const uint8_t *index_file_entry(const struct index_file *index, size_t number)
{
    return index->entries.data + number * index->entry_size;
}

/* Reads the file's whole entries into memory, as they are. 0 (also when there is no file: none), or -errno.
 */
MUST_CHECK int index_file_load(struct index_file *index);
/* Lets go of the entries' memory. They can be loaded again: only_in_memory is false. */
void index_file_forget(struct index_file *index);
/* Keeps the first `count` entries, in memory and (where it is longer) in the file. 0, or -EIO. */
MUST_CHECK int index_file_truncate(struct index_file *index, size_t count);
/* Adds one entry in memory. */
void index_file_append(struct index_file *index, const uint8_t *entry);
/* Writes all entries where the file does not have them; it is there afterwards, empty or not: Kafka expects
 * one beside every segment. Syncs nothing. 0, or -EIO. */
MUST_CHECK int index_file_write(struct index_file *index);

#endif
