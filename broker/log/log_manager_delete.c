/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleted logs. The folder gets a name that no start takes for a log, at once and durably; its files go
 * later, on a thread that may wait for the disk: unlinking large files takes long, and an operator has
 * file.delete.delay.ms to think again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "common/memory.h"

void log_manager_remove_later(struct log_manager *manager, struct log_directory *directory, const char *path,
                              int64_t due_ms)
{
    struct due_removal *removal = memory_allocate_zeroed(1, sizeof(*removal));
    removal->directory = directory;
    removal->path = memory_copy_string(path);
    removal->due_ms = due_ms;
    list_push_back(&manager->removals, &removal->link);
}

/* Renames the folder, so that no later start takes it for a log; *path is where it is then. */
static int set_folder_aside(struct log_manager *manager, const struct managed_log *managed,
                            struct buffer *path)
{
    uint8_t unique[16];
    struct buffer from;
    buffer_init(&from);
    for (size_t i = 0; i < sizeof(unique); i++)
        unique[i] = (uint8_t)prng_next(&manager->prng);
    buffer_print(&from, "%s/", managed->directory->path);
    buffer_append(path, from.data, from.length);
    log_folder_name_format(&from, slice_of(managed->topic), managed->partition);
    log_folder_name_format_delete(path, slice_of(managed->topic), managed->partition, unique);
    int error = file_system_rename(manager->files, buffer_string(&from), buffer_string(path));
    if (!error)
        error = file_system_sync_directory(manager->files, managed->directory->path);
    buffer_release(&from);
    return error ? log_manager_directory_error(managed->directory, error, "setting a deleted log aside") : 0;
}

/*
 * Takes the log out of the map and out of the checkpoints: a topic of the same name must not inherit them. On
 * a full disk the files keep their lines until there is room: no new log is made there before.
 */
static int forget_log(struct log_manager *manager, struct managed_log *managed)
{
    struct buffer key;
    buffer_init(&key);
    struct slice key_text = log_manager_key(&key, slice_of(managed->topic), managed->partition);
    map_remove(manager->logs, key_text);
    free(map_remove(manager->high_watermarks, key_text));
    buffer_release(&key);
    struct log_directory *directory = managed->directory;
    log_manager_lock_checkpoints(directory);
    unsigned which = (atomic_load(&managed->has_entry) ? LOG_CHECKPOINT_RECOVERY : 0) |
                     (managed->log_start_offset > 0 ? LOG_CHECKPOINT_START : 0) |
                     (managed->high_watermark > 0 ? LOG_CHECKPOINT_HIGH_WATERMARK : 0) |
                     (managed->first_dirty_offset > 0 ? LOG_CHECKPOINT_CLEANER : 0);
    log_manager_unlock_checkpoints(directory);
    managed_log_free(managed);
    log_manager_lock_checkpoints(directory);
    directory->unwritten |= which;
    int error = log_manager_write_checkpoints(manager, directory, which);
    log_manager_unlock_checkpoints(directory);
    return error == -ENOSPC || error == -EDQUOT ? 0 : error;
}

int log_manager_delete(struct log_manager *manager, struct slice topic, int32_t partition)
{
    struct buffer path;
    buffer_init(&path);
    pthread_mutex_lock(&manager->mutex);
    struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    int error = managed ? 0 : -ENOENT;
    if (managed && log_directory_is_offline(managed->directory))
        error = -EIO;
    if (!error)
        error = set_folder_aside(manager, managed, &path);
    if (!error) {
        struct log_directory *directory = managed->directory;
        int64_t delay_ms = manager->defaults.file_delete_delay_ms;
        error = forget_log(manager, managed);
        log_manager_remove_later(manager, directory, buffer_string(&path),
                                 log_manager_now_ms(manager) + delay_ms);
    }
    pthread_mutex_unlock(&manager->mutex);
    buffer_release(&path);
    return error;
}

/* The next one to be removed of the directory (NULL: of any), out of the list, or NULL; *next_ms: when there
 * will be one. */
static struct due_removal *take_due(struct log_manager *manager, const struct log_directory *directory,
                                    int64_t now_ms, int64_t *next_ms)
{
    struct due_removal *due = NULL;
    *next_ms = INT64_MAX;
    pthread_mutex_lock(&manager->mutex);
    list_for_each_safe(node, after, &manager->removals)
    {
        struct due_removal *removal = container_of(node, struct due_removal, link);
        if (directory && removal->directory != directory)
            continue;
        if (removal->due_ms > now_ms) {
            *next_ms = min_i64(*next_ms, removal->due_ms);
            continue;
        }
        list_remove(node);
        due = removal;
        break;
    }
    pthread_mutex_unlock(&manager->mutex);
    return due;
}

static int64_t remove_due(struct log_manager *manager, const struct log_directory *directory, int64_t now_ms)
{
    struct due_removal *due;
    int64_t next_ms;
    while ((due = take_due(manager, directory, now_ms, &next_ms))) {
        int error =
            log_directory_is_offline(due->directory) ? 0 : file_system_remove_tree(manager->files, due->path);
        /* What is left is found again at the next start. */
        if (error)
            log_manager_directory_error(due->directory, error, "removing a deleted log");
        free(due->path);
        free(due);
    }
    return next_ms;
}

int64_t log_manager_remove_due(struct log_manager *manager, int64_t now_ms)
{
    return remove_due(manager, NULL, now_ms);
}

int64_t log_manager_remove_due_in(struct log_manager *manager, size_t number, int64_t now_ms)
{
    return remove_due(manager, &manager->directories[number], now_ms);
}
