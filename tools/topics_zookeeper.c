/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `barnabas topics --zookeeper`: straight in ZooKeeper, as Kafka's tools up to 2.8 did, with the texts
 * of 1.0. Reading is here; topics_zookeeper_write.c makes and changes topics. Nothing is locked: the
 * controller judges what it finds.
 */
#include "tools/topics_zookeeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "coordinator/zk/node_config.h"
#include "coordinator/zk/node_partition_state.h"
#include "tools/topics_text.h"

int zookeeper_work_fail(struct zookeeper_work *work, enum zk_result result, const char *path)
{
    buffer_print(&work->error->sentence, "ZooKeeper at %s: %s: %s", work->request->zookeeper, path,
                 zk_result_name(result));
    return -EIO;
}

int zookeeper_work_read_brokers(struct zookeeper_work *work, struct roster *brokers)
{
    struct zk_names ids = {0};
    enum zk_result result = zk_blocking_children(work->zookeeper, ZK_PATH_BROKER_IDS, &ids);
    if (result == ZK_NO_NODE)
        return 0;
    if (result != ZK_OK)
        return zookeeper_work_fail(work, result, ZK_PATH_BROKER_IDS);
    struct buffer data;
    buffer_init(&data);
    for (size_t i = 0; i < ids.count; i++) {
        int32_t id = 0;
        struct zk_stat stat;
        struct node_broker node;
        buffer_clear(&data);
        if (!zk_parse_id(slice_of(ids.names[i]), &id))
            continue;
        if (zk_blocking_get(work->zookeeper, zk_path_broker(&work->arena, id), &data, &stat) == ZK_OK &&
            node_broker_decode(buffer_slice(&data), &node, NULL) == 0)
            roster_put(brokers, id, stat.czxid, &node);
    }
    buffer_release(&data);
    zk_names_release(&ids);
    return 0;
}

int zookeeper_work_read_topic(struct zookeeper_work *work, const char *name, struct node_topic *topic,
                              struct zk_version *version)
{
    struct buffer data, problem;
    buffer_init(&data);
    buffer_init(&problem);
    const char *path = zk_path_topic(&work->arena, slice_of(name));
    struct zk_stat stat = {0};
    enum zk_result result = zk_blocking_get(work->zookeeper, path, &data, &stat);
    int rc = 0;
    if (result == ZK_NO_NODE) {
        rc = -ENOENT;
    } else if (result != ZK_OK) {
        rc = zookeeper_work_fail(work, result, path);
    } else if (node_topic_decode(buffer_slice(&data), topic, &problem) < 0) {
        buffer_print(&work->error->sentence, "%s cannot be read: %s", path, buffer_string(&problem));
        rc = -EBADMSG;
    }
    *version = zk_version_make(result == ZK_OK ? stat.version.value : 0);
    buffer_release(&problem);
    buffer_release(&data);
    return rc;
}

int zookeeper_work_read_settings(struct zookeeper_work *work, const char *name, struct node_config *settings)
{
    const char *path = zk_path_config_topic(&work->arena, slice_of(name));
    struct buffer data;
    buffer_init(&data);
    node_config_init(settings);
    enum zk_result result = zk_blocking_get(work->zookeeper, path, &data, NULL);
    int rc = 0;
    if (result != ZK_OK && result != ZK_NO_NODE)
        rc = zookeeper_work_fail(work, result, path);
    else if (result == ZK_OK && node_config_decode(buffer_slice(&data), settings, &work->error->sentence) < 0)
        rc = -EBADMSG;
    buffer_release(&data);
    return rc;
}

bool zookeeper_work_is_marked(const struct zookeeper_work *work, const char *name)
{
    for (size_t i = 0; i < work->marked.count; i++)
        if (strcmp(work->marked.names[i], name) == 0)
            return true;
    return false;
}

int zookeeper_work_choose(struct zookeeper_work *work)
{
    struct topics_pattern *pattern = topics_pattern_new(work->request->topic, &work->error->sentence);
    if (pattern == NULL)
        return -EINVAL;
    /* The marks first: a topic that ends between the two is not listed as one that lives. */
    const char *path = ZK_PATH_DELETE_TOPICS;
    enum zk_result result = zk_blocking_children(work->zookeeper, path, &work->marked);
    if (result == ZK_OK || result == ZK_NO_NODE) {
        path = ZK_PATH_TOPICS;
        result = zk_blocking_children(work->zookeeper, path, &work->names);
    }
    if (result != ZK_OK && result != ZK_NO_NODE) {
        topics_pattern_free(pattern);
        return zookeeper_work_fail(work, result, path);
    }
    work->chosen = memory_allocate((work->names.count + 1) * sizeof(*work->chosen));
    for (size_t i = 0; i < work->names.count; i++)
        topics_pattern_add(pattern, work->names.names[i]);
    for (size_t i = 0; i < work->names.count; i++) {
        const char *name = work->names.names[i];
        bool hidden = work->request->exclude_internal && topic_is_internal(name);
        if (!hidden && topics_pattern_matches(pattern, name))
            work->chosen[work->chosen_count++] = name;
    }
    topics_pattern_free(pattern);
    return 0;
}

static int require_chosen(struct zookeeper_work *work)
{
    const struct topics_request *request = work->request;
    if (work->chosen_count > 0 || request->if_exists || request->topic == NULL)
        return 0;
    buffer_print(&work->error->sentence, "Topic %s does not exist on ZK path %s", request->topic,
                 request->zookeeper);
    buffer_append_string(
        &work->error->hint,
        "--list shows the topics there are; is the /chroot of the brokers' zookeeper.connect right?");
    return -ENOENT;
}

