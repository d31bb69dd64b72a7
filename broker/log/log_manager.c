/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of a broker: found, made, removed, and brought to a clean stop. */
#include "broker/log/log_manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "common/clock.h"
#include "common/memory.h"

int64_t log_manager_now_ms(const struct log_manager *manager)
{
    return manager->wall_clock_ms ? manager->wall_clock_ms(manager->wall_clock_context) : clock_wall_ms();
}

struct slice log_manager_key(struct buffer *key, struct slice topic, int32_t partition)
{
    buffer_clear(key);
    log_folder_name_format(key, topic, partition);
    return buffer_slice(key);
}

/* ---- managed logs ---- */

struct managed_log *managed_log_new(struct log_manager *manager, struct log_directory *directory,
                                    struct slice topic, int32_t partition)
{
    struct managed_log *managed = memory_allocate_zeroed(1, sizeof(*managed));
    managed->manager = manager;
    managed->directory = directory;
    managed->topic = memory_copy_bytes(topic.data, topic.length);
    managed->partition = partition;
    list_init(&managed->link);
    pthread_mutex_lock(&manager->checkpoint_mutex);
    list_push_back(&directory->logs, &managed->link);
    directory->logs_count++;
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    return managed;
}

void managed_log_free(struct managed_log *managed)
{
    struct log_manager *manager = managed->manager;
    pthread_mutex_lock(&manager->checkpoint_mutex);
    list_remove(&managed->link);
    managed->directory->logs_count--;
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    partition_log_free(managed->log);
    free(managed->topic);
    free(managed);
}

int managed_log_open(struct managed_log *managed, bool clean, bool expect_none,
                     const struct log_settings *settings, uint64_t seed)
{
    struct log_manager *manager = managed->manager;
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/", managed->directory->path);
    log_folder_name_format(&path, slice_of(managed->topic), managed->partition);
    const struct partition_log_options options = {
        .files = manager->files,
        .logger = manager->logger,
        .directory = buffer_string(&path),
        .settings = *settings,
        .clean = clean,
        .expect_none = expect_none,
        .recovery_point = managed->recovery_point,
        .log_start_offset = managed->log_start_offset,
        .now_ms = log_manager_now_ms(manager),
        .seed = seed,
        .keep_checkpoints = log_manager_keep_checkpoints,
        .keep_checkpoints_context = managed,
    };
    int error = partition_log_open(&options, &managed->log);
    buffer_release(&path);
    if (error)
        return error;
    pthread_mutex_lock(&manager->checkpoint_mutex);
    managed->recovery_point = partition_log_recovery_point(managed->log);
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    return 0;
}

/* ---- open, close, free ---- */

static struct log_manager *new_manager(const struct log_manager_options *options)
{
    struct log_manager *manager = memory_allocate_zeroed(1, sizeof(*manager));
    manager->files = options->files;
    manager->logger = options->logger;
    manager->defaults = options->defaults;
    manager->wall_clock_ms = options->wall_clock_ms;
    manager->wall_clock_context = options->wall_clock_context;
    pthread_mutex_init(&manager->mutex, NULL);
    pthread_mutex_init(&manager->checkpoint_mutex, NULL);
    prng_init(&manager->prng, options->seed ? options->seed : random_u64());
    manager->logs = map_new(prng_next(&manager->prng));
    manager->high_watermarks = map_new(prng_next(&manager->prng));
    manager->directories = memory_allocate_zeroed(options->directories_count, sizeof(*manager->directories));
    manager->directories_count = options->directories_count;
    for (size_t i = 0; i < options->directories_count; i++)
        log_directory_init(&manager->directories[i], options->files, options->directories[i]);
    return manager;
}

int log_manager_open(const struct log_manager_options *options, struct log_manager **opened,
                     struct buffer *error)
{
    struct log_manager *manager = new_manager(options);
    int result = 0;
    for (size_t i = 0; i < manager->directories_count && !result; i++)
        result = log_directory_open(&manager->directories[i], options->broker_id, options->cluster_id, error);
    if (!result)
        result = log_manager_load(manager, options->recovery_threads, error);
    if (result) {
        log_manager_free(manager);
        return result;
    }
    *opened = manager;
    return 0;
}

void log_manager_free(struct log_manager *manager)
{
    if (!manager)
        return;
    size_t position = 0;
    void *value;
    while (map_next(manager->logs, &position, NULL, &value))
        managed_log_free(value);
    map_free(manager->logs);
    position = 0;
    while (map_next(manager->high_watermarks, &position, NULL, &value))
        free(value);
    map_free(manager->high_watermarks);
    for (size_t i = 0; i < manager->directories_count; i++)
        log_directory_release(&manager->directories[i]);
    free(manager->directories);
    pthread_mutex_destroy(&manager->mutex);
    pthread_mutex_destroy(&manager->checkpoint_mutex);
    free(manager);
}

/* Closes the logs of one directory, then its checkpoints, then, when all went well, the mark. */
static int close_directory(struct log_manager *manager, struct log_directory *directory)
{
    int first_error = 0;
    pthread_mutex_lock(&manager->checkpoint_mutex);
    list_for_each(node, &directory->logs)
    {
        struct managed_log *managed = container_of(node, struct managed_log, link);
        int error = partition_log_close(managed->log);
        first_error = first_error ? first_error : error;
        managed->recovery_point = partition_log_recovery_point(managed->log);
        managed->log_start_offset = partition_log_start_offset(managed->log);
    }
    int error =
        log_manager_write_checkpoints(manager, directory, LOG_CHECKPOINT_RECOVERY | LOG_CHECKPOINT_START);
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    first_error = first_error ? first_error : error;
    return first_error ? first_error : log_directory_mark_clean(directory);
}

