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

static void i35_member_dies(void **state)
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

static void expect_eligible(struct fixture *fixture, const int32_t *ids, const int64_t *epochs, size_t count)
{
    assert_int_equal(decide(fixture), DECISION_SET);
    assert_int_equal(fixture->next.elr_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fixture->next.elr[i], ids[i]);
        assert_int_equal(fixture->next.elr_broker_epochs[i], epochs[i]);
    }
    node_partition_state_release(&fixture->next);
}

/* Nobody with a good seat is there: as long as one may come back with all it had, nobody leads. */
static void i25_last_members(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    cluster_set_state(&fixture.image, fixture.partition, NODE_NO_LEADER, 4, (int32_t[]){3, 2},
                      (int64_t[]){30, 20}, 2, 9);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    live(&fixture, 1);
    assert_int_equal(decide(&fixture), DECISION_NOTHING); /* not of the ISR: clean election waits */
    cluster_add_broker(&fixture.image, 3, 33, -1, NULL);  /* back in another life, which has lost its tail */
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    struct buffer awaited;
    buffer_init(&awaited);
    decide_print_awaited(&fixture.image, fixture.partition, &fixture.settings, &awaited);
    assert_string_equal(buffer_string(&awaited), "2");
    buffer_release(&awaited);
    live(&fixture, 2);
    expect_set(&fixture, 2, 5, (int32_t[]){2}, 1);
    image_release(&fixture.image);
}

/* All are there, and all have lost something: they are asked, and the longest log leads. */
static void i25_all_in_doubt(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    cluster_set_state(&fixture.image, fixture.partition, 3, 4, (int32_t[]){3, 2}, (int64_t[]){30, 20}, 2, 9);
    cluster_set_eligible(&fixture.image, fixture.partition, (int32_t[]){1}, (int64_t[]){10}, 1);
    for (int32_t id = 1; id <= 3; id++)
        cluster_add_broker(&fixture.image, id, 50 + id, -1, NULL);
    /* nobody leads while they are asked */
    assert_int_equal(decide(&fixture), DECISION_SET);
    assert_int_equal(fixture.next.leader, NODE_NO_LEADER);
    assert_int_equal(fixture.next.elr_count, 1);
    image_set_state(&fixture.image, fixture.partition, &fixture.next, 11);
    node_partition_state_release(&fixture.next);
    image_note_log_end(&fixture.image, fixture.partition, 3, 5, 4, 100);
    image_note_log_end(&fixture.image, fixture.partition, 2, 5, 4, 120);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    /* what was said of an earlier leader epoch does not count */
    image_note_log_end(&fixture.image, fixture.partition, 1, 4, 9, 500);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    image_note_log_end(&fixture.image, fixture.partition, 1, 5, 3, 500);
    expect_set(&fixture, 2, 6, (int32_t[]){2}, 1);
    /* nor what was said in an earlier life */
    cluster_add_broker(&fixture.image, 2, 62, -1, NULL);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    image_note_log_end(&fixture.image, fixture.partition, 2, 5, -1, 0); /* another disk */
    expect_set(&fixture, 3, 6, (int32_t[]){3}, 1);
    expect_eligible(&fixture, NULL, NULL, 0); /* its log is the truth now */
    image_release(&fixture.image);
}

/* Who leaves an ISR that becomes too small is remembered; who leaves a large enough one is not. */
static void i20_eligible(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.settings.min_insync_replicas = 2;
    for (int32_t id = 1; id <= 3; id++)
        live(&fixture, id);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1, 2, 3}, (int64_t[]){10, 20, 30},
                      3, 9);
    image_remove_broker(&fixture.image, 3);
    expect_eligible(&fixture, NULL, NULL, 0);
    image_remove_broker(&fixture.image, 2);
    expect_eligible(&fixture, (int32_t[]){2, 3}, (int64_t[]){20, 30}, 2);
    fixture.settings.no_eligible = true;
    expect_eligible(&fixture, NULL, NULL, 0); /* what the fault breaks */
    fixture.settings.no_eligible = false;
    /* one that has come back without its tail is not worth remembering; an intact one is */
    cluster_add_broker(&fixture.image, 2, 22, -1, NULL);
    expect_eligible(&fixture, (int32_t[]){3}, (int64_t[]){30}, 1);
    cluster_add_broker(&fixture.image, 2, 23, 15, NULL);
    expect_eligible(&fixture, NULL, NULL, 0); /* it is in the ISR */
    /* a stopping broker leaves the ISR, and stays eligible */
    image_mark_shutdown(&fixture.image, 2, 23);
    expect_eligible(&fixture, (int32_t[]){2, 3}, (int64_t[]){20, 30}, 2);
    image_release(&fixture.image);
}

