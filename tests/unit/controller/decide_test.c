/* SPDX-License-Identifier: Apache-2.0 */
/* The election table and the rules of seats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/prng.h"
#include "coordinator/controller/decide.h"
#include "tests/unit/controller/cluster_image.h"

/* A partition with replicas 1, 2, 3; epochs of registered brokers are 10 * id unless said otherwise. */
struct fixture {
    struct image image;
    struct image_partition *partition;
    struct decide_settings settings;
    struct node_partition_state next;
    bool unclean;
};

static void fixture_begin(struct fixture *fixture)
{
    static const int32_t replicas[] = {1, 2, 3};
    image_init(&fixture->image);
    fixture->partition = cluster_add_topic(&fixture->image, replicas, 3);
    fixture->settings = (struct decide_settings){.controller_epoch = 5};
}

static enum decision decide(struct fixture *fixture)
{
    return decide_partition(&fixture->image, fixture->partition, &fixture->settings, &fixture->next,
                            &fixture->unclean);
}

static void expect_set(struct fixture *fixture, int32_t leader, int32_t epoch, const int32_t *isr,
                       size_t count)
{
    assert_int_equal(decide(fixture), DECISION_SET);
    assert_int_equal(fixture->next.leader, leader);
    assert_int_equal(fixture->next.leader_epoch, epoch);
    assert_int_equal(fixture->next.controller_epoch, 5);
    assert_int_equal(fixture->next.isr_count, count);
    assert_memory_equal(fixture->next.isr, isr, count * sizeof(*isr));
    node_partition_state_release(&fixture->next);
}

static void live(struct fixture *fixture, int32_t id)
{
    cluster_add_broker(&fixture->image, id, 10 * id, -1, NULL);
}

static void new_partition(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    live(&fixture, 3);
    live(&fixture, 2);
    assert_int_equal(decide(&fixture), DECISION_CREATE);
    assert_int_equal(fixture.next.leader, 2);
    assert_int_equal(fixture.next.leader_epoch, 0);
    assert_int_equal(fixture.next.isr_count, 2);
    assert_int_equal(fixture.next.isr_broker_epochs[0], 20);
    node_partition_state_release(&fixture.next);
    fixture.partition->state_known = false;
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    image_release(&fixture.image);
}

static void member_dies(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    for (int32_t id = 1; id <= 3; id++)
        live(&fixture, id);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){3, 1, 2}, (int64_t[]){30, 10, 20},
                      3, 9);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    image_remove_broker(&fixture.image, 3);
    expect_set(&fixture, 1, 5, (int32_t[]){1, 2}, 2);
    /* the leader: the next in the order of the assignment, not of the ISR */
    live(&fixture, 3);
    image_remove_broker(&fixture.image, 1);
    expect_set(&fixture, 2, 5, (int32_t[]){3, 2}, 2);
    /* all: the ISR stays, without leader (I26) */
    image_remove_broker(&fixture.image, 2);
    image_remove_broker(&fixture.image, 3);
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){3, 1, 2}, 3);
    image_release(&fixture.image);
}

static void last_members(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    cluster_set_state(&fixture.image, fixture.partition, NODE_NO_LEADER, 4, (int32_t[]){3, 2},
                      (int64_t[]){30, 20}, 2, 9);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    live(&fixture, 1);
    assert_int_equal(decide(&fixture), DECISION_NOTHING); /* not of the ISR: clean election waits */
    cluster_add_broker(&fixture.image, 3, 33, -1, NULL);  /* back in another life */
    expect_set(&fixture, 3, 5, (int32_t[]){3}, 1);
    live(&fixture, 2); /* one that kept its seat comes first */
    expect_set(&fixture, 2, 5, (int32_t[]){2}, 1);
    image_release(&fixture.image);
}

static void unclean(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    cluster_set_state(&fixture.image, fixture.partition, 3, 4, (int32_t[]){3}, (int64_t[]){30}, 1, 9);
    live(&fixture, 2);
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){3}, 1);
    node_config_set(&fixture.partition->topic->config, slice_of("unclean.leader.election.enable"),
                    slice_of("true"));
    assert_int_equal(decide(&fixture), DECISION_SET);
    assert_true(fixture.unclean);
    assert_int_equal(fixture.next.leader, 2);
    assert_int_equal(fixture.next.leader_recovery, NODE_LEADER_RECOVERING);
    node_partition_state_release(&fixture.next);
    /* the topic's word counts more than the broker's default */
    node_config_set(&fixture.partition->topic->config, slice_of("unclean.leader.election.enable"),
                    slice_of("false"));
    fixture.settings.unclean_by_default = true;
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){3}, 1);
    image_release(&fixture.image);
}

