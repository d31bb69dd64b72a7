/* SPDX-License-Identifier: Apache-2.0 */
/* What nobody will name again: logs of topics that are no more, and messages that were overtaken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/arena.h"
#include "proto/kafka/error.h"
#include "tests/unit/replica/mover_fixture.h"

static void open_with_a_record(struct mover_world *world, uint64_t seed)
{
    mover_world_init(world, seed);
    assert_int_equal(mover_world_open(world), 0);
    assert_int_equal(mover_world_lead(world), KAFKA_NONE);
    assert_true(mover_world_produce(world));
}

/* The log is found again by a start, but nobody has named the partition yet. */
static void start_again(struct mover_world *world)
{
    mover_world_drop(world);
    memory_files_crash(world->disk, MEMORY_FILES_PROCESS_CRASH);
    assert_int_equal(mover_world_open(world), 0);
}

static size_t strays(struct mover_world *world)
{
    return mover_world_folders(world, "/a", "-stray") + mover_world_folders(world, "/b", "-stray") +
           mover_world_folders(world, "/c", "-stray");
}

/* Metadata that name the topics of these generations. */
static struct update_metadata_request metadata(struct control_topic *listed, struct uuid *unlisted)
{
    return (struct update_metadata_request){.controller_id = 1,
                                            .controller_epoch = 1,
                                            .broker_epoch = 7,
                                            .full = true,
                                            .complete = true,
                                            .topics = listed,
                                            .topics_count = listed != NULL,
                                            .unlisted = unlisted,
                                            .unlisted_count = unlisted != NULL};
}

static void i36_a_log_whose_topic_is_no_more_is_set_aside(void **state)
{
    (void)state;
    for (int started = 0; started < 2; started++) {
        struct mover_world world;
        open_with_a_record(&world, 1);
        if (started)
            start_again(&world);
        struct control_topic other = {.name = slice_of(MOVER_TOPIC), .topic_id = {{9}}};
        struct update_metadata_request update = metadata(&other, NULL);
        replica_manager_set_strays_aside(world.replicas, &update);
        assert_null(replica_manager_find(world.replicas, slice_of(MOVER_TOPIC), 0));
        assert_int_equal(mover_world_directory(&world), -1);
        assert_int_equal(strays(&world), 1);
        /* no later start takes it for a log, and the next topic of the name finds nothing of it */
        start_again(&world);
        assert_int_equal(mover_world_directory(&world), -1);
        assert_int_equal(strays(&world), 1);
        world.topic_generation = 9;
        world.end = world.start = world.durable_end = 0;
        assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
        assert_int_equal(mover_world_end(&world), 0);
        mover_world_release(&world);
    }
}

/* In doubt nothing is done: where the message is not full or not complete, or names the id somehow. */
static void i12_a_log_stays_where_its_topic_may_exist(void **state)
{
    (void)state;
    struct mover_world world;
    open_with_a_record(&world, 2);
    struct control_topic same = {.name = slice_of(MOVER_TOPIC), .topic_id = {{1}}};
    struct uuid id = {{1}};
    struct update_metadata_request updates[] = {metadata(NULL, NULL), metadata(NULL, NULL),
                                                metadata(&same, NULL), metadata(NULL, &id)};
    updates[0].full = false;
    updates[1].complete = false;
    for (int started = 0; started < 2; started++) {
        for (size_t i = 0; i < ARRAY_SIZE(updates); i++)
            replica_manager_set_strays_aside(world.replicas, &updates[i]);
        assert_int_equal(strays(&world), 0);
        assert_true(mover_world_directory(&world) >= 0);
        start_again(&world);
    }
    mover_world_release(&world);
}

/* A folder that tells no topic id may be of any topic. */
static void i12_a_log_without_topic_id_stays(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 3);
    world.topic_generation = 0;
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    struct update_metadata_request update = metadata(NULL, NULL);
    replica_manager_set_strays_aside(world.replicas, &update);
    assert_int_equal(strays(&world), 0);
    assert_true(mover_world_directory(&world) >= 0);
    mover_world_release(&world);
}

