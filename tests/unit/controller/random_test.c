/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of seeded runs: brokers start, die, lose sessions and connections; topics come, grow and go, by
 * tools and by requests; leaders change their ISR; whoever has just written may be killed at once; answers
 * and messages are lost. Then the faults end, and everything must come to rest and agree.
 *
 *   controller_random_test [first seed [count]]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "tests/unit/controller/world.h"

#define TOPICS 4

static struct world_broker *random_broker(struct world *world)
{
    return &world->brokers[prng_below(&world->prng, (uint64_t)world->broker_count)];
}

static int alive(const struct world *world)
{
    int count = 0;
    for (int i = 0; i < world->broker_count; i++)
        count += world->brokers[i].alive;
    return count;
}

static void topic_path(struct world *world, char path[64], const char *parent)
{
    snprintf(path, 64, "%s/t%d", parent, (int)prng_below(&world->prng, TOPICS));
}

/* A tool writes the topic's znode anew, often with more partitions. (What happens to an id that an old tool
 * drops is tested elsewhere: it cannot survive if the controller dies before it has put it back.) */
static void rewrite_topic(struct world *world)
{
    char path[64];
    struct slice data;
    struct node_topic node;
    topic_path(world, path, "/brokers/topics");
    if (!fake_zookeeper_read(world->zookeeper, path, &data, NULL) ||
        node_topic_decode(data, &node, NULL) != 0)
        return;
    if (node.partition_count < 6 && prng_one_in(&world->prng, 2)) {
        const struct node_replicas *replicas = &node.partitions[0].replicas;
        node_topic_add_partition(&node, replicas->ids, replicas->count);
    }
    struct buffer text;
    buffer_init(&text);
    node_topic_encode(&node, &text);
    fake_zookeeper_put(world->zookeeper, path, buffer_slice(&text));
    buffer_release(&text);
    node_topic_release(&node);
}

static void delete_topic(struct world *world)
{
    char path[64];
    topic_path(world, path, "/admin/delete_topics");
    fake_zookeeper_put(world->zookeeper, path, slice_of(NULL));
}

static void create_topic(struct world *world)
{
    char path[64];
    topic_path(world, path, "/brokers/topics");
    if (!fake_zookeeper_read(world->zookeeper, path, NULL, NULL))
        world_put_topic(world, strrchr(path, '/') + 1, 1 + (int32_t)prng_below(&world->prng, 3),
                        1 + prng_below(&world->prng, (uint64_t)min_i64(3, world->broker_count)));
}

/* A leader proposes some ISR of replicas that it believes to be alive. */
static void propose(struct world *world)
{
    struct world_broker *broker = random_broker(world);
    size_t position = 0;
    void *value;
    if (!broker->alive)
        return;
    while (map_next(broker->replicas, &position, NULL, &value)) {
        struct world_replica *replica = value;
        struct isr_member isr[WORLD_BROKERS_MAX];
        size_t count = 0;
        if (replica->leader != broker->id || !prng_one_in(&world->prng, 2))
            continue;
        for (size_t i = 0; i < replica->replicas_count; i++) {
            int32_t id = replica->replicas[i];
            int64_t epoch = id == broker->id ? broker->epoch : broker->known_epochs[id - 1];
            if (id == broker->id || (epoch >= 0 && prng_one_in(&world->prng, 2)))
                isr[count++] = (struct isr_member){id, epoch};
        }
        world_propose(world, broker, replica, isr, count);
        return;
    }
}

static void fault(struct world *world)
{
    struct world_broker *broker = random_broker(world);
    switch (prng_below(&world->prng, 8)) {
    case 0:
    case 1:
        if (broker->alive && alive(world) > 1)
            world_kill(world, broker->id);
        return;
    case 2:
    case 3:
    case 4:
        if (!broker->alive)
            world_start(world, broker->id);
        return;
    case 5:
        if (broker->alive)
            fake_client_expire(broker->client);
        return;
    case 6:
        if (broker->alive) {
            fake_client_disconnect(broker->client);
            fake_client_connect(broker->client);
        }
        return;
    default:
        if (broker->alive)
            fake_client_pause(broker->client, prng_one_in(&world->prng, 2));
        return;
    }
}

