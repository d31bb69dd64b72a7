/* SPDX-License-Identifier: Apache-2.0 */
/* Records by key, and what must be left of them. */
#include "tests/unit/log/compaction_fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "common/bytes.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "proto/records/record.h"

#define FIRST_PRODUCER 700

static const uint64_t HASH_KEY[2] = {1, 2};

void compaction_fixture_init(struct compaction_fixture *fixture, uint64_t seed)
{
    *fixture = (struct compaction_fixture){.map_bytes = 64 * CLEAN_MAP_SLOT_BYTES};
    log_fixture_init(&fixture->log, seed);
    fixture->log.options.settings.compacted = true;
    fixture->log.options.settings.segment_bytes = 3000;
    fixture->log.options.settings.delete_retention_ms = 5000;
    for (size_t i = 0; i < COMPACTION_PRODUCERS; i++)
        fixture->producers[i].last_data_offset = -1;
    assert_int_equal(log_fixture_open(&fixture->log, true), 0);
}

void compaction_fixture_release(struct compaction_fixture *fixture)
{
    clean_map_clear(&fixture->map);
    free(fixture->history);
    log_fixture_release(&fixture->log);
}

/* ---- appending ---- */

static bool follow(struct compaction_fixture *fixture, struct record_batch_builder *builder)
{
    struct log_fixture *log = &fixture->log;
    struct buffer bytes;
    size_t appended;
    enum codec codec = fixture->one_codec ? CODEC_NONE : (enum codec)prng_below(&log->prng, CODEC_COUNT);
    buffer_init(&bytes);
    assert_int_equal(record_batch_builder_finish(builder, builder->parameters.control ? CODEC_NONE : codec,
                                                 CODEC_DEFAULT_LEVEL, &bytes),
                     0);
    int16_t error =
        partition_log_append_as_follower(log->log, bytes.data, bytes.length, log->now_ms, &appended);
    buffer_release(&bytes);
    return error == KAFKA_NONE;
}

static void remember(struct compaction_fixture *fixture, const struct compaction_record *record)
{
    fixture->history =
        memory_grow(fixture->history, fixture->count, &fixture->capacity, sizeof(*fixture->history));
    fixture->history[fixture->count++] = *record;
}

static struct record_batch_parameters begin_batch(struct compaction_fixture *fixture)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    fixture->log.now_ms += prng_between(&fixture->log.prng, 1, 20);
    parameters.base_offset = partition_log_end_offset(fixture->log.log);
    parameters.leader_epoch = fixture->log.leader_epoch;
    return parameters;
}

static void add_record(struct compaction_fixture *fixture, struct record_batch_builder *builder, int key,
                       bool tombstone, bool transactional)
{
    struct compaction_record record = {
        .offset = builder->parameters.base_offset + builder->record_count,
        .key = key,
        .tombstone = tombstone,
        .producer_id = transactional ? builder->parameters.producer_id : -1,
        .open = transactional,
    };
    uint8_t key_bytes[2] = {'k', (uint8_t)key};
    uint8_t value[40];
    memset(value, key, sizeof(value));
    store_u64(value, (uint64_t)record.offset);
    size_t length = 8 + (size_t)prng_below(&fixture->log.prng, sizeof(value) - 8);
    const struct record_header header = {slice_of("h"), slice_of("v")};
    record_batch_builder_append(
        builder, fixture->log.now_ms + (int64_t)prng_below(&fixture->log.prng, 9),
        key == COMPACTION_NO_KEY ? slice_make(NULL, 0) : slice_make(key_bytes, sizeof(key_bytes)),
        tombstone ? slice_make(NULL, 0) : slice_make(value, length), &header, key % 3 == 0);
    remember(fixture, &record);
}

static bool append_data(struct compaction_fixture *fixture, int producer, bool transactional)
{
    struct prng *prng = &fixture->log.prng;
    struct record_batch_parameters parameters = begin_batch(fixture);
    size_t before = fixture->count;
    if (producer >= 0) {
        parameters.producer_id = FIRST_PRODUCER + producer;
        parameters.producer_epoch = 3;
        parameters.base_sequence = fixture->producers[producer].next_sequence;
        parameters.transactional = transactional;
    }
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    int count = (int)prng_between(prng, 1, 6);
    for (int i = 0; i < count; i++) {
        int key = prng_one_in(prng, 25) ? COMPACTION_NO_KEY : (int)prng_below(prng, COMPACTION_KEYS);
        add_record(fixture, &builder, key, prng_one_in(prng, 6), transactional);
    }
    bool done = follow(fixture, &builder);
    record_batch_builder_release(&builder);
    if (!done) {
        fixture->count = before;
    } else if (producer >= 0) {
        fixture->producers[producer].next_sequence += count;
        fixture->producers[producer].open |= transactional;
        fixture->producers[producer].last_data_offset = parameters.base_offset + count - 1;
    }
    return done;
}

