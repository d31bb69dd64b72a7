/* SPDX-License-Identifier: Apache-2.0 */
/* An array of fixed-size entries and the file that mirrors it. */
#include "broker/log/index_file.h"

#include <errno.h>
#include <stdlib.h>

#include "common/memory.h"

void index_file_init(struct index_file *index, struct file_system *files, const char *path, size_t entry_size)
{
    *index = (struct index_file){.files = files, .path = memory_copy_string(path), .entry_size = entry_size};
    buffer_init(&index->entries);
}

void index_file_seal(struct index_file *index)
{
    if (index->file)
        file_close(index->files, index->file);
    index->file = NULL;
}

void index_file_release(struct index_file *index)
{
    index_file_seal(index);
    buffer_release(&index->entries);
    free(index->path);
    index->path = NULL;
}

/* Cuts the file where it is longer than what we hold: a preallocated tail, or what a crash left. */
static int cut_file(struct index_file *index)
{
    int64_t size;
    int error = file_size(index->files, index->file, &size);
    if (error || size <= (int64_t)index->entries.length)
        return error;
    return file_truncate(index->files, index->file, (int64_t)index->entries.length);
}

static int open_file(struct index_file *index)
{
    if (index->file)
        return 0;
    int error = file_open(index->files, index->path, FILE_CREATE, &index->file);
    return error ? error : cut_file(index);
}

int index_file_load(struct index_file *index)
{
    buffer_clear(&index->entries);
    int error = file_system_read_all(index->files, index->path, INDEX_FILE_BYTES_MAX, &index->entries);
    if (error == -ENOENT || error == -EFBIG)
        error = 0;
    index->entries.length -= index->entries.length % index->entry_size;
    return error;
}

int index_file_truncate(struct index_file *index, size_t count)
{
    index->entries.length = count * index->entry_size;
    struct file_status status;
    if (!index->file) {
        int error = file_system_status(index->files, index->path, &status);
        if (error)
            return error == -ENOENT ? 0 : error;
        if (status.size <= (int64_t)index->entries.length)
            return 0;
    }
    int error = open_file(index);
    return error ? error : cut_file(index);
}

int index_file_append(struct index_file *index, const uint8_t *entry)
{
    int64_t position = (int64_t)index->entries.length;
    int error = index->deferred ? 0 : open_file(index);
    buffer_append(&index->entries, entry, index->entry_size);
    if (!error && !index->deferred) {
        struct iovec part = {(void *)entry, index->entry_size};
        error = file_write_all(index->files, index->file, &part, 1, position);
    }
    return error == -EIO ? error : 0;
}

int index_file_create(struct index_file *index)
{
    return open_file(index);
}

int index_file_rewrite(struct index_file *index)
{
    index->deferred = false;
    if (index->entries.length == 0)
        return index_file_truncate(index, 0) == -EIO ? -EIO : 0;
    int error = open_file(index);
    if (!error)
        error = file_truncate(index->files, index->file, 0);
    if (!error) {
        struct iovec part = {index->entries.data, index->entries.length};
        error = file_write_all(index->files, index->file, &part, 1, 0);
    }
    return error == -EIO ? error : 0;
}

int index_file_remove(struct index_file *index)
{
    index_file_seal(index);
    int error = file_system_remove(index->files, index->path);
    return error == -ENOENT ? 0 : error;
}
