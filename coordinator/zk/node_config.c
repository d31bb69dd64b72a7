/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of configuration entities and of the notifications of their change. */
#include "coordinator/zk/node_config.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_json.h"

void node_config_init(struct node_config *node)
{
    *node = (struct node_config){0};
}

void node_config_release(struct node_config *node)
{
    for (size_t i = 0; i < node->count; i++) {
        free(node->entries[i].key);
        free(node->entries[i].value);
    }
    free(node->entries);
    node_config_init(node);
}

static struct node_config_entry *find(const struct node_config *node, struct slice key)
{
    for (size_t i = 0; i < node->count; i++)
        if (slice_is(key, node->entries[i].key))
            return &node->entries[i];
    return NULL;
}

const char *node_config_get(const struct node_config *node, const char *key)
{
    const struct node_config_entry *entry = find(node, slice_of(key));
    return entry ? entry->value : NULL;
}

static char *copy_slice(struct slice text)
{
    return memory_copy_bytes(text.length > 0 ? (const char *)text.data : "", text.length);
}

static void append(struct node_config *node, struct slice key, struct slice value)
{
    node->entries = memory_resize(node->entries, (node->count + 1) * sizeof(node->entries[0]));
    node->entries[node->count++] = (struct node_config_entry){copy_slice(key), copy_slice(value)};
}

void node_config_set(struct node_config *node, struct slice key, struct slice value)
{
    struct node_config_entry *entry = find(node, key);
    if (entry == NULL) {
        if (!slice_is_null(value))
            append(node, key, value);
        return;
    }
    free(entry->value);
    if (!slice_is_null(value)) {
        entry->value = copy_slice(value);
        return;
    }
    free(entry->key);
    size_t position = (size_t)(entry - node->entries);
    memmove(entry, entry + 1, (node->count - position - 1) * sizeof(*entry));
    node->count--;
}

void node_config_encode(const struct node_config *node, struct buffer *out)
{
    json_t *json = json_object();
    json_t *config = json_object();
    for (size_t i = 0; i < node->count; i++)
        node_set_string(config, node->entries[i].key, slice_of(node->entries[i].value));
    node_set_integer(json, "version", 1);
    json_object_set_new(json, "config", config);
    node_write(json, out);
}

static int decode(const json_t *json, struct node_config *node, struct buffer *error)
{
    const json_t *config = json_object_get(json, "config");
    if (!json_is_object(config))
        return node_fail(error, "no \"config\"");
    if (json_object_size(config) > NODE_CONFIG_ENTRIES_MAX)
        return node_fail(error, "more than %d settings", NODE_CONFIG_ENTRIES_MAX);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (!json_is_string(value))
            return node_fail(error, "a value of \"config\" is not a string");
        append(node, slice_of(key), slice_make(json_string_value(value), json_string_length(value)));
    }
    return 0;
}

int node_config_decode(struct slice data, struct node_config *node, struct buffer *error)
{
    node_config_init(node);
    if (data.length == 0)
        return 0;
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = decode(json, node, error);
    if (result != 0)
        node_config_release(node);
    json_decref(json);
    return result;
}

void node_config_change_encode(struct slice entity_path, struct buffer *out)
{
    json_t *json = json_object();
    node_set_integer(json, "version", 2);
    node_set_string(json, "entity_path", entity_path);
    node_write(json, out);
}

static int decode_change(const json_t *json, struct buffer *entity_path, struct buffer *error)
{
    int32_t version;
    struct slice path, type, name;
    if (!node_get_version(json, &version))
        return node_fail(error, "no \"version\"");
    if (version == 1) {
        if (!json_get_string(json, "entity_type", &type) || !json_get_string(json, "entity_name", &name))
            return node_fail(error, "no \"entity_type\" and \"entity_name\"");
        if ((!slice_is(type, "topics") && !slice_is(type, "clients")) || name.length == 0)
            return node_fail(error, "\"entity_type\" is neither topics nor clients");
        buffer_append(entity_path, type.data, type.length);
        buffer_append_string(entity_path, "/");
        buffer_append(entity_path, name.data, name.length);
        return 0;
    }
    if (!json_get_string(json, "entity_path", &path) || path.length == 0)
        return node_fail(error, "no \"entity_path\"");
    buffer_append(entity_path, path.data, path.length);
    return 0;
}

int node_config_change_decode(struct slice data, struct buffer *entity_path, struct buffer *error)
{
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = decode_change(json, entity_path, error);
    json_decref(json);
    return result;
}
