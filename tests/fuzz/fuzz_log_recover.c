/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition's folder with strange bytes in it is opened as a log. Whatever stands there, opening gives an
 * error or a log whose reads are what a walk over the segment files finds, offsets rising; after a recovery
 * every batch is sound, and opening again changes nothing (invariants I7, I11).
 *
 * Input: one byte of flags, one that seeds a small log, then edits of its files: file, operation, place,
 * value.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/partition_log.h"
#include "common/bytes.h"
#include "common/check.h"
#include "common/prng.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "proto/records/builder.h"
#include "tests/fuzz/driver.h"
#include "tests/support/memory_files.h"

#define DIRECTORY "/t-0"
#define BATCHES 12
#define EDIT_BYTES 5
#define FILES_MAX 48
#define TRANSACTIONAL_ID 6

struct world {
    struct memory_files *disk;
    struct file_system *files;
    struct partition_log_options options;
    char *names[FILES_MAX];
    size_t names_count;
};

/* Data of a transaction, or with `control` the marker that aborts it. */
static void append_transactional(struct partition_log *log, int32_t leader_epoch, bool control)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    parameters.base_offset = partition_log_end_offset(log);
    parameters.leader_epoch = leader_epoch;
    parameters.producer_id = TRANSACTIONAL_ID;
    parameters.producer_epoch = 0;
    parameters.base_sequence = control ? RECORD_NO_SEQUENCE : 0;
    parameters.transactional = true;
    parameters.control = control;
    static const uint8_t key[4], value[6];
    struct record_batch_builder builder;
    struct buffer bytes;
    buffer_init(&bytes);
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, 1000, slice_make(key, sizeof(key)),
                                slice_make(value, sizeof(value)), NULL, 0);
    int built = record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &bytes);
    CHECK(built == 0);
    int16_t error = partition_log_append_as_follower(log, bytes.data, bytes.length, 2000, NULL);
    CHECK(error == KAFKA_NONE);
    record_batch_builder_release(&builder);
    buffer_release(&bytes);
}

static void append_some(struct partition_log *log, struct prng *prng)
{
    static const uint8_t value[80];
    struct buffer bytes;
    buffer_init(&bytes);
    for (int i = 0; i < BATCHES; i++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        parameters.producer_id = i % 3 == 0 ? 5 : RECORD_NO_PRODUCER_ID;
        parameters.producer_epoch = i % 3 == 0 ? 0 : RECORD_NO_PRODUCER_EPOCH;
        parameters.base_sequence = i % 3 == 0 ? i / 3 : RECORD_NO_SEQUENCE;
        struct record_batch_builder builder;
        record_batch_builder_init(&builder, &parameters);
        record_batch_builder_append(&builder, 1000 + i, slice_of("k"),
                                    slice_make(value, (size_t)prng_below(prng, sizeof(value))), NULL, 0);
        buffer_clear(&bytes);
        int built = record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &bytes);
        CHECK(built == 0);
        record_batch_builder_release(&builder);
        struct log_append_result result;
        int16_t error =
            partition_log_append_as_leader(log, bytes.data, bytes.length, 9, i / 5, 2000, &result);
        CHECK(error == KAFKA_NONE);
        if (i % 2)
            append_transactional(log, i / 5, i % 4 == 3);
    }
    buffer_release(&bytes);
}

static int add_name(void *context, const char *name, bool is_directory)
{
    struct world *world = context;
    CHECK(!is_directory && world->names_count < FILES_MAX);
    world->names[world->names_count] = malloc(strlen(name) + sizeof(DIRECTORY) + 1);
    CHECK(world->names[world->names_count] != NULL);
    memcpy(world->names[world->names_count], DIRECTORY "/", sizeof(DIRECTORY));
    memcpy(world->names[world->names_count] + sizeof(DIRECTORY), name, strlen(name) + 1);
    world->names_count++;
    return 0;
}

static void make_world(struct world *world, uint8_t seed)
{
    *world = (struct world){.disk = memory_files_new(seed)};
    world->files = memory_files_system(world->disk);
    world->options =
        (struct partition_log_options){.files = world->files, .directory = DIRECTORY, .clean = true};
    log_settings_init(&world->options.settings);
    world->options.settings.segment_bytes = 500;
    world->options.settings.index_interval_bytes = 60;
    struct partition_log *log;
    struct prng prng;
    prng_init(&prng, seed);
    int error = partition_log_open(&world->options, &log);
    CHECK(error == 0);
    append_some(log, &prng);
    if (seed % 2) {
        error = partition_log_close(log);
        CHECK(error == 0);
    }
    partition_log_free(log);
    error = file_system_list(world->files, DIRECTORY, add_name, world);
    CHECK(error == 0);
}

