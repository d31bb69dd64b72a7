/* SPDX-License-Identifier: Apache-2.0 */
/* Batches, a log, and what it must hold. */
#include "tests/unit/log/log_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/epoch_cache.h"
#include "broker/log/partition_log_private.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"

#define PRODUCE_VERSION 9

struct batch_plan batch_plan_plain(int record_count, int64_t timestamp)
{
    return (struct batch_plan){.record_count = record_count,
                               .value_bytes = 100,
                               .timestamp = timestamp,
                               .producer_id = -1,
                               .producer_epoch = -1,
                               .base_sequence = -1};
}

void make_batch(struct prng *prng, const struct batch_plan *plan, struct buffer *out)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    parameters.producer_id = plan->producer_id;
    parameters.producer_epoch = plan->producer_epoch;
    parameters.base_sequence = plan->base_sequence;
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    uint8_t *value = memory_allocate(plan->value_bytes + 1);
    for (int i = 0; i < plan->record_count; i++) {
        size_t length = (size_t)prng_below(prng, plan->value_bytes + 1);
        for (size_t j = 0; j < length; j++)
            value[j] = (uint8_t)prng_next(prng);
        int64_t timestamp = plan->timestamp;
        if (plan->timestamp_spread > 0)
            timestamp += prng_between(prng, -plan->timestamp_spread, plan->timestamp_spread);
        record_batch_builder_append(&builder, timestamp, slice_of("key"), slice_make(value, length), NULL, 0);
    }
    free(value);
    assert_int_equal(record_batch_builder_finish(&builder, (enum codec)plan->codec, CODEC_DEFAULT_LEVEL, out),
                     0);
    record_batch_builder_release(&builder);
}

static int keep_checkpoints(void *context, const struct log_checkpoint_bounds *bounds)
{
    struct log_fixture *fixture = context;
    fixture->checkpointed_recovery_point =
        max_i64(bounds->recovery_point_min,
                min_i64(fixture->checkpointed_recovery_point, bounds->recovery_point_max));
    fixture->options.log_start_offset =
        max_i64(bounds->log_start_offset_min,
                min_i64(fixture->options.log_start_offset, bounds->log_start_offset_max));
    return 0;
}

void log_fixture_init(struct log_fixture *fixture, uint64_t seed)
{
    *fixture = (struct log_fixture){0};
    prng_init(&fixture->prng, seed);
    fixture->disk = memory_files_new(prng_next(&fixture->prng));
    fixture->now_ms = 1700000000000;
    struct file_system *files = memory_files_system(fixture->disk);
    assert_int_equal(file_system_make_directory(files, "/data"), 0);
    assert_int_equal(file_system_sync_directory(files, "/"), 0);
    fixture->options = (struct partition_log_options){.files = files,
                                                      .directory = FIXTURE_DIRECTORY,
                                                      .seed = seed,
                                                      .keep_checkpoints = keep_checkpoints,
                                                      .keep_checkpoints_context = fixture};
    log_settings_init(&fixture->options.settings);
    fixture->options.settings.segment_bytes = 4000;
    fixture->options.settings.index_interval_bytes = 300;
}

static void model_clear(struct log_fixture *fixture, size_t keep)
{
    while (fixture->batches_count > keep)
        buffer_release(&fixture->batches[--fixture->batches_count].bytes);
}

void log_fixture_release(struct log_fixture *fixture)
{
    log_fixture_drop(fixture);
    model_clear(fixture, 0);
    buffer_release(&fixture->in_flight);
    free(fixture->batches);
    memory_files_free(fixture->disk);
}

int log_fixture_open(struct log_fixture *fixture, bool clean)
{
    fixture->options.clean = clean;
    fixture->options.now_ms = fixture->now_ms;
    fixture->options.recovery_point = fixture->checkpointed_recovery_point;
    return partition_log_open(&fixture->options, &fixture->log);
}

void log_fixture_stop(struct log_fixture *fixture)
{
    assert_int_equal(partition_log_close(fixture->log), 0);
    fixture->checkpointed_recovery_point = partition_log_recovery_point(fixture->log);
    log_fixture_drop(fixture);
}

void log_fixture_drop(struct log_fixture *fixture)
{
    partition_log_free(fixture->log);
    fixture->log = NULL;
}

void log_fixture_crash(struct log_fixture *fixture, enum memory_files_crash crash)
{
    log_fixture_drop(fixture);
    memory_files_crash(fixture->disk, crash);
    assert_int_equal(log_fixture_open(fixture, false), 0);
}

