/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, medians, prepared batches, and the rows of the report. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "tests/bench/log/bench.h"

#define CHUNK_BYTES (1 << 20)
#define RECORD_BYTES 1000
#define TIMESTAMP 1700000000000

void bench_require(bool condition, int error, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "bench_log: %s%s%s\n", what, error ? ": " : "", error ? strerror(-error) : "");
    exit(1);
}

static double read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double bench_seconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double bench_cpu_seconds(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

double bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

char *bench_path(const struct bench *bench, const char *name)
{
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/%s", bench->directory, name);
    char *copy = memory_copy_string(buffer_string(&path));
    buffer_release(&path);
    return copy;
}

void bench_warm_memory(const struct bench *bench, int64_t bytes)
{
    char *path = bench_path(bench, "holes");
    uint8_t *chunk = memory_allocate(CHUNK_BYTES);
    int descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bench_require(descriptor >= 0 && ftruncate(descriptor, bytes) == 0, 0, "no file with holes can be made");
    for (int64_t at = 0; at < bytes; at += CHUNK_BYTES)
        bench_require(pread(descriptor, chunk, CHUNK_BYTES, at) >= 0, 0, "the file with holes is unreadable");
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    close(descriptor);
    unlink(path);
    free(chunk);
    free(path);
}

void bench_make_batch(int64_t bytes, struct buffer *out)
{
    const struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    uint8_t *value = memory_allocate((size_t)bytes);
    memset(value, 'v', (size_t)bytes);
    record_batch_builder_init(&builder, &parameters);
    size_t size = record_batch_builder_size_bytes(&builder);
    while (size + 2 * RECORD_BYTES < (size_t)bytes) {
        record_batch_builder_append(&builder, TIMESTAMP, (struct slice){0}, slice_make(value, RECORD_BYTES),
                                    NULL, 0);
        size = record_batch_builder_size_bytes(&builder);
    }
    /* The last one fills up: its two lengths take two bytes each here, and there are four more fields. */
    size_t rest = (size_t)bytes - size - 16;
    for (;; rest++) {
        struct record_batch_builder last;
        record_batch_builder_init(&last, &parameters);
        buffer_append(&last.records, builder.records.data, builder.records.length);
        last.record_count = builder.record_count;
        last.last_offset_delta = builder.last_offset_delta;
        last.base_timestamp = builder.base_timestamp;
        last.max_timestamp = builder.max_timestamp;
        record_batch_builder_append(&last, TIMESTAMP, (struct slice){0}, slice_make(value, rest), NULL, 0);
        bool fits = record_batch_builder_size_bytes(&last) >= (size_t)bytes;
        int error = fits ? record_batch_builder_finish(&last, CODEC_NONE, CODEC_DEFAULT_LEVEL, out) : 0;
        bench_require(error == 0, error, "no batch can be made");
        record_batch_builder_release(&last);
        if (fits)
            break;
    }
    record_batch_builder_release(&builder);
    free(value);
}

void bench_append_batch(struct partition_log *log, struct buffer *batch)
{
    struct log_append_result result;
    record_batch_set_base_offset(batch->data, 0); /* the last append has left its own there */
    int16_t error = partition_log_append_as_leader(log, batch->data, batch->length, 9, 0, TIMESTAMP, &result);
    bench_require(error == KAFKA_NONE, 0, result.error_message ? result.error_message : "an append failed");
}

void bench_settings(struct log_settings *settings)
{
    log_settings_init(settings);
    settings->max_message_bytes = 8 * MIB;
    settings->flush_messages = INT64_MAX;
    settings->timestamp_before_max_ms = INT64_MAX;
    settings->timestamp_after_max_ms = INT64_MAX;
}

struct log_manager_options bench_manager_options(struct file_system *files, const char *const *path)
{
    struct log_manager_options options = {
        .files = files,
        .directories = path,
        .directories_count = 1,
        .broker_id = 1,
        .cluster_id = "u4zkQmXqRl2wJ0Jq9fB1Zg",
        .recovery_threads = 1,
    };
    bench_settings(&options.defaults);
    return options;
}

void bench_row(struct bench *bench, const char *name, const char *fields, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%-10s", name);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
    va_end(arguments);
    if (!bench->json)
        return;
    fprintf(bench->json, "%s  {\"measurement\": \"%s\", %s}", bench->first_row ? "" : ",\n", name, fields);
    bench->first_row = false;
}
