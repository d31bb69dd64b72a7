/* SPDX-License-Identifier: Apache-2.0 */
/* An array of fixed-size entries and the file that it goes to. */
#include "broker/log/index_file.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

void index_file_init(struct index_file *index, struct file_system *files, const char *path, size_t entry_size)
{
    *index = (struct index_file){
        .files = files, .path = memory_copy_string(path), .entry_size = entry_size, .changed = true};
    buffer_init(&index->entries);
}

void index_file_release(struct index_file *index)
{
    buffer_release(&index->entries);
    free(index->path);
    index->path = NULL;
}

int index_file_load(struct index_file *index)
{
    buffer_clear(&index->entries);
    int error = file_system_read_all(index->files, index->path, INDEX_FILE_BYTES_MAX, &index->entries);
    if (error == -ENOENT || error == -EFBIG)
        error = 0;
    index->entries.length -= index->entries.length % index->entry_size;
    index->changed = true; /* what was left out may still be in the file */
    index->only_in_memory = error != 0;
    return error;
}

void index_file_forget(struct index_file *index)
{
    CHECK(!index->only_in_memory);
    buffer_release(&index->entries);
    buffer_init(&index->entries);
}

/* Cuts the file to `length` where it is longer. 0, or -errno. */
static int cut_file(struct index_file *index, int64_t length)
{
    struct file_status status;
    int error = file_system_status(index->files, index->path, &status);
    if (error || status.size <= length)
        return error == -ENOENT ? 0 : error;
    struct file *file;
    error = file_open(index->files, index->path, FILE_WRITE, &file);
    if (error)
        return error;
    error = file_truncate(index->files, file, length);
    int close_error = file_close(index->files, file);
    return error ? error : close_error;
}

int index_file_truncate(struct index_file *index, size_t count)
{
    index->entries.length = count * index->entry_size;
    int error = cut_file(index, (int64_t)index->entries.length);
    index->changed = index->changed || error;
    index->only_in_memory = index->only_in_memory || error;
    return error == -EIO ? error : 0;
}

void index_file_append(struct index_file *index, const uint8_t *entry)
{
    buffer_append(&index->entries, entry, index->entry_size);
    index->changed = true;
    index->only_in_memory = true;
}

int index_file_write(struct index_file *index)
{
    if (!index->changed)
        return 0;
    struct file *file;
    int error = file_open(index->files, index->path, FILE_CREATE, &file);
    if (error)
        return error == -EIO ? error : 0;
    error = file_truncate(index->files, file, 0);
    if (!error && index->entries.length > 0) {
        struct iovec part = {index->entries.data, index->entries.length};
        error = file_write_all(index->files, file, &part, 1, 0);
    }
    int close_error = file_close(index->files, file);
    error = error ? error : close_error;
    index->changed = error != 0;
    index->only_in_memory = error != 0;
    return error == -EIO ? error : 0;
}
