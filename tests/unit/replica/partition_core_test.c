/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of the partition core, by their numbers in partition_core.h. */
#include "broker/replica/partition_core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/kafka/error.h"

#define SELF 1
#define LAG_MS 10000

/* A partition of three replicas and what its last event asked for. */
struct fixture {
    struct partition_core core;
    struct partition_effects effects;
    struct isr_member isr[3];
    int32_t replicas[3];
    struct control_partition state;
};

static void set_isr(struct fixture *fixture, size_t count)
{
    fixture->state.isr_count = count;
    for (size_t i = 0; i < count; i++)
        fixture->isr[i] = (struct isr_member){.broker_id = (int32_t)i + 1, .broker_epoch = 100 + (int64_t)i};
}

/* Not yet applied: leader SELF, epoch 5, all three in the ISR; the log holds 0..9, nothing known committed.
 */
static void setup(struct fixture *fixture)
{
    *fixture = (struct fixture){.replicas = {1, 2, 3}};
    partition_core_init(&fixture->core, SELF, 0, 0, 10);
    partition_core_configure(&fixture->core, 2, LAG_MS);
    fixture->state = (struct control_partition){.leader = SELF,
                                                .leader_epoch = 5,
                                                .partition_epoch = 3,
                                                .isr = fixture->isr,
                                                .replicas = fixture->replicas,
                                                .replicas_count = 3};
    set_isr(fixture, 3);
}

static void lead(struct fixture *fixture, int64_t now_ms)
{
    fixture->effects = (struct partition_effects){0};
    partition_core_apply_leader(&fixture->core, &fixture->state, now_ms, &fixture->effects);
}

static void append(struct fixture *fixture, int64_t end_offset, int64_t now_ms)
{
    fixture->effects = (struct partition_effects){0};
    partition_core_on_log(&fixture->core, 0, end_offset, now_ms, &fixture->effects);
}

static void fetch_as(struct fixture *fixture, int32_t id, int64_t broker_epoch, int32_t leader_epoch,
                     int64_t offset, int64_t now_ms)
{
    struct follower_fetch fetch = {
        .broker_id = id, .broker_epoch = broker_epoch, .leader_epoch = leader_epoch, .fetch_offset = offset};
    fixture->effects = (struct partition_effects){0};
    partition_core_on_follower_fetch(&fixture->core, &fetch, now_ms, &fixture->effects);
}

/* A fetch of the life that the ISR seats name. */
static void fetch(struct fixture *fixture, int32_t id, int64_t offset, int64_t now_ms)
{
    fetch_as(fixture, id, 99 + id, fixture->core.leader_epoch, offset, now_ms);
}

static void answer(struct fixture *fixture, int16_t error, int32_t partition_epoch, size_t isr_count,
                   int64_t now_ms)
{
    set_isr(fixture, isr_count);
    struct alter_partition_result result = {.error = error,
                                            .leader = SELF,
                                            .leader_epoch = fixture->core.leader_epoch,
                                            .partition_epoch = partition_epoch,
                                            .isr = fixture->isr,
                                            .isr_count = isr_count};
    fixture->effects = (struct partition_effects){0};
    partition_core_on_proposal_answer(&fixture->core, fixture->core.leader_epoch, &result, now_ms,
                                      &fixture->effects);
}

static void test_i32_states_are_refused_by_epochs(void **unused)
{
    (void)unused;
    struct fixture fixture;
    bool news;
    setup(&fixture);
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news), KAFKA_NONE);
    assert_true(news);
    lead(&fixture, 1000);
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news), KAFKA_NONE);
    assert_false(news);

    fixture.state.partition_epoch = 2;
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news),
                     KAFKA_STALE_CONTROLLER_EPOCH);
    fixture.state.partition_epoch = 4;
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news), KAFKA_NONE);
    assert_true(news);
    fixture.state.leader_epoch = 4;
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news),
                     KAFKA_STALE_CONTROLLER_EPOCH);
    /* Two leaders in one epoch: no controller of ours says so (I13). */
    fixture.state.leader_epoch = 5;
    fixture.state.leader = 2;
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news),
                     KAFKA_STALE_CONTROLLER_EPOCH);
}

static void test_i26_state_without_its_leader_in_the_isr_is_refused(void **unused)
{
    (void)unused;
    struct fixture fixture;
    bool news;
    setup(&fixture);
    fixture.isr[0].broker_id = 7;
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news), KAFKA_INVALID_REQUEST);
    setup(&fixture);
    fixture.state.isr_count = 0;
    assert_int_equal(partition_core_check_state(&fixture.core, &fixture.state, &news), KAFKA_INVALID_REQUEST);
}

