/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two folders of one partition, found at start: what is not proved to be a copy of the log is kept, whatever
 * way it came there, and in whatever order the directories are named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/log/log_manager.h"
#include "common/log.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

#define CLUSTER "u4zkQmXqRl2wJ0Jq9fB1Zg"
#define NOW_MS 1700000000000

struct world {
    struct memory_files *disk;
    struct file_system *files;
    struct prng prng;
    struct log_manager *manager;
    struct log_settings settings;
    struct partition_log *log; /* of orders-0 */
};

static const char *const orders[][2] = {{"/a", "/b"}, {"/b", "/a"}};
static const char *const only_a[] = {"/a"};
static const char *const only_b[] = {"/b"};

static int64_t fixed_clock(void *context)
{
    (void)context;
    return NOW_MS;
}

static void world_init(struct world *world, uint64_t seed)
{
    *world = (struct world){0};
    prng_init(&world->prng, seed);
    world->disk = memory_files_new(seed);
    world->files = memory_files_system(world->disk);
    log_settings_init(&world->settings);
    world->settings.segment_bytes = 1500;
}

static void world_release(struct world *world)
{
    log_manager_free(world->manager);
    memory_files_free(world->disk);
}

/* Starts a broker with these directories; orders-0 is there, or is made. */
static void start(struct world *world, const char *const *directories, size_t count, struct logger *logger)
{
    struct buffer error;
    const struct log_manager_options options = {.files = world->files,
                                                .logger = logger,
                                                .directories = directories,
                                                .directories_count = count,
                                                .broker_id = 1,
                                                .cluster_id = CLUSTER,
                                                .defaults = world->settings,
                                                .wall_clock_ms = fixed_clock,
                                                .seed = 7};
    buffer_init(&error);
    assert_int_equal(log_manager_open(&options, &world->manager, &error), 0);
    buffer_release(&error);
    assert_int_equal(
        log_manager_obtain(world->manager, slice_of("orders"), 0, true, &world->settings, &world->log), 0);
    const struct uuid topic_id = {{1}};
    assert_int_equal(partition_log_set_topic_id(world->log, topic_id), 0);
}

static void stop(struct world *world)
{
    assert_int_equal(log_manager_close(world->manager), 0);
    log_manager_free(world->manager);
    world->manager = NULL;
}

static void append(struct world *world, int count, int32_t epoch)
{
    for (int i = 0; i < count; i++) {
        struct buffer bytes;
        struct log_append_result result;
        buffer_init(&bytes);
        struct batch_plan plan = batch_plan_plain(1, NOW_MS);
        make_batch(&world->prng, &plan, &bytes);
        assert_int_equal(
            partition_log_append_as_leader(world->log, bytes.data, bytes.length, 9, epoch, NOW_MS, &result),
            KAFKA_NONE);
        buffer_release(&bytes);
    }
}

static void assert_reads(struct world *world, int64_t start_offset, int64_t end_offset)
{
    assert_int_equal(partition_log_start_offset(world->log), start_offset);
    assert_int_equal(partition_log_end_offset(world->log), end_offset);
    struct log_range range;
    assert_int_equal(partition_log_read(world->log, start_offset, 1, INT64_MAX, true, &range), KAFKA_NONE);
    assert_true(range.length > 0);
    log_range_release(&range);
}

struct names {
    const char *suffix;
    int count;
    char found[300];
};

static int look_at_name(void *context, const char *name, bool is_directory)
{
    struct names *names = context;
    size_t length = strlen(name), end = strlen(names->suffix);
    if (is_directory && length >= end && strcmp(name + length - end, names->suffix) == 0) {
        names->count++;
        memcpy(names->found, name, length + 1);
    }
    return 0;
}

/* How many folders whose names end so there are, when all that was to be removed is. */
static int folders(struct world *world, const char *directory, const char *suffix, struct names *names)
{
    *names = (struct names){.suffix = suffix};
    log_manager_remove_due(world->manager, INT64_MAX - 1);
    assert_int_equal(file_system_list(world->files, directory, look_at_name, names), 0);
    return names->count;
}

/* What was said, as text. */
static void take_lines(int pipe_end, struct buffer *lines)
{
    buffer_clear(lines);
    ssize_t got = read(pipe_end, buffer_reserve(lines, 65536), 65536);
    lines->length = got > 0 ? (size_t)got : 0;
}

struct copying {
    struct file_system *files;
    const char *from;
    const char *to;
};

