/* SPDX-License-Identifier: Apache-2.0 */
/* A log manager with two directories on a disk in memory. */
#include "tests/unit/log/directories_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/kafka/error.h"

static const char *const directories[] = {"/data/a", "/data/b"};

static int64_t fixed_clock(void *context)
{
    (void)context;
    return NOW_MS;
}

static void count_change(void *context)
{
    ((struct world *)context)->changes++;
}

void world_init(struct world *world, uint64_t seed)
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

void world_init_directories(struct world *world, uint64_t seed)
{
    world_init(world, seed);
    struct file_system *files = world->options.files;
    assert_int_equal(file_system_make_directory(files, "/data"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/a"), 0);
    assert_int_equal(file_system_make_directory(files, "/data/b"), 0);
    assert_int_equal(file_system_sync_directory(files, "/data"), 0);
    assert_int_equal(file_system_sync_directory(files, "/"), 0);
}

void world_fill(struct world *world, uint64_t seed, int records)
{
    world_init(world, seed);
    assert_int_equal(world_open(world), 0);
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
        struct partition_log *log = world_obtain(world, partition, true, 0);
        assert_int_equal(log_manager_directory_of(world->manager, slice_of("orders"), partition),
                         partition % 2);
        for (int i = 0; i < records; i++)
            assert_true(world_append(world, log));
    }
}

void world_release(struct world *world)
{
    log_manager_free(world->manager);
    memory_files_free(world->disk);
    buffer_release(&world->error);
}

int world_open(struct world *world)
{
    buffer_clear(&world->error);
    return log_manager_open(&world->options, &world->manager, &world->error);
}

void world_drop(struct world *world)
{
    log_manager_free(world->manager);
    world->manager = NULL;
}

void world_restart(struct world *world, enum memory_files_crash crash)
{
    world_drop(world);
    memory_files_crash(world->disk, crash);
    memory_files_set_fault(world->disk, NULL);
    assert_int_equal(world_open(world), 0);
}

struct partition_log *world_obtain(struct world *world, int32_t partition, bool is_new, int expected)
{
    struct partition_log *log = NULL;
    int error = log_manager_obtain(world->manager, slice_of("orders"), partition, is_new,
                                   &world->options.defaults, &log);
    assert_int_equal(error, expected);
    return error ? NULL : log;
}

struct partition_log *world_make(struct world *world, int32_t partition)
{
    struct partition_log *log = NULL;
    if (log_manager_obtain(world->manager, slice_of("orders"), partition, true, &world->options.defaults,
                           &log))
        return NULL;
    return log;
}

bool world_append(struct world *world, struct partition_log *log)
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

bool world_exists(struct world *world, const char *path)
{
    struct file_status status;
    int error = file_system_status(world->options.files, path, &status);
    assert_true(error == 0 || error == -ENOENT);
    return error == 0;
}

void world_assert_content(struct world *world, const char *path, const char *expected)
{
    struct buffer content;
    buffer_init(&content);
    assert_int_equal(file_system_read_all(world->options.files, path, 10000, &content), 0);
    assert_string_equal(buffer_string(&content), expected);
    buffer_release(&content);
}

struct log_directory_info world_directory_info(struct world *world, size_t number)
{
    struct log_directory_info info;
    log_manager_directory_info(world->manager, number, &info);
    return info;
}
