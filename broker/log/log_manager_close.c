/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clean stop: every log is closed, by as many threads for each directory as recovery has; then, directory
 * by directory, come the checkpoints and, when all went well, the mark, last (invariant I8). Most of a stop
 * is waiting for syncs, which disks do better together than one by one; logs that are as the last stop left
 * them cost nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "common/memory.h"

struct directory_close {
    struct log_directory *directory;
    struct managed_log **logs;
    size_t count;
    atomic_size_t next;
    atomic_int error; /* the first */
};

/* Nobody makes or deletes logs any more. */
static void directory_close_init(struct directory_close *closing, struct log_directory *directory)
{
    size_t capacity = 0;
    *closing = (struct directory_close){.directory = directory};
    log_manager_lock_checkpoints(directory);
    list_for_each(node, &directory->logs)
    {
        closing->logs = memory_grow(closing->logs, closing->count, &capacity, sizeof(struct managed_log *));
        closing->logs[closing->count++] = container_of(node, struct managed_log, link);
    }
    log_manager_unlock_checkpoints(directory);
}

/*
 * A log that was left out is to the next start what it was to this one: after a clean stop, all of it; after
 * a crash, what its checkpointed recovery point says, which that start must find not to be the end. It could
 * be believed for one only beside a producer snapshot of there, which is a copy of what the batches say: it
 * goes. One of which no checkpoint tells would be trusted. 0, or -errno.
 */
static int close_left_out(const struct managed_log *managed)
{
    struct file_system *files = managed->manager->files;
    if (managed->directory->was_clean)
        return 0;
    if (managed->recovery_point == LOG_RECOVERY_POINT_UNKNOWN)
        return -ENOSPC;
    struct buffer folder, snapshot;
    managed_log_path(managed, &folder);
    managed_log_path(managed, &snapshot);
    buffer_print(&snapshot, "/");
    log_file_name_format(
        &snapshot, (struct log_file_name){.kind = LOG_FILE_SNAPSHOT, .offset = managed->recovery_point});
    int error = file_system_remove(files, buffer_string(&snapshot));
    if (error == 0 || error == -ENOENT)
        error = file_system_sync_directory(files, buffer_string(&folder));
    buffer_release(&folder);
    buffer_release(&snapshot);
    return error;
}

static int close_log(const struct managed_log *managed)
{
    if (managed->log)
        return partition_log_close(managed->log);
    return atomic_load(&managed->left_out) ? close_left_out(managed) : -EIO;
}

static void *close_logs(void *context)
{
    struct directory_close *closing = context;
    size_t number;
    while ((number = atomic_fetch_add(&closing->next, 1)) < closing->count) {
        int error = close_log(closing->logs[number]), none = 0;
        if (error)
            atomic_compare_exchange_strong(&closing->error, &none, error);
    }
    return NULL;
}

/* All of them, in all directories at once. */
static void close_in_threads(struct directory_close *all, size_t count, int threads)
{
    size_t each = min_size((size_t)threads, LOG_THREADS_PER_DIRECTORY_MAX), started = 0;
    pthread_t *ids = memory_allocate_zeroed(count * each + 1, sizeof(*ids));
    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < min_size(each, all[i].count); t++)
            started += pthread_create(&ids[started], NULL, close_logs, &all[i]) == 0;
    for (size_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    free(ids);
}

/* The checkpoints of a directory whose logs are closed, and the mark. 0, or -errno. */
static int finish(struct log_manager *manager, const struct directory_close *closing)
{
    struct log_directory *directory = closing->directory;
    log_manager_lock_checkpoints(directory);
    for (size_t i = 0; i < closing->count; i++) {
        struct managed_log *managed = closing->logs[i];
        if (!managed->log)
            continue;
        managed->recovery_point = partition_log_recovery_point(managed->log);
        managed->log_start_offset = partition_log_start_offset_kept(managed->log);
    }
    unsigned which =
        LOG_CHECKPOINT_RECOVERY | LOG_CHECKPOINT_START | (unsigned)atomic_load(&directory->unsure);
    int error = log_manager_write_checkpoints(manager, directory, which);
    log_manager_unlock_checkpoints(directory);
    int first_error = atomic_load(&closing->error);
    first_error = first_error ? first_error : error;
    return first_error ? first_error : log_directory_mark_clean(directory);
}

int log_manager_close(struct log_manager *manager)
{
    int first_error = 0;
    size_t count = 0;
    struct directory_close *all = memory_allocate_zeroed(manager->directories_count, sizeof(*all));
    for (size_t i = 0; i < manager->directories_count; i++)
        if (!log_directory_is_offline(&manager->directories[i])) /* that was said when it happened */
            directory_close_init(&all[count++], &manager->directories[i]);
    if (manager->recovery_threads > 0)
        close_in_threads(all, count, manager->recovery_threads);
    for (size_t i = 0; i < count; i++) {
        close_logs(&all[i]); /* all of them without threads, and what is left where none could be started */
        int error = finish(manager, &all[i]);
        if (error)
            log_error(manager->logger, "log",
                      "%s: no clean stop (%s): its logs are recovered at the next start",
                      all[i].directory->path, strerror(-error));
        first_error = first_error ? first_error : error;
        free(all[i].logs);
    }
    free(all);
    return first_error;
}
