/* SPDX-License-Identifier: Apache-2.0 */
/* From a topic's settings to what its logs and partitions act on. Pure. */
#ifndef BROKER_REPLICA_TOPIC_LOG_SETTINGS_H
#define BROKER_REPLICA_TOPIC_LOG_SETTINGS_H

#include "broker/config/broker_config.h"
#include "broker/log/partition_log.h"
#include "proto/control/control.h"

/* The part of effective topic settings that concerns the log. */
void log_settings_from_topic(struct log_settings *log_settings, const struct topic_settings *topic,
                             int64_t producer_id_expiration_ms);

/*
 * For replica_host.topic_settings: the broker's defaults with the topic's own settings, as a control message
 * carries them, laid over.
 */
void log_settings_from_control(const struct broker_config *config, const struct control_setting *settings,
                               size_t count, struct log_settings *log_settings, int32_t *min_insync_replicas);

#endif