static int list(struct zookeeper_work *work)
{
    for (size_t i = 0; i < work->chosen_count; i++)
        printf("%s%s\n", work->chosen[i],
               zookeeper_work_is_marked(work, work->chosen[i]) ? " - marked for deletion" : "");
    return 0;
}

/* A partition's leader and ISR; none while the controller has not made its state. */
static void read_state(struct zookeeper_work *work, const char *name, int32_t partition,
                       struct node_partition_state *state)
{
    const char *path = zk_path_partition_state(&work->arena, slice_of(name), partition);
    struct buffer data;
    buffer_init(&data);
    node_partition_state_init(state);
    state->leader = NODE_NO_LEADER;
    if (zk_blocking_get(work->zookeeper, path, &data, NULL) == ZK_OK) {
        struct node_partition_state read;
        if (node_partition_state_decode(buffer_slice(&data), &read, NULL) == 0)
            *state = read;
    }
    buffer_release(&data);
}

static void print_topic(struct zookeeper_work *work, const char *name, const struct node_topic *topic,
                        const struct node_config *settings, const struct roster *brokers, struct buffer *out)
{
    struct buffer text;
    buffer_init(&text);
    for (size_t i = 0; i < settings->count; i++)
        buffer_print(&text, "%s%s=%s", i > 0 ? "," : "", settings->entries[i].key,
                     settings->entries[i].value);
    size_t count = topic->partition_count;
    struct partition_view *partitions = memory_allocate((count + 1) * sizeof(*partitions));
    struct node_partition_state *states = memory_allocate((count + 1) * sizeof(*states));
    for (size_t i = 0; i < count; i++) {
        const struct node_assignment *from = &topic->partitions[i];
        read_state(work, name, from->partition, &states[i]);
        partitions[i] = (struct partition_view){
            .partition = from->partition,
            .leader = states[i].leader,
            .leader_is_alive = roster_find(brokers, states[i].leader) != NULL,
            .replicas = from->replicas.ids,
            .replica_count = from->replicas.count,
            .isr = states[i].isr,
            .isr_count = states[i].isr_count,
        };
    }
    const char *minimum = node_config_get(settings, "min.insync.replicas");
    struct topic_view view = {
        .name = name,
        .settings = buffer_string(&text),
        .marked_for_deletion = zookeeper_work_is_marked(work, name),
        .min_insync_replicas = minimum != NULL ? strtol(minimum, NULL, 10) : 1,
        .partitions = partitions,
        .partition_count = count,
    };
    topic_view_print(&view, &work->request->filter, TOPICS_LAYOUT_1_0, out);
    for (size_t i = 0; i < count; i++)
        node_partition_state_release(&states[i]);
    free(states);
    free(partitions);
    buffer_release(&text);
}

static int describe_topic(struct zookeeper_work *work, const char *name, const struct roster *brokers,
                          struct buffer *out)
{
    struct node_topic topic;
    struct node_config settings;
    struct zk_version version;
    int rc = zookeeper_work_read_topic(work, name, &topic, &version);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc; /* gone since it was listed */
    rc = zookeeper_work_read_settings(work, name, &settings);
    if (rc == 0) {
        print_topic(work, name, &topic, &settings, brokers, out);
        node_config_release(&settings);
    }
    node_topic_release(&topic);
    return rc;
}

static int describe(struct zookeeper_work *work)
{
    struct roster brokers;
    struct buffer out;
    roster_init(&brokers);
    buffer_init(&out);
    int rc = zookeeper_work_read_brokers(work, &brokers);
    for (size_t i = 0; rc == 0 && i < work->chosen_count; i++)
        rc = describe_topic(work, work->chosen[i], &brokers, &out);
    fputs(buffer_string(&out), stdout);
    buffer_release(&out);
    roster_release(&brokers);
    return rc;
}

static int run_action(struct zookeeper_work *work)
{
    enum topics_action action = work->request->action;
    if (action == TOPICS_CREATE)
        return topics_zookeeper_create(work);
    int rc = zookeeper_work_choose(work);
    if (rc == 0 && action == TOPICS_LIST)
        return list(work);
    if (rc == 0)
        rc = require_chosen(work);
    if (rc == 0 && action == TOPICS_DESCRIBE)
        return describe(work);
    for (size_t i = 0; rc == 0 && i < work->chosen_count; i++)
        rc = action == TOPICS_DELETE ? topics_zookeeper_delete(work, work->chosen[i])
                                     : topics_zookeeper_alter(work, work->chosen[i]);
    return rc;
}

int topics_by_zookeeper(const struct topics_request *request, struct topics_error *error)
{
    struct zookeeper_work work = {.request = request, .error = error};
    int rc = zk_blocking_open(request->zookeeper, request->timeout_ms, NULL, &work.zookeeper);
    if (rc == -EINVAL) {
        buffer_print(&error->sentence, "Invalid ZooKeeper connect string: %s", request->zookeeper);
        buffer_append_string(&error->hint, "Give it as host:port[,host:port...][/chroot].");
        return rc;
    }
    if (rc < 0) {
        buffer_print(&error->sentence, "Unable to connect to zookeeper server '%s' within timeout: %lld",
                     request->zookeeper, (long long)request->timeout_ms);
        buffer_append_string(&error->hint, "Is ZooKeeper running there? --timeout MS waits longer.");
        return rc;
    }
    arena_init(&work.arena, ARENA_NO_BUDGET);
    rc = run_action(&work);
    free(work.chosen);
    zk_names_release(&work.names);
    zk_names_release(&work.marked);
    arena_release(&work.arena);
    zk_blocking_close(work.zookeeper);
    return rc;
}
