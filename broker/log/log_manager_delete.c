/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleted logs. The folder gets a name that no start takes for a log, at once and durably; its files go
 * later, on a thread that may wait for the disk: unlinking large files takes long, and an operator has
 * file.delete.delay.ms to think again. Nobody else waits meanwhile: the log is busy, and its lines in the
 * checkpoints go when those are written next, before a new log is made there at the latest.
 *
 * A disk can be so full that the directory cannot take the longer name, and a topic must go to make room.
 * Then the segments go at once, newest first, until the name fits. A crash on the way leaves a log that ends
 * earlier than it did, under its topic's id, which is what a replica that was cut off and is behind looks
 * like: the controller, which has been told of no deletion, asks for it again, and should it want the replica
 * after all, this one is in no ISR and goes on from where it ends. partition.metadata goes when no record is
 * left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/disk_error.h"
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

struct deletion {
    struct managed_log *managed;
    struct buffer from; /* the folder */
    struct buffer path; /* where it is then */
    bool aside;         /* it is there */
    bool stray;         /* it is kept */
};

static void deletion_init(struct deletion *deletion, struct log_manager *manager, struct managed_log *managed,
                          bool stray)
{
    uint8_t unique[16];
    *deletion = (struct deletion){.managed = managed, .stray = stray};
    buffer_init(&deletion->from);
    buffer_init(&deletion->path);
    for (size_t i = 0; i < sizeof(unique); i++)
        unique[i] = (uint8_t)prng_next(&manager->prng);
    buffer_print(&deletion->from, "%s/", managed->directory->path);
    buffer_append(&deletion->path, deletion->from.data, deletion->from.length);
    log_folder_name_format(&deletion->from, slice_of(managed->topic), managed->partition);
    if (stray)
        log_folder_name_format_stray(&deletion->path, slice_of(managed->topic), managed->partition, unique);
    else
        log_folder_name_format_delete(&deletion->path, slice_of(managed->topic), managed->partition, unique);
}

static void deletion_release(struct deletion *deletion)
{
    buffer_release(&deletion->from);
    buffer_release(&deletion->path);
}

static int sync_directory(const struct deletion *deletion)
{
    struct log_directory *directory = deletion->managed->directory;
    int error = file_system_sync_directory(directory->files, directory->path);
    if (error)
        log_manager_directory_error(directory, error, "setting a deleted log aside");
    /* Where the process only lacks a descriptor, the name is changed all the same. */
    return disk_error_of(error) == DISK_ERROR_PASSING ? 0 : error;
}

/* Renames the folder, so that no later start takes it for a log. 0, or -errno. */
static int set_folder_aside(struct deletion *deletion)
{
    struct log_directory *directory = deletion->managed->directory;
    int error =
        file_system_rename(directory->files, buffer_string(&deletion->from), buffer_string(&deletion->path));
    deletion->aside = error == 0;
    if (!error || error == -ENOENT) /* an attempt that failed later has renamed it */
        return sync_directory(deletion);
    return error;
}

static bool lacks_room(int error)
{
    return disk_error_of(error) == DISK_ERROR_FULL;
}

/* ---- without room ---- */

struct folder_files {
    struct log_file_name *names;
    size_t count;
    size_t capacity;
};

static int add_file(void *context, const char *name, bool is_directory)
{
    struct folder_files *files = context;
    struct log_file_name parsed = log_file_name_parse(name);
    if (is_directory || parsed.kind == LOG_FILE_OTHER)
        return 0;
    files->names = memory_grow(files->names, files->count, &files->capacity, sizeof(files->names[0]));
    files->names[files->count++] = parsed;
    return 0;
}

/* What is of no segment any more, then newest first, of each segment the batches first. */
static int compare_files(const void *left, const void *right)
{
    const struct log_file_name *a = left, *b = right;
    bool a_live = a->state == LOG_FILE_LIVE, b_live = b->state == LOG_FILE_LIVE;
    if (a_live != b_live)
        return a_live - b_live;
    if (a->offset != b->offset)
        return a->offset > b->offset ? -1 : 1;
    return (int)a->kind - (int)b->kind;
}

static int remove_file(struct deletion *deletion, struct log_file_name name)
{
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/", buffer_string(&deletion->from));
    log_file_name_format(&path, name);
    int error = file_system_remove(deletion->managed->directory->files, buffer_string(&path));
    buffer_release(&path);
    return error == -ENOENT ? 0 : error;
}

/* Makes room out of the log itself until the folder takes its new name, or nothing is left. 0, or -errno. */
static int remove_at_once(struct deletion *deletion)
{
    struct managed_log *managed = deletion->managed;
    struct log_directory *directory = managed->directory;
    struct folder_files files = {.names = NULL};
    log_manager_lock_checkpoints(directory);
    struct partition_log *log = managed->log;
    managed->log = NULL;
    log_manager_unlock_checkpoints(directory);
    partition_log_free(log); /* an open file gives no room back */
    int error = file_system_list(directory->files, buffer_string(&deletion->from), add_file, &files);
    if (files.count > 1)
        qsort(files.names, files.count, sizeof(files.names[0]), compare_files);
    for (size_t i = 0; i < files.count && !error; i++) {
        error = remove_file(deletion, files.names[i]);
        if (error || (i + 1 < files.count && files.names[i + 1].offset == files.names[i].offset))
            continue;
        error = set_folder_aside(deletion);
        if (!lacks_room(error))
            break;
        error = 0;
    }
    free(files.names);
    if (error || deletion->aside)
        return error;
    error = file_system_remove_tree(directory->files, buffer_string(&deletion->from));
    return error && error != -ENOENT ? error : sync_directory(deletion);
}

