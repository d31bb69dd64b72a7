/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who leads now, for answers that say NOT_LEADER_OR_FOLLOWER (KIP-951): the leader and its epoch go into the
 * partition's answer, the leader's address once into the whole.
 */
#ifndef BROKER_API_LEADER_HINT_H
#define BROKER_API_LEADER_HINT_H

#include "broker/api/api.h"

/* The brokers that were named in one answer. */
struct leader_hints {
    const struct metadata_broker **brokers; /* of the image */
    size_t count;
    size_t capacity;
};

void leader_hints_init(struct leader_hints *hints);
void leader_hints_release(struct leader_hints *hints);

/*
 * Fills leader and epoch (-1 where unknown) of a partition; `local` may be NULL. Notes the leader's broker
 * when it is alive and has the listener.
 */
void leader_hints_add(struct leader_hints *hints, const struct metadata_image *image, const char *listener,
                      struct slice topic, int32_t number, struct partition *local, int32_t *leader,
                      int32_t *leader_epoch);

#endif