static int copy_file(void *context, const char *name, bool is_directory)
{
    const struct copying *copying = context;
    struct buffer from, to, bytes;
    struct file *file;
    assert_false(is_directory);
    buffer_init(&from);
    buffer_init(&to);
    buffer_init(&bytes);
    buffer_print(&from, "%s/%s", copying->from, name);
    buffer_print(&to, "%s/%s", copying->to, name);
    assert_int_equal(file_system_read_all(copying->files, buffer_string(&from), 1 << 20, &bytes), 0);
    assert_int_equal(file_open(copying->files, buffer_string(&to), FILE_CREATE, &file), 0);
    const struct iovec part = {bytes.data, bytes.length};
    if (bytes.length > 0)
        assert_int_equal(file_write_all(copying->files, file, &part, 1, 0), 0);
    file_close(copying->files, file);
    buffer_release(&from);
    buffer_release(&to);
    buffer_release(&bytes);
    return 0;
}

/* Without a directory the copy of a folder knows nothing of checkpoints, as a backup does. */
static void copy_folder(struct world *world, const char *from, const char *to)
{
    const struct copying copying = {world->files, from, to};
    assert_int_equal(file_system_make_directory(world->files, to), 0);
    assert_int_equal(file_system_list(world->files, from, copy_file, (void *)&copying), 0);
}

/* t1 is left out of log.dirs for a while: the log is made anew in t2, and then t1 comes back. */
static void run_story(uint64_t seed, int order, int64_t delete_to, int32_t later_epoch)
{
    struct world world;
    struct names names;
    struct buffer lines, path;
    int ends[2];
    world_init(&world, seed);
    buffer_init(&lines);
    buffer_init(&path);
    assert_int_equal(pipe(ends), 0);
    struct logger *logger = logger_new(ends[1], LOG_ERROR, "test");
    start(&world, only_a, 1, NULL);
    append(&world, 100, 3);
    assert_int_equal(partition_log_advance_start(world.log, delete_to), KAFKA_NONE);
    stop(&world);
    start(&world, only_b, 1, NULL);
    append(&world, 30, later_epoch);
    stop(&world);

    start(&world, orders[order], 2, logger);
    bool new_one_is_served = later_epoch > 3;
    assert_reads(&world, new_one_is_served ? 0 : delete_to, new_one_is_served ? 30 : 100);
    const char *served = new_one_is_served ? "/b" : "/a", *kept = new_one_is_served ? "/a" : "/b";
    assert_int_equal(folders(&world, served, "orders-0", &names), 1);
    assert_int_equal(folders(&world, served, "-stray", &names), 0);
    assert_int_equal(folders(&world, kept, "orders-0", &names), 0);
    assert_int_equal(folders(&world, kept, "-stray", &names), 1);
    assert_int_equal(write(ends[1], "\n", 1), 1); /* so that there is something to read */
    take_lines(ends[0], &lines);
    static const char *const told[] = {
        "ERROR", "/a/orders-0 (offsets ", "/b/orders-0 (offsets ", "last leader epoch", "dump-log", "-stray"};
    for (size_t i = 0; i < ARRAY_SIZE(told); i++)
        assert_non_null(strstr(buffer_string(&lines), told[i]));
    stop(&world);

    /* As the line says: what was served is taken away, the other one gets its name back. */
    buffer_print(&path, "%s/%s", kept, names.found);
    start(&world, orders[order], 2, NULL);
    assert_int_equal(folders(&world, kept, "-stray", &names), 1);
    stop(&world);
    struct buffer from, to;
    buffer_init(&from);
    buffer_init(&to);
    buffer_print(&from, "%s/orders-0", served);
    buffer_print(&to, "%s/orders-0", kept);
    assert_int_equal(file_system_remove_tree(world.files, buffer_string(&from)), 0);
    assert_int_equal(file_system_rename(world.files, buffer_string(&path), buffer_string(&to)), 0);
    start(&world, orders[order], 2, NULL);
    assert_int_equal(partition_log_end_offset(world.log), new_one_is_served ? 100 : 30);
    buffer_release(&from);
    buffer_release(&to);
    buffer_release(&path);
    buffer_release(&lines);
    logger_free(logger);
    close(ends[0]);
    close(ends[1]);
    world_release(&world);
}

static void a_log_that_was_made_anew_takes_nothing_from_the_old_one(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        run_story(1, order, 90, 5);
        run_story(2, order, 20, 5);
        run_story(3, order, 0, 5);
        run_story(4, order, 0, 3); /* nobody was elected in between */
        run_story(5, order, 20, 3);
        run_story(6, order, 0, 1); /* the epochs began again */
    }
}

