/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of memory_files: the disk's state, shared by its operations (memory_files.c) and its controls
 * (memory_disk.c). */
#ifndef TESTS_SUPPORT_MEMORY_DISK_H
#define TESTS_SUPPORT_MEMORY_DISK_H

#include <pthread.h>

#include "tests/support/memory_files.h"
#include "tests/support/memory_node.h"

struct memory_files {
    struct file_system system;
    pthread_mutex_t mutex;
    struct memory_node *root;
    struct prng prng;
    uint64_t life; /* rises with every crash and reset; a handle of another life is stale */
    int64_t now_ms;
    size_t capacity;
    size_t used;
    size_t open_count;
    struct memory_files_fault fault;
    bool has_fault;
    uint64_t fault_matches;
    uint64_t fault_count;
    memory_files_hook *hook;
    void *hook_context;
    bool stop_set;
    bool stopped;
    uint64_t stop_after;
    uint64_t operations[MEMORY_FILES_OPERATION_COUNT];
};

struct file {
    struct memory_node *node;
    uint64_t life;
    bool holds_lock;
    bool writable;
    char path[]; /* for faults that strike by path */
};

extern const struct file_operations memory_disk_operations;

/* The node at the path, NULL where there is none. Under the lock. */
struct memory_node *memory_disk_find(struct memory_files *files, const char *path);

#endif
