/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that are full, refuse, or hold garbage where an index should be (invariants I5, I6, I11). */
#include <errno.h>
#include <unistd.h>
#include <stdio.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/disk_error.h"
#include "broker/log/open_files.h"
#include "broker/log/partition_log_private.h"
#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/log.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "tests/unit/log/log_fixture.h"

/* A full disk at the n-th write, with so many bytes of it written, for every n: nothing half stays. */
static void i5_a_full_disk_costs_one_append(void **state)
{
    (void)state;
    for (uint64_t after = 0; after < 120; after++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, 21 + after);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        const struct memory_files_fault fault = {
            .operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
            .after = after,
            .error = -ENOSPC,
            .short_bytes = prng_between(&fixture.prng, -1, 200),
        };
        memory_files_set_fault(fixture.disk, &fault);
        int refused = 0;
        for (int i = 0; i < 60; i++) {
            int16_t error =
                i % 4 == 0 ? log_fixture_append_idempotent(&fixture) : log_fixture_append(&fixture);
            refused += error == KAFKA_KAFKA_STORAGE_ERROR;
            assert_true(error == KAFKA_NONE || error == KAFKA_KAFKA_STORAGE_ERROR);
        }
        assert_true(refused <= 1);
        assert_int_equal(partition_log_failure(fixture.log), 0);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        log_fixture_release(&fixture);
    }
}

/* The disk stays full for a while, whatever is tried; then there is room again. */
static void i5_a_disk_that_was_full_serves_again(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 22);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 20; i++)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        size_t room = (size_t)prng_below(&fixture.prng, 900);
        memory_files_set_capacity(fixture.disk, memory_files_used_bytes(fixture.disk) + room);
        int refused = 0;
        for (int i = 0; i < 30; i++)
            refused += log_fixture_append(&fixture) == KAFKA_KAFKA_STORAGE_ERROR;
        assert_true(refused > 10);
        log_fixture_check(&fixture);
        memory_files_set_capacity(fixture.disk, SIZE_MAX);
    }
    assert_int_equal(partition_log_failure(fixture.log), 0);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

static void i6_a_failed_sync_takes_the_log_offline(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 23);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC),
                                             .error = -EIO,
                                             .short_bytes = -1,
                                             .path_part = ".log"};
    memory_files_set_fault(fixture.disk, &fault);
    assert_int_equal(partition_log_flush(fixture.log), -EIO);
    assert_int_equal(partition_log_failure(fixture.log), -EIO);
    assert_int_equal(partition_log_recovery_point(fixture.log), 0);
    uint64_t syncs = memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_SYNC));
    assert_int_equal(partition_log_flush(fixture.log), -EIO);
    assert_int_equal(partition_log_close(fixture.log), -EIO);
    assert_int_equal(memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_SYNC)), syncs);
    struct log_range range;
    struct log_timestamp_offset found;
    assert_int_equal(log_fixture_append(&fixture), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_log_read(fixture.log, 0, 100, 1, true, &range), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_log_truncate(fixture.log, 0, 0), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_log_find_timestamp(fixture.log, 0, 1, &found), KAFKA_KAFKA_STORAGE_ERROR);
    log_fixture_release(&fixture);
}

/* Two flushes are on their way when the disk fails once: the other one does not take its silence for success.
 */
static void i6_a_failed_sync_is_not_tried_by_another_flush(void **state)
{
    (void)state;
    struct log_fixture fixture;
    struct log_flush *flushes[2];
    log_fixture_init(&fixture, 30);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(partition_log_flush_begin(fixture.log, &flushes[i]), 0);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC),
                                             .error = -EIO,
                                             .short_bytes = -1,
                                             .path_part = ".log"};
    memory_files_set_fault(fixture.disk, &fault);
    assert_int_equal(log_flush_run(flushes[0]), -EIO);
    uint64_t syncs = memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_SYNC));
    assert_int_equal(log_flush_run(flushes[1]), -EIO);
    assert_int_equal(memory_files_operations(fixture.disk, MEMORY_FILES_BIT(MEMORY_FILES_SYNC)), syncs);
    assert_int_equal(partition_log_flush_end(fixture.log, flushes[1], -EIO), -EIO);
    assert_int_equal(partition_log_flush_end(fixture.log, flushes[0], -EIO), -EIO);
    assert_int_equal(partition_log_recovery_point(fixture.log), 0);
    log_fixture_release(&fixture);
}

