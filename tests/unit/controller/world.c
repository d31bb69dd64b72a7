/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster: processes, registration, messages, time. */
#include "tests/unit/controller/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_broker.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"
#include "tests/unit/controller/world_broker.h"

#define MESSAGE_TIMEOUT_MS 1000
/* Of one call of world_run: far more than any honest run takes. */
#define STEPS_MAX 500000

static struct world_broker *broker_of(struct world *world, int32_t id)
{
    return id >= 1 && id <= world->broker_count ? &world->brokers[id - 1] : NULL;
}

/* A request that is given up, and arrives all the same, later: maybe after those that followed it. */
static void post_late(struct world *world, const struct world_message *message)
{
    struct world_message *late = memory_allocate_zeroed(1, sizeof(*late));
    *late = *message;
    late->is_late = true;
    late->due_ms = world->now_ms + (int64_t)prng_below(&world->prng, 4 * MESSAGE_TIMEOUT_MS);
    buffer_init(&late->body);
    buffer_append(&late->body, message->body.data, message->body.length);
    list_init(&late->node);
    list_push_back(&world->messages, &late->node);
}

static void post(struct world *world, struct world_message *message)
{
    bool lost = world->lose_message_one_in > 0 && prng_one_in(&world->prng, world->lose_message_one_in);
    message->due_ms = world->now_ms + (int64_t)prng_below(&world->prng, 4);
    if (lost && !message->is_answer && prng_one_in(&world->prng, 2))
        post_late(world, message);
    list_for_each(node, &world->messages)
    {
        const struct world_message *other = container_of(node, struct world_message, node);
        if (other->from == message->from && other->to == message->to && !other->is_late)
            message->due_ms = max_i64(message->due_ms, other->due_ms);
    }
    if (lost && !message->is_answer) {
        message->is_answer = true;
        message->status = -ETIMEDOUT;
        buffer_clear(&message->body);
        message->due_ms = world->now_ms + MESSAGE_TIMEOUT_MS;
        int32_t from = message->from;
        uint32_t life = message->from_life;
        message->from = message->to;
        message->to = from;
        message->to_life = life;
    } else if (lost) {
        message->status = -ETIMEDOUT;
        message->due_ms += MESSAGE_TIMEOUT_MS;
    }
    list_push_back(&world->messages, &message->node);
}

int32_t world_message_epochs(const struct control_request *request, int64_t *broker_epoch)
{
    switch (request->kind) {
    case CONTROL_LEADER_AND_ISR:
        *broker_epoch = request->leader_and_isr.broker_epoch;
        return request->leader_and_isr.controller_epoch;
    case CONTROL_UPDATE_METADATA:
        *broker_epoch = request->update_metadata.broker_epoch;
        return request->update_metadata.controller_epoch;
    case CONTROL_STOP_REPLICA:
        *broker_epoch = request->stop_replica.broker_epoch;
        return request->stop_replica.controller_epoch;
    default:
        UNREACHABLE();
    }
}

static void transport_send(void *context, const struct control_broker *to, uint64_t token,
                           const struct control_request *request)
{
    struct world_broker *from = context;
    world_judge_sent(from, request, to->id);
    struct world_message *message = memory_allocate_zeroed(1, sizeof(*message));
    message->controller_epoch = world_message_epochs(request, &message->broker_epoch);
    const struct world_broker *target = broker_of(from->world, to->id);
    message->from = from->id;
    message->from_life = from->life;
    message->to = to->id;
    message->to_life = target != NULL ? target->life : 0;
    message->token = token;
    buffer_init(&message->body);
    control_request_encode(request, &message->body);
    list_init(&message->node);
    post(from->world, message);
}

static void random_of_world(void *context, void *bytes, size_t length)
{
    struct world_broker *broker = context;
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)prng_next(&broker->world->prng);
}

