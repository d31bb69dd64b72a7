/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elections on request: the table of elect_leader and elect_balance, then a controller in office that is
 * asked by clients, by an old tool's znode and by its own timer, with lost answers, and killed after every
 * write.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "coordinator/controller/elect.h"
#include "coordinator/zk/node_admin.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/elect_leaders.h"
#include "tests/unit/controller/cluster_image.h"
#include "tests/unit/controller/answered.h"
#include "tests/unit/controller/world.h"

/* ---- the table ---- */

/* A partition with replicas 1, 2, 3, brokers alive with epochs 10, 20, 30. */
struct fixture {
    struct image image;
    struct image_partition *partition;
    struct node_partition_state next;
    bool unclean;
};

static void fixture_begin(struct fixture *fixture, int brokers)
{
    static const int32_t replicas[] = {1, 2, 3};
    *fixture = (struct fixture){0};
    image_init(&fixture->image);
    fixture->partition = cluster_add_topic(&fixture->image, replicas, 3);
    for (int32_t id = 1; id <= brokers; id++)
        cluster_add_broker(&fixture->image, id, 10 * id, -1, NULL);
}

static void set_state(struct fixture *fixture, int32_t leader, const int32_t *isr, size_t count)
{
    int64_t epochs[3];
    for (size_t i = 0; i < count; i++)
        epochs[i] = 10 * isr[i];
    cluster_set_state(&fixture->image, fixture->partition, leader, 4, isr, epochs, count, 9);
}

static int16_t elect(struct fixture *fixture, enum elect_type type)
{
    return elect_leader(&fixture->image, fixture->partition, type, 5, &fixture->next, &fixture->unclean);
}

static void preferred_table(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture, 3);
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    set_state(&fixture, 1, (int32_t[]){2, 1}, 2);
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_ELECTION_NOT_NEEDED);
    set_state(&fixture, 2, (int32_t[]){2, 3}, 2); /* I24: only a member of the ISR */
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    set_state(&fixture, 2, (int32_t[]){2, 1, 3}, 3);
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_NONE);
    assert_false(fixture.unclean);
    assert_int_equal(fixture.next.leader, 1);
    assert_int_equal(fixture.next.leader_epoch, 5); /* I35 */
    assert_int_equal(fixture.next.controller_epoch, 5);
    assert_int_equal(fixture.next.isr_count, 3);
    assert_memory_equal(fixture.next.isr, ((int32_t[]){2, 1, 3}), 3 * sizeof(int32_t));
    assert_int_equal(fixture.next.isr_broker_epochs[1], 10);
    node_partition_state_release(&fixture.next);
    image_mark_shutdown(&fixture.image, 1, 10);
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    (void)image_remove_broker(&fixture.image, 1);
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    image_release(&fixture.image);
}

/* I25: the preferred replica has bounced since it was confirmed; a full disk does not lead either. */
static void i25_preferred_needs_its_seat(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture, 3);
    set_state(&fixture, 2, (int32_t[]){1, 2, 3}, 3);
    cluster_add_broker(&fixture.image, 1, 99, -1, NULL);
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    image_release(&fixture.image);
    fixture_begin(&fixture, 3);
    set_state(&fixture, 2, (int32_t[]){1, 2, 3}, 3);
    (void)image_set_replica_disk(&fixture.image, fixture.partition, 1, REPLICA_DISK_FULL);
    assert_int_equal(elect(&fixture, ELECT_PREFERRED), KAFKA_PREFERRED_LEADER_NOT_AVAILABLE);
    image_release(&fixture.image);
}

static void i27_unclean_table(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture, 3);
    set_state(&fixture, 2, (int32_t[]){2}, 1);
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_ELECTION_NOT_NEEDED);
    (void)image_remove_broker(&fixture.image, 2);
    set_state(&fixture, NODE_NO_LEADER, (int32_t[]){2}, 1);
    image_mark_shutdown(&fixture.image, 1, 10);
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_NONE);
    assert_true(fixture.unclean);
    assert_int_equal(fixture.next.leader, 3); /* 1 is about to stop */
    assert_int_equal(fixture.next.leader_epoch, 5);
    assert_int_equal(fixture.next.leader_recovery, NODE_LEADER_RECOVERING);
    assert_int_equal(fixture.next.isr_count, 1);
    assert_int_equal(fixture.next.isr[0], 3);
    assert_int_equal(fixture.next.isr_broker_epochs[0], 30);
    node_partition_state_release(&fixture.next);
    (void)image_remove_broker(&fixture.image, 3);
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_NONE);
    assert_int_equal(fixture.next.leader, 1);
    node_partition_state_release(&fixture.next);
    (void)image_remove_broker(&fixture.image, 1);
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE);
    fixture.partition->topic->deleting = true;
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_INVALID_TOPIC_EXCEPTION);
    fixture.partition = NULL;
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    image_release(&fixture.image);
}

