/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm over 20 partitions (tests/support/storm.h) is ended at each of its changing file operations in
 * turn, by a crash of the process and by a power cut, a write that is struck being torn. After each restart:
 *
 * - every record that was acknowledged is there, or was taken by a rule; no partial record is served; indexes
 *   agree with the log; epochs and producers are those of the batches (storm_check.c);
 * - a second restart changes not one byte, and a power cut after the first takes nothing of what it found;
 * - the storm goes on from there.
 *
 * Every fourth restart is itself ended half-way, at a random operation, before it may succeed.
 *
 *   storm_test [<seeds> [<first seed>]]     BARNABAS_STORM_SEEDS=<seeds> is the same
 *
 * A seed is a storm of some 3,400 operations. Without arguments: SEEDS_DEFAULT seeds, and a fraction of that
 * under a sanitizer. `storm_test one <seed> <operation> <process|power>` repeats one point.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/memory_files.h"
#include "tests/support/storm.h"

#define SEEDS_DEFAULT 1
#define STEPS 260
#define STEPS_AFTER 12
#ifdef BARNABAS_SANITIZED
#define STRIDE_DEFAULT 7
#else
#define STRIDE_DEFAULT 1
#endif

struct points {
    uint64_t seeds;
    uint64_t first_seed;
    uint64_t stride; /* of the operations */
    uint64_t count;  /* so many were tried */
    /* What storms did that nobody ended. */
    uint64_t compacted;
    uint64_t retained;
    uint64_t truncated;
};

static void prepare_disk(struct file_system *files)
{
    assert_int_equal(file_system_make_directory(files, "/data"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/a"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/b"), 0);
    assert_int_equal(file_system_sync_directory(files, "/data"), 0);
    assert_int_equal(file_system_sync_directory(files, "/"), 0);
}

static void run(struct storm *storm, int steps)
{
    for (int i = 0; i < steps; i++)
        if (!storm_step(storm))
            return;
}

static void open_again(struct storm *storm)
{
    int error = storm_open(storm);
    if (error)
        storm_fail(storm, -1, "the restart fails: %s: %s", strerror(-error), buffer_string(&storm->error));
}

static bool has_mark(const struct storm *storm)
{
    struct file_status status;
    return file_system_status(storm->files, "/data/a/.kafka_cleanshutdown", &status) == 0 ||
           file_system_status(storm->files, "/data/b/.kafka_cleanshutdown", &status) == 0;
}

/* Restarts, now and then with a crash in the restart first. Whether there was a mark of a clean stop. */
static bool restart(struct storm *storm, struct memory_files *disk, enum memory_files_crash crash,
                    uint64_t after)
{
    storm_drop(storm);
    memory_files_crash(disk, crash);
    if (after % 4 == 0) {
        memory_files_stop_after(disk, prng_below(&storm->prng, 60));
        int ignored = storm_open(storm);
        (void)ignored;
        storm_drop(storm);
        memory_files_crash(disk, crash);
    }
    bool was_clean = has_mark(storm);
    open_again(storm);
    return was_clean;
}

/* Ends the process with the name of the first file that differs. */
static void require_equal_dumps(const struct storm *storm, const struct buffer *before,
                                const struct buffer *after)
{
    size_t at = 0, shorter = before->length < after->length ? before->length : after->length;
    while (at < shorter && before->data[at] == after->data[at])
        at++;
    if (at == before->length && at == after->length)
        return;
    static const char head[] = "\n/data/";
    size_t name = at < shorter ? at : shorter - 1;
    while (name > 0 &&
           (name + sizeof(head) > before->length || memcmp(before->data + name, head, sizeof(head) - 1) != 0))
        name--;
    storm_fail(storm, -1, "a second restart changes the files, at %.*s (or the next)",
               (int)strcspn((const char *)before->data + name + 1, "\n"),
               (const char *)before->data + name + 1);
}

/* was_clean: one directory had its mark of a clean stop, when the other one's was on its way: it was trusted
 * and not recovered at the first restart, so the second one is its first recovery. */
static void check_second_restart(struct storm *storm, struct memory_files *disk, bool was_clean,
                                 uint64_t digest)
{
    struct buffer before, after;
    uint64_t again;
    buffer_init(&before);
    buffer_init(&after);
    storm_drop(storm);
    memory_files_crash(disk, MEMORY_FILES_PROCESS_CRASH);
    if (was_clean) {
        open_again(storm);
        storm_drop(storm);
        memory_files_crash(disk, MEMORY_FILES_PROCESS_CRASH);
    }
    storm_dump(storm, &before);
    open_again(storm);
    storm_drop(storm);
    memory_files_crash(disk, MEMORY_FILES_PROCESS_CRASH);
    storm_dump(storm, &after);
    require_equal_dumps(storm, &before, &after);
    memory_files_crash(disk, MEMORY_FILES_POWER_CUT);
    open_again(storm);
    storm_verify(storm, &again);
    if (again != digest)
        storm_fail(storm, -1, "a power cut after the restart takes what it found");
    buffer_release(&before);
    buffer_release(&after);
}

