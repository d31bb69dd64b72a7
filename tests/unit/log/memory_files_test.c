/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk in memory against the real one: random operations on both give the same results. And what only the
 * one in memory can do: power cuts keep what was synced, and nothing that was never written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buffer.h"
#include "common/memory.h"
#include "common/prng.h"
#include "tests/support/memory_files.h"

#define NAMES 5
#define OPEN_MAX_FILES 4

/* The same directory on two file systems. */
struct twins {
    struct file_system *systems[2];
    const char *roots[2];
    struct file *files[2][OPEN_MAX_FILES];
    int open_count;
    struct prng prng;
};

static const char *path_of(const struct twins *twins, int side, int number, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/%s%d", twins->roots[side], number >= NAMES ? "folder/" : "", number);
    return buffer_string(path);
}

/* Does one thing to a name on both sides; the results must agree. */
static void name_step(struct twins *twins)
{
    struct buffer path, to;
    buffer_init(&path);
    buffer_init(&to);
    int number = (int)prng_below(&twins->prng, 2 * NAMES), other = (int)prng_below(&twins->prng, NAMES);
    uint64_t kind = prng_below(&twins->prng, 5);
    int results[2];
    for (int side = 0; side < 2; side++) {
        struct file_system *system = twins->systems[side];
        path_of(twins, side, number, &path);
        struct file_status status = {0};
        switch (kind) {
        case 0:
            results[side] = file_system_remove(system, buffer_string(&path));
            break;
        case 1:
            if (number >= NAMES)
                other += NAMES;
            results[side] = file_system_rename(system, buffer_string(&path),
                                               path_of(twins, side, other % (2 * NAMES), &to));
            other %= NAMES;
            break;
        case 2:
            results[side] = file_system_replace(system, buffer_string(&path), "new", 3);
            break;
        case 3:
            results[side] = file_system_sync_directory(system, twins->roots[side]);
            break;
        default:
            results[side] = file_system_status(system, buffer_string(&path), &status);
            if (results[side] == 0)
                results[side] = (int)status.size + (status.is_directory ? 100000 : 0);
            break;
        }
    }
    assert_int_equal(results[0], results[1]);
    buffer_release(&path);
    buffer_release(&to);
}

static void open_step(struct twins *twins)
{
    struct buffer path;
    buffer_init(&path);
    if (twins->open_count == OPEN_MAX_FILES) {
        twins->open_count--;
        for (int side = 0; side < 2; side++)
            file_close(twins->systems[side], twins->files[side][twins->open_count]);
    }
    int number = (int)prng_below(&twins->prng, 2 * NAMES);
    enum file_mode mode = prng_one_in(&twins->prng, 2) ? FILE_CREATE : FILE_WRITE;
    int results[2];
    for (int side = 0; side < 2; side++)
        results[side] = file_open(twins->systems[side], path_of(twins, side, number, &path), mode,
                                  &twins->files[side][twins->open_count]);
    assert_int_equal(results[0], results[1]);
    twins->open_count += results[0] == 0;
    buffer_release(&path);
}

static void file_step(struct twins *twins)
{
    if (twins->open_count == 0)
        return;
    int number = (int)prng_below(&twins->prng, (uint64_t)twins->open_count);
    uint64_t kind = prng_below(&twins->prng, 5);
    int64_t offset = prng_between(&twins->prng, 0, 3000);
    uint8_t data[2][1000] = {{0}};
    size_t length = (size_t)prng_between(&twins->prng, 1, 1000);
    for (size_t i = 0; i < length; i++)
        data[0][i] = data[1][i] = (uint8_t)prng_next(&twins->prng);
    int64_t results[2], sizes[2] = {0, 0};
    for (int side = 0; side < 2; side++) {
        struct file *file = twins->files[side][number];
        struct iovec parts[2] = {{data[side], length / 2}, {data[side] + length / 2, length - length / 2}};
        if (kind <= 1)
            results[side] = file_write(twins->systems[side], file, parts, 2, offset);
        else if (kind == 2)
            results[side] = file_truncate(twins->systems[side], file, offset);
        else if (kind == 3)
            results[side] = file_sync(twins->systems[side], file);
        else
            results[side] = file_read(twins->systems[side], file, data[side], length, offset);
        assert_int_equal(file_size(twins->systems[side], file, &sizes[side]), 0);
    }
    assert_int_equal(results[0], results[1]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(data[0], data[1], sizeof(data[0]));
}

static void it_behaves_like_a_real_disk(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        char folder[] = "/tmp/memory_files_test_XXXXXX";
        assert_non_null(mkdtemp(folder));
        struct memory_files *disk = memory_files_new(seed);
        struct twins twins = {.systems = {memory_files_system(disk), file_system_posix()},
                              .roots = {"/root", folder}};
        prng_init(&twins.prng, seed);
        assert_int_equal(file_system_make_directory(twins.systems[0], "/root"), 0);
        for (int side = 0; side < 2; side++) {
            struct buffer path;
            buffer_init(&path);
            buffer_print(&path, "%s/folder", twins.roots[side]);
            assert_int_equal(file_system_make_directory(twins.systems[side], buffer_string(&path)), 0);
            assert_int_equal(file_system_make_directory(twins.systems[side], buffer_string(&path)), -EEXIST);
            assert_int_equal(file_system_remove_directory(twins.systems[side], twins.roots[side]),
                             -ENOTEMPTY);
            buffer_release(&path);
        }
        for (int i = 0; i < 2000; i++) {
            uint64_t kind = prng_below(&twins.prng, 10);
            if (kind == 0)
                name_step(&twins);
            else if (kind <= 2)
                open_step(&twins);
            else
                file_step(&twins);
        }
        while (twins.open_count-- > 0)
            for (int side = 0; side < 2; side++)
                file_close(twins.systems[side], twins.files[side][twins.open_count]);
        for (int side = 0; side < 2; side++)
            assert_int_equal(file_system_remove_tree(twins.systems[side], twins.roots[side]), 0);
        memory_files_free(disk);
    }
}

