/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings as data: one row for each key of server.properties and of a topic, with its type, default,
 * range and one sentence. Whoever parses, checks, lists or documents a setting reads these tables; nothing
 * else in the house knows a default.
 */
#ifndef BROKER_CONFIG_CONFIG_KEY_H
#define BROKER_CONFIG_CONFIG_KEY_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

/* The numbers are those of config_type in DescribeConfigs. */
enum config_type {
    CONFIG_BOOLEAN = 1,
    CONFIG_STRING,
    CONFIG_INT,
    CONFIG_SHORT,
    CONFIG_LONG,
    CONFIG_DOUBLE,
    CONFIG_LIST,
    CONFIG_CLASS,
    CONFIG_PASSWORD,
};

/* The numbers are those of config_source in DescribeConfigs. */
enum config_source {
    CONFIG_SOURCE_UNKNOWN,
    CONFIG_SOURCE_TOPIC,
    CONFIG_SOURCE_DYNAMIC_BROKER,
    CONFIG_SOURCE_DYNAMIC_DEFAULT_BROKER,
    CONFIG_SOURCE_STATIC_BROKER, /* server.properties */
    CONFIG_SOURCE_DEFAULT,
};

enum config_update {
    CONFIG_READ_ONLY,    /* with a restart */
    CONFIG_PER_BROKER,   /* while the broker runs, for one broker */
    CONFIG_CLUSTER_WIDE, /* the same, for one or for all */
    CONFIG_TOPIC,        /* a topic's own */
};

enum config_flags {
    CONFIG_ACTS = 1 << 0,         /* this release acts on it */
    CONFIG_SENSITIVE = 1 << 1,    /* never shown */
    CONFIG_INTERNAL = 1 << 2,     /* not listed for clients */
    CONFIG_DYNAMIC_ONLY = 1 << 3, /* lives in ZooKeeper only, not in server.properties */
    CONFIG_NOT_EMPTY = 1 << 4,
    CONFIG_OR_MINUS_ONE = 1 << 5, /* -1 is fine beside the range */
    CONFIG_ANY_CASE = 1 << 6,     /* `values` in capitals or not */
    CONFIG_RELEASE = 1 << 7,      /* a Kafka release, "3.9" or "3.9-IV0" */
    CONFIG_REPLICA_LIST = 1 << 8, /* "*" or partition:broker pairs */
};

/* Both ends belong to it. */
struct config_range {
    double minimum;
    double maximum;
};

#define CONFIG_NO_MINIMUM (-__builtin_inf())
#define CONFIG_NO_MAXIMUM __builtin_inf()
#define CONFIG_ANY                           \
    {                                        \
        CONFIG_NO_MINIMUM, CONFIG_NO_MAXIMUM \
    }
#define CONFIG_FROM(minimum)       \
    {                              \
        minimum, CONFIG_NO_MAXIMUM \
    }
#define CONFIG_BETWEEN(minimum, maximum) \
    {                                    \
        minimum, maximum                 \
    }

struct config_key {
    const char *name;
    enum config_type type;
    const char *default_text; /* NULL: null */
    struct config_range range;
    const char *values; /* "this|or|that"; each element of a list must be one of them; NULL: anything */
    enum config_update update;
    unsigned flags;
    const char *documentation; /* NULL where this release does not act on the key */
    const char *server_keys;   /* topics: the broker's keys that give the default, "a|b": the first that is
                                  set wins; NULL: none */
};

/* All keys of a broker, all of a topic, in order of their names. */
size_t broker_key_count(void);
const struct config_key *broker_key_at(size_t index);
size_t topic_key_count(void);
const struct config_key *topic_key_at(size_t index);

/* The index of a name, -1 when there is no such key. */
int broker_key_find(const char *name);
int topic_key_find(struct slice name);

/*
 * Checks a text against type, range and values of its key. 0, or -EINVAL with the reason in `error` (may be
 * NULL), as the end of a sentence: "must be at least 1". Blanks around the text do not count.
 */
MUST_CHECK int config_value_check(const struct config_key *key, const char *text, struct buffer *error);

/* The values of texts that config_value_check has passed. */
bool config_value_boolean(const char *text);
int64_t config_value_integer(const char *text);
double config_value_double(const char *text);

/*
 * The elements of a comma list, one after the other: true and the element without blanks around it; false at
 * the end. `*position` starts at 0. Empty elements are left out.
 */
bool config_list_next(const char *text, size_t *position, struct slice *element);

/* "boolean", "int"... */
const char *config_type_name(enum config_type type);

/* The tables, each in its file. */
extern const struct config_key broker_keys_a_to_k[];
extern const size_t broker_keys_a_to_k_count;
extern const struct config_key broker_keys_l_to_q[];
extern const size_t broker_keys_l_to_q_count;
extern const struct config_key broker_keys_r_to_z[];
extern const size_t broker_keys_r_to_z_count;
extern const struct config_key topic_keys[];
extern const size_t topic_keys_count;

#endif
