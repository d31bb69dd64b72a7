/* SPDX-License-Identifier: Apache-2.0 */
/* Topic settings in effect; which field belongs to which key is a table here. */
#include "broker/config/topic_settings.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/config/broker_config.h"
#include "common/check.h"
#include "common/memory.h"

enum field_kind { FIELD_INT32, FIELD_INT64, FIELD_DOUBLE, FIELD_BOOLEAN, FIELD_SPECIAL };

struct topic_field {
    const char *name;
    size_t offset;
    enum field_kind kind;
};

#define FIELD(name, member, kind)                           \
    {                                                       \
        name, offsetof(struct topic_settings, member), kind \
    }

static const struct topic_field fields[] = {
    FIELD("segment.bytes", segment_bytes, FIELD_INT64),
    FIELD("segment.ms", segment_ms, FIELD_INT64),
    FIELD("segment.jitter.ms", segment_jitter_ms, FIELD_INT64),
    FIELD("segment.index.bytes", segment_index_bytes, FIELD_INT64),
    FIELD("index.interval.bytes", index_interval_bytes, FIELD_INT64),
    FIELD("max.message.bytes", max_message_bytes, FIELD_INT64),
    FIELD("flush.messages", flush_messages, FIELD_INT64),
    FIELD("flush.ms", flush_ms, FIELD_INT64),
    FIELD("retention.ms", retention_ms, FIELD_INT64),
    FIELD("retention.bytes", retention_bytes, FIELD_INT64),
    FIELD("file.delete.delay.ms", file_delete_delay_ms, FIELD_INT64),
    FIELD("delete.retention.ms", delete_retention_ms, FIELD_INT64),
    FIELD("min.compaction.lag.ms", min_compaction_lag_ms, FIELD_INT64),
    FIELD("max.compaction.lag.ms", max_compaction_lag_ms, FIELD_INT64),
    FIELD("min.cleanable.dirty.ratio", min_cleanable_dirty_ratio, FIELD_DOUBLE),
    FIELD("preallocate", preallocate, FIELD_BOOLEAN),
    FIELD("message.downconversion.enable", message_downconversion_enable, FIELD_BOOLEAN),
    FIELD("unclean.leader.election.enable", unclean_leader_election_enable, FIELD_BOOLEAN),
    FIELD("message.timestamp.before.max.ms", _before_max_ms, FIELD_INT64),
    FIELD("message.timestamp.after.max.ms", _after_max_ms, FIELD_INT64),
    FIELD("message.timestamp.difference.max.ms", _difference_max_ms, FIELD_INT64),
    FIELD("compression.gzip.level", compression_gzip_level, FIELD_INT32),
    FIELD("compression.lz4.level", compression_lz4_level, FIELD_INT32),
    FIELD("compression.zstd.level", compression_zstd_level, FIELD_INT32),
    FIELD("min.insync.replicas", min_insync_replicas, FIELD_INT32),
    {"cleanup.policy", 0, FIELD_SPECIAL},
    {"compression.type", 0, FIELD_SPECIAL},
    {"message.timestamp.type", 0, FIELD_SPECIAL},
};

static void set_special(struct topic_settings *settings, const char *name, const char *text)
{
    size_t position = 0;
    struct slice element = slice_of("");
    if (strcmp(name, "cleanup.policy") == 0) {
        settings->cleanup_delete = false;
        settings->cleanup_compact = false;
        while (config_list_next(text, &position, &element)) {
            settings->cleanup_delete |= slice_is(element, "delete");
            settings->cleanup_compact |= slice_is(element, "compact");
        }
        return;
    }
    if (!config_list_next(text, &position, &element))
        return;
    if (strcmp(name, "message.timestamp.type") == 0)
        settings->log_append_time = slice_is(element, "LogAppendTime");
    else if (slice_is(element, "producer"))
        settings->compression = COMPRESSION_PRODUCER;
    else
        settings->compression = slice_is(element, "uncompressed") ? CODEC_NONE : codec_parse(element);
}

/* `text` has passed the check of its key. */
static void set_field(struct topic_settings *settings, const struct topic_field *field, const char *text)
{
    char *at = (char *)settings + field->offset;
    switch (field->kind) {
    case FIELD_INT32:
        *(int32_t *)(void *)at = (int32_t)config_value_integer(text);
        break;
    case FIELD_INT64:
        *(int64_t *)(void *)at = config_value_integer(text);
        break;
    case FIELD_DOUBLE:
        *(double *)(void *)at = config_value_double(text);
        break;
    case FIELD_BOOLEAN:
        *(bool *)(void *)at = config_value_boolean(text);
        break;
    case FIELD_SPECIAL:
        set_special(settings, field->name, text);
        break;
    }
}

