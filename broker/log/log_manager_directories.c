/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What state the log directories are in, and how that changes:
 *
 *     online <-----> full      no room for a write / the probe found some
 *        \             /
 *         v           v
 *           offline            any failure (disk_error.h); until the broker starts again
 *
 * The state is two atomics in struct log_health, so that who meets an error may tell it under any lock. Each
 * change of state is one line in the process's log and one call of directories_changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/log/disk_error.h"
#include "broker/log/log_manager_private.h"
#include "broker/log/meta_properties.h"

static void tell_change(const struct log_manager *manager)
{
    if (manager->directories_changed)
        manager->directories_changed(manager->directories_context);
}

/* The line that says what the loss means and what to do; what was met, another has said. */
static void on_failed(struct log_health *health, int error)
{
    struct log_directory *directory = container_of(health, struct log_directory, health);
    struct log_manager *manager = directory->manager;
    log_manager_forget_intact(manager);
    log_error(
        manager->logger, "log",
        "log directory %s is offline (%s) with %zu partitions; %zu of %zu directories are left. Repair "
        "or replace its disk and start the broker again; without a disk, name the directory in log.dirs "
        "no more",
        directory->path, strerror(-error), (size_t)atomic_load(&directory->logs_count),
        log_manager_usable_directories(manager), manager->directories_count);
    tell_change(manager);
}

/* A disk on the brink fills and has room by turns: each is not worth a line. */
#define FULL_LINE_INTERVAL_MS 60000

/* Says that it is full, where that was not said lately: then the probe says it later. */
static void say_full(struct log_directory *directory, int error)
{
    const struct log_manager *manager = directory->manager;
    int64_t now_ms = log_manager_now_ms(manager), next_ms = atomic_load(&directory->next_line_ms);
    bool due = now_ms >= next_ms || next_ms - now_ms > FULL_LINE_INTERVAL_MS; /* the clock was set back */
    if (!due ||
        !atomic_compare_exchange_strong(&directory->next_line_ms, &next_ms, now_ms + FULL_LINE_INTERVAL_MS))
        return;
    atomic_store(&directory->told_full, true);
    int64_t free_bytes = -1;
    if (file_system_free_bytes(directory->files, directory->path, &free_bytes))
        free_bytes = -1;
    log_error(manager->logger, "log",
              "log directory %s is full (%s, %" PRId64
              " bytes free): producers to its %zu partitions get errors that they may retry. Make room, or "
              "lower retention; the broker goes on by itself then",
              directory->path, strerror(-error), free_bytes, (size_t)atomic_load(&directory->logs_count));
}

static void on_filled(struct log_health *health, int error)
{
    struct log_directory *directory = container_of(health, struct log_directory, health);
    say_full(directory, error);
    tell_change(directory->manager);
}

void log_manager_watch_directory(struct log_manager *manager, struct log_directory *directory)
{
    directory->manager = manager;
    directory->health.failed = on_failed;
    directory->health.filled = on_filled;
}

void log_manager_fail_directory(struct log_directory *directory, int error, const char *what)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&directory->health.failure, &none, error))
        return;
    log_error(directory->manager->logger, "log", "%s", what);
    on_failed(&directory->health, error);
}

int log_manager_directory_error(struct log_directory *directory, int error, const char *what)
{
    struct buffer line;
    int none = 0;
    switch (disk_error_of(error)) {
    case DISK_ERROR_FAILED:
        buffer_init(&line);
        buffer_print(&line, "%s: %s failed: %s", directory->path, what, strerror(-error));
        log_manager_fail_directory(directory, error, buffer_string(&line));
        buffer_release(&line);
        break;
    case DISK_ERROR_FULL:
        if (atomic_compare_exchange_strong(&directory->health.full, &none, error))
            on_filled(&directory->health, error);
        break;
    case DISK_ERROR_PASSING:
        log_warn(directory->manager->logger, "log", "%s: %s failed: %s", directory->path, what,
                 strerror(-error));
        break;
    }
    return error;
}

/* ---- questions ---- */

size_t log_manager_directories_count(const struct log_manager *manager)
{
    return manager->directories_count;
}

void log_manager_directory_info(const struct log_manager *manager, size_t number,
                                struct log_directory_info *info)
{
    const struct log_directory *directory = &manager->directories[number];
    int failure = atomic_load(&directory->health.failure);
    int full = atomic_load(&directory->health.full);
    *info = (struct log_directory_info){.path = directory->path,
                                        .state = failure ? LOG_DIRECTORY_OFFLINE
                                                 : full  ? LOG_DIRECTORY_FULL
                                                         : LOG_DIRECTORY_ONLINE,
                                        .error = failure ? failure : full};
}