static const char *validate(void *context, struct slice name, struct slice value)
{
    (void)context;
    (void)value;
    return slice_is(name, "no.such.setting") ? "unknown topic setting" : NULL;
}

/* ---- registration ---- */

static void register_again(struct world_broker *broker, int64_t after_ms)
{
    broker->registering = true;
    broker->register_at_ms = broker->world->now_ms + after_ms;
}

struct registering {
    struct world_broker *broker;
    uint32_t life;
};

static bool still_there(struct registering *registering)
{
    return registering->broker->alive && registering->broker->life == registering->life;
}

static struct registering *registering_new(struct world_broker *broker)
{
    struct registering *registering = memory_allocate(sizeof(*registering));
    *registering = (struct registering){broker, broker->life};
    return registering;
}

static void register_created(void *context, const struct zk_response *response)
{
    struct registering *registering = context;
    (void)response;
    if (still_there(registering))
        register_again(registering->broker, 1);
    free(registering);
}

static void register_found(void *context, const struct zk_response *response)
{
    struct registering *registering = context;
    struct world_broker *broker = registering->broker;
    bool there = still_there(registering);
    free(registering);
    if (!there)
        return;
    struct zk_client *zk = fake_client_zk(broker->client);
    char path[32];
    snprintf(path, sizeof(path), "/brokers/ids/%d", broker->id);
    if (response->result == ZK_OK && response->stat.ephemeral_owner == zk_client_session_id(zk)) {
        broker->epoch = response->stat.czxid;
        if (broker->first_epoch < 0)
            broker->first_epoch = broker->epoch;
        if (broker->intact_since < 0)
            broker->intact_since = broker->epoch;
        broker->intact_until = broker->epoch;
        controller_start(broker->controller, broker->world->now_ms, 1000000 + broker->world->now_ms);
    } else if (response->result == ZK_NO_NODE) {
        struct node_broker node;
        struct buffer data;
        node_broker_init(&node);
        buffer_init(&data);
        node_broker_add_endpoint(&node, slice_of("PLAINTEXT"), slice_of("PLAINTEXT"), slice_of("localhost"),
                                 9000 + broker->id);
        if (broker->world->options.racks != NULL)
            node.rack = memory_copy_string(broker->world->options.racks[broker->id - 1]);
        node.intact_since = broker->started_since;
        node.intact_until = broker->started_until;
        node.alive_since = broker->first_epoch;
        node_broker_encode(&node, &data);
        struct zk_operation operations[] = {zk_operation_create(path, slice_make(NULL, 0), ZK_EPHEMERAL),
                                            zk_operation_set(path, buffer_slice(&data), zk_version_make(0))};
        zk_multi(zk, operations, ARRAY_SIZE(operations),
                 zk_completion_make(register_created, registering_new(broker)));
        buffer_release(&data);
        node_broker_release(&node);
    } else {
        register_again(broker, 300);
    }
}

static void register_look(struct world_broker *broker)
{
    char path[32];
    broker->registering = false;
    snprintf(path, sizeof(path), "/brokers/ids/%d", broker->id);
    zk_exists(fake_client_zk(broker->client), path, false,
              zk_completion_make(register_found, registering_new(broker)));
}

static void on_connected(struct zk_listener *listener, bool new_session)
{
    struct world_broker *broker = container_of(listener, struct world_broker, listener);
    if (new_session)
        broker->epoch = -1;
    register_again(broker, 0);
}

static void on_session_lost(struct zk_listener *listener)
{
    container_of(listener, struct world_broker, listener)->epoch = -1;
}

/* ---- processes ---- */

