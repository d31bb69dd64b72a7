/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of a broker: found, made, removed, and brought to a clean stop. */
#include "broker/log/log_manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "broker/log/meta_properties.h"
#include "broker/log/partition_metadata.h"
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

static struct managed_log *allocate_managed(struct log_manager *manager, struct log_directory *directory,
                                            struct slice topic, int32_t partition)
{
    struct managed_log *managed = memory_allocate_zeroed(1, sizeof(*managed));
    managed->manager = manager;
    managed->directory = directory;
    managed->topic = memory_copy_bytes(topic.data, topic.length);
    managed->partition = partition;
    managed->instance = atomic_fetch_add(&manager->instances, 1) + 1;
    list_init(&managed->link);
    atomic_fetch_add(&directory->logs_count, 1);
    return managed;
}

/* Waits for who writes the directory's checkpoints. */
static void enlist(struct managed_log *managed)
{
    log_manager_lock_checkpoints(managed->directory);
    list_push_back(&managed->directory->logs, &managed->link);
    log_manager_unlock_checkpoints(managed->directory);
}

struct managed_log *managed_log_new(struct log_manager *manager, struct log_directory *directory,
                                    struct slice topic, int32_t partition)
{
    struct managed_log *managed = allocate_managed(manager, directory, topic, partition);
    enlist(managed);
    return managed;
}

void managed_log_leave_out(struct managed_log *managed, bool left_out)
{
    if (atomic_exchange(&managed->left_out, left_out) == left_out)
        return;
    if (left_out)
        atomic_fetch_add(&managed->manager->left_out, 1);
    else
        atomic_fetch_sub(&managed->manager->left_out, 1);
}

void managed_log_free(struct managed_log *managed)
{
    managed_log_leave_out(managed, false);
    log_manager_lock_checkpoints(managed->directory);
    list_remove(&managed->link);
    atomic_fetch_sub(&managed->directory->logs_count, 1);
    log_manager_unlock_checkpoints(managed->directory);
    partition_log_free(managed->log);
    free(managed->topic);
    free(managed);
}

void managed_log_path(const struct managed_log *managed, struct buffer *path)
{
    buffer_init(path);
    buffer_print(path, "%s/", managed->directory->path);
    log_folder_name_format(path, slice_of(managed->topic), managed->partition);
}

int managed_log_open(struct managed_log *managed, const struct managed_log_opening *opening)
{
    struct log_manager *manager = managed->manager;
    struct buffer path;
    managed_log_path(managed, &path);
    const struct partition_log_options options = {
        .files = manager->files,
        .logger = manager->logger,
        .directory = buffer_string(&path),
        .health = &managed->directory->health,
        .settings = *opening->settings,
        .clean = opening->clean,
        .expect_none = opening->expect_none,
        .recovery_point = managed->recovery_point,
        .log_start_offset = managed->log_start_offset,
        .high_watermark = managed->high_watermark,
        .first_dirty_offset = managed->first_dirty_offset,
        .now_ms = log_manager_now_ms(manager),
        .seed = opening->seed,
        .walkers = manager->walkers,
        .open_files = manager->open_files,
        .checked_bytes = opening->checked_bytes,
        .keep_checkpoints = log_manager_keep_checkpoints,
        .keep_checkpoints_context = managed,
    };
    struct partition_log *log;
    int error = partition_log_open(&options, &log);
    buffer_release(&path);
    if (error)
        return error;
    log_manager_lock_checkpoints(managed->directory);
    managed->log = log;
    int64_t recovery_point = managed->recovery_point, first_dirty_offset = managed->first_dirty_offset;
    managed_log_leave_out(managed, false);
    managed->recovery_point = partition_log_recovery_point(log);
    log_manager_check_cleaned(managed);
    /* Recovery has cut the log: the files must not promise what comes there again. */
    if (managed->recovery_point < recovery_point)
        atomic_fetch_or(&managed->directory->unsure, LOG_CHECKPOINT_RECOVERY);
    if (managed->first_dirty_offset < first_dirty_offset)
        atomic_fetch_or(&managed->directory->unsure, LOG_CHECKPOINT_CLEANER);
    log_manager_unlock_checkpoints(managed->directory);
    return 0;
}

