/* SPDX-License-Identifier: Apache-2.0 */
/* Random contents for any message, and comparison of two messages field by field. */
#ifndef TESTS_UNIT_KAFKA_RANDOM_MESSAGE_H
#define TESTS_UNIT_KAFKA_RANDOM_MESSAGE_H

#include "common/arena.h"
#include "common/prng.h"
#include "tests/unit/kafka/descriptor.h"

/*
 * Fills the fields that `version` has with values that this version can express; the others keep their
 * defaults. What it points to lives in the arena.
 */
void random_message_fill(const struct struct_description *description, void *out, int16_t version,
                         struct prng *prng, struct arena *arena);

/* The name of the first field that differs, or NULL. Null and empty differ only where null is allowed. */
const char *message_difference(const struct struct_description *description, const void *a, const void *b);

#endif
