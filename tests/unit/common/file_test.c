/* SPDX-License-Identifier: Apache-2.0 */
/* File operations in a temporary directory, and what is built on them over a file system that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/file.h"
#include "common/memory.h"

struct place {
    struct file_system *system;
    char directory[64];
    char path[128];
};

static const char *path_of(struct place *place, const char *name)
{
    snprintf(place->path, sizeof(place->path), "%s/%s", place->directory, name);
    return place->path;
}

static int make_place(void **state)
{
    struct place *place = memory_allocate_zeroed(1, sizeof(*place));
    place->system = file_system_posix();
    snprintf(place->directory, sizeof(place->directory), "/tmp/barnabas-file-test-XXXXXX");
    *state = place;
    return mkdtemp(place->directory) == NULL;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    int error = file_system_remove_tree(place->system, place->directory);
    free(place);
    return error;
}

static void test_read_and_write(void **state)
{
    struct place *place = *state;
    struct file *file;
    char bytes[16];
    int64_t size;
    assert_int_equal(file_open(place->system, path_of(place, "a"), FILE_WRITE, &file), -ENOENT);
    assert_int_equal(file_open(place->system, path_of(place, "a"), FILE_READ, &file), -ENOENT);
    assert_int_equal(file_open(place->system, path_of(place, "a"), FILE_CREATE, &file), 0);
    assert_true(file_descriptor(place->system, file) >= 0);
    struct iovec parts[3] = {{(void *)"hello", 5}, {NULL, 0}, {(void *)" world", 6}};
    assert_int_equal(file_write(place->system, file, parts, 3, 2), 11);
    assert_int_equal(file_sync(place->system, file), 0);
    assert_int_equal(file_size(place->system, file, &size), 0);
    assert_int_equal(size, 13);
    assert_int_equal(file_read(place->system, file, bytes, sizeof(bytes), 0), 13);
    assert_memory_equal(bytes, "\0\0hello world", 13);
    assert_int_equal(file_read(place->system, file, bytes, 5, 2), 5);
    assert_int_equal(file_read(place->system, file, bytes, 5, 13), 0);
    assert_int_equal(file_truncate(place->system, file, 4), 0);
    assert_int_equal(file_read(place->system, file, bytes, sizeof(bytes), 0), 4);
    assert_int_equal(file_write(place->system, file, parts, 0, 0), 0);
    assert_int_equal(file_close(place->system, file), 0);
}

static void test_many_parts(void **state)
{
    struct place *place = *state;
    enum { PARTS = 3000 };
    static struct iovec parts[PARTS];
    static char bytes[PARTS * 3];
    size_t total = 0;
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = (struct iovec){bytes + total, i % 4};
        memset(bytes + total, (int)('a' + i % 26), i % 4);
        total += i % 4;
    }
    struct file *file;
    assert_int_equal(file_open(place->system, path_of(place, "parts"), FILE_CREATE, &file), 0);
    assert_int_equal(file_write_all(place->system, file, parts, PARTS, 0), 0);
    assert_int_equal(file_close(place->system, file), 0);
    struct buffer out;
    buffer_init(&out);
    assert_int_equal(file_system_read_all(place->system, path_of(place, "parts"), total, &out), 0);
    assert_int_equal(out.length, total);
    assert_memory_equal(out.data, bytes, total);
    assert_int_equal(file_system_read_all(place->system, place->path, total - 1, &out), -EFBIG);
    assert_int_equal(out.length, total);
    buffer_release(&out);
}

static int count_names(void *context, const char *name, bool is_directory)
{
    int *counts = context;
    assert_string_not_equal(name, ".");
    counts[is_directory ? 1 : 0]++;
    return 0;
}

static int stop_at_once(void *context, const char *name, bool is_directory)
{
    (void)context;
    (void)name;
    (void)is_directory;
    return 42;
}

static void test_directories(void **state)
{
    struct place *place = *state;
    struct file_system *system = place->system;
    struct file_status status;
    assert_int_equal(file_system_make_directory(system, path_of(place, "d")), 0);
    assert_int_equal(file_system_make_directory(system, path_of(place, "d")), -EEXIST);
    assert_int_equal(file_system_make_directory(system, path_of(place, "d/e")), 0);
    assert_int_equal(file_system_replace(system, path_of(place, "d/f"), "12345", 5), 0);
    assert_int_equal(file_system_replace(system, path_of(place, "d/f"), "123", 3), 0);
    assert_int_equal(file_system_replace(system, path_of(place, "d/e/g"), NULL, 0), 0);
    assert_int_equal(file_system_sync_directory(system, path_of(place, "d")), 0);
    int counts[2] = {0, 0};
    assert_int_equal(file_system_list(system, path_of(place, "d"), count_names, counts), 0);
    assert_int_equal(counts[0], 1);
    assert_int_equal(counts[1], 1);
    assert_int_equal(file_system_list(system, path_of(place, "d"), stop_at_once, NULL), 42);
    assert_int_equal(file_system_status(system, path_of(place, "d/f"), &status), 0);
    assert_int_equal(status.size, 3);
    assert_false(status.is_directory);
    assert_true(status.modified_ms > 1500000000000);
    assert_int_equal(file_system_status(system, path_of(place, "d"), &status), 0);
    assert_true(status.is_directory);
    assert_int_equal(file_system_status(system, path_of(place, "none"), &status), -ENOENT);
    assert_int_equal(file_system_remove_directory(system, path_of(place, "d")), -ENOTEMPTY);
    char to[128];
    snprintf(to, sizeof(to), "%s/moved", place->directory);
    assert_int_equal(file_system_rename(system, path_of(place, "d"), to), 0);
    /* A link is removed, not what it points to. */
    char link[128];
    snprintf(link, sizeof(link), "%s/moved/link", place->directory);
    assert_int_equal(file_system_replace(system, path_of(place, "kept"), "x", 1), 0);
    assert_int_equal(symlink(place->directory, link), 0);
    assert_int_equal(file_system_remove_tree(system, to), 0);
    assert_int_equal(file_system_status(system, to, &status), -ENOENT);
    assert_int_equal(file_system_status(system, path_of(place, "kept"), &status), 0);
    assert_int_equal(file_system_remove(system, path_of(place, "kept")), 0);
    assert_int_equal(file_system_remove(system, path_of(place, "kept")), -ENOENT);
    assert_int_equal(file_system_remove_tree(system, to), -ENOENT);
}

