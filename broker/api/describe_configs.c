/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeConfigs: all settings of topics and of this broker, with where each value comes from. */
#include <stdio.h>

#include "broker/api/answering.h"
#include "broker/api/config_entries.h"
#include "broker/api/table.h"
#include "common/map.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/describe_configs.h"

#define RESOURCE_TOPIC 2
#define RESOURCE_BROKER 4
/* config_type of a key that nobody knows. */
#define CONFIG_TYPE_UNKNOWN 0

/* One resource that is being described. */
struct description {
    struct api_context *context;
    const struct describe_configs_request *body;
    const struct describe_configs_request_resource *resource;
    struct arena *arena;
    struct describe_configs_response_result *result;
    struct map *asked; /* the keys that the client asked for; NULL: all */
};

/* No list, or an empty one, asks for all. */
static void collect_asked(struct description *description)
{
    const struct describe_configs_request_resource *resource = description->resource;
    if (resource->configuration_keys_count == 0)
        return;
    description->asked = map_new(description->context->hash_seed);
    for (size_t i = 0; i < resource->configuration_keys_count; i++)
        (void)map_put(description->asked, resource->configuration_keys[i], description->asked);
}

static bool is_asked(const struct description *description, const char *name)
{
    return description->asked == NULL || map_get(description->asked, slice_of(name)) != NULL;
}

static void add_entry(struct description *description, const struct config_entry *entry)
{
    struct describe_configs_response_resource_result *out =
        &description->result->configs[description->result->configs_count++];
    describe_configs_response_resource_result_init(out);
    out->name = slice_of(entry->key->name);
    out->value = entry->value;
    out->read_only = entry->key->update == CONFIG_READ_ONLY;
    out->is_default = entry->source == CONFIG_SOURCE_DEFAULT;
    out->config_source = (int8_t)entry->source;
    out->is_sensitive = entry->sensitive;
    out->config_type = (int8_t)entry->key->type;
    if (description->body->include_documentation)
        out->documentation = slice_of(entry->key->documentation);
    if (!description->body->include_synonyms)
        return;
    out->synonyms = answer_array(description->arena, entry->synonyms_count, sizeof(out->synonyms[0]));
    for (size_t i = 0; i < entry->synonyms_count; i++) {
        out->synonyms[out->synonyms_count++] = (struct describe_configs_response_synonym){
            entry->synonyms[i].name, entry->synonyms[i].value, (int8_t)entry->synonyms[i].source};
    }
}

static void refuse(struct description *description, int16_t error, struct slice message)
{
    description->result->error_code = error;
    description->result->error_message = message;
}

static void describe_topic(struct description *description, const struct metadata_image *image)
{
    struct slice name = description->resource->resource_name;
    if (!topic_name_is_legal(name)) {
        refuse(description, KAFKA_INVALID_TOPIC_EXCEPTION, slice_of("this is no legal topic name"));
        return;
    }
    const struct metadata_topic *topic = metadata_image_topic(image, name);
    if (topic == NULL) {
        refuse(description, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, slice_of("there is no such topic"));
        return;
    }
    description->result->configs =
        answer_array(description->arena, topic_key_count(), sizeof(description->result->configs[0]));
    for (size_t i = 0; i < topic_key_count(); i++) {
        struct config_entry entry;
        if (!is_asked(description, topic_key_at(i)->name))
            continue;
        config_entry_of_topic(description->context->config, topic_key_at(i), topic->settings,
                              topic->settings_count, description->arena, &entry);
        add_entry(description, &entry);
    }
}

