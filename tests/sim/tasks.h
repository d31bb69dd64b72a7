/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to happen, in the order of virtual time; among things of the same millisecond a number drawn from
 * the seed decides. A task belongs to one life of a broker, or (broker -1) to the world.
 */
#ifndef TESTS_SIM_TASKS_H
#define TESTS_SIM_TASKS_H

#include "common/base.h"
#include "common/prng.h"

struct world;

struct task {
    int64_t due_ms;
    uint64_t tie;
    int32_t broker; /* index of the broker, or -1 */
    uint64_t life;  /* of that broker: done only in that life */
    /* Takes `data` over. */
    void (*run)(struct world *world, int32_t broker, void *data);
    /* Frees `data` of a task that is not run. NULL: nothing to free. */
    void (*drop)(void *data);
    void *data;
};

struct task_heap {
    struct task *tasks;
    size_t count;
    size_t capacity;
};

void task_heap_init(struct task_heap *heap);
/* Drops what is left. */
void task_heap_release(struct task_heap *heap);
void task_heap_push(struct task_heap *heap, struct task task);
/* INT64_MAX: empty. */
int64_t task_heap_next_due(const struct task_heap *heap);
/* The heap is not empty. */
struct task task_heap_pop(struct task_heap *heap);
void task_drop(const struct task *task);

#endif
