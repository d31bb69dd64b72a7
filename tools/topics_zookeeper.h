/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two files of `barnabas topics --zookeeper` share: the session, what is asked for, and reading. All
 * functions return 0, or -errno with the sentence in work->error.
 */
#ifndef TOOLS_TOPICS_ZOOKEEPER_H
#define TOOLS_TOPICS_ZOOKEEPER_H

#include "common/arena.h"
#include "coordinator/membership/roster.h"
#include "coordinator/zk/blocking.h"
#include "coordinator/zk/node_config.h"
#include "coordinator/zk/node_topic.h"
#include "coordinator/zk/path.h"
#include "tools/topics.h"

struct zookeeper_work {
    const struct topics_request *request;
    struct topics_error *error;
    struct zk_blocking *zookeeper;
    struct arena arena;
    struct zk_names marked; /* for deletion */
    struct zk_names names;  /* of all topics */
    const char **chosen;    /* those that are meant, sorted; borrowed from `names` */
    size_t chosen_count;
};

/* The sentence of a request that ZooKeeper did not carry out; -EIO. */
int zookeeper_work_fail(struct zookeeper_work *work, enum zk_result result, const char *path);
/* The brokers that are registered; `brokers` is initialised. */
MUST_CHECK int zookeeper_work_read_brokers(struct zookeeper_work *work, struct roster *brokers);
/* -ENOENT, without a sentence: there is no such topic. On success the caller releases it. */
MUST_CHECK int zookeeper_work_read_topic(struct zookeeper_work *work, const char *name,
                                         struct node_topic *topic, struct zk_version *version);
/* Empty where the topic has none of its own. On success the caller releases them. */
MUST_CHECK int zookeeper_work_read_settings(struct zookeeper_work *work, const char *name,
                                            struct node_config *settings);
/* Whether somebody had asked for the topic's deletion when the topics were listed. */
bool zookeeper_work_is_marked(const struct zookeeper_work *work, const char *name);
/* Lists the topics and fills `chosen`. */
MUST_CHECK int zookeeper_work_choose(struct zookeeper_work *work);

/* The three that write, each with its lines on standard output. */
MUST_CHECK int topics_zookeeper_create(struct zookeeper_work *work);
MUST_CHECK int topics_zookeeper_delete(struct zookeeper_work *work, const char *name);
MUST_CHECK int topics_zookeeper_alter(struct zookeeper_work *work, const char *name);

#endif
