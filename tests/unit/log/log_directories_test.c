/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two log directories, one of them in trouble: broken from the start, failing at any operation, full, gone.
 * The other serves on, nothing durable is lost, and no log is made anew while it may lie in the one that is
 * offline (invariants I5, I6, I12).
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/log_manager.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

#define CLUSTER "u4zkQmXqRl2wJ0Jq9fB1Zg"
#define NOW_MS 1700000000000
/* Even partitions come to lie in a, odd ones in b. */
#define PARTITIONS 4
#define IN_A 0
#define IN_B 1

struct world {
    struct memory_files *disk;
    struct prng prng;
    struct log_manager_options options;
    struct log_manager *manager;
    struct buffer error;
    int changes; /* calls of directories_changed */
};

static int64_t fixed_clock(void *context)
{
    (void)context;
    return NOW_MS;
}

static void count_change(void *context)
{
    ((struct world *)context)->changes++;
}

static const char *const directories[] = {"/data/a", "/data/b"};

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){0};
    prng_init(&world->prng, seed);
    buffer_init(&world->error);
    world->disk = memory_files_new(seed);
    world->options = (struct log_manager_options){.files = memory_files_system(world->disk),
                                                  .directories = directories,
                                                  .directories_count = 2,
                                                  .broker_id = 1,
                                                  .cluster_id = CLUSTER,
                                                  .directories_changed = count_change,
                                                  .directories_context = world,
                                                  .wall_clock_ms = fixed_clock,
                                                  .seed = seed};
    log_settings_init(&world->options.defaults);
    world->options.defaults.segment_bytes = 1500;
}

static void world_release(struct world *world)
{
    log_manager_free(world->manager);
    memory_files_free(world->disk);
    buffer_release(&world->error);
}

static int world_open(struct world *world)
{
    buffer_clear(&world->error);
    return log_manager_open(&world->options, &world->manager, &world->error);
}

static void world_drop(struct world *world)
{
    log_manager_free(world->manager);
    world->manager = NULL;
}

/* The process ends and starts again, with a disk that has no faults. */
static void world_restart(struct world *world, enum memory_files_crash crash)
{
    world_drop(world);
    memory_files_crash(world->disk, crash);
    memory_files_set_fault(world->disk, NULL);
    assert_int_equal(world_open(world), 0);
}

static struct partition_log *obtain(struct world *world, int32_t partition, bool is_new, int expected)
{
    struct partition_log *log = NULL;
    int error = log_manager_obtain(world->manager, slice_of("orders"), partition, is_new,
                                   &world->options.defaults, &log);
    assert_int_equal(error, expected);
    return error ? NULL : log;
}

static bool append(struct world *world, struct partition_log *log)
{
    struct buffer bytes;
    struct log_append_result result;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(1, NOW_MS);
    make_batch(&world->prng, &plan, &bytes);
    int16_t error = partition_log_append_as_leader(log, bytes.data, bytes.length, 9, 0, NOW_MS, &result);
    buffer_release(&bytes);
    return error == KAFKA_NONE;
}

static struct log_directory_info info_of(struct world *world, size_t number)
{
    struct log_directory_info info;
    log_manager_directory_info(world->manager, number, &info);
    return info;
}

static bool exists(struct world *world, const char *path)
{
    struct file_status status;
    return file_system_status(world->options.files, path, &status) == 0;
}

/* A world with PARTITIONS logs of `records` records. */
static void world_fill(struct world *world, uint64_t seed, int records)
{
    world_init(world, seed);
    assert_int_equal(world_open(world), 0);
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
        struct partition_log *log = obtain(world, partition, true, 0);
        assert_int_equal(log_manager_directory_of(world->manager, slice_of("orders"), partition),
                         partition % 2);
        for (int i = 0; i < records; i++)
            assert_true(append(world, log));
    }
}

