/* SPDX-License-Identifier: Apache-2.0 */
/* AlterPartition: each check, and that they come in Kafka's order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "coordinator/controller/isr_change.h"
#include "proto/kafka/error.h"
#include "tests/unit/controller/cluster_image.h"

/* Partition t-0 of replicas 1, 2, 3 led by 1 in leader epoch 4, partition epoch 9, ISR 1 and 2. */
struct fixture {
    struct image image;
    struct image_partition *partition;
    struct isr_member isr[4];
    struct alter_partition_item item;
    struct decide_settings settings;
    int32_t sender;
    bool write;
    struct node_partition_state next;
};

static void fixture_begin(struct fixture *fixture)
{
    static const int32_t replicas[] = {1, 2, 3};
    image_init(&fixture->image);
    fixture->partition = cluster_add_topic(&fixture->image, replicas, 3);
    for (int32_t id = 1; id <= 4; id++)
        cluster_add_broker(&fixture->image, id, 10 * id, -1, NULL);
    cluster_set_state(&fixture->image, fixture->partition, 1, 4, (int32_t[]){1, 2}, (int64_t[]){10, 20}, 2,
                      9);
    fixture->isr[0] = (struct isr_member){1, 10};
    fixture->isr[1] = (struct isr_member){2, 20};
    fixture->isr[2] = (struct isr_member){3, 30};
    fixture->isr[3] = (struct isr_member){4, 40};
    fixture->item = (struct alter_partition_item){.topic = slice_of("t"),
                                                  .topic_id = fixture->partition->topic->topic_id,
                                                  .leader_epoch = 4,
                                                  .partition_epoch = 9,
                                                  .isr = fixture->isr,
                                                  .isr_count = 3};
    fixture->sender = 1;
    fixture->settings = (struct decide_settings){.controller_epoch = 6, .min_insync_replicas = 2};
}

static int16_t check(struct fixture *fixture)
{
    int16_t error = isr_change_check(&fixture->image, fixture->sender, &fixture->item, &fixture->settings,
                                     &fixture->write, &fixture->next);
    if (fixture->write)
        node_partition_state_release(&fixture->next);
    return error;
}

static void accepted(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    assert_int_equal(
        isr_change_check(&fixture.image, 1, &fixture.item, &fixture.settings, &fixture.write, &fixture.next),
        KAFKA_NONE);
    assert_true(fixture.write);
    assert_int_equal(fixture.next.leader, 1);
    assert_int_equal(fixture.next.leader_epoch, 4);
    assert_int_equal(fixture.next.controller_epoch, 6);
    assert_int_equal(fixture.next.isr_count, 3);
    assert_int_equal(fixture.next.isr_broker_epochs[2], 30);
    node_partition_state_release(&fixture.next);
    /* what is already so is no change, whatever the partition epoch */
    fixture.item.isr_count = 2;
    fixture.item.partition_epoch = 3;
    assert_int_equal(check(&fixture), KAFKA_NONE);
    assert_false(fixture.write);
    image_release(&fixture.image);
}

static void propose(struct fixture *fixture, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fixture->isr[i] = (struct isr_member){ids[i], image_broker_epoch(&fixture->image, ids[i])};
    fixture->item.isr_count = count;
    fixture->item.partition_epoch = fixture->partition->version;
    assert_int_equal(isr_change_check(&fixture->image, 1, &fixture->item, &fixture->settings, &fixture->write,
                                      &fixture->next),
                     KAFKA_NONE);
    assert_true(fixture->write);
    image_set_state(&fixture->image, fixture->partition, &fixture->next, fixture->partition->version + 1);
    node_partition_state_release(&fixture->next);
}

/* Who is left out of an ISR that becomes too small stays eligible, until it is large enough again. */
static void i20_eligible(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    const struct node_partition_state *now = &fixture.partition->state;
    propose(&fixture, (int32_t[]){1, 2, 3}, 3);
    assert_int_equal(now->elr_count, 0);
    propose(&fixture, (int32_t[]){1, 3}, 2);
    assert_int_equal(now->elr_count, 0); /* two are enough: 2 may be without what they commit from now on */
    propose(&fixture, (int32_t[]){1}, 1);
    assert_int_equal(now->elr_count, 1);
    assert_int_equal(now->elr[0], 3);
    assert_int_equal(now->elr_broker_epochs[0], 30);
    propose(&fixture, (int32_t[]){1}, 1); /* a barrier changes nothing */
    assert_int_equal(now->elr_count, 1);
    propose(&fixture, (int32_t[]){1, 2}, 2);
    assert_int_equal(now->elr_count, 0);
    /* of three that must be, two are missing, then one */
    fixture.settings.min_insync_replicas = 3;
    propose(&fixture, (int32_t[]){1}, 1);
    assert_int_equal(now->elr_count, 1);
    propose(&fixture, (int32_t[]){1, 3}, 2);
    assert_int_equal(now->elr[0], 2);
    propose(&fixture, (int32_t[]){1, 3, 2}, 3);
    assert_int_equal(now->elr_count, 0);
    image_release(&fixture.image);
}