static void bounced(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1, 2, 3}, (int64_t[]){10, 20, 30},
                      3, 9);
    live(&fixture, 2);
    live(&fixture, 3);
    cluster_add_broker(&fixture.image, 1, 77, -1, NULL);
    expect_set(&fixture, 2, 5, (int32_t[]){2, 3}, 2);
    fixture.settings.isr_by_id = true;
    assert_int_equal(decide(&fixture), DECISION_NOTHING); /* what the fault breaks */
    fixture.settings.isr_by_id = false;
    /* intact since before its seat: it keeps it, and is appointed anew */
    cluster_add_broker(&fixture.image, 1, 78, 10, NULL);
    assert_int_equal(decide(&fixture), DECISION_SET);
    assert_int_equal(fixture.next.leader, 1);
    assert_int_equal(fixture.next.leader_epoch, 5);
    assert_int_equal(fixture.next.isr_broker_epochs[0], 78);
    node_partition_state_release(&fixture.next);
    /* intact, but only since later */
    cluster_add_broker(&fixture.image, 1, 79, 11, NULL);
    expect_set(&fixture, 2, 5, (int32_t[]){2, 3}, 2);
    image_release(&fixture.image);
}

static void seats_without_epoch(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    for (int32_t id = 1; id <= 3; id++)
        live(&fixture, id);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1, 2}, NULL, 2, 9);
    assert_int_equal(decide(&fixture), DECISION_SET);
    assert_int_equal(fixture.next.leader, 1);
    assert_int_equal(fixture.next.isr_broker_epochs[1], 20);
    node_partition_state_release(&fixture.next);
    image_release(&fixture.image);
}

static void shutting_down(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    live(&fixture, 1);
    live(&fixture, 2);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1, 2}, (int64_t[]){10, 20}, 2, 9);
    image_mark_shutdown(&fixture.image, 1, 10);
    expect_set(&fixture, 2, 5, (int32_t[]){2}, 1);
    image_mark_shutdown(&fixture.image, 2, 20);
    assert_int_equal(decide(&fixture), DECISION_NOTHING); /* nobody is left to take over */
    cluster_add_broker(&fixture.image, 1, 11, -1, NULL);  /* another life: it is not stopping any more */
    assert_false(image_is_shutting_down(&fixture.image, 1));
    image_release(&fixture.image);
}

/* Any state and any set of brokers: what is decided is legal, and decided once. */
static void random_states(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 4711);
    printf("seed 4711\n");
    for (int round = 0; round < 20000; round++) {
        struct fixture fixture;
        fixture_begin(&fixture);
        int32_t isr[3];
        int64_t epochs[3];
        size_t count = 0;
        for (int32_t id = 1; id <= 3; id++) {
            if (prng_one_in(&prng, 2))
                cluster_add_broker(&fixture.image, id, prng_between(&prng, 1, 3), prng_between(&prng, -1, 3),
                                   NULL);
            if (prng_one_in(&prng, 2) || (id == 3 && count == 0)) {
                isr[count] = id;
                epochs[count++] = prng_between(&prng, -1, 3);
            }
        }
        int32_t leader = prng_one_in(&prng, 3) ? NODE_NO_LEADER : isr[prng_below(&prng, count)];
        cluster_set_state(&fixture.image, fixture.partition, leader, 4, isr, epochs, count, 9);
        fixture.settings.unclean_by_default = prng_one_in(&prng, 4);
        if (decide(&fixture) == DECISION_SET) {
            assert_true(node_partition_state_is_legal(&fixture.next));
            assert_int_equal(fixture.next.leader_epoch, 5);
            assert_true(fixture.next.leader == NODE_NO_LEADER ||
                        image_broker_epoch(&fixture.image, fixture.next.leader) >= 0);
            assert_true(!fixture.unclean || fixture.settings.unclean_by_default);
            image_set_state(&fixture.image, fixture.partition, &fixture.next, 10);
            node_partition_state_release(&fixture.next);
            assert_int_equal(decide(&fixture), DECISION_NOTHING);
        }
        image_release(&fixture.image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_partition), cmocka_unit_test(member_dies),
        cmocka_unit_test(last_members),  cmocka_unit_test(unclean),
        cmocka_unit_test(bounced),       cmocka_unit_test(seats_without_epoch),
        cmocka_unit_test(shutting_down), cmocka_unit_test(random_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
