/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.properties, read and checked: typed fields for what this release acts on, and the text of every key
 * for those who list the configuration.
 *
 * Unknown keys, keys that come twice and keys without effect are warned of and kept. Errors name the file and
 * the line: "server.properties:12: num.network.threads=0: must be at least 1".
 *
 * Immutable once read (all threads read it).
 */
#ifndef BROKER_CONFIG_BROKER_CONFIG_H
#define BROKER_CONFIG_BROKER_CONFIG_H

#include "broker/config/config_key.h"
#include "broker/config/listeners.h"
#include "broker/config/topic_settings.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/properties.h"

/* What was given for a key; NULL: not set. */
struct config_text {
    char *text;
    int line;
};

struct broker_config {
    struct properties properties; /* all that was read, unknown keys included */
    struct config_text *texts;    /* by index of broker_key_at */

    int32_t broker_id;
    char *rack; /* NULL: none */
    struct listeners listeners;

    char *zookeeper_connect;
    int32_t zookeeper_session_timeout_ms;
    int32_t zookeeper_connection_timeout_ms;
    int32_t zookeeper_max_in_flight_requests;

    char **log_dirs; /* at least one */
    size_t log_dirs_count;
    int32_t num_recovery_threads_per_data_dir;
    int64_t log_flush_scheduler_interval_ms;
    int32_t log_flush_offset_checkpoint_interval_ms;
    int32_t log_flush_start_offset_checkpoint_interval_ms;
    int64_t log_initial_task_delay_ms;
    bool log_cleaner_enable;
    int32_t log_cleaner_threads;
    int64_t log_cleaner_backoff_ms;
    int64_t log_cleaner_dedupe_buffer_size;
    int32_t log_cleaner_io_buffer_size;
    double log_cleaner_io_buffer_load_factor;
    double log_cleaner_io_max_bytes_per_second;
    int64_t log_retention_check_interval_ms;
    int32_t producer_id_expiration_ms;
    int32_t producer_id_expiration_check_interval_ms;

    int32_t num_network_threads;
    int32_t num_io_threads;
    int32_t num_replica_fetchers;
    int32_t background_threads;

    int32_t socket_send_buffer_bytes;
    int32_t socket_receive_buffer_bytes;
    int32_t socket_listen_backlog_size;
    int32_t socket_request_max_bytes;
    int64_t socket_connection_setup_timeout_ms;
    int64_t socket_connection_setup_timeout_max_ms;
    int64_t queued_max_request_bytes; /* <= 0: no bound */
    int32_t queued_max_requests;
    int32_t max_connections;
    int32_t max_connections_per_ip;
    const char *max_connections_per_ip_overrides; /* "host:count,..." */
    int64_t connections_max_idle_ms;
    int32_t request_timeout_ms;

    int32_t num_partitions;
    int32_t default_replication_factor;
    bool auto_create_topics_enable;
    bool delete_topic_enable;

    int64_t replica_lag_time_max_ms;
    int32_t replica_fetch_max_bytes;
    int32_t replica_fetch_min_bytes;
    int32_t replica_fetch_wait_max_ms;
    int32_t replica_fetch_response_max_bytes;
    int32_t replica_fetch_backoff_ms;
    int32_t replica_socket_timeout_ms;
    int32_t replica_socket_receive_buffer_bytes;
    int32_t replication_quota_window_num;
    int32_t replication_quota_window_size_seconds;
    bool reads_from_nearby_replicas; /* replica.selector.class is the rack-aware one */
    int64_t replica_high_watermark_checkpoint_interval_ms;
    int32_t num_replica_alter_log_dirs_threads;
    int64_t replica_alter_log_dirs_io_max_bytes_per_second;

    int32_t fetch_max_bytes;
    int32_t max_incremental_fetch_session_cache_slots;

    bool controlled_shutdown_enable;
    int32_t controlled_shutdown_max_retries;
    int64_t controlled_shutdown_retry_backoff_ms;
    int32_t controller_socket_timeout_ms;
    bool auto_leader_rebalance_enable;
    int64_t leader_imbalance_check_interval_seconds;
    int32_t leader_imbalance_per_broker_percentage;

    int32_t offsets_topic_num_partitions;
    int16_t offsets_topic_replication_factor;
    int32_t offsets_topic_segment_bytes;
    int32_t offsets_retention_minutes;
    int32_t offset_metadata_max_bytes;

    struct topic_settings topic_defaults; /* what a topic without settings of its own has */
};

void broker_config_init(struct broker_config *config);
void broker_config_release(struct broker_config *config);

/*
 * Reads the text of server.properties. `name` is the file's name for messages. Each warning is one line in
 * `warnings`, each error one in `errors`; -EINVAL when there is an error (all that were found are told).
 */
MUST_CHECK int broker_config_parse(struct broker_config *config, struct slice text, const char *name,
                                   struct buffer *warnings, struct buffer *errors);
/* The same, with `overrides` (lines of a properties file, from the command line's --override) over the text.
 * What is said of one of them names the option, not the file. */
MUST_CHECK int broker_config_parse_with(struct broker_config *config, struct slice text,
                                        struct slice overrides, const char *name, struct buffer *warnings,
                                        struct buffer *errors);
/* The same from a file. -errno of reading it (with a line in `errors`), or as broker_config_parse. */
MUST_CHECK int broker_config_load(struct broker_config *config, const char *path, struct slice overrides,
                                  struct buffer *warnings, struct buffer *errors);

/* What server.properties says for a key of the table; NULL: not set there. */
const char *broker_config_given(const struct broker_config *config, const char *key);
/* That, or the default; NULL: null. */
const char *broker_config_text(const struct broker_config *config, const char *key);

#endif
