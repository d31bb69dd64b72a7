/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading all logs at start: every folder of every directory is looked at once; what was being deleted is
 * removed; partitions' logs are opened by a handful of threads, each taking the next one from a common list.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "common/memory.h"

#define LOAD_THREADS_MAX 64

/* What is loaded, by whom and with which result. */
struct load {
    struct log_manager *manager;
    struct managed_log **logs;
    size_t count;
    size_t capacity;
    uint64_t *seeds;
    atomic_size_t next;
    pthread_mutex_t mutex; /* guards the rest */
    int error;
    size_t failed; /* number of the log that failed first */
};

/* The folders of one directory, sorted into what to do with them. */
struct folder_visit {
    struct load *load;
    struct log_directory *directory;
    struct buffer *error;
    char **to_delete;
    size_t delete_count;
    size_t delete_capacity;
};

static int add_log(struct folder_visit *visit, const struct log_folder_name *name)
{
    struct log_manager *manager = visit->load->manager;
    struct load *load = visit->load;
    struct buffer key;
    buffer_init(&key);
    struct slice key_text = log_manager_key(&key, name->topic, name->partition);
    int result = 0;
    const struct managed_log *other = map_get(manager->logs, key_text);
    if (other) {
        buffer_print(visit->error, "%s lies in %s and in %s: move one of the two folders away.",
                     buffer_string(&key), other->directory->path, visit->directory->path);
        result = -EINVAL;
    } else {
        struct managed_log *managed =
            managed_log_new(manager, visit->directory, name->topic, name->partition);
        managed->recovery_point = LOG_RECOVERY_POINT_UNKNOWN;
        map_put(manager->logs, key_text, managed);
        load->logs = memory_grow(load->logs, load->count, &load->capacity, sizeof(struct managed_log *));
        load->logs[load->count++] = managed;
    }
    buffer_release(&key);
    return result;
}

static int visit_folder(void *context, const char *name, bool is_directory)
{
    struct folder_visit *visit = context;
    struct logger *logger = visit->load->manager->logger;
    if (!is_directory)
        return 0;
    struct log_folder_name folder = log_folder_name_parse(name);
    switch (folder.kind) {
    case LOG_FOLDER_LIVE:
        return add_log(visit, &folder);
    case LOG_FOLDER_DELETE:
        visit->to_delete =
            memory_grow(visit->to_delete, visit->delete_count, &visit->delete_capacity, sizeof(char *));
        visit->to_delete[visit->delete_count++] = memory_copy_string(name);
        return 0;
    case LOG_FOLDER_FUTURE:
    case LOG_FOLDER_STRAY:
        log_warn(logger, "log",
                 "%s/%s is kept as it is and not served: remove it when it is no longer needed",
                 visit->directory->path, name);
        return 0;
    case LOG_FOLDER_OTHER:
        log_info(logger, "log", "%s/%s is not a partition's folder: let be", visit->directory->path, name);
        return 0;
    }
    return 0;
}

static void remove_deleted(struct folder_visit *visit)
{
    struct log_manager *manager = visit->load->manager;
    struct buffer path;
    buffer_init(&path);
    for (size_t i = 0; i < visit->delete_count; i++) {
        buffer_clear(&path);
        buffer_print(&path, "%s/%s", visit->directory->path, visit->to_delete[i]);
        int error = file_system_remove_tree(manager->files, buffer_string(&path));
        if (error)
            log_warn(manager->logger, "log", "%s cannot be removed: %s", buffer_string(&path),
                     strerror(-error));
        free(visit->to_delete[i]);
    }
    free(visit->to_delete);
    buffer_release(&path);
}

static int find_logs(struct load *load, struct log_directory *directory, struct buffer *error)
{
    struct folder_visit visit = {.load = load, .directory = directory, .error = error};
    int result = file_system_list(load->manager->files, directory->path, visit_folder, &visit);
    if (result && error->length == 0)
        buffer_print(error, "Log directory %s cannot be read: %s.", directory->path, strerror(-result));
    remove_deleted(&visit);
    return result;
}

/* ---- checkpoints ---- */

