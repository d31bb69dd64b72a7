/* SPDX-License-Identifier: Apache-2.0 */
/* What every file system can do, said in terms of its operations. */
#include "common/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/memory.h"

/* Nested deeper than any directory of ours; keeps a strange tree from exhausting the stack. */
#define TREE_DEPTH_MAX 64
#define READ_ALL_STEP_BYTES (64 * 1024)

int file_write_all(struct file_system *system, struct file *file, const struct iovec *parts, int count,
                   int64_t offset)
{
    size_t total = 0;
    for (int i = 0; i < count; i++) {
        if (!add_size(total, parts[i].iov_len, &total))
            return -EINVAL;
    }
    ssize_t written = file_write(system, file, parts, count, offset);
    if (written < 0)
        return (int)written;
    if ((size_t)written == total)
        return 0;
    return file_truncate(system, file, offset) ? -EIO : -ENOSPC;
}

struct tree_entry {
    char *name;
    bool is_directory;
};

struct tree_level {
    struct tree_entry *entries;
    size_t count;
    size_t capacity;
};

static int collect_entry(void *context, const char *name, bool is_directory)
{
    struct tree_level *level = context;
    level->entries = memory_grow(level->entries, level->count, &level->capacity, sizeof(*level->entries));
    level->entries[level->count++] = (struct tree_entry){memory_copy_string(name), is_directory};
    return 0;
}

static int remove_level(struct file_system *system, const char *path, int depth)
{
    if (depth > TREE_DEPTH_MAX)
        return -ELOOP;
    struct tree_level level = {0};
    int error = file_system_list(system, path, collect_entry, &level);
    struct buffer child;
    buffer_init(&child);
    for (size_t i = 0; i < level.count; i++) {
        if (!error) {
            buffer_clear(&child);
            buffer_print(&child, "%s/%s", path, level.entries[i].name);
            /* A link to a directory can be removed like a file; a directory cannot. */
            error = file_system_remove(system, buffer_string(&child));
            if ((error == -EISDIR || error == -EPERM) && level.entries[i].is_directory)
                error = remove_level(system, buffer_string(&child), depth + 1);
            if (error == -ENOENT)
                error = 0;
        }
        free(level.entries[i].name);
    }
    buffer_release(&child);
    free(level.entries);
    if (!error)
        error = file_system_remove_directory(system, path);
    return error == -ENOTDIR ? file_system_remove(system, path) : error;
}

int file_system_remove_tree(struct file_system *system, const char *path)
{
    return remove_level(system, path, 0);
}

static int write_and_sync(struct file_system *system, const char *path, const void *data, size_t length)
{
    struct file *file;
    int error = file_open(system, path, FILE_CREATE, &file);
    if (error)
        return error;
    error = file_truncate(system, file, 0);
    if (!error) {
        struct iovec part = {(void *)data, length};
        error = file_write_all(system, file, &part, 1, 0);
    }
    if (!error)
        error = file_sync(system, file);
    int close_error = file_close(system, file);
    return error ? error : close_error;
}

static int sync_directory_of(struct file_system *system, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return file_system_sync_directory(system, ".");
    char *directory = memory_copy_bytes(path, slash == path ? 1 : (size_t)(slash - path));
    int error = file_system_sync_directory(system, directory);
    free(directory);
    return error;
}

int file_system_replace(struct file_system *system, const char *path, const void *data, size_t length)
{
    struct buffer temporary;
    buffer_init(&temporary);
    buffer_print(&temporary, "%s.tmp", path);
    int error = write_and_sync(system, buffer_string(&temporary), data, length);
    if (!error)
        error = file_system_rename(system, buffer_string(&temporary), path);
    if (!error)
        error = sync_directory_of(system, path);
    buffer_release(&temporary);
    return error;
}

/* Reads until the end or until one byte more than `limit` has come: the file may grow under us. */
static int read_open_file(struct file_system *system, struct file *file, size_t limit, struct buffer *out)
{
    size_t done = 0;
    for (;;) {
        size_t step = min_size(limit - done, READ_ALL_STEP_BYTES - 1) + 1;
        uint8_t *at = buffer_reserve(out, step);
        ssize_t got = file_read(system, file, at, step, (int64_t)done);
        if (got < 0)
            return (int)got;
        done += (size_t)got;
        if (done > limit)
            return -EFBIG;
        out->length += (size_t)got;
        if ((size_t)got < step)
            return 0;
    }
}

int file_system_read_all(struct file_system *system, const char *path, size_t limit, struct buffer *out)
{
    struct file *file;
    int error = file_open(system, path, FILE_READ, &file);
    if (error)
        return error;
    size_t before = out->length;
    error = read_open_file(system, file, limit, out);
    if (error)
        out->length = before;
    file_close(system, file);
    return error;
}
