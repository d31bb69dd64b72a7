/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `barnabas topics --bootstrap-server`: the client protocol. Lists and describes by Metadata and
 * DescribeConfigs from any broker; creates, deletes and adds partitions through the controller, and asks anew
 * when that has just moved.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/create_partitions.h"
#include "proto/kafka/messages/create_topics.h"
#include "proto/kafka/messages/delete_topics.h"
#include "proto/kafka/messages/describe_configs.h"
#include "proto/kafka/messages/metadata.h"
#include "tools/cluster_client.h"
#include "tools/topics.h"
#include "tools/topics_text.h"

#define RESOURCE_TOPIC 2
#define CONTROLLER_ATTEMPTS 20

struct work {
    const struct topics_request *request;
    struct topics_error *error;
    struct cluster_client *client;
    struct arena arena;
    struct metadata_response metadata;
    const struct metadata_response_topic **chosen; /* sorted by name */
    size_t chosen_count;
};

/* What the broker says of an error, else its name. */
static int tell_error(struct work *work, int16_t code, struct slice message, const char *name)
{
    struct buffer *sentence = &work->error->sentence;
    if (code == KAFKA_TOPIC_DELETION_DISABLED)
        buffer_append_string(sentence, "Topic deletion is disabled.");
    else if (code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
        buffer_print(sentence, "Topic '%s' does not exist as expected", name);
    else if (message.length > 0)
        buffer_append(sentence, message.data, message.length);
    else if (code == KAFKA_TOPIC_ALREADY_EXISTS)
        buffer_print(sentence, "Topic '%s' already exists.", name);
    else
        buffer_print(sentence, "The broker refused the request for topic '%s': %s", name,
                     kafka_error_name(code));
    if (code == KAFKA_TOPIC_ALREADY_EXISTS)
        buffer_append_string(&work->error->hint, "--if-not-exists lets an existing topic be.");
    else if (code == KAFKA_INVALID_REPLICATION_FACTOR)
        buffer_append_string(&work->error->hint,
                             "A replica needs a broker of its own: ask for fewer, or start more.");
    else if (code == KAFKA_TOPIC_DELETION_DISABLED)
        buffer_append_string(&work->error->hint, "The brokers' delete.topic.enable=true allows it.");
    return -EREMOTEIO;
}

static int compare_topics(const void *a, const void *b)
{
    const struct metadata_response_topic *const *left = a, *const *right = b;
    return slice_compare((*left)->name, (*right)->name);
}

static bool id_matches(const struct work *work, const struct metadata_response_topic *topic)
{
    struct uuid id;
    return work->request->topic_id == NULL ||
           (uuid_parse(slice_of(work->request->topic_id), &id) == 0 && uuid_equals(id, topic->topic_id));
}

/* Reads the metadata of all topics and picks those that --topic and --topic-id mean. */
static int choose_topics(struct work *work)
{
    const struct topics_request *request = work->request;
    struct metadata_request question = {.topics = NULL, .allow_auto_topic_creation = false};
    int rc = cluster_client_call(work->client, KAFKA_API_METADATA, &question, &work->metadata, &work->arena,
                                 &work->error->sentence);
    if (rc < 0)
        return rc;
    struct topics_pattern *pattern = topics_pattern_new(request->topic, &work->error->sentence);
    if (pattern == NULL)
        return -EINVAL;
    size_t count = work->metadata.topics_count;
    const char **names = memory_allocate((count + 1) * sizeof(*names));
    work->chosen = memory_allocate((count + 1) * sizeof(*work->chosen));
    for (size_t i = 0; i < count; i++) {
        names[i] = arena_copy_string(&work->arena, work->metadata.topics[i].name);
        topics_pattern_add(pattern, names[i]);
    }
    for (size_t i = 0; i < count; i++) {
        const struct metadata_response_topic *topic = &work->metadata.topics[i];
        bool hidden = request->exclude_internal && (topic->is_internal || topic_is_internal(names[i]));
        if (!hidden && topics_pattern_matches(pattern, names[i]) && id_matches(work, topic))
            work->chosen[work->chosen_count++] = topic;
    }
    free(names);
    topics_pattern_free(pattern);
    qsort(work->chosen, work->chosen_count, sizeof(*work->chosen), compare_topics);
    return 0;
}

/* That somebody was meant: -ENOENT with the sentence when nobody was, unless that is allowed. */
static int require_chosen(struct work *work)
{
    const struct topics_request *request = work->request;
    if (work->chosen_count > 0 || request->if_exists || (request->topic == NULL && request->topic_id == NULL))
        return 0;
    if (request->topic_id != NULL)
        buffer_print(&work->error->sentence, "TopicId '%s' does not exist as expected", request->topic_id);
    else
        buffer_print(&work->error->sentence, "Topic '%s' does not exist as expected", request->topic);
    buffer_print(&work->error->hint, "--list shows the topics there are.");
    return -ENOENT;
}

static int list(struct work *work)
{
    for (size_t i = 0; i < work->chosen_count; i++)
        printf("%.*s\n", SLICE_ARGUMENTS(work->chosen[i]->name));
    if (work->chosen_count == 0)
        printf("\n");
    return 0;
}

/* The settings of all chosen topics in one question; -EPROTONOSUPPORT leaves `settings` empty. */
static int ask_settings(struct work *work, struct describe_configs_response *settings)
{
    struct describe_configs_request question = {0};
    question.resources_count = work->chosen_count;
    question.resources = arena_allocate_array(&work->arena, work->chosen_count, sizeof(*question.resources));
    for (size_t i = 0; i < work->chosen_count; i++) {
        question.resources[i].resource_type = RESOURCE_TOPIC;
        question.resources[i].resource_name = work->chosen[i]->name;
    }
    describe_configs_response_init(settings);
    if (work->chosen_count == 0 || cluster_client_version(work->client, KAFKA_API_DESCRIBE_CONFIGS) < 0)
        return 0;
    return cluster_client_call(work->client, KAFKA_API_DESCRIBE_CONFIGS, &question, settings, &work->arena,
                               &work->error->sentence);
}

/* "k=v,k2=v2" of the settings that are not defaults, and min.insync.replicas. */
static void read_settings(const struct describe_configs_response *settings, struct slice topic,
                          struct buffer *text, int64_t *min_insync_replicas)
{
    for (size_t i = 0; i < settings->results_count; i++) {
        const struct describe_configs_response_result *result = &settings->results[i];
        if (!slice_equals(result->resource_name, topic))
            continue;
        for (size_t j = 0; j < result->configs_count; j++) {
            const struct describe_configs_response_resource_result *config = &result->configs[j];
            if (slice_is(config->name, "min.insync.replicas") && config->value.length > 0 &&
                config->value.length < 10) {
                char *number = memory_copy_bytes(config->value.data, config->value.length);
                *min_insync_replicas = strtol(number, NULL, 10);
                free(number);
            }
            bool is_default = config->is_default || config->config_source == CONFIG_SOURCE_DEFAULT;
            if (is_default || config->config_source < 0)
                continue;
            buffer_print(text, "%s%.*s=%.*s", text->length > 0 ? "," : "", SLICE_ARGUMENTS(config->name),
                         SLICE_ARGUMENTS(config->value));
        }
    }
}

static bool broker_is_alive(const struct metadata_response *metadata, int32_t id)
{
    for (size_t i = 0; i < metadata->brokers_count; i++)
        if (metadata->brokers[i].node_id == id)
            return true;
    return false;
}

static int compare_partitions(const void *a, const void *b)
{
    const struct partition_view *left = a, *right = b;
    return left->partition < right->partition ? -1 : left->partition > right->partition;
}

static void describe_topic(struct work *work, const struct metadata_response_topic *topic,
                           const struct describe_configs_response *settings, struct buffer *out)
{
    struct buffer text;
    buffer_init(&text);
    char id[UUID_TEXT_LENGTH + 1];
    uuid_format(topic->topic_id, id);
    struct topic_view view = {
        .name = arena_copy_string(&work->arena, topic->name),
        .id = uuid_is_zero(topic->topic_id) ? NULL : id,
        .min_insync_replicas = 1,
        .partition_count = topic->partitions_count,
    };
    read_settings(settings, topic->name, &text, &view.min_insync_replicas);
    view.settings = buffer_string(&text);
    struct partition_view *partitions = memory_allocate((topic->partitions_count + 1) * sizeof(*partitions));
    for (size_t i = 0; i < topic->partitions_count; i++) {
        const struct metadata_response_partition *from = &topic->partitions[i];
        partitions[i] = (struct partition_view){
            .partition = from->partition_index,
            .leader = from->leader_id,
            .leader_is_alive = broker_is_alive(&work->metadata, from->leader_id),
            .replicas = from->replica_nodes,
            .replica_count = from->replica_nodes_count,
            .isr = from->isr_nodes,
            .isr_count = from->isr_nodes_count,
        };
    }
    qsort(partitions, topic->partitions_count, sizeof(*partitions), compare_partitions);
    view.partitions = partitions;
    topic_view_print(&view, &work->request->filter, TOPICS_LAYOUT_3_9, out);
    free(partitions);
    buffer_release(&text);
}

static int describe(struct work *work)
{
    struct describe_configs_response settings;
    int rc = ask_settings(work, &settings);
    if (rc < 0)
        return rc;
    struct buffer out;
    buffer_init(&out);
    for (size_t i = 0; i < work->chosen_count; i++)
        describe_topic(work, work->chosen[i], &settings, &out);
    fputs(buffer_string(&out), stdout);
    buffer_release(&out);
    return 0;
}

/* Asks the controller; another time while it says that it is not the one any more. */
static int ask_controller(struct work *work, int16_t api_key, const void *question, void *answer,
                          int16_t (*first_error)(const void *answer))
{
    for (int attempt = 1;; attempt++) {
        int rc = cluster_client_call_controller(work->client, api_key, question, answer, &work->arena,
                                                &work->error->sentence);
        if (rc < 0 || first_error(answer) != KAFKA_NOT_CONTROLLER || attempt == CONTROLLER_ATTEMPTS)
            return rc;
    }
}

static int16_t first_create_error(const void *answer)
{
    const struct create_topics_response *response = answer;
    return response->topics_count > 0 ? response->topics[0].error_code : KAFKA_NONE;
}

static int32_t *copy_replicas(struct work *work, size_t partition, size_t *count)
{
    const struct topics_assignment *assignment = &work->request->assignment;
    *count = assignment->replication_factor;
    int32_t *ids = arena_allocate_array(&work->arena, *count, sizeof(*ids));
    memcpy(ids, assignment->replicas + partition * *count, *count * sizeof(*ids));
    return ids;
}

static void fill_creatable(struct work *work, struct create_topics_request_creatable_topic *topic)
{
    const struct topics_request *request = work->request;
    topic->name = slice_of(request->topic);
    topic->num_partitions = request->partitions;
    topic->replication_factor = (int16_t)request->replication_factor;
    topic->configs_count = request->setting_count;
    topic->configs = arena_allocate_array(&work->arena, request->setting_count, sizeof(*topic->configs));
    for (size_t i = 0; i < request->setting_count; i++) {
        topic->configs[i].name = request->settings[i].name;
        topic->configs[i].value = request->settings[i].value;
    }
    topic->assignments_count = request->assignment.partition_count;
    topic->assignments =
        arena_allocate_array(&work->arena, topic->assignments_count, sizeof(*topic->assignments));
    for (size_t i = 0; i < topic->assignments_count; i++) {
        topic->assignments[i].partition_index = (int32_t)i;
        topic->assignments[i].broker_ids = copy_replicas(work, i, &topic->assignments[i].broker_ids_count);
    }
}

static int create(struct work *work)
{
    const struct topics_request *request = work->request;
    if (topic_name_check(request->topic, &work->error->sentence) < 0)
        return -EINVAL;
    const char *warning = topic_collision_warning(request->topic);
    if (warning != NULL)
        tool_hint("%s", warning);
    struct create_topics_request_creatable_topic topic;
    create_topics_request_creatable_topic_init(&topic);
    fill_creatable(work, &topic);
    struct create_topics_request question;
    create_topics_request_init(&question);
    question.topics = &topic;
    question.topics_count = 1;
    question.timeout_ms = (int32_t)min_i64(request->timeout_ms, INT32_MAX);
    struct create_topics_response answer;
    int rc = ask_controller(work, KAFKA_API_CREATE_TOPICS, &question, &answer, first_create_error);
    if (rc < 0)
        return rc;
    int16_t code = first_create_error(&answer);
    if (code == KAFKA_TOPIC_ALREADY_EXISTS && request->if_not_exists)
        return 0;
    if (code != KAFKA_NONE)
        return tell_error(work, code, answer.topics[0].error_message, request->topic);
    printf("Created topic %s.\n", request->topic);
    return 0;
}

static int16_t first_delete_error(const void *answer)
{
    const struct delete_topics_response *response = answer;
    return response->responses_count > 0 ? response->responses[0].error_code : KAFKA_NONE;
}

static int delete (struct work *work)
{
    size_t count = work->chosen_count;
    if (count == 0)
        return 0;
    struct delete_topics_request question;
    delete_topics_request_init(&question);
    question.timeout_ms = (int32_t)min_i64(work->request->timeout_ms, INT32_MAX);
    question.topics_count = question.topic_names_count = count;
    question.topics = arena_allocate_array(&work->arena, count, sizeof(*question.topics));
    question.topic_names = arena_allocate_array(&work->arena, count, sizeof(*question.topic_names));
    for (size_t i = 0; i < count; i++)
        question.topics[i].name = question.topic_names[i] = work->chosen[i]->name;
    struct delete_topics_response answer;
    int rc = ask_controller(work, KAFKA_API_DELETE_TOPICS, &question, &answer, first_delete_error);
    for (size_t i = 0; rc == 0 && i < answer.responses_count; i++) {
        const struct delete_topics_response_deletable_topic_result *result = &answer.responses[i];
        if (result->error_code != KAFKA_NONE)
            rc = tell_error(work, result->error_code, result->error_message,
                            arena_copy_string(&work->arena, result->name));
    }
    return rc;
}

static int16_t first_partitions_error(const void *answer)
{
    const struct create_partitions_response *response = answer;
    return response->results_count > 0 ? response->results[0].error_code : KAFKA_NONE;
}

/* One topic to be grown; -EINVAL when it has as many partitions already, or more. */
static int fill_growth(struct work *work, const struct metadata_response_topic *from,
                       struct create_partitions_request_topic *to)
{
    const struct topics_request *request = work->request;
    to->name = from->name;
    to->count = request->partitions;
    if ((size_t)request->partitions < from->partitions_count) {
        buffer_print(&work->error->sentence,
                     "Topic currently has %zu partitions, which is higher than the requested %d.",
                     from->partitions_count, (int)request->partitions);
        buffer_append_string(&work->error->hint, "A topic's partitions can only become more.");
        return -EINVAL;
    }
    size_t given = request->assignment.partition_count;
    if (given == 0)
        return 0;
    if (given < from->partitions_count) {
        buffer_append_string(&work->error->sentence,
                             "The assignment names fewer partitions than the topic has.");
        return -EINVAL;
    }
    to->assignments_count = given - from->partitions_count;
    to->assignments = arena_allocate_array(&work->arena, to->assignments_count, sizeof(*to->assignments));
    for (size_t i = 0; i < to->assignments_count; i++)
        to->assignments[i].broker_ids =
            copy_replicas(work, from->partitions_count + i, &to->assignments[i].broker_ids_count);
    return 0;
}

static int alter(struct work *work)
{
    if (work->chosen_count == 0)
        return 0;
    struct create_partitions_request question;
    create_partitions_request_init(&question);
    question.timeout_ms = (int32_t)min_i64(work->request->timeout_ms, INT32_MAX);
    question.topics_count = work->chosen_count;
    question.topics = arena_allocate_array(&work->arena, work->chosen_count, sizeof(*question.topics));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < work->chosen_count; i++)
        rc = fill_growth(work, work->chosen[i], &question.topics[i]);
    struct create_partitions_response answer;
    if (rc == 0)
        rc = ask_controller(work, KAFKA_API_CREATE_PARTITIONS, &question, &answer, first_partitions_error);
    for (size_t i = 0; rc == 0 && i < answer.results_count; i++) {
        const struct create_partitions_response_topic_result *result = &answer.results[i];
        if (result->error_code != KAFKA_NONE)
            rc = tell_error(work, result->error_code, result->error_message,
                            arena_copy_string(&work->arena, result->name));
    }
    return rc;
}

