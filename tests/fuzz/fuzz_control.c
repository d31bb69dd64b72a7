/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages from any bytes: a request and an answer. What decodes is encoded again, and must decode to
 * the same bytes once more; memory stays within the budget.
 */
#include "common/check.h"
#include "proto/control/control.h"

#define BUDGET ((size_t)256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void recode_request(const struct control_request *request)
{
    struct buffer first, second;
    struct arena arena;
    struct control_request again;
    buffer_init(&first);
    buffer_init(&second);
    arena_init(&arena, ARENA_NO_BUDGET);
    control_request_encode(request, &first);
    CHECK(control_request_decode(buffer_slice(&first), &arena, &again) == 0);
    control_request_encode(&again, &second);
    CHECK(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    arena_release(&arena);
    buffer_release(&second);
    buffer_release(&first);
}

static void recode_answer(const struct control_answer *answer)
{
    struct buffer first, second;
    struct arena arena;
    struct control_answer again;
    buffer_init(&first);
    buffer_init(&second);
    arena_init(&arena, ARENA_NO_BUDGET);
    control_answer_encode(answer, &first);
    CHECK(control_answer_decode(buffer_slice(&first), &arena, &again) == 0);
    control_answer_encode(&again, &second);
    CHECK(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    arena_release(&arena);
    buffer_release(&second);
    buffer_release(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct control_request request;
    struct control_answer answer;
    arena_init(&arena, BUDGET);
    if (control_request_decode(slice_make(data, size), &arena, &request) == 0)
        recode_request(&request);
    CHECK(arena.allocated <= BUDGET);
    arena_clear(&arena);
    if (control_answer_decode(slice_make(data, size), &arena, &answer) == 0)
        recode_answer(&answer);
    CHECK(arena.allocated <= BUDGET);
    arena_release(&arena);
    return 0;
}
