/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two folders of one partition, in two directories, found at start: a move was interrupted between the two
 * renamings, or could not be undone; or a directory was missing for a while and the log was made anew
 * elsewhere, or somebody brought back a backup. Both are opened, and the rule at the top of
 * log_manager_future.h decides. Only what is proved to be a copy (partition_log_kinship) is removed; all else
 * may hold records that are nowhere else, and is kept for a person to look at. Where one of the two cannot be
 * opened because its directory has failed, it cannot be compared: it counts as the log, which is offline
 * then, and the other one stays as it is for a later start.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "broker/log/partition_metadata.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

void log_manager_add_twin(struct log_manager *manager, struct managed_log *managed)
{
    struct log_moving *moving = manager->moving;
    moving->twins = memory_grow(moving->twins, moving->twins_count, &moving->twins_capacity,
                                sizeof(struct managed_log *));
    moving->twins[moving->twins_count++] = managed;
}

struct managed_log *log_manager_find_in(struct log_manager *manager, const struct log_directory *directory,
                                        struct slice topic, int32_t partition)
{
    struct managed_log *managed = log_manager_find_managed(manager, topic, partition);
    const struct log_moving *moving = manager->moving;
    for (size_t i = 0; i < moving->twins_count && managed && managed->directory != directory; i++) {
        struct managed_log *twin = moving->twins[i];
        if (twin->directory == directory && twin->partition == partition && slice_is(topic, twin->topic))
            return twin;
    }
    return managed && managed->directory == directory ? managed : NULL;
}

static void folder_of(const struct managed_log *managed, struct buffer *path)
{
    buffer_init(path);
    buffer_print(path, "%s/", managed->directory->path);
    log_folder_name_format(path, slice_of(managed->topic), managed->partition);
}

/* When partition.metadata was written: once, when the log was made. */
static int64_t made_ms(const struct managed_log *managed)
{
    struct buffer path;
    struct file_status status = {0};
    folder_of(managed, &path);
    buffer_print(&path, "/%s", PARTITION_METADATA_FILE);
    int error = file_system_status(managed->manager->files, buffer_string(&path), &status);
    buffer_release(&path);
    return error ? 0 : status.modified_ms;
}

static bool of_one_topic(const struct managed_log *one, const struct managed_log *other)
{
    struct uuid a = partition_log_topic_id(one->log), b = partition_log_topic_id(other->log);
    return uuid_is_zero(a) || uuid_is_zero(b) || uuid_equals(a, b);
}

/* Whether the twin, and not the one that was found first, is the log. */
static bool twin_wins(const struct managed_log *first, const struct managed_log *twin)
{
    if (!of_one_topic(first, twin))
        return made_ms(twin) > made_ms(first);
    int32_t first_epoch = partition_log_latest_epoch(first->log);
    int32_t twin_epoch = partition_log_latest_epoch(twin->log);
    if (first_epoch >= 0 && twin_epoch >= 0 && first_epoch != twin_epoch)
        return twin_epoch > first_epoch;
    return partition_log_end_offset(twin->log) > partition_log_end_offset(first->log);
}

/* What only the checkpoints of the one that goes knew, where that is a copy. */
static void inherit(struct log_manager *manager, struct managed_log *winner, const struct managed_log *loser,
                    bool is_copy)
{
    struct buffer key;
    buffer_init(&key);
    /* Also where it is the winner's own: the map has that of the one that was found first. */
    int64_t *copy = memory_allocate(sizeof(*copy));
    int64_t known = is_copy ? max_i64(loser->high_watermark, winner->high_watermark) : winner->high_watermark;
    *copy = min_i64(known, partition_log_end_offset(winner->log));
    winner->high_watermark = *copy;
    free(map_put(manager->high_watermarks, log_manager_key(&key, slice_of(winner->topic), winner->partition),
                 copy));
    buffer_release(&key);
    if (!is_copy)
        return;
    int64_t start = min_i64(partition_log_start_offset(loser->log), partition_log_end_offset(winner->log));
    if (partition_log_advance_start(winner->log, start) == KAFKA_NONE)
        winner->log_start_offset = partition_log_start_offset(winner->log);
}

/* The winner's first: what it took over must be on disk before the loser's is forgotten. 0, or -errno. */
static int write_after(struct log_manager *manager, struct log_directory *winner, struct log_directory *loser)
{
    log_manager_lock_checkpoints(loser);
    loser->unwritten |= LOG_CHECKPOINT_ALL;
    log_manager_unlock_checkpoints(loser);
    log_manager_lock_checkpoints(winner);
    int error = log_manager_write_checkpoints(manager, winner, LOG_CHECKPOINT_ALL);
    log_manager_unlock_checkpoints(winner);
    if (error)
        return error;
    log_manager_lock_checkpoints(loser);
    error = log_manager_write_checkpoints(manager, loser, LOG_CHECKPOINT_ALL);
    log_manager_unlock_checkpoints(loser);
    return error;
}

