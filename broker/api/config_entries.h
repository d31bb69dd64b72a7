/* SPDX-License-Identifier: Apache-2.0 */
/* One setting as clients are shown it: its value in effect, where that comes from, and what it hides. Pure.
 */
#ifndef BROKER_API_CONFIG_ENTRIES_H
#define BROKER_API_CONFIG_ENTRIES_H

#include "broker/config/broker_config.h"
#include "common/arena.h"
#include "common/base.h"
#include "common/slice.h"

/* One place where a value is given. */
struct config_synonym {
    struct slice name;
    struct slice value; /* null where it is secret */
    enum config_source source;
};

#define CONFIG_SYNONYMS_MAX 9

struct config_entry {
    const struct config_key *key;
    struct slice value; /* null: none, or secret */
    enum config_source source;
    bool sensitive;
    /* From what wins down to the default; the first one is the source of the value. */
    struct config_synonym synonyms[CONFIG_SYNONYMS_MAX];
    size_t synonyms_count;
};

/* A key of a topic; `own` are the topic's own settings. Texts are the arguments' or lie in `arena`. */
void config_entry_of_topic(const struct broker_config *config, const struct config_key *key,
                           const struct topic_setting *own, size_t own_count, struct arena *arena,
                           struct config_entry *entry);
/* A key of the broker. */
void config_entry_of_broker(const struct broker_config *config, const struct config_key *key,
                            struct config_entry *entry);

#endif
