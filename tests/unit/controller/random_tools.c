/* SPDX-License-Identifier: Apache-2.0 */
/* What tools write into ZooKeeper, old ones and hands. */
#include <stdio.h>

#include "common/check.h"
#include "coordinator/zk/node_admin.h"
#include "coordinator/zk/path.h"
#include "tests/unit/controller/random_requests.h"

static const char *const garbage[] = {
    "",
    "{",
    "null",
    "{}",
    "[]",
    "{\"version\":1}",
    "{\"version\":1,\"partitions\":null}",
    "{\"version\":1,\"partitions\":[{\"topic\":\"t0\"}]}",
    "{\"version\":1,\"partitions\":[{\"topic\":\"t0\",\"partition\":\"0\",\"replicas\":[1]}]}",
    "{\"version\":1,\"partitions\":[{\"topic\":\"t0\",\"partition\":-7,\"replicas\":[1]}]}",
    "{\"version\":1,\"partitions\":[{\"topic\":\"t0\",\"partition\":0,\"replicas\":[1,1]},"
    "{\"topic\":\"nobody\",\"partition\":99,\"replicas\":[99]}]}",
};

static struct slice random_garbage(struct world *world)
{
    return slice_of(garbage[prng_below(&world->prng, ARRAY_SIZE(garbage))]);
}

void random_tool_creates(struct world *world)
{
    char name[64];
    struct node_topic node;
    if (random_read_topic(world, random_topic(world, name), &node))
        node_topic_release(&node);
    else
        world_put_topic(world, name, 1 + (int32_t)prng_below(&world->prng, 3),
                        1 + prng_below(&world->prng, (uint64_t)min_i64(3, world->broker_count)));
}

/* A tool writes the topic's znode anew, often with more partitions. (What happens to an id that an old tool
 * drops is tested elsewhere: it cannot survive if the controller dies before it has put it back.) */
void random_tool_grows(struct world *world)
{
    char name[64], path[128];
    struct node_topic node;
    if (!random_read_topic(world, random_topic(world, name), &node))
        return;
    if (node.partition_count < 6 && prng_one_in(&world->prng, 2)) {
        const struct node_replicas *replicas = &node.partitions[0].replicas;
        node_topic_add_partition(&node, replicas->ids, replicas->count);
    }
    struct buffer text;
    buffer_init(&text);
    node_topic_encode(&node, &text);
    snprintf(path, sizeof(path), "/brokers/topics/%s", name);
    fake_zookeeper_put(world->zookeeper, path, buffer_slice(&text));
    buffer_release(&text);
    node_topic_release(&node);
}

void random_tool_deletes(struct world *world)
{
    char name[64], path[128];
    snprintf(path, sizeof(path), "/admin/delete_topics/%s", random_topic(world, name));
    fake_zookeeper_put(world->zookeeper, path, slice_of(NULL));
}

static void put_list(struct world *world, const char *path, bool with_replicas)
{
    struct node_partition_list list;
    struct buffer text;
    buffer_init(&text);
    node_partition_list_init(&list);
    for (size_t i = 1 + prng_below(&world->prng, 3); i > 0; i--) {
        char name[64];
        int32_t ids[WORLD_BROKERS_MAX];
        size_t count = with_replicas ? random_brokers(world, ids) : 0;
        node_partition_list_add(&list, slice_of(random_topic(world, name)),
                                (int32_t)prng_below(&world->prng, 4), count > 0 ? ids : NULL, count);
    }
    if (with_replicas)
        node_reassignment_encode(&list, &text);
    else
        node_preferred_election_encode(&list, &text);
    bool there = fake_zookeeper_read(world->zookeeper, path, NULL, NULL);
    if (prng_one_in(&world->prng, 5))
        fake_zookeeper_put(world->zookeeper, path, random_garbage(world));
    else if (!there || prng_one_in(&world->prng, 5)) /* over another one, as hands do */
        fake_zookeeper_put(world->zookeeper, path, buffer_slice(&text));
    node_partition_list_release(&list);
    buffer_release(&text);
}

void random_tool_reassigns(struct world *world)
{
    put_list(world, "/admin/reassign_partitions", true);
}

void random_tool_elects(struct world *world)
{
    put_list(world, "/admin/preferred_replica_election", false);
}

void random_tool_garbage(struct world *world)
{
    static const char *const paths[] = {
        "/config/changes/config_change_0000000900", "/log_dir_event_notification/log_dir_event_0000000900",
        "/brokers/topics/not a name", "/admin/reassign_partitions", "/admin/preferred_replica_election"};
    fake_zookeeper_put(world->zookeeper, paths[prng_below(&world->prng, ARRAY_SIZE(paths))],
                       random_garbage(world));
}

static void put_config(struct world *world, const char *setting, const char *value)
{
    char name[64], path[128], text[200];
    snprintf(path, sizeof(path), "/config/topics/%s", random_topic(world, name));
    snprintf(text, sizeof(text), "{\"version\":1,\"config\":{\"%s\":\"%s\"}}", setting, value);
    fake_zookeeper_put(world->zookeeper, path, slice_of(text));
    snprintf(path, sizeof(path), "/config/changes/config_change_%010u", world->config_changes++);
    snprintf(text, sizeof(text), "{\"version\":2,\"entity_path\":\"topics/%s\"}", name);
    fake_zookeeper_put(world->zookeeper, path, slice_of(text));
}

void random_tool_min_isr(struct world *world)
{
    static const char *const values[] = {"1", "2", "3"};
    put_config(world, "min.insync.replicas", values[prng_below(&world->prng, ARRAY_SIZE(values))]);
}

void random_tool_unclean(struct world *world)
{
    put_config(world, "unclean.leader.election.enable", prng_one_in(&world->prng, 2) ? "true" : "false");
}

void random_tool_removes_controller(struct world *world)
{
    if (fake_zookeeper_read(world->zookeeper, "/controller", NULL, NULL))
        fake_zookeeper_remove(world->zookeeper, "/controller");
}