void world_start(struct world *world, int32_t id)
{
    struct world_broker *broker = broker_of(world, id);
    CHECK(!broker->alive);
    char name[32];
    snprintf(name, sizeof(name), "broker-%d", id);
    broker->alive = true;
    broker->life++;
    broker->epoch = -1;
    broker->registering = false;
    broker->seen_controller_epoch = -1;
    broker->seen_sequence = 0;
    if (!world->options.keep_intact)
        broker->intact_since = -1;
    broker->started_since = broker->intact_since;
    broker->started_until = broker->intact_since >= 0 ? broker->intact_until : -1;
    broker->first_epoch = -1;
    broker->client = fake_client_new(world->zookeeper, name);
    world_spy_begin(broker);
    broker->listener = (struct zk_listener){.connected = on_connected, .session_lost = on_session_lost};
    struct controller_options options = {
        .broker_id = id,
        .zk = fake_client_zk(broker->client),
        .logger = world->logger,
        .transport = {.context = broker, .send = transport_send},
        .callbacks = {.context = broker, .validate_topic_config = validate, .random = random_of_world},
        .default_partitions = 2,
        .default_replication_factor = 1,
        .delete_topic_enable = true,
        .auto_leader_rebalance = world->options.auto_leader_rebalance,
        .leader_imbalance_percentage = world->options.leader_imbalance_percentage,
        .leader_imbalance_check_ms = world->options.leader_imbalance_check_ms,
        .min_insync_replicas = world->options.min_insync_replicas,
        .unclean_leader_election = world->options.unclean_leader_election,
        .faults = world->options.faults,
    };
    broker->controller = controller_new(&options);
    zk_client_add_listener(options.zk, &broker->listener);
    fake_client_connect(broker->client);
}

struct world *world_begin(const struct world_options *options)
{
    struct world *world = world_new(options);
    for (int32_t id = 1; id <= options->brokers; id++)
        world_start(world, id);
    bool rests = world_run(world, 10000, world_is_at_rest);
    CHECK(rests);
    return world;
}

void world_kill(struct world *world, int32_t id)
{
    struct world_broker *broker = broker_of(world, id);
    CHECK(broker->alive);
    broker->alive = false;
    broker->epoch = -1;
    controller_free(broker->controller);
    broker->controller = NULL;
    zk_client_remove_listener(fake_client_zk(broker->client), &broker->listener);
    fake_client_free(broker->client);
    broker->client = NULL;
    world_replicas_clear(broker->metadata);
}

static int64_t zookeeper_delay(void *context, const struct fake_client *client, bool to_server)
{
    struct world *world = context;
    int64_t most = world->options.zookeeper_delay_ms;
    (void)client;
    (void)to_server;
    if (most > 0 && prng_one_in(&world->prng, 40))
        most *= 10;
    return (int64_t)prng_below(&world->prng, (uint64_t)most + 1);
}

struct world *world_new(const struct world_options *options)
{
    struct world *world = memory_allocate_zeroed(1, sizeof(*world));
    world->options = *options;
    prng_init(&world->prng, options->seed);
    struct fake_zookeeper_options zookeeper = {.seed = prng_next(&world->prng),
                                               .session_timeout_ms = 6000,
                                               .servers = options->zookeeper_servers,
                                               .reconnect_ms = 50,
                                               .lose_answer_one_in = options->lose_answer_one_in,
                                               .cut_one_in = options->cut_one_in,
                                               .delay_ms =
                                                   options->zookeeper_delay_ms > 0 ? zookeeper_delay : NULL,
                                               .delay_context = world,
                                               .committed = world_judge,
                                               .committed_context = world};
    world->zookeeper = fake_zookeeper_new(&zookeeper);
    world->written = map_new(1);
    world->led = map_new(1);
    world->may_unclean = map_new(1);
    world->odd_min_isr = map_new(1);
    world->tallies = map_new(1);
    list_init(&world->proposals);
    world->newest = map_new(1);
    fake_zookeeper_put_persistent_paths(world->zookeeper);
    list_init(&world->messages);
    world->lose_message_one_in = options->lose_message_one_in;
    world->logger = options->log ? logger_new(2, LOG_DEBUG, "world") : NULL;
    world->broker_count = options->brokers;
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        broker->world = world;
        broker->id = i + 1;
        broker->replicas = map_new(1);
        broker->metadata = map_new(1);
        broker->intact_since = -1;
    }
    return world;
}