static void test_locks(void **state)
{
    struct place *place = *state;
    struct file *first, *second;
    assert_int_equal(file_system_lock(place->system, path_of(place, ".lock"), &first), 0);
    assert_int_equal(file_system_lock(place->system, place->path, &second), -EBUSY);
    assert_int_equal(file_close(place->system, first), 0);
    assert_int_equal(file_system_lock(place->system, place->path, &second), 0);
    assert_int_equal(file_close(place->system, second), 0);
}

/* A file system whose disk is full half-way and that counts what is cut. */
struct full_disk {
    struct file_system system;
    int64_t cut_to;
    int truncate_result;
};

static ssize_t write_half(struct file_system *system, struct file *file, const struct iovec *parts, int count,
                          int64_t offset)
{
    (void)system;
    (void)file;
    (void)count;
    (void)offset;
    return (ssize_t)(parts[0].iov_len / 2);
}

static int note_cut(struct file_system *system, struct file *file, int64_t size)
{
    (void)file;
    struct full_disk *disk = container_of(system, struct full_disk, system);
    disk->cut_to = size;
    return disk->truncate_result;
}

static void test_short_writes_are_cut_back(void **state)
{
    (void)state;
    static const struct file_operations operations = {.write = write_half, .truncate = note_cut};
    struct full_disk disk = {{&operations}, -1, 0};
    struct iovec part = {(void *)"0123456789", 10};
    assert_int_equal(file_write_all(&disk.system, NULL, &part, 1, 77), -ENOSPC);
    assert_int_equal(disk.cut_to, 77);
    disk.truncate_result = -EROFS;
    assert_int_equal(file_write_all(&disk.system, NULL, &part, 1, 77), -EIO);
}

