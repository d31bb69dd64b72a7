/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a move, and its throttle. */
#include "broker/replica/mover_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_plan(const struct move_view *view, enum move_action action, int64_t offset)
{
    struct move_plan plan = mover_plan(view);
    assert_int_equal(plan.action, action);
    assert_int_equal(plan.offset, offset);
}

static void a_move_copies_and_then_swaps(void **state)
{
    (void)state;
    struct move_view view = {.live_start = 10, .live_end = 50, .future_start = 10, .future_end = 10};
    assert_plan(&view, MOVE_COPY, 10);
    view.future_end = 30;
    assert_plan(&view, MOVE_COPY, 30);
    view.future_end = 50;
    assert_plan(&view, MOVE_SWAP, 50);
    view.live_start = 20;
    assert_plan(&view, MOVE_ADVANCE_START, 20);
    view = (struct move_view){.live_start = 0, .live_end = 0};
    assert_plan(&view, MOVE_SWAP, 0);
}

static void a_log_that_begins_elsewhere_is_copied_anew(void **state)
{
    (void)state;
    /* Retention has overtaken the copy. */
    struct move_view view = {.live_start = 60, .live_end = 90, .future_start = 10, .future_end = 50};
    assert_plan(&view, MOVE_BEGIN_ANEW, 60);
    /* The live log was emptied and begins lower. */
    view = (struct move_view){.live_start = 5, .live_end = 90, .future_start = 10, .future_end = 50};
    assert_plan(&view, MOVE_BEGIN_ANEW, 5);
    /* An empty copy that stands at the wrong place. */
    view = (struct move_view){.live_start = 5, .live_end = 90, .future_start = 3, .future_end = 3};
    assert_plan(&view, MOVE_BEGIN_ANEW, 5);
}

static void epochs_tell_what_a_truncation_took(void **state)
{
    (void)state;
    struct move_view view = {.live_start = 0,
                             .live_end = 80,
                             .future_start = 0,
                             .future_end = 60,
                             .truncated = true,
                             .future_epoch = 4,
                             .live_found_epoch = 4,
                             .live_found_end = 80,
                             .future_found_epoch = 4,
                             .future_found_end = 60};
    assert_plan(&view, MOVE_COPY, 60);
    view.live_found_end = 45;
    assert_plan(&view, MOVE_TRUNCATE, 45);
    /* The live log has no such epoch any more; both know the one below. */
    view.live_found_epoch = 3;
    view.live_found_end = 40;
    view.future_found_epoch = 3;
    view.future_found_end = 35;
    assert_plan(&view, MOVE_TRUNCATE, 35);
    /* It has one that the copy lacks: the next look is at the one below. */
    view.future_found_epoch = 2;
    view.future_found_end = 20;
    assert_plan(&view, MOVE_TRUNCATE, 20);
    view.future_found_epoch = -1;
    view.future_found_end = -1;
    assert_plan(&view, MOVE_BEGIN_ANEW, 0);
}

static void without_epochs_a_truncation_costs_the_copy(void **state)
{
    (void)state;
    struct move_view view = {.live_end = 80,
                             .future_end = 60,
                             .truncated = true,
                             .future_epoch = -1,
                             .live_found_epoch = -1,
                             .live_found_end = -1,
                             .future_found_epoch = -1,
                             .future_found_end = -1};
    assert_plan(&view, MOVE_BEGIN_ANEW, 0);
    view.truncated = false;
    assert_plan(&view, MOVE_COPY, 60);
}

static void the_throttle_holds_its_rate(void **state)
{
    (void)state;
    static const int64_t rates[] = {1, 999, 1000, 1 << 20, 100 << 20};
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        struct move_throttle throttle;
        move_throttle_init(&throttle, rates[i], 0);
        int64_t now_ms = 0, copied = 0;
        while (now_ms < 100000) {
            int64_t wait_ms = move_throttle_wait_ms(&throttle, now_ms);
            if (wait_ms > 0) {
                now_ms += wait_ms;
                continue;
            }
            move_throttle_spend(&throttle, 700000);
            copied += 700000;
        }
        /* A second's worth at once, and one piece too much. */
        assert_true(copied <= rates[i] * 102 + 700000);
        assert_true(copied >= min_i64(rates[i] * 95, 700000));
    }
}

static void no_throttle_never_waits(void **state)
{
    (void)state;
    struct move_throttle throttle;
    move_throttle_init(&throttle, INT64_MAX, 5);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(move_throttle_wait_ms(&throttle, 5 + i / 100), 0);
        move_throttle_spend(&throttle, 1 << 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_copies_and_then_swaps),
        cmocka_unit_test(a_log_that_begins_elsewhere_is_copied_anew),
        cmocka_unit_test(epochs_tell_what_a_truncation_took),
        cmocka_unit_test(without_epochs_a_truncation_costs_the_copy),
        cmocka_unit_test(the_throttle_holds_its_rate),
        cmocka_unit_test(no_throttle_never_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
