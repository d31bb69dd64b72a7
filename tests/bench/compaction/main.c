/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of one large log: fills it (1 GiB with 1 million keys unless told otherwise), cleans it while a
 * reader runs through it again and again, and looks whether the last value of each key is at its old offset.
 *
 *     bench_compaction <empty folder> [MiB [keys [MiB of dedupe buffer]]]
 *
 * Each phase is a process of its own, so that the peak of memory is that of the cleaning: the map, the
 * buffers, the log, and the reader with its buffer. Ends with 1 where something is not as it must be.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/log/log_cleaner.h"
#include "broker/log/partition_log.h"
#include "broker/log/partition_log_clean.h"
#include "common/bytes.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/prng.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "proto/records/record.h"

#define MIB ((int64_t)1024 * 1024)
#define VALUE_BYTES 80
#define BATCH_RECORDS 150
#define SEGMENT_BYTES (128 * MIB)
#define READ_BYTES MIB
#define SLACK_BYTES (16 * MIB) /* over the dedupe buffer */
#define EIGHT_DAYS_MS ((int64_t)8 * 24 * 3600 * 1000)

struct bench {
    const char *folder;
    int64_t bytes;
    int64_t keys;
    int64_t dedupe_bytes;
    int64_t *newest; /* by key: offset of its newest record, -1: none; shared by the phases */
    struct partition_log *log;
    pthread_mutex_t mutex; /* guards the log */
    atomic_bool done;
    int64_t rounds;
    bool reader_failed;
};

static void fail(const char *what, int64_t number)
{
    fprintf(stderr, "bench_compaction: %s (%" PRId64 ")\n", what, number);
    exit(1);
}

static void open_log(struct bench *bench)
{
    char directory[4096];
    snprintf(directory, sizeof(directory), "%s/table-0", bench->folder);
    struct partition_log_options options = {.files = file_system_posix(),
                                            .directory = directory,
                                            .clean = true,
                                            .recovery_point = LOG_RECOVERY_POINT_UNKNOWN,
                                            .now_ms = clock_wall_ms(),
                                            .seed = 1};
    log_settings_init(&options.settings);
    options.settings.compacted = true;
    options.settings.segment_bytes = SEGMENT_BYTES;
    int error = partition_log_open(&options, &bench->log);
    if (error)
        fail("the log cannot be opened", error);
}

static void close_log(struct bench *bench)
{
    int error = partition_log_close(bench->log);
    if (error)
        fail("the log cannot be closed", error);
    partition_log_free(bench->log);
}

/* ---- filling ---- */

static void append_batch(struct bench *bench, struct prng *prng, struct record_batch_builder *builder,
                         struct buffer *bytes, int64_t timestamp)
{
    const struct record_batch_parameters parameters = record_batch_parameters_plain();
    int64_t offset = partition_log_end_offset(bench->log);
    uint8_t value[VALUE_BYTES] = {0};
    buffer_clear(bytes);
    record_batch_builder_clear(builder, &parameters);
    for (int i = 0; i < BATCH_RECORDS; i++) {
        uint64_t key = prng_below(prng, (uint64_t)bench->keys);
        bench->newest[key] = offset + i;
        store_u64(value, (uint64_t)(offset + i));
        record_batch_builder_append(builder, timestamp, slice_make(&key, sizeof(key)),
                                    slice_make(value, sizeof(value)), NULL, 0);
    }
    struct log_append_result result;
    int error = record_batch_builder_finish(builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, bytes);
    if (!error)
        error =
            partition_log_append_as_leader(bench->log, bytes->data, bytes->length, 9, 0, timestamp, &result);
    if (error || result.base_offset != offset)
        fail("a batch cannot be appended", error);
}

static void fill(struct bench *bench)
{
    struct prng prng;
    struct record_batch_builder builder;
    struct buffer bytes;
    const struct record_batch_parameters parameters = record_batch_parameters_plain();
    prng_init(&prng, 7);
    record_batch_builder_init(&builder, &parameters);
    buffer_init(&bytes);
    open_log(bench);
    int64_t begun_us = clock_monotonic_us(), now_ms = clock_wall_ms();
    while (partition_log_size_bytes(bench->log) < bench->bytes)
        append_batch(bench, &prng, &builder, &bytes, now_ms);
    append_batch(bench, &prng, &builder, &bytes, now_ms + EIGHT_DAYS_MS); /* rolls */
    double seconds = (double)(clock_monotonic_us() - begun_us) / 1e6;
    printf("filled      %" PRId64 " MiB, %" PRId64 " records, %.1f s, %.0f MB/s\n",
           partition_log_size_bytes(bench->log) / MIB, partition_log_end_offset(bench->log), seconds,
           (double)partition_log_size_bytes(bench->log) / 1e6 / seconds);
    close_log(bench);
    record_batch_builder_release(&builder);
    buffer_release(&bytes);
}