static void directories_are_made(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 1, 3);
    assert_int_equal(log_manager_directories_count(world.manager), 2);
    assert_string_equal(info_of(&world, 1).path, "/data/b");
    assert_int_equal(info_of(&world, 1).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 9), -1);
    assert_false(log_manager_log_is_offline(world.manager, slice_of("orders"), 1));
    assert_false(log_manager_log_is_offline(world.manager, slice_of("orders"), 9));
    log_manager_probe(world.manager);
    assert_int_equal(world.changes, 0);
    world_release(&world);
}

/* ---- at start ---- */

static void a_broken_directory_is_offline_from_the_start(void **state)
{
    (void)state;
    static const uint32_t broken[] = {
        MEMORY_FILES_BIT(MEMORY_FILES_LOCK), MEMORY_FILES_BIT(MEMORY_FILES_LIST),
        MEMORY_FILES_BIT(MEMORY_FILES_STATUS), MEMORY_FILES_BIT(MEMORY_FILES_OPEN),
        MEMORY_FILES_BIT(MEMORY_FILES_READ)};
    static const int errors[] = {-EIO, -EACCES, -EROFS};
    for (size_t i = 0; i < ARRAY_SIZE(broken) * ARRAY_SIZE(errors); i++) {
        struct world world;
        world_fill(&world, 2, 10);
        world_drop(&world);
        const struct memory_files_fault fault = {.operations = broken[i % ARRAY_SIZE(broken)],
                                                 .error = errors[i / ARRAY_SIZE(broken)],
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "/data/b"};
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(world_open(&world), 0);
        assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_ONLINE);
        assert_int_equal(info_of(&world, 1).state, LOG_DIRECTORY_OFFLINE);
        assert_int_equal(info_of(&world, 1).error, fault.error);
        assert_int_equal(log_manager_usable_directories(world.manager), 1);
        assert_int_equal(partition_log_end_offset(obtain(&world, IN_A, false, 0)), 10);
        /* I12: what is not found may be there; only what is new may be made. */
        obtain(&world, IN_B, false, -EIO);
        assert_true(log_manager_log_is_offline(world.manager, slice_of("orders"), IN_B));
        assert_true(log_manager_log_is_offline(world.manager, slice_of("orders"), 100));
        assert_true(append(&world, obtain(&world, 100, true, 0)));
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 100), 0);
        assert_false(log_manager_log_is_offline(world.manager, slice_of("orders"), 100));
        assert_int_equal(log_manager_close(world.manager), 0);
        assert_false(exists(&world, "/data/b/.kafka_cleanshutdown"));
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        for (int32_t partition = 0; partition < PARTITIONS; partition++)
            assert_int_equal(partition_log_end_offset(obtain(&world, partition, false, 0)), 10);
        world_release(&world);
    }
}

static void without_any_directory_there_is_no_broker(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 3);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_LOCK), .error = -EIO, .short_bytes = -1, .repeat = true};
    memory_files_set_fault(world.disk, &fault);
    assert_int_equal(world_open(&world), -EIO);
    assert_non_null(strstr(buffer_string(&world.error), "/data/b"));
    world_release(&world);
}

/* EIO while recovering is no torn tail: nothing is cut, the directory goes offline, the other is served. */
static void an_unreadable_log_takes_its_directory_only(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 2; threads++) {
        struct world world;
        world_fill(&world, 4, 40);
        world.options.recovery_threads = threads;
        world_drop(&world);
        memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
        const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_READ),
                                                 .after = 1,
                                                 .error = -EIO,
                                                 .short_bytes = -1,
                                                 .repeat = true,
                                                 .path_part = "/data/b/orders-1/"};
        memory_files_set_fault(world.disk, &fault);
        assert_int_equal(world_open(&world), 0);
        assert_int_equal(info_of(&world, 1).error, -EIO);
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_B), 1);
        obtain(&world, IN_B, true, -EIO);
        assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), -EIO);
        assert_true(append(&world, obtain(&world, IN_A, false, 0)));
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(partition_log_end_offset(obtain(&world, IN_A, false, 0)), 41);
        for (int32_t partition = 1; partition < PARTITIONS; partition++)
            assert_int_equal(partition_log_end_offset(obtain(&world, partition, false, 0)), 40);
        world_release(&world);
    }
}

