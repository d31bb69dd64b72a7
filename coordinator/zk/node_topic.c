/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of a topic's assignment. */
#include "coordinator/zk/node_topic.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_json.h"
#include "coordinator/zk/path.h"

#define VERSION_WRITTEN 3

void node_topic_init(struct node_topic *node)
{
    *node = (struct node_topic){0};
}

static void assignment_release(struct node_assignment *assignment)
{
    node_replicas_release(&assignment->replicas);
    node_replicas_release(&assignment->adding);
    node_replicas_release(&assignment->removing);
}

void node_topic_release(struct node_topic *node)
{
    for (size_t i = 0; i < node->partition_count; i++)
        assignment_release(&node->partitions[i]);
    free(node->partitions);
    node_topic_init(node);
}

void node_topic_add_partition(struct node_topic *node, const int32_t *replicas, size_t count)
{
    CHECK(count > 0);
    CHECK(node->partition_count < NODE_TOPIC_PARTITIONS_MAX);
    node->partitions = memory_grow(node->partitions, node->partition_count, &node->_partition_capacity,
                                   sizeof(node->partitions[0]));
    struct node_assignment *added = &node->partitions[node->partition_count];
    *added = (struct node_assignment){.partition = (int32_t)node->partition_count};
    node_replicas_set(&added->replicas, replicas, count);
    node->partition_count++;
}

void node_topic_copy(struct node_topic *to, const struct node_topic *from)
{
    *to = (struct node_topic){.has_topic_id = from->has_topic_id,
                              .topic_id = from->topic_id,
                              .partition_count = from->partition_count};
    if (from->partition_count == 0)
        return;
    to->partitions = memory_allocate_zeroed(from->partition_count, sizeof(to->partitions[0]));
    for (size_t i = 0; i < from->partition_count; i++) {
        const struct node_assignment *source = &from->partitions[i];
        struct node_assignment *copy = &to->partitions[i];
        copy->partition = source->partition;
        node_replicas_set(&copy->replicas, source->replicas.ids, source->replicas.count);
        node_replicas_set(&copy->adding, source->adding.ids, source->adding.count);
        node_replicas_set(&copy->removing, source->removing.ids, source->removing.count);
    }
}

struct node_assignment *node_topic_find(const struct node_topic *node, int32_t partition)
{
    size_t low = 0;
    size_t high = node->partition_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (node->partitions[middle].partition == partition)
            return &node->partitions[middle];
        if (node->partitions[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

enum list_kind { LIST_REPLICAS, LIST_ADDING, LIST_REMOVING };

static struct node_replicas *list_of(struct node_assignment *assignment, enum list_kind kind)
{
    if (kind == LIST_REPLICAS)
        return &assignment->replicas;
    return kind == LIST_ADDING ? &assignment->adding : &assignment->removing;
}

/* {"0":[1,2],"1":[2,3]}: partitions with an empty list are left out. */
static json_t *encode_lists(const struct node_topic *node, enum list_kind kind)
{
    json_t *map = json_object();
    struct buffer key;
    buffer_init(&key);
    for (size_t i = 0; i < node->partition_count; i++) {
        struct node_replicas *list = list_of(&node->partitions[i], kind);
        if (list->count == 0)
            continue;
        buffer_clear(&key);
        buffer_print(&key, "%d", node->partitions[i].partition);
        int failed = json_object_set_new(map, buffer_string(&key), node_int32_array(list->ids, list->count));
        CHECK(failed == 0);
    }
    buffer_release(&key);
    return map;
}

void node_topic_encode(const struct node_topic *node, struct buffer *out)
{
    for (size_t i = 0; i < node->partition_count; i++)
        CHECK(node->partitions[i].replicas.count > 0 && node->partitions[i].partition >= 0);
    json_t *json = json_object();
    node_set_integer(json, "version", VERSION_WRITTEN);
    if (node->has_topic_id) {
        char text[UUID_TEXT_LENGTH + 1];
        uuid_format(node->topic_id, text);
        node_set_string(json, "topic_id", slice_of(text));
    }
    json_object_set_new(json, "partitions", encode_lists(node, LIST_REPLICAS));
    json_object_set_new(json, "adding_replicas", encode_lists(node, LIST_ADDING));
    json_object_set_new(json, "removing_replicas", encode_lists(node, LIST_REMOVING));
    node_write(json, out);
}

static int compare_assignments(const void *a, const void *b)
{
    int32_t left = ((const struct node_assignment *)a)->partition;
    int32_t right = ((const struct node_assignment *)b)->partition;
    return left < right ? -1 : left > right;
}

static int decode_partitions(const json_t *map, struct node_topic *node, struct buffer *error)
{
    size_t count = json_object_size(map);
    if (!json_is_object(map) || count > NODE_TOPIC_PARTITIONS_MAX)
        return node_fail(error, "no \"partitions\", or too many");
    if (count == 0)
        return 0;
    node->partitions = memory_allocate_zeroed(count, sizeof(node->partitions[0]));
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        struct node_assignment *assignment = &node->partitions[node->partition_count];
        if (!zk_parse_id(slice_of(key), &assignment->partition) ||
            assignment->partition >= NODE_TOPIC_PARTITIONS_MAX)
            return node_fail(error, "a key of \"partitions\" is not a partition number");
        node->partition_count++;
        int result = node_replicas_decode(value, &assignment->replicas, error);
        if (result != 0)
            return result;
        if (assignment->replicas.count == 0)
            return node_fail(error, "partition %d has no replicas", assignment->partition);
    }
    qsort(node->partitions, node->partition_count, sizeof(node->partitions[0]), compare_assignments);
    return 0;
}

/* adding_replicas and removing_replicas; missing before version 2. Partitions that do not exist are ignored.
 */
static int decode_lists(const json_t *map, struct node_topic *node, enum list_kind kind, struct buffer *error)
{
    if (map == NULL)
        return 0;
    if (!json_is_object(map))
        return node_fail(error, "adding or removing replicas are not an object");
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)map, key, value)
    {
        int32_t partition;
        if (!zk_parse_id(slice_of(key), &partition))
            return node_fail(error, "a key of adding or removing replicas is not a partition number");
        struct node_assignment *assignment = node_topic_find(node, partition);
        if (assignment == NULL)
            continue;
        int result = node_replicas_decode(value, list_of(assignment, kind), error);
        if (result != 0)
            return result;
    }
    return 0;
}

static int decode(const json_t *json, struct node_topic *node, struct buffer *error)
{
    int32_t version;
    if (!node_get_version(json, &version))
        return node_fail(error, "no \"version\"");
    struct slice id;
    if (json_get_string(json, "topic_id", &id)) {
        if (uuid_parse(id, &node->topic_id) != 0)
            return node_fail(error, "\"topic_id\" is not an id of 22 characters");
        node->has_topic_id = !uuid_is_zero(node->topic_id);
    }
    int result = decode_partitions(json_object_get(json, "partitions"), node, error);
    if (result == 0)
        result = decode_lists(json_object_get(json, "adding_replicas"), node, LIST_ADDING, error);
    if (result == 0)
        result = decode_lists(json_object_get(json, "removing_replicas"), node, LIST_REMOVING, error);
    return result;
}

int node_topic_decode(struct slice data, struct node_topic *node, struct buffer *error)
{
    node_topic_init(node);
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = decode(json, node, error);
    if (result != 0)
        node_topic_release(node);
    json_decref(json);
    return result;
}