static void apply_checkpoint(struct log_manager *manager, const struct log_directory *directory,
                             const struct checkpoint *checkpoint, enum log_checkpoint which)
{
    struct buffer key;
    buffer_init(&key);
    for (size_t i = 0; i < checkpoint->count; i++) {
        const struct checkpoint_entry *entry = &checkpoint->entries[i];
        struct slice key_text = log_manager_key(&key, slice_of(entry->topic), entry->partition);
        struct managed_log *managed = map_get(manager->logs, key_text);
        bool here = managed && managed->directory == directory;
        if (which == LOG_CHECKPOINT_HIGH_WATERMARK) {
            int64_t *copy = memory_allocate(sizeof(*copy));
            *copy = entry->offset;
            if (here || !managed)
                free(map_put(manager->high_watermarks, key_text, copy));
            else
                free(copy);
        }
        if (!here)
            continue;
        if (which == LOG_CHECKPOINT_HIGH_WATERMARK)
            managed->high_watermark = entry->offset;
        else if (which == LOG_CHECKPOINT_START)
            managed->log_start_offset = entry->offset;
        if (which == LOG_CHECKPOINT_RECOVERY) {
            managed->recovery_point = entry->offset;
            atomic_store(&managed->has_entry, true);
        }
    }
    buffer_release(&key);
}

static int read_checkpoints(struct log_manager *manager, const struct log_directory *directory,
                            struct buffer *error)
{
    static const struct {
        const char *name;
        enum log_checkpoint which;
    } files[] = {
        {RECOVERY_POINT_CHECKPOINT, LOG_CHECKPOINT_RECOVERY},
        {LOG_START_CHECKPOINT, LOG_CHECKPOINT_START},
        {REPLICATION_CHECKPOINT, LOG_CHECKPOINT_HIGH_WATERMARK},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct checkpoint checkpoint;
        checkpoint_init(&checkpoint);
        int result =
            checkpoint_read(manager->files, manager->logger, directory->path, files[i].name, &checkpoint);
        if (!result)
            apply_checkpoint(manager, directory, &checkpoint, files[i].which);
        checkpoint_release(&checkpoint);
        if (result) {
            buffer_print(error, "%s/%s cannot be read: %s.", directory->path, files[i].name,
                         strerror(-result));
            return result;
        }
    }
    return 0;
}

/* ---- opening ---- */

static void *open_logs(void *context)
{
    struct load *load = context;
    for (;;) {
        size_t number = atomic_fetch_add(&load->next, 1);
        if (number >= load->count)
            return NULL;
        struct managed_log *managed = load->logs[number];
        int error = managed_log_open(managed, managed->directory->was_clean, false, &load->manager->defaults,
                                     load->seeds[number]);
        if (!error)
            continue;
        pthread_mutex_lock(&load->mutex);
        if (!load->error || number < load->failed) {
            load->error = error;
            load->failed = number;
        }
        pthread_mutex_unlock(&load->mutex);
        atomic_store(&load->next, load->count);
    }
}

static void open_all(struct load *load, int threads)
{
    pthread_t handles[LOAD_THREADS_MAX];
    int started = 0;
    load->seeds = memory_allocate(load->count * sizeof(*load->seeds));
    for (size_t i = 0; i < load->count; i++)
        load->seeds[i] = prng_next(&load->manager->prng);
    while (started + 1 < threads && started < LOAD_THREADS_MAX && (size_t)started + 1 < load->count &&
           pthread_create(&handles[started], NULL, open_logs, load) == 0)
        started++;
    open_logs(load);
    for (int i = 0; i < started; i++)
        pthread_join(handles[i], NULL);
    free(load->seeds);
}

int log_manager_load(struct log_manager *manager, int threads, struct buffer *error)
{
    struct load load = {.manager = manager};
    atomic_init(&load.next, 0);
    pthread_mutex_init(&load.mutex, NULL);
    int result = 0;
    for (size_t i = 0; i < manager->directories_count && !result; i++)
        result = find_logs(&load, &manager->directories[i], error);
    for (size_t i = 0; i < manager->directories_count && !result; i++)
        result = read_checkpoints(manager, &manager->directories[i], error);
    if (!result) {
        int64_t begin_ms = log_manager_now_ms(manager);
        open_all(&load, threads);
        result = load.error;
        if (result) {
            const struct managed_log *failed = load.logs[load.failed];
            buffer_print(error, "The log %s/%s-%" PRId32 " cannot be opened: %s.", failed->directory->path,
                         failed->topic, failed->partition, strerror(-result));
        } else {
            log_info(manager->logger, "log", "%zu logs loaded in %" PRId64 " ms", load.count,
                     log_manager_now_ms(manager) - begin_ms);
        }
    }
    free(load.logs);
    pthread_mutex_destroy(&load.mutex);
    return result;
}
