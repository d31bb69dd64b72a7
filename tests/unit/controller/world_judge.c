/* SPDX-License-Identifier: Apache-2.0 */
/* The judge: rules checked at each transaction of ZooKeeper, at each accepted message, and at the end. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_broker.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/controller/image.h"
#include "coordinator/zk/path.h"
#include "tests/unit/controller/world.h"

/* The newest state that a path has had, by topic id. */
struct ghost {
    struct uuid topic_id;
    int32_t leader_epoch;
};

void world_complain(struct world *world, const char *what, const char *where)
{
    world->violations++;
    if (world->complain_only)
        return;
    struct buffer dump;
    buffer_init(&dump);
    fprintf(stderr, "seed %" PRIu64 " at %" PRId64 " ms: %s: %s\n", world->options.seed, world->now_ms, what,
            where);
    for (int i = 0; i < world->broker_count; i++)
        if (world->brokers[i].alive)
            controller_dump(world->brokers[i].controller, &dump);
    fake_zookeeper_dump(world->zookeeper, &dump);
    fprintf(stderr, "%s", buffer_string(&dump));
    buffer_release(&dump);
    abort();
}

/* One leader for a topic id, partition and leader epoch (I13). */
static void judge_leader(struct world *world, struct uuid topic_id, int32_t partition, int32_t leader_epoch,
                         int32_t leader, const char *where)
{
    char id[UUID_TEXT_LENGTH + 1], key[80];
    uuid_format(topic_id, id);
    snprintf(key, sizeof(key), "%s-%d-%d", id, partition, leader_epoch);
    void *value = (void *)(uintptr_t)(leader + 2);
    void *known = map_get(world->led, slice_of(key));
    if (known == NULL)
        map_put(world->led, slice_of(key), value);
    else if (known != value)
        world_complain(world, "I13: two leaders in one epoch", where);
}

static bool topic_id_of(struct world *world, struct slice topic, struct uuid *id)
{
    char path[300];
    struct slice data;
    struct zk_stat stat;
    struct node_topic node;
    snprintf(path, sizeof(path), "/brokers/topics/%.*s", SLICE_ARGUMENTS(topic));
    if (!fake_zookeeper_read(world->zookeeper, path, &data, &stat))
        return false;
    if (world->read_mzxid != stat.mzxid) {
        if (node_topic_decode(data, &node, NULL) != 0)
            return false;
        world->read_mzxid = stat.mzxid;
        world->read_topic_id = node.topic_id;
        node_topic_release(&node);
    }
    *id = world->read_topic_id;
    return true;
}

static bool in_isr(const struct node_partition_state *state, int32_t broker)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker)
            return true;
    return false;
}

/* In the ISR, or eligible: who may lead without an unclean election. */
static bool has_seat(const struct node_partition_state *state, int32_t broker)
{
    for (size_t i = 0; i < state->elr_count; i++)
        if (state->elr[i] == broker)
            return true;
    return in_isr(state, broker);
}

static void judge_change_of_state(struct world *world, const struct node_partition_state *old,
                                  const struct node_partition_state *new, const char *path)
{
    if (new->leader_epoch < old->leader_epoch)
        world_complain(world, "I35: leader epoch fell", path);
    if (new->leader != old->leader &&new->leader_epoch == old->leader_epoch)
        world_complain(world, "I35: leader changed without a new epoch", path);
    if (new->leader != NODE_NO_LEADER &&new->leader != old->leader && !has_seat(old, new->leader))
        world_complain(world, "I27: the new leader was not in the ISR", path);
    for (size_t i = 0; i<new->isr_count &&new->leader_epoch> old->leader_epoch; i++)
        if (!has_seat(old, new->isr[i]))
            world_complain(world, "a decision has put a replica into the ISR", path);
}

static void judge_state(struct world *world, const struct fake_change *change, struct slice topic,
                        int32_t partition)
{
    struct node_partition_state old, new;
    struct buffer error;
    buffer_init(&error);
    if (node_partition_state_decode(change->data, &new, &error) != 0) {
        world_complain(world, "I26: illegal state", buffer_string(&error));
        buffer_release(&error);
        return;
    }
    buffer_release(&error);
    struct uuid topic_id;
    if (topic_id_of(world, topic, &topic_id)) {
        judge_leader(world, topic_id, partition, new.leader_epoch, new.leader, change->path);
        struct ghost *ghost = map_get(world->ghosts, slice_of(change->path));
        if (ghost == NULL) {
            ghost = memory_allocate_zeroed(1, sizeof(*ghost));
            map_put(world->ghosts, slice_of(change->path), ghost);
        } else if (uuid_equals(ghost->topic_id, topic_id) && new.leader_epoch < ghost->leader_epoch) {
            world_complain(world, "I35: leader epoch fell for a topic id", change->path);
        }
        *ghost = (struct ghost){topic_id, new.leader_epoch};
    } else {
        world_complain(world, "state of a topic that is not there", change->path);
    }
    if (change->kind == ZK_OPERATION_SET && node_partition_state_decode(change->old_data, &old, NULL) == 0) {
        judge_change_of_state(world, &old, &new, change->path);
        node_partition_state_release(&old);
    }
    node_partition_state_release(&new);
}

