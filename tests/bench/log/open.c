/* SPDX-License-Identifier: Apache-2.0 */
/* How long 5,000 partitions take to open after a clean stop, and what is read for it. */
#include <stdlib.h>

#include "tests/bench/log/bench.h"
#include "tests/bench/log/counting_files.h"

#define PARTITIONS 5000
#define BATCHES 3

static struct log_manager *open_manager(const struct log_manager_options *options)
{
    struct log_manager *manager;
    struct buffer sentence;
    buffer_init(&sentence);
    int error = log_manager_open(options, &manager, &sentence);
    bench_require(error == 0, error, buffer_string(&sentence));
    buffer_release(&sentence);
    return manager;
}

static void fill(struct log_manager *manager, int partitions, const struct log_settings *settings)
{
    struct buffer batch;
    buffer_init(&batch);
    bench_make_batch(4 * KIB, &batch);
    for (int i = 0; i < partitions; i++) {
        struct partition_log *log;
        int error = log_manager_obtain(manager, slice_of("open"), i, true, settings, &log);
        bench_require(error == 0, error, "a partition cannot be made");
        for (int b = 0; b < BATCHES; b++) {
            bench_append_batch(log, &batch);
        }
    }
    buffer_release(&batch);
}

static void stop_cleanly(struct log_manager *manager)
{
    int error = log_manager_close(manager);
    bench_require(error == 0, error, "no clean stop");
    log_manager_free(manager);
}

void bench_open(struct bench *bench)
{
    struct buffer fields;
    double times[BENCH_ROUNDS_MAX];
    char *path = bench_path(bench, "open");
    const char *const paths[] = {path};
    int partitions = (int)(PARTITIONS / bench->scale);
    struct counting_files counting;
    counting_files_init(&counting);
    struct log_manager_options options = bench_manager_options(&counting.system, paths);
    struct log_manager *manager = open_manager(&options);
    fill(manager, partitions, &options.defaults);
    stop_cleanly(manager);
    int rounds = bench->rounds < 3 ? bench->rounds : 3;
    for (int i = 0; i < rounds; i++) {
        counting_files_init(&counting);
        double begin = bench_seconds();
        manager = open_manager(&options);
        times[i] = bench_seconds() - begin;
        long long opened = counting.opened, segments = counting.segments_opened, bytes = counting.bytes_read;
        if (i + 1 == rounds) {
            double seconds = bench_median(times, rounds);
            buffer_init(&fields);
            buffer_print(&fields,
                         "\"partitions\": %d, \"seconds\": %.3f, \"files_opened\": %lld, "
                         "\"segments_opened\": %lld, \"bytes_read\": %lld",
                         partitions, seconds, opened, segments, bytes);
            bench_row(
                bench, "open", buffer_string(&fields),
                "%d partitions, clean: %.2f s; %lld files opened, %lld of them segments; %lld bytes read",
                partitions, seconds, opened, segments, bytes);
            buffer_release(&fields);
        }
        stop_cleanly(manager);
    }
    int error = file_system_remove_tree(file_system_posix(), path);
    bench_require(error == 0, error, "the partitions cannot be removed");
    free(path);
}
