/* SPDX-License-Identifier: Apache-2.0 */
/* A binary heap of tasks. */
#include "tests/sim/tasks.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

void task_heap_init(struct task_heap *heap)
{
    *heap = (struct task_heap){.tasks = NULL};
}

void task_drop(const struct task *task)
{
    if (task->drop != NULL)
        task->drop(task->data);
}

void task_heap_release(struct task_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++)
        task_drop(&heap->tasks[i]);
    free(heap->tasks);
    task_heap_init(heap);
}

static bool is_before(const struct task *a, const struct task *b)
{
    return a->due_ms < b->due_ms || (a->due_ms == b->due_ms && a->tie < b->tie);
}

void task_heap_push(struct task_heap *heap, struct task task)
{
    heap->tasks = memory_grow(heap->tasks, heap->count, &heap->capacity, sizeof(*heap->tasks));
    size_t at = heap->count++;
    while (at > 0 && is_before(&task, &heap->tasks[(at - 1) / 2])) {
        heap->tasks[at] = heap->tasks[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->tasks[at] = task;
}

int64_t task_heap_next_due(const struct task_heap *heap)
{
    return heap->count == 0 ? INT64_MAX : heap->tasks[0].due_ms;
}

struct task task_heap_pop(struct task_heap *heap)
{
    CHECK(heap->count > 0);
    struct task first = heap->tasks[0];
    struct task last = heap->tasks[--heap->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && is_before(&heap->tasks[child + 1], &heap->tasks[child]))
            child++;
        if (!is_before(&heap->tasks[child], &last))
            break;
        heap->tasks[at] = heap->tasks[child];
        at = child;
    }
    if (heap->count > 0)
        heap->tasks[at] = last;
    return first;
}
