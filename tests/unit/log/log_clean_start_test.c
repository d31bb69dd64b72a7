/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A start after a clean stop reads no segment, believes nothing that the folder contradicts, and is not
 * deceived for good by files that were changed in between.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

/* ---- what is touched ---- */

struct touches {
    size_t segments; /* opened or read: .log and .index */
    size_t failing;  /* that many openings of a .log are refused */
    int error;
};

static bool ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), end = strlen(suffix);
    return length >= end && strcmp(text + length - end, suffix) == 0;
}

static int count_touches(void *context, enum memory_files_operation operation, const char *path)
{
    struct touches *touches = context;
    if (operation != MEMORY_FILES_OPEN && operation != MEMORY_FILES_READ)
        return 0;
    if (!ends_with(path, ".log") && !ends_with(path, ".index"))
        return 0;
    touches->segments++;
    if (touches->failing == 0 || !ends_with(path, ".log"))
        return 0;
    touches->failing--;
    return touches->error;
}

static void fixture_init(struct log_fixture *fixture, uint64_t seed, int batches, int64_t segment_bytes)
{
    log_fixture_init(fixture, seed);
    fixture->options.settings.segment_bytes = segment_bytes;
    fixture->leader_epoch = 3;
    assert_int_equal(log_fixture_open(fixture, true), 0);
    for (int i = 0; i < batches; i++)
        assert_int_equal(i % 3 ? log_fixture_append(fixture) : log_fixture_append_idempotent(fixture),
                         KAFKA_NONE);
}

/* The log ends with an empty segment. */
static void add_empty_segment(struct log_fixture *fixture)
{
    assert_int_equal(
        partition_log_roll(fixture->log, partition_log_end_offset(fixture->log), fixture->now_ms), 0);
}

/* A start, all that happens to a log nobody asks for, and a clean stop: no segment is touched. */
static void start_untouched(struct log_fixture *fixture)
{
    struct touches touches = {0};
    memory_files_set_hook(fixture->disk, count_touches, &touches);
    assert_int_equal(log_fixture_open(fixture, true), 0);
    int64_t end = partition_log_end_offset(fixture->log), epoch_end;
    int32_t epoch;
    assert_int_equal(end, fixture->checkpointed_recovery_point);
    assert_int_equal(partition_log_recovery_point(fixture->log), end);
    assert_int_equal(partition_log_begin_epoch(fixture->log, partition_log_latest_epoch(fixture->log) + 1),
                     0);
    partition_log_epoch_end(fixture->log, 1000, &epoch, &epoch_end);
    assert_int_equal(partition_log_last_stable_offset(fixture->log, end), end);
    assert_int_equal(partition_log_truncate(fixture->log, end, fixture->now_ms), KAFKA_NONE);
    struct log_range range;
    assert_int_equal(partition_log_read(fixture->log, end, 100, end, true, &range), KAFKA_NONE);
    assert_int_equal(range.length, 0);
    assert_int_equal(partition_log_flush(fixture->log), 0);
    partition_log_tick(fixture->log, fixture->now_ms);
    assert_int_equal(memory_files_open_count(fixture->disk), 0);
    log_fixture_stop(fixture);
    assert_int_equal(touches.segments, 0);
    memory_files_set_hook(fixture->disk, NULL, NULL);
}

static void no_segment_is_read(void **state)
{
    (void)state;
    static const struct {
        int batches;
        int64_t segment_bytes;
        bool empty_segment;
    } logs[] = {
        {0, 4000, false}, {1, 4000, false}, {40, 1000000, false}, {200, 4000, false}, {60, 4000, true}};
    for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
        struct log_fixture fixture;
        fixture_init(&fixture, 10 + i, logs[i].batches, logs[i].segment_bytes);
        if (logs[i].empty_segment)
            add_empty_segment(&fixture);
        log_fixture_stop(&fixture);
        for (int round = 0; round < 2; round++)
            start_untouched(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        fixture.leader_epoch = 100;
        log_fixture_check(&fixture);
        for (int b = 0; b < 30; b++)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        log_fixture_check(&fixture);
        log_fixture_release(&fixture);
    }
}