/* A key of server.properties that no broker knows: shown by name, its value kept to ourselves. */
static void add_unknown_keys(struct description *description)
{
    const struct properties *properties = &description->context->config->properties;
    for (size_t i = 0; i < properties->count; i++) {
        const char *name = properties->items[i].key;
        if (broker_key_find(name) >= 0 || !is_asked(description, name))
            continue;
        struct describe_configs_response_resource_result *out =
            &description->result->configs[description->result->configs_count++];
        describe_configs_response_resource_result_init(out);
        out->name = slice_of(name);
        out->value = slice_of(NULL);
        out->read_only = true;
        out->config_source = CONFIG_SOURCE_STATIC_BROKER;
        out->is_sensitive = true;
        out->config_type = CONFIG_TYPE_UNKNOWN;
    }
}

static void describe_this_broker(struct description *description)
{
    const struct broker_config *config = description->context->config;
    size_t most = broker_key_count() + config->properties.count;
    description->result->configs =
        answer_array(description->arena, most, sizeof(description->result->configs[0]));
    for (size_t i = 0; i < broker_key_count(); i++) {
        const struct config_key *key = broker_key_at(i);
        struct config_entry entry;
        bool hidden = (key->flags & (CONFIG_INTERNAL | CONFIG_DYNAMIC_ONLY)) != 0;
        if (hidden || !is_asked(description, key->name))
            continue;
        config_entry_of_broker(config, key, &entry);
        add_entry(description, &entry);
    }
    add_unknown_keys(description);
}

static void describe_broker(struct description *description)
{
    struct slice name = description->resource->resource_name;
    char id[16];
    snprintf(id, sizeof(id), "%d", (int)description->context->broker_id);
    /* The empty name is that of the settings which all brokers share; there are none. */
    if (name.length == 0)
        return;
    if (!slice_is(name, id)) {
        refuse(description, KAFKA_INVALID_REQUEST,
               answer_text(description->arena, "this is broker %s; ask the broker that you mean", id));
        return;
    }
    describe_this_broker(description);
}

static void describe(struct description *description, const struct metadata_image *image)
{
    switch (description->resource->resource_type) {
    case RESOURCE_TOPIC:
        describe_topic(description, image);
        break;
    case RESOURCE_BROKER:
        describe_broker(description);
        break;
    default:
        refuse(description, KAFKA_INVALID_REQUEST,
               answer_text(description->arena, "resources of type %d are not described by this release",
                           (int)description->resource->resource_type));
        break;
    }
}

/* A resource that was named before is not described again. */
static bool is_repeated(struct map *seen, const struct describe_configs_request_resource *resource,
                        struct arena *arena)
{
    size_t length = resource->resource_name.length + 1;
    uint8_t *key = answer_array(arena, length, 1);
    key[0] = (uint8_t)resource->resource_type;
    if (length > 1)
        memcpy(key + 1, resource->resource_name.data, length - 1);
    return map_put(seen, slice_make(key, length), seen) != NULL;
}

void handle_describe_configs(struct api_context *context, struct request *request)
{
    struct describe_configs_request body;
    int16_t version = request->header.api_version;
    int rc = describe_configs_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    struct arena arena;
    struct describe_configs_response response;
    struct map *seen = map_new(context->hash_seed);
    const struct metadata_image *image = metadata_cache_acquire(context->metadata);
    arena_init(&arena, ARENA_NO_BUDGET);
    describe_configs_response_init(&response);
    response.results = answer_array(&arena, body.resources_count, sizeof(response.results[0]));
    for (size_t i = 0; i < body.resources_count; i++) {
        if (is_repeated(seen, &body.resources[i], &arena))
            continue;
        struct description description = {.context = context,
                                          .body = &body,
                                          .resource = &body.resources[i],
                                          .arena = &arena,
                                          .result = &response.results[response.results_count++]};
        describe_configs_response_result_init(description.result);
        description.result->resource_type = body.resources[i].resource_type;
        description.result->resource_name = body.resources[i].resource_name;
        collect_asked(&description);
        describe(&description, image);
        map_free(description.asked);
    }
    describe_configs_response_encode(&response, request_begin_answer(request), version);
    metadata_image_release(image);
    map_free(seen);
    arena_release(&arena);
    request_answer(request);
}