/* Forty records in /a, a copy of which is kept elsewhere. */
static void start_backed_up(struct world *world)
{
    start(world, only_a, 1, NULL);
    append(world, 40, 3);
    stop(world);
    copy_folder(world, "/a/orders-0", "/backup");
    start(world, only_a, 1, NULL);
}

/* The copy comes to lie in /b. */
static void bring_backup(struct world *world, const char *const directories[])
{
    stop(world);
    start(world, only_b, 1, NULL);
    stop(world);
    assert_int_equal(file_system_remove_tree(world->files, "/b/orders-0"), 0);
    copy_folder(world, "/backup", "/b/orders-0");
    start(world, directories, 2, NULL);
}

/* A backup of 40 records comes back beside the log that went on from there. */
static void a_backup_that_the_log_holds_goes(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        for (int32_t epoch = 3; epoch < 5; epoch++) {
            struct world world;
            struct names names;
            world_init(&world, 10);
            start_backed_up(&world);
            append(&world, 20, epoch);
            assert_int_equal(partition_log_advance_start(world.log, 10), KAFKA_NONE);
            bring_backup(&world, orders[order]);
            assert_reads(&world, 10, 60);
            assert_int_equal(folders(&world, "/a", "orders-0", &names), 1);
            assert_int_equal(folders(&world, "/b", "orders-0", &names), 0);
            assert_int_equal(folders(&world, "/b", "-stray", &names), 0);
            assert_int_equal(folders(&world, "/b", "-delete", &names), 0);
            world_release(&world);
        }
    }
}

/* The log was cut since, and went on otherwise: under a newer epoch, or (wrongly) under the same. */
static void a_backup_of_another_history_stays(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        for (int32_t epoch = 3; epoch < 5; epoch++) {
            struct world world;
            struct names names;
            world_init(&world, 20);
            start_backed_up(&world);
            assert_int_equal(partition_log_truncate(world.log, 30, NOW_MS), KAFKA_NONE);
            append(&world, 50, epoch);
            bring_backup(&world, orders[order]);
            assert_reads(&world, 0, 80);
            assert_int_equal(folders(&world, "/a", "orders-0", &names), 1);
            assert_int_equal(folders(&world, "/b", "orders-0", &names), 0);
            assert_int_equal(folders(&world, "/b", "-stray", &names), 1);
            world_release(&world);
        }
    }
}

/* A log that was made and never written to has nothing to keep, and nothing to tell. */
static void an_empty_folder_goes(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct world world;
        struct names names;
        world_init(&world, 30);
        start(&world, only_a, 1, NULL);
        append(&world, 40, 3);
        stop(&world);
        start(&world, only_b, 1, NULL);
        stop(&world);
        start(&world, orders[order], 2, NULL);
        assert_reads(&world, 0, 40);
        assert_int_equal(folders(&world, "/b", "orders-0", &names), 0);
        assert_int_equal(folders(&world, "/b", "-stray", &names), 0);
        world_release(&world);
    }
}

/* A directory that is new among known ones may be an empty mount point: said once, and not of first starts.
 */
static void an_empty_mount_point_is_said(void **state)
{
    (void)state;
    struct world world;
    struct buffer lines;
    int ends[2];
    world_init(&world, 40);
    buffer_init(&lines);
    assert_int_equal(pipe(ends), 0);
    struct logger *logger = logger_new(ends[1], LOG_WARN, "test");
    start(&world, only_a, 1, logger);
    stop(&world);
    for (int life = 0; life < 3; life++) {
        assert_int_equal(write(ends[1], "\n", 1), 1); /* so that there is something to read */
        take_lines(ends[0], &lines);
        const char *said = strstr(buffer_string(&lines), "no meta.properties was in /b, while /a has one");
        assert_true((said != NULL) == (life == 1));
        start(&world, orders[0], 2, logger);
        stop(&world);
    }
    buffer_release(&lines);
    logger_free(logger);
    close(ends[0]);
    close(ends[1]);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_that_was_made_anew_takes_nothing_from_the_old_one),
        cmocka_unit_test(a_backup_that_the_log_holds_goes),
        cmocka_unit_test(a_backup_of_another_history_stays),
        cmocka_unit_test(an_empty_folder_goes),
        cmocka_unit_test(an_empty_mount_point_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