/* ---- in life ---- */

static void nothing_is_written_to_a_failed_directory(void **state)
{
    (void)state;
    static const int errors[] = {-EIO, -EROFS};
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct world world;
        world_fill(&world, 5, 20);
        struct partition_log *in_a = obtain(&world, IN_A, false, 0), *in_b = obtain(&world, IN_B, false, 0);
        struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                           .error = errors[i],
                                           .short_bytes = -1,
                                           .path_part = "/data/b/orders-1/"};
        memory_files_set_fault(world.disk, &fault);
        assert_false(append(&world, in_b));
        assert_int_equal(world.changes, 1);
        /* From now on whatever reaches that directory is counted. */
        fault = (struct memory_files_fault){.operations = MEMORY_FILES_CHANGING_OPERATIONS,
                                            .error = -EIO,
                                            .short_bytes = -1,
                                            .repeat = true,
                                            .path_part = "/data/b"};
        memory_files_set_fault(world.disk, &fault);
        assert_false(append(&world, in_b));
        assert_true(append(&world, obtain(&world, IN_A, false, 0)));
        assert_true(append(&world, in_a));
        obtain(&world, IN_B, false, -EIO);
        obtain(&world, IN_B + 2, true, -EIO);
        obtain(&world, 50, false, -EIO);
        assert_true(append(&world, obtain(&world, 51, true, 0)));
        const struct recovery_entry recovery = {slice_of("orders"), IN_B, 5, 0, 0};
        const struct high_watermark_entry watermark = {slice_of("orders"), IN_B, 5, 0};
        assert_int_equal(log_manager_checkpoint_recovery(world.manager, &recovery, 1), 0);
        assert_int_equal(log_manager_checkpoint_high_watermarks(world.manager, &watermark, 1), 0);
        assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), -EIO);
        log_manager_probe(world.manager);
        assert_int_equal(log_manager_close(world.manager), 0);
        assert_int_equal(memory_files_fault_count(world.disk), 0);
        assert_true(exists(&world, "/data/a/.kafka_cleanshutdown"));
        assert_false(exists(&world, "/data/b/.kafka_cleanshutdown"));
        assert_int_equal(world.changes, 1);
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        assert_int_equal(partition_log_end_offset(obtain(&world, IN_A, false, 0)), 22);
        assert_int_equal(partition_log_end_offset(obtain(&world, IN_B, false, 0)), 20);
        world_release(&world);
    }
}

static void a_directory_that_vanishes_is_noticed(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 6, 2);
    assert_int_equal(file_system_remove(world.options.files, "/data/b/meta.properties"), 0);
    log_manager_probe(world.manager);
    assert_int_equal(info_of(&world, 1).state, LOG_DIRECTORY_OFFLINE);
    assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(world.changes, 1);
    assert_true(partition_log_failure(obtain(&world, IN_A, false, 0)) == 0);
    world_release(&world);
}

/* What was in the logs at the last moment at which all of it was durable. */
struct counts {
    int64_t appended[PARTITIONS];
    int64_t durable[PARTITIONS];
};

/* A life with rolls, flushes, truncations of the start, deletions and checkpoints. */
static void live(struct world *world, struct counts *counts)
{
    for (int step = 0; step < 80; step++) {
        for (int32_t i = 0; i < PARTITIONS; i++) {
            struct partition_log *log = log_manager_find(world->manager, slice_of("orders"), i);
            if (log && append(world, log))
                counts->appended[i]++;
            if (log && step % 16 == 5 && partition_log_flush(log) == 0)
                counts->durable[i] = partition_log_recovery_point(log);
        }
        if (step % 20 != 10)
            continue;
        struct recovery_entry entries[PARTITIONS];
        for (int32_t i = 0; i < PARTITIONS; i++)
            entries[i] = (struct recovery_entry){slice_of("orders"), i, counts->durable[i], 0, 0};
        int ignored = log_manager_checkpoint_recovery(world->manager, entries, PARTITIONS);
        (void)ignored;
        log_manager_probe(world->manager);
    }
    if (log_manager_close(world->manager) == 0 && info_of(world, 1).state != LOG_DIRECTORY_OFFLINE)
        memcpy(counts->durable, counts->appended, sizeof(counts->durable));
}

