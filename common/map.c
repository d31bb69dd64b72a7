/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash map that keeps the order of insertion: entries lie in an array in that order, and a table of slots
 * (open addressing, linear probing) holds their positions. A removed entry leaves a hole in the array, which
 * is closed when the array is full; slots are closed up at once, so probing never meets leftovers.
 */
#include "common/map.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"

#define MAP_ENTRIES_FIRST 8
#define SLOT_EMPTY UINT32_MAX
#define NO_ENTRY SIZE_MAX

struct map_entry {
    uint8_t *key; /* NULL: a hole */
    size_t key_length;
    uint64_t hash;
    void *value;
};

struct map {
    struct map_entry *entries;
    size_t first;    /* no live entry lies before this one */
    size_t used;     /* entries and holes */
    size_t capacity; /* of entries; the table has twice as many slots */
    size_t size;     /* live entries */
    uint32_t *slots;
    size_t mask; /* number of slots - 1 */
    uint64_t seed;
};

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[0] = rotate_left(v[0], 32);
    v[2] += v[3];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[2] = rotate_left(v[2], 32);
}

/* Up to eight bytes, little-endian, whatever the machine is. */
static uint64_t load_little(const uint8_t *at, size_t length)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* SipHash-1-3, with both halves of its key drawn from the seed. */
static uint64_t hash_bytes(uint64_t seed, struct slice bytes)
{
    uint64_t other = (seed ^ (seed >> 31)) * 0x9fb21c651e98df25ULL;
    uint64_t v[4] = {seed ^ 0x736f6d6570736575ULL, other ^ 0x646f72616e646f6dULL,
                     seed ^ 0x6c7967656e657261ULL, other ^ 0x7465646279746573ULL};
    size_t whole = bytes.length & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load_little(bytes.data + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)bytes.length << 56;
    if (bytes.length > whole)
        last |= load_little(bytes.data + whole, bytes.length - whole);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(uint64_t seed)
{
    struct map *map = memory_allocate_zeroed(1, sizeof(*map));
    map->seed = seed;
    return map;
}

void map_free(struct map *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->used; i++)
        free(map->entries[i].key);
    free(map->entries);
    free(map->slots);
    free(map);
}

size_t map_size(const struct map *map)
{
    return map->size;
}

/* The slot that holds the key's entry; NO_ENTRY when there is none. */
static size_t find_slot(const struct map *map, struct slice key, uint64_t hash)
{
    if (map->size == 0)
        return NO_ENTRY;
    for (size_t slot = hash & map->mask;; slot = (slot + 1) & map->mask) {
        if (map->slots[slot] == SLOT_EMPTY)
            return NO_ENTRY;
        const struct map_entry *entry = &map->entries[map->slots[slot]];
        if (entry->hash == hash && entry->key_length == key.length &&
            (key.length == 0 || memcmp(entry->key, key.data, key.length) == 0))
            return slot;
    }
}

static void insert_slot(struct map *map, uint64_t hash, size_t position)
{
    size_t slot = hash & map->mask;
    while (map->slots[slot] != SLOT_EMPTY)
        slot = (slot + 1) & map->mask;
    map->slots[slot] = (uint32_t)position;
}

/* Closes the holes, doubles the arrays when most entries are alive, and fills the table anew. */
static void make_room(struct map *map)
{
    size_t live = 0;
    for (size_t i = 0; i < map->used; i++) {
        if (map->entries[i].key != NULL)
            map->entries[live++] = map->entries[i];
    }
    map->first = 0;
    map->used = live;
    if (map->capacity == 0 || live > map->capacity / 2) {
        map->capacity = map->capacity == 0 ? MAP_ENTRIES_FIRST : map->capacity * 2;
        CHECK(map->capacity < UINT32_MAX / 2);
        map->entries = memory_resize(map->entries, map->capacity * sizeof(*map->entries));
        map->slots = memory_resize(map->slots, map->capacity * 2 * sizeof(*map->slots));
        map->mask = map->capacity * 2 - 1;
    }
    for (size_t slot = 0; slot <= map->mask; slot++)
        map->slots[slot] = SLOT_EMPTY;
    for (size_t i = 0; i < map->used; i++)
        insert_slot(map, map->entries[i].hash, i);
}

void *map_get(const struct map *map, struct slice key)
{
    size_t slot = find_slot(map, key, hash_bytes(map->seed, key));
    return slot == NO_ENTRY ? NULL : map->entries[map->slots[slot]].value;
}

void *map_put(struct map *map, struct slice key, void *value)
{
    CHECK(value != NULL);
    uint64_t hash = hash_bytes(map->seed, key);
    size_t slot = find_slot(map, key, hash);
    if (slot != NO_ENTRY) {
        struct map_entry *entry = &map->entries[map->slots[slot]];
        void *former = entry->value;
        entry->value = value;
        return former;
    }
    if (map->used == map->capacity)
        make_room(map);
    insert_slot(map, hash, map->used);
    map->entries[map->used++] = (struct map_entry){
        (uint8_t *)memory_copy_bytes(key.data, key.length),
        key.length,
        hash,
        value,
    };
    map->size++;
    return NULL;
}

/* Empties a slot and moves back those behind it that would otherwise be out of reach. */
static void remove_slot(struct map *map, size_t hole)
{
    for (size_t slot = (hole + 1) & map->mask; map->slots[slot] != SLOT_EMPTY;
         slot = (slot + 1) & map->mask) {
        size_t home = map->entries[map->slots[slot]].hash & map->mask;
        if (((slot - home) & map->mask) >= ((slot - hole) & map->mask)) {
            map->slots[hole] = map->slots[slot];
            hole = slot;
        }
    }
    map->slots[hole] = SLOT_EMPTY;
}

void *map_remove(struct map *map, struct slice key)
{
    size_t slot = find_slot(map, key, hash_bytes(map->seed, key));
    if (slot == NO_ENTRY)
        return NULL;
    size_t position = map->slots[slot];
    struct map_entry *entry = &map->entries[position];
    void *value = entry->value;
    remove_slot(map, slot);
    free(entry->key);
    *entry = (struct map_entry){NULL, 0, 0, NULL};
    map->size--;
    while (map->first < map->used && map->entries[map->first].key == NULL)
        map->first++;
    while (map->used > map->first && map->entries[map->used - 1].key == NULL)
        map->used--;
    if (map->size == 0)
        map->first = map->used = 0;
    return value;
}

bool map_next(const struct map *map, size_t *position, struct slice *key, void **value)
{
    size_t at = max_size(*position, map->first);
    while (at < map->used && map->entries[at].key == NULL)
        at++;
    if (at >= map->used)
        return false;
    const struct map_entry *entry = &map->entries[at];
    if (key != NULL)
        *key = slice_make(entry->key, entry->key_length);
    if (value != NULL)
        *value = entry->value;
    *position = at + 1;
    return true;
}
