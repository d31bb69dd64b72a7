/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compaction remembers of the dirty part of a log: for each key the offset of its newest record.
 *
 * Keys are not kept, only a hash of 16 bytes (SipHash-2-4-128 with a random key, so that no client can make
 * two keys meet; by chance they never will), and 8 bytes of offset: 24 bytes a slot, open addressing. The
 * memory is bounded for good: `memory_bytes` decides the number of slots, the load factor how many of them
 * may be taken, and a key that finds no room is refused. The pages of slots never used are never touched.
 *
 * Pure; the hash key is an argument. Not thread-safe.
 */
#ifndef BROKER_LOG_CLEAN_MAP_H
#define BROKER_LOG_CLEAN_MAP_H

#include "common/base.h"
#include "common/slice.h"

#define CLEAN_MAP_SLOT_BYTES ((size_t)24)

struct clean_map_slot;

/* A key that was hashed. */
struct clean_map_key {
    uint64_t hash[2];
};

struct clean_map {
    struct clean_map_slot *slots; /* NULL: released */
    size_t slots_count;
    size_t entries_max;
    size_t entries;
    int64_t latest_offset; /* -1: nothing seen */
    uint64_t hash_key[2];
};

/* An empty map; it takes its memory with the first key. load_factor in (0, 1]. */
void clean_map_init(struct clean_map *map, size_t memory_bytes, double load_factor,
                    const uint64_t hash_key[2]);
/* Gives the memory back; the map is empty, and can be filled again. */
void clean_map_clear(struct clean_map *map);

/*
 * Hashes the key, and asks the memory for its slot without waiting for it: whoever has several keys and
 * prepares them all before the first is put or got waits for all of them at once. Nearly every slot is a miss
 * of all caches, so this decides how fast compaction is.
 */
struct clean_map_key clean_map_prepare(const struct clean_map *map, struct slice key);
/*
 * Notes that the newest record of `key` so far is at `offset`, which rises from call to call, and is at least
 * 0. False: there is no room for another key, and nothing has changed.
 */
MUST_CHECK bool clean_map_put(struct clean_map *map, struct clean_map_key key, int64_t offset);
/* The offset noted last for `key`, -1 where there is none. */
int64_t clean_map_get(const struct clean_map *map, struct clean_map_key key);
/* All records up to `offset` are in the map. Never falls. */
void clean_map_advance(struct clean_map *map, int64_t offset);

/* SipHash-2-4 with 128 bits. */
void clean_map_hash(const uint64_t hash_key[2], struct slice bytes, uint64_t hash[2]);

#endif
