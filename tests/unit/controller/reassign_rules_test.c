/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of moves, their steps, and what decisions do to a partition that is being moved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "coordinator/controller/decide.h"
#include "coordinator/controller/isr_change.h"
#include "coordinator/controller/reassign.h"
#include "proto/kafka/error.h"
#include "tests/unit/controller/cluster_image.h"

#define IDS(...) ((const int32_t[]){__VA_ARGS__})
#define LIST(...) \
    (&(struct node_replicas){(int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)})

static void expect_ids(const struct node_replicas *list, const char *expected)
{
    struct buffer text;
    buffer_init(&text);
    for (size_t i = 0; i < list->count; i++)
        buffer_print(&text, "%s%d", i > 0 ? " " : "", list->ids[i]);
    assert_string_equal(buffer_string(&text), expected);
    buffer_release(&text);
}

static void expect(const struct node_assignment *assignment, const char *replicas, const char *adding,
                   const char *removing)
{
    expect_ids(&assignment->replicas, replicas);
    expect_ids(&assignment->adding, adding);
    expect_ids(&assignment->removing, removing);
}

/* replicas 1 2 3, moved to `target`. */
static struct node_assignment moved(const struct node_replicas *target)
{
    struct node_assignment from = {.partition = 4}, next;
    node_replicas_set(&from.replicas, IDS(1, 2, 3), 3);
    reassign_to(&from, target, &next);
    assert_int_equal(next.partition, 4);
    reassign_release(&from);
    return next;
}