/* Whether the fault struck. */
static bool fail_at(uint32_t operations, int error, uint64_t after, enum memory_files_crash crash)
{
    struct world world;
    struct counts counts = {{0}, {0}};
    world_fill(&world, 1000 + after, 0);
    const struct memory_files_fault fault = {
        .operations = operations, .after = after, .error = error, .short_bytes = -1, .path_part = "/data/b"};
    memory_files_set_fault(world.disk, &fault);
    live(&world, &counts);
    bool struck = memory_files_fault_count(world.disk) > 0;
    assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_ONLINE);
    for (int32_t i = 0; i < PARTITIONS; i += 2)
        assert_int_equal(counts.appended[i], 80);
    assert_true(exists(&world, "/data/a/.kafka_cleanshutdown"));
    world_restart(&world, crash);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        /* A sync that failed has lost what it was to bring to the disk, and a start believes the disk. */
        bool kept =
            crash == MEMORY_FILES_PROCESS_CRASH && !(operations & MEMORY_FILES_BIT(MEMORY_FILES_SYNC));
        int64_t least = kept ? counts.appended[i] : counts.durable[i];
        if (i % 2 == 0)
            least = 80;
        /* A write that failed may be there all the same: nobody was told that it is not. */
        assert_in_range(partition_log_end_offset(obtain(&world, i, false, 0)), least, 80);
    }
    world_release(&world);
    return struck;
}

static void every_failure_leaves_the_other_directory_alone(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {MEMORY_FILES_BIT(MEMORY_FILES_SYNC) |
                                         MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY),
                                     MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
                                     MEMORY_FILES_BIT(MEMORY_FILES_READ), MEMORY_FILES_ALL_OPERATIONS};
    for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
        for (int crash = MEMORY_FILES_PROCESS_CRASH; crash <= MEMORY_FILES_POWER_CUT; crash++) {
            uint64_t after = 0;
            while (fail_at(kinds[kind], -EIO, after, (enum memory_files_crash)crash))
                after += kind == ARRAY_SIZE(kinds) - 1 ? 3 : 1;
        }
    }
}

/* No room at any one operation: nothing goes offline, nothing is lost. */
static void no_room_at_any_operation_is_survived(void **state)
{
    (void)state;
    static const uint32_t kinds[] = {MEMORY_FILES_BIT(MEMORY_FILES_WRITE) |
                                     MEMORY_FILES_BIT(MEMORY_FILES_OPEN)};
    for (uint64_t after = 0;; after++) {
        struct world world;
        struct counts counts = {{0}, {0}};
        world_fill(&world, 3000 + after, 0);
        const struct memory_files_fault fault = {.operations = kinds[0],
                                                 .after = after,
                                                 .error = -ENOSPC,
                                                 .short_bytes = -1,
                                                 .path_part = "/data/b"};
        memory_files_set_fault(world.disk, &fault);
        live(&world, &counts);
        bool struck = memory_files_fault_count(world.disk) > 0;
        for (size_t i = 0; i < 2; i++)
            assert_int_not_equal(info_of(&world, i).state, LOG_DIRECTORY_OFFLINE);
        world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
        for (int32_t i = 0; i < PARTITIONS; i++) {
            assert_int_equal(partition_log_end_offset(obtain(&world, i, false, 0)), counts.appended[i]);
            assert_true(append(&world, obtain(&world, i, false, 0)));
        }
        world_release(&world);
        if (!struck)
            break;
    }
}

/* ---- a full disk ---- */

static uint64_t writes(struct world *world)
{
    return memory_files_operations(world->disk, MEMORY_FILES_BIT(MEMORY_FILES_WRITE));
}

