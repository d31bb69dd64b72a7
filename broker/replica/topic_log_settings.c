/* SPDX-License-Identifier: Apache-2.0 */
/* Field by field; what the log does not act on is left out. */
#include "broker/replica/topic_log_settings.h"

void log_settings_from_topic(struct log_settings *log_settings, const struct topic_settings *topic,
                             int64_t producer_id_expiration_ms)
{
    log_settings_init(log_settings);
    log_settings->segment_bytes = topic->segment_bytes;
    log_settings->segment_ms = topic->segment_ms;
    log_settings->segment_jitter_ms = topic->segment_jitter_ms;
    log_settings->index_interval_bytes = topic->index_interval_bytes;
    log_settings->segment_index_bytes = topic->segment_index_bytes;
    log_settings->max_message_bytes = topic->max_message_bytes;
    log_settings->flush_messages = topic->flush_messages;
    log_settings->log_append_time = topic->log_append_time;
    log_settings->timestamp_before_max_ms = topic->timestamp_before_max_ms;
    log_settings->timestamp_after_max_ms = topic->timestamp_after_max_ms;
    log_settings->compression = topic->compression;
    log_settings->compression_gzip_level = topic->compression_gzip_level;
    log_settings->compression_lz4_level = topic->compression_lz4_level;
    log_settings->compression_zstd_level = topic->compression_zstd_level;
    log_settings->compacted = topic->cleanup_compact;
    log_settings->retained = topic->cleanup_delete;
    log_settings->flush_ms = topic->flush_ms;
    log_settings->retention_ms = topic->retention_ms;
    log_settings->retention_bytes = topic->retention_bytes;
    log_settings->file_delete_delay_ms = topic->file_delete_delay_ms;
    log_settings->delete_retention_ms = topic->delete_retention_ms;
    log_settings->min_compaction_lag_ms = topic->min_compaction_lag_ms;
    log_settings->max_compaction_lag_ms = topic->max_compaction_lag_ms;
    log_settings->min_cleanable_dirty_ratio = topic->min_cleanable_dirty_ratio;
    log_settings->producer_id_expiration_ms = producer_id_expiration_ms;
}

void log_settings_from_control(const struct broker_config *config, const struct control_setting *settings,
                               size_t count, struct log_settings *log_settings, int32_t *min_insync_replicas)
{
    struct topic_settings topic = config->topic_defaults;
    for (size_t i = 0; i < count; i++) {
        const struct topic_setting own = {settings[i].name, settings[i].value};
        topic_settings_apply(&topic, &own, 1);
    }
    log_settings_from_topic(log_settings, &topic, config->producer_id_expiration_ms);
    *min_insync_replicas = topic.min_insync_replicas;
}
