/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cleaner of all logs: which one it takes, what it does with errors, how it is throttled and stopped.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_cleaner.h"
#include "broker/log/partition_log_private.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"
#include "tests/unit/log/compaction_fixture.h"

struct world {
    struct log_cleaner *cleaner;
    int64_t now_us;
    int64_t slept_us;
    int64_t stop_after; /* so many looks at the clock */
    bool gone;          /* the log cannot be entered any more */
    int entered;
    struct log_cleaner_options options;
    /* Called at the look with this number; NULL: at none. */
    void (*meanwhile)(struct compaction_fixture *fixture);
    struct compaction_fixture *fixture;
    int meanwhile_at;
    int looks;
    struct log_health *elsewhere; /* where the partition has its log when it is entered again */
};

static int64_t wall_ms(void *context)
{
    return 1700000100000 + ((struct world *)context)->now_us / 1000;
}

static int64_t monotonic_us(void *context)
{
    return ((struct world *)context)->now_us;
}

static void sleep_us(void *context, int64_t duration_us)
{
    struct world *world = context;
    world->now_us += duration_us;
    world->slept_us += duration_us;
}

static bool is_stopped(void *context)
{
    struct world *world = context;
    if (world->meanwhile && world->looks++ == world->meanwhile_at)
        world->meanwhile(world->fixture);
    return --world->stop_after < 0;
}

static void begin(struct world *world)
{
    *world = (struct world){.stop_after = INT64_MAX};
    world->options = (struct log_cleaner_options){
        .threads = 2,
        .dedupe_buffer_bytes = (int64_t)(200 * CLEAN_MAP_SLOT_BYTES),
        .io_buffer_bytes = 4000,
        .load_factor = 0.9,
        .hash_key = {1, 2},
        .time = {world, wall_ms, monotonic_us, sleep_us, is_stopped},
    };
    world->cleaner = log_cleaner_new(&world->options);
}

/* ---- the way to a log ---- */

struct entrance {
    struct world *world;
    struct compaction_fixture *fixture;
    bool inside;
};

static struct partition_log *enter(void *context, int64_t *high_watermark)
{
    struct entrance *entrance = context;
    assert_false(entrance->inside);
    entrance->world->entered++;
    if (entrance->world->gone)
        return NULL;
    entrance->inside = true;
    if (entrance->world->elsewhere && entrance->world->entered > 3) /* twice offered, and begun */
        entrance->fixture->log.log->health = entrance->world->elsewhere;
    *high_watermark = partition_log_end_offset(entrance->fixture->log.log);
    return entrance->fixture->log.log;
}

static void leave(void *context)
{
    struct entrance *entrance = context;
    assert_true(entrance->inside);
    entrance->inside = false;
}

/* A round over these logs, named by their number; -1: none was due, else the number of the one that was
 * taken; *done: what cleaning it said. */
static int run_round(struct world *world, struct compaction_fixture **fixtures, int count, bool *done)
{
    struct log_cleaner_round round;
    struct entrance entrances[8];
    int best = -1;
    log_cleaner_begin(world->cleaner, &round);
    for (int i = 0; i < count; i++) {
        entrances[i] = (struct entrance){world, fixtures[i], false};
        const struct log_cleaner_access access = {&entrances[i], enter, leave};
        if (log_cleaner_offer(world->cleaner, &round, slice_of("t"), i, &access))
            best = i;
    }
    assert_int_equal(log_cleaner_take(world->cleaner, &round), best >= 0);
    if (best >= 0) {
        /* Nobody else takes it. */
        struct log_cleaner_round other;
        const struct log_cleaner_access access = {&entrances[best], enter, leave};
        log_cleaner_begin(world->cleaner, &other);
        assert_false(log_cleaner_offer(world->cleaner, &other, slice_of("t"), best, &access));
        log_cleaner_end(world->cleaner, &other);
        *done = log_cleaner_clean(world->cleaner, &round, &access);
        assert_int_equal(round.partition, best);
    }
    log_cleaner_end(world->cleaner, &round);
    return best;
}

