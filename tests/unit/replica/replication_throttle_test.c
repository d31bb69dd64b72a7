/* SPDX-License-Identifier: Apache-2.0 */
/* The bound on bytes per second, the lists of throttled replicas, and the choice of a replica to read from.
 */
#include "broker/replica/replication_throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/replica/replica_selector.h"
#include "common/prng.h"

#define RATE 1000
#define SAMPLES 11
#define SAMPLE_MS 1000

static void bound_begin(struct rate_bound *bound, int64_t rate)
{
    rate_bound_init(bound, SAMPLES, SAMPLE_MS);
    bound->bytes_per_second = rate;
}

static void test_without_a_bound_nothing_waits(void **unused)
{
    (void)unused;
    struct rate_bound bound;
    bound_begin(&bound, RATE_UNBOUNDED);
    rate_bound_count(&bound, INT64_MAX, 1);
    rate_bound_count(&bound, INT64_MAX, 1);
    assert_int_equal(rate_bound_wait_ms(&bound, 1), 0);
    rate_bound_release(&bound);
}

static void test_what_was_too_much_is_waited_for(void **unused)
{
    (void)unused;
    struct rate_bound bound;
    bound_begin(&bound, RATE);
    assert_int_equal(rate_bound_wait_ms(&bound, 0), 0);
    /* A second's worth passes at once, as the window counts as one sample long. */
    rate_bound_count(&bound, RATE, 0);
    assert_int_equal(rate_bound_wait_ms(&bound, 0), 0);
    rate_bound_count(&bound, 2 * RATE, 10);
    assert_int_equal(rate_bound_wait_ms(&bound, 10), 2990);
    assert_int_equal(rate_bound_wait_ms(&bound, 2999), 1);
    assert_int_equal(rate_bound_wait_ms(&bound, 3000), 0);
    rate_bound_release(&bound);
}

static void test_the_window_forgets(void **unused)
{
    (void)unused;
    struct rate_bound bound;
    bound_begin(&bound, RATE);
    rate_bound_count(&bound, 1000 * RATE, 0);
    assert_int_equal(rate_bound_wait_ms(&bound, 0), SAMPLES * SAMPLE_MS);
    assert_int_equal(rate_bound_wait_ms(&bound, SAMPLES * SAMPLE_MS), 0);
    rate_bound_release(&bound);
}

static void test_a_rate_of_zero_lets_nothing_pass(void **unused)
{
    (void)unused;
    struct rate_bound bound;
    bound_begin(&bound, 0);
    assert_true(rate_bound_wait_ms(&bound, 0) > 0);
    assert_true(rate_bound_wait_ms(&bound, 1000000) > 0);
    rate_bound_release(&bound);
}

/* Whatever the sizes of the answers, in the long run the rate is kept, and used. */
static void test_the_rate_is_kept_and_used(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rate_bound bound;
        struct prng prng;
        prng_init(&prng, seed);
        bound_begin(&bound, 1 + (int64_t)prng_below(&prng, 1000000));
        int64_t largest = 1 + (int64_t)prng_below(&prng, (uint64_t)bound.bytes_per_second * 5);
        int64_t now_ms = 5, bytes = 0;
        while (now_ms < 600000) {
            int64_t wait_ms = rate_bound_wait_ms(&bound, now_ms);
            now_ms += wait_ms;
            if (wait_ms > 0)
                continue;
            int64_t piece = 1 + (int64_t)prng_below(&prng, (uint64_t)largest);
            rate_bound_count(&bound, piece, now_ms);
            bytes += piece;
            now_ms += (int64_t)prng_below(&prng, 3);
        }
        int64_t allowed = bound.bytes_per_second * 600;
        /* Tiny rates with one byte a turn cannot use what they may. */
        bool used = bytes > allowed * 8 / 10 || largest < bound.bytes_per_second / 100;
        if (bytes > allowed * 12 / 10 + largest || !used)
            fail_msg("seed %llu: %lld bytes passed, %lld were allowed", (unsigned long long)seed,
                     (long long)bytes, (long long)allowed);
        rate_bound_release(&bound);
    }
}

