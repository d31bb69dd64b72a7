/* SPDX-License-Identifier: Apache-2.0 */
/* A partition whose disk never answers a write is held for good: the tick of all partitions goes past it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "common/clock.h"
#include "proto/kafka/error.h"
#include "tests/unit/replica/mover_fixture.h"

#define DEADLINE_MS 20000

struct ticker {
    struct mover_world *world;
    atomic_bool done;
};

static void *run_tick(void *context)
{
    struct ticker *ticker = context;
    replica_manager_tick(ticker->world->replicas, ticker->world->now_ms);
    atomic_store(&ticker->done, true);
    return NULL;
}

static void a_held_partition_holds_up_no_tick(void **state)
{
    (void)state;
    struct mover_world world;
    struct ticker ticker = {.world = &world};
    pthread_t thread;
    mover_world_init(&world, 1);
    assert_int_equal(mover_world_open(&world), 0);
    assert_int_equal(mover_world_lead(&world), KAFKA_NONE);
    struct partition *partition = replica_manager_find(world.replicas, slice_of(MOVER_TOPIC), 0);
    assert_non_null(partition_enter_log(partition));
    assert_int_equal(pthread_create(&thread, NULL, run_tick, &ticker), 0);
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    const struct timespec pause = {.tv_nsec = 1000000};
    while (!atomic_load(&ticker.done) && clock_monotonic_ms() < deadline_ms)
        nanosleep(&pause, NULL);
    bool done = atomic_load(&ticker.done);
    partition_leave_log(partition, world.now_ms);
    pthread_join(thread, NULL);
    partition_release(partition);
    assert_true(done);
    mover_world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_held_partition_holds_up_no_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