int topics_by_bootstrap(const struct topics_request *request, struct topics_error *error)
{
    static const struct {
        const char *call;
        int (*run)(struct work *work);
    } actions[] = {
        [TOPICS_LIST] = {"listTopics", list},         [TOPICS_DESCRIBE] = {"describeTopics", describe},
        [TOPICS_CREATE] = {"createTopics", create},   [TOPICS_DELETE] = {"deleteTopics", delete},
        [TOPICS_ALTER] = {"createPartitions", alter},
    };
    struct work work = {.request = request, .error = error};
    struct cluster_client_options options = {
        .bootstrap = request->bootstrap,
        .client_id = "adminclient-1",
        .call = actions[request->action].call,
        .timeout_ms = request->timeout_ms,
    };
    int rc = cluster_client_open(&options, &work.client, &error->sentence, &error->hint);
    if (rc < 0)
        return rc;
    arena_init(&work.arena, ARENA_NO_BUDGET);
    if (request->action != TOPICS_CREATE)
        rc = choose_topics(&work);
    if (rc == 0 && request->action != TOPICS_CREATE && request->action != TOPICS_LIST)
        rc = require_chosen(&work);
    if (rc == 0)
        rc = actions[request->action].run(&work);
    free(work.chosen);
    arena_release(&work.arena);
    cluster_client_free(work.client);
    return rc;
}
