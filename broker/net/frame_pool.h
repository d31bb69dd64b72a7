/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffers that requests are received into. A chunk holds one frame or a few that came in one read; those
 * that are read from it share it by a count of references, so record bytes are not copied between the socket
 * and the file. A pool keeps some chunks for reuse, bounded in bytes; each reactor has its own.
 *
 * A chunk that is kept beyond the read it was taken for is charged to the broker's request memory.
 * Belongs to the reactor's thread.
 */
#ifndef BROKER_NET_FRAME_POOL_H
#define BROKER_NET_FRAME_POOL_H

#include "broker/net/request_memory.h"
#include "common/base.h"
#include "common/list.h"

/* What a frame starts with when nothing is known about it. */
#define FRAME_CHUNK_BYTES ((size_t)64 * 1024)
/* The largest that is pooled, and given on trust: message.max.bytes's default and what goes around it. */
#define FRAME_CHUNK_BYTES_MAX ((size_t)1088 * 1024)
#define FRAME_CHUNK_CLASSES 5

struct frame_chunk {
    struct list node; /* in the pool */
    size_t capacity;
    size_t charged; /* to request memory */
    bool complete;  /* ... as one with a complete request in it */
    size_t references;
    uint8_t data[];
};

struct frame_pool {
    struct request_memory *memory;
    struct list free[FRAME_CHUNK_CLASSES];
    size_t free_bytes;
};

void frame_pool_init(struct frame_pool *pool, struct request_memory *memory);
void frame_pool_release(struct frame_pool *pool);

/* A chunk of at least min(bytes, FRAME_CHUNK_BYTES_MAX), from the pool if there is one, with one reference.
 */
struct frame_chunk *frame_pool_take(struct frame_pool *pool, size_t bytes);
/* A chunk of exactly that size, not pooled. */
struct frame_chunk *frame_pool_take_exact(struct frame_pool *pool, size_t bytes);
/* Makes the chunk (of one reference) larger; it moves. */
struct frame_chunk *frame_chunk_grow(struct frame_pool *pool, struct frame_chunk *chunk, size_t capacity);
/* Charges what is not charged yet; complete: a complete request lies in it. */
void frame_chunk_charge(struct frame_pool *pool, struct frame_chunk *chunk, bool complete);
/* Drops one reference; the last one gives the chunk back. NULL is fine. */
void frame_chunk_drop(struct frame_pool *pool, struct frame_chunk *chunk);

#endif