/* The disk refuses the name: the log stays where it is, closed, and the next message finds it. */
static void i36_a_stray_that_cannot_be_set_aside_is_found_again(void **state)
{
    (void)state;
    struct mover_world world;
    open_with_a_record(&world, 4);
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_BIT(MEMORY_FILES_RENAME),
                                             .error = -ENOSPC,
                                             .short_bytes = -1,
                                             .repeat = true,
                                             .path_part = MOVER_TOPIC "-0"};
    memory_files_set_fault(world.disk, &fault);
    struct update_metadata_request update = metadata(NULL, NULL);
    replica_manager_set_strays_aside(world.replicas, &update);
    assert_int_equal(strays(&world), 0);
    assert_true(mover_world_directory(&world) >= 0);
    memory_files_set_fault(world.disk, NULL);
    replica_manager_set_strays_aside(world.replicas, &update);
    assert_int_equal(strays(&world), 1);
    mover_world_release(&world);
}

/* A message that its sender gave up, and that comes when a later one has been carried out, is refused; a new
 * controller counts anew. */
static void i32_an_overtaken_message_is_refused(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 5);
    assert_int_equal(mover_world_open(&world), 0);
    struct replica_manager *replicas = world.replicas;
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 7, 5), KAFKA_NONE);
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 7, 5), KAFKA_NONE); /* twice the same */
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 7, 9), KAFKA_NONE);
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 7, 8), KAFKA_STALE_CONTROLLER_EPOCH);
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 6, 20), KAFKA_STALE_BROKER_EPOCH);
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 7, 10), KAFKA_NONE);
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 7, 0), KAFKA_NONE); /* without a number */
    assert_int_equal(replica_manager_check_epochs(replicas, 2, 7, 1), KAFKA_NONE);
    assert_int_equal(replica_manager_check_epochs(replicas, 1, 7, 11), KAFKA_STALE_CONTROLLER_EPOCH);
    mover_world_release(&world);
}

static struct leader_and_isr_request roles(struct control_topic *topic, int64_t sequence)
{
    return (struct leader_and_isr_request){.controller_id = 1,
                                           .controller_epoch = 1,
                                           .broker_epoch = 7,
                                           .sequence = sequence,
                                           .topics = topic,
                                           .topics_count = 1};
}

/* Roles of before a deletion arrive after it, and after it has ended: they make no replica. */
static void i36_overtaken_roles_make_no_replica(void **state)
{
    (void)state;
    struct mover_world world;
    mover_world_init(&world, 6);
    assert_int_equal(mover_world_open(&world), 0);
    struct isr_member isr[] = {{1, 7}, {2, 7}};
    int32_t replicas[] = {1, 2};
    struct control_partition partition = {.controller_epoch = 1,
                                          .leader = 2,
                                          .isr = isr,
                                          .isr_count = 2,
                                          .replicas = replicas,
                                          .replicas_count = 2};
    struct control_topic topic = {
        .name = slice_of(MOVER_TOPIC), .topic_id = {{1}}, .partitions = &partition, .partitions_count = 1};
    struct stop_replica_partition stop = {.topic = slice_of(MOVER_TOPIC),
                                          .topic_id = {{1}},
                                          .leader_epoch = STOP_REPLICA_TOPIC_DELETED,
                                          .delete_log = true};
    const struct stop_replica_request deletion = {
        .controller_epoch = 1, .broker_epoch = 7, .sequence = 2, .partitions = &stop, .partitions_count = 1};
    struct leader_and_isr_request late = roles(&topic, 1);
    struct arena arena;
    struct control_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    for (int repeated = 0; repeated < 2; repeated++) {
        replica_manager_stop_replica(world.replicas, &deletion, &arena, &response);
        assert_int_equal(response.error, KAFKA_NONE);
        replica_manager_leader_and_isr(world.replicas, &late, world.now_ms, &arena, &response);
        assert_int_equal(response.error, KAFKA_STALE_CONTROLLER_EPOCH);
        assert_null(replica_manager_find(world.replicas, slice_of(MOVER_TOPIC), 0));
        assert_int_equal(mover_world_directory(&world), -1);
    }
    struct leader_and_isr_request later = roles(&topic, 3);
    replica_manager_leader_and_isr(world.replicas, &later, world.now_ms, &arena, &response);
    assert_int_equal(response.partitions[0].error, KAFKA_NONE);
    arena_release(&arena);
    mover_world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i36_a_log_whose_topic_is_no_more_is_set_aside),
        cmocka_unit_test(i12_a_log_stays_where_its_topic_may_exist),
        cmocka_unit_test(i12_a_log_without_topic_id_stays),
        cmocka_unit_test(i36_a_stray_that_cannot_be_set_aside_is_found_again),
        cmocka_unit_test(i32_an_overtaken_message_is_refused),
        cmocka_unit_test(i36_overtaken_roles_make_no_replica),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
