/* SPDX-License-Identifier: Apache-2.0 */
/* Counts on the way to the operating system. */
#include "tests/bench/log/counting_files.h"

#include <string.h>

static struct counting_files *counting_of(struct file_system *system)
{
    return container_of(system, struct counting_files, system);
}

static int counted_open(struct file_system *system, const char *path, enum file_mode mode, struct file **file)
{
    struct counting_files *counting = counting_of(system);
    size_t length = strlen(path);
    atomic_fetch_add(&counting->opened, 1);
    if (length > 4 && strcmp(path + length - 4, ".log") == 0)
        atomic_fetch_add(&counting->segments_opened, 1);
    return file_system_posix()->operations->open(file_system_posix(), path, mode, file);
}

static ssize_t counted_read(struct file_system *system, struct file *file, void *data, size_t length,
                            int64_t offset)
{
    struct counting_files *counting = counting_of(system);
    ssize_t got = file_system_posix()->operations->read(file_system_posix(), file, data, length, offset);
    atomic_fetch_add(&counting->reads, 1);
    if (got > 0)
        atomic_fetch_add(&counting->bytes_read, got);
    return got;
}

void counting_files_init(struct counting_files *counting)
{
    /* The operations of the operating system's files do not look at the object they are called with. */
    counting->operations = *file_system_posix()->operations;
    counting->operations.open = counted_open;
    counting->operations.read = counted_read;
    counting->system.operations = &counting->operations;
    atomic_init(&counting->opened, 0);
    atomic_init(&counting->segments_opened, 0);
    atomic_init(&counting->reads, 0);
    atomic_init(&counting->bytes_read, 0);
}
