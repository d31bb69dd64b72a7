/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators ask for while everything goes wrong: moves of replicas (begun, replaced, cancelled), leader
 * elections (preferred, unclean), more partitions, other settings. They ask as clients do, through the
 * controller's requests, or as old tools do, by a znode. A request that finds no controller is forgotten.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "coordinator/zk/node_config.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/messages/alter_partition_reassignments.h"
#include "proto/kafka/messages/create_partitions.h"
#include "proto/kafka/messages/elect_leaders.h"
#include "tests/sim/world.h"

#define API_CREATE_PARTITIONS 37
#define API_ELECT_LEADERS 43
#define API_ALTER_PARTITION_REASSIGNMENTS 45
#define ASK_TIMEOUT_MS 1500
#define ELECTION_PREFERRED 0
#define ELECTION_UNCLEAN 1

static void ignore_response(void *context, int16_t error, struct slice body)
{
    (void)context;
    (void)error;
    (void)body;
}

static void ask(struct world *world, int16_t api_key, int16_t version, const struct buffer *body)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct sim_broker *broker = &world->brokers[b];
        if (!broker_acts(broker) || broker->paused || !controller_is_in_office(broker->controller))
            continue;
        controller_admin(broker->controller, api_key, version, slice_of("operator"), buffer_slice(body),
                         broker_now_ms(broker) + ASK_TIMEOUT_MS,
                         (struct controller_admin_respond){.respond = ignore_response});
        return;
    }
}

/* One that is there, of a topic that stays; -1: this time there is none. */
static int32_t choose_partition(struct world *world)
{
    int32_t number = (int32_t)prng_below(&world->workload, (uint64_t)world->partition_count);
    return world->partitions[number].exists && topic_is_stable(world, number) ? number : -1;
}

/* A tool's znode, unless the last one is still there. */
static void put_request(struct world *world, const char *path, const char *text)
{
    struct slice data;
    struct zk_stat stat;
    if (!fake_zookeeper_read(world->zookeeper, path, &data, &stat))
        fake_zookeeper_put(world->zookeeper, path, slice_of(text));
}

/* ---- moves ---- */

/* Other replicas, as many as there were or one more or less, but two at least. */
static size_t draw_target(struct world *world, int32_t target[SIM_BROKERS_MAX])
{
    size_t brokers = (size_t)world->swarm.brokers;
    size_t count = (size_t)world->swarm.replication_factor;
    uint64_t other = prng_below(&world->workload, 4);
    count += other == 0 && count < brokers;
    count -= other == 1 && count > 2;
    for (size_t i = 0; i < brokers; i++)
        target[i] = (int32_t)i + 1;
    for (size_t i = 0; i < count; i++) {
        size_t chosen = i + prng_below(&world->workload, brokers - i);
        int32_t id = target[chosen];
        target[chosen] = target[i];
        target[i] = id;
    }
    return count;
}

static void put_move(struct world *world, int32_t number, const int32_t *target, size_t count)
{
    const struct sim_partition *partition = &world->partitions[number];
    struct buffer text;
    buffer_init(&text);
    buffer_print(&text, "{\"version\":1,\"partitions\":[{\"topic\":\"%s\",\"partition\":%d,\"replicas\":[",
                 partition->topic, partition->number);
    for (size_t i = 0; i < count; i++)
        buffer_print(&text, "%s%d", i > 0 ? "," : "", target[i]);
    buffer_append_string(&text, "]}]}");
    put_request(world, ZK_PATH_REASSIGN_PARTITIONS, buffer_string(&text));
    buffer_release(&text);
}

static void ask_for_move(struct world *world, int32_t number, int32_t *target, size_t count)
{
    const struct sim_partition *partition = &world->partitions[number];
    struct alter_partition_reassignments_request_reassignable_partition item = {partition->number, target,
                                                                                count};
    struct alter_partition_reassignments_request_reassignable_topic topic = {slice_of(partition->topic),
                                                                             &item, 1};
    struct alter_partition_reassignments_request request;
    struct buffer body;
    struct wire_writer writer;
    alter_partition_reassignments_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    alter_partition_reassignments_request_encode(&request, &writer, 0);
    ask(world, API_ALTER_PARTITION_REASSIGNMENTS, 0, &body);
    wire_writer_release(&writer);
    buffer_release(&body);
}

static void move(struct world *world)
{
    int32_t number = choose_partition(world);
    int32_t target[SIM_BROKERS_MAX];
    size_t count = draw_target(world, target);
    bool cancel = prng_one_in(&world->workload, 3), by_tool = prng_one_in(&world->workload, 4);
    if (number < 0)
        return;
    cancel = cancel && world->partitions[number].moving;
    world->counters.moves_asked++;
    world->counters.moves_cancelled += cancel;
    int64_t ids = 0;
    for (size_t i = 0; i < count; i++)
        ids = ids * 10 + target[i];
    world_note(world,
               cancel ? "an operator cancels the move of partition %lld"
                      : "an operator moves partition %lld to %lld",
               TRACE_OF(number, ids));
    if (by_tool && !cancel)
        put_move(world, number, target, count);
    else
        ask_for_move(world, number, cancel ? NULL : target, cancel ? 0 : count);
}

/* ---- elections ---- */

static void ask_for_election(struct world *world, int32_t number, int8_t type)
{
    struct sim_partition *partition = &world->partitions[number];
    struct elect_leaders_request_topic_partitions item = {slice_of(partition->topic), &partition->number, 1};
    struct elect_leaders_request request;
    struct buffer body;
    struct wire_writer writer;
    elect_leaders_request_init(&request);
    request.election_type = type;
    request.topic_partitions = &item;
    request.topic_partitions_count = 1;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    elect_leaders_request_encode(&request, &writer, 2);
    ask(world, API_ELECT_LEADERS, 2, &body);
    wire_writer_release(&writer);
    buffer_release(&body);
}

