/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks in a few sizes, most recently used first: that one is still in the processor's cache. */
#include "broker/net/frame_pool.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

/* What a reactor keeps for reuse: enough for a few large producers in flight. */
#define POOL_BYTES_MAX ((size_t)4 * 1024 * 1024)

static const size_t class_bytes[FRAME_CHUNK_CLASSES] = {
    FRAME_CHUNK_BYTES, (size_t)160 * 1024, (size_t)320 * 1024, (size_t)640 * 1024, FRAME_CHUNK_BYTES_MAX,
};

void frame_pool_init(struct frame_pool *pool, struct request_memory *memory)
{
    *pool = (struct frame_pool){.memory = memory};
    for (size_t i = 0; i < FRAME_CHUNK_CLASSES; i++)
        list_init(&pool->free[i]);
}

void frame_pool_release(struct frame_pool *pool)
{
    for (size_t i = 0; i < FRAME_CHUNK_CLASSES; i++) {
        struct list *node;
        while ((node = list_pop_front(&pool->free[i])) != NULL)
            free(container_of(node, struct frame_chunk, node));
    }
    pool->free_bytes = 0;
}

struct frame_chunk *frame_pool_take_exact(struct frame_pool *pool, size_t bytes)
{
    (void)pool;
    struct frame_chunk *chunk = memory_allocate(sizeof(*chunk) + bytes);
    *chunk = (struct frame_chunk){.capacity = bytes, .references = 1};
    list_init(&chunk->node);
    return chunk;
}

struct frame_chunk *frame_pool_take(struct frame_pool *pool, size_t bytes)
{
    size_t class = 0;
    while (class < FRAME_CHUNK_CLASSES - 1 && class_bytes[class] < bytes)
        class ++;
    struct list *node = list_pop_front(&pool->free[class]);
    if (node == NULL)
        return frame_pool_take_exact(pool, class_bytes[class]);
    struct frame_chunk *chunk = container_of(node, struct frame_chunk, node);
    pool->free_bytes -= chunk->capacity;
    chunk->references = 1;
    return chunk;
}

struct frame_chunk *frame_chunk_grow(struct frame_pool *pool, struct frame_chunk *chunk, size_t capacity)
{
    CHECK(chunk->references == 1 && !chunk->complete && capacity >= chunk->capacity);
    bool charged = chunk->charged > 0;
    chunk = memory_resize(chunk, sizeof(*chunk) + capacity);
    list_init(&chunk->node);
    chunk->capacity = capacity;
    if (charged)
        frame_chunk_charge(pool, chunk, false);
    return chunk;
}

void frame_chunk_charge(struct frame_pool *pool, struct frame_chunk *chunk, bool complete)
{
    if (chunk->charged < chunk->capacity) {
        request_memory_take(pool->memory, chunk->capacity - chunk->charged);
        chunk->charged = chunk->capacity;
    }
    if (complete && !chunk->complete) {
        chunk->complete = true;
        request_memory_complete(pool->memory, chunk->charged);
    }
}

void frame_chunk_drop(struct frame_pool *pool, struct frame_chunk *chunk)
{
    if (chunk == NULL || --chunk->references > 0)
        return;
    if (chunk->charged > 0)
        request_memory_give(pool->memory, chunk->charged, chunk->complete ? chunk->charged : 0);
    chunk->charged = 0;
    chunk->complete = false;
    size_t class = 0;
    while (class < FRAME_CHUNK_CLASSES && class_bytes[class] != chunk->capacity)
        class ++;
    if (class == FRAME_CHUNK_CLASSES || pool->free_bytes + chunk->capacity > POOL_BYTES_MAX) {
        free(chunk);
        return;
    }
    pool->free_bytes += chunk->capacity;
    list_push_front(&pool->free[class], &chunk->node);
}