/* Seats first, of eligible replicas too, then what the brokers have said of their logs. */
static void i27_unclean_takes_the_longest_log(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_begin(&fixture, 3);
    set_state(&fixture, NODE_NO_LEADER, (int32_t[]){1, 2}, 2);
    for (int32_t id = 1; id <= 2; id++)
        cluster_add_broker(&fixture.image, id, 50 + id, -1, NULL);
    image_note_log_end(&fixture.image, fixture.partition, 1, 4, 3, 100);
    image_note_log_end(&fixture.image, fixture.partition, 2, 4, 3, 120);
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_NONE);
    assert_int_equal(fixture.next.leader, 2);
    assert_true(fixture.unclean); /* a member, but nobody knows what it has lost */
    node_partition_state_release(&fixture.next);
    cluster_set_eligible(&fixture.image, fixture.partition, (int32_t[]){3}, (int64_t[]){30}, 1);
    assert_int_equal(elect(&fixture, ELECT_UNCLEAN), KAFKA_NONE);
    assert_int_equal(fixture.next.leader, 3);
    assert_false(fixture.unclean);
    node_partition_state_release(&fixture.next);
    image_release(&fixture.image);
}

static void count_chosen(void *context, const struct image_partition *partition)
{
    assert_non_null(partition);
    (*(size_t *)context)++;
}

static size_t balance(struct image *image, int32_t percentage)
{
    size_t chosen = 0;
    size_t returned = elect_balance(image, percentage, count_chosen, &chosen);
    assert_int_equal(returned, chosen);
    return chosen;
}

/* Ten partitions prefer broker 1; `elsewhere` of them are led by 2. */
static void fill_image(struct image *image, int elsewhere)
{
    struct node_topic node;
    image_init(image);
    node_topic_init(&node);
    for (int i = 0; i < 10; i++)
        node_topic_add_partition(&node, (int32_t[]){1, 2}, 2);
    for (int32_t id = 1; id <= 2; id++)
        cluster_add_broker(image, id, 10 * id, -1, NULL);
    struct image_topic *topic = image_add_topic(image, slice_of("t"));
    image_set_topic(image, topic, &node, 0);
    node_topic_release(&node);
    for (int i = 0; i < 10; i++)
        cluster_set_state(image, topic->partitions[i], i < elsewhere ? 2 : 1, 0, (int32_t[]){1, 2},
                          (int64_t[]){10, 20}, 2, 0);
}

static void balance_table(void **state)
{
    (void)state;
    struct image image;
    fill_image(&image, 1);
    assert_int_equal(balance(&image, 10), 0); /* more than a tenth, not a tenth */
    assert_int_equal(balance(&image, 9), 1);
    image_release(&image);
    fill_image(&image, 2);
    assert_int_equal(balance(&image, 10), 2);
    struct image_topic *topic = image_find_topic(&image, slice_of("t"));
    cluster_set_state(&image, topic->partitions[0], 2, 1, (int32_t[]){2}, (int64_t[]){20}, 1, 1);
    assert_int_equal(balance(&image, 10), 1); /* counts, and cannot be moved */
    node_replicas_set(&topic->partitions[9]->assignment.adding, (int32_t[]){3}, 1);
    assert_int_equal(balance(&image, 10), 0);
    node_replicas_set(&topic->partitions[9]->assignment.adding, NULL, 0);
    assert_int_equal(balance(&image, 10), 1);
    topic->deleting = true;
    assert_int_equal(balance(&image, 10), 0);
    topic->deleting = false;
    (void)image_remove_broker(&image, 1);
    assert_int_equal(balance(&image, 10), 0);
    image_release(&image);
}

/* ---- a controller in office ---- */

#define PARTITIONS 12

static struct world *begin(struct world_options options)
{
    options.seed = options.seed != 0 ? options.seed : 5;
    options.brokers = 3;
    struct world *world = world_begin(&options);
    world_put_topic(world, "t", PARTITIONS, 3);
    assert_true(world_run(world, 10000, world_is_at_rest));
    return world;
}