struct names {
    int directories;
    int others;
};

static int count_name(void *context, const char *name, bool is_directory)
{
    struct names *names = context;
    (void)name;
    *(is_directory ? &names->directories : &names->others) += 1;
    return 0;
}

/* Links to directories count as such, and removing a tree does not reach through those within it. */
static void test_links(void **state)
{
    struct place *place = *state;
    struct file *file;
    struct file_status status;
    char tree[128], link_path[160];
    assert_int_equal(file_system_make_directory(place->system, path_of(place, "kept")), 0);
    assert_int_equal(file_open(place->system, path_of(place, "kept/file"), FILE_CREATE, &file), 0);
    assert_int_equal(file_close(place->system, file), 0);
    snprintf(tree, sizeof(tree), "%s/tree", place->directory);
    assert_int_equal(file_system_make_directory(place->system, tree), 0);
    snprintf(link_path, sizeof(link_path), "%s/link", tree);
    assert_int_equal(symlink(path_of(place, "kept"), link_path), 0);
    snprintf(link_path, sizeof(link_path), "%s/inner", tree);
    assert_int_equal(file_system_make_directory(place->system, link_path), 0);
    struct names names = {0, 0};
    assert_int_equal(file_system_list(place->system, tree, count_name, &names), 0);
    assert_int_equal(names.directories, 2);
    assert_int_equal(names.others, 0);
    assert_int_equal(file_system_remove_tree(place->system, tree), 0);
    assert_int_equal(file_system_status(place->system, tree, &status), -ENOENT);
    assert_int_equal(file_system_status(place->system, path_of(place, "kept/file"), &status), 0);
    assert_int_equal(symlink(path_of(place, "kept"), tree), 0);
    assert_int_equal(file_system_remove_tree(place->system, tree), 0);
    assert_int_equal(readlink(tree, link_path, sizeof(link_path)), -1);
    assert_int_equal(file_system_status(place->system, path_of(place, "kept/file"), &status), -ENOENT);
    assert_int_equal(file_system_status(place->system, path_of(place, "kept"), &status), 0);
}

/* While the errno is set, pwritev writes half of what it should, and then fails with it. */
static int second_write_errno;
static int writes_left;

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset)
{
    if (second_write_errno == 0)
        return syscall(SYS_pwritev, descriptor, parts, count, offset, 0);
    if (writes_left-- > 0)
        return pwrite(descriptor, parts[0].iov_base, parts[0].iov_len / 2, offset);
    errno = second_write_errno;
    return -1;
}

/* A disk that fails half-way is no full disk. */
static void test_an_error_behind_a_short_write(void **state)
{
    struct place *place = *state;
    struct file *file;
    static const int errors[] = {EIO, ENOSPC};
    assert_int_equal(file_open(place->system, path_of(place, "a"), FILE_CREATE, &file), 0);
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        struct iovec part = {(void *)"0123456789", 10};
        second_write_errno = errors[i];
        writes_left = 1;
        assert_int_equal(file_write(place->system, file, &part, 1, 0), errors[i] == EIO ? -EIO : 5);
        writes_left = 1;
        assert_int_equal(file_write_all(place->system, file, &part, 1, 0), -errors[i]);
    }
    second_write_errno = 0;
    assert_int_equal(file_close(place->system, file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read_and_write, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_many_parts, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_directories, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_locks, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_an_error_behind_a_short_write, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_links, make_place, remove_place),
        cmocka_unit_test(test_short_writes_are_cut_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
