/* SPDX-License-Identifier: Apache-2.0 */
/* The events of a run, and its mix. */
#include "tests/unit/controller/random_events.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/check.h"
#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"
#include "tests/unit/controller/random_requests.h"

static struct world_broker *random_broker(struct world *world)
{
    return &world->brokers[prng_below(&world->prng, (uint64_t)world->broker_count)];
}

static int count_alive(const struct world *world)
{
    int count = 0;
    for (int i = 0; i < world->broker_count; i++)
        count += world->brokers[i].alive;
    return count;
}

/* ---- proposals ---- */

static struct world_replica *random_replica(struct world_broker *broker, bool led)
{
    struct world_replica *found = NULL;
    size_t position = 0, seen = 0;
    void *value;
    while (map_next(broker->replicas, &position, NULL, &value)) {
        struct world_replica *replica = value;
        if ((!led || replica->leader == broker->id) && prng_one_in(&broker->world->prng, ++seen))
            found = replica;
    }
    return found;
}

/* Itself, and each of the others by a coin, in the lives that it has heard of. */
static size_t some_members(struct world_broker *broker, const struct world_replica *replica,
                           struct isr_member *isr)
{
    size_t count = 0;
    for (size_t i = 0; i < replica->replicas_count; i++) {
        int32_t id = replica->replicas[i];
        int64_t epoch = id == broker->id ? broker->epoch : broker->known_epochs[id - 1];
        if (id == broker->id || (epoch >= 0 && prng_one_in(&broker->world->prng, 2)))
            isr[count++] = (struct isr_member){id, epoch};
    }
    return count;
}

/* A leader proposes some ISR of replicas that it believes to be alive. */
static void propose(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world);
    struct world_replica *replica = broker->alive ? random_replica(broker, true) : NULL;
    struct isr_member isr[WORLD_BROKERS_MAX];
    if (replica != NULL)
        world_propose(run->world, broker, replica, isr, some_members(broker, replica, isr));
}

/* Everything about it may be wrong: who asks, of whom, in which epochs, for whom. */
static void propose_anything(struct random_run *run)
{
    struct world *world = run->world;
    struct prng *prng = &world->prng;
    struct world_broker *broker = random_broker(world), *to = random_controller(world);
    struct world_replica *replica = broker->alive ? random_replica(broker, !prng_one_in(prng, 4)) : NULL;
    struct isr_member isr[WORLD_BROKERS_MAX];
    if (replica == NULL || to == NULL)
        return;
    struct alter_partition_item item = {.topic = slice_of(replica->topic),
                                        .topic_id = replica->topic_id,
                                        .partition = replica->partition,
                                        .leader_epoch = replica->leader_epoch,
                                        .partition_epoch = replica->partition_epoch,
                                        .isr = isr,
                                        .isr_count = some_members(broker, replica, isr),
                                        .recovering = prng_one_in(prng, 6)};
    size_t any = prng_below(prng, item.isr_count);
    switch (prng_below(prng, 9)) {
    case 0:
        item.leader_epoch += (int32_t)prng_between(prng, -2, 2);
        break;
    case 1:
        item.partition_epoch += (int32_t)prng_between(prng, -2, 2);
        break;
    case 2:
        isr[any].broker_epoch += prng_between(prng, -3, 3);
        break;
    case 3:
        isr[any].broker_id = 1 + (int32_t)prng_below(prng, WORLD_BROKERS_MAX - 1);
        break;
    case 4:
        item.isr_count = 0;
        break;
    case 5:
        item.topic_id.bytes[3] ^= 1;
        break;
    case 6:
        item.partition += 10;
        break;
    default:
        break;
    }
    int64_t epoch = prng_one_in(prng, 6) ? broker->epoch - 1 : broker->epoch;
    world_propose_item(broker, epoch, to, &item);
    if (to->alive && prng_one_in(prng, 3)) /* the same again */
        world_propose_item(broker, epoch, to, &item);
}

/* ---- brokers ---- */

static void kill_one(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world);
    if (broker->alive && count_alive(run->world) > 1)
        world_kill(run->world, broker->id);
}

/* Its kernel lived on, or it was stopped in order: nothing is lost; or not. */
static void start_one(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world);
    if (broker->alive)
        return;
    if (prng_one_in(&run->world->prng, 3))
        broker->intact_since = -1;
    world_start(run->world, broker->id);
}

