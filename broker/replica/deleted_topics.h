/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topics whose replicas this process was told to delete, for a while. A leader-and-isr message may come
 * late: its connection was given up, the deletion went over the next one and has ended, and only then are its
 * bytes read. It would make a replica of a topic that is no more, which nobody would ever remove, and which
 * would stand in the way of the next topic of that name (I35, I36). Topic ids are never used twice, so what
 * carries one of these is of the past. A new life of the broker has another broker epoch and needs no memory.
 *
 * The memory fades, for a deletion that an operator took back before it was carried out. Not thread-safe.
 */
#ifndef BROKER_REPLICA_DELETED_TOPICS_H
#define BROKER_REPLICA_DELETED_TOPICS_H

#include "common/base.h"
#include "common/uuid.h"

#define DELETED_TOPICS_MAX 1024
/* Far longer than a message can be on its way. */
#define DELETED_TOPICS_KEPT_MS (2 * 60 * 1000)

struct deleted_topic {
    struct uuid topic_id;
    int64_t until_ms;
};

/* All zero: empty. When it is full the oldest goes. */
struct deleted_topics {
    struct deleted_topic *topics; /* a ring; NULL before the first */
    size_t next;
};

void deleted_topics_release(struct deleted_topics *deleted);
/* A topic without id (zero) is not remembered. */
void deleted_topics_add(struct deleted_topics *deleted, struct uuid topic_id, int64_t now_ms);
bool deleted_topics_contains(const struct deleted_topics *deleted, struct uuid topic_id, int64_t now_ms);

#endif
