/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of messages, and of the end: what brokers were told, and that all agree when all is at rest. */
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/controller/image.h"
#include "tests/unit/controller/world.h"

/* A broker that is appointed must hold, in ZooKeeper, a seat of its present life. */
static void judge_seat(struct world *world, const struct world_broker *broker, struct slice topic,
                       const struct control_partition *partition, const char *where)
{
    char path[300];
    struct slice data;
    struct node_partition_state state;
    snprintf(path, sizeof(path), "/brokers/topics/%.*s/partitions/%d/state", SLICE_ARGUMENTS(topic),
             partition->partition);
    if (!fake_zookeeper_read(world->zookeeper, path, &data, NULL) ||
        node_partition_state_decode(data, &state, NULL) != 0)
        return;
    for (size_t i = 0; i < state.isr_count && state.leader_epoch == partition->leader_epoch; i++)
        if (state.isr[i] == broker->id && state.isr_broker_epochs[i] != broker->epoch)
            world_complain(world, "I31: appointed by a seat of another life", where);
    node_partition_state_release(&state);
}

void world_judge_accepted(struct world *world, const struct world_broker *broker,
                          const struct control_topic *topic, const struct control_partition *partition)
{
    char where[300];
    snprintf(where, sizeof(where), "broker %d, %.*s-%d", broker->id, SLICE_ARGUMENTS(topic->name),
             partition->partition);
    world_judge_leader(world, topic->topic_id, partition->partition, partition->leader_epoch,
                       partition->leader, where);
    world_judge_told(world, topic->topic_id, partition->partition, partition->leader_epoch,
                     partition->partition_epoch, partition->leader, partition->isr, partition->isr_count,
                     where);
    if (partition->leader == broker->id)
        judge_seat(world, broker, topic->name, partition, where);
}

/* One message at a time to each life of a broker, of one controller (I33). */
void world_judge_sent(struct world_broker *from, const struct control_request *request, int32_t to)
{
    struct world *world = from->world;
    char where[64];
    int64_t broker_epoch;
    int32_t epoch = world_message_epochs(request, &broker_epoch);
    list_for_each(node, &world->messages)
    {
        const struct world_message *other = container_of(node, struct world_message, node);
        if (other->is_late)
            continue;
        int32_t sender = other->is_answer ? other->to : other->from;
        int32_t receiver = other->is_answer ? other->from : other->to;
        uint32_t life = other->is_answer ? other->to_life : other->from_life;
        if (sender != from->id || receiver != to || life != from->life || other->controller_epoch != epoch ||
            other->broker_epoch != broker_epoch)
            continue;
        snprintf(where, sizeof(where), "from %d to %d", from->id, to);
        world_complain(world, "I33: a message before the former one was answered", where);
    }
}

/* ---- at the end ---- */

static int64_t registered_epoch(const struct world *world, int32_t broker)
{
    char path[32];
    struct zk_stat stat;
    snprintf(path, sizeof(path), "/brokers/ids/%d", broker);
    return fake_zookeeper_read(world->zookeeper, path, NULL, &stat) ? stat.czxid : -1;
}

static void check_told(struct world *world, struct map *told, const struct world_broker *broker,
                       const char *topic, int32_t partition, const struct node_partition_state *state,
                       const char *what)
{
    const struct world_replica *replica = world_find(told, topic, partition);
    char where[300];
    snprintf(where, sizeof(where), "%s of broker %d, %s-%d", what, broker->id, topic, partition);
    if (replica == NULL)
        world_complain(world, "not told of a partition", where);
    else if (replica->leader != state->leader || replica->leader_epoch != state->leader_epoch)
        world_complain(world, "told another leader than ZooKeeper has", where);
}

static void check_partition(struct world *world, const char *topic, const struct node_assignment *assignment)
{
    char path[300];
    struct slice data;
    struct node_partition_state state;
    snprintf(path, sizeof(path), "/brokers/topics/%s/partitions/%d/state", topic, assignment->partition);
    bool any_live = false;
    for (size_t i = 0; i < assignment->replicas.count; i++)
        any_live = any_live || registered_epoch(world, assignment->replicas.ids[i]) >= 0;
    if (!fake_zookeeper_read(world->zookeeper, path, &data, NULL) ||
        node_partition_state_decode(data, &state, NULL) != 0) {
        if (any_live)
            world_complain(world, "no state", path);
        return;
    }
    bool isr_live = false;
    for (size_t i = 0; i < state.isr_count; i++) {
        int64_t epoch = registered_epoch(world, state.isr[i]);
        isr_live = isr_live || epoch >= 0;
        if (state.leader != NODE_NO_LEADER && state.isr_broker_epochs[i] != epoch)
            world_complain(world, "I25: a seat of another life", path);
    }
    if (isr_live && state.leader == NODE_NO_LEADER)
        world_complain(world, "no leader although a member lives", path);
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (!broker->alive)
            continue;
        check_told(world, broker->metadata, broker, topic, assignment->partition, &state, "metadata");
        for (size_t r = 0; r < assignment->replicas.count; r++)
            if (assignment->replicas.ids[r] == broker->id)
                check_told(world, broker->replicas, broker, topic, assignment->partition, &state, "replica");
    }
    /* a replica that has left is gone from brokers' disks */
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (broker->alive && state.leader != NODE_NO_LEADER && !world_in_isr(&state, broker->id) &&
            !node_replicas_contains(&assignment->replicas, broker->id) &&
            world_find(broker->replicas, topic, assignment->partition) != NULL)
            world_complain(world, "I36: a replica that has left is still there", path);
    }
    node_partition_state_release(&state);
}

/* Everything that brokers hold is of a topic that is there. */
static void check_nothing_left(struct world *world, struct map *map, const char *what)
{
    size_t position = 0;
    void *value;
    while (map_next(map, &position, NULL, &value)) {
        const struct world_replica *replica = value;
        struct uuid id;
        if (!world_topic_id(world, slice_of(replica->topic), &id) || !uuid_equals(id, replica->topic_id))
            world_complain(world, what, replica->topic);
    }
}

void world_check_converged(struct world *world)
{
    const char **topics;
    size_t count = fake_zookeeper_list(world->zookeeper, "/brokers/topics", &topics);
    for (size_t t = 0; t < count; t++) {
        char path[300];
        struct slice data;
        struct node_topic node;
        snprintf(path, sizeof(path), "/brokers/topics/%s", topics[t]);
        if (!fake_zookeeper_read(world->zookeeper, path, &data, NULL) ||
            node_topic_decode(data, &node, NULL) != 0)
            continue;
        if (!node.has_topic_id)
            world_complain(world, "topic without id", path);
        for (size_t i = 0; i < node.partition_count; i++)
            check_partition(world, topics[t], &node.partitions[i]);
        node_topic_release(&node);
    }
    free(topics);
    for (int i = 0; i < world->broker_count; i++) {
        if (!world->brokers[i].alive)
            continue;
        check_nothing_left(world, world->brokers[i].metadata, "metadata of a topic that is gone");
        check_nothing_left(world, world->brokers[i].replicas, "replica of a topic that is gone");
        if (controller_gauges(world->brokers[i].controller).healed > 0)
            world_complain(world, "I34: only the comparison found a change", "");
    }
}