static void replicas_of_a_move(void **state)
{
    (void)state;
    static const struct {
        int32_t target[4];
        size_t count;
        const char *replicas, *adding, *removing;
    } rows[] = {
        {{4, 5, 6}, 3, "4 5 6 1 2 3", "4 5 6", "1 2 3"},
        {{3, 4, 2}, 3, "3 4 2 1", "4", "1"},
        {{1, 2, 3, 4}, 4, "1 2 3 4", "4", ""},
        {{2}, 1, "2 1 3", "", "1 3"},
        {{3, 2, 1}, 3, "3 2 1", "", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct node_replicas target = {(int32_t *)rows[i].target, rows[i].count};
        struct node_assignment next = moved(&target), end;
        expect(&next, rows[i].replicas, rows[i].adding, rows[i].removing);
        assert_true(reassign_has_target(&next, &target));
        assert_int_equal(reassign_is_running(&next), next.adding.count + next.removing.count > 0);
        reassign_finish(&next, &end);
        assert_int_equal(end.replicas.count, target.count);
        assert_memory_equal(end.replicas.ids, target.ids, target.count * sizeof(int32_t));
        assert_false(reassign_is_running(&end));
        reassign_release(&end);
        reassign_release(&next);
    }
}

static void another_target_and_back(void **state)
{
    (void)state;
    struct node_assignment first = moved(LIST(4, 5, 6)), second, back;
    reassign_to(&first, LIST(4, 1, 7), &second);
    expect(&second, "4 1 7 2 3", "4 7", "2 3");
    assert_true(reassign_drops(&first, &second));
    reassign_cancel(&second, &back);
    expect(&back, "1 2 3", "", "");
    reassign_release(&first);
    reassign_release(&second);
    reassign_release(&back);
}

/* ---- a partition of the image ---- */

struct fixture {
    struct image image;
    struct image_partition *partition;
    struct decide_settings settings;
};

/* Brokers 1 to 6 with epochs ten times their ids; replicas 1 2 3 on the way to `target`. */
static void begin(struct fixture *fixture, const struct node_replicas *target)
{
    struct node_topic node;
    image_init(&fixture->image);
    for (int32_t id = 1; id <= 6; id++)
        cluster_add_broker(&fixture->image, id, 10 * id, -1, NULL);
    fixture->partition = cluster_add_topic(&fixture->image, IDS(1, 2, 3), 3);
    fixture->settings = (struct decide_settings){.controller_epoch = 5, .min_insync_replicas = 1};
    fixture->partition->topic->config_known = true;
    struct node_assignment next;
    reassign_to(&fixture->partition->assignment, target, &next);
    node_topic_init(&node);
    node.has_topic_id = true;
    node.topic_id = fixture->partition->topic->topic_id;
    node_topic_add_partition(&node, next.replicas.ids, next.replicas.count);
    node_replicas_set(&node.partitions[0].adding, next.adding.ids, next.adding.count);
    node_replicas_set(&node.partitions[0].removing, next.removing.ids, next.removing.count);
    image_set_topic(&fixture->image, fixture->partition->topic, &node, 1);
    node_topic_release(&node);
    reassign_release(&next);
}

static void set_isr(struct fixture *fixture, int32_t leader, const int32_t *isr, size_t count,
                    int32_t version)
{
    int64_t epochs[6];
    for (size_t i = 0; i < count; i++)
        epochs[i] = 10 * isr[i];
    cluster_set_state(&fixture->image, fixture->partition, leader, 4, isr, epochs, count, version);
}

static void settle(struct fixture *fixture)
{
    struct node_partition_state next;
    bool unclean;
    assert_int_equal(
        decide_partition(&fixture->image, fixture->partition, &fixture->settings, &next, &unclean),
        DECISION_NOTHING);
    image_clear_dirty(fixture->partition);
}

static void expect_decision(struct fixture *fixture, int32_t leader, const int32_t *isr, size_t count)
{
    struct node_partition_state next;
    bool unclean;
    assert_int_equal(
        decide_partition(&fixture->image, fixture->partition, &fixture->settings, &next, &unclean),
        DECISION_SET);
    assert_int_equal(next.leader, leader);
    assert_int_equal(next.leader_epoch, 5);
    assert_int_equal(next.isr_count, count);
    assert_memory_equal(next.isr, isr, count * sizeof(*isr));
    assert_int_equal(next.elr_count, 0);
    node_partition_state_release(&next);
}

/* I36: a replica leaves only after the target is in the ISR, as ZooKeeper has it. */
static void i36_steps_of_a_move(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LIST(4, 5, 2));
    set_isr(&fixture, 1, IDS(1, 2, 3), 3, 1);
    assert_int_equal(reassign_next(fixture.partition), REASSIGN_WAITS); /* not decided yet */
    settle(&fixture);
    assert_int_equal(reassign_next(fixture.partition), REASSIGN_WAITS);
    set_isr(&fixture, 1, IDS(1, 2, 3, 4), 4, 2);
    settle(&fixture);
    assert_int_equal(reassign_next(fixture.partition), REASSIGN_WAITS);
    /* all there: those who leave are taken out, the leader moves to the first of the target */
    set_isr(&fixture, 1, IDS(1, 2, 3, 4, 5), 5, 3);
    assert_int_equal(reassign_next(fixture.partition), REASSIGN_WAITS);
    expect_decision(&fixture, 4, IDS(2, 4, 5), 3);
    /* a leader that stays goes on leading */
    set_isr(&fixture, 2, IDS(1, 2, 3, 4, 5), 5, 4);
    expect_decision(&fixture, 2, IDS(2, 4, 5), 3);
    set_isr(&fixture, 2, IDS(2, 4, 5), 3, 5);
    assert_int_equal(reassign_next(fixture.partition), REASSIGN_WAITS);
    settle(&fixture);
    assert_int_equal(reassign_next(fixture.partition), REASSIGN_ENDS);
    fixture.partition->busy = true;
    assert_int_equal(reassign_next(fixture.partition), REASSIGN_WAITS);
    image_release(&fixture.image);
}

/* A member of the target that has died does not count, however ZooKeeper has it. */
static void i36_a_dead_target_is_waited_for(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LIST(4, 5));
    set_isr(&fixture, 1, IDS(1, 2, 3, 4, 5), 5, 1);
    image_remove_broker(&fixture.image, 5);
    expect_decision(&fixture, 1, IDS(1, 2, 3, 4), 4);
    /* another life, and it may have lost something: the same */
    cluster_add_broker(&fixture.image, 5, 55, -1, NULL);
    expect_decision(&fixture, 1, IDS(1, 2, 3, 4), 4);
    /* one that is about to stop */
    image_remove_broker(&fixture.image, 5);
    cluster_add_broker(&fixture.image, 5, 50, -1, NULL);
    image_mark_shutdown(&fixture.image, 5, 50);
    expect_decision(&fixture, 1, IDS(1, 2, 3, 4), 4);
    image_release(&fixture.image);
}

