/* SPDX-License-Identifier: Apache-2.0 */
/* A count, a limit, and a clock. */
#include "broker/log/open_files.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/memory.h"

#define IDLE_MS_AT_HALF 60000
#define IDLE_MS_AT_THREE_QUARTERS 5000

struct open_files {
    atomic_int references;
    size_t limit;
    atomic_size_t count;
    atomic_int_least64_t now_ms;
};

struct open_files *open_files_new(size_t limit)
{
    struct open_files *files = memory_allocate_zeroed(1, sizeof(*files));
    atomic_init(&files->references, 1);
    files->limit = limit;
    return files;
}

struct open_files *open_files_acquire(struct open_files *files)
{
    if (files)
        atomic_fetch_add_explicit(&files->references, 1, memory_order_relaxed);
    return files;
}

void open_files_release(struct open_files *files)
{
    if (files && atomic_fetch_sub_explicit(&files->references, 1, memory_order_acq_rel) == 1)
        free(files);
}

void open_files_add(struct open_files *files, int change)
{
    if (files)
        atomic_fetch_add_explicit(&files->count, (size_t)change, memory_order_relaxed);
}

size_t open_files_count(const struct open_files *files)
{
    return files ? atomic_load_explicit(&files->count, memory_order_relaxed) : 0;
}

bool open_files_is_pressed(const struct open_files *files)
{
    return files && files->limit > 0 && open_files_count(files) >= files->limit;
}

bool open_files_is_exhausted(const struct open_files *files)
{
    return files && files->limit > 0 && open_files_count(files) >= files->limit + files->limit / 2;
}

int64_t open_files_now(const struct open_files *files)
{
    return files ? atomic_load_explicit(&files->now_ms, memory_order_relaxed) : 0;
}

int64_t open_files_tick(struct open_files *files, int64_t now_ms)
{
    if (!files)
        return OPEN_FILES_KEEP;
    atomic_store_explicit(&files->now_ms, now_ms, memory_order_relaxed);
    size_t count = open_files_count(files), limit = files->limit;
    if (limit == 0 || count < limit / 2)
        return OPEN_FILES_KEEP;
    if (count >= limit)
        return 0;
    return count < limit / 4 * 3 ? IDLE_MS_AT_HALF : IDLE_MS_AT_THREE_QUARTERS;
}