static void test_i19_high_watermark_waits_for_every_member(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    lead(&fixture, 1000);
    assert_int_equal(fixture.core.high_watermark, 0);
    fetch(&fixture, 2, 10, 1001);
    assert_int_equal(fixture.core.high_watermark, 0);
    fetch(&fixture, 3, 7, 1002);
    assert_int_equal(fixture.core.high_watermark, 7);
    assert_true(fixture.effects.high_watermark_moved);
    fetch(&fixture, 3, 10, 1003);
    assert_int_equal(fixture.core.high_watermark, 10);
    fetch(&fixture, 3, 4, 1004);
    assert_int_equal(fixture.core.high_watermark, 10);
}

static void test_i17_fetches_of_other_lives_and_epochs_do_not_count(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    lead(&fixture, 1000);
    fetch(&fixture, 2, 10, 1001);
    fetch_as(&fixture, 3, 50, 5, 10, 1002); /* a former life */
    assert_int_equal(fixture.core.high_watermark, 0);
    fetch_as(&fixture, 3, 102, 4, 10, 1003); /* another leader epoch */
    assert_int_equal(fixture.core.high_watermark, 0);
    fetch_as(&fixture, 3, 200, 5, 6, 1004); /* a new life counts, from its own position on */
    assert_int_equal(fixture.core.high_watermark, 6);
    fetch_as(&fixture, 3, 102, 5, 10, 1005); /* and the former one does not any more */
    assert_int_equal(fixture.core.high_watermark, 6);
}

static void test_i20_high_watermark_stands_below_min_insync_replicas(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    set_isr(&fixture, 1);
    lead(&fixture, 1000);
    assert_int_equal(fixture.core.high_watermark, 0);
    assert_int_equal(partition_core_check_append(&fixture.core, true), KAFKA_NOT_ENOUGH_REPLICAS);
    assert_int_equal(partition_core_check_append(&fixture.core, false), KAFKA_NONE);
    partition_core_configure(&fixture.core, 1, LAG_MS);
    append(&fixture, 12, 1001);
    assert_int_equal(fixture.core.high_watermark, 12);
}

static void test_i21_acknowledged_only_below_the_high_watermark_in_one_leadership(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    lead(&fixture, 1000);
    append(&fixture, 11, 1001);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, true, 5, 11), PRODUCE_PENDING);
    fetch(&fixture, 2, 11, 1002);
    fetch(&fixture, 3, 11, 1003);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, true, 5, 11), KAFKA_NONE);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, true, 4, 11),
                     KAFKA_NOT_LEADER_OR_FOLLOWER);

    /* The controller removes a dead follower: the epoch rises, the leadership goes on. */
    append(&fixture, 12, 1004);
    fixture.state.leader_epoch = 6;
    fixture.state.partition_epoch = 4;
    set_isr(&fixture, 2);
    lead(&fixture, 1005);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, true, 5, 12), PRODUCE_PENDING);
    fetch(&fixture, 2, 12, 1006);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, true, 5, 12), KAFKA_NONE);

    /* Somebody else leads in between: what was not answered by then is not answered with success. */
    fixture.state.leader = 2;
    fixture.state.leader_epoch = 7;
    fixture.effects = (struct partition_effects){0};
    partition_core_apply_follower(&fixture.core, &fixture.state, &fixture.effects);
    assert_true(fixture.effects.role_changed);
    fixture.state.leader = SELF;
    fixture.state.leader_epoch = 8;
    lead(&fixture, 1007);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, true, 5, 12),
                     KAFKA_NOT_LEADER_OR_FOLLOWER);
}

static void test_i21_shrunken_isr_after_append_is_told(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    partition_core_configure(&fixture.core, 1, LAG_MS);
    set_isr(&fixture, 1);
    lead(&fixture, 1000);
    append(&fixture, 11, 1001);
    partition_core_configure(&fixture.core, 2, LAG_MS);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, true, 5, 11),
                     KAFKA_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
}