static void free_world(struct world *world)
{
    for (size_t i = 0; i < world->names_count; i++)
        free(world->names[i]);
    memory_files_free(world->disk);
}

static void edit(struct world *world, const uint8_t *data)
{
    const char *name = world->names[data[0] % world->names_count];
    struct file *file;
    int64_t size, place = load_u16(data + 2);
    int error = file_open(world->files, name, FILE_CREATE, &file);
    if (error == 0)
        error = file_size(world->files, file, &size);
    CHECK(error == 0);
    place = size > 0 ? place % (size + 1) : 0;
    uint8_t bytes[8] = {0};
    bytes[7] = data[4];
    struct iovec part = {data[1] & 8 ? bytes : bytes + 7, data[1] & 8 ? 8 : 1};
    switch (data[1] % 4) {
    case 0:
    case 1:
        error = file_write_all(world->files, file, &part, 1, place);
        break;
    case 2:
        error = file_truncate(world->files, file, place);
        break;
    default:
        error = file_write_all(world->files, file, &part, 1, size);
        break;
    }
    CHECK(error == 0);
    file_close(world->files, file);
}

/* Reads at one offset: the batch must hold it or come behind it, and be sound where `checked`. */
static int64_t check_read(struct partition_log *log, int64_t offset, bool checked)
{
    struct log_range range;
    int64_t end = partition_log_end_offset(log);
    int16_t error = partition_log_read(log, offset, 1, end, true, &range);
    if (error != KAFKA_NONE) {
        CHECK((error == KAFKA_KAFKA_STORAGE_ERROR || error == KAFKA_CORRUPT_MESSAGE) && !checked);
        return end;
    }
    CHECK(range.length > 0 || !checked);
    int64_t next = end;
    if (range.length > 0) {
        uint8_t *bytes = malloc((size_t)range.length);
        CHECK(bytes != NULL);
        int read_error = log_range_read(&range, bytes);
        CHECK(read_error == 0);
        struct record_batch batch;
        if (record_batch_parse(slice_make(bytes, (size_t)range.length), &batch) == 0) {
            CHECK(batch.size_bytes == (size_t)range.length);
            CHECK(record_batch_last_offset(&batch) >= offset);
            CHECK(!checked || record_batch_check_crc(&batch));
            next = record_batch_last_offset(&batch) + 1;
        } else {
            CHECK(!checked || bytes[16] < 2); /* an old format, as its magic says */
            next = offset + 1;
        }
        free(bytes);
    }
    log_range_release(&range);
    return next;
}

static void check_aborted(void *context, const struct aborted_transaction *entry)
{
    int64_t *last = context;
    CHECK(entry->first_offset >= 0 && entry->first_offset < entry->last_offset && entry->last_offset > *last);
    *last = entry->last_offset;
}

static void check_log(struct partition_log *log, bool checked)
{
    int64_t at = partition_log_start_offset(log);
    int64_t end = partition_log_end_offset(log);
    CHECK(at <= end && partition_log_recovery_point(log) <= end);
    for (int reads = 0; at < end && reads < 100; reads++)
        at = check_read(log, at, checked);
    int64_t stable = partition_log_last_stable_offset(log, end), last = -1;
    CHECK(stable >= partition_log_start_offset(log) && stable <= end);
    int16_t collected =
        partition_log_collect_aborted(log, partition_log_start_offset(log), end, check_aborted, &last);
    CHECK(collected == KAFKA_NONE && last < end);
    struct log_timestamp_offset found;
    for (int64_t timestamp = 999; timestamp < 1014; timestamp += 5) {
        int16_t error = partition_log_find_timestamp(log, timestamp, end, &found);
        CHECK(error == KAFKA_NONE || !checked);
        CHECK(error != KAFKA_NONE || found.offset < 0 || found.timestamp >= timestamp);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct world world;
    make_world(&world, data[1]);
    size_t edits = 0;
    for (size_t at = 2; at + EDIT_BYTES <= size && edits < 8; at += EDIT_BYTES, edits++)
        edit(&world, data + at);
    bool clean = data[0] & 1;
    world.options.clean = clean;
    struct partition_log *log;
    for (int round = 0; round < 2; round++) {
        int error = partition_log_open(&world.options, &log);
        if (error)
            break;
        /* What was recovered from its beginning is sound all through. */
        check_log(log, !clean);
        partition_log_free(log);
    }
    free_world(&world);
    return 0;
}