static void elect(struct world *world)
{
    int32_t number = choose_partition(world);
    bool unclean = world->swarm.unclean && prng_one_in(&world->workload, 2);
    bool by_tool = prng_one_in(&world->workload, 4);
    if (number < 0)
        return;
    struct sim_partition *partition = &world->partitions[number];
    world->counters.elections_asked++;
    world_note(world,
               unclean ? "an operator asks for an unclean election of partition %lld"
                       : "an operator asks for the preferred leader of partition %lld",
               TRACE_OF(number));
    partition->unclean_asked = partition->unclean_asked || unclean;
    if (by_tool && !unclean) {
        char text[128];
        snprintf(text, sizeof(text), "{\"version\":1,\"partitions\":[{\"topic\":\"%s\",\"partition\":%d}]}",
                 partition->topic, partition->number);
        put_request(world, ZK_PATH_PREFERRED_REPLICA_ELECTION, text);
    } else {
        ask_for_election(world, number, unclean ? ELECTION_UNCLEAN : ELECTION_PREFERRED);
    }
}

/* ---- more partitions ---- */

static void grow(struct world *world)
{
    int32_t number = choose_partition(world);
    if (number < 0 || world->swarm.slots_each == world->swarm.partitions_each)
        return;
    struct create_partitions_request_topic topic = {.name = slice_of(world->partitions[number].topic),
                                                    .count = world->swarm.slots_each};
    struct create_partitions_request request;
    struct buffer body;
    struct wire_writer writer;
    create_partitions_request_init(&request);
    request.topics = &topic;
    request.topics_count = 1;
    request.timeout_ms = ASK_TIMEOUT_MS;
    buffer_init(&body);
    wire_writer_init(&writer, &body);
    create_partitions_request_encode(&request, &writer, 3);
    world_note(world, "an operator wants one more partition beside partition %lld", TRACE_OF(number));
    ask(world, API_CREATE_PARTITIONS, 3, &body);
    wire_writer_release(&writer);
    buffer_release(&body);
}

/* ---- settings ---- */

/* As a tool does it: the settings, then the notification. */
static void configure(struct world *world)
{
    int32_t number = choose_partition(world);
    int32_t min_isr = prng_one_in(&world->workload, 2) ? 1 : 2;
    bool unclean = prng_one_in(&world->workload, 3) && world->swarm.unclean;
    if (number < 0)
        return;
    struct sim_topic *topic = topic_of(world, number);
    const char *name = world->partitions[number].topic;
    if (world->options.lossy || world->swarm.disk_failure_every_ms > 0)
        min_isr = (int32_t)max_i64(min_isr, world->swarm.min_insync_replicas);
    topic->min_insync_replicas = (int32_t)min_i64(topic->min_insync_replicas, min_isr);
    for (int32_t p = 0; p < world->partition_count; p++)
        if (unclean && topic_of(world, p) == topic)
            world->partitions[p].unclean_asked = true;
    world->counters.settings_changed++;
    world_note(world, "an operator sets min.insync.replicas of partition %lld's topic to %lld, unclean %lld",
               TRACE_OF(number, min_isr, unclean));
    struct node_config node;
    struct buffer data;
    char text[80];
    node_config_init(&node);
    buffer_init(&data);
    node_config_set(&node, slice_of("min.insync.replicas"), slice_of(min_isr == 1 ? "1" : "2"));
    node_config_set(&node, slice_of("unclean.leader.election.enable"), slice_of(unclean ? "true" : "false"));
    node_config_encode(&node, &data);
    snprintf(text, sizeof(text), ZK_PATH_CONFIG_TOPICS "/%s", name);
    fake_zookeeper_put(world->zookeeper, text, buffer_slice(&data));
    buffer_clear(&data);
    snprintf(text, sizeof(text), "topics/%s", name);
    node_config_change_encode(slice_of(text), &data);
    snprintf(text, sizeof(text), ZK_PATH_CONFIG_CHANGE_PREFIX "%010llu",
             (unsigned long long)world->counters.settings_changed);
    fake_zookeeper_put(world->zookeeper, text, buffer_slice(&data));
    node_config_release(&node);
    buffer_release(&data);
}

/* ---- when ---- */

struct wish {
    int64_t (*every_ms)(const struct swarm *swarm);
    void (*ask)(struct world *world);
};

static int64_t move_every_ms(const struct swarm *swarm)
{
    return swarm->move_every_ms;
}

static int64_t elect_every_ms(const struct swarm *swarm)
{
    return swarm->elect_every_ms;
}

static int64_t grow_every_ms(const struct swarm *swarm)
{
    return swarm->grow_every_ms;
}

static int64_t configure_every_ms(const struct swarm *swarm)
{
    return swarm->configure_every_ms;
}

static const struct wish wishes[] = {
    {move_every_ms, move}, {elect_every_ms, elect}, {grow_every_ms, grow}, {configure_every_ms, configure}};

static void wish_again(struct world *world, int32_t broker, void *data)
{
    const struct wish *wish = data;
    (void)broker;
    if (!world->safety)
        return;
    wish->ask(world);
    world_later(world, -1, prng_between(&world->workload, 1, 2 * wish->every_ms(&world->swarm)), wish_again,
                NULL, data);
}

void operator_init(struct world *world)
{
    for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
        int64_t every_ms = wishes[i].every_ms(&world->swarm);
        if (every_ms > 0)
            world_later(world, -1, 400 + prng_between(&world->workload, 1, 2 * every_ms), wish_again, NULL,
                        (void *)&wishes[i]);
    }
}
