/* SPDX-License-Identifier: Apache-2.0 */
/* The roster against a plain array, and what two readings tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/prng.h"
#include "coordinator/membership/roster.h"

static void put(struct roster *roster, int32_t id, int64_t epoch, int32_t port)
{
    struct node_broker node;
    node_broker_init(&node);
    node_broker_add_endpoint(&node, slice_of("PLAINTEXT"), slice_of("PLAINTEXT"), slice_of("h"), port);
    roster_put(roster, id, epoch, &node);
    assert_int_equal(node.endpoint_count, 0);
}

static void test_changes(void **state)
{
    (void)state;
    struct roster before, after;
    struct roster_changes changes;
    roster_init(&before);
    roster_init(&after);
    roster_compare(&before, &after, &changes);
    assert_true(roster_changes_are_empty(&changes));
    put(&before, 3, 30, 1);
    put(&before, 1, 10, 1);
    put(&before, 2, 20, 1);
    put(&before, 5, 50, 1);
    put(&before, 6, 60, 1);
    put(&after, 4, 45, 1);
    put(&after, 2, 21, 1);
    put(&after, 3, 30, 2);
    put(&after, 5, 50, 1);
    put(&after, 6, 59, 9);
    roster_compare(&before, &after, &changes);
    assert_int_equal(changes.joined_count, 1);
    assert_int_equal(changes.joined[0], 4);
    assert_int_equal(changes.died_count, 1);
    assert_int_equal(changes.died[0], 1);
    assert_int_equal(changes.bounced_count, 1);
    assert_int_equal(changes.bounced[0], 2);
    assert_int_equal(changes.updated_count, 1);
    assert_int_equal(changes.updated[0], 3);
    assert_false(roster_changes_are_empty(&changes));
    roster_changes_release(&changes);
    roster_release(&before);
    roster_release(&after);
}

static void test_against_an_array(void **state)
{
    (void)state;
    uint64_t seed = 31337;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    int64_t epochs[50] = {0};
    struct roster roster;
    roster_init(&roster);
    for (int i = 0; i < 5000; i++) {
        int32_t id = (int32_t)prng_below(&prng, 50);
        if (prng_one_in(&prng, 3)) {
            assert_int_equal(roster_remove(&roster, id), epochs[id] != 0);
            epochs[id] = 0;
        } else {
            epochs[id] = i + 1;
            put(&roster, id, epochs[id], 1);
        }
        size_t count = 0;
        for (int32_t j = 0; j < 50; j++) {
            const struct roster_member *member = roster_find(&roster, j);
            assert_int_equal(member ? member->broker_epoch : 0, epochs[j]);
            count += member != NULL;
        }
        assert_int_equal(roster.count, count);
        for (size_t j = 1; j < roster.count; j++)
            assert_true(roster.members[j - 1].broker_id < roster.members[j].broker_id);
    }
    roster_release(&roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_against_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