/* Ends the storm of `seed` after `after` operations; false when it was over before: then `points`, which may
 * be NULL, is told what it did. */
static bool crash_at(struct points *points, uint64_t seed, uint64_t after, enum memory_files_crash crash)
{
    struct memory_files *disk = memory_files_new(seed * 7919 + after);
    struct storm storm;
    uint64_t digest;
    storm_init(&storm, memory_files_system(disk), "/data", seed);
    buffer_print(&storm.label, "%s after operation %" PRIu64,
                 crash == MEMORY_FILES_POWER_CUT ? "power" : "process", after);
    prepare_disk(storm.files);
    memory_files_stop_after(disk, after);
    if (storm_open(&storm) == 0)
        run(&storm, STEPS);
    bool stopped = memory_files_is_stopped(disk);
    if (!stopped && points) {
        points->compacted += storm.compacted;
        points->retained += storm.retained;
        points->truncated += storm.truncated;
    }
    if (stopped) {
        bool was_clean = restart(&storm, disk, crash, after);
        storm_verify(&storm, &digest);
        check_second_restart(&storm, disk, was_clean, digest);
        run(&storm, STEPS_AFTER);
        storm_verify(&storm, &digest);
    }
    storm_release(&storm);
    memory_files_free(disk);
    return stopped;
}

static void i1_a_storm_ended_anywhere_keeps_what_was_acknowledged(void **state)
{
    struct points *points = *state;
    for (uint64_t seed = points->first_seed; seed < points->first_seed + points->seeds; seed++) {
        uint64_t after = seed % points->stride;
        bool stopped = true;
        while (stopped) {
            stopped = crash_at(points, seed, after, MEMORY_FILES_PROCESS_CRASH) &&
                      crash_at(points, seed, after, MEMORY_FILES_POWER_CUT);
            points->count += stopped ? 2 : 0;
            after += points->stride;
        }
        printf("seed %" PRIu64 ": %" PRIu64 " operations\n", seed, after);
    }
    printf("%" PRIu64 " points; each storm to its end: %" PRIu64 " groups compacted, %" PRIu64
           " times retained, %" PRIu64 " times truncated\n",
           points->count, points->compacted, points->retained, points->truncated);
    assert_true(points->first_seed > 1 ||
                (points->compacted > 0 && points->retained > 0 && points->truncated > 0));
    assert_true(points->stride > 1 || points->count >= 2000 * points->seeds / SEEDS_DEFAULT);
}

/* A storm that nothing ends fits its model at every clean stop, too. */
static void a_storm_that_nobody_ends_fits_its_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct memory_files *disk = memory_files_new(seed);
        struct storm storm;
        uint64_t digest;
        storm_init(&storm, memory_files_system(disk), "/data", seed);
        buffer_print(&storm.label, "nothing fails");
        prepare_disk(storm.files);
        open_again(&storm);
        for (int i = 0; i < 10; i++) {
            run(&storm, 100);
            storm_verify(&storm, &digest);
            assert_int_equal(log_manager_close(storm.manager), 0);
            storm_drop(&storm);
            open_again(&storm);
            storm_verify(&storm, &digest);
        }
        assert_true(storm.appended > 500 && storm.compacted > 5 && storm.retained > 5 && storm.truncated > 5);
        storm_release(&storm);
        memory_files_free(disk);
    }
}

static uint64_t number_of(const char *text)
{
    return strtoull(text, NULL, 10);
}

int main(int count, char **arguments)
{
    const char *seeds = getenv("BARNABAS_STORM_SEEDS");
    if (count == 5 && strcmp(arguments[1], "one") == 0) {
        bool power = strcmp(arguments[4], "power") == 0;
        crash_at(NULL, number_of(arguments[2]), number_of(arguments[3]),
                 power ? MEMORY_FILES_POWER_CUT : MEMORY_FILES_PROCESS_CRASH);
        return 0;
    }
    if (count > 1)
        seeds = arguments[1];
    struct points points = {.seeds = seeds ? number_of(seeds) : SEEDS_DEFAULT,
                            .first_seed = count > 2 ? number_of(arguments[2]) : 1,
                            .stride = seeds ? 1 : STRIDE_DEFAULT};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_that_nobody_ends_fits_its_model),
        cmocka_unit_test_prestate(i1_a_storm_ended_anywhere_keeps_what_was_acknowledged, &points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