static bool append_marker(struct compaction_fixture *fixture, int producer, bool commit)
{
    struct record_batch_parameters parameters = begin_batch(fixture);
    parameters.producer_id = FIRST_PRODUCER + producer;
    parameters.producer_epoch = 3;
    parameters.transactional = true;
    parameters.control = true;
    const uint8_t key[4] = {0, 0, 0, commit};
    const uint8_t value[6] = {0};
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, fixture->log.now_ms, slice_make(key, sizeof(key)),
                                slice_make(value, sizeof(value)), NULL, 0);
    bool done = follow(fixture, &builder);
    record_batch_builder_release(&builder);
    for (size_t i = 0; done && i < fixture->count; i++) {
        struct compaction_record *record = &fixture->history[i];
        if (record->producer_id != parameters.producer_id || !record->open)
            continue;
        record->open = false;
        record->aborted = !commit;
    }
    if (done)
        fixture->producers[producer].open = false;
    return done;
}

bool compaction_append(struct compaction_fixture *fixture)
{
    struct prng *prng = &fixture->log.prng;
    int producer = (int)prng_below(prng, COMPACTION_PRODUCERS);
    struct compaction_producer *state = &fixture->producers[producer];
    if (state->open && prng_one_in(prng, 2))
        return append_marker(fixture, producer, prng_one_in(prng, 2));
    switch (prng_below(prng, 4)) {
    case 0:
        return append_data(fixture, producer, true);
    case 1:
        return append_data(fixture, producer, state->open);
    default:
        return append_data(fixture, -1, false);
    }
}

bool compaction_append_many(struct compaction_fixture *fixture, int count)
{
    for (int i = 0; i < count; i++)
        if (!compaction_append(fixture))
            return false;
    for (int i = 0; i < COMPACTION_PRODUCERS; i++)
        if (fixture->producers[i].open && !append_marker(fixture, i, i % 2 == 0))
            return false;
    return true;
}

void compaction_append_record(struct compaction_fixture *fixture, int key, bool tombstone)
{
    struct record_batch_parameters parameters = begin_batch(fixture);
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    add_record(fixture, &builder, key, tombstone, false);
    bool done = follow(fixture, &builder);
    record_batch_builder_release(&builder);
    assert_true(done);
}

void compaction_truncate(struct compaction_fixture *fixture, int64_t offset)
{
    assert_int_equal(partition_log_truncate(fixture->log.log, offset, fixture->log.now_ms), KAFKA_NONE);
    int64_t end = partition_log_end_offset(fixture->log.log);
    while (fixture->count > 0 && fixture->history[fixture->count - 1].offset >= end)
        fixture->count--;
}

/* ---- cleaning ---- */

static void pause(struct compaction_fixture *fixture, int step)
{
    if (fixture->between)
        fixture->between(fixture, step);
}

static int run(struct compaction_fixture *fixture, struct log_clean *clean)
{
    struct partition_log *log = fixture->log.log;
    pause(fixture, 1);
    int result = log_clean_fill_map(clean);
    if (result)
        return result;
    pause(fixture, 2);
    while ((result = log_clean_write_group(clean)) > 0) {
        pause(fixture, 3);
        result = partition_log_clean_commit(log, clean);
        if (!result)
            result = log_clean_sync_names(clean);
        if (result < 0)
            return result;
        pause(fixture, 4);
    }
    if (!result && partition_log_clean_end(log, clean))
        fixture->log.options.first_dirty_offset = partition_log_first_dirty_offset(log);
    return result;
}

int compaction_clean(struct compaction_fixture *fixture)
{
    struct partition_log *log = fixture->log.log;
    int error = partition_log_flush(log);
    if (error)
        return error;
    clean_map_clear(&fixture->map);
    clean_map_init(&fixture->map, fixture->map_bytes, 0.9, HASH_KEY);
    const struct log_clean_options options = {.high_watermark = partition_log_end_offset(log),
                                              .now_ms = fixture->log.now_ms,
                                              .map = &fixture->map,
                                              .io_buffer_bytes = 700};
    struct log_clean *clean;
    error = partition_log_clean_begin(log, &options, &clean);
    if (error)
        return error;
    error = run(fixture, clean);
    fixture->counts = log_clean_counts(clean);
    log_clean_free(clean);
    return error;
}

/* ---- checking ---- */

void compaction_read(struct compaction_fixture *fixture, struct buffer *out)
{
    struct partition_log *log = fixture->log.log;
    int64_t at = partition_log_start_offset(log), end = partition_log_end_offset(log);
    while (at < end) {
        struct log_range range;
        assert_int_equal(partition_log_read(log, at, 1, end, true, &range), KAFKA_NONE);
        if (range.length == 0)
            return;
        size_t before = out->length;
        assert_int_equal(log_range_read(&range, buffer_extend(out, (size_t)range.length)), 0);
        log_range_release(&range);
        struct record_batch batch;
        assert_int_equal(record_batch_parse(slice_make(out->data + before, out->length - before), &batch), 0);
        assert_true(record_batch_last_offset(&batch) >= at);
        at = record_batch_last_offset(&batch) + 1;
    }
}

