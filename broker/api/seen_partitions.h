/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions that one request names, to find those it names twice. Belongs to one thread, for the length of
 * one call. A request of one partition, the usual one, costs nothing.
 */
#ifndef BROKER_API_SEEN_PARTITIONS_H
#define BROKER_API_SEEN_PARTITIONS_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

struct map;

struct seen_partitions {
    struct map *map; /* NULL: at most one partition is expected */
    struct buffer key;
};

/* `expected`: how many will be added at most. `seed`: random, as strangers choose the names. */
void seen_partitions_init(struct seen_partitions *seen, uint64_t seed, size_t expected);
void seen_partitions_release(struct seen_partitions *seen);

/*
 * Notes partition `number` of the topic (its name, or the bytes of its id; copied) with a value that is not
 * NULL. Returns the value that it was noted with before, which then stays; else NULL.
 */
void *seen_partitions_add(struct seen_partitions *seen, struct slice topic, int32_t number, void *value);

#endif
