/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating, deleting and altering topics straight in ZooKeeper, see topics_zookeeper.h. A topic is there once
 * /brokers/topics/<name> is, so its settings are written before; the controller does the rest. A tool that is
 * killed in between leaves settings without a topic, which the next creation overwrites.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/prng.h"
#include "coordinator/controller/assign.h"
#include "tools/topics_text.h"
#include "tools/topics_zookeeper.h"

#define PARTITIONS_WARNING                                                                                 \
    "WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of " \
    "the "                                                                                                 \
    "messages will be affected"

static int fail(struct zookeeper_work *work, const char *hint)
{
    buffer_append_string(&work->error->hint, hint);
    return -EINVAL;
}

/* That the name can be a topic's, is free, and is no other's but for '.' and '_'. */
static int check_name(struct zookeeper_work *work, const char *name)
{
    struct buffer *sentence = &work->error->sentence;
    if (!zk_topic_name_is_valid(slice_of(name))) {
        size_t length = strlen(name);
        if (length == 0)
            buffer_append_string(sentence, "Topic name is illegal, it can't be empty");
        else if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            buffer_append_string(sentence, "Topic name cannot be \".\" or \"..\"");
        else if (length > 249)
            buffer_print(sentence,
                         "Topic name is illegal, it can't be longer than 249 characters, topic name: %s",
                         name);
        else
            buffer_print(
                sentence,
                "Topic name \"%s\" is illegal, it contains a character other than ASCII alphanumerics, "
                "'.', '_' and '-'",
                name);
        return fail(work, "Choose a name of letters, digits, '.', '_' and '-'.");
    }
    struct zk_names names = {0};
    enum zk_result result = zk_blocking_children(work->zookeeper, ZK_PATH_TOPICS, &names);
    if (result != ZK_OK && result != ZK_NO_NODE)
        return zookeeper_work_fail(work, result, ZK_PATH_TOPICS);
    int rc = 0;
    for (size_t i = 0; i < names.count && rc == 0; i++) {
        if (strcmp(names.names[i], name) == 0) {
            buffer_print(sentence, "Topic '%s' already exists.", name);
            buffer_append_string(&work->error->hint, "--if-not-exists lets an existing topic be.");
            rc = -EEXIST;
        } else if (strlen(names.names[i]) == strlen(name)) {
            bool same = true;
            for (size_t j = 0; name[j] != '\0'; j++)
                same = same && (names.names[i][j] == name[j] ||
                                (strchr("._", names.names[i][j]) != NULL && strchr("._", name[j]) != NULL));
            if (same) {
                buffer_print(sentence, "Topic '%s' collides with existing topics: %s", name, names.names[i]);
                rc = fail(work, "Names that differ only in '.' and '_' are the same to metrics.");
            }
        }
    }
    zk_names_release(&names);
    return rc;
}

/* Places `count` partitions behind the topic's own; those of --replica-assignment, else round the brokers. */
static int place_partitions(struct zookeeper_work *work, struct node_topic *topic, size_t count,
                            size_t factor, bool follow_first)
{
    const struct topics_assignment *given = &work->request->assignment;
    if (given->replicas != NULL) {
        for (size_t i = 0; i < count; i++)
            node_topic_add_partition(topic,
                                     given->replicas + topic->partition_count * given->replication_factor,
                                     given->replication_factor);
        return 0;
    }
    struct roster brokers;
    roster_init(&brokers);
    int rc = zookeeper_work_read_brokers(work, &brokers);
    for (size_t i = 0; i < brokers.count && work->request->ignore_racks; i++) {
        free(brokers.members[i].node.rack);
        brokers.members[i].node.rack = NULL;
    }
    if (rc == 0 && factor > brokers.count) {
        buffer_print(&work->error->sentence, "Replication factor: %zu larger than available brokers: %zu.",
                     factor, brokers.count);
        rc = fail(work, "A replica needs a broker of its own: ask for fewer, or start more.");
    }
    if (rc == 0) {
        struct assign_request request = {.partition_count = count,
                                         .replication_factor = factor,
                                         .first_partition = topic->partition_count};
        if (follow_first) {
            while (request.start + 1 < brokers.count &&
                   brokers.members[request.start].broker_id < topic->partitions[0].replicas.ids[0])
                request.start++;
            request.shift = request.start;
        } else {
            request.start = (size_t)(random_u64() % brokers.count);
            request.shift = (size_t)(random_u64() % brokers.count);
        }
        int32_t *replicas = memory_allocate(count * factor * sizeof(*replicas));
        if (assign_replicas(&brokers, &request, replicas) == ASSIGN_OK) {
            for (size_t i = 0; i < count; i++)
                node_topic_add_partition(topic, replicas + i * factor, factor);
        } else {
            buffer_append_string(
                &work->error->sentence,
                "Not all brokers have rack information. Add --disable-rack-aware in command line to "
                "make replica assignment without rack information.");
            rc = -EINVAL;
        }
        free(replicas);
    }
    roster_release(&brokers);
    return rc;
}

