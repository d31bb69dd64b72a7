/* SPDX-License-Identifier: Apache-2.0 */
/* What brokers and clients ask of a controller, in office or not. Each request is answered exactly once. */
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "tests/unit/controller/world.h"

/* So long a controller may not have heard of a deletion that it has written: answers are slow or lost. */
#define HEARD_WITHIN_MS 2000

static void tick(struct world_broker *broker)
{
    controller_tick(broker->controller, broker->world->now_ms, 1000000 + broker->world->now_ms);
}

/* ---- proposals ---- */

/* What a leader learns from the answer to its proposal. */
static void learn(struct world_proposal *proposal, const struct alter_partition_result *result)
{
    struct world_broker *broker = proposal->broker;
    struct world_replica *replica = world_find(broker->replicas, proposal->topic, proposal->partition);
    broker->last_proposal_error = result->error;
    world_judge_proposal_answered(broker->world, proposal, result);
    bool tells = (result->error == KAFKA_NONE || result->error == KAFKA_INVALID_UPDATE_VERSION) &&
                 result->isr_count > 0;
    if (!tells || replica == NULL || proposal->life != broker->life ||
        !uuid_equals(replica->topic_id, proposal->topic_id) ||
        replica->leader_epoch != result->leader_epoch || replica->partition_epoch >= result->partition_epoch)
        return;
    replica->partition_epoch = result->partition_epoch;
    replica->isr_count = result->isr_count;
    memcpy(replica->isr, result->isr, result->isr_count * sizeof(*result->isr));
}

static void proposal_answered(void *context, const struct control_answer *answer)
{
    struct world_proposal *proposal = context;
    CHECK(!proposal->answered);
    proposal->answered = true;
    proposal->broker->world->open_requests--;
    for (size_t i = 0; i < answer->alter_partition.partitions_count; i++)
        learn(proposal, &answer->alter_partition.partitions[i]);
}

void world_propose_item(struct world_broker *from, int64_t broker_epoch, struct world_broker *to,
                        const struct alter_partition_item *item)
{
    struct world *world = from->world;
    struct world_proposal *proposal = memory_allocate_zeroed(1, sizeof(*proposal));
    proposal->broker = from;
    proposal->life = from->life;
    snprintf(proposal->topic, sizeof(proposal->topic), "%.*s", SLICE_ARGUMENTS(item->topic));
    proposal->topic_id = item->topic_id;
    proposal->partition = item->partition;
    proposal->leader_epoch = item->leader_epoch;
    proposal->partition_epoch = item->partition_epoch;
    proposal->isr_count = min_size(item->isr_count, WORLD_BROKERS_MAX);
    if (item->isr_count > 0)
        memcpy(proposal->isr, item->isr, proposal->isr_count * sizeof(*proposal->isr));
    list_init(&proposal->node);
    list_push_back(&world->proposals, &proposal->node);
    char key[96];
    proposal->older = map_put(world->newest, world_key(key, item->topic_id, item->partition), proposal);
    world->open_requests++;
    struct control_request request = {.kind = CONTROL_ALTER_PARTITION,
                                      .alter_partition = {.broker_id = from->id,
                                                          .broker_epoch = broker_epoch,
                                                          .partitions = (struct alter_partition_item *)item,
                                                          .partitions_count = 1}};
    tick(to);
    controller_handle(to->controller, &request, INT64_MAX,
                      (struct controller_respond){proposal_answered, proposal});
}

void world_propose(struct world *world, struct world_broker *broker, struct world_replica *replica,
                   const struct isr_member *isr, size_t count)
{
    struct world_broker *office = world_controller_broker(world);
    if (office == NULL || broker->epoch < 0)
        return;
    const struct alter_partition_item item = {.topic = slice_of(replica->topic),
                                              .topic_id = replica->topic_id,
                                              .partition = replica->partition,
                                              .leader_epoch = replica->leader_epoch,
                                              .partition_epoch = replica->partition_epoch,
                                              .isr = (struct isr_member *)isr,
                                              .isr_count = count,
                                              .recovering = false};
    world_propose_item(broker, broker->epoch, office, &item);
}

/* ---- clients ---- */

static void ask_answered(void *context, int16_t error, struct slice body)
{
    struct world_ask *ask = context;
    ask->world->open_requests--;
    if (ask->done != NULL)
        ask->done(ask, error, body);
    free(ask);
}

void world_ask_controller(struct world_broker *to, const struct world_ask *ask, struct slice body,
                          int64_t timeout_ms)
{
    struct world *world = to->world;
    struct world_ask *copy = memory_allocate(sizeof(*copy));
    char path[128];
    *copy = *ask;
    copy->world = world;
    copy->before = *world_tally(world, slice_of(ask->topic));
    snprintf(path, sizeof(path), "/brokers/topics/%s", ask->topic);
    copy->existed = fake_zookeeper_read(world->zookeeper, path, NULL, NULL);
    snprintf(path, sizeof(path), "/admin/delete_topics/%s", ask->topic);
    copy->deleting =
        fake_zookeeper_read(world->zookeeper, path, NULL, NULL) ||
        (copy->before.deleted > 0 && world->now_ms - copy->before.deleted_at_ms < HEARD_WITHIN_MS);
    world->open_requests++;
    tick(to);
    controller_admin(to->controller, ask->key, ask->version, slice_of("random"), body,
                     world->now_ms + timeout_ms, (struct controller_admin_respond){ask_answered, copy});
}

/* ---- brokers ---- */

static void broker_answered(void *context, const struct control_answer *answer)
{
    struct world *world = context;
    (void)answer;
    world->open_requests--;
}

void world_ask_as_broker(struct world_broker *to, const struct control_request *request)
{
    to->world->open_requests++;
    tick(to);
    controller_handle(to->controller, request, to->world->now_ms + 5000,
                      (struct controller_respond){broker_answered, to->world});
}
