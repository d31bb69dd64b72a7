/* SPDX-License-Identifier: Apache-2.0 */
/* What compaction is planned with: the map of keys, the plan, groups of segments, the throttle. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/clean_map.h"
#include "broker/log/clean_plan.h"
#include "broker/log/clean_throttle.h"
#include "common/bytes.h"
#include "common/prng.h"

#define NOW_MS 1000000

static const uint64_t HASH_KEY[2] = {3, 4};

/* ---- the map ---- */

static void test_the_hash_is_siphash(void **state)
{
    (void)state;
    /* Its authors' first test vector: key 00..0f, no message. */
    const uint64_t key[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    uint64_t hash[2];
    clean_map_hash(key, slice_make("", 0), hash);
    assert_int_equal(hash[0], 0xe6a825ba047f81a3ULL);
    assert_int_equal(hash[1], 0x930255c71472f66dULL);
}

static bool put_key(struct clean_map *map, struct slice key, int64_t offset)
{
    return clean_map_put(map, clean_map_prepare(map, key), offset);
}

static int64_t get_key(const struct clean_map *map, struct slice key)
{
    return clean_map_get(map, clean_map_prepare(map, key));
}

static void test_the_map_is_bounded(void **state)
{
    (void)state;
    struct clean_map map;
    clean_map_init(&map, 1000 * CLEAN_MAP_SLOT_BYTES + 5, 0.9, HASH_KEY);
    assert_int_equal(map.slots_count, 1000);
    assert_int_equal(get_key(&map, slice_of("k")), -1);
    uint32_t key = 0;
    while (put_key(&map, slice_make(&key, sizeof(key)), 10 + key))
        key++;
    assert_int_equal(key, 900);
    assert_int_equal(map.latest_offset, 10 + 899);
    /* A key that is there may move. */
    key = 5;
    assert_true(put_key(&map, slice_make(&key, sizeof(key)), 5000));
    for (key = 0; key < 1000; key++) {
        int64_t expected = key == 5 ? 5000 : key < 900 ? 10 + (int64_t)key : -1;
        assert_int_equal(get_key(&map, slice_make(&key, sizeof(key))), expected);
    }
    clean_map_advance(&map, 4000);
    assert_int_equal(map.latest_offset, 5000);
    clean_map_clear(&map);
    assert_int_equal(map.latest_offset, -1);
    assert_int_equal(get_key(&map, slice_make(&key, sizeof(key))), -1);
    clean_map_init(&map, 10, 0.9, HASH_KEY);
    assert_false(put_key(&map, slice_of("k"), 1));
}

/* ---- plan, groups, throttle ---- */

static struct clean_plan_input plan_of(const struct clean_plan_segment *segments, size_t count)
{
    return (struct clean_plan_input){.segments = segments,
                                     .segments_count = count,
                                     .log_end_offset = 1000,
                                     .first_dirty_offset = -1,
                                     .last_stable_offset = 1000,
                                     .recovery_point = 1000,
                                     .now_ms = NOW_MS,
                                     .max_compaction_lag_ms = INT64_MAX,
                                     .min_cleanable_dirty_ratio = 0.5};
}

static void test_i10_the_plan(void **state)
{
    (void)state;
    const struct clean_plan_segment segments[] = {{0, 100, NOW_MS - 90, NOW_MS - 99},
                                                  {100, 100, NOW_MS - 80, NOW_MS - 89},
                                                  {200, 100, -1, -1},
                                                  {300, 50, -1, -1}};
    struct clean_plan_input input = plan_of(segments, 4);
    struct clean_plan plan;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.first_dirty_offset, 0);
    assert_int_equal(plan.first_uncleanable_offset, 300);
    assert_int_equal(plan.cleanable_bytes, 300);
    assert_int_equal(plan.clean_bytes, 0);
    assert_true(plan.due);

    input.first_dirty_offset = 200;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.clean_bytes, 200);
    assert_int_equal(plan.cleanable_bytes, 100);
    assert_false(plan.due);
    input.max_compaction_lag_ms = 10; /* no timestamp in what is dirty */
    clean_plan_make(&input, &plan);
    assert_false(plan.due);

    input.first_dirty_offset = 150; /* dirty in part: both */
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.clean_bytes, 200);
    assert_int_equal(plan.cleanable_bytes, 200);
    assert_int_equal(plan.delay_ms, 79);
    assert_true(plan.due);

    input = plan_of(segments, 4);
    input.last_stable_offset = 299;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.first_uncleanable_offset, 200);
    input.recovery_point = 150;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.first_uncleanable_offset, 100);
    input.recovery_point = 0;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.segments_count, 0);
    assert_false(plan.due);

    input = plan_of(segments, 4);
    input.min_compaction_lag_ms = 85;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.first_uncleanable_offset, 100);

    /* What is remembered and lies outside the log is not believed. */
    input = plan_of(segments, 4);
    input.log_start_offset = 120;
    input.first_dirty_offset = 100;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.first_dirty_offset, 120);
    input.first_dirty_offset = 1001;
    clean_plan_make(&input, &plan);
    assert_int_equal(plan.first_dirty_offset, 120);
    /* Only an active segment. */
    input = plan_of(segments, 1);
    clean_plan_make(&input, &plan);
    assert_false(plan.due);
}

