/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of the lists of partitions that tools and old brokers write. */
#include "coordinator/zk/node_admin.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_json.h"
#include "coordinator/zk/path.h"

/* Of skipped items so many are named in the error text. */
#define SKIPPED_NAMED_MAX 5

void node_partition_list_init(struct node_partition_list *list)
{
    *list = (struct node_partition_list){0};
}

void node_partition_list_release(struct node_partition_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].topic);
        node_replicas_release(&list->items[i].replicas);
    }
    free(list->items);
    node_partition_list_init(list);
}

void node_partition_list_add(struct node_partition_list *list, struct slice topic, int32_t partition,
                             const int32_t *replicas, size_t replica_count)
{
    list->items = memory_resize(list->items, (list->count + 1) * sizeof(list->items[0]));
    struct node_partition_item *item = &list->items[list->count++];
    *item = (struct node_partition_item){
        .topic = memory_copy_bytes(topic.length > 0 ? (const char *)topic.data : "", topic.length),
        .partition = partition};
    node_replicas_set(&item->replicas, replicas, replica_count);
}

void node_partition_list_remove(struct node_partition_list *list, size_t position)
{
    CHECK(position < list->count);
    struct node_partition_item *item = &list->items[position];
    free(item->topic);
    node_replicas_release(&item->replicas);
    memmove(item, item + 1, (list->count - position - 1) * sizeof(*item));
    list->count--;
}

static void encode(const struct node_partition_list *list, bool with_replicas, struct buffer *out)
{
    json_t *partitions = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct node_partition_item *item = &list->items[i];
        json_t *json = json_object();
        node_set_string(json, "topic", slice_of(item->topic));
        node_set_integer(json, "partition", item->partition);
        if (with_replicas)
            json_object_set_new(json, "replicas", node_int32_array(item->replicas.ids, item->replicas.count));
        json_array_append_new(partitions, json);
    }
    json_t *json = json_object();
    node_set_integer(json, "version", 1);
    json_object_set_new(json, "partitions", partitions);
    node_write(json, out);
}

/* False: not an item that can be carried out. */
static bool decode_item(const json_t *item, bool with_replicas, struct node_partition_list *list)
{
    struct slice topic;
    int32_t partition;
    struct node_replicas replicas = {0};
    if (!json_get_string(item, "topic", &topic) || !zk_topic_name_is_valid(topic) ||
        !json_get_int32(item, "partition", &partition) || partition < 0)
        return false;
    if (with_replicas) {
        if (node_replicas_decode(json_object_get(item, "replicas"), &replicas, NULL) != 0)
            return false;
        if (replicas.count == 0)
            return false;
    }
    node_partition_list_add(list, topic, partition, replicas.ids, replicas.count);
    node_replicas_release(&replicas);
    return true;
}

static int decode(struct slice data, bool with_replicas, struct node_partition_list *list,
                  struct buffer *error)
{
    node_partition_list_init(list);
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    const json_t *partitions = json_object_get(json, "partitions");
    int result = 0;
    size_t skipped = 0;
    if (!json_is_array(partitions))
        result = node_fail(error, "no \"partitions\"");
    for (size_t i = 0; result == 0 && i < json_array_size(partitions); i++) {
        if (decode_item(json_array_get(partitions, i), with_replicas, list))
            continue;
        if (++skipped <= SKIPPED_NAMED_MAX && error != NULL)
            buffer_print(error, "%sitem %zu is not understood", skipped > 1 ? ", " : "", i);
    }
    if (skipped > SKIPPED_NAMED_MAX && error != NULL)
        buffer_print(error, ", and %zu more", skipped - SKIPPED_NAMED_MAX);
    json_decref(json);
    return result;
}

void node_reassignment_encode(const struct node_partition_list *list, struct buffer *out)
{
    encode(list, true, out);
}

int node_reassignment_decode(struct slice data, struct node_partition_list *list, struct buffer *error)
{
    return decode(data, true, list, error);
}

void node_preferred_election_encode(const struct node_partition_list *list, struct buffer *out)
{
    encode(list, false, out);
}

int node_preferred_election_decode(struct slice data, struct node_partition_list *list, struct buffer *error)
{
    return decode(data, false, list, error);
}

void node_isr_change_encode(const struct node_partition_list *list, struct buffer *out)
{
    encode(list, false, out);
}

int node_isr_change_decode(struct slice data, struct node_partition_list *list, struct buffer *error)
{
    return decode(data, false, list, error);
}