static void an_append_waits_for_no_sync(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 24);
    fixture.options.settings.flush_messages = 1;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC), .error = -EIO, .short_bytes = -1};
    memory_files_set_fault(fixture.disk, &fault);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    assert_int_equal(partition_log_recovery_point(fixture.log), 0);
    assert_true(partition_log_wants_flush(fixture.log));
    assert_int_equal(partition_log_flush(fixture.log), -EIO);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_log_failure(fixture.log), -EIO);
    log_fixture_release(&fixture);
}

/* No descriptor left for an index or the folder: the flush is put off, and nothing goes offline (I11). */
static void a_flush_without_descriptors_is_put_off(void **state)
{
    (void)state;
    static const struct {
        uint32_t operations;
        int error;
        const char *path_part;
        bool put_off;
    } cases[] = {
        {MEMORY_FILES_BIT(MEMORY_FILES_OPEN), -EMFILE, "index", false},
        {MEMORY_FILES_BIT(MEMORY_FILES_SYNC), -ENOSPC, "index", false},
        {MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY), -EMFILE, NULL, true},
        {MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY), -ENFILE, NULL, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, 27);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        while (fixture.log->segments_count < 3)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        const struct memory_files_fault fault = {.operations = cases[i].operations,
                                                 .error = cases[i].error,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = cases[i].path_part};
        struct log_flush *flush;
        assert_int_equal(partition_log_flush_begin(fixture.log, &flush), 0);
        memory_files_set_fault(fixture.disk, &fault);
        int error = log_flush_run(flush);
        assert_true(memory_files_fault_count(fixture.disk) > 0);
        memory_files_set_fault(fixture.disk, NULL);
        assert_int_equal(partition_log_flush_end(fixture.log, flush, error),
                         cases[i].put_off ? cases[i].error : 0);
        assert_int_equal(partition_log_failure(fixture.log), 0);
        assert_int_equal(partition_log_recovery_point(fixture.log),
                         cases[i].put_off ? 0 : partition_log_end_offset(fixture.log));
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        assert_int_equal(partition_log_flush(fixture.log), 0);
        assert_int_equal(partition_log_recovery_point(fixture.log), partition_log_end_offset(fixture.log));
        log_fixture_crash(&fixture, MEMORY_FILES_POWER_CUT);
        log_fixture_check(&fixture);
        log_fixture_release(&fixture);
    }
}

/* Compressed records are taken unseen; what is no records at all must not keep others from being found. */
static void garbage_in_a_compressed_batch_is_answered_as_a_whole(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 28);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    struct batch_plan plan = batch_plan_plain(3, 5000);
    assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
    struct buffer bytes;
    buffer_init(&bytes);
    plan = batch_plan_plain(4, 6000);
    plan.codec = CODEC_ZSTD;
    make_batch(&fixture.prng, &plan, &bytes);
    memset(bytes.data + RECORD_BATCH_RECORDS_AT, 0xa5, bytes.length - RECORD_BATCH_RECORDS_AT);
    store_u32(bytes.data + RECORD_BATCH_CRC_AT,
              crc32c(0, bytes.data + RECORD_BATCH_ATTRIBUTES_AT, bytes.length - RECORD_BATCH_ATTRIBUTES_AT));
    /* A leader would not take it. */
    record_batch_set_base_offset(bytes.data, 3);
    assert_int_equal(log_fixture_follow(&fixture, &bytes), KAFKA_NONE);
    buffer_release(&bytes);
    plan = batch_plan_plain(2, 7000);
    assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
    struct log_timestamp_offset found;
    int64_t end = partition_log_end_offset(fixture.log);
    assert_int_equal(partition_log_find_timestamp(fixture.log, 5500, end, &found), KAFKA_NONE);
    assert_int_equal(found.offset, 3);
    assert_int_equal(found.timestamp, 6000);
    assert_int_equal(partition_log_find_timestamp(fixture.log, 6500, end, &found), KAFKA_NONE);
    assert_int_equal(found.offset, 7);
    log_fixture_release(&fixture);
}

