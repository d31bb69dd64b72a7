/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In what order the image offers partitions for a decision: first those that nobody serves. And which seats
 * of former registrations are vouched for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coordinator/controller/image.h"

#define PARTITIONS 6

static void add_broker(struct image *image, int32_t broker_id, int64_t broker_epoch)
{
    struct node_broker node;
    node_broker_init(&node);
    assert_true(image_set_broker(image, broker_id, broker_epoch, &node));
}

static void set_state(struct image *image, struct image_partition *partition, int32_t leader, int32_t version)
{
    static const int32_t isr[] = {1, 2};
    static const int64_t epochs[] = {10, 20};
    struct node_partition_state state;
    node_partition_state_init(&state);
    state.leader = leader;
    node_partition_state_set_isr(&state, isr, epochs, 2);
    assert_true(image_set_state(image, partition, &state, version));
    node_partition_state_release(&state);
}

/* Brokers 1 and 2 live; even partitions are led by 1, odd ones by 2; nothing is left to decide. */
static struct image_topic *make(struct image *image)
{
    static const int32_t replicas[] = {1, 2};
    struct node_topic node;
    image_init(image);
    add_broker(image, 1, 10);
    add_broker(image, 2, 20);
    node_topic_init(&node);
    for (int i = 0; i < PARTITIONS; i++)
        node_topic_add_partition(&node, replicas, 2);
    struct image_topic *topic = image_add_topic(image, slice_of("t"));
    image_set_topic(image, topic, &node, 0);
    node_topic_release(&node);
    for (int i = 0; i < PARTITIONS; i++) {
        set_state(image, topic->partitions[i], 1 + i % 2, 1);
        image_clear_dirty(topic->partitions[i]);
    }
    assert_false(image_has_dirty(image));
    return topic;
}

static int32_t number_at(struct list *node)
{
    return container_of(node, struct image_partition, dirty_node)->number;
}

static void those_without_a_living_leader_come_first(void **state)
{
    (void)state;
    struct image image;
    struct image_topic *topic = make(&image);
    image_mark_dirty(&image, topic->partitions[0]);
    image_mark_dirty(&image, topic->partitions[1]);
    assert_true(list_is_empty(&image.urgent));
    assert_true(image_remove_broker(&image, 1));
    image_mark_dirty_of_broker(&image, 1);
    int32_t expected = 0;
    list_for_each(node, &image.urgent)
    {
        assert_int_equal(number_at(node), expected);
        expected += 2;
    }
    assert_int_equal(expected, PARTITIONS);
    expected = 1;
    list_for_each(node, &image.dirty)
    {
        assert_int_equal(number_at(node), expected);
        expected += 2;
    }
    assert_int_equal(expected, PARTITIONS + 1);
    image_release(&image);
}

static void a_leader_that_is_about_to_stop_counts_as_none(void **state)
{
    (void)state;
    struct image image;
    struct image_topic *topic = make(&image);
    image_mark_shutdown(&image, 2, 20);
    image_mark_dirty_of_broker(&image, 2);
    assert_true(topic->partitions[1]->urgent);
    assert_false(topic->partitions[0]->urgent);
    image_release(&image);
}

/* Brokers wait for it: only settling it is left. */
static void what_has_been_written_comes_before_all(void **state)
{
    (void)state;
    struct image image;
    struct image_topic *topic = make(&image);
    assert_true(image_remove_broker(&image, 1));
    image_mark_dirty_of_broker(&image, 1);
    image_clear_dirty(topic->partitions[4]);
    topic->partitions[4]->unsettled = true;
    set_state(&image, topic->partitions[4], 2, 2);
    assert_int_equal(number_at(image.urgent.next), 4);
    image_release(&image);
}

static void what_has_not_been_read_waits(void **state)
{
    (void)state;
    struct image image;
    struct image_topic *topic = make(&image);
    topic->partitions[0]->state_known = false;
    image_mark_dirty(&image, topic->partitions[0]);
    assert_true(list_is_empty(&image.urgent));
    assert_true(image_has_dirty(&image));
    assert_true(image_remove_broker(&image, 1));
    set_state(&image, topic->partitions[0], 1, 2);
    assert_int_equal(number_at(image.urgent.next), 0);
    assert_true(list_is_empty(&image.dirty));
    image_release(&image);
}

/* A session that ended does not take from a live broker what its logs vouched for when it started. */
static void i25_a_lost_session_costs_no_seat_of_a_former_life(void **state)
{
    (void)state;
    struct image image;
    struct node_broker node;
    image_init(&image);
    node_broker_init(&node);
    node.intact_since = 10;
    node.intact_until = 20;
    node.alive_since = 40;
    assert_true(image_set_broker(&image, 1, 50, &node));
    assert_false(image_broker_is_intact_since(&image, 1, 9));
    assert_true(image_broker_is_intact_since(&image, 1, 10));
    assert_true(image_broker_is_intact_since(&image, 1, 20));
    assert_false(image_broker_is_intact_since(&image, 1, 30));
    assert_true(image_broker_is_intact_since(&image, 1, 40));
    assert_false(image_broker_is_intact_since(&image, 2, 40));
    image_release(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_without_a_living_leader_come_first),
        cmocka_unit_test(a_leader_that_is_about_to_stop_counts_as_none),
        cmocka_unit_test(what_has_been_written_comes_before_all),
        cmocka_unit_test(what_has_not_been_read_waits),
        cmocka_unit_test(i25_a_lost_session_costs_no_seat_of_a_former_life),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
