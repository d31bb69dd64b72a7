/* SPDX-License-Identifier: Apache-2.0 */
/* What a new topic must keep to: names, collisions, assignments made by hand. Pure. */
#ifndef COORDINATOR_CONTROLLER_TOPIC_RULES_H
#define COORDINATOR_CONTROLLER_TOPIC_RULES_H

#include "coordinator/controller/image.h"

/* NULL: a legal name (1..249 of [a-zA-Z0-9._-], not "." or ".."); else what is wrong, static text. */
const char *topic_name_problem(struct slice name);
/*
 * A topic whose name differs but becomes the same when '.' is taken for '_' (metrics cannot tell them apart);
 * NULL: none.
 */
const struct image_topic *topic_name_collision(const struct image *image, struct slice name);
/* NULL: replicas of one partition that make sense; else what is wrong, static text. */
const char *topic_replicas_problem(const int32_t *ids, size_t count, size_t replication_factor);

#endif
