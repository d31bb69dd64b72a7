/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions in a log: the index of aborted ones, the last stable offset and the producer state are what
 * the batches say (I49, I53), whatever happened to the log; against a model that reads all batches anew.
 */
#include <errno.h>
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
#include "tests/unit/log/log_fixture.h"

#define PRODUCERS 5
#define FIRST_PRODUCER 9000

struct workload {
    struct log_fixture fixture;
    bool stopped; /* an operation was refused */
};

/* ---- batches ---- */

static int16_t append(struct workload *workload, const struct record_batch_parameters *given, int count,
                      const uint8_t *key, size_t key_length)
{
    struct log_fixture *fixture = &workload->fixture;
    struct record_batch_parameters parameters = *given;
    struct record_batch_builder builder;
    struct buffer bytes;
    uint8_t value[60] = {0};
    parameters.base_offset = partition_log_end_offset(fixture->log);
    parameters.leader_epoch = fixture->leader_epoch;
    buffer_init(&bytes);
    record_batch_builder_init(&builder, &parameters);
    fixture->now_ms += 3;
    for (int i = 0; i < count; i++)
        record_batch_builder_append(&builder, fixture->now_ms, slice_make(key, key_length),
                                    slice_make(value, given->control ? 6 : sizeof(value)), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &bytes), 0);
    int16_t error = log_fixture_follow(fixture, &bytes);
    record_batch_builder_release(&builder);
    buffer_release(&bytes);
    workload->stopped |= error != KAFKA_NONE;
    return error;
}

static int16_t append_data(struct workload *workload, int64_t producer_id, int count)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    if (producer_id >= 0) {
        parameters.producer_id = producer_id;
        parameters.producer_epoch = 0;
        parameters.base_sequence = 0; /* followers do not look */
        parameters.transactional = true;
    }
    return append(workload, &parameters, count, (const uint8_t *)"k", 1);
}

static int16_t append_marker(struct workload *workload, int64_t producer_id, bool commit)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    parameters.producer_id = producer_id;
    parameters.producer_epoch = 0;
    parameters.transactional = true;
    parameters.control = true;
    const uint8_t key[4] = {0, 0, 0, commit};
    return append(workload, &parameters, 1, key, sizeof(key));
}

/* ---- the model ---- */

struct model_transaction {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* of the marker; -1: open */
    bool aborted;
};

struct model {
    struct model_transaction *transactions; /* by first offset */
    size_t count;
    size_t capacity;
};

static struct model_transaction *find_open(struct model *model, int64_t producer_id)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->transactions[i].producer_id == producer_id && model->transactions[i].last_offset < 0)
            return &model->transactions[i];
    return NULL;
}

static void model_read(struct model *model, const struct log_fixture *fixture)
{
    *model = (struct model){0};
    for (size_t i = 0; i < fixture->batches_count; i++) {
        const struct buffer *bytes = &fixture->batches[i].bytes;
        struct scanned_batch batch;
        assert_int_equal(scanned_batch_parse(bytes->data, bytes->length, &batch), 0);
        if (!batch.transactional)
            continue;
        struct model_transaction *open = find_open(model, batch.producer_id);
        if (!batch.control && open == NULL) {
            model->transactions = memory_grow(model->transactions, model->count, &model->capacity,
                                              sizeof(*model->transactions));
            model->transactions[model->count++] =
                (struct model_transaction){batch.producer_id, batch.base_offset, -1, false};
        } else if (batch.control && open != NULL) {
            bool commit;
            int32_t coordinator_epoch;
            assert_true(scanned_batch_marker(&batch, bytes->data, &commit, &coordinator_epoch));
            open->last_offset = batch.last_offset;
            open->aborted = !commit;
        }
    }
}

static int64_t model_last_stable_offset(const struct model *model, int64_t high_watermark)
{
    int64_t offset = high_watermark;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_transaction *transaction = &model->transactions[i];
        if (transaction->last_offset < 0 || transaction->last_offset >= high_watermark)
            offset = min_i64(offset, transaction->first_offset);
    }
    return offset;
}

struct found {
    struct aborted_transaction entries[1000];
    size_t count;
};

static void take(void *context, const struct aborted_transaction *entry)
{
    struct found *found = context;
    assert_true(found->count < ARRAY_SIZE(found->entries));
    found->entries[found->count++] = *entry;
}

