/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a world: what it begins with, the loop that decides what happens next, and the two phases. */
#include "tests/sim/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/path.h"
#include "tests/sim/check.h"

/* When faults have ended, the cluster has this long to be as it should be, ... */
#define LIVENESS_BOUND_MS 30000
/* ... is looked at this often, */
#define LIVENESS_LOOK_MS 200
/* ... when the latest of the messages that faults held up have come, refused proposals have been made again,
 * and nobody has written to ZooKeeper for a while, */
#define SETTLING_MS 3000
#define SETTLED_MS 1000
/* and then rests for so long without anybody writing there. */
#define QUIET_MS 2500
/* More than a sound seed ever needs: something runs in circles. */
#define STEPS_MAX 2000000

void world_fail(struct world *world, const char *rule, const char *format, const int64_t values[TRACE_VALUES])
{
    if (world->violation.found)
        return;
    world->violation = (struct violation){.found = true, .rule = rule, .format = format};
    memcpy(world->violation.values, values, sizeof(world->violation.values));
    world_note(world, format, values);
}

void world_note(struct world *world, const char *format, const int64_t values[TRACE_VALUES])
{
    trace_note(&world->trace, format, values);
}

void world_later(struct world *world, int32_t broker, int64_t delay_ms,
                 void (*run)(struct world *world, int32_t broker, void *data), void (*drop)(void *data),
                 void *data)
{
    struct task task = {.due_ms = world->now_ms + delay_ms,
                        .tie = prng_next(&world->schedule),
                        .broker = broker,
                        .life = broker >= 0 ? world->brokers[broker].life : 0,
                        .run = run,
                        .drop = drop,
                        .data = data};
    task_heap_push(&world->tasks, task);
}

int32_t world_partition_index(const struct world *world, struct slice topic, int32_t number)
{
    for (int32_t i = 0; i < world->partition_count; i++)
        if (world->partitions[i].number == number && slice_is(topic, world->partitions[i].topic))
            return i;
    return -1;
}

/* ---- ZooKeeper ---- */

static void on_committed(void *context, int64_t zxid, int64_t session, const struct fake_change *changes,
                         size_t count)
{
    struct world *world = context;
    world->zookeeper_written_ms = world->now_ms;
    (void)session;
    for (size_t i = 0; i < count; i++) {
        trace_mix(&world->trace, (uint64_t)zxid);
        if (changes[i].kind != ZK_OPERATION_CHECK && strcmp(changes[i].path, ZK_PATH_CONTROLLER_EPOCH) == 0)
            check_controller_epoch_written(world, changes[i].data);
        if (changes[i].kind == ZK_OPERATION_DELETE)
            topics_on_removed(world, changes[i].path);
        else if (changes[i].kind != ZK_OPERATION_CHECK)
            topics_on_written(world, changes[i].path, changes[i].data);
        for (int32_t p = 0; p < world->partition_count; p++)
            if (changes[i].kind != ZK_OPERATION_DELETE &&
                strcmp(changes[i].path, world->partitions[p].state_path) == 0)
                check_state_written(world, p, changes[i].data, changes[i].version);
    }
}

static int64_t zookeeper_delay(void *context, const struct fake_client *client, bool to_server)
{
    struct world *world = context;
    (void)client;
    (void)to_server;
    return prng_between(&world->schedule, 0, world->swarm.zookeeper_delay_ms);
}

static void open_zookeeper(struct world *world)
{
    struct fake_zookeeper_options options = {.seed = prng_next(&world->random),
                                             .wall_ms = SIM_WALL_MS,
                                             .session_timeout_ms = world->swarm.session_timeout_ms,
                                             .servers = world->swarm.zookeeper_servers,
                                             .lose_answer_one_in = world->swarm.lose_answer_one_in,
                                             .cut_one_in = world->swarm.cut_one_in,
                                             .reconnect_ms = 20,
                                             .delay_ms = zookeeper_delay,
                                             .delay_context = world,
                                             .committed = on_committed,
                                             .committed_context = world};
    world->zookeeper = fake_zookeeper_new(&options);
    fake_zookeeper_put_persistent_paths(world->zookeeper);
}

/* ---- life ---- */

struct world *world_new(uint64_t seed, const struct sim_options *options)
{
    struct world *world = memory_allocate_zeroed(1, sizeof(*world));
    world->options = *options;
    world->safety = true;
    swarm_draw(&world->swarm, seed, options);
    trace_init(&world->trace, options->trace, !options->unhashed);
    prng_init(&world->schedule, seed * 4 + 1);
    prng_init(&world->faults, seed * 4 + 2);
    prng_init(&world->workload, seed * 4 + 3);
    prng_init(&world->random, ~seed);
    task_heap_init(&world->tasks);
    log_scan_init(&world->scan);
    log_scan_init(&world->other_scan);
    buffer_init(&world->scratch);
    topics_define(world);
    open_zookeeper(world);
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        broker_init(world, b);
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        broker_start(world, b);
    topics_init(world);
    clients_init(world);
    faults_init(world);
    operator_init(world);
    return world;
}

