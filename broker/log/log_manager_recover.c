/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening all logs at start: each directory's by num.recovery.threads.per.data.dir threads of its own, each
 * taking the next log from the directory's list, while the caller says how far they are.
 *
 * A log that cannot be opened takes its directory offline, and the rest of that directory is left alone. One
 * for which there is no room is left out alone: it answers with errors, and nothing of it is lost.
 * Where this process lacks something (descriptors, memory), no directory is to blame, and the start fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/log/disk_error.h"
#include "broker/log/log_manager_private.h"
#include "broker/log/log_names.h"
#include "common/clock.h"
#include "common/memory.h"

#define PROGRESS_INTERVAL_MS 5000
#define MIB (1024.0 * 1024.0)

struct opening {
    struct log_manager *manager;
    struct directory_load *loads;
    int64_t begin_ms;
    size_t logs;         /* of all directories */
    int64_t total_bytes; /* that recovery has to check */
    atomic_size_t logs_done;
    atomic_int_least64_t checked_bytes;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    size_t running; /* threads */
    int error;      /* of the whole broker */
    char *failed;   /* the log that met it */
};

struct opener {
    struct opening *opening;
    struct directory_load *load;
    pthread_t thread;
};

/* ---- how much there is to do ---- */

struct segment_sizes {
    struct file_system *files;
    const char *folder;
    int64_t from; /* base of the first segment that recovery reads */
    int64_t recovery_point;
    int64_t bytes;
    bool measuring; /* false: looking for `from` */
};

static int visit_segment(void *context, const char *name, bool is_directory)
{
    struct segment_sizes *sizes = context;
    struct log_file_name file = log_file_name_parse(name);
    if (is_directory || file.kind != LOG_FILE_LOG || file.state != LOG_FILE_LIVE)
        return 0;
    if (!sizes->measuring) {
        if (file.offset <= sizes->recovery_point)
            sizes->from = max_i64(sizes->from, file.offset);
        return 0;
    }
    if (file.offset < sizes->from)
        return 0;
    struct buffer path;
    struct file_status status;
    buffer_init(&path);
    buffer_print(&path, "%s/%s", sizes->folder, name);
    int error = file_system_status(sizes->files, buffer_string(&path), &status);
    buffer_release(&path);
    if (!error)
        sizes->bytes += status.size;
    return error;
}

/* What recovery will read of a log. An error is met again by who opens the log, unless the disk is gone. */
static int64_t bytes_to_check(const struct managed_log *managed)
{
    struct buffer folder;
    buffer_init(&folder);
    buffer_print(&folder, "%s/", managed->directory->path);
    log_folder_name_format(&folder, slice_of(managed->topic), managed->partition);
    struct segment_sizes sizes = {.files = managed->manager->files,
                                  .folder = buffer_string(&folder),
                                  .recovery_point = managed->recovery_point};
    int error = 0;
    for (int pass = 0; pass < 2 && !error; pass++) {
        sizes.measuring = pass == 1;
        error = file_system_list(sizes.files, sizes.folder, visit_segment, &sizes);
    }
    if (disk_error_of(error) == DISK_ERROR_FAILED)
        log_manager_directory_error(managed->directory, error, "looking at its logs");
    buffer_release(&folder);
    return sizes.bytes;
}

/* Counts, and says what the start has before it. */
static void measure(struct opening *opening, int threads)
{
    const struct log_manager *manager = opening->manager;
    for (size_t i = 0; i < manager->directories_count; i++) {
        struct directory_load *load = &opening->loads[i];
        const struct log_directory *directory = load->directory;
        int64_t bytes = 0;
        opening->logs += load->count;
        for (size_t l = 0; l < load->count && !directory->was_clean && !log_directory_is_offline(directory);
             l++)
            bytes += bytes_to_check(load->logs[l]);
        opening->total_bytes += bytes;
        if (load->count == 0 || log_directory_is_offline(directory))
            continue;
        if (directory->was_clean)
            log_info(manager->logger, "log", "%s: %zu logs, the last stop was clean", directory->path,
                     load->count);
        else
            log_info(manager->logger, "log",
                     "%s: %zu logs, the last stop was not clean: %.1f MiB are checked, by %d thread%s",
                     directory->path, load->count, (double)bytes / MIB, threads > 1 ? threads : 1,
                     threads > 1 ? "s" : "");
    }
}

