/* SPDX-License-Identifier: Apache-2.0 */
/* Moves in unlucky moments: of a log that never rests, with gaps, with copies of before a compaction, and
 * with disks that fail or are full meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_manager_future.h"
#include "common/buffer.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "tests/unit/replica/mover_fixture.h"

#define PATIENCE_MS 60000

static void open_and_fill(struct mover_world *world, int records)
{
    assert_int_equal(mover_world_open(world), 0);
    assert_int_equal(mover_world_lead(world), KAFKA_NONE);
    for (int i = 0; i < records; i++)
        assert_true(mover_world_produce(world));
}

static void begin(struct mover_world *world, uint64_t seed, int records)
{
    mover_world_init(world, seed);
    open_and_fill(world, records);
}

static int64_t copied_to(struct mover_world *world)
{
    struct move_status status;
    assert_true(mover_status(world->mover, slice_of("topic"), 0, &status));
    return status.end_offset;
}

static void fail_all(struct mover_world *world, const char *path_part)
{
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_ALL_OPERATIONS,
                                             .error = -EIO,
                                             .short_bytes = -1,
                                             .repeat = true,
                                             .path_part = path_part};
    memory_files_set_fault(world->disk, &fault);
}

static void a_log_that_never_rests_moves(void **state)
{
    (void)state;
    for (int batches = 1; batches <= 11; batches += 5) {
        struct mover_world world;
        begin(&world, 1, 100);
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        for (int steps = 0; mover_world_is_moving(&world); steps++) {
            assert_true(steps < 70);
            (void)mover_run(world.mover);
            for (int i = 0; i < batches; i++)
                assert_true(mover_world_produce(&world));
        }
        assert_int_equal(mover_world_directory(&world), 1);
        mover_world_check(&world, world.end);
        mover_world_release(&world);
    }
}

/* Writers that are faster than the copy wait for it in the end, by turns. */
static void a_writer_faster_than_the_copy_is_held(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 14);
    world.settings.segment_bytes = 16 << 20;
    world.value_bytes = 256 * 1024;
    open_and_fill(&world, 10);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    for (int steps = 0; mover_world_is_moving(&world); steps++) {
        assert_true(steps < 150);
        (void)mover_run(world.mover);
        for (int i = 0; i < 5; i++) /* more than is copied in one step */
            assert_true(mover_world_produce(&world));
    }
    assert_int_equal(mover_world_directory(&world), 1);
    world.value_bytes = 0;
    mover_world_check(&world, world.end);
    mover_world_release(&world);
}

/* How near a copy was to the end counts no more when it is cut: nobody waits for what it copies then. */
static void nobody_is_held_after_a_cut(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 16);
    world.settings.segment_bytes = 16 << 20;
    world.value_bytes = 256 * 1024;
    open_and_fill(&world, 10);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    while (mover_world_end(&world) - copied_to(&world) > 3)
        (void)mover_run(world.mover);
    assert_true(mover_world_truncate(&world, 5));
    for (int i = 0; i < 120; i++)
        assert_true(mover_world_produce(&world));
    (void)mover_run(world.mover);
    assert_int_equal(copied_to(&world), 5);
    int64_t copied = 5;
    while (world.end - copied > 12) {
        (void)mover_run(world.mover);
        int64_t before = copied;
        copied = copied_to(&world);
        assert_in_range(copied - before, 1, 4); /* one piece */
    }
    for (int steps = 0; mover_world_is_moving(&world); steps++) {
        assert_true(steps < 20);
        (void)mover_run(world.mover);
    }
    assert_int_equal(mover_world_directory(&world), 1);
    assert_int_equal(mover_world_end(&world), world.end);
    mover_world_release(&world);
}

/* What cannot be read now cannot be read later. */
static void a_move_of_a_damaged_log_ends(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 15);
    world.settings.segment_bytes = 1 << 20;
    world.settings.index_interval_bytes = 100;
    open_and_fill(&world, 100);
    int64_t batch_bytes = log_manager_size_bytes(world.logs, slice_of(MOVER_TOPIC), 0) / 100;
    world.bytes_per_second = batch_bytes * 5;
    assert_true(mover_world_flush(&world));
    mover_world_drop(&world);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_int_equal(memory_files_flip(world.disk, "/a/topic-0/00000000000000000000.log",
                                       50 * batch_bytes + RECORD_BATCH_MAGIC_AT, 0x40),
                     0);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, 10 * PATIENCE_MS);
    assert_false(mover_world_is_moving(&world));
    assert_int_equal(mover_world_directory(&world), 0);
    assert_int_equal(mover_world_folders(&world, "/b", "-future"), 0);
    mover_world_release(&world);
}