/* The transactions of the range are the model's, each once, in the order of the markers. */
static void check_aborted(struct log_fixture *fixture, const struct model *model, int64_t from, int64_t to)
{
    struct found *found = memory_allocate_zeroed(1, sizeof(*found));
    assert_int_equal(partition_log_collect_aborted(fixture->log, from, to, take, found), KAFKA_NONE);
    size_t expected = 0;
    for (size_t i = 0; i < model->count; i++) {
        const struct model_transaction *transaction = &model->transactions[i];
        if (!transaction->aborted || transaction->last_offset < from || transaction->first_offset >= to)
            continue;
        expected++;
        size_t at = 0;
        while (at < found->count && found->entries[at].last_offset != transaction->last_offset)
            at++;
        assert_true(at < found->count);
        assert_int_equal(found->entries[at].producer_id, transaction->producer_id);
        assert_int_equal(found->entries[at].first_offset, transaction->first_offset);
    }
    assert_int_equal(found->count, expected);
    for (size_t i = 1; i < found->count; i++)
        assert_true(found->entries[i].last_offset > found->entries[i - 1].last_offset);
    free(found);
}

static void check(struct workload *workload)
{
    struct log_fixture *fixture = &workload->fixture;
    struct model model;
    log_fixture_check_derived(fixture);
    model_read(&model, fixture);
    int64_t end = partition_log_end_offset(fixture->log);
    assert_int_equal(partition_log_last_stable_offset(fixture->log, end),
                     model_last_stable_offset(&model, end));
    for (int i = 0; i < 10 && end > 0; i++) {
        int64_t from = prng_between(&fixture->prng, 0, end - 1);
        check_aborted(fixture, &model, from, prng_between(&fixture->prng, from + 1, end));
    }
    free(model.transactions);
}

/* ---- random work ---- */

static void truncate_somewhere(struct workload *workload)
{
    struct log_fixture *fixture = &workload->fixture;
    int64_t end = partition_log_end_offset(fixture->log);
    fixture->leader_epoch++;
    if (log_fixture_truncate(fixture, prng_between(&fixture->prng, max_i64(0, end - 40), end)) != KAFKA_NONE)
        workload->stopped = true;
}

static void stop_and_start(struct workload *workload)
{
    struct log_fixture *fixture = &workload->fixture;
    workload->stopped = partition_log_close(fixture->log) != 0;
    if (workload->stopped)
        return;
    fixture->checkpointed_recovery_point = partition_log_recovery_point(fixture->log);
    log_fixture_drop(fixture);
    workload->stopped = log_fixture_open(fixture, true) != 0;
}

static void flush(struct workload *workload)
{
    struct log_fixture *fixture = &workload->fixture;
    workload->stopped = partition_log_flush(fixture->log) != 0;
    if (!workload->stopped && prng_one_in(&fixture->prng, 2))
        fixture->checkpointed_recovery_point = partition_log_recovery_point(fixture->log);
}

static void append_something(struct workload *workload)
{
    struct prng *prng = &workload->fixture.prng;
    int64_t producer_id = FIRST_PRODUCER + (int64_t)prng_below(prng, PRODUCERS);
    uint64_t kind = prng_below(prng, 10);
    if (kind < 5)
        (void)append_data(workload, producer_id, (int)prng_between(prng, 1, 4));
    else if (kind < 6)
        (void)append_data(workload, -1, (int)prng_between(prng, 1, 3));
    else
        (void)append_marker(workload, producer_id, prng_one_in(prng, 3));
}

/* starts: with restarts. */
static void step(struct workload *workload, bool starts)
{
    switch (prng_below(&workload->fixture.prng, 20)) {
    case 0:
        truncate_somewhere(workload);
        break;
    case 1:
        if (starts)
            stop_and_start(workload);
        break;
    case 2:
    case 3:
        flush(workload);
        break;
    default:
        append_something(workload);
    }
}

static void workload_init(struct workload *workload, uint64_t seed)
{
    workload->stopped = false;
    log_fixture_init(&workload->fixture, seed);
    workload->fixture.options.settings.segment_bytes = 1800;
    workload->fixture.options.settings.index_interval_bytes = 200;
}