/* min.insync.replicas changes: the state, not the setting, lets the leader commit alone. */
static void i20_eligible_and_settings(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    live(&fixture, 1);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1}, (int64_t[]){10}, 1, 9);
    cluster_set_eligible(&fixture.image, fixture.partition, (int32_t[]){2}, (int64_t[]){20}, 1);
    struct node_config *config = &fixture.partition->topic->config;
    node_config_set(config, slice_of("min.insync.replicas"), slice_of("2"));
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    node_config_set(config, slice_of("min.insync.replicas"),
                    slice_of("7")); /* no more than there are replicas */
    assert_int_equal(seats_min_isr(fixture.partition, &fixture.settings), 3);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    node_config_set(config, slice_of("min.insync.replicas"), slice_of("1"));
    expect_eligible(&fixture, NULL, NULL, 0);
    /* settings that are not known yet take nobody's seat */
    fixture.partition->topic->config_known = false;
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    image_release(&fixture.image);
}

/* The ISR is gone or has lost its tail: an eligible replica with a good seat leads, and the rest stay so. */
static void i23_eligible_leads(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.settings.min_insync_replicas = 2;
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1}, (int64_t[]){10}, 1, 9);
    cluster_set_eligible(&fixture.image, fixture.partition, (int32_t[]){2, 3}, (int64_t[]){20, 30}, 2);
    cluster_add_broker(&fixture.image, 1, 11, -1, NULL); /* a quick power cycle */
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){1}, 1);
    expect_eligible(&fixture, (int32_t[]){2, 3}, (int64_t[]){20, 30}, 2);
    cluster_add_broker(&fixture.image, 3, 33, 30, NULL);
    expect_set(&fixture, 3, 5, (int32_t[]){3}, 1);
    assert_false(fixture.unclean);
    expect_eligible(&fixture, (int32_t[]){2}, (int64_t[]){20}, 1);
    cluster_add_broker(&fixture.image, 3, 34, 31, NULL);
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){1}, 1);
    /* a replica that was moved away has no seat any more */
    fixture.partition->assignment.replicas.count = 2;
    cluster_add_broker(&fixture.image, 3, 35, 30, NULL);
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){1}, 1);
    fixture.partition->assignment.replicas.count = 3;
    /* an unclean election takes one that had a seat first, and forgets the others */
    cluster_add_broker(&fixture.image, 3, 36, -1, NULL);
    fixture.settings.unclean_by_default = true;
    assert_int_equal(decide(&fixture), DECISION_SET);
    assert_true(fixture.unclean);
    assert_int_equal(fixture.next.leader, 1);
    assert_int_equal(fixture.next.elr_count, 0);
    assert_int_equal(fixture.next.leader_recovery, NODE_LEADER_RECOVERING);
    node_partition_state_release(&fixture.next);
    image_release(&fixture.image);
}

static void i27_unclean(void **state)
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

static void assign(struct fixture *fixture, const int32_t *replicas, size_t count)
{
    struct node_topic node;
    node_topic_init(&node);
    node.has_topic_id = true;
    node.topic_id = fixture->partition->topic->topic_id;
    node_topic_add_partition(&node, replicas, count);
    image_set_topic(&fixture->image, fixture->partition->topic, &node,
                    fixture->partition->topic->version + 1);
    node_topic_release(&node);
}

