/* SPDX-License-Identifier: Apache-2.0 */
/* Future logs: found, opened, removed, and put into the place of the live log; see log_manager_future.h. */
#include "broker/log/log_manager_future.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "broker/log/partition_log_clean.h"
#include "common/check.h"
#include "common/memory.h"

#define FOLDER_NAME_MAX 255
#define FUTURE_SUFFIX_LENGTH (1 + 32 + 7) /* .<32 hex>-future */

struct future_log {
    struct log_directory *directory;
    char *topic;
    int32_t partition;
    char *name;                    /* of the folder */
    struct partition_log *log;     /* NULL: not open; else of the thread that moves it */
    bool fresh;                    /* it is to be made */
    bool closed;                   /* in this life of the broker, and durably */
    struct managed_log *successor; /* not open; its lines are in the checkpoints already. NULL: none */
};

struct retired_log {
    struct managed_log *managed;
    char *path; /* of the folder now */
};

/* ---- the table ---- */

static void future_log_free(struct future_log *future)
{
    atomic_fetch_sub(&future->directory->logs_count, 1);
    CHECK(future->successor == NULL);
    partition_log_free(future->log);
    free(future->topic);
    free(future->name);
    free(future);
}

struct log_moving *log_moving_new(uint64_t seed)
{
    struct log_moving *moving = memory_allocate_zeroed(1, sizeof(*moving));
    moving->futures = map_new(seed);
    moving->preferences = map_new(seed + 1);
    return moving;
}

void log_moving_free(struct log_moving *moving)
{
    size_t position = 0;
    void *value;
    while (map_next(moving->futures, &position, NULL, &value))
        future_log_free(value);
    for (size_t i = 0; i < moving->twins_count; i++)
        managed_log_free(moving->twins[i]);
    map_free(moving->futures);
    map_free(moving->preferences);
    free(moving->twins);
    free(moving);
}

static struct future_log *find_future(struct log_manager *manager, struct slice topic, int32_t partition)
{
    struct buffer key;
    buffer_init(&key);
    struct future_log *future = map_get(manager->moving->futures, log_manager_key(&key, topic, partition));
    buffer_release(&key);
    return future;
}

static struct future_log *take_future(struct log_manager *manager, struct slice topic, int32_t partition)
{
    struct buffer key;
    buffer_init(&key);
    struct future_log *future = map_remove(manager->moving->futures, log_manager_key(&key, topic, partition));
    buffer_release(&key);
    return future;
}

/* `name` NULL: of a folder that is to be made. */
static struct future_log *add_future(struct log_manager *manager, struct slice topic, int32_t partition,
                                     struct log_directory *directory, const char *name)
{
    struct future_log *future = memory_allocate_zeroed(1, sizeof(*future));
    struct buffer text;
    buffer_init(&text);
    if (!name) {
        uint8_t unique[16];
        for (size_t i = 0; i < sizeof(unique); i++)
            unique[i] = (uint8_t)prng_next(&manager->prng);
        log_folder_name_format_future(&text, topic, partition, unique);
        name = buffer_string(&text);
        future->fresh = true;
    }
    future->directory = directory;
    future->topic = memory_copy_bytes(topic.data, topic.length);
    future->partition = partition;
    future->name = memory_copy_string(name);
    atomic_fetch_add(&directory->logs_count, 1);
    map_put(manager->moving->futures, log_manager_key(&text, topic, partition), future);
    buffer_release(&text);
    return future;
}

/* ---- directories ---- */

int log_manager_directory_number(const struct log_manager *manager, struct slice path)
{
    for (size_t i = 0; i < manager->directories_count; i++)
        if (slice_is(path, manager->directories[i].path))
            return (int)i;
    return -1;
}

void log_manager_prefer(struct log_manager *manager, struct slice topic, int32_t partition, size_t directory)
{
    struct buffer key;
    buffer_init(&key);
    pthread_mutex_lock(&manager->mutex);
    struct map *preferences = manager->moving->preferences;
    if (map_size(preferences) < LOG_PREFERENCES_MAX ||
        map_get(preferences, log_manager_key(&key, topic, partition)))
        map_put(preferences, log_manager_key(&key, topic, partition), &manager->directories[directory]);
    pthread_mutex_unlock(&manager->mutex);
    buffer_release(&key);
}