static void model_add(struct log_fixture *fixture, const struct buffer *bytes, int64_t producer_id)
{
    fixture->batches = memory_grow(fixture->batches, fixture->batches_count, &fixture->batches_capacity,
                                   sizeof(*fixture->batches));
    struct model_batch *added = &fixture->batches[fixture->batches_count++];
    struct record_batch parsed;
    assert_int_equal(record_batch_parse(buffer_slice(bytes), &parsed), 0);
    buffer_init(&added->bytes);
    buffer_append(&added->bytes, bytes->data, bytes->length);
    added->base_offset = parsed.base_offset;
    added->last_offset = record_batch_last_offset(&parsed);
    added->leader_epoch = parsed.leader_epoch;
    added->producer_id = producer_id;
}

int16_t log_fixture_append_plan(struct log_fixture *fixture, const struct batch_plan *plan)
{
    struct buffer bytes;
    struct log_append_result result;
    buffer_init(&bytes);
    make_batch(&fixture->prng, plan, &bytes);
    int64_t end = partition_log_end_offset(fixture->log);
    int16_t error = partition_log_append_as_leader(fixture->log, bytes.data, bytes.length, PRODUCE_VERSION,
                                                   fixture->leader_epoch, fixture->now_ms, &result);
    if (error == KAFKA_NONE && !result.duplicate) {
        assert_int_equal(result.base_offset, end);
        assert_int_equal(result.last_offset, end + plan->record_count - 1);
        assert_int_equal(partition_log_end_offset(fixture->log), end + plan->record_count);
        model_add(fixture, &bytes, plan->producer_id);
    } else if (error == KAFKA_KAFKA_STORAGE_ERROR) {
        buffer_clear(&fixture->in_flight);
        buffer_append(&fixture->in_flight, bytes.data, bytes.length);
    } else {
        assert_int_equal(partition_log_end_offset(fixture->log), end);
    }
    buffer_release(&bytes);
    return error;
}

int16_t follow_batch(struct partition_log *log, struct prng *prng, const struct batch_plan *plan,
                     int64_t offset, int64_t now_ms)
{
    struct buffer bytes;
    buffer_init(&bytes);
    make_batch(prng, plan, &bytes);
    record_batch_set_base_offset(bytes.data, offset);
    record_batch_set_leader_epoch(bytes.data, 1);
    int16_t error = partition_log_append_as_follower(log, bytes.data, bytes.length, now_ms, NULL);
    buffer_release(&bytes);
    return error;
}

int16_t log_fixture_follow(struct log_fixture *fixture, const struct buffer *batch)
{
    struct record_batch parsed;
    assert_int_equal(record_batch_parse(buffer_slice(batch), &parsed), 0);
    size_t appended;
    int16_t error = partition_log_append_as_follower(fixture->log, batch->data, batch->length,
                                                     fixture->now_ms, &appended);
    if (error == KAFKA_NONE) {
        assert_int_equal(appended, batch->length);
        model_add(fixture, batch, parsed.producer_id);
    }
    return error;
}

int16_t log_fixture_append(struct log_fixture *fixture)
{
    fixture->now_ms += (int64_t)prng_below(&fixture->prng, 50);
    struct batch_plan plan = batch_plan_plain((int)prng_between(&fixture->prng, 1, 8), fixture->now_ms);
    plan.value_bytes = (size_t)prng_between(&fixture->prng, 1, 150);
    plan.timestamp_spread = 40;
    return log_fixture_append_plan(fixture, &plan);
}

int16_t log_fixture_append_idempotent(struct log_fixture *fixture)
{
    struct batch_plan plan = batch_plan_plain((int)prng_between(&fixture->prng, 1, 5), fixture->now_ms);
    plan.producer_id = fixture->next_producer_id;
    plan.producer_epoch = 0;
    plan.base_sequence = fixture->next_sequence;
    int16_t error = log_fixture_append_plan(fixture, &plan);
    if (error == KAFKA_NONE)
        fixture->next_sequence += plan.record_count;
    return error;
}

void log_fixture_model_truncate(struct log_fixture *fixture, int64_t offset)
{
    size_t keep = fixture->batches_count;
    while (keep > 0 && fixture->batches[keep - 1].last_offset >= offset)
        keep--;
    model_clear(fixture, keep);
}