static void something(struct world *world)
{
    switch (prng_below(&world->prng, 10)) {
    case 0:
    case 1:
        create_topic(world);
        return;
    case 2:
        delete_topic(world);
        return;
    case 3:
        rewrite_topic(world);
        return;
    case 4:
    case 5:
    case 6:
        propose(world);
        return;
    default:
        fault(world);
        return;
    }
}

static void kill_writer(struct world *world, int64_t session)
{
    for (int i = 0; i < world->broker_count && alive(world) > 1; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (broker->alive && zk_client_session_id(fake_client_zk(broker->client)) == session) {
            world_kill(world, broker->id);
            return;
        }
    }
}

static void heal(struct world *world)
{
    world->lose_message_one_in = 0;
    fake_zookeeper_set_faults(world->zookeeper, 0, 0);
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (!broker->alive)
            world_start(world, broker->id);
        fake_client_pause(broker->client, false);
        fake_client_connect(broker->client);
    }
}

static bool never(struct world *world)
{
    (void)world;
    return false;
}

static uint32_t run(uint64_t seed, struct world_options options, bool complain_only)
{
    options.seed = seed;
    struct prng swarm;
    prng_init(&swarm, seed ^ 0x5eed);
    options.brokers = 1 + (int)prng_below(&swarm, 5);
    options.zookeeper_servers = prng_one_in(&swarm, 2) ? 3 : 1;
    options.keep_intact = prng_one_in(&swarm, 2);
    struct world *world = world_new(&options);
    world->complain_only = complain_only;
    world->lose_message_one_in = prng_one_in(&swarm, 2) ? 10 : 0;
    fake_zookeeper_set_faults(world->zookeeper, prng_one_in(&swarm, 2) ? 8 : 0,
                              prng_one_in(&swarm, 2) ? 60 : 0);
    uint64_t kill_one_in = prng_one_in(&swarm, 2) ? 1 + prng_below(&swarm, 12) : 0;
    uint64_t event_one_in = 5 + prng_below(&swarm, 60);
    size_t steps = 200 + prng_below(&swarm, 1500);
    for (int i = 0; i < world->broker_count; i++)
        world_start(world, i + 1);
    for (size_t step = 0; step < steps; step++) {
        uint64_t writes = world->writes;
        world_step(world);
        if (world->writes != writes && kill_one_in > 0 && prng_one_in(&world->prng, kill_one_in))
            kill_writer(world, world->last_writer);
        if (prng_one_in(&world->prng, event_one_in))
            something(world);
    }
    heal(world);
    if (!world_run(world, 60000, world_is_at_rest) && !complain_only)
        world_complain(world, "does not come to rest", "");
    if (!complain_only) {
        world_check_converged(world);
        uint64_t writes = world->writes;
        world_run(world, 130000, never);
        if (world->writes != writes)
            world_complain(world, "writes although nothing happens", "");
        world_check_converged(world);
    }
    uint32_t violations = world->violations;
    world_free(world);
    return violations;
}

/* Each rule switched off must be noticed within so many seeds. */
static void find_fault(const char *name, struct world_options options, uint64_t seeds)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        if (run(seed, options, true) == 0)
            continue;
        printf("%s: found by seed %" PRIu64 "\n", name, seed);
        return;
    }
    fprintf(stderr, "%s: not found in %" PRIu64 " seeds\n", name, seeds);
    exit(1);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1500;
    struct world_options options = {.log = argc > 3};
#ifdef BARNABAS_SANITIZED
    count = argc > 2 ? count : 300;
#endif
    for (uint64_t seed = first; seed < first + count; seed++)
        run(seed, options, false);
    printf("%" PRIu64 " seeds from %" PRIu64 " are clean\n", count, first);
    if (argc > 1)
        return 0;
    find_fault("unclean election", (struct world_options){.unclean_always_fault = true}, 500);
    find_fault("seats by broker id", (struct world_options){.isr_by_id_fault = true}, 500);
    find_fault("no reconciliation", (struct world_options){.skip_reconciliation_fault = true}, 1000);
    return 0;
}
