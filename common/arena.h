/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of one request: many small allocations, one release. An arena has a budget, because what is put into
 * it is often decided by a peer: beyond the budget arena_allocate gives NULL and the request is refused.
 */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/base.h"
#include "common/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    uint8_t *at;      /* free space of the newest block */
    size_t left;      /* bytes there */
    size_t allocated; /* bytes of all blocks */
    size_t budget;    /* upper bound of `allocated` */
};

#define ARENA_NO_BUDGET SIZE_MAX

void arena_init(struct arena *arena, size_t budget);
void arena_release(struct arena *arena);
/* Frees all but one block, for use with the next request. */
void arena_clear(struct arena *arena);

/* Zeroed, aligned for any type; NULL when the budget does not allow it. Size 0 gives a valid pointer. */
MUST_CHECK void *arena_allocate(struct arena *arena, size_t size);
/* Room for count elements; NULL also when count * size does not fit into size_t. */
MUST_CHECK void *arena_allocate_array(struct arena *arena, size_t count, size_t size);
/* A copy that lives as long as the arena; the null slice stays null. Failure: the null slice. */
struct slice arena_copy_slice(struct arena *arena, struct slice slice);
/* A NUL-terminated copy; NULL when the budget does not allow it. */
MUST_CHECK char *arena_copy_string(struct arena *arena, struct slice slice);

#endif
