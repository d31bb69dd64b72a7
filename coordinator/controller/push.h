/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to tell which broker next. A channel is what the controller knows of one broker in one of its lives:
 * up to which number of the image's sequence it has answered. At most one message is in flight on it; in
 * what order messages go:
 *
 *   full metadata -> leader-and-ISR -> stop replica -> metadata
 *
 * After each leader-and-ISR the metadata follow before the next, so that clients find the leaders that have
 * been told while others, thousands perhaps, are still to be.
 *
 * Replicas of a topic are only removed after the broker has heard, in metadata, that the topic is gone; a
 * stream of other changes does not keep them waiting.
 *
 * The first only at the beginning and after any doubt (an unanswered message, an error), and then everything
 * is told again (I33); and where the broker may have missed the end of a topic. A partition whose state does
 * not fit the live brokers is left out of leader-and-ISR until it has been decided (I31). Pure.
 */
#ifndef COORDINATOR_CONTROLLER_PUSH_H
#define COORDINATOR_CONTROLLER_PUSH_H

#include "common/arena.h"
#include "coordinator/controller/image.h"
#include "proto/control/control.h"

struct push_channel {
    int32_t broker_id;
    int64_t broker_epoch;
    bool full;              /* everything is to be told */
    uint64_t metadata_told; /* answered up to here */
    uint64_t leader_isr_told;
    bool leaders_owed; /* the last leader-and-ISR is not in its metadata yet */
    bool stop_pending; /* replicas of deleted topics are to be removed */
    bool stop_held;    /* not now: the broker has just failed to */
    /* Since the last message that was full and complete, a topic may have gone without its knowledge: it may
     * have logs of which it will hear no more. */
    bool complete_owed;
    bool complete_possible;  /* now: the image has all topics that exist, with their ids */
    bool complete_in_flight; /* the message in flight is */
    enum control_kind in_flight;
    uint64_t in_flight_sequence; /* of the image when the message was made */
};

void push_channel_init(struct push_channel *channel, int32_t broker_id, int64_t broker_epoch);

/* The image forgets the topic. A broker that has not said that it has nothing of it may have a replica that
 * had left it before. */
void push_note_forgotten(struct push_channel *channel, const struct image_topic *topic);
/* The kind of message that should go now; CONTROL_NONE: nothing to tell, or one is in flight. */
enum control_kind push_next(struct image *image, struct push_channel *channel);
/* Builds it; everything lies in the arena or is borrowed from the image. The channel is then in flight. */
void push_build(struct image *image, struct push_channel *channel, enum control_kind kind,
                int32_t controller_id, int32_t controller_epoch, struct arena *arena,
                struct control_request *request);
/* A broker as messages name it; endpoints lie in the arena, texts are the roster's. */
void push_build_broker(struct arena *arena, const struct roster_member *member, struct control_broker *to);
/* The answer came without an error of the request as a whole. */
void push_succeeded(struct push_channel *channel);
/* The roles of all its replicas are told again, to hear which of them its disks still serve. */
void push_recheck(struct push_channel *channel);
/* No answer, or a refusal: all is told again. */
void push_failed(struct push_channel *channel);
/* Every change up to `sequence` has been told, or never concerned this broker. */
bool push_has_told(struct image *image, struct push_channel *channel, uint64_t sequence);

/* A replica of a topic in deletion has been removed. */
void push_note_deleted(struct image_partition *partition, int32_t broker_id);
bool push_is_deleted(const struct image_partition *partition, int32_t broker_id);
/* The broker has said that it has nothing of the topic, which is in deletion, any more. */
bool push_has_stopped(const struct push_channel *channel, const struct image_topic *topic);
/* All replicas of the topic have been removed. */
bool push_deletion_is_complete(const struct image_topic *topic);

#endif
