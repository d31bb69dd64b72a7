/* SPDX-License-Identifier: Apache-2.0 */
/* A folder that Apache Kafka 3.9 wrote, with transactions in it (tests/golden/log), opens and serves. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

#define LAST_STABLE_OFFSET 31
#define END_OFFSET 35
#define CRASHED_RECOVERY_POINT 27

/* Puts the files of the golden folder on the disk in memory. */
static void copy_folder(struct log_fixture *fixture, const char *folder)
{
    struct file_system *disk = memory_files_system(fixture->disk);
    assert_int_equal(file_system_make_directory(disk, FIXTURE_DIRECTORY), 0);
    struct buffer from, to, content;
    buffer_init(&from);
    buffer_init(&to);
    buffer_init(&content);
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        buffer_clear(&from);
        buffer_clear(&to);
        buffer_clear(&content);
        buffer_print(&from, "%s/%s", folder, entry->d_name);
        buffer_print(&to, "%s/%s", FIXTURE_DIRECTORY, entry->d_name);
        assert_int_equal(
            file_system_read_all(file_system_posix(), buffer_string(&from), (size_t)1 << 20, &content), 0);
        assert_int_equal(file_system_replace(disk, buffer_string(&to), content.data, content.length), 0);
    }
    closedir(directory);
    buffer_release(&from);
    buffer_release(&to);
    buffer_release(&content);
}

struct aborted_list {
    struct aborted_transaction entries[20];
    size_t count;
};

static void take(void *context, const struct aborted_transaction *entry)
{
    struct aborted_list *list = context;
    assert_true(list->count < ARRAY_SIZE(list->entries));
    list->entries[list->count++] = *entry;
}

/* Whether a reader who was given the list leaves this batch out. */
static bool is_left_out(const struct aborted_list *list, const struct record_batch *batch)
{
    if (batch->control)
        return true;
    for (size_t i = 0; i < list->count && batch->transactional; i++)
        if (list->entries[i].producer_id == batch->producer_id &&
            batch->base_offset >= list->entries[i].first_offset &&
            batch->base_offset < list->entries[i].last_offset)
            return true;
    return false;
}

static void append_records(const struct record_batch *batch, struct buffer *out)
{
    struct buffer scratch;
    struct slice records;
    struct record_iterator iterator;
    struct record record;
    buffer_init(&scratch);
    assert_int_equal(record_batch_decompress(batch, (size_t)1 << 20, &scratch, &records), 0);
    record_iterator_init(&iterator, batch, records);
    while (record_iterator_next(&iterator, &record) > 0)
        buffer_print(out, "%lld %.*s\n", (long long)record.offset, (int)record.key.length,
                     (const char *)record.key.data);
    buffer_release(&scratch);
}

/* Reads as a read_committed consumer does, in answers of so many bytes. */
static void read_committed(struct log_fixture *fixture, int64_t max_bytes, struct buffer *out)
{
    int64_t at = 0, end = partition_log_last_stable_offset(fixture->log, END_OFFSET);
    while (at < end) {
        struct log_range range;
        struct aborted_list list = {.count = 0};
        assert_int_equal(partition_log_read(fixture->log, at, max_bytes, end, true, &range), KAFKA_NONE);
        assert_true(range.length > 0);
        int64_t range_end = partition_log_range_end(fixture->log, &range, end);
        assert_int_equal(partition_log_collect_aborted(fixture->log, at, range_end, take, &list), KAFKA_NONE);
        uint8_t *bytes = memory_allocate((size_t)range.length);
        assert_int_equal(log_range_read(&range, bytes), 0);
        struct slice rest = slice_make(bytes, (size_t)range.length);
        struct record_batch batch;
        while (rest.length > 0 && record_batch_parse(rest, &batch) == 0) {
            if (!is_left_out(&list, &batch))
                append_records(&batch, out);
            at = record_batch_last_offset(&batch) + 1;
            assert_true(at <= range_end);
            rest = slice_make(rest.data + batch.size_bytes, rest.length - batch.size_bytes);
        }
        free(bytes);
        log_range_release(&range);
    }
}

static void check(struct log_fixture *fixture)
{
    struct buffer expected, actual;
    buffer_init(&expected);
    buffer_init(&actual);
    assert_int_equal(file_system_read_all(file_system_posix(), GOLDEN_DIRECTORY "/read_committed.txt",
                                          (size_t)1 << 20, &expected),
                     0);
    assert_int_equal(partition_log_start_offset(fixture->log), 0);
    assert_int_equal(partition_log_end_offset(fixture->log), END_OFFSET);
    assert_int_equal(partition_log_last_stable_offset(fixture->log, END_OFFSET), LAST_STABLE_OFFSET);
    static const int64_t sizes[] = {1, 300, 700, 100000};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        buffer_clear(&actual);
        read_committed(fixture, sizes[i], &actual);
        assert_string_equal(buffer_string(&actual), buffer_string(&expected));
    }
    buffer_release(&expected);
    buffer_release(&actual);
    struct buffer content;
    buffer_init(&content);
    log_fixture_read_all(fixture, &content);
    log_fixture_model_from(fixture, buffer_slice(&content));
    log_fixture_check_derived(fixture);
    buffer_release(&content);
}

static void init(struct log_fixture *fixture, const char *folder, int64_t recovery_point)
{
    log_fixture_init(fixture, 1);
    fixture->options.settings.segment_bytes = 1200;
    fixture->options.settings.index_interval_bytes = 200;
    fixture->options.settings.producer_id_expiration_ms = INT64_MAX / 2;
    fixture->checkpointed_recovery_point = recovery_point;
    copy_folder(fixture, folder);
}

static void after_a_clean_stop_of_kafka(void **state)
{
    (void)state;
    struct log_fixture fixture;
    init(&fixture, GOLDEN_DIRECTORY "/clean", END_OFFSET);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    check(&fixture);
    /* The indexes that we make anew are Kafka's own. */
    struct buffer before, after;
    buffer_init(&before);
    buffer_init(&after);
    log_fixture_dump(&fixture, &before);
    fixture.checkpointed_recovery_point = LOG_RECOVERY_POINT_UNKNOWN;
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    check(&fixture);
    assert_int_equal(partition_log_close(fixture.log), 0);
    log_fixture_dump(&fixture, &after);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.data, after.data, before.length);
    buffer_release(&before);
    buffer_release(&after);
    log_fixture_release(&fixture);
}

static void after_a_crash_of_kafka(void **state)
{
    (void)state;
    struct log_fixture fixture;
    init(&fixture, GOLDEN_DIRECTORY "/crashed", CRASHED_RECOVERY_POINT);
    assert_int_equal(log_fixture_open(&fixture, false), 0);
    check(&fixture);
    log_fixture_stop(&fixture);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    check(&fixture);
    log_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_clean_stop_of_kafka),
        cmocka_unit_test(after_a_crash_of_kafka),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
