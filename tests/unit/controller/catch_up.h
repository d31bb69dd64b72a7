/* SPDX-License-Identifier: Apache-2.0 */
/* Replicas of the world of controllers catch up at once, as far as their leaders know. */
#ifndef TESTS_UNIT_CONTROLLER_CATCH_UP_H
#define TESTS_UNIT_CONTROLLER_CATCH_UP_H

#include "tests/unit/controller/world.h"

/* Every leader proposes all replicas that it believes to be alive. */
void world_catch_up(struct world *world);

#endif
