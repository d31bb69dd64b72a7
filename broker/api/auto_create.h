/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics that are created because somebody asked for their metadata: one CreateTopics request for all missing
 * topics of a Metadata request goes to the controller. A topic that is on its way already is not asked for a
 * second time.
 */
#ifndef BROKER_API_AUTO_CREATE_H
#define BROKER_API_AUTO_CREATE_H

#include "broker/api/api.h"

struct map;
struct topic_creator;

/* One request creates no more topics than this; each costs the controller writes. */
#define AUTO_CREATE_TOPICS_MAX 1000

struct topic_creator *topic_creator_new(void);
void topic_creator_free(struct topic_creator *creator);

struct auto_created_topic {
    struct slice name;
    int16_t error; /* outcome; KAFKA_NONE: it exists now */
};

/* One attempt; memory is the caller's. */
struct auto_create {
    /* In; kept by the caller until `done`. */
    struct auto_created_topic *topics;
    size_t topics_count;
    const struct map *by_name;                 /* of `topics`; the caller's */
    void (*done)(struct auto_create *attempt); /* on the mailbox's thread; frees the attempt if it likes */

    struct api_context *context;
    struct controller_call call;
    bool *asked; /* by topic: asked for by this attempt */
};

/*
 * Starts; `done` is called later, at the latest at the deadline; never from within. Topics that somebody else
 * is creating get KAFKA_UNKNOWN_TOPIC_OR_PARTITION. False, and `done` is not called, when nothing had to be
 * asked for (all errors are filled in).
 */
MUST_CHECK bool auto_create_start(struct auto_create *attempt, struct api_context *context,
                                  struct mailbox *mailbox, int64_t deadline_ms);

#endif