static void a_start_within_a_gap_at_the_end_is_kept(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 2, 100);
    mover_world_skip(&world, 50);
    assert_true(mover_world_advance_start(&world, 120));
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    for (int steps = 0; mover_world_is_moving(&world); steps++) {
        assert_true(steps < 20);
        (void)mover_run(world.mover);
    }
    assert_int_equal(mover_world_directory(&world), 1);
    assert_int_equal(mover_world_end(&world), 150);
    assert_true(mover_world_produce(&world));
    assert_int_equal(mover_world_end(&world), 151);
    mover_world_release(&world);
}

/* The target fails, the live log is compacted for days, and the target is back. */
static void a_copy_of_before_a_compaction_is_not_gone_on_with(void **state)
{
    (void)state;
    for (int compacted = 0; compacted < 2; compacted++) {
        struct mover_world world;
        mover_world_init(&world, 3);
        world.settings.compacted = compacted != 0;
        open_and_fill(&world, 300);
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        assert_true(mover_run(world.mover));
        int64_t first_piece = copied_to(&world);
        fail_all(&world, "/b");
        log_manager_probe(world.logs);
        mover_world_run(&world, 10000);
        assert_false(mover_world_is_moving(&world));
        assert_false(mover_world_cleaning_is_paused(&world));
        memory_files_set_fault(world.disk, NULL);
        mover_world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
        open_and_fill(&world, 1);
        assert_true(mover_run(world.mover));
        if (compacted)
            assert_int_equal(copied_to(&world), first_piece);
        else
            assert_true(copied_to(&world) > first_piece);
        mover_world_run(&world, PATIENCE_MS);
        assert_int_equal(mover_world_directory(&world), 1);
        assert_int_equal(mover_world_folders(&world, "/b", "-future"), 0);
        mover_world_check(&world, 301);
        mover_world_release(&world);
    }
}

struct search {
    struct mover_world *world;
    int found;
};

static int count_deleted(void *context, const char *name, bool is_directory)
{
    struct search *search = context;
    size_t length = strlen(name);
    (void)is_directory;
    search->found += length > 8 && strcmp(name + length - 8, ".deleted") == 0;
    return 0;
}

static int look_into(void *context, const char *name, bool is_directory)
{
    struct search *search = context;
    struct buffer path;
    if (!is_directory)
        return 0;
    buffer_init(&path);
    buffer_print(&path, "/b/%s", name);
    int error = file_system_list(memory_files_system(search->world->disk), buffer_string(&path),
                                 count_deleted, search);
    buffer_release(&path);
    return error;
}

static void what_a_copy_lets_go_of_is_removed(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 4, 300);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    for (int i = 0; i < 8; i++)
        assert_true(mover_run(world.mover));
    assert_true(mover_world_advance_start(&world, copied_to(&world) + 20)); /* it begins anew */
    assert_true(mover_run(world.mover));
    assert_true(mover_world_is_moving(&world));
    struct search search = {&world, 0};
    assert_int_equal(file_system_list(memory_files_system(world.disk), "/b", look_into, &search), 0);
    assert_int_equal(search.found, 0);
    mover_world_release(&world);
}

/* Once, at each of the reads in turn: whoever meets it, the directory of the log goes offline (I6). */
static void a_log_that_cannot_be_read_goes_offline(void **state)
{
    (void)state;
    for (uint64_t after = 0;; after++) {
        struct mover_world world;
        mover_world_init(&world, 5);
        world.settings.segment_bytes = 1 << 20;
        world.settings.index_interval_bytes = 1 << 20;
        open_and_fill(&world, 300);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_READ),
                                                 .after = after,
                                                 .error = -EIO,
                                                 .short_bytes = -1,
                                                 .path_part = "/a/"};
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        memory_files_set_fault(world.disk, &fault);
        mover_world_run(&world, 10000);
        bool struck = memory_files_fault_count(world.disk) > 0;
        memory_files_set_fault(world.disk, NULL);
        assert_false(mover_world_is_moving(&world));
        assert_int_equal(log_manager_usable_directories(world.logs), struck ? 2 : 3);
        assert_int_equal(mover_world_directory(&world), struck ? 0 : 1);
        mover_world_release(&world);
        if (!struck) {
            assert_true(after > 0);
            return;
        }
    }
}

/* The exchange cannot be ended and not be undone either: there are two folders, and the one in the directory
 * that is read later goes on. */