/* ---- the work ---- */

static void open_failed(struct opening *opening, struct managed_log *managed, int error)
{
    struct buffer line;
    buffer_init(&line);
    buffer_print(&line, "The log %s/%s-%" PRId32 " cannot be opened: %s.", managed->directory->path,
                 managed->topic, managed->partition, strerror(-error));
    if (error == -EMFILE || error == -ENFILE || error == -ENOMEM) {
        buffer_print(&line, " Raise the limit (ulimit -n) and start the broker again.");
        pthread_mutex_lock(&opening->mutex);
        if (!opening->error) {
            opening->error = error;
            opening->failed = memory_copy_string(buffer_string(&line));
        }
        pthread_mutex_unlock(&opening->mutex);
    } else if (disk_error_of(error) == DISK_ERROR_FULL) {
        log_warn(opening->manager->logger, "log",
                 "%s It is left out until there is room again and somebody asks for it.",
                 buffer_string(&line));
        managed_log_leave_out(managed, true);
        log_manager_directory_error(managed->directory, error, "opening a log");
    } else {
        log_manager_fail_directory(managed->directory, error, buffer_string(&line));
    }
    buffer_release(&line);
}

static bool must_stop(struct opening *opening)
{
    pthread_mutex_lock(&opening->mutex);
    bool stop = opening->error != 0;
    pthread_mutex_unlock(&opening->mutex);
    return stop;
}

static void open_logs_of(struct opening *opening, struct directory_load *load)
{
    while (!log_directory_is_offline(load->directory) && !must_stop(opening)) {
        size_t number = atomic_fetch_add(&load->next, 1);
        if (number >= load->count)
            return;
        const struct managed_log_opening how = {.clean = load->directory->was_clean,
                                                .settings = &opening->manager->defaults,
                                                .seed = load->seeds[number],
                                                .checked_bytes = &opening->checked_bytes};
        int error = managed_log_open(load->logs[number], &how);
        if (error)
            open_failed(opening, load->logs[number], error);
        else
            atomic_fetch_add(&opening->logs_done, 1);
    }
}

static void *run_opener(void *context)
{
    struct opener *opener = context;
    struct opening *opening = opener->opening;
    open_logs_of(opening, opener->load);
    pthread_mutex_lock(&opening->mutex);
    opening->running--;
    pthread_cond_signal(&opening->changed);
    pthread_mutex_unlock(&opening->mutex);
    return NULL;
}

/* ---- progress ---- */

static void say_progress(struct opening *opening)
{
    int64_t elapsed_ms = max_i64(log_manager_now_ms(opening->manager) - opening->begin_ms, 1);
    int64_t done = atomic_load(&opening->checked_bytes);
    double rate = (double)done * 1000 / (double)elapsed_ms;
    int64_t left = max_i64(opening->total_bytes - done, 0);
    if (opening->total_bytes == 0)
        log_info(opening->manager->logger, "log", "loading: %zu of %zu logs",
                 (size_t)atomic_load(&opening->logs_done), opening->logs);
    else if (done == 0)
        log_info(opening->manager->logger, "log", "recovery: %zu of %zu logs, 0.0 of %.1f MiB",
                 (size_t)atomic_load(&opening->logs_done), opening->logs, (double)opening->total_bytes / MIB);
    else
        log_info(opening->manager->logger, "log",
                 "recovery: %zu of %zu logs, %.1f of %.1f MiB, %.0f MiB/s, about %.0f s left",
                 (size_t)atomic_load(&opening->logs_done), opening->logs, (double)done / MIB,
                 (double)opening->total_bytes / MIB, rate / MIB, (double)left / rate);
}

static void wait_for_openers(struct opening *opening)
{
    int64_t next_ms = clock_monotonic_ms();
    pthread_mutex_lock(&opening->mutex);
    while (opening->running > 0) {
        next_ms += PROGRESS_INTERVAL_MS;
        const struct timespec next = {.tv_sec = next_ms / 1000, .tv_nsec = next_ms % 1000 * 1000000};
        int waited = 0;
        while (opening->running > 0 && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&opening->changed, &opening->mutex, &next);
        if (opening->running > 0)
            say_progress(opening);
    }
    pthread_mutex_unlock(&opening->mutex);
}

