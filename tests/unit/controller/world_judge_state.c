/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judge of partition states. A state in a new leader epoch is a decision of the controller: its members
 * have kept their seats (I25), or an unclean election was allowed (I27). A state in the same leader epoch is
 * what a leader has proposed, and nothing else (I24, I35).
 */
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/controller/image.h"
#include "proto/kafka/error.h"
#include "tests/unit/controller/world.h"

/* ---- what was written, and who was told of what ---- */

static struct slice written_key(char key[96], struct uuid topic_id, int32_t partition, int32_t version)
{
    char id[UUID_TEXT_LENGTH + 1];
    uuid_format(topic_id, id);
    snprintf(key, 96, "%s-%d-%d", id, partition, version);
    return slice_of(key);
}

/* Leader, leader epoch and members in one word; never 0. */
static uintptr_t summary(int32_t leader, int32_t leader_epoch, uint32_t members)
{
    return ((uintptr_t)(uint32_t)leader_epoch << 24) | ((uintptr_t)members << 8) | (uintptr_t)(leader + 3);
}

static void remember_written(struct world *world, struct uuid topic_id, int32_t partition, int32_t version,
                             const struct node_partition_state *state)
{
    char key[96];
    uint32_t members = 0;
    for (size_t i = 0; i < state->isr_count; i++)
        members |= 1u << state->isr[i];
    map_put(world->written, written_key(key, topic_id, partition, version),
            (void *)summary(state->leader, state->leader_epoch, members));
}

void world_judge_told(struct world *world, struct uuid topic_id, int32_t partition, int32_t leader_epoch,
                      int32_t partition_epoch, int32_t leader, const struct isr_member *isr, size_t isr_count,
                      const char *where)
{
    char key[96];
    uint32_t members = 0;
    for (size_t i = 0; i < isr_count; i++)
        members |= 1u << isr[i].broker_id;
    const void *written = map_get(world->written, written_key(key, topic_id, partition, partition_epoch));
    if (written != (void *)summary(leader, leader_epoch, members))
        world_complain(world, "I34: told a state that ZooKeeper never had", where);
}

/* ---- seats ---- */

/* The epoch of a seat in the ISR or among the eligible replicas; -2: none. */
static int64_t seat_of(const struct node_partition_state *state, int32_t broker)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker)
            return state->isr_broker_epochs != NULL ? state->isr_broker_epochs[i] : -1;
    for (size_t i = 0; i < state->elr_count; i++)
        if (state->elr[i] == broker)
            return state->elr_broker_epochs[i];
    return -2;
}

static bool is_intact(const struct world_registration *life, int64_t seat)
{
    bool in_former_lives = life->intact_since >= 0 && life->intact_since <= seat &&
                           (life->intact_until < 0 || seat <= life->intact_until);
    return in_former_lives || (life->alive_since >= 0 && life->alive_since <= seat);
}

/* The broker has come back, since it had that seat, with less than it held. */
static bool has_bounced(const struct world *world, int32_t id, int64_t seat)
{
    const struct world_broker *broker = &world->brokers[id - 1];
    for (size_t i = 0; i < broker->registration_count; i++)
        if (seat >= 0 && broker->registrations[i].epoch > seat && !is_intact(&broker->registrations[i], seat))
            return true;
    return false;
}

static bool is_assigned(const struct world *world, struct slice topic, int32_t partition, int32_t broker)
{
    char path[300];
    struct slice data;
    struct node_topic node;
    snprintf(path, sizeof(path), "/brokers/topics/%.*s", SLICE_ARGUMENTS(topic));
    if (!fake_zookeeper_read(world->zookeeper, path, &data, NULL) ||
        node_topic_decode(data, &node, NULL) != 0)
        return true;
    const struct node_assignment *assignment = node_topic_find(&node, partition);
    bool assigned = assignment == NULL || node_replicas_contains(&assignment->replicas, broker);
    node_topic_release(&node);
    return assigned;
}

/* Eligible replicas that a move has left behind count no more: their logs are removed. */
static bool all_have_bounced(const struct world *world, const struct node_partition_state *state,
                             struct slice topic, int32_t partition)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (!has_bounced(world, state->isr[i], seat_of(state, state->isr[i])))
            return false;
    for (size_t i = 0; i < state->elr_count; i++)
        if (!has_bounced(world, state->elr[i], state->elr_broker_epochs[i]) &&
            is_assigned(world, topic, partition, state->elr[i]))
            return false;
    return true;
}

