/* SPDX-License-Identifier: Apache-2.0 */
/* Linear probing over slots of 24 bytes; a slot that is all zero is free, so offsets are kept plus one. */
#include "broker/log/clean_map.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

struct clean_map_slot {
    uint64_t hash[2];
    uint64_t offset_plus_one; /* 0: free */
};

_Static_assert(sizeof(struct clean_map_slot) == CLEAN_MAP_SLOT_BYTES, "the memory of a slot");

/* ---- the hash ---- */

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0];
        v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate_left(v[1], 17) ^ v[2];
        v[3] = rotate_left(v[3], 21) ^ v[0];
        v[2] = rotate_left(v[2], 32);
    }
}

/* Eight bytes, little-endian, whatever the machine is. */
static uint64_t load_word(const uint8_t *at)
{
    return (uint64_t)at[7] << 56 | (uint64_t)at[6] << 48 | (uint64_t)at[5] << 40 | (uint64_t)at[4] << 32 |
           (uint64_t)at[3] << 24 | (uint64_t)at[2] << 16 | (uint64_t)at[1] << 8 | at[0];
}

static uint64_t load_little(const uint8_t *at, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

void clean_map_hash(const uint64_t hash_key[2], struct slice bytes, uint64_t hash[2])
{
    uint64_t v[4] = {hash_key[0] ^ 0x736f6d6570736575ULL, hash_key[1] ^ 0x646f72616e646f6dULL ^ 0xee,
                     hash_key[0] ^ 0x6c7967656e657261ULL, hash_key[1] ^ 0x7465646279746573ULL};
    size_t whole = bytes.length & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8)
        absorb(v, load_word(bytes.data + i));
    uint64_t last = (uint64_t)bytes.length << 56;
    if (bytes.length > whole)
        last |= load_little(bytes.data + whole, bytes.length - whole);
    absorb(v, last);
    v[2] ^= 0xee;
    sip_rounds(v, 4);
    hash[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    hash[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- the map ---- */

void clean_map_init(struct clean_map *map, size_t memory_bytes, double load_factor,
                    const uint64_t hash_key[2])
{
    size_t slots = memory_bytes / CLEAN_MAP_SLOT_BYTES;
    size_t entries = load_factor < 1 ? (size_t)((double)slots * load_factor) : slots;
    *map = (struct clean_map){
        .slots_count = slots,
        /* One slot stays free, so that looking for a key that is not there ends. */
        .entries_max = slots > 0 ? min_size(entries, slots - 1) : 0,
        .latest_offset = -1,
        .hash_key = {hash_key[0], hash_key[1]},
    };
}

void clean_map_clear(struct clean_map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->entries = 0;
    map->latest_offset = -1;
}

/* Where the search for a key begins. */
static size_t home_of(const struct clean_map *map, const uint64_t hash[2])
{
    return (size_t)(((unsigned __int128)hash[0] * map->slots_count) >> 64);
}

/* The slot of the key, or the free one where it belongs. */
static struct clean_map_slot *find_slot(const struct clean_map *map, const uint64_t hash[2])
{
    size_t at = home_of(map, hash);
    for (;;) {
        struct clean_map_slot *slot = &map->slots[at];
        if (slot->offset_plus_one == 0 || (slot->hash[0] == hash[0] && slot->hash[1] == hash[1]))
            return slot;
        at = at + 1 < map->slots_count ? at + 1 : 0;
    }
}

struct clean_map_key clean_map_prepare(const struct clean_map *map, struct slice key)
{
    struct clean_map_key prepared;
    clean_map_hash(map->hash_key, key, prepared.hash);
    if (map->slots != NULL)
        __builtin_prefetch(&map->slots[home_of(map, prepared.hash)], 1);
    return prepared;
}

bool clean_map_put(struct clean_map *map, struct clean_map_key key, int64_t offset)
{
    CHECK(offset >= 0);
    if (map->entries_max == 0)
        return false;
    if (map->slots == NULL)
        map->slots = memory_allocate_zeroed(map->slots_count, sizeof(*map->slots));
    struct clean_map_slot *slot = find_slot(map, key.hash);
    if (slot->offset_plus_one == 0) {
        if (map->entries >= map->entries_max)
            return false;
        slot->hash[0] = key.hash[0];
        slot->hash[1] = key.hash[1];
        map->entries++;
    }
    slot->offset_plus_one = (uint64_t)offset + 1;
    clean_map_advance(map, offset);
    return true;
}

int64_t clean_map_get(const struct clean_map *map, struct clean_map_key key)
{
    return map->slots != NULL ? (int64_t)(find_slot(map, key.hash)->offset_plus_one) - 1 : -1;
}

void clean_map_advance(struct clean_map *map, int64_t offset)
{
    map->latest_offset = max_i64(map->latest_offset, offset);
}