static void fill(struct compaction_fixture *fixture, uint64_t seed, int batches)
{
    compaction_fixture_init(fixture, seed);
    assert_true(compaction_append_many(fixture, batches));
    assert_int_equal(partition_log_flush(fixture->log.log), 0);
}

static void finish(struct world *world, struct compaction_fixture *logs, int count)
{
    for (int i = 0; i < count; i++)
        compaction_fixture_release(&logs[i]);
    log_cleaner_free(world->cleaner);
}

static void test_the_filthiest_comes_first(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture logs[3], *all[3] = {&logs[0], &logs[1], &logs[2]};
    struct log_cleaner_statistics statistics;
    bool done = false;
    begin(&world);
    for (int i = 0; i < 3; i++)
        fill(&logs[i], 70 + (uint64_t)i, 100);
    logs[2].log.log->settings.compacted = false;
    assert_int_equal(compaction_clean(&logs[0]), 0);
    assert_true(compaction_append_many(&logs[0], 100)); /* dirty in part */
    assert_int_equal(partition_log_flush(logs[0].log.log), 0);
    assert_int_equal(run_round(&world, all, 3, &done), 1);
    assert_true(done);
    compaction_check(&logs[1], true);
    while (run_round(&world, all, 3, &done) == 0)
        assert_true(done);
    assert_int_equal(run_round(&world, all, 3, &done), -1);
    for (int i = 0; i < 2; i++)
        compaction_check(&logs[i], true);
    log_cleaner_statistics(world.cleaner, &statistics);
    assert_true(statistics.cleanings >= 2);
    assert_true(statistics.written_bytes < statistics.read_bytes);
    assert_int_equal(statistics.uncleanable, 0);
    finish(&world, logs, 3);
}

static void test_who_cannot_be_cleaned_stops_nobody(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture logs[2], *all[2] = {&logs[0], &logs[1]};
    struct log_cleaner_statistics statistics;
    bool done = true;
    begin(&world);
    fill(&logs[0], 80, 100);
    fill(&logs[1], 81, 100);
    assert_int_equal(
        memory_files_flip(logs[0].log.disk, FIXTURE_DIRECTORY "/00000000000000000000.log", 300, 1), 0);
    assert_int_equal(run_round(&world, all, 1, &done), 0);
    assert_false(done);
    assert_int_equal(run_round(&world, all, 2, &done), 1);
    assert_true(done);
    log_cleaner_statistics(world.cleaner, &statistics);
    assert_int_equal(statistics.uncleanable, 1);
    assert_int_equal(run_round(&world, all, 1, &done), -1);
    assert_int_equal(partition_log_failure(logs[0].log.log), 0);
    finish(&world, logs, 2);
}

static void strike(struct compaction_fixture *fixture, uint32_t operations, int error, const char *path_part)
{
    const struct memory_files_fault fault = {
        .operations = operations, .error = error, .short_bytes = -1, .repeat = true, .path_part = path_part};
    memory_files_set_fault(fixture->log.disk, &fault);
}

static void test_a_full_disk_puts_it_off(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture log, *all[1] = {&log};
    bool done = true;
    begin(&world);
    fill(&log, 82, 100);
    strike(&log, MEMORY_FILES_BIT(MEMORY_FILES_WRITE), -ENOSPC, ".cleaned");
    assert_int_equal(run_round(&world, all, 1, &done), 0);
    assert_false(done);
    assert_int_equal(partition_log_failure(log.log.log), 0);
    memory_files_set_fault(log.log.disk, NULL);
    assert_int_equal(run_round(&world, all, 1, &done), -1);
    world.now_us += 15 * 1000000;
    assert_int_equal(run_round(&world, all, 1, &done), 0);
    assert_true(done);
    compaction_check(&log, true);
    finish(&world, &log, 1);
}

