/* SPDX-License-Identifier: Apache-2.0 */
/* The life of the disk of memory_files: made, reset, set up for trouble, crashed. */
#include "tests/support/memory_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"

static void start_anew(struct memory_files *files, uint64_t seed)
{
    files->root = memory_node_new(true);
    prng_init(&files->prng, seed);
    files->life++;
    files->capacity = SIZE_MAX;
    files->used = 0;
    files->has_fault = false;
    files->fault_count = 0;
    files->hook = NULL;
    files->stop_set = false;
    files->stopped = false;
    memset(files->operations, 0, sizeof(files->operations));
}

struct memory_files *memory_files_new(uint64_t seed)
{
    struct memory_files *files = memory_allocate_zeroed(1, sizeof(*files));
    files->system.operations = &memory_disk_operations;
    pthread_mutex_init(&files->mutex, NULL);
    start_anew(files, seed);
    return files;
}

void memory_files_free(struct memory_files *files)
{
    if (!files)
        return;
    CHECK(files->open_count == 0);
    memory_node_release(files->root);
    pthread_mutex_destroy(&files->mutex);
    free(files);
}

struct file_system *memory_files_system(struct memory_files *files)
{
    return &files->system;
}

void memory_files_reset(struct memory_files *files, uint64_t seed)
{
    pthread_mutex_lock(&files->mutex);
    memory_node_release(files->root);
    start_anew(files, seed);
    pthread_mutex_unlock(&files->mutex);
}

void memory_files_set_time(struct memory_files *files, int64_t now_ms)
{
    pthread_mutex_lock(&files->mutex);
    files->now_ms = now_ms;
    pthread_mutex_unlock(&files->mutex);
}

void memory_files_set_capacity(struct memory_files *files, size_t bytes)
{
    pthread_mutex_lock(&files->mutex);
    files->capacity = bytes;
    pthread_mutex_unlock(&files->mutex);
}

size_t memory_files_used_bytes(struct memory_files *files)
{
    pthread_mutex_lock(&files->mutex);
    size_t used = files->used;
    pthread_mutex_unlock(&files->mutex);
    return used;
}

void memory_files_set_fault(struct memory_files *files, const struct memory_files_fault *fault)
{
    pthread_mutex_lock(&files->mutex);
    files->has_fault = fault != NULL;
    if (fault)
        files->fault = *fault;
    files->fault_matches = 0;
    files->fault_count = 0;
    pthread_mutex_unlock(&files->mutex);
}

uint64_t memory_files_fault_count(struct memory_files *files)
{
    pthread_mutex_lock(&files->mutex);
    uint64_t count = files->fault_count;
    pthread_mutex_unlock(&files->mutex);
    return count;
}

void memory_files_set_hook(struct memory_files *files, memory_files_hook *hook, void *context)
{
    pthread_mutex_lock(&files->mutex);
    files->hook = hook;
    files->hook_context = context;
    pthread_mutex_unlock(&files->mutex);
}

void memory_files_stop_after(struct memory_files *files, uint64_t after)
{
    pthread_mutex_lock(&files->mutex);
    files->stop_set = true;
    files->stop_after = after;
    pthread_mutex_unlock(&files->mutex);
}

bool memory_files_is_stopped(struct memory_files *files)
{
    pthread_mutex_lock(&files->mutex);
    bool stopped = files->stopped;
    pthread_mutex_unlock(&files->mutex);
    return stopped;
}

uint64_t memory_files_operations(struct memory_files *files, uint32_t operations)
{
    pthread_mutex_lock(&files->mutex);
    uint64_t count = 0;
    for (int i = 0; i < MEMORY_FILES_OPERATION_COUNT; i++)
        if (operations & MEMORY_FILES_BIT(i))
            count += files->operations[i];
    pthread_mutex_unlock(&files->mutex);
    return count;
}

void memory_files_crash(struct memory_files *files, enum memory_files_crash crash)
{
    pthread_mutex_lock(&files->mutex);
    files->life++;
    files->has_fault = false;
    files->stop_set = false;
    files->stopped = false;
    memory_node_settle(files->root, crash == MEMORY_FILES_POWER_CUT ? &files->prng : NULL);
    if (crash == MEMORY_FILES_POWER_CUT)
        files->used = memory_node_bytes(files->root);
    pthread_mutex_unlock(&files->mutex);
}

size_t memory_files_open_count(struct memory_files *files)
{
    pthread_mutex_lock(&files->mutex);
    size_t count = files->open_count;
    pthread_mutex_unlock(&files->mutex);
    return count;
}

int memory_files_flip(struct memory_files *files, const char *path, int64_t offset, uint8_t mask)
{
    pthread_mutex_lock(&files->mutex);
    struct memory_node *node = memory_disk_find(files, path);
    int result = node && !node->is_directory ? 0 : -ENOENT;
    if (result == 0 && (offset < 0 || (size_t)offset >= node->content.length))
        result = -ERANGE;
    if (result == 0) {
        node->content.data[offset] ^= mask;
        if ((size_t)offset < node->durable.length)
            node->durable.data[offset] ^= mask;
        memory_node_flip_changes(node, (size_t)offset, mask);
    }
    pthread_mutex_unlock(&files->mutex);
    return result;
}