/* Whatever comes first, it finds the log as it was left, and what it does lasts. */
static void each_first_use_is_right(void **state)
{
    (void)state;
    for (int use = 0; use < 6; use++) {
        struct log_fixture fixture;
        struct log_timestamp_offset found;
        bool flush_first;
        fixture_init(&fixture, 30 + (uint64_t)use, 80, 4000);
        log_fixture_stop(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        int64_t end = partition_log_end_offset(fixture.log);
        const struct model_batch *last = &fixture.batches[fixture.batches_count - 1];
        if (use == 0) {
            assert_int_equal(log_fixture_append_idempotent(&fixture), KAFKA_NONE);
        } else if (use == 1) {
            assert_int_equal(log_fixture_truncate(&fixture, last->base_offset), KAFKA_NONE);
        } else if (use == 2) {
            assert_int_equal(log_fixture_truncate(&fixture, fixture.log->segments[1]->base_offset),
                             KAFKA_NONE);
        } else if (use == 3) {
            assert_int_equal(partition_log_find_max_timestamp(fixture.log, end, &found), KAFKA_NONE);
            assert_true(found.timestamp > 0);
        } else if (use == 4) {
            assert_int_equal(partition_log_skip_to(fixture.log, end + 10, fixture.now_ms), KAFKA_NONE);
            assert_int_equal(fixture.log->end_offset, end + 10);
            log_fixture_release(&fixture);
            continue;
        } else {
            fixture.now_ms += fixture.options.settings.retention_ms * 2;
            do {
                assert_int_equal(partition_log_retain(fixture.log, end, fixture.now_ms, &flush_first), 0);
                assert_int_equal(partition_log_flush(fixture.log), 0);
            } while (flush_first);
            assert_int_equal(fixture.log->start_offset, end);
            log_fixture_model_truncate(&fixture, 0);
        }
        log_fixture_check(&fixture);
        log_fixture_stop(&fixture);
        start_untouched(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        log_fixture_check(&fixture);
        log_fixture_release(&fixture);
    }
}

/* ---- what is not believed ---- */

static void contradictions_are_looked_at(void **state)
{
    (void)state;
    for (int lie = 0; lie < 6; lie++) {
        struct log_fixture fixture;
        struct touches touches = {0};
        struct buffer path;
        fixture_init(&fixture, 50 + (uint64_t)lie, 80, 4000);
        if (lie == 3)
            add_empty_segment(&fixture);
        log_fixture_stop(&fixture);
        struct file_system *files = fixture.options.files;
        int64_t end = fixture.checkpointed_recovery_point;
        buffer_init(&path);
        if (lie == 0)
            fixture.checkpointed_recovery_point = LOG_RECOVERY_POINT_UNKNOWN;
        else if (lie == 1)
            fixture.checkpointed_recovery_point = 1;
        else if (lie == 2)
            fixture.checkpointed_recovery_point = end - 1;
        else if (lie == 3)
            fixture.checkpointed_recovery_point = end + 1;
        else if (lie == 4)
            buffer_print(&path, "%s/%020" PRId64 ".snapshot", FIXTURE_DIRECTORY, end);
        else
            buffer_print(&path, "%s/%s", FIXTURE_DIRECTORY, LEADER_EPOCH_CHECKPOINT);
        if (path.length > 0)
            assert_int_equal(file_system_remove(files, buffer_string(&path)), 0);
        memory_files_set_hook(fixture.disk, count_touches, &touches);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        assert_true(touches.segments > 0);
        memory_files_set_hook(fixture.disk, NULL, NULL);
        assert_int_equal(partition_log_end_offset(fixture.log), end);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        buffer_release(&path);
        log_fixture_release(&fixture);
    }
}

/* ---- files that were changed while the broker was down ---- */

enum change {
    LONGER,
    SHORTER,
    TORN,
    OVERWRITTEN,
    EMPTY_GROWN, /* the segment before an empty one */
    CHANGES,
};

/* Changes the last segment that has something; *kept: how many of the model's batches are still sound. */
static void change_files(struct log_fixture *fixture, enum change change, size_t *kept)
{
    struct file_system *files = fixture->options.files;
    struct file *file;
    struct model_batch *last = &fixture->batches[fixture->batches_count - 1];
    struct buffer path, more;
    int64_t base = 0, size;
    assert_int_equal(log_fixture_open(fixture, true), 0);
    for (size_t i = 0; i < fixture->log->segments_count; i++)
        if (fixture->log->segments[i]->size_bytes > 0)
            base = fixture->log->segments[i]->base_offset;
    log_fixture_drop(fixture);
    buffer_init(&path);
    buffer_init(&more);
    buffer_print(&path, "%s/%020" PRId64 ".log", FIXTURE_DIRECTORY, base);
    assert_int_equal(file_open(files, buffer_string(&path), FILE_WRITE, &file), 0);
    assert_int_equal(file_size(files, file, &size), 0);
    int64_t last_bytes = (int64_t)last->bytes.length;
    *kept = fixture->batches_count;
    if (change == LONGER || change == EMPTY_GROWN) {
        const struct batch_plan plan = batch_plan_plain(2, fixture->now_ms);
        make_batch(&fixture->prng, &plan, &more);
        record_batch_set_base_offset(more.data, last->last_offset + 1);
        record_batch_set_leader_epoch(more.data, fixture->leader_epoch);
        struct iovec part = {more.data, more.length};
        assert_int_equal(file_write_all(files, file, &part, 1, size), 0);
    } else if (change == OVERWRITTEN) {
        uint8_t zeroes[16] = {0};
        struct iovec part = {zeroes, sizeof(zeroes)};
        assert_int_equal(file_write_all(files, file, &part, 1, size - last_bytes), 0);
        *kept -= 1;
    } else {
        assert_int_equal(file_truncate(files, file, size - (change == TORN ? 3 : last_bytes)), 0);
        *kept -= 1;
    }
    file_close(files, file);
    buffer_release(&path);
    buffer_release(&more);
}

static int16_t use(struct log_fixture *fixture, int which)
{
    struct log_range range;
    struct log_timestamp_offset found;
    int64_t end = partition_log_end_offset(fixture->log);
    switch (which) {
    case 0:
        return log_fixture_append(fixture);
    case 1:
        return partition_log_read(fixture->log, end - 1, 1, end, true, &range);
    case 2:
        return partition_log_find_timestamp(fixture->log, fixture->now_ms * 2, end, &found);
    case 3:
        return partition_log_truncate(fixture->log, end - 1, fixture->now_ms);
    default:
        return partition_log_find_max_timestamp(fixture->log, end, &found);
    }
}

#define USES 5

/* After the refusal: nothing was written, and the next start, whatever its kind, recovers what is sound. */
static void restart_after_refusal(struct log_fixture *fixture, size_t kept, bool clean)
{
    for (int which = 0; which < USES; which++)
        assert_int_equal(use(fixture, which), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_log_failure(fixture->log), -EBADMSG);
    assert_true(partition_log_recovery_point(fixture->log) <= fixture->checkpointed_recovery_point);
    if (clean) {
        log_fixture_stop(fixture);
        assert_int_equal(log_fixture_open(fixture, true), 0);
    } else {
        log_fixture_crash(fixture, MEMORY_FILES_PROCESS_CRASH);
    }
    int64_t end = fixture->batches[kept - 1].last_offset + 1;
    log_fixture_model_truncate(fixture, end);
    assert_true(partition_log_end_offset(fixture->log) >= end);
    struct buffer all, expected;
    buffer_init(&all);
    buffer_init(&expected);
    log_fixture_read_all(fixture, &all);
    log_fixture_model_bytes(fixture, &expected);
    assert_true(all.length >= expected.length);
    assert_memory_equal(all.data, expected.data, expected.length);
    log_fixture_model_from(fixture, buffer_slice(&all));
    assert_int_equal(log_fixture_append(fixture), KAFKA_NONE);
    log_fixture_check(fixture);
    log_fixture_check_derived(fixture);
    buffer_release(&all);
    buffer_release(&expected);
}

static void changed_files_are_refused_and_then_recovered(void **state)
{
    (void)state;
    for (int change = 0; change < CHANGES; change++) {
        for (int which = 0; which < USES * 2; which++) {
            struct log_fixture fixture;
            struct log_health health = {0};
            size_t kept;
            fixture_init(&fixture, 100 + (uint64_t)(change * 10 + which), 70, 4000);
            fixture.options.health = &health;
            /* A file that loses its only batch is no secret. */
            while (fixture.batches[fixture.batches_count - 1].base_offset ==
                   partition_log_active(fixture.log)->base_offset)
                assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
            if (change == EMPTY_GROWN)
                add_empty_segment(&fixture);
            log_fixture_stop(&fixture);
            change_files(&fixture, (enum change)change, &kept);
            struct touches touches = {0};
            memory_files_set_hook(fixture.disk, count_touches, &touches);
            assert_int_equal(log_fixture_open(&fixture, true), 0);
            assert_int_equal(touches.segments, 0);
            memory_files_set_hook(fixture.disk, NULL, NULL);
            /* What lies in older segments is what it was. */
            struct log_range range;
            int64_t end = partition_log_end_offset(fixture.log);
            assert_int_equal(partition_log_read(fixture.log, 0, 1, end, true, &range), KAFKA_NONE);
            assert_true(range.length > 0);
            log_range_release(&range);
            assert_int_equal(use(&fixture, which % USES), KAFKA_KAFKA_STORAGE_ERROR);
            assert_int_equal(atomic_load(&health.failure), 0);
            restart_after_refusal(&fixture, kept, which < USES);
            log_fixture_release(&fixture);
        }
    }
}

/* Headers may be sane where bytes are not: what was refused, or could not be opened, is checked by the next
 * start, whatever the stop before it says. */
static void an_old_recovery_point_is_begun_at(void **state)
{
    (void)state;
    for (int far = 0; far < 2; far++) {
        struct log_fixture fixture;
        struct buffer path;
        fixture_init(&fixture, 400 + (uint64_t)far, 70, 4000);
        log_fixture_stop(&fixture);
        /* A byte of the value of the last batch, or of one in a segment before the last. */
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        size_t number = fixture.log->segments_count - (far ? 3 : 1);
        int64_t base = fixture.log->segments[number]->base_offset;
        int64_t position = fixture.log->segments[number]->size_bytes - 1;
        log_fixture_drop(&fixture);
        buffer_init(&path);
        buffer_print(&path, "%s/%020" PRId64 ".log", FIXTURE_DIRECTORY, base);
        assert_int_equal(memory_files_flip(fixture.disk, buffer_string(&path), position, 1), 0);
        fixture.checkpointed_recovery_point = base;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        size_t kept = 0;
        while (kept < fixture.batches_count &&
               fixture.batches[kept].last_offset < partition_log_end_offset(fixture.log))
            kept++;
        assert_true(kept > 0 && kept < fixture.batches_count);
        assert_true(partition_log_end_offset(fixture.log) > base);
        log_fixture_model_truncate(&fixture, fixture.batches[kept - 1].last_offset + 1);
        log_fixture_check(&fixture);
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        log_fixture_check_derived(&fixture);
        buffer_release(&path);
        log_fixture_release(&fixture);
    }
}

/* Nobody used it: the belief stands, the stop is clean, the next start believes as much. */
static void what_nobody_uses_stays_as_it_is(void **state)
{
    (void)state;
    struct log_fixture fixture;
    size_t kept;
    fixture_init(&fixture, 300, 50, 4000);
    log_fixture_stop(&fixture);
    change_files(&fixture, TORN, &kept);
    start_untouched(&fixture);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_KAFKA_STORAGE_ERROR);
    log_fixture_release(&fixture);
}

/* To empty the log is a way out, as a follower does whose leader begins above its end. */
static void an_emptied_log_needs_no_check(void **state)
{
    (void)state;
    struct log_fixture fixture;
    size_t kept;
    fixture_init(&fixture, 301, 50, 4000);
    log_fixture_stop(&fixture);
    change_files(&fixture, TORN, &kept);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    int64_t end = partition_log_end_offset(fixture.log);
    assert_int_equal(partition_log_truncate_fully(fixture.log, end + 100, fixture.now_ms), KAFKA_NONE);
    log_fixture_model_truncate(&fixture, 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

/* A damaged snapshot at the end has the batches read at the start: then the log is recovered there. */
static void a_damaged_snapshot_has_the_batches_read(void **state)
{
    (void)state;
    for (int changed = 0; changed < 2; changed++) {
        struct log_fixture fixture;
        struct buffer path;
        size_t kept;
        fixture_init(&fixture, 310 + (uint64_t)changed, 50, 4000);
        log_fixture_stop(&fixture);
        kept = fixture.batches_count;
        if (changed)
            change_files(&fixture, SHORTER, &kept);
        buffer_init(&path);
        buffer_print(&path, "%s/%020" PRId64 ".snapshot", FIXTURE_DIRECTORY,
                     fixture.checkpointed_recovery_point);
        assert_int_equal(memory_files_flip(fixture.disk, buffer_string(&path), 8, 1), 0);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        log_fixture_model_truncate(&fixture, fixture.batches[kept - 1].last_offset + 1);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        fixture.next_sequence = 0;
        fixture.next_producer_id = 77;
        assert_int_equal(log_fixture_append_idempotent(&fixture), KAFKA_NONE);
        log_fixture_check(&fixture);
        buffer_release(&path);
        log_fixture_release(&fixture);
    }
}

/* The disk, and not the log, may be at fault at the first use. */
static void errors_of_the_disk_are_no_mismatch(void **state)
{
    (void)state;
    static const int errors[] = {-EMFILE, -EIO};
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct log_fixture fixture;
        struct log_health health = {0};
        fixture_init(&fixture, 320 + i, 50, 4000);
        fixture.options.health = &health;
        log_fixture_stop(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        struct touches touches = {.failing = 1, .error = errors[i]};
        memory_files_set_hook(fixture.disk, count_touches, &touches);
        assert_int_equal(log_fixture_append(&fixture), KAFKA_KAFKA_STORAGE_ERROR);
        memory_files_set_hook(fixture.disk, NULL, NULL);
        assert_int_equal(atomic_load(&health.failure), errors[i] == -EIO ? -EIO : 0);
        if (errors[i] != -EIO) {
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
            log_fixture_check(&fixture);
        }
        log_fixture_release(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_segment_is_read),
        cmocka_unit_test(each_first_use_is_right),
        cmocka_unit_test(contradictions_are_looked_at),
        cmocka_unit_test(changed_files_are_refused_and_then_recovered),
        cmocka_unit_test(an_old_recovery_point_is_begun_at),
        cmocka_unit_test(what_nobody_uses_stays_as_it_is),
        cmocka_unit_test(an_emptied_log_needs_no_check),
        cmocka_unit_test(a_damaged_snapshot_has_the_batches_read),
        cmocka_unit_test(errors_of_the_disk_are_no_mismatch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