/* ---- reading ---- */

typedef void see_record(struct bench *bench, const struct record *record);

/* Calls `see` (may be NULL) for all records from `offset` on. Where the piece ends, or -1: something is
 * wrong. */
static int64_t read_piece(struct bench *bench, int64_t offset, struct buffer *bytes, see_record *see)
{
    struct log_range range;
    pthread_mutex_lock(&bench->mutex);
    int16_t error = partition_log_read(bench->log, offset, READ_BYTES, INT64_MAX, true, &range);
    pthread_mutex_unlock(&bench->mutex);
    buffer_clear(bytes);
    if (error != KAFKA_NONE || log_range_read(&range, buffer_extend(bytes, (size_t)range.length)) != 0)
        return -1;
    bool empty = range.length == 0;
    pthread_mutex_lock(&bench->mutex);
    log_range_release(&range);
    pthread_mutex_unlock(&bench->mutex);
    if (empty)
        return partition_log_end_offset(bench->log);
    struct record_batch batch;
    for (size_t at = 0; at < bytes->length &&
                        record_batch_parse(slice_make(bytes->data + at, bytes->length - at), &batch) == 0;
         at += batch.size_bytes) {
        struct record_iterator iterator;
        struct record record;
        if (!record_batch_check_crc(&batch) || record_batch_last_offset(&batch) < offset)
            return -1;
        int64_t next = record_batch_last_offset(&batch) + 1;
        record_iterator_init(&iterator, &batch, batch.records);
        for (int64_t last = -1; record_iterator_next(&iterator, &record) > 0; last = record.offset) {
            if (record.offset <= last || load_u64(record.value.data) != (uint64_t)record.offset)
                return -1;
            if (see)
                see(bench, &record);
        }
        offset = next;
    }
    return offset;
}

static void *run_reader(void *context)
{
    struct bench *bench = context;
    struct buffer bytes;
    buffer_init(&bytes);
    int64_t offset = 0;
    while (!atomic_load(&bench->done) && !bench->reader_failed) {
        int64_t next = read_piece(bench, offset, &bytes, NULL);
        bench->reader_failed = next <= offset;
        offset = next;
        if (offset >= partition_log_end_offset(bench->log)) {
            offset = 0;
            bench->rounds++;
        }
    }
    buffer_release(&bytes);
    return NULL;
}

/* ---- cleaning ---- */

static struct partition_log *enter(void *context, int64_t *high_watermark)
{
    struct bench *bench = context;
    pthread_mutex_lock(&bench->mutex);
    *high_watermark = partition_log_end_offset(bench->log);
    return bench->log;
}

static void leave(void *context)
{
    struct bench *bench = context;
    pthread_mutex_unlock(&bench->mutex);
}

static int64_t wall_ms(void *context)
{
    (void)context;
    return clock_wall_ms();
}