int16_t log_fixture_truncate(struct log_fixture *fixture, int64_t offset)
{
    int16_t error = partition_log_truncate(fixture->log, offset, fixture->now_ms);
    if (error == KAFKA_NONE)
        log_fixture_model_truncate(fixture, offset);
    return error;
}

/* ---- comparing ---- */

/* Appends the range's bytes and lets go of it. */
static void take_range(struct log_range *range, struct buffer *out)
{
    if (range->length > 0)
        assert_int_equal(log_range_read(range, buffer_extend(out, (size_t)range->length)), 0);
    log_range_release(range);
}

void log_fixture_read_all(struct log_fixture *fixture, struct buffer *out)
{
    int64_t at = partition_log_start_offset(fixture->log);
    int64_t end = partition_log_end_offset(fixture->log);
    while (at < end) {
        struct log_range range;
        size_t before = out->length;
        assert_int_equal(partition_log_read(fixture->log, at, 1000, end, true, &range), KAFKA_NONE);
        take_range(&range, out);
        int64_t next = at;
        while (before < out->length) {
            struct record_batch batch;
            struct slice rest = slice_make(out->data + before, out->length - before);
            if (record_batch_parse(rest, &batch) != 0) {
                out->length = before;
                break;
            }
            before += batch.size_bytes;
            next = record_batch_last_offset(&batch) + 1;
        }
        if (next <= at)
            fail_msg("nothing at offset %" PRId64 " of a log that ends at %" PRId64, at, end);
        at = next;
    }
}

void log_fixture_check(struct log_fixture *fixture)
{
    struct buffer expected, actual;
    buffer_init(&expected);
    buffer_init(&actual);
    int64_t end = partition_log_end_offset(fixture->log);
    for (size_t i = 0; i < fixture->batches_count; i++) {
        const struct model_batch *batch = &fixture->batches[i];
        if (batch->last_offset < partition_log_start_offset(fixture->log))
            continue;
        buffer_append(&expected, batch->bytes.data, batch->bytes.length);
        struct log_range range;
        int64_t offset = max_i64(partition_log_start_offset(fixture->log),
                                 prng_between(&fixture->prng, batch->base_offset, batch->last_offset));
        assert_int_equal(partition_log_read(fixture->log, offset, 1, end, true, &range), KAFKA_NONE);
        buffer_clear(&actual);
        take_range(&range, &actual);
        assert_true(slice_equals(buffer_slice(&actual), buffer_slice(&batch->bytes)));
    }
    buffer_clear(&actual);
    log_fixture_read_all(fixture, &actual);
    assert_int_equal(actual.length, expected.length);
    assert_true(actual.length == 0 || memcmp(actual.data, expected.data, actual.length) == 0);
    if (fixture->batches_count > 0 && fixture->log->start_offset < end)
        assert_int_equal(end, fixture->batches[fixture->batches_count - 1].last_offset + 1);
    buffer_release(&expected);
    buffer_release(&actual);
}

void log_fixture_model_from(struct log_fixture *fixture, struct slice batches)
{
    model_clear(fixture, 0);
    while (batches.length > 0) {
        struct record_batch parsed;
        assert_int_equal(record_batch_parse(batches, &parsed), 0);
        struct buffer bytes;
        buffer_init(&bytes);
        buffer_append(&bytes, parsed.bytes.data, parsed.bytes.length);
        model_add(fixture, &bytes, parsed.producer_id);
        buffer_release(&bytes);
        batches = slice_make(batches.data + parsed.size_bytes, batches.length - parsed.size_bytes);
    }
}

void log_fixture_model_bytes(const struct log_fixture *fixture, struct buffer *out)
{
    for (size_t i = 0; i < fixture->batches_count; i++)
        buffer_append(out, fixture->batches[i].bytes.data, fixture->batches[i].bytes.length);
}

/* The next entry of the indexes of aborted transactions is this; *number and *entry tell where it is. */
static void check_aborted(const struct log_fixture *fixture, const struct completed_transaction *completed,
                          size_t *number, size_t *entry)
{
    const struct partition_log *log = fixture->log;
    if (completed->last_offset < log->segments[0]->base_offset)
        return;
    while (partition_log_segment_end(log, *number) <= completed->last_offset) {
        assert_int_equal(*entry, log->segments[*number]->transactions.count);
        (*number)++;
        *entry = 0;
    }
    const struct transaction_index *index = &log->segments[*number]->transactions;
    assert_true(index->loaded);
    assert_true(*entry < index->count);
    const struct aborted_transaction *actual = &index->entries[(*entry)++];
    assert_int_equal(actual->producer_id, completed->producer_id);
    assert_int_equal(actual->first_offset, completed->first_offset);
    assert_int_equal(actual->last_offset, completed->last_offset);
    assert_int_equal(actual->last_stable_offset, completed->last_stable_offset);
}