static struct node_partition_state state_of(struct world *world, int32_t partition)
{
    struct arena arena;
    struct slice data;
    struct node_partition_state state;
    arena_init(&arena, ARENA_NO_BUDGET);
    const char *path = zk_path_partition_state(&arena, slice_of("t"), partition);
    assert_true(fake_zookeeper_read(world->zookeeper, path, &data, NULL));
    assert_int_equal(node_partition_state_decode(data, &state, NULL), 0);
    arena_release(&arena);
    return state;
}

static int32_t leader_of(struct world *world, int32_t partition)
{
    struct node_partition_state state = state_of(world, partition);
    int32_t leader = state.leader;
    node_partition_state_release(&state);
    return leader;
}

static int32_t preferred_of(struct world *world, int32_t partition)
{
    struct slice data;
    struct node_topic node;
    assert_true(fake_zookeeper_read(world->zookeeper, "/brokers/topics/t", &data, NULL));
    assert_int_equal(node_topic_decode(data, &node, NULL), 0);
    int32_t preferred = node_topic_find(&node, partition)->replicas.ids[0];
    node_topic_release(&node);
    return preferred;
}

static int not_preferred(struct world *world)
{
    int count = 0;
    for (int32_t p = 0; p < PARTITIONS; p++)
        count += leader_of(world, p) != preferred_of(world, p);
    return count;
}

/* The broker dies and comes back: it is in every ISR again, and leads nothing. */
static void bounce(struct world *world, int32_t id)
{
    world_kill(world, id);
    assert_true(world_run(world, 30000, world_is_at_rest));
    world_start(world, id);
    assert_true(world_run(world, 30000, world_is_at_rest));
    for (int b = 0; b < 3; b++) {
        for (int32_t p = 0; p < PARTITIONS; p++) {
            struct world_replica *replica = world_find(world->brokers[b].replicas, "t", p);
            if (replica == NULL || replica->leader != b + 1)
                continue;
            struct isr_member isr[3];
            for (int32_t i = 0; i < 3; i++)
                isr[i] = (struct isr_member){i + 1, world->brokers[i].epoch};
            world_propose(world, &world->brokers[b], replica, isr, 3);
        }
    }
    assert_true(world_run(world, 30000, world_is_at_rest));
    assert_true(not_preferred(world) > 0);
}

static int32_t other_broker(struct world *world)
{
    return world_controller_broker(world)->id % 3 + 1;
}

static void send_request(struct world *world, int16_t version, int8_t type, int32_t *partitions, size_t count,
                         int32_t timeout_ms, struct answered *answered)
{
    struct elect_leaders_request request;
    struct elect_leaders_request_topic_partitions topic = {
        .topic = slice_of("t"), .partitions = partitions, .partitions_count = count};
    struct buffer body;
    struct wire_writer writer;
    elect_leaders_request_init(&request);
    request.election_type = version > 0 ? type : 0;
    request.topic_partitions = partitions != NULL ? &topic : NULL;
    request.topic_partitions_count = partitions != NULL;
    request.timeout_ms = timeout_ms;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    elect_leaders_request_encode(&request, &writer, version);
    *answered = (struct answered){0};
    buffer_init(&answered->body);
    controller_admin(world_controller(world), 43, version, slice_of("test"), buffer_slice(&body),
                     world->now_ms + 30000, (struct controller_admin_respond){on_answer, answered});
    wire_writer_release(&writer);
    buffer_release(&body);
}

static const struct answered *waiting_for;

static bool is_answered(struct world *world)
{
    (void)world;
    return waiting_for->done;
}

/* Errors of the answered partitions in their order, into errors (PARTITIONS at most); how many there are. */
static size_t ask(struct world *world, int16_t version, int8_t type, int32_t *partitions, size_t count,
                  int16_t *errors)
{
    struct answered answered;
    struct elect_leaders_response response;
    struct byte_reader reader;
    struct arena arena;
    send_request(world, version, type, partitions, count, 10000, &answered);
    waiting_for = &answered;
    assert_true(world_run(world, 31000, is_answered));
    assert_int_equal(answered.error, KAFKA_NONE);
    arena_init(&arena, ARENA_NO_BUDGET);
    reader_init(&reader, buffer_slice(&answered.body));
    assert_int_equal(elect_leaders_response_decode(&response, &reader, version, &arena), 0);
    assert_int_equal(response.error_code, KAFKA_NONE);
    size_t number = 0;
    for (size_t i = 0; i < response.replica_election_results_count; i++)
        for (size_t p = 0; p < response.replica_election_results[i].partition_result_count; p++)
            errors[number++] = response.replica_election_results[i].partition_result[p].error_code;
    buffer_release(&answered.body);
    arena_release(&arena);
    return number;
}