/* Once it has been taken out, it does not come back; before, it may leave and return as ever. */
static void i36_who_has_left_the_isr_stays_out(void **state)
{
    (void)state;
    struct fixture fixture;
    bool write;
    struct node_partition_state next;
    struct isr_member members[] = {{4, 40}, {5, 50}, {1, 10}};
    struct alter_partition_item item = {.topic = slice_of("t"),
                                        .topic_id = {{7}},
                                        .leader_epoch = 4,
                                        .partition_epoch = 3,
                                        .isr = members,
                                        .isr_count = 3};
    begin(&fixture, LIST(4, 5));
    set_isr(&fixture, 4, IDS(4, 5), 2, 3);
    assert_int_equal(isr_change_check(&fixture.image, 4, &item, &fixture.settings, &write, &next),
                     KAFKA_INELIGIBLE_REPLICA);
    assert_false(write);
    set_isr(&fixture, 4, IDS(4), 1, 4);
    item.partition_epoch = 4;
    assert_int_equal(isr_change_check(&fixture.image, 4, &item, &fixture.settings, &write, &next),
                     KAFKA_NONE);
    assert_true(write);
    node_partition_state_release(&next);
    image_release(&fixture.image);
}

/* After a cancellation those who were added are no replicas any more, and leave the ISR. */
static void no_replica_no_seat(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LIST(1, 2, 3));
    set_isr(&fixture, 4, IDS(4, 1, 2), 3, 1);
    expect_decision(&fixture, 1, IDS(1, 2), 2);
    /* unless nobody else is in sync */
    set_isr(&fixture, 4, IDS(4), 1, 2);
    settle(&fixture);
    image_release(&fixture.image);
}

/* The log of a replica that is added is made even where a directory is offline. */
static void added_replicas_are_new(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LIST(4, 5));
    set_isr(&fixture, 1, IDS(1, 2, 3), 3, 1);
    assert_true(image_is_replica_new(&fixture.image, fixture.partition, 4));
    assert_false(image_is_replica_new(&fixture.image, fixture.partition, 1));
    image_note_replica_taken(fixture.partition, 4);
    assert_false(image_is_replica_new(&fixture.image, fixture.partition, 4));
    assert_true(image_is_replica_new(&fixture.image, fixture.partition, 5));
    set_isr(&fixture, 1, IDS(1, 2, 3, 5), 4, 2);
    assert_false(image_is_replica_new(&fixture.image, fixture.partition, 5));
    image_release(&fixture.image);
}

static void expect_verdict(struct fixture *fixture, const struct image_partition *partition,
                           const struct node_replicas *target, int16_t error, const char *message)
{
    struct buffer text;
    buffer_init(&text);
    assert_int_equal(reassign_check(&fixture->image, partition, target, &fixture->settings, &text), error);
    assert_non_null(strstr(buffer_string(&text), message));
    buffer_release(&text);
}

static void requests_are_checked(void **state)
{
    (void)state;
    struct fixture fixture;
    const struct node_replicas none = {0};
    begin(&fixture, LIST(1, 2, 3)); /* no move */
    struct image_partition *partition = fixture.partition;
    set_isr(&fixture, 1, IDS(1, 2, 3), 3, 1);
    expect_verdict(&fixture, partition, LIST(4, 5, 6), KAFKA_NONE, "");
    expect_verdict(&fixture, partition, &none, KAFKA_INVALID_REPLICA_ASSIGNMENT, "Empty replica list");
    expect_verdict(&fixture, partition, LIST(4, 5, 4), KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "Duplicate replica ids in partition reassignment replica list: [4, 5, 4]");
    expect_verdict(&fixture, partition, LIST(4, -5), KAFKA_INVALID_REPLICA_ASSIGNMENT, "Invalid broker id");
    expect_verdict(&fixture, partition, LIST(1, 9), KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "not alive. Replica list: [9], live broker list: [1, 2, 3, 4, 5, 6]");
    expect_verdict(&fixture, partition, NULL, KAFKA_NO_REASSIGNMENT_IN_PROGRESS, "No partition reassignment");
    expect_verdict(&fixture, NULL, LIST(1), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "does not exist");
    expect_verdict(&fixture, NULL, NULL, KAFKA_NO_REASSIGNMENT_IN_PROGRESS, "");
    partition->topic->deleting = true;
    expect_verdict(&fixture, partition, LIST(4), KAFKA_UNKNOWN_TOPIC_OR_PARTITION, "does not exist");
    partition->topic->deleting = false;
    /* who is a replica already may be down */
    image_remove_broker(&fixture.image, 3);
    expect_verdict(&fixture, partition, LIST(3, 4), KAFKA_NONE, "");
    image_release(&fixture.image);
}