static bool names(const char *list, int32_t partition, int32_t broker_id)
{
    return throttled_replicas_name(slice_of(list), partition, broker_id);
}

static void test_lists_name_replicas(void **unused)
{
    (void)unused;
    assert_true(names("*", 7, 3));
    assert_true(names(" * ", 7, 3));
    assert_true(names("7:3", 7, 3));
    assert_true(names("0:1,7:3", 7, 3));
    assert_true(names("0:1, 7 : 3 ", 7, 3));
    assert_false(names("", 7, 3));
    assert_false(names("3:7", 7, 3));
    assert_false(names("7:33", 7, 3));
    assert_false(names("77:3", 7, 3));
    assert_false(names("none", 7, 3));
    assert_false(names("7", 7, 3));
    assert_false(names("7:", 7, 3));
    assert_false(names("7;3,7:3", 7, 3));
    assert_false(names("99999999999999999999:3,7:3", 7, 3));
}

static void test_only_bounded_throttles_count(void **unused)
{
    (void)unused;
    struct replication_throttles throttles;
    replication_throttles_init(&throttles, SAMPLES, SAMPLE_MS);
    replication_throttle_count(&throttles.leader, 1 << 20, 0);
    assert_int_equal(replication_throttle_wait_ms(&throttles.leader, 0), 0);
    replication_throttle_set_rate(&throttles.leader, RATE);
    assert_int_equal(replication_throttle_wait_ms(&throttles.leader, 0), 0);
    replication_throttle_count(&throttles.leader, 2 * RATE, 0);
    assert_int_equal(replication_throttle_wait_ms(&throttles.leader, 0), 2000);
    assert_int_equal(replication_throttle_wait_ms(&throttles.follower, 0), 0);
    replication_throttle_set_rate(&throttles.leader, RATE_UNBOUNDED);
    assert_int_equal(replication_throttle_wait_ms(&throttles.leader, 0), 0);
    replication_throttles_release(&throttles);
}

static int32_t choose(const char *client, const char *leader, const struct read_candidate *candidates,
                      size_t count)
{
    return replica_select_by_rack(slice_of(client), slice_of(leader), candidates, count);
}

static void test_the_replica_in_the_rack_is_chosen(void **unused)
{
    (void)unused;
    const struct read_candidate candidates[] = {
        {.broker_id = 2, .end_offset = 9, .behind_ms = 0, .rack = slice_of("b")},
        {.broker_id = 3, .end_offset = 10, .behind_ms = 5, .rack = slice_of("b")},
        {.broker_id = 4, .end_offset = 10, .behind_ms = 4, .rack = slice_of("b")},
        {.broker_id = 5, .end_offset = 10, .behind_ms = 4, .rack = slice_of("c")},
        {.broker_id = 6, .end_offset = 99, .behind_ms = 0, .rack = slice_of(NULL)},
    };
    assert_int_equal(choose("b", "a", candidates, 5), 4);
    assert_int_equal(choose("b", "a", candidates, 2), 3);
    assert_int_equal(choose("c", "a", candidates, 5), 5);
    assert_int_equal(choose("c", NULL, candidates, 5), 5);
    assert_int_equal(choose("a", "a", candidates, 5), PREFERRED_REPLICA_NONE);
    assert_int_equal(choose("b", "b", candidates, 5), PREFERRED_REPLICA_NONE);
    assert_int_equal(choose("d", "a", candidates, 5), PREFERRED_REPLICA_NONE);
    assert_int_equal(choose("", "a", candidates, 5), PREFERRED_REPLICA_NONE);
    assert_int_equal(choose(NULL, NULL, candidates, 5), PREFERRED_REPLICA_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_bound_nothing_waits),
        cmocka_unit_test(test_what_was_too_much_is_waited_for),
        cmocka_unit_test(test_the_window_forgets),
        cmocka_unit_test(test_a_rate_of_zero_lets_nothing_pass),
        cmocka_unit_test(test_the_rate_is_kept_and_used),
        cmocka_unit_test(test_lists_name_replicas),
        cmocka_unit_test(test_only_bounded_throttles_count),
        cmocka_unit_test(test_the_replica_in_the_rack_is_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
