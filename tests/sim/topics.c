/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics come and go. They are made as a tool makes them, by their znode; the controller does the rest. In
 * some seeds they are deleted in the middle of everything, and when ZooKeeper has forgotten one, another of
 * the same name is made: of another id, with nothing in it.
 */
#include <stdio.h>
#include <string.h>

#include "coordinator/zk/node_topic.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

/* Until a topic that is gone is made again. */
#define ABSENT_MAX_MS 600

static struct sim_partition *first_partition(struct world *world, int32_t topic)
{
    return &world->partitions[topic * world->swarm.slots_each];
}

struct sim_topic *topic_of(struct world *world, int32_t partition)
{
    return &world->topics[partition / world->swarm.slots_each];
}

bool topic_is_stable(const struct world *world, int32_t partition)
{
    const struct sim_topic *topic = &world->topics[partition / world->swarm.slots_each];
    return topic->exists && !topic->deleting;
}

bool topic_is_of(const struct world *world, int32_t partition, struct uuid topic_id)
{
    const struct sim_topic *topic = &world->topics[partition / world->swarm.slots_each];
    return world->swarm.topics_without_id || uuid_equals(topic->id, topic_id);
}

void topics_define(struct world *world)
{
    const struct swarm *swarm = &world->swarm;
    for (int t = 0; t < swarm->topics; t++) {
        struct sim_topic *topic = &world->topics[t];
        snprintf(topic->path, sizeof(topic->path), "/brokers/topics/t%d", t);
        topic->min_insync_replicas = swarm->min_insync_replicas;
        for (int p = 0; p < swarm->slots_each; p++) {
            struct sim_partition *partition = &world->partitions[world->partition_count++];
            snprintf(partition->topic, sizeof(partition->topic), "t%d", t);
            partition->number = p;
            snprintf(partition->state_path, sizeof(partition->state_path),
                     "/brokers/topics/t%d/partitions/%d/state", t, p);
            int first = (int)prng_below(&world->workload, (uint64_t)swarm->brokers);
            partition->replicas_count = (size_t)swarm->replication_factor;
            for (int r = 0; r < swarm->replication_factor; r++)
                partition->replicas[r] = (first + r) % swarm->brokers + 1;
            partition->leader = NO_LEADER;
            partition->leader_epoch = -1;
        }
    }
}

/* Nothing is known of it, nothing was promised. */
static void forget(struct world *world, int32_t number)
{
    struct sim_partition *partition = &world->partitions[number];
    partition->has_state = false;
    partition->exists = partition->moving = false;
    partition->unclean_asked = partition->voided = false;
    partition->leader = NO_LEADER;
    partition->leader_epoch = -1;
    partition->isr_count = 0;
    partition->leaders_count = 0;
    partition->claimed = 0;
    partition->deleted = 0;
    ghost_release(&partition->ghost);
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        world->brokers[b].memories[number].seen = false;
    for (int c = 0; c < SIM_CONSUMERS; c++)
        world->consumers[c].positions[number] = 0;
}

static void create(struct world *world, int32_t number)
{
    struct sim_topic *topic = &world->topics[number];
    const struct sim_partition *first = first_partition(world, number);
    struct node_topic node;
    node_topic_init(&node);
    uint8_t random[16];
    for (size_t i = 0; i < sizeof(random); i++)
        random[i] = (uint8_t)prng_below(&world->workload, 256);
    topic->id = uuid_from_random(random);
    topic->exists = true;
    topic->deleting = false;
    node.has_topic_id = !world->swarm.topics_without_id;
    if (node.has_topic_id)
        node.topic_id = topic->id;
    for (int p = 0; p < world->swarm.partitions_each; p++)
        node_topic_add_partition(&node, first[p].replicas, first[p].replicas_count);
    for (int p = 0; p < world->swarm.slots_each; p++)
        forget(world, number * world->swarm.slots_each + p);
    buffer_clear(&world->scratch);
    node_topic_encode(&node, &world->scratch);
    world_note(world, "topic %lld is made", TRACE_OF(number));
    fake_zookeeper_put(world->zookeeper, topic->path, buffer_slice(&world->scratch));
    node_topic_release(&node);
}