static void message_free(struct world_message *message)
{
    list_remove(&message->node);
    buffer_release(&message->body);
    free(message);
}

void world_free(struct world *world)
{
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (broker->alive)
            world_kill(world, broker->id);
        world_replicas_clear(broker->replicas);
        world_replicas_clear(broker->metadata);
        map_free(broker->replicas);
        map_free(broker->metadata);
        free(broker->registrations);
    }
    list_for_each_safe(node, after, &world->messages)
        message_free(container_of(node, struct world_message, node));
    fake_zookeeper_free(world->zookeeper);
    struct list *proposal;
    while ((proposal = list_pop_front(&world->proposals)) != NULL)
        free(container_of(proposal, struct world_proposal, node));
    size_t position = 0;
    void *tally;
    while (map_next(world->tallies, &position, NULL, &tally))
        free(tally);
    map_free(world->tallies);
    map_free(world->newest);
    map_free(world->written);
    map_free(world->may_unclean);
    map_free(world->odd_min_isr);
    map_free(world->led);
    logger_free(world->logger);
    free(world);
}

/* ---- what happens ---- */

static void deliver_answer(struct world *world, struct world_message *message)
{
    struct world_broker *to = broker_of(world, message->to);
    if (!to->alive || to->life != message->to_life)
        return;
    struct arena arena;
    struct control_answer answer;
    arena_init(&arena, ARENA_NO_BUDGET);
    controller_tick(to->controller, world->now_ms, 1000000 + world->now_ms);
    if (message->status == 0 && control_answer_decode(buffer_slice(&message->body), &arena, &answer) == 0)
        controller_on_answer(to->controller, message->token, 0, &answer);
    else
        controller_on_answer(to->controller, message->token,
                             message->status != 0 ? message->status : -EBADMSG, NULL);
    arena_release(&arena);
}

static void deliver_request(struct world *world, struct world_message *message)
{
    struct world_broker *to = broker_of(world, message->to);
    struct world_message *back = memory_allocate_zeroed(1, sizeof(*back));
    back->is_answer = true;
    back->token = message->token;
    back->from = message->to;
    back->to = message->from;
    back->to_life = message->from_life;
    back->controller_epoch = message->controller_epoch;
    back->broker_epoch = message->broker_epoch;
    buffer_init(&back->body);
    list_init(&back->node);
    if (to == NULL || !to->alive || to->life != message->to_life)
        back->status = -ECONNREFUSED;
    else
        world_broker_receive(to, buffer_slice(&message->body), &back->body);
    if (message->is_late)
        message_free(back);
    else
        post(world, back);
}

static bool deliver_due(struct world *world)
{
    list_for_each_safe(node, after, &world->messages)
    {
        struct world_message *message = container_of(node, struct world_message, node);
        if (message->due_ms > world->now_ms)
            continue;
        list_remove(node);
        if (message->is_answer)
            deliver_answer(world, message);
        else
            deliver_request(world, message);
        message_free(message);
        return true;
    }
    return false;
}

static int64_t next_due(const struct world *world)
{
    int64_t due = fake_zookeeper_next_due(world->zookeeper);
    list_for_each(node, &world->messages) due =
        min_i64(due, container_of(node, struct world_message, node)->due_ms);
    for (int i = 0; i < world->broker_count; i++) {
        const struct world_broker *broker = &world->brokers[i];
        if (!broker->alive)
            continue;
        due = min_i64(due, controller_next_deadline(broker->controller));
        if (broker->registering)
            due = min_i64(due, broker->register_at_ms);
    }
    return due;
}