static void a_full_disk_serves_reads_and_comes_back(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 7, 30);
    struct partition_log *log = obtain(&world, IN_A, false, 0);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + 500);
    int64_t taken = 30;
    while (append(&world, log))
        taken++;
    assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_FULL);
    assert_int_equal(info_of(&world, 0).error, -ENOSPC);
    assert_int_equal(info_of(&world, 1).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(world.changes, 1);
    assert_int_equal(partition_log_failure(log), 0);
    /* No storm of writes, neither of this log nor of its neighbours. */
    uint64_t before = writes(&world);
    for (int i = 0; i < 10; i++) {
        assert_false(append(&world, log));
        assert_false(append(&world, obtain(&world, IN_A + 2, false, 0)));
    }
    assert_int_equal(writes(&world), before);
    struct log_range range;
    assert_int_equal(partition_log_read(log, 0, 100000, taken, true, &range), KAFKA_NONE);
    assert_true(range.length > 0);
    log_range_release(&range);
    assert_int_equal(partition_log_flush(log), 0);
    log_manager_probe(world.manager);
    assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_FULL);
    /* A new log goes where there is room. */
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), 0);
    assert_int_equal(log_manager_remove_due(world.manager, INT64_MAX - 1), INT64_MAX);
    memory_files_set_capacity(world.disk, SIZE_MAX);
    obtain(&world, 60, true, 0);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 60), 1);
    log_manager_probe(world.manager);
    assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_ONLINE);
    assert_int_equal(info_of(&world, 0).error, 0);
    assert_int_equal(world.changes, 2);
    assert_false(exists(&world, "/data/a/.room-probe"));
    assert_true(append(&world, log));
    assert_int_equal(log_manager_close(world.manager), 0);
    world_restart(&world, MEMORY_FILES_POWER_CUT);
    assert_int_equal(partition_log_end_offset(obtain(&world, IN_A, false, 0)), taken + 1);
    world_release(&world);
}

/* An append makes the batch its own. */
static int16_t append_copy(struct partition_log *log, const struct buffer *bytes)
{
    struct buffer copy;
    struct log_append_result result;
    buffer_init(&copy);
    buffer_append(&copy, bytes->data, bytes->length);
    int16_t error = partition_log_append_as_leader(log, copy.data, copy.length, 9, 0, NOW_MS, &result);
    buffer_release(&copy);
    return error;
}

/* Room for small appends, none for a large one that comes again and again. */
static void a_disk_on_the_brink_does_not_flap(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, 19);
    FILE *lines = tmpfile();
    assert_non_null(lines);
    struct logger *logger = logger_new(fileno(lines), LOG_INFO, "test");
    world.options.logger = logger;
    world.options.defaults.segment_bytes = 100 << 20;
    world.options.defaults.max_message_bytes = 20 << 20;
    assert_int_equal(world_open(&world), 0);
    struct partition_log *log = obtain(&world, IN_A, true, 0);
    assert_true(append(&world, log));
    struct buffer bytes;
    buffer_init(&bytes);
    struct batch_plan plan = batch_plan_plain(1, NOW_MS);
    plan.value_bytes = 12 << 20;
    do {
        buffer_clear(&bytes);
        make_batch(&world.prng, &plan, &bytes);
    } while (bytes.length < (size_t)6 << 20);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + bytes.length - 1000);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(append_copy(log, &bytes), KAFKA_KAFKA_STORAGE_ERROR);
        log_manager_probe(world.manager);
        assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_FULL);
    }
    assert_int_equal(world.changes, 1);
    /* Full and not by turns, whoever is to blame: two lines a minute at most. */
    for (int i = 0; i < 20; i++) {
        memory_files_set_capacity(world.disk, SIZE_MAX);
        log_manager_probe(world.manager);
        assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_ONLINE);
        memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk) + 10);
        assert_false(append(&world, log));
        assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_FULL);
    }
    memory_files_set_capacity(world.disk, SIZE_MAX);
    log_manager_probe(world.manager);
    assert_int_equal(append_copy(log, &bytes), KAFKA_NONE);
    int count = 0;
    char line[1000];
    rewind(lines);
    while (fgets(line, sizeof(line), lines))
        count += strstr(line, "is full") || strstr(line, "has room again");
    assert_int_equal(count, 2);
    buffer_release(&bytes);
    world_release(&world);
    logger_free(logger);
    fclose(lines);
}