static void end(struct world *world)
{
    assert_true(world_run(world, 20000, world_is_at_rest));
    world_check_converged(world);
    world_free(world);
}

/* All versions; a request for all names only those for which there was something to do (KIP-460). */
static void client_asks(void **state)
{
    (void)state;
    int16_t errors[PARTITIONS];
    struct world *world = begin((struct world_options){0});
    for (int16_t version = 0; version <= 2; version++) {
        bounce(world, other_broker(world));
        int wrong = not_preferred(world);
        assert_int_equal(ask(world, version, ELECT_PREFERRED, NULL, 0, errors), wrong);
        for (int i = 0; i < wrong; i++)
            assert_int_equal(errors[i], KAFKA_NONE);
        assert_int_equal(not_preferred(world), 0);
        for (int b = 0; b < 3; b++)
            for (int32_t p = 0; p < PARTITIONS; p++)
                assert_int_equal(world_find(world->brokers[b].metadata, "t", p)->leader, leader_of(world, p));
        assert_int_equal(ask(world, version, ELECT_PREFERRED, NULL, 0, errors), 0);
        assert_int_equal(ask(world, version, ELECT_PREFERRED, (int32_t[]){0, 99}, 2, errors), 2);
        assert_int_equal(errors[0], KAFKA_ELECTION_NOT_NEEDED);
        assert_int_equal(errors[1], KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
    end(world);
}

/* Answers of ZooKeeper are lost, leaders are asked for again and again: each is elected once in the end
 * (I38). */
static void i38_lost_answers(void **state)
{
    (void)state;
    int16_t errors[PARTITIONS];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = begin((struct world_options){.seed = seed});
        bounce(world, other_broker(world));
        fake_zookeeper_set_faults(world->zookeeper, 2, 0);
        size_t count = ask(world, 2, ELECT_PREFERRED, NULL, 0, errors);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(errors[i], KAFKA_NONE);
        fake_zookeeper_set_faults(world->zookeeper, 0, 0);
        assert_int_equal(not_preferred(world), 0);
        end(world);
    }
}

/* No time to wait: timed out, and what is on its way goes on; who is in office no more says so. */
static void timeouts(void **state)
{
    (void)state;
    struct answered answered;
    struct world *world = begin((struct world_options){0});
    bounce(world, other_broker(world));
    send_request(world, 2, ELECT_PREFERRED, NULL, 0, 0, &answered);
    assert_true(answered.done);
    assert_int_equal(answered.error, KAFKA_NONE);
    buffer_release(&answered.body);
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_int_equal(not_preferred(world), 0);
    bounce(world, other_broker(world));
    send_request(world, 2, ELECT_PREFERRED, NULL, 0, 10000, &answered);
    assert_false(answered.done);
    world_kill(world, world_controller_broker(world)->id);
    assert_true(answered.done);
    assert_int_equal(answered.error, KAFKA_NOT_CONTROLLER);
    buffer_release(&answered.body);
    assert_true(world_run(world, 30000, world_is_at_rest));
    end(world);
}

/* The last member of the ISR is gone; an operator takes what is left. The judge sees an unclean election. */
static void i27_operator_asks(void **state)
{
    (void)state;
    int16_t errors[PARTITIONS];
    struct world *world = begin((struct world_options){0});
    int32_t office = world_controller_broker(world)->id, last = office % 3 + 1;
    int32_t third = 6 - office - last, partition = 0;
    while (leader_of(world, partition) != last)
        partition++;
    struct isr_member isr = {last, world->brokers[last - 1].epoch};
    world_propose(world, &world->brokers[last - 1],
                  world_find(world->brokers[last - 1].replicas, "t", partition), &isr, 1);
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_int_equal(ask(world, 1, ELECT_UNCLEAN, &partition, 1, errors), 1);
    assert_int_equal(errors[0], KAFKA_ELECTION_NOT_NEEDED);
    world_kill(world, last);
    assert_true(world_run(world, 30000, world_is_at_rest));
    assert_int_equal(leader_of(world, partition), NODE_NO_LEADER);
    assert_int_equal(controller_gauges(world_controller(world)).unclean_elections, 0);
    world->complain_only = true;
    assert_int_equal(ask(world, 1, ELECT_UNCLEAN, &partition, 1, errors), 1);
    world->complain_only = false;
    assert_int_equal(errors[0], KAFKA_NONE);
    assert_int_equal(controller_gauges(world_controller(world)).unclean_elections, 1);
    assert_true(world->violations > 0);
    struct node_partition_state after = state_of(world, partition);
    assert_true(after.leader == office || after.leader == third);
    assert_int_equal(after.leader_recovery, NODE_LEADER_RECOVERING);
    node_partition_state_release(&after);
    world_start(world, last);
    end(world);
}

static void put_node(struct world *world, const char *text)
{
    fake_zookeeper_put(world->zookeeper, ZK_PATH_PREFERRED_REPLICA_ELECTION, slice_of(text));
}

static void put_request(struct world *world)
{
    struct node_partition_list list;
    struct buffer text;
    node_partition_list_init(&list);
    for (int32_t p = 0; p < PARTITIONS + 1; p++) /* one of them does not exist */
        node_partition_list_add(&list, slice_of("t"), p, NULL, 0);
    buffer_init(&text);
    node_preferred_election_encode(&list, &text);
    fake_zookeeper_put(world->zookeeper, ZK_PATH_PREFERRED_REPLICA_ELECTION, buffer_slice(&text));
    buffer_release(&text);
    node_partition_list_release(&list);
}

static bool node_is_there(struct world *world)
{
    return fake_zookeeper_read(world->zookeeper, ZK_PATH_PREFERRED_REPLICA_ELECTION, NULL, NULL);
}

static void old_tool_asks(void **state)
{
    (void)state;
    struct world *world = begin((struct world_options){0});
    for (int round = 0; round < 3; round++) {
        bounce(world, other_broker(world));
        put_request(world);
        assert_true(world_run(world, 20000, world_is_at_rest));
        assert_false(node_is_there(world));
        assert_int_equal(not_preferred(world), 0);
    }
    put_node(world, "not JSON");
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_false(node_is_there(world));
    put_node(world, "{\"version\":1,\"partitions\":[7,{\"topic\":\"u\",\"partition\":0}]}");
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_false(node_is_there(world));
    assert_int_equal(controller_gauges(world_controller(world)).healed, 0);
    end(world);
}

static uint64_t writes_allowed;

static bool has_written(struct world *world)
{
    return world->writes >= writes_allowed || !node_is_there(world);
}

/* I30, I36: the controller dies after its n-th write, for every n: the next one finishes the request. */
static void i30_killed_after_every_write(void **state)
{
    (void)state;
    bool finished = false;
    for (uint64_t after = 1; !finished; after++) {
        struct world *world = begin((struct world_options){.seed = after, .keep_intact = true});
        bounce(world, other_broker(world));
        put_request(world);
        writes_allowed = world->writes + after;
        assert_true(world_run(world, 20000, has_written));
        finished = !node_is_there(world);
        int32_t office = world_controller_broker(world)->id;
        world_kill(world, office);
        assert_true(world_run(world, 40000, world_is_at_rest));
        assert_false(node_is_there(world));
        world_start(world, office);
        end(world);
        assert_true(after < 50);
    }
}

static void balancing(void **state)
{
    (void)state;
    struct world *world =
        begin((struct world_options){.auto_leader_rebalance = true, .leader_imbalance_percentage = 10});
    int32_t other = other_broker(world);
    bounce(world, other);
    assert_true(not_preferred(world) > 0);
    assert_true(world_run(world, 1000, world_is_at_rest));
    world->now_ms += 300000; /* the next check */
    assert_true(world_run(world, 400000, world_is_at_rest));
    world_step(world);
    assert_true(world_run(world, 20000, world_is_at_rest));
    assert_int_equal(not_preferred(world), 0);
    end(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(preferred_table),
        cmocka_unit_test(i25_preferred_needs_its_seat),
        cmocka_unit_test(i27_unclean_takes_the_longest_log),
        cmocka_unit_test(i27_unclean_table),
        cmocka_unit_test(balance_table),
        cmocka_unit_test(client_asks),
        cmocka_unit_test(i38_lost_answers),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(i27_operator_asks),
        cmocka_unit_test(old_tool_asks),
        cmocka_unit_test(i30_killed_after_every_write),
        cmocka_unit_test(balancing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
