/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers and topics as the metadata cache keeps them: each one block of memory with everything it points to,
 * counted, never changed once made.
 */
#ifndef BROKER_REPLICA_METADATA_ENTRY_H
#define BROKER_REPLICA_METADATA_ENTRY_H

#include <stdatomic.h>

#include "broker/replica/metadata_cache.h"

/* Freed with free(). */
struct broker_entry {
    struct metadata_broker broker;
};

struct topic_entry {
    atomic_size_t references;
    struct metadata_topic topic;
};

struct broker_entry *broker_entry_new(const struct control_broker *broker);

/*
 * The topic that results from what is known (may be NULL) and an update; see metadata_cache_update. One
 * reference for the caller, or NULL: the topic is gone.
 */
struct topic_entry *topic_entry_merge(const struct broker_config *config, const struct topic_entry *known,
                                      const struct control_topic *update);
struct topic_entry *topic_entry_acquire(struct topic_entry *entry);
void topic_entry_release(struct topic_entry *entry);

#endif
