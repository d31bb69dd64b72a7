/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `barnabas topics`: what its files share. topics.c reads and checks the options; the work is done through
 * brokers (topics_bootstrap.c) or straight in ZooKeeper (topics_zookeeper.c); topics_text.c writes what both
 * have found.
 */
#ifndef TOOLS_TOPICS_H
#define TOOLS_TOPICS_H

#include "broker/config/topic_settings.h"
#include "tools/tool.h"

enum topics_action { TOPICS_LIST, TOPICS_DESCRIBE, TOPICS_CREATE, TOPICS_DELETE, TOPICS_ALTER };

/* Which of a topic's partitions `describe` shows. */
struct topics_filter {
    bool under_replicated;
    bool unavailable;
    bool under_min_isr;
    bool at_min_isr;
    bool with_overrides; /* topics with settings of their own, headers only */
};

/* The replicas of each partition as --replica-assignment gives them; the same number for each. */
struct topics_assignment {
    int32_t *replicas; /* partition * replication_factor + i; NULL: not given */
    size_t partition_count;
    size_t replication_factor;
};

/* What is asked for. Texts are borrowed from the arguments. */
struct topics_request {
    enum topics_action action;
    const char *bootstrap; /* or NULL */
    const char *zookeeper; /* or NULL */
    int64_t timeout_ms;
    const char *topic;          /* a name to create, else a regular expression; or NULL */
    const char *topic_id;       /* or NULL */
    int32_t partitions;         /* -1: not given */
    int32_t replication_factor; /* -1: not given */
    struct topics_assignment assignment;
    struct topic_setting *settings; /* --config */
    size_t setting_count;
    struct slice *removed; /* --delete-config */
    size_t removed_count;
    struct topics_filter filter;
    bool if_exists;
    bool if_not_exists;
    bool exclude_internal;
    bool ignore_racks;
};

/* Why a request could not be carried out: Kafka's sentence, and a line of advice for standard error. */
struct topics_error {
    struct buffer sentence;
    struct buffer hint; /* may be empty */
};

/* Each prints its results on standard output; 0, or -errno with the sentence. */
MUST_CHECK int topics_by_bootstrap(const struct topics_request *request, struct topics_error *error);
MUST_CHECK int topics_by_zookeeper(const struct topics_request *request, struct topics_error *error);

/* "0:1,1:2": a comma between partitions, a colon between replicas. 0, or -EINVAL with the sentence. */
MUST_CHECK int topics_assignment_parse(const char *text, struct topics_assignment *assignment,
                                       struct buffer *sentence);

/* "key=value" into its parts, checked as a topic's setting. 0, or -EINVAL with the sentence. */
MUST_CHECK int topics_setting_parse(const char *text, struct topic_setting *setting, struct buffer *sentence);

/* Which topics a --topic means: all that the whole of the expression matches, or one that has this very name.
 */
struct topics_pattern;

/* expression: extended regular, commas are alternatives; NULL matches all. NULL: not understood, with the
 * sentence. */
MUST_CHECK struct topics_pattern *topics_pattern_new(const char *expression, struct buffer *sentence);
void topics_pattern_free(struct topics_pattern *pattern);
/* Tells of a topic that exists, before any question: an exact name counts alone. */
void topics_pattern_add(struct topics_pattern *pattern, const char *name);
/* Whether the topic is meant. */
bool topics_pattern_matches(const struct topics_pattern *pattern, const char *name);

/* Whether a topic may be called so: 0, or -EINVAL with Kafka 3.9's sentence. */
MUST_CHECK int topic_name_check(const char *name, struct buffer *sentence);

/* __consumer_offsets and __transaction_state. */
bool topic_is_internal(const char *name);

#endif