static void settle_timestamps(struct topic_settings *settings)
{
    int64_t difference = settings->_difference_max_ms;
    settings->timestamp_before_max_ms =
        settings->_before_max_ms == INT64_MAX ? difference : settings->_before_max_ms;
    settings->timestamp_after_max_ms =
        settings->_after_max_ms == INT64_MAX ? difference : settings->_after_max_ms;
}

/* Hours and minutes of a broker's key become the milliseconds of the topic's. */
static int64_t unit_factor(const char *server_key)
{
    size_t length = strlen(server_key);
    if (length > 6 && strcmp(server_key + length - 6, ".hours") == 0)
        return 3600000;
    if (length > 8 && strcmp(server_key + length - 8, ".minutes") == 0)
        return 60000;
    return 1;
}

bool topic_default_text(const struct broker_config *config, const struct config_key *key, struct buffer *out)
{
    const char *at = key->server_keys;
    while (at && *at) {
        char server_key[128];
        size_t length = strcspn(at, "|");
        CHECK(length < sizeof(server_key));
        memcpy(server_key, at, length);
        server_key[length] = 0;
        at += length + (at[length] == '|');
        const char *given = broker_config_given(config, server_key);
        if (given == NULL)
            continue;
        int64_t factor = unit_factor(server_key);
        bool retention = strcmp(key->name, "retention.ms") == 0;
        if (factor == 1 && !retention) {
            buffer_append_string(out, given);
        } else {
            int64_t value = config_value_integer(given);
            buffer_print(out, "%lld", (long long)(retention && value < 0 ? -1 : value * factor));
        }
        return true;
    }
    if (key->default_text == NULL)
        return false;
    buffer_append_string(out, key->default_text);
    return true;
}

void topic_settings_init(struct topic_settings *settings, const struct broker_config *config)
{
    struct buffer text;
    buffer_init(&text);
    *settings = (struct topic_settings){0};
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        int index = topic_key_find(slice_of(fields[i].name));
        CHECK(index >= 0);
        buffer_clear(&text);
        if (topic_default_text(config, topic_key_at((size_t)index), &text))
            set_field(settings, &fields[i], buffer_string(&text));
    }
    settle_timestamps(settings);
    buffer_release(&text);
}

int topic_setting_check(struct slice name, struct slice value, struct buffer *error)
{
    int index = topic_key_find(name);
    if (index < 0) {
        if (error) {
            buffer_append_string(error, "there is no topic setting named ");
            buffer_append_escaped(error, name, 100);
        }
        return -EINVAL;
    }
    if (slice_is_null(value) || memchr(value.data, 0, value.length)) {
        if (error)
            buffer_print(error, "%s: must have a value", topic_key_at((size_t)index)->name);
        return -EINVAL;
    }
    char *text = memory_copy_bytes(value.data, value.length);
    struct buffer reason;
    buffer_init(&reason);
    int rc = config_value_check(topic_key_at((size_t)index), text, &reason);
    if (rc < 0 && error) {
        buffer_print(error, "%s=", topic_key_at((size_t)index)->name);
        buffer_append_escaped(error, value, 100);
        buffer_print(error, ": %s", buffer_string(&reason));
    }
    buffer_release(&reason);
    free(text);
    return rc;
}

void topic_settings_apply(struct topic_settings *settings, const struct topic_setting *own, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (topic_setting_check(own[i].name, own[i].value, NULL) < 0)
            continue;
        for (size_t j = 0; j < ARRAY_SIZE(fields); j++) {
            if (!slice_is(own[i].name, fields[j].name))
                continue;
            char *text = memory_copy_bytes(own[i].value.data, own[i].value.length);
            set_field(settings, &fields[j], text);
            free(text);
        }
    }
    settle_timestamps(settings);
}

int topic_settings_check(const struct broker_config *config, const struct topic_setting *own, size_t count,
                         struct buffer *error)
{
    for (size_t i = 0; i < count; i++)
        if (topic_setting_check(own[i].name, own[i].value, error) < 0)
            return -EINVAL;
    struct topic_settings settings = config->topic_defaults;
    topic_settings_apply(&settings, own, count);
    if (settings.max_compaction_lag_ms < settings.min_compaction_lag_ms) {
        if (error)
            buffer_print(error, "max.compaction.lag.ms=%lld must not be less than min.compaction.lag.ms=%lld",
                         (long long)settings.max_compaction_lag_ms,
                         (long long)settings.min_compaction_lag_ms);
        return -EINVAL;
    }
    return 0;
}