/* One unusual batch must not cost its memory for ever. */
static void large_buffers_are_let_go(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 29);
    fixture.options.settings.compacted = true;
    fixture.options.settings.segment_bytes = (int64_t)100 << 20;
    fixture.options.settings.max_message_bytes = 20 << 20;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    struct batch_plan plan = batch_plan_plain(100, 5000);
    plan.value_bytes = 100000;
    plan.codec = CODEC_LZ4;
    assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
    assert_true(fixture.log->scratch.capacity <= 1 << 20);
    struct log_timestamp_offset found;
    assert_int_equal(partition_log_find_timestamp(fixture.log, 5000, 100, &found), KAFKA_NONE);
    assert_int_equal(found.offset, 0);
    assert_true(fixture.log->scratch.capacity <= 1 << 20);
    log_fixture_release(&fixture);
}

/* A disk that cannot read is no reason to cut (I6); nor is a file system whose own sums are wrong, which says
 * -EBADMSG or -EUCLEAN. */
static void i6_an_unreadable_log_is_not_repaired(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -EBADMSG, -EUCLEAN};
    struct log_fixture fixture;
    log_fixture_init(&fixture, 25);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 60; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    uint64_t failures = 0;
    for (uint64_t after = 0;; after++) {
        log_fixture_drop(&fixture);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_READ),
                                                 .after = after / ARRAY_SIZE(errors),
                                                 .error = errors[after % ARRAY_SIZE(errors)],
                                                 .short_bytes = -1,
                                                 .path_part = ".log"};
        memory_files_set_fault(fixture.disk, &fault);
        int error = log_fixture_open(&fixture, false);
        bool struck = memory_files_fault_count(fixture.disk) > 0;
        memory_files_set_fault(fixture.disk, NULL);
        assert_int_equal(error, struck ? -EIO : 0);
        if (!struck)
            break;
        failures++;
        assert_int_equal(log_fixture_open(&fixture, false), 0);
        log_fixture_check(&fixture);
    }
    assert_true(failures > 2 * ARRAY_SIZE(errors));
    log_fixture_release(&fixture);
}

/* Any one operation of opening fails: an error, and nothing is lost. */
static void opening_fails_without_loss(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -ENOSPC, -EMFILE};
    struct log_fixture fixture;
    log_fixture_init(&fixture, 26);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(i % 3 ? log_fixture_append(&fixture) : log_fixture_append_idempotent(&fixture),
                         KAFKA_NONE);
    for (uint64_t after = 0;; after++) {
        log_fixture_drop(&fixture);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_ALL_OPERATIONS,
                                                 .after = after,
                                                 .error = errors[after % ARRAY_SIZE(errors)],
                                                 .short_bytes = -1};
        memory_files_set_fault(fixture.disk, &fault);
        int error = log_fixture_open(&fixture, false);
        bool struck = memory_files_fault_count(fixture.disk) > 0;
        memory_files_set_fault(fixture.disk, NULL);
        if (error)
            assert_int_equal(log_fixture_open(&fixture, false), 0);
        log_fixture_check(&fixture);
        log_fixture_check_derived(&fixture);
        if (!struck)
            break;
    }
    log_fixture_release(&fixture);
}

