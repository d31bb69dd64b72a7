/* SPDX-License-Identifier: Apache-2.0 */
/* Where a value comes from: the topic, server.properties, or the table's default, in this order. */
#include "broker/api/config_entries.h"

#include "common/check.h"

static void add_synonym(struct config_entry *entry, struct slice name, struct slice value,
                        enum config_source source)
{
    if (slice_is_null(value) || entry->synonyms_count == CONFIG_SYNONYMS_MAX)
        return;
    entry->synonyms[entry->synonyms_count++] =
        (struct config_synonym){name, entry->sensitive ? slice_of(NULL) : value, source};
}

/* What a broker's key gives: first server.properties, then the default. */
static void add_broker_synonyms(const struct broker_config *config, const struct config_key *key,
                                struct config_entry *entry)
{
    add_synonym(entry, slice_of(key->name), slice_of(broker_config_given(config, key->name)),
                CONFIG_SOURCE_STATIC_BROKER);
    add_synonym(entry, slice_of(key->name), slice_of(key->default_text), CONFIG_SOURCE_DEFAULT);
}

static void take_source(struct config_entry *entry)
{
    entry->source = entry->synonyms_count > 0 ? entry->synonyms[0].source : CONFIG_SOURCE_DEFAULT;
}

void config_entry_of_broker(const struct broker_config *config, const struct config_key *key,
                            struct config_entry *entry)
{
    *entry = (struct config_entry){.key = key, .sensitive = (key->flags & CONFIG_SENSITIVE) != 0};
    entry->value = entry->sensitive ? slice_of(NULL) : slice_of(broker_config_text(config, key->name));
    add_broker_synonyms(config, key, entry);
    take_source(entry);
}

void config_entry_of_topic(const struct broker_config *config, const struct config_key *key,
                           const struct topic_setting *own, size_t own_count, struct arena *arena,
                           struct config_entry *entry)
{
    *entry = (struct config_entry){.key = key};
    for (size_t i = 0; i < own_count; i++)
        if (slice_is(own[i].name, key->name))
            entry->value = own[i].value;
    add_synonym(entry, slice_of(key->name), entry->value, CONFIG_SOURCE_TOPIC);
    for (const char *at = key->server_keys; at && *at;) {
        char name[128];
        size_t length = strcspn(at, "|");
        CHECK(length < sizeof(name));
        memcpy(name, at, length);
        name[length] = 0;
        at += length + (at[length] == '|');
        add_broker_synonyms(config, broker_key_at((size_t)broker_key_find(name)), entry);
    }
    if (key->server_keys == NULL)
        add_synonym(entry, slice_of(key->name), slice_of(key->default_text), CONFIG_SOURCE_DEFAULT);
    if (slice_is_null(entry->value)) {
        struct buffer text;
        buffer_init(&text);
        if (topic_default_text(config, key, &text)) {
            const char *string = buffer_string(&text);
            entry->value = arena_copy_slice(arena, slice_of(string));
        }
        buffer_release(&text);
    }
    take_source(entry);
}