/* A cancelled move takes an eligible replica away: its seat goes with its log, before it is added again. */
static void i23_eligible_stranger(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.settings.min_insync_replicas = 2;
    for (int32_t id = 1; id <= 5; id++)
        live(&fixture, id);
    assign(&fixture, (int32_t[]){1, 5, 2}, 3);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1}, (int64_t[]){10}, 1, 9);
    cluster_set_eligible(&fixture.image, fixture.partition, (int32_t[]){5, 2}, (int64_t[]){50, 20}, 2);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    /* cancelled; the other eligible one stays */
    assign(&fixture, (int32_t[]){1, 2}, 2);
    expect_eligible(&fixture, (int32_t[]){2}, (int64_t[]){20}, 1);
    assert_int_equal(decide(&fixture), DECISION_SET);
    assert_int_equal(fixture.next.leader, 1);
    assert_int_equal(fixture.next.leader_epoch, 5);
    image_set_state(&fixture.image, fixture.partition, &fixture.next, 11);
    node_partition_state_release(&fixture.next);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    /* added again, with an empty log, it is not elected */
    assign(&fixture, (int32_t[]){1, 5, 2}, 3);
    image_remove_broker(&fixture.image, 1);
    image_remove_broker(&fixture.image, 2);
    expect_set(&fixture, NODE_NO_LEADER, 6, (int32_t[]){1}, 1);
    image_release(&fixture.image);
}

/* The same while nobody leads. */
static void i23_leaderless_stranger(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.settings.min_insync_replicas = 2;
    live(&fixture, 5);
    assign(&fixture, (int32_t[]){1, 2}, 2);
    cluster_set_state(&fixture.image, fixture.partition, NODE_NO_LEADER, 4, (int32_t[]){1}, (int64_t[]){10},
                      1, 9);
    cluster_set_eligible(&fixture.image, fixture.partition, (int32_t[]){5, 2}, (int64_t[]){50, 20}, 2);
    expect_eligible(&fixture, (int32_t[]){2}, (int64_t[]){20}, 1);
    assert_int_equal(decide(&fixture), DECISION_SET);
    assert_int_equal(fixture.next.leader, NODE_NO_LEADER);
    image_set_state(&fixture.image, fixture.partition, &fixture.next, 11);
    node_partition_state_release(&fixture.next);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    assign(&fixture, (int32_t[]){1, 5, 2}, 3);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    image_release(&fixture.image);
}

/* Where unclean elections are allowed, one member that never says where its log ends is not waited for. */
static void i27_unclean_among_those_that_told(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    cluster_set_state(&fixture.image, fixture.partition, NODE_NO_LEADER, 5, (int32_t[]){1, 2, 3},
                      (int64_t[]){10, 20, 30}, 3, 9);
    for (int32_t id = 1; id <= 3; id++)
        cluster_add_broker(&fixture.image, id, 50 + id, -1, NULL);
    fixture.settings.unclean_by_default = true;
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    image_note_log_end(&fixture.image, fixture.partition, 2, 5, 4, 100);
    image_note_log_end(&fixture.image, fixture.partition, 3, 5, 4, 120);
    expect_set(&fixture, 3, 6, (int32_t[]){3}, 1);
    assert_true(fixture.unclean);
    fixture.settings.unclean_by_default = false;
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    /* one is gone: of the others, the longest log */
    fixture.settings.unclean_by_default = true;
    image_remove_broker(&fixture.image, 1);
    expect_set(&fixture, 3, 6, (int32_t[]){3}, 1);
    assert_true(fixture.unclean);
    image_release(&fixture.image);
}

