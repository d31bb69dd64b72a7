/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of a topic as they are in effect: the broker's defaults with the topic's own keys laid over
 * them; and the check of such keys when a topic is created or changed.
 */
#ifndef BROKER_CONFIG_TOPIC_SETTINGS_H
#define BROKER_CONFIG_TOPIC_SETTINGS_H

#include "broker/config/config_key.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/codec.h"
#include "common/slice.h"

struct broker_config;

/* topic_settings.compression: keep what the producer chose. Other values are those of enum codec. */
#define COMPRESSION_PRODUCER (-1)

struct topic_settings {
    int64_t segment_bytes;
    int64_t segment_ms;
    int64_t segment_jitter_ms;
    int64_t segment_index_bytes;
    int64_t index_interval_bytes;
    int64_t max_message_bytes;
    int64_t flush_messages;
    int64_t flush_ms;
    int64_t retention_ms;    /* -1: unlimited */
    int64_t retention_bytes; /* -1: unlimited */
    int64_t file_delete_delay_ms;
    int64_t delete_retention_ms;
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
    bool cleanup_delete;
    bool cleanup_compact;
    bool preallocate;
    bool message_downconversion_enable;
    bool unclean_leader_election_enable;
    bool log_append_time; /* message.timestamp.type=LogAppendTime */
    int64_t timestamp_before_max_ms;
    int64_t timestamp_after_max_ms;
    int compression; /* COMPRESSION_PRODUCER or enum codec */
    int32_t compression_gzip_level;
    int32_t compression_lz4_level;
    int32_t compression_zstd_level;
    int32_t min_insync_replicas;

    /* As they were given: message.timestamp.difference.max.ms stands in for the other two where those are at
     * their default. */
    int64_t _before_max_ms;
    int64_t _after_max_ms;
    int64_t _difference_max_ms;
};

/* One of a topic's own settings. */
struct topic_setting {
    struct slice name;
    struct slice value;
};

/* The defaults that the broker's configuration gives to topics without settings of their own. */
void topic_settings_init(struct topic_settings *settings, const struct broker_config *config);

/*
 * Lays the topic's own settings over. Unknown names and values that do not pass topic_setting_check are left
 * out (they come from ZooKeeper, where anybody may write).
 */
void topic_settings_apply(struct topic_settings *settings, const struct topic_setting *own, size_t count);

/*
 * Checks one setting of a topic that is to be created or changed. 0, or -EINVAL with a sentence for the
 * client in `error` (may be NULL).
 */
MUST_CHECK int topic_setting_check(struct slice name, struct slice value, struct buffer *error);
/* Checks a whole set, also what concerns several keys together (compaction lags). */
MUST_CHECK int topic_settings_check(const struct broker_config *config, const struct topic_setting *own,
                                    size_t count, struct buffer *error);

/*
 * The text that a topic gets from the broker for `key`, in the topic key's unit (log.retention.hours=2 gives
 * "7200000" for retention.ms), appended to `out`; false when it is null.
 */
bool topic_default_text(const struct broker_config *config, const struct config_key *key, struct buffer *out);

#endif