/* Every byte after a power cut is one that stood there at some time since the last sync. */
static void a_power_cut_tears_only_what_was_not_synced(void **state)
{
    (void)state;
    int lost = 0, kept = 0;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct memory_files *disk = memory_files_new(seed);
        struct file_system *system = memory_files_system(disk);
        struct file *file;
        uint8_t old[4000], fresh[4000], found[4000];
        memset(old, 1, sizeof(old));
        memset(fresh, 2, sizeof(fresh));
        assert_int_equal(file_open(system, "a", FILE_CREATE, &file), 0);
        struct iovec part = {old, sizeof(old)};
        assert_int_equal(file_write_all(system, file, &part, 1, 0), 0);
        assert_int_equal(file_sync(system, file), 0);
        assert_int_equal(file_system_sync_directory(system, "/"), 0);
        part = (struct iovec){fresh, 2000};
        assert_int_equal(file_write_all(system, file, &part, 1, 1000), 0);
        memory_files_crash(disk, MEMORY_FILES_POWER_CUT);
        assert_int_equal(file_read(system, file, found, 1, 0), -EBADF);
        file_close(system, file);
        assert_int_equal(file_open(system, "a", FILE_READ, &file), 0);
        assert_int_equal(file_read(system, file, found, sizeof(found), 0), sizeof(found));
        assert_memory_equal(found, old, 1000);
        assert_memory_equal(found + 3000, old, 1000);
        for (size_t i = 1000; i < 2000; i++)
            assert_true(found[i] == 1 || found[i] == 2);
        lost += memcmp(found, old, sizeof(found)) == 0;
        kept += memcmp(found + 1000, fresh, 2000) == 0;
        file_close(system, file);
        memory_files_free(disk);
    }
    assert_true(lost > 30 && kept > 30 && lost + kept < 290);
}

static void names_need_their_directory_synced(void **state)
{
    (void)state;
    int vanished = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct memory_files *disk = memory_files_new(seed);
        struct file_system *system = memory_files_system(disk);
        struct file_status status;
        assert_int_equal(file_system_replace(system, "/synced", "x", 1), 0);
        struct file *file;
        assert_int_equal(file_open(system, "/fresh", FILE_CREATE, &file), 0);
        file_close(system, file);
        assert_int_equal(file_system_rename(system, "/fresh", "/renamed"), 0);
        memory_files_crash(disk, MEMORY_FILES_POWER_CUT);
        assert_int_equal(file_system_status(system, "/synced", &status), 0);
        bool fresh = file_system_status(system, "/fresh", &status) == 0;
        bool renamed = file_system_status(system, "/renamed", &status) == 0;
        assert_false(fresh && renamed);
        vanished += !fresh && !renamed;
        memory_files_free(disk);
    }
    assert_in_range(vanished, 10, 90);
}

static void a_failed_sync_loses_its_pages(void **state)
{
    (void)state;
    struct memory_files *disk = memory_files_new(1);
    struct file_system *system = memory_files_system(disk);
    struct file *file;
    char byte;
    assert_int_equal(file_open(system, "a", FILE_CREATE, &file), 0);
    assert_int_equal(file_system_sync_directory(system, "/"), 0);
    char letter = 'x';
    struct iovec part = {&letter, 1};
    assert_int_equal(file_write_all(system, file, &part, 1, 0), 0);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_SYNC), .error = -EIO, .short_bytes = -1};
    memory_files_set_fault(disk, &fault);
    assert_int_equal(file_sync(system, file), -EIO);
    assert_int_equal(file_sync(system, file), 0);
    assert_int_equal(file_read(system, file, &byte, 1, 0), 1);
    file_close(system, file);
    memory_files_crash(disk, MEMORY_FILES_POWER_CUT);
    struct file_status status;
    assert_int_equal(file_system_status(system, "a", &status), 0);
    assert_int_equal(status.size, 0);
    memory_files_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_behaves_like_a_real_disk),
        cmocka_unit_test(a_power_cut_tears_only_what_was_not_synced),
        cmocka_unit_test(names_need_their_directory_synced),
        cmocka_unit_test(a_failed_sync_loses_its_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
