/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery after a crash, with one thread and with several, beside the two things that bound it: reading the
 * same files, and CRC-32C. Nothing of the files is in the page cache before each turn.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/memory.h"
#include "tests/bench/log/bench.h"
#include "tests/bench/log/counting_files.h"

#define PARTITIONS 8
#define PARTITION_BYTES (160 * MIB)
#define BATCH_BYTES (16 * KIB)
#define READ_BYTES (256 * KIB)
#define THREADS 4
#define CRC_BYTES (256 * MIB)

/* Calls visit for every segment below the directory. */
static void each_segment(const char *path, void (*visit)(void *context, const char *path), void *context);

struct walk {
    const char *path;
    void (*visit)(void *context, const char *path);
    void *context;
};

static int walk_name(void *context, const char *name, bool is_directory)
{
    const struct walk *walk = context;
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/%s", walk->path, name);
    size_t length = strlen(name);
    if (is_directory)
        each_segment(buffer_string(&path), walk->visit, walk->context);
    else if (length > 4 && strcmp(name + length - 4, ".log") == 0)
        walk->visit(walk->context, buffer_string(&path));
    buffer_release(&path);
    return 0;
}

static void each_segment(const char *path, void (*visit)(void *context, const char *path), void *context)
{
    struct walk walk = {path, visit, context};
    int error = file_system_list(file_system_posix(), path, walk_name, &walk);
    bench_require(error == 0, error, "a folder cannot be listed");
}

static void forget_segment(void *context, const char *path)
{
    (void)context;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bench_require(descriptor >= 0 && fdatasync(descriptor) == 0, 0, "a segment cannot be synced");
    posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    close(descriptor);
}

static void read_segment(void *context, const char *path)
{
    uint8_t *chunk = context;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    bench_require(descriptor >= 0, 0, "a segment cannot be opened");
    ssize_t got;
    int64_t at = 0;
    while ((got = pread(descriptor, chunk, READ_BYTES, at)) > 0)
        at += got;
    close(descriptor);
}

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

/* Fills the partitions and lets go of them as a crash does. The bytes. */
static int64_t fill(const struct bench *bench, const struct log_manager_options *options)
{
    struct log_manager *manager = open_manager(options);
    struct buffer batch;
    int64_t bytes = 0;
    buffer_init(&batch);
    bench_make_batch(BATCH_BYTES, &batch);
    for (int i = 0; i < PARTITIONS; i++) {
        struct partition_log *log;
        int error = log_manager_obtain(manager, slice_of("crashed"), i, true, &options->defaults, &log);
        bench_require(error == 0, error, "a partition cannot be made");
        for (int64_t at = 0; at < PARTITION_BYTES / bench->scale; at += BATCH_BYTES) {
            bench_append_batch(log, &batch);
            bytes += (int64_t)batch.length;
        }
    }
    buffer_release(&batch);
    log_manager_free(manager);
    return bytes;
}

/* MB/s of one recovery. */
static double recover(const char *path, int threads, int64_t bytes)
{
    const char *const paths[] = {path};
    struct counting_files counting;
    counting_files_init(&counting);
    struct log_manager_options options = bench_manager_options(&counting.system, paths);
    options.recovery_threads = threads;
    each_segment(path, forget_segment, NULL);
    double begin = bench_seconds();
    struct log_manager *manager = open_manager(&options);
    double seconds = bench_seconds() - begin;
    bench_require(counting.bytes_read >= bytes, 0, "not all was recovered");
    log_manager_free(manager);
    return (double)bytes / seconds / 1e6;
}

static double read_all(const char *path, uint8_t *chunk, int64_t bytes)
{
    each_segment(path, forget_segment, NULL);
    double begin = bench_seconds();
    each_segment(path, read_segment, chunk);
    return (double)bytes / (bench_seconds() - begin) / 1e6;
}

static double crc_rate(const uint8_t *chunk)
{
    volatile uint32_t sum = 0;
    double begin = bench_seconds();
    for (int64_t at = 0; at < CRC_BYTES; at += BATCH_BYTES)
        sum = crc32c(sum, chunk + at % READ_BYTES, BATCH_BYTES);
    return (double)CRC_BYTES / (bench_seconds() - begin) / 1e6;
}

void bench_recovery(struct bench *bench)
{
    double one[BENCH_ROUNDS_MAX], several[BENCH_ROUNDS_MAX], disk[BENCH_ROUNDS_MAX], crc[BENCH_ROUNDS_MAX];
    char *path = bench_path(bench, "crashed");
    const char *const paths[] = {path};
    uint8_t *chunk = memory_allocate_zeroed(1, READ_BYTES);
    struct log_manager_options options = bench_manager_options(file_system_posix(), paths);
    options.defaults.segment_bytes = 64 * MIB;
    int64_t bytes = fill(bench, &options);
    for (int i = 0; i < bench->rounds; i++) {
        disk[i] = read_all(path, chunk, bytes);
        one[i] = recover(path, 1, bytes);
        crc[i] = crc_rate(chunk);
        several[i] = recover(path, THREADS, bytes);
    }
    double one_rate = bench_median(one, bench->rounds), several_rate = bench_median(several, bench->rounds);
    double disk_rate = bench_median(disk, bench->rounds), crc_speed = bench_median(crc, bench->rounds);
    double bound = disk_rate < crc_speed ? disk_rate : crc_speed;
    struct buffer fields;
    buffer_init(&fields);
    buffer_print(
        &fields,
        "\"bytes\": %lld, \"mb_per_s\": %.0f, \"threads\": %d, \"mb_per_s_threads\": %.0f, "
        "\"disk_mb_per_s\": %.0f, \"crc32c_mb_per_s\": %.0f, \"ratio\": %.3f, \"ratio_threads\": %.3f",
        (long long)bytes, one_rate, THREADS, several_rate, disk_rate, crc_speed, one_rate / bound,
        several_rate / bound);
    bench_row(bench, "recovery", buffer_string(&fields),
              "%.0f MB/s with 1 thread, %.0f with %d; disk %.0f, CRC-32C %.0f; ratio %.2f and %.2f", one_rate,
              several_rate, THREADS, disk_rate, crc_speed, one_rate / bound, several_rate / bound);
    buffer_release(&fields);
    free(chunk);
    int error = file_system_remove_tree(file_system_posix(), path);
    bench_require(error == 0, error, "the partitions cannot be removed");
    free(path);
}