static void check_producers(struct log_fixture *fixture)
{
    struct producer_state *producers = producer_state_new();
    size_t number = 0, entry = 0;
    for (size_t i = 0; i < fixture->batches_count; i++) {
        struct scanned_batch scanned;
        struct producer_batch batch;
        struct completed_transaction completed;
        const struct buffer *bytes = &fixture->batches[i].bytes;
        assert_int_equal(scanned_batch_parse(bytes->data, bytes->length, &scanned), 0);
        if (partition_log_producer_batch(&scanned, bytes->data, &batch) &&
            producer_state_update(producers, &batch, &completed) && completed.aborted)
            check_aborted(fixture, &completed, &number, &entry);
    }
    for (; number < fixture->log->segments_count; number++, entry = 0)
        assert_int_equal(fixture->log->segments[number]->transactions.count, entry);
    struct buffer expected, actual;
    buffer_init(&expected);
    buffer_init(&actual);
    producer_state_encode(producers, &expected);
    producer_state_encode(fixture->log->producers, &actual);
    assert_true(slice_equals(buffer_slice(&actual), buffer_slice(&expected)));
    producer_state_free(producers);
    buffer_release(&expected);
    buffer_release(&actual);
}

void log_fixture_check_derived(struct log_fixture *fixture)
{
    struct epoch_cache epochs;
    struct buffer expected, actual;
    buffer_init(&expected);
    buffer_init(&actual);
    epoch_cache_init(&epochs);
    for (size_t i = 0; i < fixture->batches_count; i++)
        epoch_cache_assign(&epochs, fixture->batches[i].leader_epoch, fixture->batches[i].base_offset);
    epoch_cache_truncate_from_start(&epochs, partition_log_start_offset(fixture->log));
    epoch_cache_format(&epochs, &expected);
    epoch_cache_format(&fixture->log->epochs, &actual);
    assert_string_equal(buffer_string(&actual), buffer_string(&expected));
    epoch_cache_release(&epochs);

    check_producers(fixture);
    buffer_release(&expected);
    buffer_release(&actual);
}

struct name_list {
    char **names;
    size_t count;
    size_t capacity;
};

static int collect_name(void *context, const char *name, bool is_directory)
{
    struct name_list *list = context;
    (void)is_directory;
    list->names = memory_grow(list->names, list->count, &list->capacity, sizeof(char *));
    list->names[list->count++] = memory_copy_string(name);
    return 0;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

void log_fixture_dump(struct log_fixture *fixture, struct buffer *out)
{
    struct name_list list = {0};
    struct buffer path;
    buffer_init(&path);
    assert_int_equal(file_system_list(fixture->options.files, FIXTURE_DIRECTORY, collect_name, &list), 0);
    qsort(list.names, list.count, sizeof(char *), compare_names);
    for (size_t i = 0; i < list.count; i++) {
        struct buffer content;
        buffer_init(&content);
        buffer_clear(&path);
        buffer_print(&path, "%s/%s", FIXTURE_DIRECTORY, list.names[i]);
        assert_int_equal(
            file_system_read_all(fixture->options.files, buffer_string(&path), SIZE_MAX / 2, &content), 0);
        buffer_print(out, "%s %zu\n", list.names[i], content.length);
        buffer_append(out, content.data, content.length);
        buffer_release(&content);
        free(list.names[i]);
    }
    free(list.names);
    buffer_release(&path);
}

void log_fixture_check_second_start(struct log_fixture *fixture)
{
    struct buffer before, after;
    buffer_init(&before);
    buffer_init(&after);
    log_fixture_dump(fixture, &before);
    log_fixture_crash(fixture, MEMORY_FILES_PROCESS_CRASH);
    log_fixture_dump(fixture, &after);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);
    log_fixture_crash(fixture, MEMORY_FILES_POWER_CUT);
    /* All of it is durable but the hints: snapshots and indexes below the recovery point. */
    log_fixture_check(fixture);
    log_fixture_check_derived(fixture);
    buffer_release(&before);
    buffer_release(&after);
}
