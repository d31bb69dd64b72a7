/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `describe` writes, in the layouts that scripts know: Kafka 1.0's (through ZooKeeper) and 3.9's
 * (through brokers). Only formats; reads and writes nothing.
 */
#ifndef TOOLS_TOPICS_TEXT_H
#define TOOLS_TOPICS_TEXT_H

#include "tools/topics.h"

enum topics_layout { TOPICS_LAYOUT_1_0, TOPICS_LAYOUT_3_9 };

struct partition_view {
    int32_t partition;
    int32_t leader; /* negative: none */
    bool leader_is_alive;
    const int32_t *replicas;
    size_t replica_count;
    const int32_t *isr;
    size_t isr_count;
};

struct topic_view {
    const char *name;
    const char *id;       /* 22 characters; NULL: not known */
    const char *settings; /* "k=v,k2=v2" */
    bool marked_for_deletion;
    int64_t min_insync_replicas; /* for the filters that ask for it */
    const struct partition_view *partitions;
    size_t partition_count;
};

/* Appends the lines of a topic that the filter lets through. */
void topic_view_print(const struct topic_view *view, const struct topics_filter *filter,
                      enum topics_layout layout, struct buffer *out);

/* The warning of names with '.' or '_', without a newline; NULL where the name has neither. */
const char *topic_collision_warning(const char *name);

#endif