static void all_follows_from_the_batches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct workload workload;
        workload_init(&workload, seed);
        assert_int_equal(log_fixture_open(&workload.fixture, true), 0);
        for (int i = 0; i < 150; i++) {
            if (i % 50 == 49)
                log_fixture_crash(&workload.fixture, MEMORY_FILES_PROCESS_CRASH);
            else
                step(&workload, true);
            assert_false(workload.stopped);
            if (i % 10 == 0)
                check(&workload);
        }
        check(&workload);
        log_fixture_release(&workload.fixture);
    }
}

/* What has ended, but is not replicated, holds the last stable offset back; and is forgotten when it is. */
static void markers_above_the_high_watermark_do_not_count(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct workload workload;
        struct log_fixture *fixture = &workload.fixture;
        int64_t high_watermark = 0;
        workload_init(&workload, seed);
        assert_int_equal(log_fixture_open(fixture, true), 0);
        for (int i = 0; i < 120; i++) {
            append_something(&workload);
            int64_t end = partition_log_end_offset(fixture->log);
            if (prng_one_in(&fixture->prng, 3))
                high_watermark = prng_between(&fixture->prng, high_watermark, end);
            partition_log_on_high_watermark(fixture->log, high_watermark);
            struct model model;
            model_read(&model, fixture);
            for (int64_t at = high_watermark; at <= end; at += 3)
                assert_int_equal(partition_log_last_stable_offset(fixture->log, at),
                                 model_last_stable_offset(&model, at));
            free(model.transactions);
        }
        log_fixture_release(fixture);
    }
}

/* Copies what the leader has behind the follower's end, in pieces that may hold several batches. */
static void copy(struct log_fixture *leader, struct log_fixture *follower)
{
    int64_t end = partition_log_end_offset(leader->log);
    while (partition_log_end_offset(follower->log) < end) {
        struct log_range range;
        int64_t size = prng_between(&leader->prng, 1, 1500);
        assert_int_equal(
            partition_log_read(leader->log, partition_log_end_offset(follower->log), size, end, true, &range),
            KAFKA_NONE);
        uint8_t *bytes = memory_allocate((size_t)range.length);
        assert_int_equal(log_range_read(&range, bytes), 0);
        assert_int_equal(partition_log_append_as_follower(follower->log, bytes, (size_t)range.length,
                                                          follower->now_ms, NULL),
                         KAFKA_NONE);
        free(bytes);
        log_range_release(&range);
    }
}

static void a_follower_has_what_its_leader_has(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct workload leader, follower;
        workload_init(&leader, seed);
        workload_init(&follower, seed);
        follower.fixture.options.settings.segment_bytes = 1100;
        assert_int_equal(log_fixture_open(&leader.fixture, true), 0);
        assert_int_equal(log_fixture_open(&follower.fixture, true), 0);
        for (int i = 0; i < 100; i++) {
            append_something(&leader);
            if (prng_one_in(&leader.fixture.prng, 8))
                copy(&leader.fixture, &follower.fixture);
            if (prng_one_in(&leader.fixture.prng, 30))
                log_fixture_crash(&follower.fixture, MEMORY_FILES_PROCESS_CRASH);
            if (prng_one_in(&leader.fixture.prng, 20)) {
                int64_t end = partition_log_end_offset(follower.fixture.log);
                assert_int_equal(partition_log_truncate(follower.fixture.log, max_i64(0, end - 11), 0),
                                 KAFKA_NONE);
            }
        }
        copy(&leader.fixture, &follower.fixture);
        struct buffer content;
        buffer_init(&content);
        log_fixture_model_bytes(&leader.fixture, &content);
        log_fixture_model_from(&follower.fixture, buffer_slice(&content));
        buffer_release(&content);
        log_fixture_check(&follower.fixture);
        check(&follower);
        check(&leader);
        log_fixture_release(&leader.fixture);
        log_fixture_release(&follower.fixture);
    }
}

