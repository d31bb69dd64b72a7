/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of deleted topics: what is in it, for how long, and that it is bounded. */
#include "broker/replica/deleted_topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct uuid id_of(uint8_t first, uint8_t second)
{
    uint8_t bytes[16] = {first, second, 1};
    return uuid_from_random(bytes);
}

static void i36_a_deleted_topic_is_known_for_a_while(void **state)
{
    (void)state;
    struct deleted_topics deleted = {0};
    struct uuid none = {0};
    assert_false(deleted_topics_contains(&deleted, id_of(1, 0), 0));
    deleted_topics_add(&deleted, id_of(1, 0), 1000);
    deleted_topics_add(&deleted, none, 1000);
    assert_true(deleted_topics_contains(&deleted, id_of(1, 0), 1000));
    assert_false(deleted_topics_contains(&deleted, id_of(2, 0), 1000));
    assert_false(deleted_topics_contains(&deleted, none, 1000));
    assert_true(deleted_topics_contains(&deleted, id_of(1, 0), 999 + DELETED_TOPICS_KEPT_MS));
    assert_false(deleted_topics_contains(&deleted, id_of(1, 0), 1000 + DELETED_TOPICS_KEPT_MS));
    deleted_topics_release(&deleted);
}

static void i36_the_oldest_is_forgotten_first(void **state)
{
    (void)state;
    struct deleted_topics deleted = {0};
    for (int i = 0; i <= DELETED_TOPICS_MAX; i++)
        deleted_topics_add(&deleted, id_of((uint8_t)(i % 256), (uint8_t)(i / 256)), 0);
    assert_false(deleted_topics_contains(&deleted, id_of(0, 0), 0));
    assert_true(deleted_topics_contains(&deleted, id_of(1, 0), 0));
    deleted_topics_release(&deleted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i36_a_deleted_topic_is_known_for_a_while),
        cmocka_unit_test(i36_the_oldest_is_forgotten_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