static void expire(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world);
    if (broker->alive)
        fake_client_expire(broker->client);
}

static void reconnect(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world);
    if (!broker->alive)
        return;
    fake_client_disconnect(broker->client);
    fake_client_connect(broker->client);
}

/* ZooKeeper and the process no longer hear of each other, while messages go on: who was in office acts on
 * as if it still were. */
static void deafen(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world);
    if (broker->alive)
        fake_client_pause(broker->client, prng_one_in(&run->world->prng, 2));
}

static void shut_down(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world), *to = random_controller(run->world);
    if (!broker->alive || to == NULL || broker->epoch < 0)
        return;
    run->stopping_life[broker->id] = broker->life;
    const struct control_request request = {
        .kind = CONTROL_CONTROLLED_SHUTDOWN,
        .controlled_shutdown = {.broker_id = broker->id,
                                .broker_epoch = broker->epoch - prng_one_in(&run->world->prng, 10)}};
    world_ask_as_broker(to, &request);
}

static void allocate_producer_ids(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world), *to = random_controller(run->world);
    if (!broker->alive || to == NULL)
        return;
    const struct control_request request = {
        .kind = CONTROL_ALLOCATE_PRODUCER_IDS,
        .allocate_producer_ids = {.broker_id = broker->id, .broker_epoch = broker->epoch}};
    world_ask_as_broker(to, &request);
}

static void tell_directories(struct random_run *run, int32_t broker_id)
{
    char path[96];
    struct buffer text;
    const struct node_log_dir_event event = {.broker_id = broker_id, .event = NODE_LOG_DIR_FAILURE};
    buffer_init(&text);
    node_log_dir_event_encode(&event, &text);
    snprintf(path, sizeof(path), "%s%010u", ZK_PATH_LOG_DIR_EVENT_PREFIX, run->directory_events++);
    fake_zookeeper_put(run->world->zookeeper, path, buffer_slice(&text));
    buffer_release(&text);
}

static void disk(struct random_run *run)
{
    struct world_broker *broker = random_broker(run->world);
    run->disk_is_bad[broker->id] = prng_one_in(&run->world->prng, 2);
    tell_directories(run, broker->id);
}

static int16_t refuse_partition(struct world *world, int32_t broker, struct slice topic, int32_t partition)
{
    const struct random_run *run = world->options.context;
    bool half = topic.length > 0 && (((uint8_t)topic.data[topic.length - 1] + (uint32_t)partition) & 1) != 0;
    return run->disk_is_bad[broker] && half ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NONE;
}

/* ---- the mix ---- */

struct kind {
    const char *name;
    uint32_t weight;
    void (*of_run)(struct random_run *run);
    void (*of_world)(struct world *world);
};

static const struct kind kinds[] = {
    {"propose", 14, propose, NULL},
    {"start", 12, start_one, NULL},
    {"a tool creates a topic", 6, NULL, random_tool_creates},
    {"CreateTopics", 6, NULL, random_create_topics},
    /* those below may be left out */
    {"kill", 6, kill_one, NULL},
    {"propose anything", 5, propose_anything, NULL},
    {"expire", 3, expire, NULL},
    {"reconnect", 3, reconnect, NULL},
    {"deafen", 5, deafen, NULL},
    {"ControlledShutdown", 2, shut_down, NULL},
    {"AllocateProducerIds", 1, allocate_producer_ids, NULL},
    {"disk", 2, disk, NULL},
    {"DeleteTopics", 3, NULL, random_delete_topics},
    {"CreatePartitions", 3, NULL, random_create_partitions},
    {"AlterPartitionReassignments", 8, NULL, random_reassign},
    {"ElectLeaders, preferred", 3, NULL, random_elect_preferred},
    {"ElectLeaders, unclean", 2, NULL, random_elect_unclean},
    {"a tool adds partitions", 3, NULL, random_tool_grows},
    {"a tool deletes a topic", 3, NULL, random_tool_deletes},
    {"a tool moves replicas", 4, NULL, random_tool_reassigns},
    {"a tool elects preferred leaders", 3, NULL, random_tool_elects},
    {"garbage", 2, NULL, random_tool_garbage},
    {"min.insync.replicas", 2, NULL, random_tool_min_isr},
    {"unclean.leader.election.enable", 1, NULL, random_tool_unclean},
    {"/controller is removed", 1, NULL, random_tool_removes_controller},
};