/* Fills an index file with something else. */
static void spoil(struct log_fixture *fixture, int64_t base, const char *suffix)
{
    struct buffer path, content;
    buffer_init(&path);
    buffer_init(&content);
    buffer_print(&path, "%s/%020" PRId64 "%s", FIXTURE_DIRECTORY, base, suffix);
    struct file_system *files = fixture->options.files;
    assert_int_equal(file_system_read_all(files, buffer_string(&path), 1 << 20, &content), 0);
    struct file *file;
    assert_int_equal(file_open(files, buffer_string(&path), FILE_CREATE, &file), 0);
    switch (prng_below(&fixture->prng, 5)) {
    case 0: /* gone */
        content.length = 0;
        break;
    case 1: /* cut anywhere */
        content.length = (size_t)prng_below(&fixture->prng, content.length + 1);
        break;
    case 2: { /* a zeroed tail, as a crash leaves a preallocated file */
        size_t more = (size_t)prng_below(&fixture->prng, 300);
        memset(buffer_extend(&content, more), 0, more);
        break;
    }
    case 3: /* a few bits */
        for (int i = 0; i < 4 && content.length > 0; i++)
            content.data[prng_below(&fixture->prng, content.length)] ^=
                (uint8_t)(1u << prng_below(&fixture->prng, 8));
        break;
    default: /* noise, with small numbers that look like entries */
        content.length = 0;
        for (int i = 0; i < 400; i++)
            *buffer_extend(&content, 1) = i % 4 < 3 ? 0 : (uint8_t)prng_next(&fixture->prng);
        break;
    }
    assert_int_equal(file_truncate(files, file, 0), 0);
    struct iovec part = {content.data, content.length};
    if (content.length > 0)
        assert_int_equal(file_write_all(files, file, &part, 1, 0), 0);
    file_close(files, file);
    buffer_release(&path);
    buffer_release(&content);
}

static void i11_spoiled_indexes_cost_time_only(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct log_fixture fixture;
        log_fixture_init(&fixture, seed);
        fixture.options.settings.index_interval_bytes = 100;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 80; i++)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        struct log_timestamp_offset expected[20], found;
        int64_t targets[20];
        int64_t end = partition_log_end_offset(fixture.log);
        for (int i = 0; i < 20; i++) {
            targets[i] = prng_between(&fixture.prng, 1700000000000, fixture.now_ms);
            assert_int_equal(partition_log_find_timestamp(fixture.log, targets[i], end, &expected[i]),
                             KAFKA_NONE);
        }
        assert_int_equal(partition_log_close(fixture.log), 0);
        fixture.checkpointed_recovery_point = partition_log_recovery_point(fixture.log);
        size_t segments = fixture.log->segments_count;
        for (size_t i = 0; i < segments; i++) {
            int64_t base = fixture.log->segments[i]->base_offset;
            spoil(&fixture, base, ".index");
            spoil(&fixture, base, ".timeindex");
        }
        log_fixture_drop(&fixture);
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        log_fixture_check(&fixture);
        for (int i = 0; i < 20; i++) {
            assert_int_equal(partition_log_find_timestamp(fixture.log, targets[i], end, &found), KAFKA_NONE);
            assert_int_equal(found.offset, expected[i].offset);
        }
        for (int i = 0; i < 20; i++)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        log_fixture_check(&fixture);
        log_fixture_release(&fixture);
    }
}

/* Whatever reads it, and however often: one line, which tells the file, the place and the offset. */
static void assert_damage_was_said_once(struct log_fixture *fixture, const int ends[2], int64_t position,
                                        int64_t offset)
{
    struct log_timestamp_offset found;
    struct log_range range;
    char lines[4096], told[200];
    int64_t end = partition_log_end_offset(fixture->log);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(partition_log_read(fixture->log, offset, 1, end, true, &range),
                         KAFKA_CORRUPT_MESSAGE);
        int16_t error = partition_log_find_timestamp(fixture->log, INT64_MAX, end, &found);
        assert_true(error == KAFKA_NONE || error == KAFKA_CORRUPT_MESSAGE);
    }
    assert_int_equal(write(ends[1], "\n", 1), 1); /* so that there is something to read */
    ssize_t got = read(ends[0], lines, sizeof(lines) - 1);
    assert_true(got > 1);
    lines[got] = 0;
    assert_ptr_equal(strchr(lines, '\n'), lines + got - 2);
    snprintf(told, sizeof(told),
             "00000000000000000000.log is damaged: no sound batch begins at byte %" PRId64, position);
    assert_non_null(strstr(lines, told));
    snprintf(told, sizeof(told), "from %" PRId64 " on", offset);
    assert_non_null(strstr(lines, told));
}

