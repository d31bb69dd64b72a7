/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one request: blocks that double up to a bound, larger ones as asked for. */
#include "common/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* The first block holds what a small request needs; beyond the largest, one block serves one allocation. */
#define ARENA_BLOCK_BYTES_FIRST 1024
#define ARENA_BLOCK_BYTES_MAX (64 * 1024)
#define ARENA_ALIGNMENT alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    size_t size; /* bytes of data */
    alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *arena, size_t budget)
{
    *arena = (struct arena){.budget = budget};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_release(struct arena *arena)
{
    free_blocks(arena->blocks);
    arena_init(arena, arena->budget);
}

void arena_clear(struct arena *arena)
{
    struct arena_block *kept = arena->blocks;
    if (kept == NULL)
        return;
    free_blocks(kept->next);
    kept->next = NULL;
    arena->at = kept->data;
    arena->left = kept->size;
    arena->allocated = kept->size;
}

/* A block with room for `size` bytes (already rounded), as large as habit wants and the budget allows. */
static bool add_block(struct arena *arena, size_t size)
{
    size_t allowed = arena->budget - min_size(arena->allocated, arena->budget);
    if (size > allowed)
        return false;
    size_t wanted = ARENA_BLOCK_BYTES_FIRST;
    if (arena->blocks != NULL)
        wanted = min_size(arena->blocks->size * 2, ARENA_BLOCK_BYTES_MAX);
    size_t block_size = min_size(max_size(wanted, size), allowed);
    size_t total = 0;
    if (!add_size(block_size, sizeof(struct arena_block), &total))
        return false;
    struct arena_block *block = memory_allocate(total);
    block->next = arena->blocks;
    block->size = block_size;
    arena->blocks = block;
    arena->allocated += block_size;
    arena->at = block->data;
    arena->left = block_size;
    return true;
}

void *arena_allocate(struct arena *arena, size_t size)
{
    size_t rounded = 0;
    if (!add_size(size == 0 ? 1 : size, ARENA_ALIGNMENT - 1, &rounded))
        return NULL;
    rounded &= ~(ARENA_ALIGNMENT - 1);
    if (rounded > arena->left && !add_block(arena, rounded))
        return NULL;
    void *pointer = arena->at;
    arena->at += rounded;
    arena->left -= rounded;
    return memset(pointer, 0, rounded);
}

void *arena_allocate_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes = 0;
    if (!multiply_size(count, size, &bytes))
        return NULL;
    return arena_allocate(arena, bytes);
}

struct slice arena_copy_slice(struct arena *arena, struct slice slice)
{
    if (slice_is_null(slice))
        return slice;
    uint8_t *copy = arena_allocate(arena, slice.length);
    if (copy == NULL)
        return slice_make(NULL, 0);
    if (slice.length > 0)
        memcpy(copy, slice.data, slice.length);
    return slice_make(copy, slice.length);
}

char *arena_copy_string(struct arena *arena, struct slice slice)
{
    size_t size = 0;
    if (!add_size(slice.length, 1, &size))
        return NULL;
    char *copy = arena_allocate(arena, size);
    if (copy != NULL && slice.length > 0)
        memcpy(copy, slice.data, slice.length);
    return copy;
}
