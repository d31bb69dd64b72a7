/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding all logs at start: every folder of every directory is looked at once; what was being deleted is to
 * be removed after the start; the checkpoints are read. A directory that refuses goes offline here, alone.
 *
 * A log that a checkpoint tells of has a folder, or somebody took it away while the broker was down: what is
 * made in its place is empty, and this broker's logs do not count as whole any more (log_manager_intact.c).
 * A clean stop writes the recovery points of the logs that are there, and of no other. After a crash the file
 * may still name logs that were deleted, or have moved to another directory, since it was written: the folder
 * has a -delete name then (the file is written before that folder goes), or the log lies elsewhere.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "common/memory.h"

/* A look at the folders of one directory. */
struct folder_visit {
    struct log_manager *manager;
    struct directory_load *load;
    struct buffer *error;
    size_t strays;
};

static void add_log(struct folder_visit *visit, const struct log_folder_name *name)
{
    struct log_manager *manager = visit->manager;
    struct directory_load *load = visit->load;
    struct buffer key;
    buffer_init(&key);
    struct slice key_text = log_manager_key(&key, name->topic, name->partition);
    struct managed_log *managed = managed_log_new(manager, load->directory, name->topic, name->partition);
    managed->recovery_point = LOG_RECOVERY_POINT_UNKNOWN;
    if (map_get(manager->logs, key_text))
        log_manager_add_twin(manager, managed);
    else
        map_put(manager->logs, key_text, managed);
    load->logs = memory_grow(load->logs, load->count, &load->capacity, sizeof(struct managed_log *));
    load->logs[load->count++] = managed;
    buffer_release(&key);
}

static void note_deleted(struct directory_load *load, const struct log_folder_name *name)
{
    struct buffer key;
    buffer_init(&key);
    map_put(load->deleted, log_manager_key(&key, name->topic, name->partition), load);
    buffer_release(&key);
}

static void add_future(struct folder_visit *visit, const char *name)
{
    struct log_manager *manager = visit->manager;
    manager->futures = memory_grow(manager->futures, manager->futures_count, &manager->futures_capacity,
                                   sizeof(manager->futures[0]));
    manager->futures[manager->futures_count++] =
        (struct future_folder){visit->load->directory, memory_copy_string(name)};
}

static int visit_folder(void *context, const char *name, bool is_directory)
{
    struct folder_visit *visit = context;
    struct log_directory *directory = visit->load->directory;
    struct buffer path;
    if (!is_directory)
        return 0;
    struct log_folder_name folder = log_folder_name_parse(name);
    switch (folder.kind) {
    case LOG_FOLDER_LIVE:
        add_log(visit, &folder);
        return 0;
    case LOG_FOLDER_DELETE:
        note_deleted(visit->load, &folder);
        buffer_init(&path);
        buffer_print(&path, "%s/%s", directory->path, name);
        log_manager_remove_later(visit->manager, directory, buffer_string(&path), INT64_MIN);
        buffer_release(&path);
        return 0;
    case LOG_FOLDER_FUTURE:
        add_future(visit, name);
        return 0;
    case LOG_FOLDER_STRAY:
        visit->strays++;
        return 0;
    case LOG_FOLDER_OTHER:
        log_info(visit->manager->logger, "log", "%s/%s is not a partition's folder: let be", directory->path,
                 name);
        return 0;
    }
    return 0;
}

/* 0, or -EINVAL with a sentence in `error`. */
static int find_logs(struct log_manager *manager, struct directory_load *load, struct buffer *error)
{
    struct log_directory *directory = load->directory;
    struct folder_visit visit = {.manager = manager, .load = load, .error = error};
    int result = file_system_list(manager->files, directory->path, visit_folder, &visit);
    if (result && error->length > 0)
        return result;
    if (result) {
        struct buffer line;
        buffer_init(&line);
        buffer_print(&line, "log directory %s cannot be read: %s", directory->path, strerror(-result));
        log_manager_fail_directory(directory, result, buffer_string(&line));
        buffer_release(&line);
    }
    if (visit.strays > 0)
        log_warn(manager->logger, "log",
                 "%s: %zu folders with names that end in -stray are kept as they are and not served: remove "
                 "them when they are no longer needed",
                 directory->path, visit.strays);
    return 0;
}

void log_manager_each_future(struct log_manager *manager,
                             void (*visit)(void *context, size_t directory, const char *folder,
                                           struct slice topic, int32_t partition),
                             void *context)
{
    for (size_t i = 0; i < manager->futures_count; i++) {
        const struct future_folder *future = &manager->futures[i];
        struct log_folder_name name = log_folder_name_parse(future->name);
        if (!log_directory_is_offline(future->directory))
            visit(context, (size_t)(future->directory - manager->directories), future->name, name.topic,
                  name.partition);
    }
}

/* ---- checkpoints ---- */

