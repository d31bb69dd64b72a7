/* SPDX-License-Identifier: Apache-2.0 */
/* See topic_rules.h. */
#include "coordinator/controller/topic_rules.h"

#include "coordinator/zk/path.h"

#define NAME_BYTES_MAX 249

const char *topic_name_problem(struct slice name)
{
    if (name.length == 0)
        return "the empty string is not allowed";
    if (slice_is(name, ".") || slice_is(name, ".."))
        return "'.' or '..' is not allowed";
    if (name.length > NAME_BYTES_MAX)
        return "the length is more than the maximum of 249 characters";
    if (!zk_topic_name_is_valid(name))
        return "it contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    return NULL;
}

static uint8_t fold(uint8_t byte)
{
    return byte == '.' ? '_' : byte;
}

static bool collides(struct slice a, struct slice b)
{
    if (a.length != b.length || slice_equals(a, b))
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (fold(a.data[i]) != fold(b.data[i]))
            return false;
    return true;
}

const struct image_topic *topic_name_collision(const struct image *image, struct slice name)
{
    bool foldable = false;
    for (size_t i = 0; i < name.length; i++)
        foldable = foldable || fold(name.data[i]) == '_';
    size_t position = 0;
    struct slice other;
    void *topic;
    while (foldable && map_next(image->topics, &position, &other, &topic))
        if (collides(name, other))
            return topic;
    return NULL;
}

const char *topic_replicas_problem(const int32_t *ids, size_t count, size_t replication_factor)
{
    if (count == 0)
        return "the list of replicas is empty";
    if (count > NODE_REPLICAS_MAX)
        return "the list of replicas is too long";
    if (count != replication_factor)
        return "all partitions should have the same number of replicas";
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0)
            return "a broker id is negative";
        for (size_t j = 0; j < i; j++)
            if (ids[j] == ids[i])
                return "duplicate replica assignment found";
    }
    return NULL;
}