/* A log is deleted while its checkpoint cannot be written: a namesake must not inherit what that says. */
static void a_deletion_on_a_full_disk_leaves_nothing_behind(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 8, 30);
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(partition_log_flush(obtain(&world, i, false, 0)), 0);
    const struct recovery_entry entries[] = {{slice_of("orders"), 0, 30, 10, 0},
                                             {slice_of("orders"), 2, 30, 0, 0}};
    assert_int_equal(log_manager_checkpoint_recovery(world.manager, entries, 2), 0);
    memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk));
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
    assert_false(exists(&world, "/data/a/orders-0"));
    obtain(&world, IN_A, true, -ENOSPC);
    assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_FULL);
    memory_files_set_capacity(world.disk, SIZE_MAX);
    log_manager_probe(world.manager);
    struct partition_log *log = obtain(&world, IN_A, true, 0);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_A), 0);
    for (int i = 0; i < 3; i++)
        assert_true(append(&world, log));
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    log = obtain(&world, IN_A, false, 0);
    assert_int_equal(partition_log_start_offset(log), 0);
    assert_int_equal(partition_log_end_offset(log), 3);
    world_release(&world);
}

/* A log that finds no room to be made leaves no folder, and may be made elsewhere. */
static void a_log_that_could_not_be_made_is_no_log(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 9, 1);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_OPEN),
                                             .error = -ENOSPC,
                                             .short_bytes = -1,
                                             .path_part = "/data/a/orders-70/"};
    memory_files_set_fault(world.disk, &fault);
    obtain(&world, 70, true, -ENOSPC);
    assert_false(exists(&world, "/data/a/orders-70"));
    assert_int_equal(info_of(&world, 0).state, LOG_DIRECTORY_FULL);
    assert_true(append(&world, obtain(&world, 70, true, 0)));
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), 70), 1);
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_end_offset(obtain(&world, 70, false, 0)), 1);
    world_release(&world);
}

static void a_start_on_a_full_disk_succeeds(void **state)
{
    (void)state;
    for (int crash = MEMORY_FILES_PROCESS_CRASH; crash <= MEMORY_FILES_POWER_CUT; crash++) {
        struct world world;
        world_fill(&world, 10, 40);
        for (int32_t i = 0; i < PARTITIONS; i++)
            assert_int_equal(partition_log_flush(obtain(&world, i, false, 0)), 0);
        world_drop(&world);
        memory_files_crash(world.disk, (enum memory_files_crash)crash);
        memory_files_set_capacity(world.disk, memory_files_used_bytes(world.disk));
        assert_int_equal(world_open(&world), 0);
        for (int32_t i = 0; i < PARTITIONS; i++)
            assert_int_equal(partition_log_end_offset(obtain(&world, i, false, 0)), 40);
        memory_files_set_capacity(world.disk, SIZE_MAX);
        log_manager_probe(world.manager);
        for (int32_t i = 0; i < PARTITIONS; i++)
            assert_true(append(&world, obtain(&world, i, false, 0)));
        assert_int_equal(log_manager_close(world.manager), 0);
        world_release(&world);
    }
}