/* The recovery points name a log of this directory that has no folder. `key`: as of log_manager_key. */
static void miss_log(struct log_manager *manager, const struct directory_load *load, struct slice key)
{
    struct log_directory *directory = load->directory;
    if (!directory->was_clean && (map_get(load->deleted, key) || map_get(manager->logs, key)))
        return;
    log_warn(manager->logger, "log",
             "%s/%.*s was here at the last stop and is gone: until it has registered anew, no log of this "
             "broker counts as whole",
             directory->path, SLICE_ARGUMENTS(key));
    atomic_store(&directory->health.has_cut, true);
    /* At once: after a crash on the way, a checkpoint without that line may be all that is left to tell. */
    log_manager_forget_intact(manager);
}

static void apply_checkpoint(struct log_manager *manager, const struct directory_load *load,
                             const struct checkpoint *checkpoint, enum log_checkpoint which)
{
    struct log_directory *directory = load->directory;
    struct buffer key;
    buffer_init(&key);
    for (size_t i = 0; i < checkpoint->count; i++) {
        const struct checkpoint_entry *entry = &checkpoint->entries[i];
        struct slice key_text = log_manager_key(&key, slice_of(entry->topic), entry->partition);
        struct managed_log *managed =
            log_manager_find_in(manager, directory, slice_of(entry->topic), entry->partition);
        if (!managed) { /* of a log that was deleted, or has moved away: a namesake does not inherit it */
            directory->unwritten |= which;
            if (which == LOG_CHECKPOINT_RECOVERY)
                miss_log(manager, load, key_text);
            continue;
        }
        if (which == LOG_CHECKPOINT_HIGH_WATERMARK && managed == map_get(manager->logs, key_text)) {
            int64_t *copy = memory_allocate(sizeof(*copy));
            *copy = entry->offset;
            free(map_put(manager->high_watermarks, key_text, copy));
        }
        if (which == LOG_CHECKPOINT_HIGH_WATERMARK)
            managed->high_watermark = entry->offset;
        else if (which == LOG_CHECKPOINT_START)
            managed->log_start_offset = entry->offset;
        else if (which == LOG_CHECKPOINT_CLEANER)
            managed->first_dirty_offset = entry->offset;
        if (which == LOG_CHECKPOINT_RECOVERY) {
            managed->recovery_point = entry->offset;
            atomic_store(&managed->has_entry, true);
        }
    }
    buffer_release(&key);
}

static void read_checkpoints(struct log_manager *manager, const struct directory_load *load)
{
    struct log_directory *directory = load->directory;
    static const struct {
        const char *name;
        enum log_checkpoint which;
    } files[] = {
        {RECOVERY_POINT_CHECKPOINT, LOG_CHECKPOINT_RECOVERY},
        {LOG_START_CHECKPOINT, LOG_CHECKPOINT_START},
        {REPLICATION_CHECKPOINT, LOG_CHECKPOINT_HIGH_WATERMARK},
        {CLEANER_CHECKPOINT, LOG_CHECKPOINT_CLEANER},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files) && !log_directory_is_offline(directory); i++) {
        struct checkpoint checkpoint;
        checkpoint_init(&checkpoint);
        int error =
            checkpoint_read(manager->files, manager->logger, directory->path, files[i].name, &checkpoint);
        if (!error)
            apply_checkpoint(manager, load, &checkpoint, files[i].which);
        checkpoint_release(&checkpoint);
        if (error) {
            struct buffer line;
            buffer_init(&line);
            buffer_print(&line, "%s/%s cannot be read: %s", directory->path, files[i].name, strerror(-error));
            log_manager_fail_directory(directory, error, buffer_string(&line));
            buffer_release(&line);
        }
    }
}

int log_manager_load(struct log_manager *manager, int threads, struct buffer *error)
{
    struct directory_load *loads = memory_allocate_zeroed(manager->directories_count, sizeof(*loads));
    int result = 0;
    for (size_t i = 0; i < manager->directories_count && !result; i++) {
        loads[i].directory = &manager->directories[i];
        loads[i].deleted = map_new(0);
        atomic_init(&loads[i].next, 0);
        if (!log_directory_is_offline(loads[i].directory))
            result = find_logs(manager, &loads[i], error);
    }
    for (size_t i = 0; i < manager->directories_count && !result; i++)
        read_checkpoints(manager, &loads[i]);
    if (!result)
        result = log_manager_open_logs(manager, loads, threads, error);
    if (!result)
        log_manager_settle_twins(manager);
    if (!result && log_manager_usable_directories(manager) == 0) {
        struct log_directory_info info;
        log_manager_directory_info(manager, manager->directories_count - 1, &info);
        buffer_print(error, "No log directory can be used: the lines above say why; the last one, %s: %s.",
                     info.path, strerror(-info.error));
        result = info.error;
    }
    for (size_t i = 0; i < manager->directories_count; i++) {
        free(loads[i].logs);
        free(loads[i].seeds);
        if (loads[i].deleted)
            map_free(loads[i].deleted);
    }
    free(loads);
    return result;
}
