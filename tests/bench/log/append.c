/* SPDX-License-Identifier: Apache-2.0 */
/* Appends into many logs in turn, beside bare writes of the same sizes into as many files. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"
#include "tests/bench/log/bench.h"

struct append_case {
    int64_t batch_bytes;
    int files;
    int64_t total_bytes;
};

struct cost {
    double seconds;
    double cpu_seconds;
};

static char *part_path(const struct bench *bench, int number)
{
    struct buffer name;
    buffer_init(&name);
    buffer_print(&name, "part-%d", number);
    char *path = bench_path(bench, buffer_string(&name));
    buffer_release(&name);
    return path;
}

static struct cost append_to_logs(const struct bench *bench, const struct append_case *one,
                                  struct buffer *batch)
{
    struct partition_log **logs = memory_allocate((size_t)one->files * sizeof(*logs));
    for (int i = 0; i < one->files; i++) {
        char *path = part_path(bench, i);
        struct partition_log_options options = {
            .files = file_system_posix(), .directory = path, .clean = true, .expect_none = true};
        bench_settings(&options.settings);
        int error = partition_log_open(&options, &logs[i]);
        bench_require(error == 0, error, "a log cannot be opened");
        free(path);
    }
    bench_warm_memory(bench, one->total_bytes + one->total_bytes / 4);
    struct cost cost = {bench_seconds(), bench_cpu_seconds()};
    int64_t batches = one->total_bytes / one->batch_bytes;
    for (int64_t i = 0; i < batches; i++) {
        bench_append_batch(logs[i % one->files], batch);
    }
    cost = (struct cost){bench_seconds() - cost.seconds, bench_cpu_seconds() - cost.cpu_seconds};
    for (int i = 0; i < one->files; i++) {
        char *path = part_path(bench, i);
        partition_log_free(logs[i]);
        int error = file_system_remove_tree(file_system_posix(), path);
        bench_require(error == 0, error, "a log cannot be removed");
        free(path);
    }
    free(logs);
    return cost;
}

static struct cost write_to_files(const struct bench *bench, const struct append_case *one,
                                  const struct buffer *batch)
{
    int *descriptors = memory_allocate((size_t)one->files * sizeof(*descriptors));
    int64_t *positions = memory_allocate_zeroed((size_t)one->files, sizeof(*positions));
    for (int i = 0; i < one->files; i++) {
        char *path = part_path(bench, i);
        descriptors[i] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        bench_require(descriptors[i] >= 0, 0, "a file cannot be made");
        free(path);
    }
    bench_warm_memory(bench, one->total_bytes + one->total_bytes / 4);
    struct cost cost = {bench_seconds(), bench_cpu_seconds()};
    int64_t batches = one->total_bytes / one->batch_bytes;
    for (int64_t i = 0; i < batches; i++) {
        int64_t number = i % one->files;
        ssize_t written = pwrite(descriptors[number], batch->data, batch->length, positions[number]);
        bench_require(written == (ssize_t)batch->length, 0, "a write failed");
        positions[number] += written;
    }
    cost = (struct cost){bench_seconds() - cost.seconds, bench_cpu_seconds() - cost.cpu_seconds};
    for (int i = 0; i < one->files; i++) {
        char *path = part_path(bench, i);
        close(descriptors[i]);
        unlink(path);
        free(path);
    }
    free(descriptors);
    free(positions);
    return cost;
}

static void measure(struct bench *bench, const struct append_case *one)
{
    double log_rates[BENCH_ROUNDS_MAX], bare_rates[BENCH_ROUNDS_MAX], ratios[BENCH_ROUNDS_MAX];
    double log_cpu[BENCH_ROUNDS_MAX], bare_cpu[BENCH_ROUNDS_MAX];
    struct buffer batch, fields;
    buffer_init(&batch);
    buffer_init(&fields);
    bench_make_batch(one->batch_bytes, &batch);
    double bytes = (double)(one->total_bytes / one->batch_bytes) * (double)batch.length;
    for (int round = -1; round < bench->rounds; round++) {
        struct cost log = append_to_logs(bench, one, &batch);
        struct cost bare = write_to_files(bench, one, &batch);
        if (round < 0)
            continue; /* the first pair makes all warm */
        log_rates[round] = bytes / log.seconds / 1e6;
        bare_rates[round] = bytes / bare.seconds / 1e6;
        ratios[round] = bare.seconds / log.seconds;
        log_cpu[round] = log.cpu_seconds / bytes * 1e9;
        bare_cpu[round] = bare.cpu_seconds / bytes * 1e9;
    }
    double log_rate = bench_median(log_rates, bench->rounds);
    double bare_rate = bench_median(bare_rates, bench->rounds);
    double ratio = bench_median(ratios, bench->rounds);
    double log_seconds = bench_median(log_cpu, bench->rounds);
    double bare_seconds = bench_median(bare_cpu, bench->rounds);
    buffer_print(&fields,
                 "\"batch_bytes\": %zu, \"partitions\": %d, \"mb_per_s\": %.1f, \"bare_mb_per_s\": %.1f, "
                 "\"ratio\": %.3f, \"ratio_min\": %.3f, \"ratio_max\": %.3f, \"cpu_s_per_gb\": %.3f, "
                 "\"bare_cpu_s_per_gb\": %.3f",
                 batch.length, one->files, log_rate, bare_rate, ratio, ratios[0], ratios[bench->rounds - 1],
                 log_seconds, bare_seconds);
    bench_row(bench, "append", buffer_string(&fields),
              "%5lld KiB into %4d: %6.0f MB/s, bare %6.0f; ratio %.2f (%.2f-%.2f); %.3f CPU s/GB, bare %.3f",
              (long long)(one->batch_bytes / KIB), one->files, log_rate, bare_rate, ratio, ratios[0],
              ratios[bench->rounds - 1], log_seconds, bare_seconds);
    buffer_release(&batch);
    buffer_release(&fields);
}

void bench_append(struct bench *bench)
{
    static const struct {
        int64_t batch_bytes;
        int64_t total_bytes;
    } sizes[] = {{KIB, 64 * MIB}, {16 * KIB, 256 * MIB}, {128 * KIB, 512 * MIB}, {MIB, 1000 * MIB}};
    static const int counts[] = {1, 100, 1000};
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        if (bench->only_batch_bytes && bench->only_batch_bytes != sizes[s].batch_bytes)
            continue;
        for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
            const struct append_case one = {
                sizes[s].batch_bytes, counts[c],
                max_i64(sizes[s].total_bytes / bench->scale, sizes[s].batch_bytes * 100)};
            measure(bench, &one);
        }
    }
}
