/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker that is about to stop still copies: only what it is in the ISR of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/kafka/error.h"
#include "tests/unit/replica/mover_fixture.h"

struct leaving_world {
    struct mover_world world;
    int follows, unfollows;
    int32_t leader_epoch;
};

static struct leaving_world *world_of(struct replica_host *host)
{
    struct mover_world *world = container_of(host, struct mover_world, host);
    return container_of(world, struct leaving_world, world);
}

static void count_follow(struct replica_host *host, struct partition *partition, int32_t leader)
{
    (void)partition;
    assert_int_equal(leader, 2);
    world_of(host)->follows++;
}

static void count_unfollow(struct replica_host *host, struct partition *partition)
{
    (void)partition;
    world_of(host)->unfollows++;
}

/* The controller's word: broker 2 leads in the next epoch, with this broker in the ISR or without it. */
static void follow_2(struct leaving_world *leaving, bool in_isr)
{
    struct isr_member isr[] = {{.broker_id = 2, .broker_epoch = 1}, {.broker_id = 1, .broker_epoch = 7}};
    int32_t replicas[] = {1, 2};
    leaving->leader_epoch++;
    struct control_partition state = {.leader = 2,
                                      .leader_epoch = leaving->leader_epoch,
                                      .partition_epoch = leaving->leader_epoch,
                                      .isr = isr,
                                      .isr_count = in_isr ? 2 : 1,
                                      .replicas = replicas,
                                      .replicas_count = 2,
                                      .is_new = leaving->leader_epoch == 1};
    struct control_topic topic = {
        .name = slice_of(MOVER_TOPIC), .topic_id = {{1, 2, 3}}, .partitions = &state, .partitions_count = 1};
    const struct leader_and_isr_request request = {
        .controller_epoch = 1, .broker_epoch = 7, .topics = &topic, .topics_count = 1};
    struct arena arena;
    struct control_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    replica_manager_leader_and_isr(leaving->world.replicas, &request, 1, &arena, &response);
    assert_int_equal(response.error, KAFKA_NONE);
    assert_int_equal(response.partitions[0].error, KAFKA_NONE);
    arena_release(&arena);
}

static void who_leaves_copies_only_what_it_is_counted_in(void **state)
{
    (void)state;
    struct leaving_world leaving = {.follows = 0};
    mover_world_init(&leaving.world, 1);
    leaving.world.host.follow = count_follow;
    leaving.world.host.unfollow = count_unfollow;
    assert_int_equal(mover_world_open(&leaving.world), 0);
    replica_manager_set_broker_epoch(leaving.world.replicas, 7);
    follow_2(&leaving, true);
    follow_2(&leaving, false); /* behind, and to catch up */
    assert_int_equal(leaving.follows, 2);
    assert_int_equal(leaving.unfollows, 0);
    replica_manager_leave(leaving.world.replicas);
    follow_2(&leaving, true); /* the leader still waits for it */
    assert_int_equal(leaving.follows, 3);
    assert_int_equal(leaving.unfollows, 0);
    follow_2(&leaving, false);
    assert_int_equal(leaving.follows, 3);
    assert_int_equal(leaving.unfollows, 1);
    mover_world_release(&leaving.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_leaves_copies_only_what_it_is_counted_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
