/* SPDX-License-Identifier: Apache-2.0 */
/* Who is struck when. Each kind of fault has its own rhythm, drawn by the swarm; the victims are drawn here.
 */
#include "coordinator/zk/path.h"
#include "tests/sim/world.h"

#define PAUSE_MAX_MS 2500
/* How long a broker that has announced its stop waits for its leaderships to be moved, at most. */
#define STOP_PATIENCE_MS 600
#define LINK_FAULT_MAX_MS 1500
#define QUORUM_LOSS_MAX_MS 2000
/* Disk operations until a crash that comes in the middle of one. */
#define WRITES_BEFORE_CRASH_MAX 12

struct fault_kind {
    int64_t (*every_ms)(const struct swarm *swarm);
    void (*strike)(struct world *world);
};

static struct sim_broker *choose_alive(struct world *world)
{
    struct sim_broker *broker = &world->brokers[prng_below(&world->faults, (uint64_t)world->swarm.brokers)];
    return broker_acts(broker) ? broker : NULL;
}

/* Leaders are the more interesting victims. */
static struct sim_broker *choose_victim(struct world *world)
{
    int32_t p = (int32_t)prng_below(&world->faults, (uint64_t)world->partition_count);
    int32_t leader = world->partitions[p].leader;
    if (leader > 0 && prng_one_in(&world->faults, 2) && broker_acts(&world->brokers[leader - 1]))
        return &world->brokers[leader - 1];
    return choose_alive(world);
}

static void crash(struct world *world)
{
    struct sim_broker *broker = choose_victim(world);
    bool in_write = world->swarm.crash_in_write && prng_one_in(&world->faults, 2);
    uint64_t after = prng_below(&world->faults, WRITES_BEFORE_CRASH_MAX);
    if (broker == NULL)
        return;
    world->counters.crashes++;
    if (in_write)
        memory_files_stop_after(broker->disk, after);
    else
        broker_kill(world, broker->index, MEMORY_FILES_PROCESS_CRASH);
}

static void cut_power(struct world *world)
{
    int victim = world->swarm.power_victim;
    struct sim_broker *broker = victim < 0 ? choose_victim(world) : &world->brokers[victim];
    if (broker == NULL || !broker_acts(broker))
        return;
    world->counters.power_cuts++;
    broker_kill(world, broker->index, MEMORY_FILES_POWER_CUT);
}

static void stop_now(struct world *world, int32_t index, void *data)
{
    (void)data;
    if (broker_acts(&world->brokers[index]))
        broker_stop(world, index);
}

static void stop(struct world *world)
{
    struct sim_broker *broker = choose_victim(world);
    bool announced = !prng_one_in(&world->faults, 3);
    int64_t after_ms = prng_between(&world->faults, 0, STOP_PATIENCE_MS);
    if (broker == NULL || broker->paused)
        return;
    world->counters.orderly_stops++;
    if (announced)
        control_announce_stop(world, broker->index);
    world_later(world, broker->index, announced ? after_ms : 0, stop_now, NULL, NULL);
}

static void freeze(struct world *world)
{
    struct sim_broker *broker = choose_victim(world);
    int64_t duration_ms = prng_between(&world->faults, 10, PAUSE_MAX_MS);
    if (broker == NULL || broker->paused)
        return;
    world->counters.pauses++;
    broker_pause(world, broker->index, duration_ms);
}

static void expire(struct world *world)
{
    struct sim_broker *broker = choose_victim(world);
    if (broker == NULL)
        return;
    world->counters.expiries++;
    world_note(world, "the session of broker %lld expires", TRACE_OF(broker->id));
    fake_client_expire(broker->client);
}

void faults_depose(struct world *world)
{
    struct slice data;
    struct zk_stat stat;
    if (!fake_zookeeper_read(world->zookeeper, ZK_PATH_CONTROLLER, &data, &stat))
        return;
    world->counters.deposed++;
    world_note(world, "a tool removes the controller's node", TRACE_OF(0));
    fake_zookeeper_remove(world->zookeeper, ZK_PATH_CONTROLLER);
}

static void quorum_returns(struct world *world, int32_t broker, void *data)
{
    (void)broker;
    (void)data;
    world_note(world, "ZooKeeper has a quorum again", TRACE_OF(0));
    fake_zookeeper_set_quorum(world->zookeeper, true);
}

static void lose_quorum(struct world *world)
{
    int64_t duration_ms = prng_between(&world->faults, 50, QUORUM_LOSS_MAX_MS);
    world->counters.quorum_losses++;
    world_note(world, "ZooKeeper has no quorum for %lld ms", TRACE_OF(duration_ms));
    fake_zookeeper_set_quorum(world->zookeeper, false);
    world_later(world, -1, duration_ms, quorum_returns, NULL, NULL);
}