static bool reads_state(const struct world *world, struct slice topic, int32_t partition,
                        struct node_partition_state *state)
{
    char path[300];
    struct slice data;
    snprintf(path, sizeof(path), "/brokers/topics/%.*s/partitions/%d/state", SLICE_ARGUMENTS(topic),
             partition);
    return fake_zookeeper_read(world->zookeeper, path, &data, NULL) &&
           node_partition_state_decode(data, state, NULL) == 0;
}

/* Replicas leave when a move has arrived, or go back to the origin; and never the last that are in sync. */
static void judge_departure(struct world *world, struct slice topic, const struct node_assignment *old,
                            const struct node_assignment *new, const char *path)
{
    struct node_partition_state state;
    bool leaves = false, ends = new->adding.count == 0 && new->removing.count == 0 && old->removing.count > 0;
    for (size_t i = 0; i < old->replicas.count; i++) {
        bool stays = node_replicas_contains(&new->replicas, old->replicas.ids[i]);
        leaves = leaves || !stays;
        ends = ends && stays != node_replicas_contains(&old->removing, old->replicas.ids[i]);
    }
    if (!leaves || !reads_state(world, topic, old->partition, &state))
        return;
    size_t kept = 0, arrived = 0;
    for (size_t i = 0; i < new->replicas.count; i++) {
        arrived += in_isr(&state, new->replicas.ids[i]);
        kept += in_isr(&state, new->replicas.ids[i]);
    }
    if (kept == 0)
        world_complain(world, "I36: the last replicas in sync have left", path);
    if (ends && arrived < new->replicas.count)
        world_complain(world, "I36: replicas have left before the target was in the ISR", path);
    node_partition_state_release(&state);
}

static void judge_assignment(struct world *world, const struct fake_change *change, struct slice topic)
{
    struct node_topic old, new;
    if (node_topic_decode(change->old_data, &old, NULL) != 0)
        return;
    if (node_topic_decode(change->data, &new, NULL) == 0) {
        for (size_t i = 0; i < old.partition_count; i++) {
            const struct node_assignment *to = node_topic_find(&new, old.partitions[i].partition);
            if (to == NULL)
                world_complain(world, "a partition has been lost", change->path);
            else
                judge_departure(world, topic, &old.partitions[i], to, change->path);
        }
        node_topic_release(&new);
    }
    node_topic_release(&old);
}

/* Only the session that has made the newest controller epoch may write (I29). */
static void judge_writer(struct world *world, int64_t session, const char *path, enum zk_path_kind kind)
{
    bool controllers = kind == ZK_PATH_KIND_TOPIC || kind == ZK_PATH_KIND_TOPIC_PARTITIONS ||
                       kind == ZK_PATH_KIND_PARTITION || kind == ZK_PATH_KIND_PARTITION_STATE ||
                       kind == ZK_PATH_KIND_DELETE_TOPIC || kind == ZK_PATH_KIND_CONFIG_ENTITY ||
                       kind == ZK_PATH_KIND_PRODUCER_ID_BLOCK || kind == ZK_PATH_KIND_REASSIGN_PARTITIONS;
    if (controllers && session != world->controller_session)
        world_complain(world, "I29: a deposed controller has written", path);
}

void world_judge(void *context, int64_t zxid, int64_t session, const struct fake_change *changes,
                 size_t count)
{
    struct world *world = context;
    (void)zxid;
    world->last_writer = session;
    world->writes += session != 0;
    for (size_t i = 0; i < count; i++) {
        const struct fake_change *change = &changes[i];
        struct zk_path_parts parts;
        enum zk_path_kind kind = zk_path_parse(change->path, &parts);
        if (kind == ZK_PATH_KIND_CONTROLLER_EPOCH && change->kind == ZK_OPERATION_SET)
            world->controller_session = session;
        if (session != 0)
            judge_writer(world, session, change->path, kind);
        if (session != 0 && kind == ZK_PATH_KIND_PARTITION_STATE && change->kind != ZK_OPERATION_DELETE)
            judge_state(world, change, parts.topic, parts.partition);
        if (session != 0 && kind == ZK_PATH_KIND_TOPIC && change->kind == ZK_OPERATION_SET)
            judge_assignment(world, change, parts.topic);
    }
}

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
    judge_leader(world, topic->topic_id, partition->partition, partition->leader_epoch, partition->leader,
                 where);
    if (partition->leader == broker->id)
        judge_seat(world, broker, topic->name, partition, where);
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
        if (broker->alive && state.leader != NODE_NO_LEADER && !in_isr(&state, broker->id) &&
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
        if (!topic_id_of(world, slice_of(replica->topic), &id) || !uuid_equals(id, replica->topic_id))
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