/* A damaged place costs one scan and one line, not one a fetch; what lies behind it stays in reach. */
static void damage_is_scanned_once(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 51);
    fixture.options.settings.segment_bytes = 1 << 20;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct logger *logger = logger_new(ends[1], LOG_WARN, "test");
    fixture.options.logger = logger;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_stop(&fixture);
    int64_t position = 0;
    for (size_t i = 0; i < 100; i++)
        position += (int64_t)fixture.batches[i].bytes.length;
    /* The magic of the batch in the middle. */
    assert_int_equal(memory_files_flip(fixture.disk, FIXTURE_DIRECTORY "/00000000000000000000.log",
                                       position + RECORD_BATCH_MAGIC_AT, 0x40),
                     0);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    int64_t end = partition_log_end_offset(fixture.log);
    struct log_range range;
    int64_t damaged = fixture.batches[100].base_offset;
    assert_int_equal(partition_log_read(fixture.log, damaged, 1, end, true, &range), KAFKA_CORRUPT_MESSAGE);
    uint64_t reads = memory_files_operations(fixture.disk, MEMORY_FILES_ALL_OPERATIONS);
    assert_int_equal(partition_log_read(fixture.log, damaged, 1, end, true, &range), KAFKA_CORRUPT_MESSAGE);
    assert_true(memory_files_operations(fixture.disk, MEMORY_FILES_ALL_OPERATIONS) - reads <= 3);
    assert_damage_was_said_once(&fixture, ends, position, damaged);
    assert_int_equal(partition_log_failure(fixture.log), 0);
    for (size_t i = 0; i < 200; i++) {
        if (i >= 95 && i < 110)
            continue;
        assert_int_equal(
            partition_log_read(fixture.log, fixture.batches[i].base_offset, 1, end, true, &range),
            KAFKA_NONE);
        assert_int_equal(range.length, fixture.batches[i].bytes.length);
        log_range_release(&range);
    }
    log_fixture_release(&fixture);
    logger_free(logger);
    close(ends[0]);
    close(ends[1]);
}

/* A large last batch is no sign of a lost index. */
static void a_large_last_batch_needs_no_rebuild(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 52);
    fixture.options.settings.segment_bytes = (int64_t)64 << 20;
    fixture.options.settings.max_message_bytes = 16 << 20;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    struct batch_plan plan = batch_plan_plain(40, fixture.now_ms);
    plan.value_bytes = 200000;
    assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
    log_fixture_stop(&fixture);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_false(partition_log_active(fixture.log)->rebuilt);
    log_fixture_check(&fixture);
    assert_false(partition_log_active(fixture.log)->rebuilt);
    log_fixture_release(&fixture);
}

/* What compaction left half-way, and damaged: its readable part comes in, and the log opens. */
static void a_damaged_swap_file_keeps_nothing_from_opening(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 54);
    fixture.options.settings.segment_bytes = 1 << 20;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_drop(&fixture);
    static const char *const path = FIXTURE_DIRECTORY "/00000000000000000000.log";
    int64_t position = 0;
    for (size_t i = 0; i < 6; i++)
        position += (int64_t)fixture.batches[i].bytes.length;
    assert_int_equal(memory_files_flip(fixture.disk, path, position + RECORD_BATCH_MAGIC_AT, 0x40), 0);
    assert_int_equal(
        file_system_rename(fixture.options.files, path, FIXTURE_DIRECTORY "/00000000000000000000.log.swap"),
        0);
    assert_int_equal(log_fixture_open(&fixture, false), 0);
    log_fixture_model_truncate(&fixture, fixture.batches[6].base_offset);
    log_fixture_check(&fixture);
    log_fixture_release(&fixture);
}