static void i36_the_last_in_sync_are_not_dropped(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LIST(4, 5));
    set_isr(&fixture, 4, IDS(4), 1, 1);
    expect_verdict(&fixture, fixture.partition, NULL, KAFKA_INVALID_REPLICA_ASSIGNMENT, "only copies");
    expect_verdict(&fixture, fixture.partition, LIST(6), KAFKA_INVALID_REPLICA_ASSIGNMENT, "only copies");
    expect_verdict(&fixture, fixture.partition, LIST(4, 6), KAFKA_NONE, "");
    set_isr(&fixture, 4, IDS(4, 2), 2, 2);
    expect_verdict(&fixture, fixture.partition, NULL, KAFKA_NONE, "");
    image_release(&fixture.image);
}

/* What two hold since it was acknowledged is not left to one. */
static void i1_a_cancellation_leaves_min_isr_copies(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LIST(4, 5));
    fixture.settings.min_insync_replicas = 2;
    set_isr(&fixture, 4, IDS(4, 2), 2, 1);
    expect_verdict(&fixture, fixture.partition, NULL, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "min.insync.replicas");
    expect_verdict(&fixture, fixture.partition, LIST(6), KAFKA_INVALID_REPLICA_ASSIGNMENT, "only copies");
    expect_verdict(&fixture, fixture.partition, LIST(4, 6), KAFKA_NONE, "");
    set_isr(&fixture, 4, IDS(4, 2, 3), 3, 2);
    expect_verdict(&fixture, fixture.partition, NULL, KAFKA_NONE, "");
    set_isr(&fixture, 2, IDS(2), 1, 3);
    expect_verdict(&fixture, fixture.partition, NULL, KAFKA_NONE, "");
    image_release(&fixture.image);
}

/* A leaderless partition waits for a replica: a cancellation must not drop it for one that has lost its tail.
 */
static void i27_who_is_waited_for_is_not_dropped(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LIST(4, 5));
    set_isr(&fixture, NODE_NO_LEADER, IDS(1, 4), 2, 1);
    image_remove_broker(&fixture.image, 4);
    cluster_add_broker(&fixture.image, 1, 99, -1, NULL);
    expect_verdict(&fixture, fixture.partition, NULL, KAFKA_INVALID_REPLICA_ASSIGNMENT, "only copies");
    cluster_add_broker(&fixture.image, 1, 99, 1, NULL); /* nothing was lost */
    expect_verdict(&fixture, fixture.partition, NULL, KAFKA_NONE, "");
    image_release(&fixture.image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_of_a_move),
        cmocka_unit_test(another_target_and_back),
        cmocka_unit_test(i36_steps_of_a_move),
        cmocka_unit_test(i36_a_dead_target_is_waited_for),
        cmocka_unit_test(i36_who_has_left_the_isr_stays_out),
        cmocka_unit_test(no_replica_no_seat),
        cmocka_unit_test(added_replicas_are_new),
        cmocka_unit_test(requests_are_checked),
        cmocka_unit_test(i36_the_last_in_sync_are_not_dropped),
        cmocka_unit_test(i1_a_cancellation_leaves_min_isr_copies),
        cmocka_unit_test(i27_who_is_waited_for_is_not_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
