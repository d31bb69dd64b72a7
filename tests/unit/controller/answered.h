/* SPDX-License-Identifier: Apache-2.0 */
/* A client's request to the controller and its one answer, for the tests of the admin requests. */
#ifndef TESTS_UNIT_CONTROLLER_ANSWERED_H
#define TESTS_UNIT_CONTROLLER_ANSWERED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buffer.h"

struct answered {
    bool done;
    int16_t error;
    struct buffer body;
};

/* controller_admin_respond; `context`: the struct answered. */
static inline void on_answer(void *context, int16_t error, struct slice body)
{
    struct answered *answered = context;
    assert_false(answered->done);
    answered->done = true;
    answered->error = error;
    buffer_append(&answered->body, body.data, body.length);
}

#endif
