/* SPDX-License-Identifier: Apache-2.0 */
/* Taking and leaving a log directory. */
#include "broker/log/log_directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/meta_properties.h"
#include "common/memory.h"

static const char clean_mark[] = "{\"version\":0,\"brokerEpoch\":-1}";

void log_directory_init(struct log_directory *directory, struct file_system *files, const char *path)
{
    *directory = (struct log_directory){.files = files, .path = memory_copy_string(path)};
    list_init(&directory->logs);
}

void log_directory_release(struct log_directory *directory)
{
    if (directory->lock)
        file_close(directory->files, directory->lock);
    free(directory->path);
    *directory = (struct log_directory){0};
}

static const char *path_of(const struct log_directory *directory, const char *name, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/%s", directory->path, name);
    return buffer_string(path);
}

static int make_and_lock(struct log_directory *directory, struct buffer *path, struct buffer *error)
{
    int result = file_system_make_directory(directory->files, directory->path);
    if (result && result != -EEXIST) {
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

/* Notes whether the mark is there and removes it, durably. */
static int take_clean_mark(struct log_directory *directory, struct buffer *path)
{
    struct file_status status;
    int error = file_system_status(directory->files, path_of(directory, CLEAN_SHUTDOWN_FILE, path), &status);
    if (error)
        return error == -ENOENT ? 0 : error;
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
    if (!result)
        result = meta_properties_ensure(directory->files, directory->path, broker_id, cluster_id, error);
    if (!result) {
        result = take_clean_mark(directory, &path);
        if (result)
            buffer_print(error, "%s cannot be removed: %s. See that the broker may write there.",
                         buffer_string(&path), strerror(-result));
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