/* What was met while the log is read. */
struct view {
    struct compaction_fixture *fixture;
    int64_t newest[COMPACTION_KEYS]; /* offset; -1: none */
    int64_t first_dirty;
    bool cleaned;
    size_t next; /* in the history */
    uint32_t last_sequences;
    int64_t last_offset;
};

static void view_record(struct view *view, const struct record *record)
{
    const struct compaction_fixture *fixture = view->fixture;
    while (view->next < fixture->count && fixture->history[view->next].offset < record->offset)
        view->next++;
    assert_true(view->next < fixture->count);
    const struct compaction_record *expected = &fixture->history[view->next];
    assert_int_equal(record->offset, expected->offset);
    assert_int_equal(slice_is_null(record->value), expected->tombstone);
    assert_int_equal(slice_is_null(record->key), expected->key == COMPACTION_NO_KEY);
    if (!expected->tombstone)
        assert_int_equal(load_u64(record->value.data), (uint64_t)expected->offset);
    assert_int_equal(record->header_count, expected->key % 3 == 0);
    bool clean = view->cleaned && record->offset < view->first_dirty;
    if (clean && (expected->aborted || expected->key == COMPACTION_NO_KEY))
        fail_msg("a record at %" PRId64 " should be gone", record->offset);
    if (expected->key == COMPACTION_NO_KEY || expected->aborted || expected->open)
        return;
    assert_int_equal(record->key.data[1], expected->key);
    if (clean && view->newest[expected->key] >= 0)
        fail_msg("key %d comes twice: %" PRId64 " and %" PRId64, expected->key, view->newest[expected->key],
                 record->offset);
    view->newest[expected->key] = record->offset;
}

static void view_batch(struct view *view, const struct record_batch *batch)
{
    struct buffer scratch;
    struct slice records;
    struct record_iterator iterator;
    struct record record;
    int more;
    assert_true(record_batch_check_crc(batch));
    assert_true(batch->base_offset > view->last_offset);
    view->last_offset = record_batch_last_offset(batch);
    if (batch->producer_id >= 0 && !batch->control) {
        size_t producer = (size_t)(batch->producer_id - FIRST_PRODUCER);
        if (view->fixture->producers[producer].last_data_offset == view->last_offset) {
            assert_int_equal(record_batch_last_sequence(batch),
                             view->fixture->producers[producer].next_sequence - 1);
            view->last_sequences |= 1u << producer;
        }
    }
    if (batch->control || batch->record_count == 0)
        return;
    buffer_init(&scratch);
    assert_int_equal(record_batch_decompress(batch, 1 << 20, &scratch, &records), 0);
    record_iterator_init(&iterator, batch, records);
    int64_t max_timestamp = -1;
    while ((more = record_iterator_next(&iterator, &record)) > 0) {
        max_timestamp = max_i64(max_timestamp, record.timestamp);
        view_record(view, &record);
    }
    assert_int_equal(more, 0);
    assert_int_equal(max_timestamp, batch->max_timestamp);
    buffer_release(&scratch);
}

static void check_newest(const struct view *view)
{
    const struct compaction_fixture *fixture = view->fixture;
    const struct compaction_record *newest[COMPACTION_KEYS] = {0};
    for (size_t i = 0; i < fixture->count; i++) {
        const struct compaction_record *record = &fixture->history[i];
        if (record->key != COMPACTION_NO_KEY && !record->aborted && !record->open)
            newest[record->key] = record;
    }
    for (int key = 0; key < COMPACTION_KEYS; key++) {
        if (newest[key] == NULL)
            continue;
        if (view->newest[key] < 0 && newest[key]->tombstone)
            continue;
        if (view->newest[key] != newest[key]->offset)
            fail_msg("newest of key %d is at %" PRId64 ", found %" PRId64, key, newest[key]->offset,
                     view->newest[key]);
    }
}

void compaction_check(struct compaction_fixture *fixture, bool cleaned)
{
    struct view view = {.fixture = fixture,
                        .first_dirty = partition_log_first_dirty_offset(fixture->log.log),
                        .cleaned = cleaned,
                        .last_offset = -1};
    for (int key = 0; key < COMPACTION_KEYS; key++)
        view.newest[key] = -1;
    struct buffer bytes;
    buffer_init(&bytes);
    compaction_read(fixture, &bytes);
    for (size_t at = 0; at < bytes.length;) {
        struct record_batch batch;
        assert_int_equal(record_batch_parse(slice_make(bytes.data + at, bytes.length - at), &batch), 0);
        view_batch(&view, &batch);
        at += batch.size_bytes;
    }
    buffer_release(&bytes);
    check_newest(&view);
    for (size_t i = 0; i < COMPACTION_PRODUCERS; i++)
        if (fixture->producers[i].last_data_offset >= 0)
            assert_true(view.last_sequences & (1u << i));
}