static void describe(const struct managed_log *managed, struct buffer *out)
{
    struct buffer path;
    folder_of(managed, &path);
    buffer_print(out, "%s (offsets %" PRId64 " to %" PRId64 ", last leader epoch %" PRId32 ")",
                 buffer_string(&path), partition_log_start_offset(managed->log),
                 partition_log_end_offset(managed->log), partition_log_latest_epoch(managed->log));
    buffer_release(&path);
}

/* One that is not known to be a copy, and is at `aside` now. */
static void say_kept(struct log_manager *manager, const struct managed_log *winner,
                     const struct managed_log *loser, const char *aside)
{
    struct buffer kept, served, path;
    buffer_init(&kept);
    buffer_init(&served);
    describe(loser, &kept);
    describe(winner, &served);
    folder_of(winner, &path);
    log_error(manager->logger, "log",
              "one partition has two folders, and %s: %s is kept as %s and not served, and %s is served. "
              "Nothing of either is removed. Look into both with dump-log; remove the -stray folder when "
              "nothing in it is missed; to serve it instead, stop this broker, move %s out of the log "
              "directories and give the -stray folder its name back",
              of_one_topic(winner, loser) ? "the one is no copy of the other"
                                          : "they are of two topics that had the name one after the other",
              buffer_string(&kept), aside, buffer_string(&served), buffer_string(&path));
    buffer_release(&kept);
    buffer_release(&served);
    buffer_release(&path);
}

/* The folder of the loser goes: what is no copy is kept. 0, or -errno: it stays as it is. */
static int set_loser_aside(struct log_manager *manager, const struct managed_log *winner,
                           const struct managed_log *loser, bool stray, struct buffer *aside)
{
    struct buffer from;
    folder_of(loser, &from);
    int error = -EIO;
    if (winner->log && loser->log && !log_directory_is_offline(loser->directory) &&
        !log_directory_is_offline(winner->directory))
        error = log_manager_set_aside(manager, loser->directory, buffer_string(&from), slice_of(loser->topic),
                                      loser->partition, stray, aside);
    if (error || !stray)
        log_warn(manager->logger, "log", "%s lies in %s too: that is the log, and this folder is %s",
                 buffer_string(&from), winner->directory->path,
                 error ? "left as it is" : "a copy of before a move and removed");
    else
        say_kept(manager, winner, loser, buffer_string(aside));
    buffer_release(&from);
    return error;
}

static void settle(struct log_manager *manager, struct managed_log *first, struct managed_log *twin)
{
    struct buffer key, aside;
    buffer_init(&key);
    buffer_init(&aside);
    bool comparable = first->log && twin->log;
    bool twin_stays = comparable ? twin_wins(first, twin) : first->log != NULL;
    struct managed_log *winner = twin_stays ? twin : first, *loser = twin_stays ? first : twin;
    struct log_directory *directory = loser->directory;
    enum log_kinship kinship = LOG_UNRELATED;
    if (comparable && of_one_topic(first, twin))
        kinship = partition_log_kinship(loser->log, winner->log);
    bool stray = kinship == LOG_UNRELATED;
    winner->uncompared = !comparable;
    if (comparable)
        inherit(manager, winner, loser, kinship == LOG_COPY);
    map_put(manager->logs, log_manager_key(&key, slice_of(winner->topic), winner->partition), winner);
    int error = set_loser_aside(manager, winner, loser, stray, &aside);
    managed_log_free(loser);
    if (!error && !stray)
        log_manager_remove_later(manager, directory, buffer_string(&aside),
                                 log_manager_now_ms(manager) + manager->defaults.file_delete_delay_ms);
    int written = error ? 0 : write_after(manager, winner->directory, directory);
    if (written)
        log_warn(manager->logger, "log", "the checkpoints are written later: %s", strerror(-written));
    buffer_release(&aside);
    buffer_release(&key);
}

void log_manager_settle_twins(struct log_manager *manager)
{
    struct log_moving *moving = manager->moving;
    for (size_t i = 0; i < moving->twins_count; i++) {
        struct managed_log *twin = moving->twins[i];
        settle(manager, log_manager_find_managed(manager, slice_of(twin->topic), twin->partition), twin);
    }
    moving->twins_count = 0;
}