/* A cut that meets what passes, at any of its operations, is one that can be made later. */
static void a_cut_can_wait(void **state)
{
    (void)state;
    static const uint32_t operations[] = {
        MEMORY_FILES_BIT(MEMORY_FILES_OPEN) | MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY),
        MEMORY_FILES_BIT(MEMORY_FILES_OPEN) | MEMORY_FILES_BIT(MEMORY_FILES_WRITE)};
    static const int errors[] = {-EMFILE, -ENOSPC};
    for (int all = 0; all < 2; all++) {
        uint64_t refused = 0;
        for (uint64_t round = 0;; round++) {
            struct log_fixture fixture;
            log_fixture_init(&fixture, 90);
            assert_int_equal(log_fixture_open(&fixture, true), 0);
            for (int i = 0; i < 60; i++)
                assert_int_equal(i % 3 ? log_fixture_append(&fixture)
                                       : log_fixture_append_idempotent(&fixture),
                                 KAFKA_NONE);
            log_fixture_stop(&fixture);
            struct open_files *files = open_files_new(40);
            fixture.options.open_files = files;
            assert_int_equal(log_fixture_open(&fixture, true), 0);
            open_files_add(files, 60); /* of other logs */
            const struct memory_files_fault fault = {.operations = operations[round % 2],
                                                     .after = round / 2,
                                                     .error = errors[round % 2],
                                                     .short_bytes = -1};
            memory_files_set_fault(fixture.disk, &fault);
            int64_t offset = all ? 0 : fixture.batches[25].base_offset;
            int16_t error = log_fixture_truncate(&fixture, offset);
            bool struck = memory_files_fault_count(fixture.disk) > 0;
            memory_files_set_fault(fixture.disk, NULL);
            assert_int_equal(partition_log_failure(fixture.log), 0);
            assert_true(struck || error == KAFKA_NONE);
            refused += error != KAFKA_NONE;
            open_files_add(files, -60);
            log_fixture_check(&fixture);
            if (error)
                assert_int_equal(log_fixture_truncate(&fixture, offset), KAFKA_NONE);
            assert_int_equal(partition_log_end_offset(fixture.log), offset);
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
            log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
            log_fixture_check(&fixture);
            log_fixture_check_derived(&fixture);
            log_fixture_release(&fixture);
            open_files_release(files);
            if (!struck && round % 2)
                break;
        }
        assert_true(refused > 1);
    }
}

/* What is not known to pass takes the directory offline; what we say ourselves does not. */
static void i6_errors_of_the_disk_are_sorted(void **state)
{
    (void)state;
    static const int full[] = {-ENOSPC, -EDQUOT};
    static const int passing[] = {0,        -ENOENT,   -EEXIST, -EMFILE,    -ENFILE,       -ENOMEM,
                                  -EINTR,   -EAGAIN,   -EBUSY,  -ENOTEMPTY, -ENAMETOOLONG, -EBADMSG,
                                  -ENOBUFS, -ECANCELED};
    static const int failed[] = {-EIO,       -EROFS,     -ENODEV,    -ENXIO,   -ESTALE, -EUCLEAN,
                                 -ENOTDIR,   -EACCES,    -EPERM,     -ENODATA, -EILSEQ, -ENOLINK,
                                 -EREMOTEIO, -ESHUTDOWN, -ETIMEDOUT, -EINVAL};
    for (size_t i = 0; i < ARRAY_SIZE(full); i++)
        assert_int_equal(disk_error_of(full[i]), DISK_ERROR_FULL);
    for (size_t i = 0; i < ARRAY_SIZE(passing); i++)
        assert_int_equal(disk_error_of(passing[i]), DISK_ERROR_PASSING);
    for (size_t i = 0; i < ARRAY_SIZE(failed); i++)
        assert_int_equal(disk_error_of(failed[i]), DISK_ERROR_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i5_a_full_disk_costs_one_append),
        cmocka_unit_test(i5_a_disk_that_was_full_serves_again),
        cmocka_unit_test(i6_a_failed_sync_takes_the_log_offline),
        cmocka_unit_test(i6_a_failed_sync_is_not_tried_by_another_flush),
        cmocka_unit_test(an_append_waits_for_no_sync),
        cmocka_unit_test(a_flush_without_descriptors_is_put_off),
        cmocka_unit_test(garbage_in_a_compressed_batch_is_answered_as_a_whole),
        cmocka_unit_test(large_buffers_are_let_go),
        cmocka_unit_test(a_cut_can_wait),
        cmocka_unit_test(i6_errors_of_the_disk_are_sorted),
        cmocka_unit_test(i6_an_unreadable_log_is_not_repaired),
        cmocka_unit_test(opening_fails_without_loss),
        cmocka_unit_test(i11_spoiled_indexes_cost_time_only),
        cmocka_unit_test(damage_is_scanned_once),
        cmocka_unit_test(a_damaged_swap_file_keeps_nothing_from_opening),
        cmocka_unit_test(a_large_last_batch_needs_no_rebuild),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
