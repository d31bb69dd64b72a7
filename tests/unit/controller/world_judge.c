/* SPDX-License-Identifier: Apache-2.0 */
/* The judge of transactions: who wrote, and what becomes of topics, assignments and registrations. */
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

void world_complain(struct world *world, const char *what, const char *where)
{
    world->violations++;
    if (world->complain_only)
        return;
    struct buffer dump;
    fflush(stdout); /* the story so far */
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
void world_judge_leader(struct world *world, struct uuid topic_id, int32_t partition, int32_t leader_epoch,
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

bool world_topic_id(struct world *world, struct slice topic, struct uuid *id)
{
    char path[300];
    struct slice data;
    struct zk_stat stat;
    struct node_topic node;
    snprintf(path, sizeof(path), "/brokers/topics/%.*s", SLICE_ARGUMENTS(topic));
    if (!fake_zookeeper_read(world->zookeeper, path, &data, &stat))
        return false;
    if (world->read_mzxid != stat.mzxid || strcmp(world->read_path, path) != 0) {
        if (node_topic_decode(data, &node, NULL) != 0)
            return false;
        world->read_mzxid = stat.mzxid;
        world->read_topic_id = node.topic_id;
        snprintf(world->read_path, sizeof(world->read_path), "%s", path);
        node_topic_release(&node);
    }
    *id = world->read_topic_id;
    return true;
}

bool world_in_isr(const struct node_partition_state *state, int32_t broker)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker)
            return true;
    return false;
}