static void the_log_start_holds_the_last_stable_offset_up(void **state)
{
    (void)state;
    struct workload workload;
    struct log_fixture *fixture = &workload.fixture;
    workload_init(&workload, 77);
    assert_int_equal(log_fixture_open(fixture, true), 0);
    assert_int_equal(append_data(&workload, FIRST_PRODUCER, 2), KAFKA_NONE);
    for (int i = 0; i < 40; i++)
        assert_int_equal(append_data(&workload, -1, 3), KAFKA_NONE);
    int64_t end = partition_log_end_offset(fixture->log);
    assert_int_equal(partition_log_last_stable_offset(fixture->log, end), 0);
    assert_int_equal(partition_log_advance_start(fixture->log, end - 5), KAFKA_NONE);
    assert_int_equal(partition_log_last_stable_offset(fixture->log, end), end - 5);
    assert_int_equal(append_marker(&workload, FIRST_PRODUCER, false), KAFKA_NONE);
    assert_int_equal(partition_log_last_stable_offset(fixture->log, end + 1), end + 1);
    log_fixture_release(fixture);
}

/* ---- crashes ---- */

static bool crash_at(uint64_t seed, uint64_t after, enum memory_files_crash crash)
{
    struct workload workload;
    struct log_fixture *fixture = &workload.fixture;
    workload_init(&workload, seed);
    memory_files_stop_after(fixture->disk, after);
    if (log_fixture_open(fixture, false) == 0)
        for (int i = 0; i < 60 && !workload.stopped; i++)
            step(&workload, true);
    bool stopped = memory_files_is_stopped(fixture->disk);
    log_fixture_drop(fixture);
    memory_files_crash(fixture->disk, crash);
    workload.stopped = false;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(log_fixture_open(fixture, false), 0);
        struct buffer content;
        buffer_init(&content);
        log_fixture_read_all(fixture, &content);
        log_fixture_model_from(fixture, buffer_slice(&content));
        buffer_release(&content);
        check(&workload);
        for (int j = 0; j < 12 && i == 0; j++)
            append_something(&workload);
        check(&workload);
        log_fixture_stop(fixture);
    }
    assert_int_equal(log_fixture_open(fixture, true), 0);
    check(&workload);
    log_fixture_release(fixture);
    return stopped;
}

static void crash_everywhere(enum memory_files_crash crash)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t after = 0;
        while (crash_at(seed, after, crash))
            after++;
        assert_true(after > 50);
    }
}

static void crashes_of_the_process(void **state)
{
    (void)state;
    crash_everywhere(MEMORY_FILES_PROCESS_CRASH);
}

static void power_cuts(void **state)
{
    (void)state;
    crash_everywhere(MEMORY_FILES_POWER_CUT);
}

/* ---- damage ---- */

/* A file that is not what the segment can have is made anew at the start, also below the recovery point. */
static void a_damaged_index_is_made_anew(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct workload workload;
        struct log_fixture *fixture = &workload.fixture;
        workload_init(&workload, seed);
        assert_int_equal(log_fixture_open(fixture, true), 0);
        for (int i = 0; i < 150; i++)
            append_something(&workload);
        const struct segment *victim = fixture->log->segments[seed % fixture->log->segments_count];
        size_t length = victim->transactions.count * TRANSACTION_INDEX_ENTRY_BYTES;
        char *path = memory_copy_string(victim->transactions.path);
        log_fixture_stop(fixture);
        if (length > 0) {
            struct file *file;
            struct file_system *files = memory_files_system(fixture->disk);
            assert_int_equal(file_open(files, path, FILE_WRITE, &file), 0);
            if (seed % 2)
                assert_int_equal(file_truncate(files, file, (int64_t)length - 1 - (int64_t)(seed % 33)), 0);
            else
                assert_int_equal(memory_files_flip(fixture->disk, path, 18 + (int64_t)(seed % 2), 0x40), 0);
            file_close(files, file);
        }
        assert_int_equal(log_fixture_open(fixture, true), 0);
        check(&workload);
        free(path);
        log_fixture_release(fixture);
    }
}

/* So many aborted transactions in one segment. */
static void begin_aborted(struct workload *workload, uint64_t seed, int count)
{
    workload_init(workload, seed);
    workload->fixture.options.settings.segment_bytes = 1 << 20;
    assert_int_equal(log_fixture_open(&workload->fixture, true), 0);
    for (int i = 0; i < count; i++) {
        assert_int_equal(append_data(workload, FIRST_PRODUCER, 2), KAFKA_NONE);
        assert_int_equal(append_marker(workload, FIRST_PRODUCER, false), KAFKA_NONE);
    }
}

/* Where there is no room for the new file, the log opens all the same, and the damage is found again; half a
 * file never passes for a whole one. */