/* Threads for the directories that have something to open. */
static void open_in_threads(struct opening *opening, int threads)
{
    size_t directories = opening->manager->directories_count, count = 0;
    size_t each = min_size((size_t)threads, LOG_THREADS_PER_DIRECTORY_MAX);
    struct opener *openers = memory_allocate_zeroed(directories * each, sizeof(*openers));
    for (size_t i = 0; i < directories; i++) {
        struct directory_load *load = &opening->loads[i];
        for (size_t t = 0; t < min_size(each, load->count); t++) {
            struct opener *opener = &openers[count];
            *opener = (struct opener){.opening = opening, .load = load};
            pthread_mutex_lock(&opening->mutex);
            bool started = pthread_create(&opener->thread, NULL, run_opener, opener) == 0;
            opening->running += started;
            pthread_mutex_unlock(&opening->mutex);
            count += started;
        }
    }
    wait_for_openers(opening);
    for (size_t i = 0; i < count; i++)
        pthread_join(openers[i].thread, NULL);
    free(openers);
}

static void opening_init(struct opening *opening, struct log_manager *manager, struct directory_load *loads)
{
    *opening = (struct opening){.manager = manager, .loads = loads, .begin_ms = log_manager_now_ms(manager)};
    atomic_init(&opening->logs_done, 0);
    atomic_init(&opening->checked_bytes, 0);
    pthread_mutex_init(&opening->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&opening->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* A rate of less says nothing of the disk. */
#define RATE_BYTES_MIN ((int64_t)1024 * 1024)
#define RATE_MS_MIN 100

static void say_end(struct opening *opening)
{
    int64_t elapsed_ms = log_manager_now_ms(opening->manager) - opening->begin_ms;
    int64_t checked = atomic_load(&opening->checked_bytes);
    size_t done = atomic_load(&opening->logs_done);
    if (checked > 0 && (checked < RATE_BYTES_MIN || elapsed_ms < RATE_MS_MIN))
        log_info(opening->manager->logger, "log",
                 "%zu logs loaded in %" PRId64 " ms; recovery checked %.1f MiB", done, elapsed_ms,
                 (double)checked / MIB);
    else if (checked > 0)
        log_info(opening->manager->logger, "log",
                 "%zu logs loaded in %" PRId64 " ms; recovery checked %.1f MiB, %.0f MiB/s", done, elapsed_ms,
                 (double)checked / MIB, (double)checked * 1000 / MIB / (double)max_i64(elapsed_ms, 1));
    else
        log_info(opening->manager->logger, "log", "%zu logs loaded in %" PRId64 " ms", done, elapsed_ms);
}

/* Where recovery has cut a log, the checkpoints must not promise what comes there again. A directory that has
 * no room for them now is told so, and no log in it rolls before they are written. */
static void write_unsure(struct log_manager *manager)
{
    for (size_t i = 0; i < manager->directories_count; i++) {
        struct log_directory *directory = &manager->directories[i];
        log_manager_lock_checkpoints(directory);
        unsigned unsure = atomic_load(&directory->unsure);
        int error = unsure ? log_manager_write_checkpoints(manager, directory, unsure) : 0;
        log_manager_unlock_checkpoints(directory);
        if (error)
            log_warn(manager->logger, "log", "%s: the checkpoints are written later: %s", directory->path,
                     strerror(-error));
    }
}

int log_manager_open_logs(struct log_manager *manager, struct directory_load *loads, int threads,
                          struct buffer *error)
{
    struct opening opening;
    opening_init(&opening, manager, loads);
    for (size_t i = 0; i < manager->directories_count; i++) {
        loads[i].seeds = memory_allocate_zeroed(loads[i].count + 1, sizeof(uint64_t));
        for (size_t l = 0; l < loads[i].count; l++)
            loads[i].seeds[l] = prng_next(&manager->prng);
    }
    measure(&opening, threads);
    if (threads > 0)
        open_in_threads(&opening, threads);
    /* All of it without threads, and what is left where none could be started. */
    for (size_t i = 0; i < manager->directories_count; i++)
        open_logs_of(&opening, &loads[i]);
    if (!opening.error)
        write_unsure(manager);
    if (opening.error)
        buffer_append_string(error, opening.failed);
    else
        say_end(&opening);
    free(opening.failed);
    pthread_cond_destroy(&opening.changed);
    pthread_mutex_destroy(&opening.mutex);
    return opening.error;
}