struct log_directory *log_manager_take_preference(struct log_manager *manager, struct slice topic,
                                                  int32_t partition)
{
    struct buffer key;
    buffer_init(&key);
    struct log_directory *directory =
        map_remove(manager->moving->preferences, log_manager_key(&key, topic, partition));
    buffer_release(&key);
    return directory && !log_directory_is_offline(directory) ? directory : NULL;
}

bool log_future_name_fits(struct slice topic, int32_t partition)
{
    struct buffer name;
    buffer_init(&name);
    log_folder_name_format(&name, topic, partition);
    bool fits = name.length + FUTURE_SUFFIX_LENGTH <= FOLDER_NAME_MAX;
    buffer_release(&name);
    return fits;
}

/* ---- renaming folders ---- */

static void path_in(struct buffer *path, const struct log_directory *directory, const char *name)
{
    buffer_init(path);
    buffer_print(path, "%s/%s", directory->path, name);
}

static void plain_path(struct buffer *path, const struct log_directory *directory, struct slice topic,
                       int32_t partition)
{
    path_in(path, directory, "");
    log_folder_name_format(path, topic, partition);
}

/* 0, or -errno; *renamed tells whether the name has changed all the same. */
static int rename_durably(struct log_manager *manager, struct log_directory *directory, const char *from,
                          const char *to, bool *renamed, const char *what)
{
    int error = file_system_rename(manager->files, from, to);
    *renamed = error == 0;
    if (!error)
        error = file_system_sync_directory(manager->files, directory->path);
    return error ? log_manager_directory_error(directory, error, what) : 0;
}

int log_manager_set_aside(struct log_manager *manager, struct log_directory *directory, const char *from,
                          struct slice topic, int32_t partition, bool stray, struct buffer *path)
{
    uint8_t unique[16];
    bool renamed;
    for (size_t i = 0; i < sizeof(unique); i++)
        unique[i] = (uint8_t)prng_next(&manager->prng);
    path_in(path, directory, "");
    if (stray)
        log_folder_name_format_stray(path, topic, partition, unique);
    else
        log_folder_name_format_delete(path, topic, partition, unique);
    int error =
        rename_durably(manager, directory, from, buffer_string(path), &renamed, "setting a log aside");
    /* The sync can have lacked a descriptor only, or its directory is offline by now: the name is gone. */
    return renamed ? 0 : error;
}

/* The folder of a future log gets a -delete name, and is removed when somebody has time. */
static int discard_folder(struct log_manager *manager, struct log_directory *directory, const char *name,
                          struct slice topic, int32_t partition)
{
    struct buffer from, path;
    path_in(&from, directory, name);
    pthread_mutex_lock(&manager->mutex);
    int error =
        log_manager_set_aside(manager, directory, buffer_string(&from), topic, partition, false, &path);
    if (error == 0)
        log_manager_remove_later(manager, directory, buffer_string(&path), INT64_MIN);
    pthread_mutex_unlock(&manager->mutex);
    buffer_release(&from);
    buffer_release(&path);
    return error == -ENOENT ? 0 : error;
}

/* ---- future logs ---- */

void log_manager_adopt_futures(struct log_manager *manager)
{
    for (size_t i = 0; i < manager->futures_count; i++) {
        const struct future_folder *folder = &manager->futures[i];
        struct log_folder_name name = log_folder_name_parse(folder->name);
        if (log_directory_is_offline(folder->directory))
            continue;
        pthread_mutex_lock(&manager->mutex);
        bool first = !find_future(manager, name.topic, name.partition);
        if (first)
            add_future(manager, name.topic, name.partition, folder->directory, folder->name);
        /* From the first moment on: nobody owns it yet. */
        const struct managed_log *live = log_manager_find_managed(manager, name.topic, name.partition);
        if (live && live->log)
            partition_log_pause_cleaning(live->log, true);
        pthread_mutex_unlock(&manager->mutex);
        int error =
            first ? 0 : discard_folder(manager, folder->directory, folder->name, name.topic, name.partition);
        if (error)
            log_warn(manager->logger, "log", "%s/%s cannot be removed: %s", folder->directory->path,
                     folder->name, strerror(-error));
    }
}

