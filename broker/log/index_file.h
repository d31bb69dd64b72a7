/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The common part of offset and time index: entries of one size, all of them in memory as the file has them,
 * each new one written behind the last with one pwrite. The file is opened when there is something to write,
 * and closed by index_file_seal. It is never mapped and never preallocated.
 *
 * Indexes are hints (invariant I11). A write that fails is not an error of the append (a short file costs a
 * scan later), except EIO, which is handed up so that the directory goes offline (I6). What a crash leaves in
 * the file is cut to its sane prefix by whoever loads it.
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
    struct file *file; /* NULL: not open */
    size_t entry_size;
    struct buffer entries; /* as in the file */
    bool deferred;         /* new entries stay in memory: index_file_rewrite will write all */
};

/* Takes a copy of the path. Touches no file. */
void index_file_init(struct index_file *index, struct file_system *files, const char *path,
                     size_t entry_size);
/* Closes without syncing. */
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
/* Keeps the first `count` entries, in memory and (where it is longer) in the file. 0, or -errno. */
MUST_CHECK int index_file_truncate(struct index_file *index, size_t count);
/* Adds one entry. 0, or -EIO; other failures of the disk leave the entry in memory only. */
MUST_CHECK int index_file_append(struct index_file *index, const uint8_t *entry);
/* Writes all entries anew and ends deferral: after a rebuild. 0, or -EIO. */
MUST_CHECK int index_file_rewrite(struct index_file *index);
/* Makes the file, empty or not, exist: Kafka expects one beside every segment. 0, or -errno. */
MUST_CHECK int index_file_create(struct index_file *index);
/* Closes the file; the entries stay in memory. */
void index_file_seal(struct index_file *index);
/* Closes and removes the file. 0, or -errno; a missing file is fine. */
MUST_CHECK int index_file_remove(struct index_file *index);

#endif
