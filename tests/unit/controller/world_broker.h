/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's side of messages, inside the world. */
#ifndef TESTS_UNIT_CONTROLLER_WORLD_BROKER_H
#define TESTS_UNIT_CONTROLLER_WORLD_BROKER_H

#include "tests/unit/controller/world.h"

/* Takes a message by the rules of I32; the encoded answer goes to `out`. */
void world_broker_receive(struct world_broker *broker, struct slice body, struct buffer *out);
void world_replicas_clear(struct map *map);

#endif