void log_manager_each_future_log(struct log_manager *manager,
                                 void (*visit)(void *context, struct slice topic, int32_t partition,
                                               size_t directory),
                                 void *context)
{
    pthread_mutex_lock(&manager->mutex);
    size_t position = 0;
    void *value;
    while (map_next(manager->moving->futures, &position, NULL, &value)) {
        const struct future_log *future = value;
        visit(context, slice_of(future->topic), future->partition,
              (size_t)(future->directory - manager->directories));
    }
    pthread_mutex_unlock(&manager->mutex);
}

/* Not under the manager's lock: recovery reads all there is. */
static int open_folder(struct log_manager *manager, struct future_log *future,
                       const struct log_settings *settings, int64_t start_offset, uint64_t seed)
{
    struct buffer path;
    path_in(&path, future->directory, future->name);
    const struct partition_log_options options = {
        .files = manager->files,
        .logger = manager->logger,
        .directory = buffer_string(&path),
        .health = &future->directory->health,
        .settings = *settings,
        .clean = future->fresh || future->closed,
        .expect_none = future->fresh,
        .durable_rolls = true,
        .recovery_point = LOG_RECOVERY_POINT_UNKNOWN,
        .log_start_offset = future->fresh ? start_offset : 0,
        .now_ms = log_manager_now_ms(manager),
        .seed = seed,
        .walkers = manager->walkers,
        .open_files = manager->open_files,
    };
    struct partition_log *log;
    int error = partition_log_open(&options, &log);
    if (error)
        log_manager_directory_error(future->directory, error, "opening the copy of a log");
    if (error && future->fresh && !log_directory_is_offline(future->directory)) {
        int ignored = file_system_remove_tree(manager->files, buffer_string(&path));
        (void)ignored; /* an empty folder of that name is in nobody's way */
    }
    buffer_release(&path);
    if (error)
        return error;
    pthread_mutex_lock(&manager->mutex);
    future->log = log;
    future->fresh = false;
    future->closed = false;
    pthread_mutex_unlock(&manager->mutex);
    return 0;
}

int log_manager_open_future(struct log_manager *manager, struct slice topic, int32_t partition,
                            size_t directory, const struct log_settings *settings, int64_t start_offset,
                            struct partition_log **log)
{
    struct log_directory *target = &manager->directories[directory];
    pthread_mutex_lock(&manager->mutex);
    struct future_log *future = find_future(manager, topic, partition);
    int error = 0;
    if (!log_manager_find_managed(manager, topic, partition))
        error = -ENOENT;
    else if (future && future->directory != target)
        error = -EXDEV;
    else if (log_directory_is_offline(target))
        error = -EIO;
    else if (!future)
        future = add_future(manager, topic, partition, target, NULL);
    bool open = !error && future->log;
    uint64_t seed = prng_next(&manager->prng);
    pthread_mutex_unlock(&manager->mutex);
    if (!error && !open)
        error = open_folder(manager, future, settings, start_offset, seed);
    if (!error)
        *log = future->log;
    return error;
}

int log_manager_remove_future(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    struct future_log *future = take_future(manager, topic, partition);
    pthread_mutex_unlock(&manager->mutex);
    if (!future)
        return 0;
    int error = 0;
    if (log_directory_is_offline(future->directory))
        error = -EIO;
    else if (!future->fresh)
        error = discard_folder(manager, future->directory, future->name, topic, partition);
    future_log_free(future);
    return error;
}

void log_manager_abandon_future(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    struct future_log *future = take_future(manager, topic, partition);
    pthread_mutex_unlock(&manager->mutex);
    if (future)
        future_log_free(future);
}

/* ---- the exchange ---- */

void log_manager_hold(struct log_manager *manager)
{
    pthread_mutex_lock(&manager->mutex);
}

void log_manager_let_go(struct log_manager *manager)
{
    pthread_mutex_unlock(&manager->mutex);
}

int log_manager_prepare_swap(struct log_manager *manager, struct slice topic, int32_t partition,
                             int64_t high_watermark, int64_t first_dirty_offset)
{
    pthread_mutex_lock(&manager->mutex);
    struct future_log *future = find_future(manager, topic, partition);
    pthread_mutex_unlock(&manager->mutex);
    if (!future || !future->log)
        return -ENOENT;
    struct log_directory *target = future->directory;
    struct managed_log *managed = managed_log_new(manager, target, topic, partition);
    future->successor = managed;
    log_manager_lock_checkpoints(target);
    managed->log_start_offset = partition_log_start_offset(future->log);
    managed->recovery_point = partition_log_recovery_point(future->log);
    managed->high_watermark = high_watermark;
    managed->first_dirty_offset = first_dirty_offset;
    int error = log_manager_write_checkpoints(manager, target, LOG_CHECKPOINT_ALL);
    log_manager_unlock_checkpoints(target);
    return error;
}