/* Creates the node, its parents too where they are missing; or overwrites it when `overwrite`. */
static enum zk_result write_node(struct zookeeper_work *work, const char *path, struct slice data,
                                 bool overwrite)
{
    enum zk_result result = zk_blocking_create(work->zookeeper, path, data, ZK_PERSISTENT, NULL);
    if (result == ZK_NO_NODE) {
        const char *parent =
            arena_copy_string(&work->arena, slice_make(path, (size_t)(strrchr(path, '/') - path)));
        result = zk_blocking_create_parents(work->zookeeper, parent);
        if (result == ZK_OK || result == ZK_NODE_EXISTS)
            result = zk_blocking_create(work->zookeeper, path, data, ZK_PERSISTENT, NULL);
    }
    if (result == ZK_NODE_EXISTS && overwrite)
        result = zk_blocking_set_any_version(work->zookeeper, path, data);
    return result;
}

static int write_settings(struct zookeeper_work *work, const char *name, const struct node_config *settings)
{
    const char *path = zk_path_config_topic(&work->arena, slice_of(name));
    struct buffer data;
    buffer_init(&data);
    node_config_encode(settings, &data);
    enum zk_result result = write_node(work, path, buffer_slice(&data), true);
    buffer_release(&data);
    return result == ZK_OK ? 0 : zookeeper_work_fail(work, result, path);
}

static void random_topic_id(struct uuid *id)
{
    do {
        uint8_t random[16];
        random_bytes(random, sizeof(random));
        *id = uuid_from_random(random);
    } while (!uuid_is_usable(*id));
}

static int write_new_topic(struct zookeeper_work *work, const char *name, struct node_topic *topic)
{
    struct node_config settings;
    node_config_init(&settings);
    for (size_t i = 0; i < work->request->setting_count; i++)
        node_config_set(&settings, work->request->settings[i].name, work->request->settings[i].value);
    int rc = write_settings(work, name, &settings);
    node_config_release(&settings);
    if (rc < 0)
        return rc;
    topic->has_topic_id = true;
    random_topic_id(&topic->topic_id);
    struct buffer data;
    buffer_init(&data);
    node_topic_encode(topic, &data);
    const char *path = zk_path_topic(&work->arena, slice_of(name));
    enum zk_result result = write_node(work, path, buffer_slice(&data), false);
    buffer_release(&data);
    if (result == ZK_NODE_EXISTS) {
        buffer_print(&work->error->sentence, "Topic '%s' already exists.", name);
        return -EEXIST;
    }
    return result == ZK_OK ? 0 : zookeeper_work_fail(work, result, path);
}

int topics_zookeeper_create(struct zookeeper_work *work)
{
    const struct topics_request *request = work->request;
    const char *warning = topic_collision_warning(request->topic);
    if (warning != NULL)
        tool_hint("%s", warning);
    struct node_topic topic;
    node_topic_init(&topic);
    size_t count = request->assignment.replicas != NULL ? request->assignment.partition_count
                                                        : (size_t)request->partitions;
    int rc = check_name(work, request->topic);
    if (rc == 0 && count > NODE_TOPIC_PARTITIONS_MAX) {
        buffer_print(&work->error->sentence, "A topic can have at most %d partitions",
                     NODE_TOPIC_PARTITIONS_MAX);
        rc = -EINVAL;
    }
    if (rc == 0)
        rc = place_partitions(work, &topic, count, (size_t)request->replication_factor, false);
    if (rc == 0)
        rc = write_new_topic(work, request->topic, &topic);
    node_topic_release(&topic);
    if (rc == -EEXIST && request->if_not_exists)
        return 0;
    if (rc == 0)
        printf("Created topic \"%s\".\n", request->topic);
    return rc;
}

int topics_zookeeper_delete(struct zookeeper_work *work, const char *name)
{
    if (topic_is_internal(name)) {
        buffer_print(&work->error->sentence,
                     "Topic %s is a kafka internal topic and is not allowed to be marked for deletion.",
                     name);
        return -EPERM;
    }
    const char *path = zk_path_delete_topic(&work->arena, slice_of(name));
    enum zk_result result = write_node(work, path, slice_make(NULL, 0), false);
    if (result == ZK_NODE_EXISTS)
        printf("Topic %s is already marked for deletion.\n", name);
    else if (result == ZK_OK)
        printf("Topic %s is marked for deletion.\nNote: This will have no impact if delete.topic.enable is "
               "not set "
               "to true.\n",
               name);
    else
        return zookeeper_work_fail(work, result, path);
    return 0;
}