static void create_all(struct world *world, int32_t broker, void *data)
{
    (void)broker;
    (void)data;
    for (int32_t t = 0; t < world->swarm.topics; t++)
        create(world, t);
}

static void create_again(struct world *world, int32_t broker, void *data)
{
    struct sim_topic *topic = data;
    (void)broker;
    create(world, (int32_t)(topic - world->topics));
}

/* What ZooKeeper says of one partition's replicas now; NULL: there is no such partition. */
static void take_assignment(struct world *world, struct sim_partition *partition,
                            const struct node_assignment *assignment)
{
    if (assignment == NULL || assignment->replicas.count > SIM_BROKERS_MAX)
        return;
    bool moving = assignment->adding.count + assignment->removing.count > 0;
    world->counters.partitions_grown +=
        !partition->exists && partition->number >= world->swarm.partitions_each;
    world->counters.moves_ended += partition->moving && !moving;
    partition->exists = true;
    partition->moving = moving;
    partition->replicas_count = assignment->replicas.count;
    int64_t ids = 0;
    for (size_t i = 0; i < assignment->replicas.count; i++) {
        partition->replicas[i] = assignment->replicas.ids[i];
        ids = ids * 10 + assignment->replicas.ids[i];
    }
    world_note(world, "ZooKeeper: partition %lld has the replicas %lld (moving: %lld)",
               TRACE_OF(partition - world->partitions, ids, moving));
}

void topics_on_written(struct world *world, const char *path, struct slice data)
{
    for (int32_t t = 0; t < world->swarm.topics; t++) {
        struct node_topic node;
        if (strcmp(path, world->topics[t].path) != 0)
            continue;
        if (node_topic_decode(data, &node, NULL) != 0) {
            world_fail(world, "I36", "the znode of topic %lld cannot be read", TRACE_OF(t));
            return;
        }
        for (int p = 0; p < world->swarm.slots_each; p++)
            take_assignment(world, first_partition(world, t) + p, node_topic_find(&node, p));
        node_topic_release(&node);
    }
}

/* A broker that had left the replicas, and has not heard of it, does not hear of the deletion either. */
static void note_departed(struct world *world, int32_t number)
{
    const struct sim_partition *partition = &world->partitions[number];
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        bool assigned = false;
        for (size_t i = 0; i < partition->replicas_count; i++)
            assigned = assigned || partition->replicas[i] == b + 1;
        world->brokers[b].memories[number].may_linger = !assigned;
    }
}

void topics_on_removed(struct world *world, const char *path)
{
    for (int32_t t = 0; t < world->swarm.topics; t++) {
        struct sim_topic *topic = &world->topics[t];
        if (strcmp(path, topic->path) != 0)
            continue;
        world_note(world, "topic %lld is gone from ZooKeeper", TRACE_OF(t));
        topic->exists = false;
        for (int32_t p = 0; p < world->swarm.slots_each; p++)
            note_departed(world, t * world->swarm.slots_each + p);
        if (!topic->deleting)
            world_fail(world, "I36", "topic %lld was removed, and nobody has asked for it", TRACE_OF(t));
        world->counters.topics_deleted++;
        world_later(world, -1, prng_between(&world->workload, 0, ABSENT_MAX_MS), create_again, NULL, topic);
    }
}

static void delete_next(struct world *world, int32_t broker, void *data)
{
    (void)broker;
    int32_t number = (int32_t)prng_below(&world->workload, (uint64_t)world->swarm.topics);
    struct sim_topic *topic = &world->topics[number];
    if (!world->safety)
        return;
    if (topic->exists && !topic->deleting) {
        char path[64];
        snprintf(path, sizeof(path), "/admin/delete_topics/t%d", number);
        world_note(world, "topic %lld is to be deleted", TRACE_OF(number));
        topic->deleting = true;
        fake_zookeeper_put(world->zookeeper, path, slice_of(NULL));
    }
    world_later(world, -1, prng_between(&world->workload, 1, 2 * world->swarm.delete_topic_ms), delete_next,
                NULL, data);
}

void topics_init(struct world *world)
{
    world_later(world, -1, prng_between(&world->workload, 0, 400), create_all, NULL, NULL);
    if (world->swarm.delete_topic_ms > 0)
        world_later(world, -1, prng_between(&world->workload, 500, 3000), delete_next, NULL, NULL);
}