int log_manager_close(struct log_manager *manager)
{
    int first_error = 0;
    for (size_t i = 0; i < manager->directories_count; i++) {
        int error = close_directory(manager, &manager->directories[i]);
        if (error)
            log_error(manager->logger, "log",
                      "%s: no clean stop (%s): its logs are recovered at the next start",
                      manager->directories[i].path, strerror(-error));
        first_error = first_error ? first_error : error;
    }
    return first_error;
}

/* ---- logs ---- */

static struct managed_log *find_managed(struct log_manager *manager, struct slice topic, int32_t partition)
{
    struct buffer key;
    buffer_init(&key);
    struct managed_log *managed = map_get(manager->logs, log_manager_key(&key, topic, partition));
    buffer_release(&key);
    return managed;
}

struct partition_log *log_manager_find(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    const struct managed_log *managed = find_managed(manager, topic, partition);
    pthread_mutex_unlock(&manager->mutex);
    return managed ? managed->log : NULL;
}

static struct log_directory *least_filled(struct log_manager *manager)
{
    struct log_directory *best = &manager->directories[0];
    for (size_t i = 1; i < manager->directories_count; i++)
        if (manager->directories[i].logs_count < best->logs_count)
            best = &manager->directories[i];
    return best;
}

static int create_log(struct log_manager *manager, struct slice topic, int32_t partition,
                      const struct log_settings *settings, struct managed_log **created)
{
    struct managed_log *managed = managed_log_new(manager, least_filled(manager), topic, partition);
    int error = managed_log_open(managed, true, true, settings, prng_next(&manager->prng));
    if (error) {
        managed_log_free(managed);
        return error;
    }
    struct buffer key;
    buffer_init(&key);
    map_put(manager->logs, log_manager_key(&key, topic, partition), managed);
    buffer_release(&key);
    *created = managed;
    return 0;
}

int log_manager_obtain(struct log_manager *manager, struct slice topic, int32_t partition,
                       const struct log_settings *settings, struct partition_log **log)
{
    pthread_mutex_lock(&manager->mutex);
    struct managed_log *managed = find_managed(manager, topic, partition);
    int error = managed ? 0 : create_log(manager, topic, partition, settings, &managed);
    if (!error)
        *log = managed->log;
    pthread_mutex_unlock(&manager->mutex);
    return error;
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
    return error;
}

/* Takes the log out of the map and out of the checkpoints: a topic of the same name must not inherit them. */
static int forget_log(struct log_manager *manager, struct managed_log *managed)
{
    struct buffer key;
    buffer_init(&key);
    struct slice key_text = log_manager_key(&key, slice_of(managed->topic), managed->partition);
    map_remove(manager->logs, key_text);
    free(map_remove(manager->high_watermarks, key_text));
    buffer_release(&key);
    const struct log_directory *directory = managed->directory;
    pthread_mutex_lock(&manager->checkpoint_mutex);
    unsigned which = (atomic_load(&managed->has_entry) ? LOG_CHECKPOINT_RECOVERY : 0) |
                     (managed->log_start_offset > 0 ? LOG_CHECKPOINT_START : 0) |
                     (managed->high_watermark > 0 ? LOG_CHECKPOINT_HIGH_WATERMARK : 0);
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    managed_log_free(managed);
    pthread_mutex_lock(&manager->checkpoint_mutex);
    int error = log_manager_write_checkpoints(manager, directory, which);
    pthread_mutex_unlock(&manager->checkpoint_mutex);
    return error;
}

int log_manager_delete(struct log_manager *manager, struct slice topic, int32_t partition)
{
    struct buffer path;
    buffer_init(&path);
    pthread_mutex_lock(&manager->mutex);
    struct managed_log *managed = find_managed(manager, topic, partition);
    int error = managed ? set_folder_aside(manager, managed, &path) : -ENOENT;
    if (!error)
        error = forget_log(manager, managed);
    pthread_mutex_unlock(&manager->mutex);
    if (!error)
        error = file_system_remove_tree(manager->files, buffer_string(&path));
    buffer_release(&path);
    return error;
}

void log_manager_each(struct log_manager *manager,
                      void (*visit)(void *context, struct slice topic, int32_t partition,
                                    struct partition_log *log),
                      void *context)
{
    pthread_mutex_lock(&manager->mutex);
    size_t position = 0;
    void *value;
    while (map_next(manager->logs, &position, NULL, &value)) {
        const struct managed_log *managed = value;
        visit(context, slice_of(managed->topic), managed->partition, managed->log);
    }
    pthread_mutex_unlock(&manager->mutex);
}

int64_t log_manager_checkpointed_high_watermark(struct log_manager *manager, struct slice topic,
                                                int32_t partition)
{
    struct buffer key;
    buffer_init(&key);
    pthread_mutex_lock(&manager->mutex);
    const int64_t *found = map_get(manager->high_watermarks, log_manager_key(&key, topic, partition));
    int64_t high_watermark = found ? *found : 0;
    pthread_mutex_unlock(&manager->mutex);
    buffer_release(&key);
    return high_watermark;
}