/* ---- deleting ---- */

/* The log's lines in the checkpoints are no good any more. */
static void note_unwritten(struct managed_log *managed)
{
    log_manager_lock_checkpoints(managed->directory);
    managed->directory->unwritten |= (atomic_load(&managed->has_entry) ? LOG_CHECKPOINT_RECOVERY : 0) |
                                     (managed->log_start_offset > 0 ? LOG_CHECKPOINT_START : 0) |
                                     (managed->high_watermark > 0 ? LOG_CHECKPOINT_HIGH_WATERMARK : 0) |
                                     (managed->first_dirty_offset > 0 ? LOG_CHECKPOINT_CLEANER : 0);
    list_remove(&managed->link);
    list_init(&managed->link);
    log_manager_unlock_checkpoints(managed->directory);
}

/* What of a deletion waits for the disk. 0, or -errno: the log is still there, whole or not. */
static int delete_folder(struct deletion *deletion)
{
    int error = set_folder_aside(deletion);
    if (lacks_room(error) && !deletion->aside && !deletion->stray)
        error = remove_at_once(deletion);
    if (error && !log_directory_is_offline(deletion->managed->directory))
        log_manager_directory_error(deletion->managed->directory, error, "deleting a log");
    if (!error)
        note_unwritten(deletion->managed);
    return error;
}

/* `aside`: the log is stray, and the path that it is kept under goes there; NULL: it is deleted. */
static int take_out(struct log_manager *manager, struct slice topic, int32_t partition, struct buffer *aside)
{
    struct deletion deletion;
    pthread_mutex_lock(&manager->mutex);
    struct managed_log *managed = log_manager_await_managed(manager, topic, partition);
    int error = managed ? 0 : -ENOENT;
    if (managed && log_directory_is_offline(managed->directory))
        error = -EIO;
    if (!error) {
        managed->busy = true;
        deletion_init(&deletion, manager, managed, aside != NULL);
    }
    pthread_mutex_unlock(&manager->mutex);
    if (error)
        return error;
    error = delete_folder(&deletion);
    struct buffer key;
    buffer_init(&key);
    pthread_mutex_lock(&manager->mutex);
    if (!error) /* a topic of the same name must not inherit it */
        free(map_remove(manager->high_watermarks, log_manager_key(&key, topic, partition)));
    if (!error && aside)
        buffer_append(aside, deletion.path.data, deletion.path.length);
    else if (!error && deletion.aside)
        log_manager_remove_later(manager, managed->directory, buffer_string(&deletion.path),
                                 log_manager_now_ms(manager) + manager->defaults.file_delete_delay_ms);
    log_manager_settled(manager, managed, !error);
    pthread_mutex_unlock(&manager->mutex);
    if (!error)
        managed_log_free(managed);
    buffer_release(&key);
    deletion_release(&deletion);
    return error;
}

int log_manager_delete(struct log_manager *manager, struct slice topic, int32_t partition)
{
    return take_out(manager, topic, partition, NULL);
}

int log_manager_set_stray(struct log_manager *manager, struct slice topic, int32_t partition,
                          struct buffer *aside)
{
    return take_out(manager, topic, partition, aside);
}

/* ---- what was set aside ---- */

/* After an error that may pass. */
#define REMOVE_AGAIN_MS 60000

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

static int64_t later(int64_t now_ms)
{
    return now_ms > INT64_MAX - REMOVE_AGAIN_MS ? INT64_MAX : now_ms + REMOVE_AGAIN_MS;
}

/* Before the last trace of a deletion goes, the checkpoint says no more that the log is here: a start that
 * finds neither takes it for lost (log_manager_load.c). 0, or -errno. */
static int forget_entry(struct log_manager *manager, struct log_directory *directory)
{
    log_manager_lock_checkpoints(directory);
    int error = directory->unwritten & LOG_CHECKPOINT_RECOVERY
                    ? log_manager_write_checkpoints(manager, directory, LOG_CHECKPOINT_RECOVERY)
                    : 0;
    log_manager_unlock_checkpoints(directory);
    /* Where the disk is full, what is to be removed is what makes room. */
    return lacks_room(error) ? 0 : error;
}

static int64_t remove_due(struct log_manager *manager, const struct log_directory *directory, int64_t now_ms)
{
    struct due_removal *due;
    int64_t next_ms;
    while ((due = take_due(manager, directory, now_ms, &next_ms))) {
        int error = log_directory_is_offline(due->directory) ? 0 : forget_entry(manager, due->directory);
        if (!error && !log_directory_is_offline(due->directory))
            error = file_system_remove_tree(manager->files, due->path);
        if (error && error != -ENOENT) {
            log_manager_directory_error(due->directory, error, "removing a deleted log");
            pthread_mutex_lock(&manager->mutex);
            log_manager_remove_later(manager, due->directory, due->path, later(now_ms));
            pthread_mutex_unlock(&manager->mutex);
        }
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
