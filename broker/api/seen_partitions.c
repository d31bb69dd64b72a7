/* SPDX-License-Identifier: Apache-2.0 */
/* A map whose keys are the partition's number and then the topic. */
#include "broker/api/seen_partitions.h"

#include "common/map.h"

void seen_partitions_init(struct seen_partitions *seen, uint64_t seed, size_t expected)
{
    seen->map = expected > 1 ? map_new(seed) : NULL;
    buffer_init(&seen->key);
}

void seen_partitions_release(struct seen_partitions *seen)
{
    map_free(seen->map);
    buffer_release(&seen->key);
}

void *seen_partitions_add(struct seen_partitions *seen, struct slice topic, int32_t number, void *value)
{
    if (seen->map == NULL)
        return NULL;
    buffer_clear(&seen->key);
    buffer_append(&seen->key, &number, sizeof(number));
    if (topic.length > 0)
        buffer_append(&seen->key, topic.data, topic.length);
    void *former = map_get(seen->map, buffer_slice(&seen->key));
    if (former == NULL)
        (void)map_put(seen->map, buffer_slice(&seen->key), value);
    return former;
}
