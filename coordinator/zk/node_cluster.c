/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of the small nodes of the whole cluster. */
#include "coordinator/zk/node_cluster.h"

#include <errno.h>

#include "common/check.h"
#include "coordinator/zk/node_json.h"

void node_cluster_id_encode(const struct node_cluster_id *node, struct buffer *out)
{
    json_t *json = json_object();
    node_set_string(json, "version", slice_of("1"));
    node_set_string(json, "id", slice_of(node->text));
    node_write(json, out);
}

int node_cluster_id_decode(struct slice data, struct node_cluster_id *node, struct buffer *error)
{
    *node = (struct node_cluster_id){0};
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    struct slice id;
    int result = 0;
    if (!json_get_string(json, "id", &id) || id.length == 0 || id.length > NODE_CLUSTER_ID_LENGTH_MAX)
        result = node_fail(error, "no \"id\", or one of more than %d characters", NODE_CLUSTER_ID_LENGTH_MAX);
    for (size_t i = 0; result == 0 && i < id.length; i++)
        if (id.data[i] <= ' ' || id.data[i] > '~')
            result = node_fail(error, "\"id\" holds more than printable characters");
    if (result == 0)
        memcpy(node->text, id.data, id.length);
    json_decref(json);
    return result;
}

void node_producer_id_block_encode(const struct node_producer_id_block *node, struct buffer *out)
{
    CHECK(node->block_start >= 0 && node->block_end >= node->block_start);
    json_t *json = json_object();
    node_set_integer(json, "version", 1);
    node_set_integer(json, "broker", node->broker_id);
    node_set_quoted_integer(json, "block_start", node->block_start);
    node_set_quoted_integer(json, "block_end", node->block_end);
    node_write(json, out);
}

int node_producer_id_block_decode(struct slice data, struct node_producer_id_block *node,
                                  struct buffer *error)
{
    *node = (struct node_producer_id_block){.broker_id = -1};
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = 0;
    struct node_producer_id_block read = {0};
    if (!json_get_int32(json, "broker", &read.broker_id) ||
        !node_get_loose_integer(json, "block_start", &read.block_start) ||
        !node_get_loose_integer(json, "block_end", &read.block_end))
        result = node_fail(error, "\"broker\", \"block_start\" or \"block_end\" is missing");
    else if (read.block_start < 0 || read.block_end < read.block_start)
        result = node_fail(error, "the block ends before it begins");
    else
        *node = read;
    json_decref(json);
    return result;
}

int node_producer_id_block_next(struct slice data, int32_t broker_id, struct node_producer_id_block *next,
                                struct buffer *error)
{
    int64_t start = 0;
    if (data.length > 0) {
        struct node_producer_id_block last;
        int result = node_producer_id_block_decode(data, &last, error);
        if (result != 0)
            return result;
        if (last.block_end > INT64_MAX - NODE_PRODUCER_ID_BLOCK_SIZE)
            return -ERANGE;
        start = last.block_end + 1;
    }
    *next = (struct node_producer_id_block){broker_id, start, start + NODE_PRODUCER_ID_BLOCK_SIZE - 1};
    return 0;
}

void node_log_dir_event_encode(const struct node_log_dir_event *node, struct buffer *out)
{
    json_t *json = json_object();
    node_set_integer(json, "version", 1);
    node_set_integer(json, "broker", node->broker_id);
    node_set_integer(json, "event", node->event);
    node_write(json, out);
}

int node_log_dir_event_decode(struct slice data, struct node_log_dir_event *node, struct buffer *error)
{
    *node = (struct node_log_dir_event){.broker_id = -1};
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = 0;
    struct node_log_dir_event read;
    if (!json_get_int32(json, "broker", &read.broker_id) || read.broker_id < 0 ||
        !json_get_int32(json, "event", &read.event))
        result = node_fail(error, "\"broker\" or \"event\" is missing");
    else
        *node = read;
    json_decref(json);
    return result;
}

void node_feature_encode(const struct node_feature *node, struct buffer *out)
{
    CHECK(node->feature_count == 0);
    json_t *json = json_object();
    node_set_integer(json, "version", 2);
    node_set_integer(json, "status", node->enabled ? 1 : 0);
    json_object_set_new(json, "features", json_object());
    node_write(json, out);
}

int node_feature_decode(struct slice data, struct node_feature *node, struct buffer *error)
{
    *node = (struct node_feature){0};
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = 0;
    int32_t version, status;
    if (!node_get_version(json, &version) || !json_get_int32(json, "status", &status) || status < 0 ||
        status > 1)
        result = node_fail(error, "\"version\" or \"status\" is missing or out of range");
    else
        *node =
            (struct node_feature){version, status == 1, json_object_size(json_object_get(json, "features"))};
    json_decref(json);
    return result;
}