static void test_i24_replica_joins_at_high_watermark_and_epoch_start(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    set_isr(&fixture, 2);
    lead(&fixture, 1000);
    assert_int_equal(fixture.core.epoch_start_offset, 10);
    fetch(&fixture, 3, 8, 1001); /* above the high watermark, below the epoch's start */
    assert_false(fixture.effects.proposal_wanted);
    fetch(&fixture, 3, 10, 1002);
    assert_true(fixture.effects.proposal_wanted);
    struct isr_set isr;
    assert_true(partition_core_take_proposal(&fixture.core, 1002, &isr));
    assert_int_equal(isr.count, 3);
    assert_int_equal(isr.members[2].broker_id, 3);
    assert_int_equal(isr.members[2].broker_epoch, 102);
    assert_false(partition_core_take_proposal(&fixture.core, 1002, &isr));
}

static void test_i19_proposed_member_counts_until_it_is_refused(void **unused)
{
    (void)unused;
    struct fixture fixture;
    struct isr_set isr;
    setup(&fixture);
    set_isr(&fixture, 2);
    lead(&fixture, 1000);
    fetch(&fixture, 2, 10, 1001);
    fetch(&fixture, 3, 10, 1001);
    assert_true(partition_core_take_proposal(&fixture.core, 1001, &isr));
    append(&fixture, 20, 5000);
    fetch(&fixture, 2, 20, 5001);
    assert_int_equal(fixture.core.high_watermark, 10);

    /* No answer: the same again, and it goes on counting. */
    answer(&fixture, KAFKA_REQUEST_TIMED_OUT, 0, 0, 5002);
    assert_int_equal(fixture.core.high_watermark, 10);
    assert_false(partition_core_take_proposal(&fixture.core, 5003, &isr));
    assert_true(partition_core_take_proposal(&fixture.core, 5002 + PROPOSAL_RETRY_MS, &isr));

    /* Refused, but the first attempt may still be on its way: a barrier with the committed ISR. */
    answer(&fixture, KAFKA_INELIGIBLE_REPLICA, 0, 0, 5300);
    append(&fixture, 21, 8000);
    fetch(&fixture, 2, 21, 8001);
    assert_int_equal(fixture.core.high_watermark, 10);
    assert_true(partition_core_take_proposal(&fixture.core, 8002, &isr));
    assert_int_equal(isr.count, 2);
    answer(&fixture, KAFKA_NONE, 4, 2, 8003);
    assert_int_equal(fixture.core.partition_epoch, 4);
    assert_int_equal(fixture.core.high_watermark, 21);
}

static void test_i28_laggard_leaves_and_confirmation_moves_the_high_watermark(void **unused)
{
    (void)unused;
    struct fixture fixture;
    struct isr_set isr;
    setup(&fixture);
    lead(&fixture, 1000);
    fetch(&fixture, 2, 10, 1001 + LAG_MS);
    fixture.effects = (struct partition_effects){0};
    partition_core_on_tick(&fixture.core, 1000 + LAG_MS, &fixture.effects);
    assert_false(fixture.effects.proposal_wanted);
    partition_core_on_tick(&fixture.core, 1002 + LAG_MS, &fixture.effects);
    assert_true(fixture.effects.proposal_wanted);
    assert_true(partition_core_take_proposal(&fixture.core, 1002 + LAG_MS, &isr));
    assert_int_equal(isr.count, 2);
    assert_int_equal(fixture.core.high_watermark, 0);
    answer(&fixture, KAFKA_NONE, 4, 2, 1003 + LAG_MS);
    assert_int_equal(fixture.core.high_watermark, 10);
    assert_int_equal(fixture.core.proposal, PROPOSAL_NONE);
}

/* Replica 3 has left the ISR, is about to be proposed again, and then it is no replica any more. */
static void propose_and_remove(struct fixture *fixture, bool sent, bool unanswered)
{
    struct isr_set isr;
    setup(fixture);
    set_isr(fixture, 2);
    lead(fixture, 1000);
    fetch(fixture, 3, 10, 1001);
    assert_int_equal(fixture->core.proposal, PROPOSAL_WANTED);
    if (sent)
        assert_true(partition_core_take_proposal(&fixture->core, 1001, &isr));
    if (unanswered) {
        answer(fixture, KAFKA_REQUEST_TIMED_OUT, -1, 0, 1002);
        set_isr(fixture, 2);
    }
    fixture->state.replicas_count = 2;
    lead(fixture, 1003);
}