/* No room for what opening one log must write: that one is left out, and no directory with it. */
static void a_log_that_finds_no_room_is_left_out(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 13, 5);
    world_drop(&world);
    memory_files_crash(world.disk, MEMORY_FILES_PROCESS_CRASH);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_LIST),
                                             .after = 2, /* those that look how much there is to check */
                                             .error = -ENOSPC,
                                             .short_bytes = -1,
                                             .path_part = "/data/a/orders-0"};
    memory_files_set_fault(world.disk, &fault);
    assert_int_equal(world_open(&world), 0);
    assert_int_equal(memory_files_fault_count(world.disk), 1);
    memory_files_set_fault(world.disk, NULL);
    assert_int_equal(info_of(&world, IN_A).state, LOG_DIRECTORY_FULL);
    obtain(&world, 0, false, -ENOSPC);
    for (int32_t i = 1; i < PARTITIONS; i++)
        assert_int_equal(partition_log_end_offset(obtain(&world, i, false, 0)), 5);
    log_manager_probe(world.manager);
    assert_int_equal(partition_log_end_offset(obtain(&world, 0, false, 0)), 5);
    assert_true(append(&world, obtain(&world, 0, false, 0)));
    assert_int_equal(log_manager_close(world.manager), 0);
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(partition_log_end_offset(obtain(&world, 0, false, 0)), 6);
    world_release(&world);
}

/* ---- removal ---- */

static void a_deleted_folder_waits_for_its_time(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 11, 5);
    world.options.defaults.file_delete_delay_ms = 60000;
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
    size_t used = memory_files_used_bytes(world.disk);
    assert_int_equal(log_manager_remove_due(world.manager, NOW_MS), NOW_MS + 60000);
    assert_int_equal(memory_files_used_bytes(world.disk), used);
    assert_int_equal(log_manager_remove_due(world.manager, NOW_MS + 60000), INT64_MAX);
    assert_true(memory_files_used_bytes(world.disk) < used);
    /* A life that ends before: the next one removes it at once. */
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_B), 0);
    world_restart(&world, MEMORY_FILES_PROCESS_CRASH);
    used = memory_files_used_bytes(world.disk);
    assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_B), -1);
    assert_int_equal(log_manager_remove_due(world.manager, 0), INT64_MAX);
    assert_true(memory_files_used_bytes(world.disk) < used);
    world_release(&world);
}

/* The directory has no room for the longer name until something is gone. */
struct no_room_for_names {
    struct memory_files *disk;
    int removals_needed;
    int removals;
    int refused;
};

static int refuse_names(void *context, enum memory_files_operation operation, const char *path)
{
    struct no_room_for_names *room = context;
    size_t length = strlen(path);
    if (operation == MEMORY_FILES_REMOVE && strstr(path, "/orders-0/"))
        room->removals++;
    bool folder = length > 9 && strcmp(path + length - 9, "/orders-0") == 0;
    if (operation != MEMORY_FILES_RENAME || !folder || room->removals >= room->removals_needed)
        return 0;
    room->refused++;
    return -ENOSPC;
}

/* A topic can be deleted to make room, however full its disk is. */
static void a_deletion_makes_the_room_that_it_needs(void **state)
{
    (void)state;
    static const int needed[] = {1, 10, INT32_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        struct world world;
        world_fill(&world, 12, 60);
        assert_int_equal(partition_log_flush(obtain(&world, IN_A, false, 0)), 0);
        size_t used = memory_files_used_bytes(world.disk);
        struct no_room_for_names room = {.disk = world.disk, .removals_needed = needed[i]};
        memory_files_set_hook(world.disk, refuse_names, &room);
        assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
        assert_true(room.refused > 0);
        memory_files_set_hook(world.disk, NULL, NULL);
        assert_true(memory_files_used_bytes(world.disk) < used);
        assert_false(exists(&world, "/data/a/orders-0"));
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_A), -1);
        world_restart(&world, MEMORY_FILES_POWER_CUT);
        assert_int_equal(log_manager_directory_of(world.manager, slice_of("orders"), IN_A), -1);
        assert_non_null(obtain(&world, IN_A + 2, false, 0));
        assert_int_equal(partition_log_end_offset(obtain(&world, IN_A, true, 0)), 0);
        world_release(&world);
    }
}