bool world_read_state(const struct world *world, struct slice topic, int32_t partition,
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
    if (!leaves || !world_read_state(world, topic, old->partition, &state))
        return;
    size_t kept = 0, arrived = 0;
    for (size_t i = 0; i < new->replicas.count; i++) {
        arrived += world_in_isr(&state, new->replicas.ids[i]);
        kept += world_in_isr(&state, new->replicas.ids[i]);
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

/* The leader epoch of the partition that the transaction writes; -1: it does not write its state. */
static int32_t epoch_written(const struct fake_change *changes, size_t count, struct slice topic,
                             int32_t partition, int32_t *old_epoch)
{
    for (size_t i = 0; i < count; i++) {
        struct zk_path_parts parts;
        struct node_partition_state old, new;
        if (zk_path_parse(changes[i].path, &parts) != ZK_PATH_KIND_PARTITION_STATE ||
            changes[i].kind != ZK_OPERATION_SET || !slice_equals(parts.topic, topic) ||
            parts.partition != partition || node_partition_state_decode(changes[i].data, &new, NULL) != 0)
            continue;
        int32_t epoch = new.leader_epoch;
        node_partition_state_release(&new);
        if (node_partition_state_decode(changes[i].old_data, &old, NULL) != 0)
            return -1;
        *old_epoch = old.leader_epoch;
        node_partition_state_release(&old);
        return epoch;
    }
    return -1;
}

/* Above this the states may not fit beside the topic's znode; then they go ahead in a write of their own. */
#define SMALL_TOPIC_BYTES 16384

/* Who is added to a partition that is led begins in a new leader epoch, written with the assignment (I35). */
static void judge_addition(struct world *world, const struct fake_change *changes, size_t count,
                           const struct fake_change *change, struct slice topic)
{
    struct node_topic old, new;
    if (change->data.length > SMALL_TOPIC_BYTES || node_topic_decode(change->old_data, &old, NULL) != 0)
        return;
    if (node_topic_decode(change->data, &new, NULL) != 0) {
        node_topic_release(&old);
        return;
    }
    for (size_t p = 0; p < old.partition_count; p++) {
        const struct node_assignment *to = node_topic_find(&new, old.partitions[p].partition);
        struct node_partition_state state;
        bool added = false;
        for (size_t i = 0; to != NULL && i < to->replicas.count; i++)
            added = added || !node_replicas_contains(&old.partitions[p].replicas, to->replicas.ids[i]);
        if (!added || !world_read_state(world, topic, to->partition, &state))
            continue;
        int32_t before = -1, epoch = epoch_written(changes, count, topic, to->partition, &before);
        if (state.leader != NODE_NO_LEADER && (epoch < 0 || epoch <= before))
            world_complain(world, "I35: replicas added in the old leader epoch", change->path);
        node_partition_state_release(&state);
    }
    node_topic_release(&new);
    node_topic_release(&old);
}

static void note_registration(struct world *world, const struct fake_change *change, int64_t zxid,
                              int32_t broker_id)
{
    struct node_broker node;
    if (broker_id < 1 || broker_id > world->broker_count ||
        node_broker_decode(change->data, &node, NULL) != 0)
        return;
    struct world_broker *broker = &world->brokers[broker_id - 1];
    broker->registrations = memory_grow(broker->registrations, broker->registration_count,
                                        &broker->registration_capacity, sizeof(*broker->registrations));
    broker->registrations[broker->registration_count++] =
        (struct world_registration){zxid, node.intact_since, node.intact_until, node.alive_since};
    node_broker_release(&node);
}

struct world_tally *world_tally(struct world *world, struct slice topic)
{
    struct world_tally *tally = map_get(world->tallies, topic);
    if (tally == NULL) {
        tally = memory_allocate_zeroed(1, sizeof(*tally));
        map_put(world->tallies, topic, tally);
    }
    return tally;
}

static void note_config(struct world *world, const struct fake_change *change, struct slice entity)
{
    static const char unclean[] = "unclean.leader.election.enable", minimum[] = "min.insync.replicas";
    if (change->data.length == 0 || entity.length < 7 || memcmp(entity.data, "topics/", 7) != 0)
        return;
    struct slice topic = slice_make(entity.data + 7, entity.length - 7);
    if (memmem(change->data.data, change->data.length, unclean, strlen(unclean)) != NULL)
        map_put(world->may_unclean, topic, world);
    if (memmem(change->data.data, change->data.length, minimum, strlen(minimum)) != NULL)
        map_put(world->odd_min_isr, topic, world);
}

struct slice world_key(char key[96], struct uuid topic_id, int32_t partition)
{
    char id[UUID_TEXT_LENGTH + 1];
    uuid_format(topic_id, id);
    snprintf(key, 96, "%s-%d", id, partition);
    return slice_of(key);
}

static bool has_id(struct slice data)
{
    struct node_topic node;
    if (node_topic_decode(data, &node, NULL) != 0)
        return false;
    bool has = node.has_topic_id;
    node_topic_release(&node);
    return has;
}

static bool all_have_ids(const struct world *world)
{
    const char **names;
    size_t count = fake_zookeeper_list(world->zookeeper, "/brokers/topics", &names);
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        char path[300];
        struct slice data;
        snprintf(path, sizeof(path), "/brokers/topics/%s", names[i]);
        all = all && fake_zookeeper_read(world->zookeeper, path, &data, NULL) && has_id(data);
    }
    free(names);
    return all;
}

/* What later judgements need to know, whoever wrote it. */
static void note(struct world *world, const struct fake_change *change, int64_t zxid, enum zk_path_kind kind,
                 const struct zk_path_parts *parts)
{
    bool created = change->kind == ZK_OPERATION_CREATE;
    if (kind == ZK_PATH_KIND_BROKER && change->data.length > 0) /* created empty, and set in the same multi */
        note_registration(world, change, zxid, parts->broker_id);
    if (kind == ZK_PATH_KIND_CONFIG_ENTITY && change->kind != ZK_OPERATION_DELETE)
        note_config(world, change, parts->entity);
    if (kind == ZK_PATH_KIND_DELETE_TOPIC && created)
        world_tally(world, parts->topic)->delete_asked++;
    if (kind == ZK_PATH_KIND_TOPIC && change->kind != ZK_OPERATION_SET) {
        struct world_tally *tally = world_tally(world, parts->topic);
        tally->created += created;
        tally->deleted += !created;
        if (!created)
            tally->deleted_at_ms = world->now_ms;
    }
}

/* A topic goes when its replicas have gone, also those of brokers that were down (I36). */
static void judge_end(struct world *world, const struct fake_change *change, struct slice topic)
{
    struct node_topic node;
    char name[250];
    if (node_topic_decode(change->old_data, &node, NULL) != 0)
        return;
    snprintf(name, sizeof(name), "%.*s", SLICE_ARGUMENTS(topic));
    for (size_t p = 0; p < node.partition_count; p++) {
        const struct node_replicas *replicas = &node.partitions[p].replicas;
        for (size_t i = 0; i < replicas->count; i++) {
            if (replicas->ids[i] < 1 || replicas->ids[i] > world->broker_count)
                continue;
            const struct world_replica *replica =
                world_find(world->brokers[replicas->ids[i] - 1].replicas, name, node.partitions[p].partition);
            if (replica != NULL && uuid_equals(replica->topic_id, node.topic_id))
                world_complain(world, "I36: a topic has gone before its replicas", change->path);
        }
    }
    node_topic_release(&node);
}

/* Only the session that has made the newest controller epoch may write (I29). */
static void judge_writer(struct world *world, int64_t session, const char *path, enum zk_path_kind kind)
{
    bool controllers = kind == ZK_PATH_KIND_TOPIC || kind == ZK_PATH_KIND_TOPIC_PARTITIONS ||
                       kind == ZK_PATH_KIND_PARTITION || kind == ZK_PATH_KIND_PARTITION_STATE ||
                       kind == ZK_PATH_KIND_DELETE_TOPIC || kind == ZK_PATH_KIND_CONFIG_ENTITY ||
                       kind == ZK_PATH_KIND_PRODUCER_ID_BLOCK || kind == ZK_PATH_KIND_REASSIGN_PARTITIONS ||
                       kind == ZK_PATH_KIND_PREFERRED_REPLICA_ELECTION || kind == ZK_PATH_KIND_CONFIG_CHANGE;
    if (controllers && session != world->controller_session)
        world_complain(world, "I29: a deposed controller has written", path);
}

/* Of a topic, whether it has a legal name or not. */
static bool is_topics(const char *path)
{
    static const char parent[] = ZK_PATH_TOPICS "/";
    return strncmp(path, parent, strlen(parent)) == 0 && strchr(path + strlen(parent), '/') == NULL;
}

static void tell(const struct world *world, int64_t session, const struct fake_change *change)
{
    int32_t broker = 0;
    for (int i = 0; i < world->broker_count; i++)
        if (world->brokers[i].alive &&
            zk_client_session_id(fake_client_zk(world->brokers[i].client)) == session)
            broker = world->brokers[i].id;
    if (session == 0)
        printf("%8" PRId64 " ms: a tool", world->now_ms);
    else
        printf("%8" PRId64 " ms: broker %d", world->now_ms, broker);
    if (change->kind == ZK_OPERATION_DELETE)
        printf(" deletes %s\n", change->path);
    else
        printf(" writes %s version %d: %.*s\n", change->path, change->version, SLICE_ARGUMENTS(change->data));
}

void world_judge(void *context, int64_t zxid, int64_t session, const struct fake_change *changes,
                 size_t count)
{
    struct world *world = context;
    world->last_writer = session;
    world->writes += session != 0;
    bool decides = false;
    for (size_t i = 0; i < count; i++) {
        const struct fake_change *change = &changes[i];
        struct zk_path_parts parts;
        enum zk_path_kind kind = zk_path_parse(change->path, &parts);
        if (kind == ZK_PATH_KIND_CONTROLLER_EPOCH && change->kind == ZK_OPERATION_SET) {
            world->controller_session = session;
            world->is_partial = !all_have_ids(world);
        }
        if (change->kind != ZK_OPERATION_DELETE && is_topics(change->path) && !has_id(change->data))
            world->is_partial = true;
        note(world, change, zxid, kind, &parts);
        decides = decides || (kind != ZK_PATH_KIND_CONFIG_CHANGE && kind != ZK_PATH_KIND_LOG_DIR_EVENT);
        if (world->options.tells)
            tell(world, session, change);
        if (session != 0)
            judge_writer(world, session, change->path, kind);
        if (session != 0 && kind == ZK_PATH_KIND_PARTITION_STATE && change->kind != ZK_OPERATION_DELETE)
            world_judge_state(world, change, parts.topic, parts.partition);
        if (session != 0 && kind == ZK_PATH_KIND_TOPIC && change->kind == ZK_OPERATION_DELETE)
            judge_end(world, change, parts.topic);
        if (session == 0 || kind != ZK_PATH_KIND_TOPIC || change->kind != ZK_OPERATION_SET)
            continue;
        judge_assignment(world, change, parts.topic);
        judge_addition(world, changes, count, change, parts.topic);
    }
    world->decisions += decides && session != 0;
}