/* A log that fails again and again waits longer each time; the other one is not in its shadow. */
static void test_who_fails_again_and_again_waits(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture logs[2], *all[2] = {&logs[0], &logs[1]};
    bool done = false;
    begin(&world);
    fill(&logs[0], 86, 100);
    fill(&logs[1], 87, 100);
    strike(&logs[0], MEMORY_FILES_BIT(MEMORY_FILES_WRITE), -EMFILE, ".cleaned");
    assert_int_equal(run_round(&world, all, 2, &done), 0);
    assert_false(done);
    while (run_round(&world, all, 2, &done) == 1)
        assert_true(done);
    compaction_check(&logs[1], true);
    int64_t delay_us = 15 * (int64_t)1000000;
    for (int i = 0; i < 9; i++) {
        world.now_us += delay_us - 1000;
        assert_int_equal(run_round(&world, all, 2, &done), -1);
        world.now_us += 1000;
        assert_int_equal(run_round(&world, all, 2, &done), 0);
        assert_false(done);
        delay_us = min_i64(2 * delay_us, 600 * (int64_t)1000000);
    }
    memory_files_set_fault(logs[0].log.disk, NULL);
    world.now_us += delay_us;
    assert_int_equal(run_round(&world, all, 2, &done), 0);
    assert_true(done);
    compaction_check(&logs[0], true);
    finish(&world, logs, 2);
}

/* A partition that has another log by then, in another directory, does not answer for it. */
static void test_a_broken_disk_is_told_where_it_is(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture log, *all[1] = {&log};
    struct log_health here = {0}, elsewhere = {0};
    bool done = true;
    begin(&world);
    fill(&log, 89, 100);
    log.log.log->health = &here;
    world.elsewhere = &elsewhere;
    strike(&log, MEMORY_FILES_BIT(MEMORY_FILES_READ), -EIO, ".log");
    assert_int_equal(run_round(&world, all, 1, &done), 0);
    assert_false(done);
    assert_ptr_equal(log.log.log->health, &elsewhere);
    assert_int_equal(atomic_load(&here.failure), -EIO);
    assert_int_equal(atomic_load(&elsewhere.failure), 0);
    log.log.log->health = NULL;
    memory_files_set_fault(log.log.disk, NULL);
    finish(&world, &log, 1);
}

/* A full disk is told to the directory, in which nothing is cleaned until there is room. */
static void test_a_full_disk_is_told(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture log, *all[1] = {&log};
    struct log_health health = {0};
    bool done = true;
    begin(&world);
    fill(&log, 88, 100);
    log.log.log->health = &health;
    strike(&log, MEMORY_FILES_BIT(MEMORY_FILES_WRITE), -ENOSPC, ".cleaned");
    assert_int_equal(run_round(&world, all, 1, &done), 0);
    assert_false(done);
    assert_true(partition_log_is_full(log.log.log));
    assert_int_equal(partition_log_failure(log.log.log), 0);
    log.log.log->health = NULL;
    finish(&world, &log, 1);
}

/* What grows too large for one segment ends a segment earlier; where that is none, the log is given up. */
static void test_a_group_that_is_too_large(void **state)
{
    (void)state;
    for (int single = 0; single < 2; single++) {
        struct world world;
        struct compaction_fixture log, *all[1] = {&log};
        struct log_cleaner_statistics statistics;
        struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                           .error = -EFBIG,
                                           .short_bytes = -1,
                                           .repeat = single == 1,
                                           .path_part = ".cleaned"};
        bool done = false;
        begin(&world);
        fill(&log, 89, 100);
        log.log.log->settings.segment_bytes = 1 << 20; /* all become one */
        memory_files_set_fault(log.log.disk, &fault);
        assert_int_equal(run_round(&world, all, 1, &done), 0);
        memory_files_set_fault(log.log.disk, NULL);
        assert_int_equal(done, single == 0);
        log_cleaner_statistics(world.cleaner, &statistics);
        assert_int_equal(statistics.uncleanable, single);
        compaction_check(&log, done);
        finish(&world, &log, 1);
    }
}