/* Stopped anywhere on the way: what a start finds is gone, or a log of that topic that ends earlier. */
static void a_crash_amid_such_a_deletion_leaves_a_replica_that_is_behind(void **state)
{
    (void)state;
    bool stopped = true;
    int shorter = 0;
    for (uint64_t after = 0; stopped; after++) {
        struct world world;
        world_fill(&world, 13, 60);
        struct partition_log *log = obtain(&world, IN_A, false, 0);
        struct uuid topic_id = {.bytes = {7, 9}};
        assert_int_equal(partition_log_set_topic_id(log, topic_id), 0);
        assert_int_equal(partition_log_flush(log), 0);
        const struct recovery_entry entry = {slice_of("orders"), IN_A, 60, 0, 0};
        assert_int_equal(log_manager_checkpoint_recovery(world.manager, &entry, 1), 0);
        struct no_room_for_names room = {.disk = world.disk, .removals_needed = INT32_MAX};
        memory_files_set_hook(world.disk, refuse_names, &room);
        memory_files_stop_after(world.disk, after);
        int error = log_manager_delete(world.manager, slice_of("orders"), IN_A);
        stopped = memory_files_is_stopped(world.disk);
        assert_true(stopped || error == 0);
        memory_files_set_hook(world.disk, NULL, NULL);
        world_restart(&world, after % 2 ? MEMORY_FILES_POWER_CUT : MEMORY_FILES_PROCESS_CRASH);
        if (log_manager_directory_of(world.manager, slice_of("orders"), IN_A) >= 0) {
            log = obtain(&world, IN_A, false, 0);
            int64_t end = partition_log_end_offset(log);
            shorter += end < 60;
            assert_in_range(end, 0, 60);
            assert_true(end == 0 || uuid_equals(partition_log_topic_id(log), topic_id));
            assert_int_equal(partition_log_start_offset(log), 0);
            assert_true(append(&world, log));
            assert_int_equal(partition_log_end_offset(log), end + 1);
        }
        world_release(&world);
    }
    assert_true(shorter > 3);
}

static void a_removal_that_failed_is_tried_again(void **state)
{
    (void)state;
    struct world world;
    world_fill(&world, 14, 5);
    assert_int_equal(log_manager_delete(world.manager, slice_of("orders"), IN_A), 0);
    size_t used = memory_files_used_bytes(world.disk);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_LIST), .error = -EMFILE, .short_bytes = -1};
    memory_files_set_fault(world.disk, &fault);
    int64_t due_ms = NOW_MS + world.options.defaults.file_delete_delay_ms;
    int64_t again_ms = log_manager_remove_due(world.manager, due_ms);
    assert_int_equal(memory_files_fault_count(world.disk), 1);
    assert_true(again_ms > due_ms && again_ms < INT64_MAX);
    assert_int_equal(memory_files_used_bytes(world.disk), used);
    assert_int_equal(log_manager_remove_due(world.manager, again_ms), INT64_MAX);
    assert_true(memory_files_used_bytes(world.disk) < used);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directories_are_made),
        cmocka_unit_test(a_broken_directory_is_offline_from_the_start),
        cmocka_unit_test(without_any_directory_there_is_no_broker),
        cmocka_unit_test(an_unreadable_log_takes_its_directory_only),
        cmocka_unit_test(nothing_is_written_to_a_failed_directory),
        cmocka_unit_test(a_directory_that_vanishes_is_noticed),
        cmocka_unit_test(every_failure_leaves_the_other_directory_alone),
        cmocka_unit_test(no_room_at_any_operation_is_survived),
        cmocka_unit_test(a_full_disk_serves_reads_and_comes_back),
        cmocka_unit_test(a_disk_on_the_brink_does_not_flap),
        cmocka_unit_test(a_deletion_on_a_full_disk_leaves_nothing_behind),
        cmocka_unit_test(a_log_that_could_not_be_made_is_no_log),
        cmocka_unit_test(a_start_on_a_full_disk_succeeds),
        cmocka_unit_test(a_log_that_finds_no_room_is_left_out),
        cmocka_unit_test(a_deleted_folder_waits_for_its_time),
        cmocka_unit_test(a_deletion_makes_the_room_that_it_needs),
        cmocka_unit_test(a_crash_amid_such_a_deletion_leaves_a_replica_that_is_behind),
        cmocka_unit_test(a_removal_that_failed_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