static void test_i23_a_replica_that_has_left_is_not_proposed_again(void **unused)
{
    (void)unused;
    struct fixture fixture;
    struct isr_set isr;
    propose_and_remove(&fixture, false, false);
    assert_int_equal(fixture.core.proposal, PROPOSAL_NONE);
    partition_core_release(&fixture.core);

    propose_and_remove(&fixture, true, true); /* in doubt: a barrier */
    assert_true(partition_core_take_proposal(&fixture.core, 5000, &isr));
    assert_int_equal(isr.count, 2);
    assert_true(partition_core_in_maximal_isr(&fixture.core, 3));
    answer(&fixture, KAFKA_NONE, 4, 2, 5001);
    assert_int_equal(fixture.core.proposal, PROPOSAL_NONE);
    assert_false(partition_core_in_maximal_isr(&fixture.core, 3));
    partition_core_release(&fixture.core);

    propose_and_remove(&fixture, true, false); /* in flight, and then no answer */
    assert_int_equal(fixture.core.proposal, PROPOSAL_IN_FLIGHT);
    answer(&fixture, KAFKA_REQUEST_TIMED_OUT, -1, 0, 1004);
    assert_true(partition_core_take_proposal(&fixture.core, 5000, &isr));
    assert_int_equal(isr.count, 2);
    partition_core_release(&fixture.core);
}

static void test_i28_an_invalid_proposal_is_a_refused_one(void **unused)
{
    (void)unused;
    struct fixture fixture;
    struct isr_set isr;
    propose_and_remove(&fixture, true, false);
    answer(&fixture, KAFKA_INVALID_REQUEST, -1, 0, 1004);
    assert_int_equal(fixture.core.proposal, PROPOSAL_NONE);
    assert_false(partition_core_take_proposal(&fixture.core, 9000, &isr));
    partition_core_release(&fixture.core);
}

static void test_i28_newer_state_ends_a_proposal(void **unused)
{
    (void)unused;
    struct fixture fixture;
    struct isr_set isr;
    setup(&fixture);
    set_isr(&fixture, 2);
    lead(&fixture, 1000);
    fetch(&fixture, 3, 10, 1001);
    assert_true(partition_core_take_proposal(&fixture.core, 1001, &isr));
    fixture.state.partition_epoch = 4;
    set_isr(&fixture, 3);
    lead(&fixture, 1002);
    assert_int_equal(fixture.core.proposal, PROPOSAL_NONE);
    answer(&fixture, KAFKA_INELIGIBLE_REPLICA, 0, 0, 1003);
    assert_int_equal(fixture.core.isr.count, 3);
}

static void test_refused_version_adopts_the_state_that_is_told(void **unused)
{
    (void)unused;
    struct fixture fixture;
    struct isr_set isr;
    setup(&fixture);
    set_isr(&fixture, 2);
    lead(&fixture, 1000);
    fetch(&fixture, 3, 10, 1001);
    assert_true(partition_core_take_proposal(&fixture.core, 1001, &isr));
    answer(&fixture, KAFKA_INVALID_UPDATE_VERSION, 9, 3, 1002);
    assert_int_equal(fixture.core.partition_epoch, 9);
    assert_int_equal(fixture.core.isr.count, 3);
}

static void test_i18_follower_high_watermark_is_bounded_by_its_log(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    fixture.state.leader = 2;
    partition_core_apply_follower(&fixture.core, &fixture.state, &fixture.effects);
    partition_core_on_leader_high_watermark(&fixture.core, 50, &fixture.effects);
    assert_int_equal(fixture.core.high_watermark, 10);
    partition_core_on_leader_high_watermark(&fixture.core, 3, &fixture.effects);
    assert_int_equal(fixture.core.high_watermark, 10);
    partition_core_on_log(&fixture.core, 0, 6, 1000, &fixture.effects);
    assert_int_equal(fixture.core.high_watermark, 6);
}

static void test_i14_follower_fetches_are_checked(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    struct follower_fetch fetch = {.broker_id = 2, .broker_epoch = 101, .leader_epoch = 5};
    assert_int_equal(partition_core_check_follower(&fixture.core, &fetch), KAFKA_UNKNOWN_LEADER_EPOCH);
    lead(&fixture, 1000);
    assert_int_equal(partition_core_check_follower(&fixture.core, &fetch), KAFKA_NONE);
    fetch.leader_epoch = 4;
    assert_int_equal(partition_core_check_follower(&fixture.core, &fetch), KAFKA_FENCED_LEADER_EPOCH);
    fetch.leader_epoch = 6;
    assert_int_equal(partition_core_check_follower(&fixture.core, &fetch), KAFKA_UNKNOWN_LEADER_EPOCH);
    fetch.leader_epoch = 5;
    fetch.broker_id = 9;
    assert_int_equal(partition_core_check_follower(&fixture.core, &fetch), KAFKA_UNKNOWN_LEADER_EPOCH);
    fetch.leader_epoch = -1;
    assert_int_equal(partition_core_check_follower(&fixture.core, &fetch), KAFKA_NOT_LEADER_OR_FOLLOWER);
}