/* ---- others, while files are read ---- */

static void cut(struct compaction_fixture *fixture)
{
    compaction_truncate(fixture, fixture->log.log->segments[1]->base_offset + 3);
    for (size_t i = 0; i < COMPACTION_PRODUCERS; i++)
        fixture->producers[i].last_data_offset = -1;
}

static void cut_and_append(struct compaction_fixture *fixture)
{
    cut(fixture);
    for (int i = 0; i < 200; i++)
        compaction_append_record(fixture, i % COMPACTION_KEYS, false);
}

static void retain(struct compaction_fixture *fixture)
{
    struct partition_log *log = fixture->log.log;
    bool flush_first;
    assert_int_equal(partition_log_advance_start(log, log->segments[2]->base_offset), KAFKA_NONE);
    log->settings.retained = true;
    assert_int_equal(
        partition_log_retain(log, partition_log_end_offset(log), fixture->log.now_ms, &flush_first), 0);
    log->settings.retained = false;
}

/* A cleaning that meets this at any of its looks neither breaks the disk nor gives the log up. */
static void meet(void (*meanwhile)(struct compaction_fixture *fixture), bool goes_on)
{
    for (int at = 0; at < 40; at++) {
        struct world world;
        struct compaction_fixture log, *all[1] = {&log};
        struct log_cleaner_statistics statistics;
        bool done = false;
        begin(&world);
        world.meanwhile = meanwhile;
        world.meanwhile_at = at;
        world.fixture = &log;
        compaction_fixture_init(&log, 90);
        log.log.log->settings.min_cleanable_dirty_ratio = 0;
        for (int i = 0; i < 300; i++)
            compaction_append_record(&log, i % COMPACTION_KEYS, false);
        assert_int_equal(partition_log_flush(log.log.log), 0);
        assert_int_equal(run_round(&world, all, 1, &done), 0);
        log_cleaner_statistics(world.cleaner, &statistics);
        assert_int_equal(statistics.uncleanable, 0);
        assert_int_equal(partition_log_failure(log.log.log), 0);
        if (goes_on || world.looks <= at)
            assert_true(done);
        /* What is cut was replicated here, so that it could be cleaned: older values may be gone with it. */
        if (goes_on)
            compaction_check(&log, done);
        finish(&world, &log, 1);
    }
}

static void test_truncation_while_it_reads(void **state)
{
    (void)state;
    meet(cut, false);
    meet(cut_and_append, false);
}

static void test_retention_while_it_reads(void **state)
{
    (void)state;
    meet(retain, true);
}

/* ---- topics that come and go ---- */

static void test_what_is_gone_is_forgotten(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture logs[2], *all[2] = {&logs[0], &logs[1]};
    struct log_cleaner_statistics statistics;
    bool done = true;
    begin(&world);
    fill(&logs[0], 91, 100);
    fill(&logs[1], 92, 100);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            memory_files_flip(logs[i].log.disk, FIXTURE_DIRECTORY "/00000000000000000000.log", 300, 1), 0);
    for (int i = 0; i < 2; i++)
        assert_true(run_round(&world, all, 2, &done) >= 0);
    assert_int_equal(run_round(&world, all, 2, &done), -1);
    log_cleaner_statistics(world.cleaner, &statistics);
    assert_int_equal(statistics.uncleanable, 2);

    /* The second one is deleted. */
    assert_int_equal(run_round(&world, all, 1, &done), -1);
    log_cleaner_statistics(world.cleaner, &statistics);
    assert_int_equal(statistics.uncleanable, 1);

    /* The first one is another topic's now: it has its chance, and not while it is cleaned. */
    struct log_cleaner_round first, second;
    struct entrance entrance = {&world, &logs[0], false};
    const struct log_cleaner_access access = {&entrance, enter, leave};
    logs[0].log.log->topic_id.bytes[0] ^= 1;
    log_cleaner_begin(world.cleaner, &first);
    assert_true(log_cleaner_offer(world.cleaner, &first, slice_of("t"), 0, &access));
    assert_true(log_cleaner_take(world.cleaner, &first));
    logs[0].log.log->topic_id.bytes[0] ^= 2;
    log_cleaner_begin(world.cleaner, &second);
    assert_false(log_cleaner_offer(world.cleaner, &second, slice_of("t"), 0, &access));
    assert_false(log_cleaner_take(world.cleaner, &second));
    log_cleaner_end(world.cleaner, &second);
    assert_false(log_cleaner_clean(world.cleaner, &first, &access));
    log_cleaner_end(world.cleaner, &first);
    finish(&world, logs, 2);
}