void world_free(struct world *world)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        if (world->brokers[b].alive)
            broker_kill(world, b, MEMORY_FILES_PROCESS_CRASH);
    task_heap_release(&world->tasks);
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        broker_release(&world->brokers[b]);
    clients_release(world);
    fake_zookeeper_free(world->zookeeper);
    for (int p = 0; p < world->partition_count; p++) {
        free(world->partitions[p].leaders);
        ghost_release(&world->partitions[p].ghost);
    }
    log_scan_release(&world->scan);
    log_scan_release(&world->other_scan);
    buffer_release(&world->scratch);
    free(world);
}

/* ---- the loop ---- */

static int64_t next_due(const struct world *world)
{
    int64_t due = min_i64(task_heap_next_due(&world->tasks), fake_zookeeper_next_due(world->zookeeper));
    for (int b = 0; b < world->swarm.brokers; b++) {
        const struct sim_broker *broker = &world->brokers[b];
        if (!broker->alive || broker->paused)
            continue;
        int64_t deadline = controller_next_deadline(broker->controller);
        if (deadline != INT64_MAX)
            due = min_i64(due, deadline - broker->clock_offset_ms);
    }
    return max_i64(due, world->now_ms);
}

static void tick_controllers(struct world *world)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct sim_broker *broker = &world->brokers[b];
        if (broker->alive && !broker->paused)
            controller_tick(broker->controller, broker_now_ms(broker), broker_wall_ms(broker));
    }
}

static void run_task(struct world *world)
{
    struct task task = task_heap_pop(&world->tasks);
    struct sim_broker *broker = task.broker >= 0 ? &world->brokers[task.broker] : NULL;
    if (broker != NULL && (!broker->alive || broker->life != task.life)) {
        task_drop(&task);
        return;
    }
    if (broker != NULL && broker->paused) {
        task_heap_push(&broker->held, task);
        return;
    }
    trace_mix(&world->trace, task.tie);
    task.run(world, task.broker, task.data);
    if (broker == NULL || !broker->alive || broker->life != task.life)
        return;
    if (memory_files_is_stopped(broker->disk))
        broker_kill(world, task.broker, MEMORY_FILES_PROCESS_CRASH);
    else
        check_broker(world, task.broker);
}

/* One thing happens. false: nothing does before `until_ms`. */
static bool world_step(struct world *world, int64_t until_ms)
{
    int64_t due = next_due(world);
    if (due > until_ms)
        return false;
    world->now_ms = due;
    world->trace.time_ms = due;
    world->trace.step = ++world->steps;
    tick_controllers(world);
    bool task_due = task_heap_next_due(&world->tasks) <= due;
    bool zookeeper_due = fake_zookeeper_next_due(world->zookeeper) <= due;
    if (zookeeper_due && (!task_due || prng_one_in(&world->schedule, 2)))
        fake_zookeeper_step(world->zookeeper, due);
    else if (task_due)
        run_task(world);
    if (world->swarm.aim != AIM_NONE)
        aimed_step(world);
    if (world->steps > STEPS_MAX)
        world_fail(world, "liveness", "no end: %lld steps", TRACE_OF((int64_t)world->steps));
    return true;
}

static bool run_until(struct world *world, int64_t until_ms)
{
    while (!world->violation.found && world_step(world, until_ms))
        ;
    if (world->violation.found)
        return false;
    world->now_ms = max_i64(world->now_ms, until_ms);
    return true;
}

static bool wait_until_healthy(struct world *world)
{
    int64_t from_ms = max_i64(world->now_ms + SETTLING_MS, world->messages_until_ms);
    int64_t deadline_ms = world->now_ms + LIVENESS_BOUND_MS;
    const char *why = "";
    int32_t partition = -1;
    while (run_until(world, world->now_ms + LIVENESS_LOOK_MS)) {
        bool settled = world->now_ms >= max_i64(from_ms, world->zookeeper_written_ms + SETTLED_MS);
        settled = settled && world->aimed.stage == AIMED_WAITING; /* its stop may be to come */
        if (settled && check_is_healthy(world, &why, &partition))
            return true;
        if (world->now_ms >= deadline_ms) {
            world_fail(world, "liveness", why, TRACE_OF(partition));
            return false;
        }
    }
    return false;
}

static bool stay_quiet(struct world *world)
{
    int64_t from_ms = world->now_ms;
    if (!run_until(world, from_ms + QUIET_MS))
        return false;
    if (world->zookeeper_written_ms > from_ms)
        world_fail(world, "liveness", "somebody wrote to ZooKeeper at %lld, in a healthy cluster",
                   TRACE_OF(world->zookeeper_written_ms));
    return !world->violation.found;
}

bool world_run(struct world *world)
{
    if (!run_until(world, world->swarm.safety_ms))
        return false;
    world->safety = false;
    faults_end(world);
    if (!wait_until_healthy(world) || !stay_quiet(world))
        return false;
    check_end(world);
    return !world->violation.found;
}