static int alter_settings(struct zookeeper_work *work, const char *name)
{
    const struct topics_request *request = work->request;
    tool_hint(
        "WARNING: Altering topic configuration from this script has been deprecated and may be removed in "
        "future releases.");
    struct node_config settings;
    int rc = zookeeper_work_read_settings(work, name, &settings);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < request->removed_count; i++)
        node_config_set(&settings, request->removed[i], slice_make(NULL, 0));
    for (size_t i = 0; i < request->setting_count; i++)
        node_config_set(&settings, request->settings[i].name, request->settings[i].value);
    rc = write_settings(work, name, &settings);
    node_config_release(&settings);
    if (rc < 0)
        return rc;
    struct buffer entity, data;
    buffer_init(&entity);
    buffer_init(&data);
    buffer_print(&entity, "topics/%s", name);
    node_config_change_encode(buffer_slice(&entity), &data);
    enum zk_result result = zk_blocking_create_parents(work->zookeeper, ZK_PATH_CONFIG_CHANGES);
    if (result == ZK_OK || result == ZK_NODE_EXISTS)
        result = zk_blocking_create(work->zookeeper, ZK_PATH_CONFIG_CHANGE_PREFIX, buffer_slice(&data),
                                    ZK_PERSISTENT_SEQUENTIAL, NULL);
    buffer_release(&data);
    buffer_release(&entity);
    if (result != ZK_OK)
        return zookeeper_work_fail(work, result, ZK_PATH_CONFIG_CHANGES);
    printf("Updated config for topic \"%s\".\n", name);
    return 0;
}

/* How many partitions are to be added; negative: the sentence says why not. */
static int partitions_to_add(struct zookeeper_work *work, const char *name, const struct node_topic *topic)
{
    const struct topics_request *request = work->request;
    size_t wanted = (size_t)request->partitions, given = request->assignment.partition_count;
    if (wanted <= topic->partition_count) {
        buffer_print(&work->error->sentence,
                     "The number of partitions for a topic can only be increased. Topic %s currently has %zu "
                     "partitions, %zu would not be an increase.",
                     name, topic->partition_count, wanted);
        return -EINVAL;
    }
    if (wanted > NODE_TOPIC_PARTITIONS_MAX) {
        buffer_print(&work->error->sentence, "A topic can have at most %d partitions",
                     NODE_TOPIC_PARTITIONS_MAX);
        return -EINVAL;
    }
    if (given > 0 && given != wanted) {
        buffer_append_string(&work->error->sentence,
                             "The assignment must name the replicas of all partitions, old and new.");
        return -EINVAL;
    }
    return (int)(wanted - topic->partition_count);
}

static int alter_partitions(struct zookeeper_work *work, const char *name)
{
    printf("%s\n", PARTITIONS_WARNING);
    struct node_topic topic;
    struct zk_version version;
    int rc = zookeeper_work_read_topic(work, name, &topic, &version);
    if (rc < 0)
        return rc;
    int count = partitions_to_add(work, name, &topic);
    rc = count < 0 ? count : 0;
    if (rc == 0 && (topic.partition_count == 0 || node_topic_find(&topic, 0) == NULL)) {
        buffer_print(&work->error->sentence, "Topic %s has no partition 0 to go by.", name);
        rc = -EBADMSG;
    }
    if (rc == 0)
        rc = place_partitions(work, &topic, (size_t)count, topic.partitions[0].replicas.count, true);
    if (rc == 0) {
        struct buffer data;
        buffer_init(&data);
        node_topic_encode(&topic, &data);
        const char *path = zk_path_topic(&work->arena, slice_of(name));
        enum zk_result result = zk_blocking_set(work->zookeeper, path, buffer_slice(&data), version);
        if (result != ZK_OK)
            rc = zookeeper_work_fail(work, result, path);
        else
            printf("Adding partitions succeeded!\n");
        buffer_release(&data);
    }
    node_topic_release(&topic);
    return rc;
}

int topics_zookeeper_alter(struct zookeeper_work *work, const char *name)
{
    const struct topics_request *request = work->request;
    int rc = 0;
    if (request->setting_count > 0 || request->removed_count > 0)
        rc = alter_settings(work, name);
    if (rc == 0 && request->partitions > 0)
        rc = alter_partitions(work, name);
    return rc;
}
