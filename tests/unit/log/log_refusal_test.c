/* SPDX-License-Identifier: Apache-2.0 */
/* What one log meets alone: a cut that ends half-way on a sound disk, and errors that pass and come again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/partition_log_private.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

/* After the refusal: a restart finds a log that is whole up to the cut at least, and can be cut. */
static void restart(struct log_fixture *fixture, int64_t offset)
{
    struct buffer all;
    fixture->options.health = NULL;
    log_fixture_crash(fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_true(partition_log_end_offset(fixture->log) >= offset);
    buffer_init(&all);
    log_fixture_read_all(fixture, &all);
    log_fixture_model_from(fixture, buffer_slice(&all));
    buffer_release(&all);
    assert_int_equal(log_fixture_truncate(fixture, offset), KAFKA_NONE);
    assert_int_equal(partition_log_end_offset(fixture->log), offset);
    assert_int_equal(log_fixture_append(fixture), KAFKA_NONE);
    log_fixture_check(fixture);
    log_fixture_check_derived(fixture);
}

/* Each operation of a cut in turn is refused with what says nothing of the disk. */
static void a_cut_that_ends_half_way_refuses_its_log_only(void **state)
{
    (void)state;
    int refused = 0;
    for (uint64_t after = 0;; after++) {
        struct log_fixture fixture;
        struct log_health health = {0};
        log_fixture_init(&fixture, 71);
        fixture.options.health = &health;
        assert_int_equal(log_fixture_open(&fixture, true), 0);
        for (int i = 0; i < 80; i++)
            assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
        int64_t offset = fixture.batches[20].base_offset;
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_REMOVE) |
                                                               MEMORY_FILES_BIT(MEMORY_FILES_RENAME) |
                                                               MEMORY_FILES_BIT(MEMORY_FILES_TRUNCATE),
                                                 .after = after,
                                                 .error = -EBUSY,
                                                 .short_bytes = -1};
        memory_files_set_fault(fixture.disk, &fault);
        int16_t error = partition_log_truncate(fixture.log, offset, fixture.now_ms);
        bool struck = memory_files_fault_count(fixture.disk) > 0;
        memory_files_set_fault(fixture.disk, NULL);
        assert_int_equal(atomic_load(&health.failure), 0);
        if (partition_log_failure(fixture.log)) {
            refused++;
            assert_int_equal(error, KAFKA_KAFKA_STORAGE_ERROR);
            assert_int_equal(log_fixture_append(&fixture), KAFKA_KAFKA_STORAGE_ERROR);
        }
        restart(&fixture, offset);
        log_fixture_release(&fixture);
        if (!struck)
            break;
    }
    assert_true(refused > 0);
}

/* Appends that find no descriptor come as fast as producers try again. */
static void errors_that_pass_are_told_once_a_minute(void **state)
{
    (void)state;
    struct log_fixture fixture;
    struct log_health health = {0};
    char line[1000];
    int count = 0;
    log_fixture_init(&fixture, 72);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    log_fixture_stop(&fixture);
    FILE *lines = tmpfile();
    assert_non_null(lines);
    struct logger *logger = logger_new(fileno(lines), LOG_WARN, "test");
    fixture.options.logger = logger;
    fixture.options.health = &health;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_OPEN),
                                             .error = -EMFILE,
                                             .short_bytes = -1,
                                             .repeat = true};
    memory_files_set_fault(fixture.disk, &fault);
    for (int i = 0; i < 50; i++)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_KAFKA_STORAGE_ERROR);
    memory_files_set_fault(fixture.disk, NULL);
    assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    rewind(lines);
    while (fgets(line, sizeof(line), lines))
        count += strstr(line, strerror(EMFILE)) != NULL;
    assert_int_equal(count, 1);
    assert_int_equal(atomic_load(&health.passing_untold), 49);
    log_fixture_release(&fixture);
    logger_free(logger);
    fclose(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_that_ends_half_way_refuses_its_log_only),
        cmocka_unit_test(errors_that_pass_are_told_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