/* ---- open, close, free ---- */

static struct log_manager *new_manager(const struct log_manager_options *options)
{
    struct log_manager *manager = memory_allocate_zeroed(1, sizeof(*manager));
    manager->files = options->files;
    manager->logger = options->logger;
    manager->defaults = options->defaults;
    manager->recovery_threads = options->recovery_threads;
    manager->boot_id = options->boot_id ? memory_copy_string(options->boot_id) : NULL;
    manager->walkers = record_walkers_new();
    manager->open_files = open_files_new(options->open_segments_max);
    manager->wall_clock_ms = options->wall_clock_ms;
    manager->wall_clock_context = options->wall_clock_context;
    pthread_mutex_init(&manager->mutex, NULL);
    pthread_cond_init(&manager->settled, NULL);
    prng_init(&manager->prng, options->seed ? options->seed : random_u64());
    manager->logs = map_new(prng_next(&manager->prng));
    manager->high_watermarks = map_new(prng_next(&manager->prng));
    manager->directories = memory_allocate_zeroed(options->directories_count, sizeof(*manager->directories));
    manager->directories_count = options->directories_count;
    manager->moving = log_moving_new(prng_next(&manager->prng));
    list_init(&manager->removals);
    for (size_t i = 0; i < options->directories_count; i++) {
        log_directory_init(&manager->directories[i], options->files, options->directories[i]);
        log_manager_watch_directory(manager, &manager->directories[i]);
    }
    return manager;
}

/* One among others that were there before: the disk that should be mounted in that place may be missing. */
static void warn_of_new(struct log_manager *manager)
{
    const struct log_directory *known = NULL;
    for (size_t i = 0; i < manager->directories_count; i++)
        if (!manager->directories[i].was_new && !log_directory_is_offline(&manager->directories[i]))
            known = &manager->directories[i];
    for (size_t i = 0; known && i < manager->directories_count; i++)
        if (manager->directories[i].was_new)
            log_warn(manager->logger, "log",
                     "no " META_PROPERTIES_FILE " was in %s, while %s has one: is it new, or is its disk not "
                     "mounted? It is used from now on",
                     manager->directories[i].path, known->path);
}

/* Takes the directories. 0, or -errno with a sentence: the operator's mistakes, or none can be used. */
static int open_directories(struct log_manager *manager, const struct log_manager_options *options,
                            struct buffer *error)
{
    int last = -EINVAL;
    for (size_t i = 0; i < manager->directories_count; i++) {
        struct log_directory *directory = &manager->directories[i];
        buffer_clear(error);
        int result = log_directory_open(directory, options->broker_id, options->cluster_id, error);
        if (result == -EBUSY || result == -EINVAL)
            return result;
        if (result) {
            log_manager_fail_directory(directory, result, buffer_string(error));
            last = result;
        }
    }
    warn_of_new(manager);
    return log_manager_usable_directories(manager) > 0 ? 0 : last;
}

int log_manager_open(const struct log_manager_options *options, struct log_manager **opened,
                     struct buffer *error)
{
    struct log_manager *manager = new_manager(options);
    int result = open_directories(manager, options, error);
    if (!result) {
        buffer_clear(error);
        result = log_manager_load(manager, options->recovery_threads, error);
    }
    if (result) {
        log_manager_free(manager);
        return result;
    }
    log_manager_load_intact(manager);
    manager->directories_context = options->directories_context;
    manager->directories_changed = options->directories_changed;
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
    struct list *node;
    while ((node = list_pop_front(&manager->removals))) {
        struct due_removal *removal = container_of(node, struct due_removal, link);
        free(removal->path);
        free(removal);
    }
    log_moving_free(manager->moving);
    for (size_t i = 0; i < manager->futures_count; i++)
        free(manager->futures[i].name);
    free(manager->futures);
    for (size_t i = 0; i < manager->directories_count; i++)
        log_directory_release(&manager->directories[i]);
    free(manager->directories);
    free(manager->boot_id);
    record_walkers_free(manager->walkers);
    open_files_release(manager->open_files);
    pthread_cond_destroy(&manager->settled);
    pthread_mutex_destroy(&manager->mutex);
    free(manager);
}