static bool timers(struct world *world)
{
    bool did = false;
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (!broker->alive)
            continue;
        if (broker->registering && broker->register_at_ms <= world->now_ms) {
            register_look(broker);
            did = true;
        }
        if (controller_next_deadline(broker->controller) <= world->now_ms) {
            controller_tick(broker->controller, world->now_ms, 1000000 + world->now_ms);
            did = true;
        }
    }
    return did;
}

bool world_step(struct world *world)
{
    bool zookeeper_first = prng_one_in(&world->prng, 2);
    if (zookeeper_first && fake_zookeeper_step(world->zookeeper, world->now_ms))
        return true;
    if (deliver_due(world) || timers(world))
        return true;
    if (!zookeeper_first && fake_zookeeper_step(world->zookeeper, world->now_ms))
        return true;
    int64_t due = next_due(world);
    if (due == INT64_MAX)
        return false;
    world->now_ms = max_i64(due, world->now_ms + 1);
    return true;
}

bool world_run(struct world *world, int64_t ms, bool (*until)(struct world *world))
{
    int64_t end_ms = world->now_ms + ms;
    size_t steps = 0;
    while (!until(world)) {
        int64_t due = next_due(world);
        if (due > end_ms && (due == INT64_MAX || world->now_ms >= end_ms || due > world->now_ms)) {
            world->now_ms = end_ms;
            return until(world);
        }
        world_step(world);
        if (++steps >= STEPS_MAX) {
            world_complain(world, "so many steps, and no rest", "");
            return false;
        }
    }
    return true;
}

struct world_broker *world_controller_broker(struct world *world)
{
    struct world_broker *found = NULL;
    for (int i = 0; i < world->broker_count; i++) {
        struct world_broker *broker = &world->brokers[i];
        if (!broker->alive || !controller_is_in_office(broker->controller))
            continue;
        if (found == NULL || controller_epoch(broker->controller) > controller_epoch(found->controller))
            found = broker;
    }
    return found;
}

struct controller *world_controller(struct world *world)
{
    struct world_broker *broker = world_controller_broker(world);
    return broker != NULL ? broker->controller : NULL;
}

bool world_is_at_rest(struct world *world)
{
    if (!list_is_empty(&world->messages) || world_controller(world) == NULL ||
        !fake_zookeeper_is_settled(world->zookeeper))
        return false;
    for (int i = 0; i < world->broker_count; i++) {
        const struct world_broker *broker = &world->brokers[i];
        if (!broker->alive) {
            char path[32];
            snprintf(path, sizeof(path), "/brokers/ids/%d", broker->id);
            if (fake_zookeeper_read(world->zookeeper, path, NULL, NULL))
                return false;
            continue;
        }
        if (broker->registering || broker->epoch < 0 || !fake_client_is_idle(broker->client) ||
            controller_gauges(broker->controller).unfinished > 0 ||
            controller_current(broker->controller) != world_controller_broker(world)->id)
            return false;
    }
    return true;
}

void world_put_topic(struct world *world, const char *topic, int32_t partitions, size_t replication_factor)
{
    struct node_topic node;
    struct buffer data;
    char path[300];
    node_topic_init(&node);
    buffer_init(&data);
    for (int32_t p = 0; p < partitions; p++) {
        int32_t ids[WORLD_BROKERS_MAX];
        for (size_t i = 0; i < replication_factor; i++)
            ids[i] = 1 + (int32_t)(((size_t)p + i) % (size_t)world->broker_count);
        node_topic_add_partition(&node, ids, replication_factor);
    }
    node_topic_encode(&node, &data);
    snprintf(path, sizeof(path), "/config/topics/%s", topic);
    fake_zookeeper_put(world->zookeeper, path, slice_of("{\"version\":1,\"config\":{}}"));
    snprintf(path, sizeof(path), "/brokers/topics/%s", topic);
    fake_zookeeper_put(world->zookeeper, path, buffer_slice(&data));
    buffer_release(&data);
    node_topic_release(&node);
}