/* Its lines may be in the checkpoints, and a later log of that name must not find them. */
static void drop_successor(struct managed_log *successor)
{
    struct log_directory *directory = successor->directory;
    managed_log_free(successor);
    log_manager_lock_checkpoints(directory);
    directory->unwritten |= LOG_CHECKPOINT_ALL;
    log_manager_unlock_checkpoints(directory);
}

void log_manager_give_up_swap(struct log_manager *manager, struct slice topic, int32_t partition)
{
    pthread_mutex_lock(&manager->mutex);
    struct future_log *future = find_future(manager, topic, partition);
    pthread_mutex_unlock(&manager->mutex);
    if (!future || !future->successor)
        return;
    drop_successor(future->successor);
    future->successor = NULL;
}

/* Makes it durable and closes it. 0, or -errno. */
static int close_future(struct future_log *future)
{
    int error = partition_log_close(future->log);
    partition_log_free(future->log);
    future->log = NULL;
    future->closed = error == 0;
    return error;
}

/* Sets what the checkpoints are to say of the successor; the set of those that say something else that a
 * start would miss. */
static unsigned describe_successor(struct managed_log *managed, const struct managed_log *former,
                                   int64_t high_watermark)
{
    const struct managed_log before = {.log_start_offset = managed->log_start_offset,
                                       .recovery_point = managed->recovery_point,
                                       .high_watermark = managed->high_watermark,
                                       .first_dirty_offset = managed->first_dirty_offset};
    managed->log_start_offset = partition_log_start_offset(former->log);
    managed->recovery_point = partition_log_end_offset(former->log);
    managed->high_watermark = high_watermark;
    managed->first_dirty_offset = partition_log_first_dirty_offset(former->log);
    /* A high watermark that has risen since is written with the next round of them. */
    return (managed->log_start_offset != before.log_start_offset ? LOG_CHECKPOINT_START : 0) |
           (managed->recovery_point != before.recovery_point ? LOG_CHECKPOINT_RECOVERY : 0) |
           (managed->high_watermark < before.high_watermark ? LOG_CHECKPOINT_HIGH_WATERMARK : 0) |
           (managed->first_dirty_offset != before.first_dirty_offset ? LOG_CHECKPOINT_CLEANER : 0);
}

/* Opens the folder, which has the plain name by now, as the partition's log. 0, or -errno. */
static int open_successor(struct log_manager *manager, const struct managed_log *former,
                          struct future_log *future, const struct log_settings *settings,
                          int64_t high_watermark, struct managed_log **successor)
{
    struct log_directory *target = future->directory;
    struct managed_log *managed = future->successor;
    future->successor = NULL;
    *successor = managed;
    log_manager_lock_checkpoints(target);
    unsigned which = describe_successor(managed, former, high_watermark);
    log_manager_unlock_checkpoints(target);
    const struct managed_log_opening opening = {
        .clean = true, .settings = settings, .seed = prng_next(&manager->prng)};
    int error = managed_log_open(managed, &opening);
    if (error)
        return log_manager_directory_error(target, error, "opening the copy of a log");
    if (partition_log_end_offset(managed->log) != partition_log_end_offset(former->log))
        return -EBADMSG;
    partition_log_succeed(managed->log, former->log);
    log_manager_lock_checkpoints(target);
    error = log_manager_write_checkpoints(manager, target, which | target->unwritten);
    log_manager_unlock_checkpoints(target);
    return error;
}

/* The folder becomes a future log again. Should that fail, the rule for two folders holds. */
static void undo(struct log_manager *manager, struct future_log *future, const char *plain, const char *name,
                 struct managed_log *successor)
{
    bool renamed;
    if (successor)
        drop_successor(successor);
    int error =
        rename_durably(manager, future->directory, plain, name, &renamed, "taking back the name of a copy");
    if (renamed)
        return;
    future->closed = false;
    future->fresh = true; /* a next attempt begins anew */
    log_error(manager->logger, "log",
              "%s is left beside the log that it is a copy of (%s): the next move or start removes it", plain,
              strerror(-error));
}

