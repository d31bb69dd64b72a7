/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash map from byte strings to pointers. Keys are copied; values belong to the caller. Iteration goes in the
 * order of insertion (a key removed and put again goes to the end), so that no decision ever depends on
 * addresses or hash values. The hash is seeded per map: give a random seed where strangers choose the keys.
 */
#ifndef COMMON_MAP_H
#define COMMON_MAP_H

#include "common/base.h"
#include "common/slice.h"

struct map;

struct map *map_new(uint64_t seed);
/* Frees the map and its keys, not its values. NULL is fine. */
void map_free(struct map *map);
size_t map_size(const struct map *map);

/* The value of `key`, NULL when it is not there. */
void *map_get(const struct map *map, struct slice key);
/* Sets key to value (not NULL); returns the former value or NULL. */
void *map_put(struct map *map, struct slice key, void *value);
/* Takes the key out; returns its value or NULL. */
void *map_remove(struct map *map, struct slice key);

/*
 * Iteration: size_t position = 0; while (map_next(map, &position, &key, &value)). Removing the key just
 * given is allowed; putting a new key is not. `key` and `value` may be NULL where not wanted.
 */
bool map_next(const struct map *map, size_t *position, struct slice *key, void **value);

/* Keys that are integers: a slice of the eight bytes at `key`. */
static inline struct slice map_integer_key(const uint64_t *key)
{
    return slice_make(key, sizeof(*key));
}

#endif