/* flush.messages: positions are where at most flush.messages - 1 records are not on disk. */
static void test_durability_bounds_acknowledgement_and_high_watermark(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    set_isr(&fixture, 1);
    partition_core_configure(&fixture.core, 1, LAG_MS);
    partition_core_configure_flush(&fixture.core, 1);
    lead(&fixture, 1000);
    assert_int_equal(fixture.core.high_watermark, 10);
    append(&fixture, 13, 1001);
    assert_int_equal(partition_core_durable_end(&fixture.core), 10);
    assert_int_equal(fixture.core.high_watermark, 10);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, false, 5, 13), PRODUCE_PENDING);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, false, 5, 10), KAFKA_NONE);
    fixture.effects = (struct partition_effects){0};
    partition_core_on_durable(&fixture.core, 12, 1002, &fixture.effects);
    assert_true(fixture.effects.high_watermark_moved);
    assert_int_equal(fixture.core.high_watermark, 12);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, false, 5, 13), PRODUCE_PENDING);
    partition_core_configure_flush(&fixture.core, 2);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, false, 5, 13), KAFKA_NONE);
    assert_int_equal(partition_core_durable_end(&fixture.core), 13);
    partition_core_configure_flush(&fixture.core, 1);
    partition_core_fail(&fixture.core, &fixture.effects);
    assert_true(fixture.effects.role_changed);
    assert_int_equal(partition_core_check_acknowledged(&fixture.core, false, 5, 13),
                     KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(partition_core_check_append(&fixture.core, false), KAFKA_KAFKA_STORAGE_ERROR);
}

/* Who waits for the lowest log start looks again when the replicas change within a leader epoch. */
static void test_a_replica_that_leaves_is_a_move_of_the_log_starts(void **unused)
{
    (void)unused;
    struct fixture fixture;
    setup(&fixture);
    set_isr(&fixture, 2);
    lead(&fixture, 1000);
    int64_t moves = fixture.core.log_start_moves;
    lead(&fixture, 1001);
    assert_int_equal(fixture.core.log_start_moves, moves);
    fixture.state.replicas_count = 2;
    lead(&fixture, 1002);
    assert_true(fixture.core.log_start_moves > moves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_i32_states_are_refused_by_epochs),
        cmocka_unit_test(test_i26_state_without_its_leader_in_the_isr_is_refused),
        cmocka_unit_test(test_i19_high_watermark_waits_for_every_member),
        cmocka_unit_test(test_i17_fetches_of_other_lives_and_epochs_do_not_count),
        cmocka_unit_test(test_i20_high_watermark_stands_below_min_insync_replicas),
        cmocka_unit_test(test_i21_acknowledged_only_below_the_high_watermark_in_one_leadership),
        cmocka_unit_test(test_i21_shrunken_isr_after_append_is_told),
        cmocka_unit_test(test_i24_replica_joins_at_high_watermark_and_epoch_start),
        cmocka_unit_test(test_i19_proposed_member_counts_until_it_is_refused),
        cmocka_unit_test(test_i28_laggard_leaves_and_confirmation_moves_the_high_watermark),
        cmocka_unit_test(test_i23_a_replica_that_has_left_is_not_proposed_again),
        cmocka_unit_test(test_i28_an_invalid_proposal_is_a_refused_one),
        cmocka_unit_test(test_i28_newer_state_ends_a_proposal),
        cmocka_unit_test(test_refused_version_adopts_the_state_that_is_told),
        cmocka_unit_test(test_i18_follower_high_watermark_is_bounded_by_its_log),
        cmocka_unit_test(test_i14_follower_fetches_are_checked),
        cmocka_unit_test(test_durability_bounds_acknowledgement_and_high_watermark),
        cmocka_unit_test(test_a_replica_that_leaves_is_a_move_of_the_log_starts),
    };
    return cmocka_run_group_tests_name("partition_core", tests, NULL, NULL);
}