/* What an undoing left behind has the name that the copy is to get. 0, or -errno. */
static int clear_place(struct log_manager *manager, struct log_directory *target, const char *plain,
                       struct slice topic, int32_t partition)
{
    struct file_status status;
    struct buffer aside;
    int error = file_system_status(manager->files, plain, &status);
    if (error)
        return error == -ENOENT ? 0 : log_manager_directory_error(target, error, "looking for a folder");
    error = log_manager_set_aside(manager, target, plain, topic, partition, false, &aside);
    if (!error)
        log_manager_remove_later(manager, target, buffer_string(&aside), INT64_MIN);
    buffer_release(&aside);
    return error;
}

/*
 * Step 3. 0: the copy is the log from now on. So it is, too, where the directory of the other one fails
 * meanwhile: then nobody knows which name that has on disk, and the copy has all.
 */
static int set_former_aside(struct log_manager *manager, const struct managed_log *former,
                            struct buffer *aside)
{
    struct buffer old;
    plain_path(&old, former->directory, slice_of(former->topic), former->partition);
    int error = log_manager_set_aside(manager, former->directory, buffer_string(&old),
                                      slice_of(former->topic), former->partition, false, aside);
    buffer_release(&old);
    return log_directory_is_offline(former->directory) ? 0 : error;
}

/* Steps 1 to 3. */
static int change_places(struct log_manager *manager, struct managed_log *former, struct future_log *future,
                         const struct log_settings *settings, int64_t high_watermark,
                         struct managed_log **successor, struct buffer *aside)
{
    struct buffer name, plain;
    struct slice topic = slice_of(former->topic);
    bool renamed = false;
    path_in(&name, future->directory, future->name);
    plain_path(&plain, future->directory, topic, former->partition);
    *successor = NULL;
    int error = clear_place(manager, future->directory, buffer_string(&plain), topic, former->partition);
    if (!error)
        error = rename_durably(manager, future->directory, buffer_string(&name), buffer_string(&plain),
                               &renamed, "naming the copy of a log");
    if (!error)
        error = open_successor(manager, former, future, settings, high_watermark, successor);
    if (!error)
        error = set_former_aside(manager, former, aside);
    if (error && renamed)
        undo(manager, future, buffer_string(&plain), buffer_string(&name), *successor);
    buffer_release(&name);
    buffer_release(&plain);
    return error;
}

int log_manager_swap(struct log_manager *manager, struct slice topic, int32_t partition,
                     const struct log_settings *settings, int64_t high_watermark, struct partition_log **log,
                     struct retired_log **retired)
{
    struct managed_log *former = log_manager_find_managed(manager, topic, partition);
    struct future_log *future = find_future(manager, topic, partition);
    if (!former || !future || !future->log || !future->successor)
        return -ENOENT;
    int error = close_future(future);
    struct managed_log *successor;
    struct buffer aside, key;
    buffer_init(&aside);
    buffer_init(&key);
    if (!error)
        error = change_places(manager, former, future, settings, high_watermark, &successor, &aside);
    if (!error) {
        map_put(manager->logs, log_manager_key(&key, topic, partition), successor);
        future_log_free(take_future(manager, topic, partition));
        *log = successor->log;
        *retired = memory_allocate_zeroed(1, sizeof(**retired));
        **retired = (struct retired_log){former, memory_copy_string(buffer_string(&aside))};
    }
    buffer_release(&aside);
    buffer_release(&key);
    return error;
}

void log_manager_retire(struct log_manager *manager, struct retired_log *retired)
{
    struct log_directory *directory = retired->managed->directory;
    int64_t delay_ms = manager->defaults.file_delete_delay_ms;
    managed_log_free(retired->managed);
    log_manager_lock_checkpoints(directory);
    directory->unwritten |= LOG_CHECKPOINT_ALL;
    int error = log_manager_write_checkpoints(manager, directory, directory->unwritten);
    log_manager_unlock_checkpoints(directory);
    if (error)
        log_warn(manager->logger, "log", "%s: a log that was moved away is still in its checkpoints: %s",
                 directory->path, strerror(-error));
    pthread_mutex_lock(&manager->mutex);
    log_manager_remove_later(manager, directory, retired->path, log_manager_now_ms(manager) + delay_ms);
    pthread_mutex_unlock(&manager->mutex);
    free(retired->path);
    free(retired);
}