#define ALWAYS 4 /* of the kinds */

static void happen(struct random_run *run)
{
    uint32_t all = 0;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        all += (run->left_out >> i & 1) != 0 ? 0 : kinds[i].weight;
    uint64_t at = prng_below(&run->world->prng, all);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if ((run->left_out >> i & 1) != 0)
            continue;
        if (at >= kinds[i].weight) {
            at -= kinds[i].weight;
            continue;
        }
        if (run->tells)
            printf("%8" PRId64 " ms: %s\n", run->world->now_ms, kinds[i].name);
        if (kinds[i].of_run != NULL)
            kinds[i].of_run(run);
        else
            kinds[i].of_world(run->world);
        return;
    }
}

void random_run_draw(struct random_run *run, uint64_t seed, struct world_options *options)
{
    struct prng swarm;
    bool tells = run->tells;
    prng_init(&swarm, seed ^ 0x5eed);
    *run = (struct random_run){.tells = tells};
    options->seed = seed;
    options->context = run;
    options->refuse_partition = refuse_partition;
    options->brokers = 1 + (int)prng_below(&swarm, 5);
    options->zookeeper_servers = prng_one_in(&swarm, 2) ? 3 : 1;
    options->keep_intact = prng_one_in(&swarm, 2);
    options->zookeeper_delay_ms = prng_one_in(&swarm, 2) ? (int64_t)prng_below(&swarm, 60) : 0;
    options->min_insync_replicas = 1 + (int32_t)prng_below(&swarm, 2);
    options->unclean_leader_election = prng_one_in(&swarm, 8);
    options->auto_leader_rebalance = prng_one_in(&swarm, 3);
    options->leader_imbalance_percentage = 0;
    options->leader_imbalance_check_ms = 3000;
    options->lose_message_one_in = prng_one_in(&swarm, 2) ? 10 : 0;
    options->lose_answer_one_in = prng_one_in(&swarm, 2) ? 8 : 0;
    options->cut_one_in = prng_one_in(&swarm, 2) ? 60 : 0;
    run->kill_writer_one_in = prng_one_in(&swarm, 2) ? 1 + prng_below(&swarm, 12) : 0;
    run->event_one_in = 5 + prng_below(&swarm, 60);
    run->steps = 200 + prng_below(&swarm, 1500);
    for (size_t i = ALWAYS; i < ARRAY_SIZE(kinds); i++)
        if (prng_one_in(&swarm, 2))
            run->left_out |= 1u << i;
}

static void kill_writer(struct world *world, int64_t session)
{
    for (int i = 0; i < world->broker_count && count_alive(world) > 1; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (broker->alive && zk_client_session_id(fake_client_zk(broker->client)) == session) {
            world_kill(world, broker->id);
            return;
        }
    }
}

void random_run_play(struct random_run *run, struct world *world)
{
    run->world = world;
    for (int i = 0; i < world->broker_count; i++)
        world_start(world, i + 1);
    for (size_t step = 0; step < run->steps; step++) {
        uint64_t writes = world->writes;
        world_step(world);
        if (world->writes != writes && run->kill_writer_one_in > 0 &&
            prng_one_in(&world->prng, run->kill_writer_one_in)) {
            if (run->tells)
                printf("%8" PRId64 " ms: who has just written dies\n", world->now_ms);
            kill_writer(world, world->last_writer);
        }
        if (prng_one_in(&world->prng, run->event_one_in))
            happen(run);
    }
}

void random_run_heal(struct random_run *run)
{
    struct world *world = run->world;
    world->lose_message_one_in = 0;
    world->options.zookeeper_delay_ms = 0;
    fake_zookeeper_set_faults(world->zookeeper, 0, 0);
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (broker->alive && run->stopping_life[broker->id] == broker->life)
            world_kill(world, broker->id); /* what has announced its stop, stops */
        if (!broker->alive)
            world_start(world, broker->id);
        fake_client_pause(broker->client, false);
        fake_client_connect(broker->client);
        if (run->disk_is_bad[broker->id])
            tell_directories(run, broker->id);
        run->disk_is_bad[broker->id] = false;
    }
}