static int64_t monotonic_us(void *context)
{
    (void)context;
    return clock_monotonic_us();
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static void clean(struct bench *bench)
{
    open_log(bench);
    const struct log_cleaner_options options = {
        .threads = 1,
        .dedupe_buffer_bytes = bench->dedupe_bytes,
        .io_buffer_bytes = 524288,
        .load_factor = 0.9,
        .hash_key = {random_u64(), random_u64()},
        .time = {.wall_ms = wall_ms, .monotonic_us = monotonic_us, .stopped = never},
    };
    const struct log_cleaner_access access = {bench, enter, leave};
    struct log_cleaner *cleaner = log_cleaner_new(&options);
    struct log_cleaner_round round;
    pthread_t reader;
    if (pthread_create(&reader, NULL, run_reader, bench) != 0)
        fail("no thread", errno);
    int64_t before = partition_log_size_bytes(bench->log), begun_us = clock_monotonic_us();
    for (bool more = true; more;) { /* as many passes as the map asks for */
        log_cleaner_begin(cleaner, &round);
        bool due = log_cleaner_offer(cleaner, &round, slice_of("table"), 0, &access);
        more = due && log_cleaner_take(cleaner, &round) && log_cleaner_clean(cleaner, &round, &access);
        log_cleaner_end(cleaner, &round);
    }
    double seconds = (double)(clock_monotonic_us() - begun_us) / 1e6;
    atomic_store(&bench->done, true);
    pthread_join(reader, NULL);
    struct log_cleaner_statistics statistics;
    log_cleaner_statistics(cleaner, &statistics);
    log_cleaner_free(cleaner);
    printf("cleaned     %" PRId64 " MiB to %" PRId64 " MiB in %" PRId64 " passes, %.1f s: %.0f MB/s of log, "
           "%.0f MB/s read and written\n",
           before / MIB, partition_log_size_bytes(bench->log) / MIB, statistics.cleanings, seconds,
           (double)before / 1e6 / seconds,
           (double)(statistics.map_bytes + statistics.read_bytes + statistics.written_bytes) / 1e6 / seconds);
    printf("reader      %" PRId64 " times through all of it meanwhile, offsets only rose\n", bench->rounds);
    if (bench->reader_failed)
        fail("a reader saw what it should not", bench->rounds);
    if (statistics.cleanings == 0 || statistics.uncleanable > 0)
        fail("the log was not cleaned", statistics.uncleanable);
    close_log(bench);
}

/* ---- verifying ---- */

static void take_off(struct bench *bench, const struct record *record)
{
    uint64_t key;
    memcpy(&key, record->key.data, sizeof(key));
    if (bench->newest[key] == record->offset)
        bench->newest[key] = -2; /* met */
    else if (record->offset < partition_log_first_dirty_offset(bench->log))
        fail("an old record is still there", record->offset);
}

static void verify(struct bench *bench)
{
    struct buffer bytes;
    buffer_init(&bytes);
    open_log(bench);
    int64_t offset = 0;
    while (offset < partition_log_end_offset(bench->log)) {
        offset = read_piece(bench, offset, &bytes, take_off);
        if (offset < 0)
            fail("damaged after cleaning", offset);
    }
    int64_t met = 0;
    for (int64_t key = 0; key < bench->keys; key++) {
        if (bench->newest[key] >= 0)
            fail("the last value of a key is missing", key);
        met += bench->newest[key] == -2;
    }
    printf("verified    the last value of %" PRId64 " keys at its old offset\n", met);
    close_log(bench);
    buffer_release(&bytes);
}

/* ---- phases ---- */

/* Runs a phase in a process of its own; its peak of memory in bytes. */
static int64_t run_phase(struct bench *bench, void (*phase)(struct bench *bench))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        phase(bench);
        fflush(stdout);
        _exit(0);
    }
    int status;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        exit(1);
    return (int64_t)usage.ru_maxrss * 1024;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 5) {
        fprintf(stderr, "usage: bench_compaction <empty folder> [MiB [keys [MiB of dedupe buffer]]]\n");
        return 2;
    }
    struct bench bench = {
        .folder = argv[1],
        .bytes = (argc > 2 ? strtoll(argv[2], NULL, 10) : 1024) * MIB,
        .keys = argc > 3 ? strtoll(argv[3], NULL, 10) : 1000000,
        .dedupe_bytes = (argc > 4 ? strtoll(argv[4], NULL, 10) : 128) * MIB,
    };
    if (bench.bytes <= 0 || bench.keys <= 0 || bench.dedupe_bytes <= 0)
        fail("numbers must be above 0", 0);
    pthread_mutex_init(&bench.mutex, NULL);
    atomic_init(&bench.done, false);
    size_t newest_bytes = (size_t)bench.keys * sizeof(int64_t);
    bench.newest = mmap(NULL, newest_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (bench.newest == MAP_FAILED)
        fail("no memory", errno);
    memset(bench.newest, 0xff, newest_bytes); /* -1 */
    run_phase(&bench, fill);
    int64_t peak = run_phase(&bench, clean);
    printf("memory      peak %.1f MiB, the dedupe buffer is %" PRId64 " MiB\n", (double)peak / (double)MIB,
           bench.dedupe_bytes / MIB);
    run_phase(&bench, verify);
    if (peak > bench.dedupe_bytes + SLACK_BYTES)
        fail("more memory than the dedupe buffer and 16 MiB", peak);
    return 0;
}