static void the_twin_that_goes_on_keeps_its_high_watermark(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 6, 100);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_int_equal(mover_world_directory(&world), 1);
    assert_int_equal(mover_world_order(&world, "/a"), KAFKA_NONE);
    struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_RENAME),
                                       .error = -EBUSY,
                                       .short_bytes = -1,
                                       .repeat = true,
                                       .path_part = "/topic-0"};
    for (; fault.after < 4; fault.after++) {
        memory_files_set_fault(world.disk, &fault);
        mover_world_run(&world, 6000);
        memory_files_set_fault(world.disk, NULL);
        if (mover_world_folders(&world, "/a", "") == 1)
            break;
    }
    assert_int_equal(mover_world_directory(&world), 1);
    assert_int_equal(mover_world_folders(&world, "/b", ""), 1);
    for (int i = 0; i < 50; i++)
        assert_true(mover_world_produce(&world));
    assert_true(mover_world_flush(&world));
    const struct high_watermark_entry entry = {.topic = slice_of("topic"), .high_watermark = 120};
    assert_int_equal(log_manager_checkpoint_high_watermarks(world.logs, &entry, 1), 0);
    mover_world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_directory(&world), 1);
    assert_int_equal(log_manager_checkpointed_high_watermark(world.logs, slice_of("topic"), 0), 120);
    mover_world_release(&world);
}

static void an_epoch_without_records_moves_along(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 7, 100);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_int_equal(mover_world_directory(&world), 1);
    struct partition_log *log = log_manager_find(world.logs, slice_of("topic"), 0);
    assert_int_equal(partition_log_latest_epoch(log), 2);
    int32_t epoch;
    int64_t end;
    partition_log_epoch_end(log, 1, &epoch, &end);
    assert_int_equal(epoch, 1);
    assert_int_equal(end, 100);
    mover_world_release(&world);
}

static void a_move_of_a_deleted_topic_ends_while_a_directory_is_offline(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 8, 300);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    assert_true(mover_run(world.mover));
    fail_all(&world, "/c");
    log_manager_probe(world.logs);
    assert_int_equal(log_manager_usable_directories(world.logs), 2);
    mover_world_delete(&world);
    mover_world_run(&world, 10000);
    assert_false(mover_world_is_moving(&world));
    assert_int_equal(mover_world_folders(&world, "/b", "-future"), 0);
    memory_files_set_fault(world.disk, NULL);
    mover_world_release(&world);
}

static void only_what_copies_is_throttled(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 9);
    world.bytes_per_second = 100;
    world.settings.segment_bytes = 1 << 20;
    open_and_fill(&world, 300);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    while (mover_run(world.mover))
        continue;
    assert_true(copied_to(&world) > 0);
    assert_true(copied_to(&world) < 10); /* about a second's worth, and not a megabyte */
    assert_int_equal(mover_world_order(&world, "/a"), KAFKA_NONE);
    assert_true(mover_run(world.mover));
    assert_false(mover_world_is_moving(&world));
    assert_int_equal(mover_world_folders(&world, "/b", "-future"), 0);
    mover_world_release(&world);
}

/* A copy's lines in the checkpoints of its directory would be believed of a later log of that name there. */
static void an_exchange_undone_leaves_no_lines_behind(void **state)
{
    (void)state;
    struct mover_world world;
    begin(&world, 10, 100);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_RENAME),
                                             .error = -EBUSY,
                                             .short_bytes = -1,
                                             .repeat = true,
                                             .path_part = "/a/topic-0"};
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    memory_files_set_fault(world.disk, &fault);
    mover_world_run(&world, 1000);
    assert_true(memory_files_fault_count(world.disk) > 0);
    memory_files_set_fault(world.disk, NULL);
    assert_int_equal(mover_world_order(&world, "/a"), KAFKA_NONE);
    mover_world_run(&world, 10000);
    mover_world_delete(&world);
    world.topic_generation++;
    world.leader_epoch = 0;
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_REPLICA_NOT_AVAILABLE);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    assert_int_equal(mover_world_directory(&world), 1);
    struct buffer text;
    buffer_init(&text);
    assert_int_equal(file_system_read_all(memory_files_system(world.disk),
                                          "/b/recovery-point-offset-checkpoint", 10000, &text),
                     0);
    assert_null(strstr(buffer_string(&text), "topic 0 100"));
    buffer_release(&text);
    mover_world_release(&world);
}

static void a_full_target_does_not_keep_the_log_from_compaction(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 11);
    world.settings.compacted = true;
    open_and_fill(&world, 300);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + 5000);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    mover_world_run(&world, PATIENCE_MS);
    assert_true(mover_world_cleaning_is_paused(&world));
    mover_world_run(&world, 600000);
    assert_true(mover_world_is_moving(&world));
    assert_false(mover_world_cleaning_is_paused(&world));
    mover_world_run(&world, PATIENCE_MS);
    assert_false(mover_world_cleaning_is_paused(&world));
    int64_t before = copied_to(&world);
    memory_files_set_capacity(world.disk, SIZE_MAX);
    log_manager_probe(world.logs);
    while (!mover_run(world.mover))
        world.now_ms += 100;
    assert_true(mover_world_cleaning_is_paused(&world));
    assert_true(copied_to(&world) <= before); /* anew */
    mover_world_run(&world, PATIENCE_MS);
    assert_int_equal(mover_world_directory(&world), 1);
    mover_world_check(&world, 300);
    mover_world_release(&world);
}