/* How many segments, from number `first` on, become one. */
static size_t group_of(const struct clean_group_segment *segments, size_t count, size_t first,
                       const struct clean_group_bounds *bounds, int64_t end_offset)
{
    struct clean_group group = {0};
    for (size_t i = first; i < count; i++)
        if (!clean_group_take(&group, &segments[i], i + 1 < count ? segments[i + 1].base_offset : end_offset,
                              bounds))
            break;
    return group.count;
}

static void test_groups(void **state)
{
    (void)state;
    const int64_t far = (int64_t)3 << 30;
    const struct clean_group_segment segments[] = {
        {0, 400, 10, 10}, {100, 400, 10, 10}, {200, 400, 10, 90},  {300, 10, 10, 10},
        {400, 0, 0, 0},   {far, 10, 10, 10},  {far + 9, 10, 95, 0}};
    const struct clean_group_bounds bounds = {1000, 100};
    assert_int_equal(group_of(segments, 7, 0, &bounds, far + 20), 2); /* bytes */
    assert_int_equal(group_of(segments, 7, 2, &bounds, far + 20),
                     3); /* the offsets; but an empty one has none */
    assert_int_equal(group_of(segments, 7, 3, &bounds, far + 20), 2);
    assert_int_equal(group_of(segments, 7, 5, &bounds, far + 20), 1); /* offset index */
    assert_int_equal(group_of(segments, 7, 6, &bounds, far + 20), 1);
    const struct clean_group_bounds small = {1, 1};
    assert_int_equal(group_of(segments, 7, 1, &small, far + 20), 1);
}

static void test_the_throttle(void **state)
{
    (void)state;
    struct clean_throttle throttle;
    clean_throttle_init(&throttle, 1000);
    int64_t now_us = 5000000, waited_us = 0;
    for (int i = 0; i < 100; i++) {
        int64_t wait_us = clean_throttle_take(&throttle, 100, now_us);
        now_us += wait_us;
        waited_us += wait_us;
    }
    assert_in_range(waited_us, 9700000, 10000000);
    now_us += 3600 * (int64_t)1000000; /* what nobody used is not saved up */
    assert_true(clean_throttle_take(&throttle, 1000, now_us) >= 700000);
    clean_throttle_init(&throttle, 0);
    assert_int_equal(clean_throttle_take(&throttle, SIZE_MAX, 1), 0);
    clean_throttle_init(&throttle, 1.7976931348623157E308);
    assert_int_equal(clean_throttle_take(&throttle, 1 << 30, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hash_is_siphash), cmocka_unit_test(test_the_map_is_bounded),
        cmocka_unit_test(test_i10_the_plan),        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_the_throttle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