size_t log_manager_usable_directories(const struct log_manager *manager)
{
    size_t usable = 0;
    for (size_t i = 0; i < manager->directories_count; i++)
        usable += !log_directory_is_offline(&manager->directories[i]);
    return usable;
}

int log_manager_directory_of(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    const struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    int number = managed ? (int)(managed->directory - manager->directories) : -1;
    pthread_mutex_unlock(&manager->mutex);
    return number;
}

void log_manager_directory_room(const struct log_manager *manager, size_t number, int64_t *total_bytes,
                                int64_t *usable_bytes)
{
    const char *path = manager->directories[number].path;
    *total_bytes = *usable_bytes = -1;
    if (file_system_total_bytes(manager->files, path, total_bytes) ||
        file_system_free_bytes(manager->files, path, usable_bytes))
        *total_bytes = *usable_bytes = -1;
}

int64_t log_manager_size_bytes(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    const struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    int64_t size_bytes = managed && managed->log ? partition_log_size_bytes(managed->log) : 0;
    pthread_mutex_unlock(&manager->mutex);
    return size_bytes;
}

bool log_manager_log_is_offline(struct log_manager *manager, struct slice topic, int32_t partition)
{
    /* The common case, asked on network threads for every partition that is not here: no lock. */
    if (log_manager_usable_directories(manager) == manager->directories_count)
        return false;
    pthread_mutex_lock(&manager->mutex);
    const struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    bool offline = managed ? log_directory_is_offline(managed->directory)
                           : log_manager_usable_directories(manager) < manager->directories_count;
    pthread_mutex_unlock(&manager->mutex);
    return offline;
}

struct log_directory *log_manager_choose_directory(struct log_manager *manager)
{
    struct log_directory *best = NULL;
    for (size_t i = 0; i < manager->directories_count; i++) {
        struct log_directory *directory = &manager->directories[i];
        if (log_directory_is_offline(directory))
            continue;
        bool roomier = best && log_directory_is_full(best) && !log_directory_is_full(directory);
        bool emptier = best && log_directory_is_full(best) == log_directory_is_full(directory) &&
                       atomic_load(&directory->logs_count) < atomic_load(&best->logs_count);
        if (!best || roomier || emptier)
            best = directory;
    }
    return best;
}

/* ---- the probe ---- */

static void probe_full(struct log_directory *directory)
{
    struct logger *logger = directory->manager->logger;
    int error = log_directory_probe(directory);
    if (disk_error_of(error) == DISK_ERROR_FAILED)
        log_manager_directory_error(directory, error, "looking for room");
    if (error) {
        if (!atomic_load(&directory->told_full) && disk_error_of(error) == DISK_ERROR_FULL)
            say_full(directory, error);
        return;
    }
    int64_t free_bytes = -1;
    if (file_system_free_bytes(directory->files, directory->path, &free_bytes))
        free_bytes = -1;
    if (atomic_exchange(&directory->told_full, false))
        log_info(logger, "log",
                 "log directory %s has room again (%" PRId64 " bytes free): it takes records again",
                 directory->path, free_bytes);
    atomic_store(&directory->health.full, 0);
    tell_change(directory->manager);
}

/* A file system that has gone from under us leaves an empty mount point, and no error where nobody writes. */
static void look_whether_there(struct log_directory *directory)
{
    struct buffer path;
    struct file_status status;
    buffer_init(&path);
    buffer_print(&path, "%s/%s", directory->path, META_PROPERTIES_FILE);
    int error = file_system_status(directory->files, buffer_string(&path), &status);
    buffer_clear(&path);
    buffer_print(&path, "%s/%s cannot be found any more: %s", directory->path, META_PROPERTIES_FILE,
                 strerror(-error));
    if (error == -ENOENT || disk_error_of(error) == DISK_ERROR_FAILED)
        log_manager_fail_directory(directory, error, buffer_string(&path));
    buffer_release(&path);
}

void log_manager_probe_in(struct log_manager *manager, size_t number)
{
    struct log_directory *directory = &manager->directories[number];
    if (log_directory_is_offline(directory))
        return;
    if (log_directory_is_full(directory))
        probe_full(directory);
    else
        look_whether_there(directory);
}

void log_manager_probe(struct log_manager *manager)
{
    for (size_t i = 0; i < manager->directories_count; i++)
        log_manager_probe_in(manager, i);
}

const struct log_health *log_manager_directory_health(const struct log_manager *manager, size_t number)
{
    return &manager->directories[number].health;
}