/* ---- logs ---- */

static struct managed_log *find_any(struct log_manager *manager, struct slice topic, int32_t partition)
{
    struct buffer key;
    buffer_init(&key);
    struct managed_log *managed = map_get(manager->logs, log_manager_key(&key, topic, partition));
    buffer_release(&key);
    return managed;
}

struct managed_log *log_manager_find_managed(struct log_manager *manager, struct slice topic,
                                             int32_t partition)
{
    struct managed_log *managed = find_any(manager, topic, partition);
    return managed && !managed->busy ? managed : NULL;
}

struct managed_log *log_manager_await_managed(struct log_manager *manager, struct slice topic,
                                              int32_t partition)
{
    struct managed_log *managed;
    while ((managed = find_any(manager, topic, partition)) && managed->busy)
        pthread_cond_wait(&manager->settled, &manager->mutex);
    return managed;
}

void log_manager_settled(struct log_manager *manager, struct managed_log *managed, bool gone)
{
    struct buffer key;
    buffer_init(&key);
    managed->busy = false;
    if (gone)
        map_remove(manager->logs, log_manager_key(&key, slice_of(managed->topic), managed->partition));
    buffer_release(&key);
    pthread_cond_broadcast(&manager->settled);
}

struct partition_log *log_manager_find(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    const struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    struct partition_log *log = managed ? managed->log : NULL; /* a move may put another one there */
    pthread_mutex_unlock(&manager->mutex);
    return log;
}

bool log_manager_log_is_left_out(struct log_manager *manager, struct slice topic, int32_t partition)
{
    /* The common case, asked on network threads: no lock. */
    if (atomic_load(&manager->left_out) == 0)
        return false;
    pthread_mutex_lock(&manager->mutex);
    const struct managed_log *managed = find_any(manager, topic, partition);
    bool left_out = managed && atomic_load(&managed->left_out);
    pthread_mutex_unlock(&manager->mutex);
    return left_out;
}

int log_manager_topic_id(struct log_manager *manager, struct slice topic, int32_t partition,
                         struct uuid *topic_id)
{
    struct buffer path;
    buffer_init(&path);
    *topic_id = (struct uuid){0};
    pthread_mutex_lock(&manager->mutex);
    const struct managed_log *managed = log_manager_await_managed(manager, topic, partition);
    int error = managed ? 0 : -ENOENT;
    if (managed && managed->log)
        *topic_id = partition_log_topic_id(managed->log);
    else if (managed && log_directory_is_offline(managed->directory))
        error = -EIO;
    else if (managed)
        managed_log_path(managed, &path);
    pthread_mutex_unlock(&manager->mutex);
    if (path.length > 0) {
        buffer_print(&path, "/" PARTITION_METADATA_FILE);
        error = partition_metadata_read(manager->files, buffer_string(&path), topic_id);
    }
    buffer_release(&path);
    return error == -EBADMSG ? 0 : error; /* a damaged one tells as little as none */
}

/* The checkpoints in a directory may still tell of deleted logs: a new log of the same name must not find
 * that after a crash. */
static int forget_former(struct log_manager *manager, struct log_directory *directory)
{
    log_manager_lock_checkpoints(directory);
    int error =
        directory->unwritten ? log_manager_write_checkpoints(manager, directory, directory->unwritten) : 0;
    log_manager_unlock_checkpoints(directory);
    return error;
}

static bool folder_exists(const struct managed_log *managed)
{
    struct buffer path;
    struct file_status status;
    managed_log_path(managed, &path);
    int error = file_system_status(managed->manager->files, buffer_string(&path), &status);
    buffer_release(&path);
    return error != -ENOENT;
}

/* What is left of a log that could not be made goes, or it would stand in the way of the next attempt, which
 * may be in another directory. */
static void remove_attempt(const struct managed_log *managed)
{
    struct buffer path;
    managed_log_path(managed, &path);
    int error = file_system_remove_tree(managed->manager->files, buffer_string(&path));
    if (error && error != -ENOENT)
        log_warn(managed->manager->logger, "log", "%s cannot be removed: %s", buffer_string(&path),
                 strerror(-error));
    buffer_release(&path);
}

