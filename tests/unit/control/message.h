/* SPDX-License-Identifier: Apache-2.0 */
/* Random control messages, and their text for comparing two of them. Shared by the tests of the codec. */
#ifndef TESTS_UNIT_CONTROL_MESSAGE_H
#define TESTS_UNIT_CONTROL_MESSAGE_H

#include "common/prng.h"
#include "proto/control/control.h"

/* A legal message of that kind; what it points to lies in the arena. */
void message_random_request(struct prng *prng, struct arena *arena, enum control_kind kind,
                            struct control_request *request);
void message_random_answer(struct prng *prng, struct arena *arena, enum control_kind kind,
                           struct control_answer *answer);

/* Appends every field: two messages are equal when their texts are. */
void message_print_request(const struct control_request *request, struct buffer *out);
void message_print_answer(const struct control_answer *answer, struct buffer *out);

#endif
