/* SPDX-License-Identifier: Apache-2.0 */
/* Random offsets looked up, and read from, in a log whose files the page cache holds. */
#include <stdlib.h>

#include "common/memory.h"
#include "common/prng.h"
#include "proto/kafka/error.h"
#include "tests/bench/log/bench.h"

#define LOG_BYTES (512 * MIB)
#define BATCH_BYTES (16 * KIB)
#define READ_BYTES (64 * KIB)
#define LOOKUPS 100000

static struct partition_log *filled_log(const struct bench *bench, const char *path)
{
    struct partition_log *log;
    struct partition_log_options options = {
        .files = file_system_posix(), .directory = path, .clean = true, .expect_none = true};
    bench_settings(&options.settings);
    options.settings.segment_bytes = 64 * MIB;
    int error = partition_log_open(&options, &log);
    bench_require(error == 0, error, "a log cannot be opened");
    struct buffer batch;
    buffer_init(&batch);
    bench_make_batch(BATCH_BYTES, &batch);
    for (int64_t at = 0; at < LOG_BYTES / bench->scale; at += BATCH_BYTES) {
        bench_append_batch(log, &batch);
    }
    buffer_release(&batch);
    return log;
}

/* Lookups a second; with_data: and the bytes read. */
static double measure(struct partition_log *log, struct prng *prng, int64_t count, bool with_data)
{
    uint8_t *bytes = memory_allocate(READ_BYTES + BATCH_BYTES);
    int64_t end = partition_log_end_offset(log);
    double begin = bench_seconds();
    for (int64_t i = 0; i < count; i++) {
        struct log_range range;
        int64_t offset = (int64_t)prng_below(prng, (uint64_t)end);
        int16_t error = partition_log_read(log, offset, READ_BYTES, end, true, &range);
        bench_require(error == KAFKA_NONE && range.length > 0, 0, "a read failed");
        if (with_data)
            bench_require(log_range_read(&range, bytes) == 0, 0, "bytes cannot be read");
        log_range_release(&range);
    }
    double seconds = bench_seconds() - begin;
    free(bytes);
    return (double)count / seconds;
}

void bench_read(struct bench *bench)
{
    struct prng prng;
    struct buffer fields;
    double lookups[BENCH_ROUNDS_MAX], reads[BENCH_ROUNDS_MAX];
    char *path = bench_path(bench, "read-0");
    struct partition_log *log = filled_log(bench, path);
    prng_init(&prng, 1);
    int64_t count = LOOKUPS / bench->scale;
    measure(log, &prng, count / 10, true);
    for (int i = 0; i < bench->rounds; i++) {
        lookups[i] = measure(log, &prng, count, false);
        reads[i] = measure(log, &prng, count, true);
    }
    double lookup_rate = bench_median(lookups, bench->rounds);
    double read_rate = bench_median(reads, bench->rounds);
    buffer_init(&fields);
    buffer_print(&fields, "\"lookups_per_s\": %.0f, \"reads_of_64_kib_per_s\": %.0f", lookup_rate, read_rate);
    bench_row(bench, "read", buffer_string(&fields), "random offsets: %.0f lookups/s, %.0f reads of 64 KiB/s",
              lookup_rate, read_rate);
    buffer_release(&fields);
    partition_log_free(log);
    int error = file_system_remove_tree(file_system_posix(), path);
    bench_require(error == 0, error, "the log cannot be removed");
    free(path);
}