static void in_order(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    /* everything is wrong; one thing after the other is put right */
    fixture.item.topic_id.bytes[5] = 1;
    fixture.item.partition = 5;
    fixture.item.leader_epoch = 5;
    fixture.item.partition_epoch = 8;
    fixture.item.recovering = true;
    fixture.item.isr_count = 4;
    fixture.isr[2].broker_epoch = 31;
    fixture.sender = 2;
    assert_int_equal(check(&fixture), KAFKA_UNKNOWN_TOPIC_ID);
    fixture.item.topic_id = fixture.partition->topic->topic_id;
    assert_int_equal(check(&fixture), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    fixture.item.partition = 0;
    assert_int_equal(check(&fixture), KAFKA_NOT_CONTROLLER);
    fixture.item.leader_epoch = 3;
    assert_int_equal(check(&fixture), KAFKA_FENCED_LEADER_EPOCH);
    fixture.item.leader_epoch = 4;
    assert_int_equal(check(&fixture), KAFKA_INVALID_REQUEST); /* not the leader */
    fixture.sender = 1;
    assert_int_equal(check(&fixture), KAFKA_INVALID_UPDATE_VERSION);
    fixture.item.partition_epoch = 10;
    assert_int_equal(check(&fixture), KAFKA_NOT_CONTROLLER);
    fixture.item.partition_epoch = 9;
    assert_int_equal(check(&fixture), KAFKA_INVALID_REQUEST); /* recovering */
    fixture.item.recovering = false;
    fixture.isr[1].broker_id = 1;
    assert_int_equal(check(&fixture), KAFKA_INVALID_REQUEST); /* twice the same */
    fixture.isr[1].broker_id = 2;
    assert_int_equal(check(&fixture), KAFKA_INELIGIBLE_REPLICA); /* 3 by its life, 4 is no replica */
    fixture.item.isr_count = 3;
    assert_int_equal(check(&fixture), KAFKA_INELIGIBLE_REPLICA);
    fixture.isr[2].broker_epoch = NO_BROKER_EPOCH;
    assert_int_equal(check(&fixture), KAFKA_INELIGIBLE_REPLICA);
    fixture.isr[2].broker_epoch = 30;
    assert_int_equal(check(&fixture), KAFKA_NONE);
    assert_true(fixture.write);
    image_release(&fixture.image);
}

/* I26: never empty, never without the leader, nobody twice. */
static void malformed(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.item.isr_count = 0;
    assert_int_equal(check(&fixture), KAFKA_INVALID_REQUEST);
    fixture.item.isr_count = 1;
    fixture.item.isr = &fixture.isr[1];
    assert_int_equal(check(&fixture), KAFKA_INVALID_REQUEST);
    fixture.item.isr = fixture.isr;
    fixture.item.isr_count = 2;
    fixture.isr[1] = fixture.isr[0];
    assert_int_equal(check(&fixture), KAFKA_INVALID_REQUEST);
    image_release(&fixture.image);
}

static void who_may(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture);
    /* I23: who is no replica is refused for good, so that nobody asks for it again */
    fixture.isr[2] = fixture.isr[3];
    assert_int_equal(check(&fixture), KAFKA_INELIGIBLE_REPLICA);
    fixture.isr[2] = (struct isr_member){3, 30};
    assert_int_equal(isr_change_check_sender(&fixture.image, 1, 10), KAFKA_NONE);
    assert_int_equal(isr_change_check_sender(&fixture.image, 1, 9), KAFKA_STALE_BROKER_EPOCH);
    assert_int_equal(isr_change_check_sender(&fixture.image, 7, 10), KAFKA_STALE_BROKER_EPOCH);
    image_mark_shutdown(&fixture.image, 3, 30);
    assert_int_equal(check(&fixture), KAFKA_INELIGIBLE_REPLICA);
    image_remove_broker(&fixture.image, 3);
    assert_int_equal(check(&fixture), KAFKA_INELIGIBLE_REPLICA);
    /* the leader may drop itself into the last seat while it stops */
    image_mark_shutdown(&fixture.image, 1, 10);
    fixture.item.isr_count = 1;
    assert_int_equal(check(&fixture), KAFKA_NONE);
    image_begin_deletion(&fixture.image, fixture.partition->topic);
    assert_int_equal(check(&fixture), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    image_release(&fixture.image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted), cmocka_unit_test(i20_eligible),
                                       cmocka_unit_test(in_order), cmocka_unit_test(malformed),
                                       cmocka_unit_test(who_may)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