static const struct world_registration *life_of(const struct world *world, int32_t id, int64_t epoch)
{
    const struct world_broker *broker = &world->brokers[id - 1];
    for (size_t i = 0; i < broker->registration_count; i++)
        if (broker->registrations[i].epoch == epoch)
            return &broker->registrations[i];
    return NULL;
}

static bool may_be_unclean(const struct world *world, struct slice topic)
{
    return world->options.unclean_leader_election || map_get(world->may_unclean, topic) != NULL;
}

/* A member of the ISR that a decision has written. */
static void judge_member(struct world *world, const struct node_partition_state *old,
                         const struct node_partition_state *new, size_t at, struct slice topic,
                         int32_t partition, const char *path)
{
    int32_t id = new->isr[at];
    int64_t seat = seat_of(old, id), epoch = new->isr_broker_epochs[at];
    const struct world_registration *life = life_of(world, id, epoch);
    bool alone = new->isr_count == 1 && new->leader == id, unclean = may_be_unclean(world, topic);
    if (epoch == seat)
        return;
    if (life == NULL) {
        world_complain(world, "I31: a seat of a life that never was", path);
        return;
    }
    if (seat == -1 || (seat >= 0 && is_intact(life, seat)))
        return;
    if (alone && unclean && new->leader_recovery == NODE_LEADER_RECOVERING)
        return;
    if (seat == -2)
        world_complain(world, "I27: a decision has put a replica into the ISR", path);
    else if (!alone || !all_have_bounced(world, old, topic, partition))
        world_complain(world, "I25: a seat of a former life has been kept", path);
}

/* Who leaves an ISR that becomes too small is remembered (I25), where we know how small that is. */
static void judge_eligible(struct world *world, const struct node_partition_state *old,
                           const struct node_partition_state *new, struct slice topic, int32_t partition,
                           const char *path)
{
    char topic_path[300];
    struct slice data;
    struct node_topic node;
    snprintf(topic_path, sizeof(topic_path), "/brokers/topics/%.*s", SLICE_ARGUMENTS(topic));
    size_t enough = (size_t)max_i64(1, world->options.min_insync_replicas);
    if (new->leader == NODE_NO_LEADER || new->isr_count >= enough ||
        map_get(world->odd_min_isr, topic) != NULL ||
        !fake_zookeeper_read(world->zookeeper, topic_path, &data, NULL) ||
        node_topic_decode(data, &node, NULL) != 0)
        return;
    const struct node_assignment *assignment = node_topic_find(&node, partition);
    int64_t leaders = seat_of(old, new->leader);
    bool forgets = leaders == -2 || has_bounced(world, new->leader, leaders) || assignment == NULL ||
                   assignment->adding.count > 0 || assignment->removing.count > 0 ||
                   new->leader_recovery != old->leader_recovery;
    if (!forgets && new->isr_count < min_size(enough, assignment->replicas.count))
        for (size_t i = 0; i < old->isr_count; i++)
            if (seat_of(new, old->isr[i]) == -2 && seat_of(old, old->isr[i]) >= 0 &&
                node_replicas_contains(&assignment->replicas, old->isr[i]) &&
                !has_bounced(world, old->isr[i], seat_of(old, old->isr[i])))
                world_complain(world, "I25: who left too small an ISR is forgotten", path);
    node_topic_release(&node);
}

/* ---- proposals ---- */

static bool has_members(const struct node_partition_state *state, const struct world_proposal *proposal)
{
    for (size_t i = 0; i < state->isr_count; i++) {
        bool found = false;
        for (size_t j = 0; j < proposal->isr_count; j++)
            found = found || (proposal->isr[j].broker_id == state->isr[i] &&
                              proposal->isr[j].broker_epoch ==
                                  (state->isr_broker_epochs != NULL ? state->isr_broker_epochs[i] : -1));
        if (!found)
            return false;
    }
    return state->isr_count == proposal->isr_count;
}

static bool is_of(const struct world_proposal *proposal, struct uuid topic_id, int32_t partition,
                  int32_t leader_epoch)
{
    return uuid_equals(proposal->topic_id, topic_id) && proposal->partition == partition &&
           proposal->leader_epoch == leader_epoch;
}