struct reads {
    int early;
    int all;
};

static int count_reads(void *context, enum memory_files_operation operation, const char *path)
{
    struct reads *reads = context;
    if (operation != MEMORY_FILES_READ || strncmp(path, "/b/", 3) != 0 || !strstr(path, "-future/") ||
        !strstr(path, ".log"))
        return 0;
    reads->all++;
    reads->early += strstr(path, "/00000000000000000000.log") != NULL;
    return 0;
}

/* A segment of a copy is durable before the next one begins: those before the last two are believed. */
static void a_start_does_not_read_all_of_a_copy(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct mover_world world;
        struct reads reads = {0, 0};
        begin(&world, 12, 300);
        assert_true(mover_world_flush(&world));
        assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
        for (int i = 0; i < 8; i++)
            assert_true(mover_run(world.mover));
        assert_true(mover_world_is_moving(&world));
        mover_world_drop(&world);
        memory_files_crash(world.disk, crash ? MEMORY_FILES_POWER_CUT : MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(mover_world_open(&world), 0);
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        memory_files_set_hook(world.disk, count_reads, &reads);
        assert_true(mover_run(world.mover));
        memory_files_set_hook(world.disk, NULL, NULL);
        assert_true(reads.all > 0);
        assert_int_equal(reads.early, 0);
        mover_world_run(&world, PATIENCE_MS);
        assert_int_equal(mover_world_directory(&world), 1);
        mover_world_check(&world, 300);
        mover_world_release(&world);
    }
}

struct exchange {
    bool begun;
    bool done;
    int checkpoints;
};

static int watch_exchange(void *context, enum memory_files_operation operation, const char *path)
{
    struct exchange *exchange = context;
    bool rename = operation == MEMORY_FILES_RENAME;
    exchange->begun = exchange->begun || (rename && strncmp(path, "/b/", 3) == 0 &&
                                          strcmp(path + strlen(path) - strlen("-future"), "-future") == 0);
    exchange->done = exchange->done || (rename && strcmp(path, "/a/topic-0") == 0);
    if (exchange->begun && !exchange->done && operation == MEMORY_FILES_WRITE &&
        strstr(path, "offset-checkpoint"))
        exchange->checkpoints++;
    return 0;
}

/* They are as large as the directory has partitions, and all who look for any partition would wait. */
static void nobody_waits_for_checkpoints(void **state)
{
    (void)state;
    struct mover_world world;
    struct exchange exchange = {0};
    begin(&world, 13, 100);
    assert_int_equal(mover_world_order(&world, "/b"), KAFKA_NONE);
    memory_files_set_hook(world.disk, watch_exchange, &exchange);
    mover_world_run(&world, PATIENCE_MS);
    memory_files_set_hook(world.disk, NULL, NULL);
    assert_int_equal(mover_world_directory(&world), 1);
    assert_true(exchange.begun && exchange.done);
    assert_int_equal(exchange.checkpoints, 0);
    mover_world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_that_never_rests_moves),
        cmocka_unit_test(a_writer_faster_than_the_copy_is_held),
        cmocka_unit_test(nobody_is_held_after_a_cut),
        cmocka_unit_test(a_move_of_a_damaged_log_ends),
        cmocka_unit_test(a_start_within_a_gap_at_the_end_is_kept),
        cmocka_unit_test(a_copy_of_before_a_compaction_is_not_gone_on_with),
        cmocka_unit_test(what_a_copy_lets_go_of_is_removed),
        cmocka_unit_test(a_log_that_cannot_be_read_goes_offline),
        cmocka_unit_test(the_twin_that_goes_on_keeps_its_high_watermark),
        cmocka_unit_test(an_epoch_without_records_moves_along),
        cmocka_unit_test(a_move_of_a_deleted_topic_ends_while_a_directory_is_offline),
        cmocka_unit_test(only_what_copies_is_throttled),
        cmocka_unit_test(an_exchange_undone_leaves_no_lines_behind),
        cmocka_unit_test(a_full_target_does_not_keep_the_log_from_compaction),
        cmocka_unit_test(a_start_does_not_read_all_of_a_copy),
        cmocka_unit_test(nobody_waits_for_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