/* What of making a log waits for the disk. 0, or -errno. */
static int make_log(struct managed_log *managed, const struct log_settings *settings, uint64_t seed)
{
    int error = forget_former(managed->manager, managed->directory);
    if (error)
        return error;
    const struct managed_log_opening opening = {
        .clean = true, .expect_none = true, .settings = settings, .seed = seed};
    enlist(managed);
    bool was_there = folder_exists(managed);
    error = managed_log_open(managed, &opening);
    if (error && !was_there)
        remove_attempt(managed);
    return error ? log_manager_directory_error(managed->directory, error, "making a log") : 0;
}

/* Reserves the name, and makes the log without the manager's mutex. 0, or -errno. */
static int create_log(struct log_manager *manager, struct slice topic, int32_t partition,
                      const struct log_settings *settings, struct managed_log **created)
{
    struct log_directory *directory = log_manager_take_preference(manager, topic, partition);
    if (!directory)
        directory = log_manager_choose_directory(manager);
    if (!directory)
        return -EIO;
    struct managed_log *managed = allocate_managed(manager, directory, topic, partition);
    struct buffer key;
    buffer_init(&key);
    managed->busy = true;
    map_put(manager->logs, log_manager_key(&key, topic, partition), managed);
    buffer_release(&key);
    uint64_t seed = prng_next(&manager->prng);
    pthread_mutex_unlock(&manager->mutex);
    int error = make_log(managed, settings, seed);
    pthread_mutex_lock(&manager->mutex);
    log_manager_settled(manager, managed, error != 0);
    *created = managed;
    if (!error)
        return 0;
    pthread_mutex_unlock(&manager->mutex);
    managed_log_free(managed);
    pthread_mutex_lock(&manager->mutex);
    return error;
}

/* One that a start left out for want of room: tried again without the manager's mutex, and recovered, however
 * clean the stop was. 0, or -errno. */
static int open_left_out(struct log_manager *manager, struct managed_log *managed,
                         const struct log_settings *settings)
{
    if (managed->uncompared)
        return -EIO;
    if (log_directory_is_full(managed->directory))
        return -ENOSPC;
    const struct managed_log_opening opening = {.settings = settings, .seed = prng_next(&manager->prng)};
    managed->busy = true;
    pthread_mutex_unlock(&manager->mutex);
    int error = managed_log_open(managed, &opening);
    if (error)
        log_manager_directory_error(managed->directory, error, "opening a log");
    pthread_mutex_lock(&manager->mutex);
    log_manager_settled(manager, managed, false);
    return error;
}

/* A log that is not here may lie in a directory that is offline (I12). */
static bool may_create(struct log_manager *manager, bool is_new)
{
    return is_new || log_manager_usable_directories(manager) == manager->directories_count;
}

int log_manager_obtain(struct log_manager *manager, struct slice topic, int32_t partition, bool is_new,
                       const struct log_settings *settings, struct partition_log **log)
{
    pthread_mutex_lock(&manager->mutex);
    struct managed_log *managed = log_manager_await_managed(manager, topic, partition);
    int error = 0;
    if (managed ? log_directory_is_offline(managed->directory) : !may_create(manager, is_new))
        error = -EIO;
    else if (!managed)
        error = create_log(manager, topic, partition, settings, &managed);
    else if (!managed->log)
        error = open_left_out(manager, managed, settings);
    if (!error)
        *log = managed->log;
    pthread_mutex_unlock(&manager->mutex);
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
        if (managed->log && !managed->busy)
            visit(context, slice_of(managed->topic), managed->partition, managed->log);
    }
    pthread_mutex_unlock(&manager->mutex);
}

void log_manager_each_in(struct log_manager *manager, size_t number, log_instance_visit *visit, void *context)
{
    pthread_mutex_lock(&manager->mutex);
    size_t position = 0;
    void *value;
    while (map_next(manager->logs, &position, NULL, &value)) {
        const struct managed_log *managed = value;
        if (managed->log && !managed->busy &&
            (number == LOG_DIRECTORIES_ALL || managed->directory == &manager->directories[number]))
            visit(context, slice_of(managed->topic), managed->partition, managed->instance, managed->log);
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