static void strike_link(struct world *world, int64_t until_ms[SIM_BROKERS_MAX][SIM_BROKERS_MAX],
                        const char *format)
{
    uint64_t from = prng_below(&world->faults, (uint64_t)world->swarm.brokers);
    uint64_t count = (uint64_t)world->swarm.brokers;
    uint64_t to = (from + 1 + prng_below(&world->faults, count - 1)) % count;
    int64_t duration_ms = prng_between(&world->faults, 10, LINK_FAULT_MAX_MS);
    world_note(world, format, TRACE_OF((int64_t)from + 1, (int64_t)to + 1, duration_ms));
    until_ms[from][to] = world->now_ms + duration_ms;
    /* Often both ways. */
    if (prng_one_in(&world->faults, 2))
        until_ms[to][from] = world->now_ms + duration_ms;
}

static void clog_link(struct world *world)
{
    strike_link(world, world->clog_until_ms, "the link from %lld to %lld is slow for %lld ms");
}

static void cut_link(struct world *world)
{
    strike_link(world, world->cut_until_ms, "the link from %lld to %lld is cut for %lld ms");
}

static int64_t crash_every_ms(const struct swarm *swarm)
{
    return swarm->crash_every_ms;
}

static int64_t power_cut_every_ms(const struct swarm *swarm)
{
    return swarm->power_cut_every_ms;
}

static int64_t orderly_stop_every_ms(const struct swarm *swarm)
{
    return swarm->orderly_stop_every_ms;
}

static int64_t pause_every_ms(const struct swarm *swarm)
{
    return swarm->pause_every_ms;
}

static int64_t expire_every_ms(const struct swarm *swarm)
{
    return swarm->expire_every_ms;
}

static int64_t depose_every_ms(const struct swarm *swarm)
{
    return swarm->depose_every_ms;
}

static int64_t quorum_loss_every_ms(const struct swarm *swarm)
{
    return swarm->quorum_loss_every_ms;
}

static int64_t clog_every_ms(const struct swarm *swarm)
{
    return swarm->clog_every_ms;
}

static int64_t cut_every_ms(const struct swarm *swarm)
{
    return swarm->cut_every_ms;
}

static int64_t disk_full_every_ms(const struct swarm *swarm)
{
    return swarm->disk_full_every_ms;
}

static int64_t disk_failure_every_ms(const struct swarm *swarm)
{
    return swarm->disk_failure_every_ms;
}

static const struct fault_kind kinds[] = {
    {crash_every_ms, crash},
    {power_cut_every_ms, cut_power},
    {orderly_stop_every_ms, stop},
    {pause_every_ms, freeze},
    {expire_every_ms, expire},
    {clog_every_ms, clog_link},
    {cut_every_ms, cut_link},
    {depose_every_ms, faults_depose},
    {quorum_loss_every_ms, lose_quorum},
    {disk_full_every_ms, disks_fill},
    {disk_failure_every_ms, disks_fail},
};

static void strike(struct world *world, int32_t broker, void *data)
{
    const struct fault_kind *kind = data;
    (void)broker;
    if (!world->safety)
        return;
    kind->strike(world);
    world_later(world, -1, prng_between(&world->faults, 1, 2 * kind->every_ms(&world->swarm)), strike, NULL,
                data);
}

void faults_init(struct world *world)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        int64_t every_ms = kinds[i].every_ms(&world->swarm);
        if (every_ms > 0)
            world_later(world, -1, 300 + prng_between(&world->faults, 1, 2 * every_ms), strike, NULL,
                        (void *)&kinds[i]);
    }
}

void faults_end(struct world *world)
{
    world_note(world, "faults end", TRACE_OF(0));
    fake_zookeeper_set_faults(world->zookeeper, 0, 0);
    fake_zookeeper_set_quorum(world->zookeeper, true);
    disks_end(world);
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct sim_broker *broker = &world->brokers[b];
        for (int32_t other = 0; other < world->swarm.brokers; other++)
            world->cut_until_ms[b][other] = world->clog_until_ms[b][other] = 0;
        if (broker->alive && memory_files_is_stopped(broker->disk))
            broker_kill(world, b, MEMORY_FILES_PROCESS_CRASH);
        if (broker->alive)
            memory_files_stop_after(broker->disk, UINT64_MAX);
        if (!broker->alive)
            broker_start(world, b);
        else if (broker->paused)
            broker_resume(world, b);
    }
}