static void i25_bounced(void **state)
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
        int32_t other = 6 - isr[0] - isr[count - 1];
        int64_t other_epoch = prng_between(&prng, 0, 3);
        if (count == 2 && prng_one_in(&prng, 2))
            cluster_set_eligible(&fixture.image, fixture.partition, &other, &other_epoch, 1);
        fixture.settings.min_insync_replicas = (int32_t)prng_between(&prng, 0, 3);
        fixture.settings.unclean_by_default = prng_one_in(&prng, 4);
        if (decide(&fixture) == DECISION_SET) {
            assert_true(node_partition_state_is_legal(&fixture.next));
            assert_int_equal(fixture.next.leader_epoch, 5);
            assert_true(fixture.next.leader == NODE_NO_LEADER ||
                        image_broker_epoch(&fixture.image, fixture.next.leader) >= 0);
            assert_true(!fixture.unclean || fixture.settings.unclean_by_default);
            image_set_state(&fixture.image, fixture.partition, &fixture.next, 10);
            node_partition_state_release(&fixture.next);
            for (int32_t id = 1; id <= 3; id++)
                if (fixture.partition->state.leader == NODE_NO_LEADER &&
                    image_broker_epoch(&fixture.image, id) >= 0)
                    image_note_log_end(&fixture.image, fixture.partition, id, 5, 0, id);
            if (decide(&fixture) == DECISION_SET) {
                /* only whoever had to be asked */
                assert_int_equal(fixture.partition->state.leader, NODE_NO_LEADER);
                assert_true(fixture.next.leader != NODE_NO_LEADER && fixture.next.isr_count == 1);
                image_set_state(&fixture.image, fixture.partition, &fixture.next, 11);
                node_partition_state_release(&fixture.next);
            }
            assert_int_equal(decide(&fixture), DECISION_NOTHING);
        }
        image_release(&fixture.image);
    }
}

/* A move was cancelled while the one that it had added, 4, was in the ISR, and then only 4 is left alive. It
 * is no replica and would never lead: its leadership would keep those from leading who could. */
static void i28_a_stranger_does_not_lead(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.settings.min_insync_replicas = 2;
    live(&fixture, 4);
    cluster_set_state(&fixture.image, fixture.partition, 1, 4, (int32_t[]){1, 4}, (int64_t[]){10, 40}, 2, 9);
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){1, 4}, 2);
    cluster_set_state(&fixture.image, fixture.partition, NODE_NO_LEADER, 5, (int32_t[]){1, 4},
                      (int64_t[]){10, 40}, 2, 10);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    /* back without its tail, which 4 has: that is not to be lost */
    cluster_add_broker(&fixture.image, 1, 99, -1, NULL);
    assert_int_equal(decide(&fixture), DECISION_NOTHING);
    cluster_add_broker(&fixture.image, 1, 99, 10, NULL);
    expect_set(&fixture, 1, 6, (int32_t[]){1}, 1);
    image_release(&fixture.image);
}

/* One that was made leader before: who is eligible takes over. */
static void i28_eligible_after_a_stranger(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.settings.min_insync_replicas = 2;
    live(&fixture, 4);
    cluster_set_state(&fixture.image, fixture.partition, 4, 4, (int32_t[]){4}, (int64_t[]){40}, 1, 9);
    cluster_set_eligible(&fixture.image, fixture.partition, (int32_t[]){1}, (int64_t[]){10}, 1);
    expect_set(&fixture, NODE_NO_LEADER, 5, (int32_t[]){4}, 1);
    cluster_add_broker(&fixture.image, 1, 99, 10, NULL);
    expect_set(&fixture, 1, 5, (int32_t[]){1}, 1);
    assert_false(fixture.unclean);
    image_release(&fixture.image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_partition),
        cmocka_unit_test(i35_member_dies),
        cmocka_unit_test(i25_last_members),
        cmocka_unit_test(i25_all_in_doubt),
        cmocka_unit_test(i20_eligible),
        cmocka_unit_test(i20_eligible_and_settings),
        cmocka_unit_test(i23_eligible_leads),
        cmocka_unit_test(i23_eligible_stranger),
        cmocka_unit_test(i23_leaderless_stranger),
        cmocka_unit_test(i28_a_stranger_does_not_lead),
        cmocka_unit_test(i28_eligible_after_a_stranger),
        cmocka_unit_test(i27_unclean),
        cmocka_unit_test(i27_unclean_among_those_that_told),
        cmocka_unit_test(i25_bounced),
        cmocka_unit_test(seats_without_epoch),
        cmocka_unit_test(shutting_down),
        cmocka_unit_test(random_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