/* The same leader and leader epoch: a leader has asked for exactly this. */
static void judge_proposed(struct world *world, struct uuid topic_id, int32_t partition,
                           const struct node_partition_state *new, int32_t version, const char *path)
{
    bool asked = false;
    char key[96];
    struct world_proposal *proposal = map_get(world->newest, world_key(key, topic_id, partition));
    for (; proposal != NULL; proposal = proposal->older) {
        if (!is_of(proposal, topic_id, partition, new->leader_epoch) || !has_members(new, proposal) ||
            proposal->broker->id != new->leader || proposal->partition_epoch >= version)
            continue;
        asked = true;
        proposal->applied = true;
    }
    if (!asked)
        world_complain(world, "I24, I35: members changed in the same epoch, and no leader has proposed it",
                       path);
}

/* Another proposal asks for the same. */
static bool has_twin(const struct world *world, const struct world_proposal *proposal)
{
    char key[96];
    const struct world_proposal *other =
        map_get(world->newest, world_key(key, proposal->topic_id, proposal->partition));
    for (; other != NULL; other = other->older) {
        bool same = other != proposal && other->isr_count == proposal->isr_count &&
                    is_of(other, proposal->topic_id, proposal->partition, proposal->leader_epoch);
        for (size_t i = 0; same && i < other->isr_count; i++)
            same = other->isr[i].broker_id == proposal->isr[i].broker_id &&
                   other->isr[i].broker_epoch == proposal->isr[i].broker_epoch;
        if (same)
            return true;
    }
    return false;
}

void world_judge_proposal_answered(struct world *world, struct world_proposal *proposal,
                                   const struct alter_partition_result *result)
{
    bool refused = result->error == KAFKA_INELIGIBLE_REPLICA || result->error == KAFKA_INVALID_REQUEST ||
                   result->error == KAFKA_OPERATION_NOT_ATTEMPTED;
    if (refused && proposal->applied && !has_twin(world, proposal))
        world_complain(world, "I38: a proposal was written, and refused", proposal->topic);
    if (result->isr_count > 0)
        world_judge_told(world, proposal->topic_id, proposal->partition, result->leader_epoch,
                         result->partition_epoch, result->leader, result->isr, result->isr_count,
                         proposal->topic);
    bool same = result->isr_count == proposal->isr_count;
    for (size_t i = 0; same && i < result->isr_count; i++) {
        bool found = false;
        for (size_t j = 0; j < proposal->isr_count; j++)
            found = found || proposal->isr[j].broker_id == result->isr[i].broker_id;
        same = found;
    }
    if (result->error == KAFKA_NONE && !same)
        world_complain(world, "I28: a proposal succeeded, and the ISR is another one", proposal->topic);
}

/* ---- one state ---- */

static void judge_change(struct world *world, const struct node_partition_state *old,
                         const struct node_partition_state *new, struct slice topic, int32_t partition,
                         const char *path)
{
    bool decided = new->leader_epoch > old->leader_epoch;
    if (new->leader_epoch < old->leader_epoch)
        world_complain(world, "I35: leader epoch fell", path);
    if (new->leader != old->leader &&new->leader_epoch == old->leader_epoch)
        world_complain(world, "I35: leader changed without a new epoch", path);
    if (new->leader != NODE_NO_LEADER &&new->leader != old->leader && seat_of(old, new->leader) == -2 &&
        !may_be_unclean(world, topic))
        world_complain(world, "I27: the new leader had no seat", path);
    for (size_t i = 0; decided && new->isr_broker_epochs != NULL &&i < new->isr_count; i++)
        judge_member(world, old, new, i, topic, partition, path);
    if (new->isr_broker_epochs == NULL)
        world_complain(world, "I25: seats without epochs", path);
}

void world_judge_state(struct world *world, const struct fake_change *change, struct slice topic,
                       int32_t partition)
{
    struct node_partition_state old, new;
    struct buffer error;
    struct uuid topic_id;
    buffer_init(&error);
    if (node_partition_state_decode(change->data, &new, &error) != 0)
        world_complain(world, "I26: illegal state", buffer_string(&error));
    else if (!world_topic_id(world, topic, &topic_id))
        world_complain(world, "state of a topic that is not there", change->path);
    else {
        world_judge_leader(world, topic_id, partition, new.leader_epoch, new.leader, change->path);
        remember_written(world, topic_id, partition, change->version, &new);
        if (change->kind == ZK_OPERATION_SET &&
            node_partition_state_decode(change->old_data, &old, NULL) == 0) {
            judge_change(world, &old, &new, topic, partition, change->path);
            judge_eligible(world, &old, &new, topic, partition, change->path);
            if (new.leader_epoch == old.leader_epoch)
                judge_proposed(world, topic_id, partition, &new, change->version, change->path);
            node_partition_state_release(&old);
        }
        node_partition_state_release(&new);
    }
    buffer_release(&error);
}