static void test_a_broken_disk_is_told(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture log, *all[1] = {&log};
    bool done = true;
    begin(&world);
    fill(&log, 83, 100);
    strike(&log, MEMORY_FILES_BIT(MEMORY_FILES_READ), -EIO, ".log");
    assert_int_equal(run_round(&world, all, 1, &done), 0);
    assert_false(done);
    assert_int_equal(partition_log_failure(log.log.log), -EIO);
    assert_int_equal(run_round(&world, all, 1, &done), -1);
    memory_files_set_fault(log.log.disk, NULL);
    finish(&world, &log, 1);
}

static void test_it_stops_in_the_middle(void **state)
{
    (void)state;
    for (int64_t looks = 0; looks < 60; looks++) {
        struct world world;
        struct compaction_fixture log, *all[1] = {&log};
        bool done = true;
        begin(&world);
        fill(&log, 84, 60);
        world.stop_after = looks;
        assert_int_equal(run_round(&world, all, 1, &done), 0);
        compaction_check(&log, done);
        if (!done) {
            world.stop_after = INT64_MAX;
            assert_int_equal(run_round(&world, all, 1, &done), 0);
            assert_true(done);
            compaction_check(&log, true);
        }
        finish(&world, &log, 1);
    }
}

static void test_it_is_throttled(void **state)
{
    (void)state;
    struct world world;
    struct compaction_fixture log, *all[1] = {&log};
    struct log_cleaner_statistics statistics;
    bool done = false;
    begin(&world);
    log_cleaner_free(world.cleaner);
    world.options.max_bytes_per_second = 1000;
    world.cleaner = log_cleaner_new(&world.options);
    fill(&log, 85, 60);
    assert_int_equal(run_round(&world, all, 1, &done), 0);
    assert_true(done);
    log_cleaner_statistics(world.cleaner, &statistics);
    int64_t bytes = statistics.map_bytes + statistics.read_bytes + statistics.written_bytes;
    assert_true(world.slept_us >= bytes * 1000 - 1000000);
    assert_true(world.slept_us <= bytes * 1000 + 1000000);
    finish(&world, &log, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_filthiest_comes_first),
        cmocka_unit_test(test_who_cannot_be_cleaned_stops_nobody),
        cmocka_unit_test(test_a_full_disk_puts_it_off),
        cmocka_unit_test(test_who_fails_again_and_again_waits),
        cmocka_unit_test(test_a_full_disk_is_told),
        cmocka_unit_test(test_a_broken_disk_is_told_where_it_is),
        cmocka_unit_test(test_a_group_that_is_too_large),
        cmocka_unit_test(test_truncation_while_it_reads),
        cmocka_unit_test(test_retention_while_it_reads),
        cmocka_unit_test(test_what_is_gone_is_forgotten),
        cmocka_unit_test(test_a_broken_disk_is_told),
        cmocka_unit_test(test_it_stops_in_the_middle),
        cmocka_unit_test(test_it_is_throttled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
