/* SPDX-License-Identifier: Apache-2.0 */
/* Taking and leaving a log directory. */
#include "broker/log/log_directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/meta_properties.h"
#include "common/memory.h"

/* A disk with less is still full: it would be again after a few batches. */
#define ROOM_BYTES_MIN ((int64_t)2 * 1024 * 1024)
#define PROBE_BYTES ((int64_t)1024 * 1024)
#define PROBE_BYTES_MAX ((int64_t)128 * 1024 * 1024)

static const char clean_mark[] = "{\"version\":0,\"brokerEpoch\":-1}";

void log_directory_init(struct log_directory *directory, struct file_system *files, const char *path)
{
    *directory = (struct log_directory){.files = files, .path = memory_copy_string(path)};
    pthread_mutex_init(&directory->checkpoint_mutex, NULL);
    list_init(&directory->logs);
}

void log_directory_release(struct log_directory *directory)
{
    if (directory->lock)
        file_close(directory->files, directory->lock);
    free(directory->path);
    pthread_mutex_destroy(&directory->checkpoint_mutex);
    *directory = (struct log_directory){0};
}

static const char *path_of(const struct log_directory *directory, const char *name, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/%s", directory->path, name);
    return buffer_string(path);
}

/* Makes the directory where it is not there, and its name durable. 0, or -errno. */
static int make_one(struct file_system *files, const char *path)
{
    int error = file_system_make_directory(files, path);
    if (error)
        return error == -EEXIST ? 0 : error;
    const char *slash = strrchr(path, '/');
    char *parent = !slash          ? memory_copy_string(".")
                   : slash == path ? memory_copy_string("/")
                                   : memory_copy_bytes(path, (size_t)(slash - path));
    error = file_system_sync_directory(files, parent);
    free(parent);
    return error;
}

/* Makes the directory `path`, and those above it that are missing. 0, or -errno. */
static int make_path(struct file_system *files, const char *path)
{
    struct file_status status;
    int error = file_system_status(files, path, &status);
    if (error == 0)
        return status.is_directory ? 0 : -ENOTDIR;
    if (error != -ENOENT)
        return error;
    char *above = memory_copy_string(path);
    error = 0;
    for (char *slash = strchr(above + 1, '/'); slash && !error; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        error = make_one(files, above);
        *slash = '/';
    }
    free(above);
    return error ? error : make_one(files, path);
}

static int make_and_lock(struct log_directory *directory, struct buffer *path, struct buffer *error)
{
    int result = make_path(directory->files, directory->path);
    if (result) {
        buffer_print(
            error,
            "Log directory %s cannot be made: %s. Make it, writable for the broker, or name another in "
            "log.dirs.",
            directory->path, strerror(-result));
        return result;
    }
    result = file_system_lock(directory->files, path_of(directory, LOG_DIRECTORY_LOCK_FILE, path),
                              &directory->lock);
    if (result == -EBUSY)
        buffer_print(error,
                     "Log directory %s is in use by another process: stop the broker that holds it, or give "
                     "this one a directory of its own in log.dirs.",
                     directory->path);
    else if (result)
        buffer_print(error, "Log directory %s cannot be locked: %s. See that the broker may write there.",
                     directory->path, strerror(-result));
    return result;
}

/* Notes whether the mark is there and removes it; all names are durable then. */
static int take_clean_mark(struct log_directory *directory, struct buffer *path)
{
    struct file_status status;
    int error = file_system_status(directory->files, path_of(directory, CLEAN_SHUTDOWN_FILE, path), &status);
    /* After a crash names may be as they are in memory only: a deleted log's folder must not come back when
     * this life has seen it gone. */
    if (error == -ENOENT)
        return file_system_sync_directory(directory->files, directory->path);
    if (error)
        return error;
    error = file_system_remove(directory->files, buffer_string(path));
    if (!error)
        error = file_system_sync_directory(directory->files, directory->path);
    if (!error)
        directory->was_clean = true;
    return error;
}

int log_directory_open(struct log_directory *directory, int32_t broker_id, const char *cluster_id,
                       struct buffer *error)
{
    struct buffer path;
    buffer_init(&path);
    int result = make_and_lock(directory, &path, error);
    struct file_status status;
    if (!result)
        directory->was_new =
            file_system_status(directory->files, path_of(directory, META_PROPERTIES_FILE, &path), &status) ==
            -ENOENT;
    if (!result)
        result = meta_properties_ensure(directory->files, directory->path, broker_id, cluster_id, error);
    if (!result) {
        result = take_clean_mark(directory, &path);
        if (result)
            buffer_print(error, "%s cannot be removed: %s. See that the broker may write there.",
                         buffer_string(&path), strerror(-result));
    }
    if (!result) {
        /* Left by a crash; where it cannot go it does no harm. */
        int ignored =
            file_system_remove(directory->files, path_of(directory, LOG_DIRECTORY_PROBE_FILE, &path));
        (void)ignored;
    }
    buffer_release(&path);
    return result;
}

int log_directory_mark_clean(struct log_directory *directory)
{
    struct buffer path;
    buffer_init(&path);
    int error = file_system_replace(directory->files, path_of(directory, CLEAN_SHUTDOWN_FILE, &path),
                                    clean_mark, sizeof(clean_mark) - 1);
    buffer_release(&path);
    return error;
}

bool log_directory_is_offline(const struct log_directory *directory)
{
    return atomic_load_explicit(&directory->health.failure, memory_order_acquire) != 0;
}

bool log_directory_is_full(const struct log_directory *directory)
{
    return atomic_load_explicit(&directory->health.full, memory_order_acquire) != 0;
}

static int write_probe(struct log_directory *directory, const char *path, int64_t bytes_count)
{
    struct file *file;
    int error = file_open(directory->files, path, FILE_CREATE, &file);
    if (error)
        return error;
    uint8_t *bytes = memory_allocate_zeroed(1, (size_t)PROBE_BYTES);
    for (int64_t position = 0; position < bytes_count && !error; position += PROBE_BYTES) {
        struct iovec part = {bytes, (size_t)PROBE_BYTES};
        error = file_write_all(directory->files, file, &part, 1, position);
    }
    free(bytes);
    if (!error)
        error = file_sync(directory->files, file);
    file_close(directory->files, file);
    return error;
}

int log_directory_probe(struct log_directory *directory)
{
    int64_t free_bytes;
    int error = file_system_free_bytes(directory->files, directory->path, &free_bytes);
    if (error)
        return error;
    int64_t refused_bytes = min_i64(atomic_load(&directory->health.refused_bytes), PROBE_BYTES_MAX);
    if (free_bytes < ROOM_BYTES_MIN + refused_bytes)
        return -ENOSPC;
    struct buffer path;
    buffer_init(&path);
    error = write_probe(directory, path_of(directory, LOG_DIRECTORY_PROBE_FILE, &path),
                        max_i64(PROBE_BYTES, refused_bytes));
    int remove_error = file_system_remove(directory->files, buffer_string(&path));
    buffer_release(&path);
    return error || remove_error == -ENOENT ? error : remove_error;
}