static void a_damaged_index_waits_for_room(void **state)
{
    (void)state;
    for (uint64_t after = 0; after < 40; after++) {
        struct workload workload;
        struct log_fixture *fixture = &workload.fixture;
        begin_aborted(&workload, 5, 3);
        char *path = memory_copy_string(fixture->log->segments[0]->transactions.path);
        log_fixture_stop(fixture);
        assert_int_equal(memory_files_flip(fixture->disk, path, 18, 0x40), 0);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                                 .error = -ENOSPC,
                                                 .short_bytes = 7,
                                                 .repeat = true,
                                                 .path_part = ".txnindex"};
        memory_files_set_fault(fixture->disk, &fault);
        assert_int_equal(log_fixture_open(fixture, true), 0);
        assert_int_equal(partition_log_failure(fixture->log), 0);
        check(&workload);
        memory_files_set_fault(fixture->disk, NULL);
        memory_files_stop_after(fixture->disk, after);
        int error = partition_log_flush(fixture->log);
        if (error == 0)
            fixture->checkpointed_recovery_point = partition_log_recovery_point(fixture->log);
        log_fixture_crash(fixture, MEMORY_FILES_PROCESS_CRASH);
        check(&workload);
        free(path);
        log_fixture_release(fixture);
    }
}

/* What readers below the high watermark do not ask for is not kept, however long the replay. */
static void replicated_transactions_are_not_gathered(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct workload workload;
        struct log_fixture *fixture = &workload.fixture;
        begin_aborted(&workload, 6, 100);
        int64_t end = partition_log_end_offset(fixture->log);
        assert_int_equal(producer_state_ended_count(fixture->log->producers), 100);
        log_fixture_drop(fixture);
        fixture->options.high_watermark = round % 2 == 0 ? end - 3 : 0;
        fixture->options.recovery_point = round < 2 ? 0 : end;
        assert_int_equal(log_fixture_open(fixture, round >= 2), 0);
        assert_int_equal(producer_state_ended_count(fixture->log->producers), round % 2 == 0 ? 1 : 100);
        assert_int_equal(partition_log_last_stable_offset(fixture->log, end - 3), end - 3);
        assert_int_equal(partition_log_last_stable_offset(fixture->log, end), end);
        log_fixture_release(fixture);
    }
}

static void no_room_for_the_index_puts_the_flush_off(void **state)
{
    (void)state;
    struct workload workload;
    struct log_fixture *fixture = &workload.fixture;
    workload_init(&workload, 5);
    assert_int_equal(log_fixture_open(fixture, true), 0);
    assert_int_equal(append_data(&workload, FIRST_PRODUCER, 2), KAFKA_NONE);
    assert_int_equal(append_marker(&workload, FIRST_PRODUCER, false), KAFKA_NONE);
    int64_t before = partition_log_recovery_point(fixture->log);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                             .error = -ENOSPC,
                                             .short_bytes = 7,
                                             .repeat = true,
                                             .path_part = ".txnindex"};
    memory_files_set_fault(fixture->disk, &fault);
    assert_int_equal(partition_log_flush(fixture->log), -ENOSPC);
    assert_int_equal(partition_log_recovery_point(fixture->log), before);
    assert_int_equal(partition_log_failure(fixture->log), 0);
    memory_files_set_fault(fixture->disk, NULL);
    assert_int_equal(partition_log_flush(fixture->log), 0);
    assert_int_equal(partition_log_recovery_point(fixture->log), 3);
    fixture->checkpointed_recovery_point = 3;
    log_fixture_crash(fixture, MEMORY_FILES_POWER_CUT);
    check(&workload);
    log_fixture_release(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_follows_from_the_batches),
        cmocka_unit_test(markers_above_the_high_watermark_do_not_count),
        cmocka_unit_test(a_follower_has_what_its_leader_has),
        cmocka_unit_test(the_log_start_holds_the_last_stable_offset_up),
        cmocka_unit_test(crashes_of_the_process),
        cmocka_unit_test(power_cuts),
        cmocka_unit_test(a_damaged_index_is_made_anew),
        cmocka_unit_test(a_damaged_index_waits_for_room),
        cmocka_unit_test(replicated_transactions_are_not_gathered),
        cmocka_unit_test(no_room_for_the_index_puts_the_flush_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
