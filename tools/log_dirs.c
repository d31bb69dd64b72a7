/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `barnabas log-dirs --describe`: what lies in the log directories of brokers, as the one line of JSON that
 * Kafka's tool prints. Each broker is asked itself: nobody else knows.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/properties.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/describe_log_dirs.h"
#include "proto/kafka/messages/metadata.h"
#include "tools/cluster_client.h"
#include "tools/tool.h"

#define TIMEOUT_MS 10000
#define ANSWER_BYTES_MAX ((size_t)1 << 30)

static const struct option_row rows[] = {
    {"bootstrap-server", OPTION_VALUE, "String: server(s) to connect to",
     "The brokers to connect to, host:port with commas between them. REQUIRED."},
    {"broker-list", OPTION_VALUE, "String: Broker list",
     "The brokers to be asked, ids with commas between them: \"0,1,2\". All brokers where it is not given."},
    {"command-config", OPTION_VALUE, "String: Admin client property file",
     "Property file with settings for the connection to the brokers."},
    {"describe", OPTION_FLAG, NULL, "Describe the given log directories of the brokers. REQUIRED."},
    {"help", OPTION_FLAG, NULL, "Print usage information."},
    {"topic-list", OPTION_VALUE, "String: Topic list",
     "The topics to be told of, names with commas between them. All topics where it is not given."},
    {"version", OPTION_FLAG, NULL, "Display the version."},
};

struct work {
    const char *bootstrap;
    const char *brokers; /* NULL: all */
    const char *topics;  /* likewise */
    struct arena arena;
    struct metadata_response metadata;
    const struct metadata_response_broker **chosen; /* by id */
    size_t chosen_count;
    struct buffer sentence;
    struct buffer hint;
};

/* ---- the lists ---- */

/* The next element of a list with commas, without blanks around it; false at the end. */
static bool list_next(const char **list, struct slice *element)
{
    while (*list && **list) {
        const char *comma = strchr(*list, ',');
        size_t length = comma ? (size_t)(comma - *list) : strlen(*list);
        const char *begin = *list;
        *list = comma ? comma + 1 : begin + length;
        while (length > 0 && *begin == ' ') {
            begin++;
            length--;
        }
        while (length > 0 && begin[length - 1] == ' ')
            length--;
        *element = slice_make(begin, length);
        if (length > 0)
            return true;
    }
    return false;
}

static bool topic_is_wanted(const struct work *work, struct slice topic)
{
    const char *list = work->topics;
    struct slice element;
    bool any = false;
    while (list_next(&list, &element)) {
        if (slice_equals(element, topic))
            return true;
        any = true;
    }
    return !any;
}

static int by_id(const void *left, const void *right)
{
    const struct metadata_response_broker *const *a = left, *const *b = right;
    return ((*a)->node_id > (*b)->node_id) - ((*a)->node_id < (*b)->node_id);
}

static void choose(struct work *work, const struct metadata_response_broker *broker)
{
    for (size_t i = 0; i < work->chosen_count; i++)
        if (work->chosen[i] == broker)
            return;
    work->chosen[work->chosen_count++] = broker;
}

static void append_ids(const struct metadata_response_broker *const *brokers, size_t count,
                       struct buffer *out)
{
    for (size_t i = 0; i < count; i++)
        buffer_print(out, "%s%" PRId32, i > 0 ? "," : "", brokers[i]->node_id);
}

/* Those that were named, or all. 0; -ENOENT: some of them are not there; -EINVAL. */
static int choose_brokers(struct work *work)
{
    size_t count = work->metadata.brokers_count;
    const struct metadata_response_broker **all = memory_allocate((count + 1) * sizeof(*all));
    work->chosen = memory_allocate((count + 1) * sizeof(*work->chosen));
    for (size_t i = 0; i < count; i++)
        all[i] = &work->metadata.brokers[i];
    qsort(all, count, sizeof(*all), by_id);
    struct buffer unknown;
    buffer_init(&unknown);
    const char *list = work->brokers;
    struct slice element;
    bool any = false;
    while (list_next(&list, &element)) {
        const struct metadata_response_broker *found = NULL;
        char text[32];
        for (size_t i = 0; i < count && !found; i++) {
            snprintf(text, sizeof(text), "%" PRId32, all[i]->node_id);
            found = slice_is(element, text) ? all[i] : NULL;
        }
        any = true;
        if (found)
            choose(work, found);
        else
            buffer_print(&unknown, "%s%.*s", unknown.length > 0 ? "," : "", SLICE_ARGUMENTS(element));
    }
    for (size_t i = 0; i < count && !any; i++)
        choose(work, all[i]);
    qsort(work->chosen, work->chosen_count, sizeof(*work->chosen), by_id);
    int rc = unknown.length > 0 ? -ENOENT : 0;
    if (rc) {
        buffer_print(&work->sentence,
                     "ERROR: The given brokers do not exist from --broker-list: %s. "
                     "Current existent brokers: ",
                     buffer_string(&unknown));
        append_ids(all, count, &work->sentence);
    }
    buffer_release(&unknown);
    free(all);
    return rc;
}

/* ---- JSON ---- */

static void append_string(struct slice text, struct buffer *json)
{
    buffer_append_string(json, "\"");
    for (size_t i = 0; i < text.length; i++) {
        char byte = (char)text.data[i];
        if (byte == '"' || byte == '\\')
            buffer_print(json, "\\%c", byte);
        else if ((uint8_t)byte < ' ')
            buffer_print(json, "\\u%04x", byte);
        else
            buffer_append(json, &byte, 1);
    }
    buffer_append_string(json, "\"");
}

static void append_partitions(const struct work *work, const struct describe_log_dirs_response_result *result,
                              struct buffer *json)
{
    bool first = true;
    for (size_t t = 0; t < result->topics_count; t++) {
        const struct describe_log_dirs_response_topic *topic = &result->topics[t];
        for (size_t p = 0; topic_is_wanted(work, topic->name) && p < topic->partitions_count; p++) {
            const struct describe_log_dirs_response_partition *partition = &topic->partitions[p];
            struct buffer name;
            buffer_init(&name);
            buffer_print(&name, "%.*s-%" PRId32, SLICE_ARGUMENTS(topic->name), partition->partition_index);
            buffer_append_string(json, first ? "{\"partition\":" : ",{\"partition\":");
            append_string(buffer_slice(&name), json);
            buffer_print(json, ",\"size\":%" PRId64 ",\"offsetLag\":%" PRId64 ",\"isFuture\":%s}",
                         partition->partition_size, partition->offset_lag,
                         partition->is_future_key ? "true" : "false");
            buffer_release(&name);
            first = false;
        }
    }
}

/* The name of the class that Kafka's tool prints: scripts look whether it is null. */
static void append_error(int16_t code, struct buffer *json)
{
    if (code == KAFKA_NONE)
        buffer_append_string(json, "null");
    else if (code == KAFKA_KAFKA_STORAGE_ERROR)
        buffer_append_string(json, "\"org.apache.kafka.common.errors.KafkaStorageException\"");
    else
        append_string(slice_of(kafka_error_name(code)), json);
}

/* A full directory is no error to those who read the JSON: it serves reads, and has room again by itself. */
#define FULL_BELOW_BYTES ((int64_t)2 * 1024 * 1024)

static void say_full(int32_t broker, const struct describe_log_dirs_response_result *result)
{
    if (result->error_code == KAFKA_NONE && result->usable_bytes >= 0 &&
        result->usable_bytes < FULL_BELOW_BYTES)
        tool_hint("Broker %" PRId32 ": %.*s is full: %" PRId64 " of %" PRId64
                  " bytes are left. Nothing is appended there until there is room.",
                  broker, SLICE_ARGUMENTS(result->log_dir), result->usable_bytes, result->total_bytes);
}

static void append_broker(const struct work *work, int32_t id,
                          const struct describe_log_dirs_response *response, struct buffer *json)
{
    buffer_print(json, "{\"broker\":%" PRId32 ",\"logDirs\":[", id);
    for (size_t i = 0; i < response->results_count; i++) {
        const struct describe_log_dirs_response_result *result = &response->results[i];
        buffer_append_string(json, i > 0 ? ",{\"partitions\":[" : "{\"partitions\":[");
        append_partitions(work, result, json);
        buffer_append_string(json, "],\"error\":");
        append_error(result->error_code, json);
        buffer_append_string(json, ",\"logDir\":");
        append_string(result->log_dir, json);
        buffer_append_string(json, "}");
        say_full(id, result);
    }
    buffer_append_string(json, "]}");
}

/* ---- asking ---- */

static int open_client(struct work *work, const char *bootstrap, struct cluster_client **client)
{
    const struct cluster_client_options options = {.bootstrap = bootstrap,
                                                   .client_id = "barnabas-log-dirs",
                                                   .call = "describeLogDirs",
                                                   .timeout_ms = TIMEOUT_MS};
    return cluster_client_open(&options, client, &work->sentence, &work->hint);
}

static int ask_broker(struct work *work, const struct metadata_response_broker *broker, struct buffer *json)
{
    struct buffer address;
    struct cluster_client *client;
    buffer_init(&address);
    bool brackets = memchr(broker->host.data, ':', broker->host.length) != NULL;
    buffer_print(&address, brackets ? "[%.*s]:%" PRId32 : "%.*s:%" PRId32, SLICE_ARGUMENTS(broker->host),
                 broker->port);
    int rc = open_client(work, buffer_string(&address), &client);
    buffer_release(&address);
    if (rc < 0)
        return rc;
    struct describe_log_dirs_request request = {.topics = NULL};
    struct describe_log_dirs_response response;
    struct arena arena;
    arena_init(&arena, ANSWER_BYTES_MAX);
    describe_log_dirs_response_init(&response);
    rc = cluster_client_call(client, KAFKA_API_DESCRIBE_LOG_DIRS, &request, &response, &arena,
                             &work->sentence);
    if (rc == 0 && response.error_code != KAFKA_NONE) {
        buffer_print(&work->sentence, "Broker %" PRId32 " refused the request: %s", broker->node_id,
                     kafka_error_name(response.error_code));
        rc = -EREMOTEIO;
    }
    if (rc == 0)
        append_broker(work, broker->node_id, &response, json);
    arena_release(&arena);
    cluster_client_free(client);
    return rc;
}

static int find_brokers(struct work *work)
{
    struct cluster_client *client;
    struct metadata_request request = {.allow_auto_topic_creation = false};
    struct metadata_request_topic none[1];
    int rc = open_client(work, work->bootstrap, &client);
    if (rc < 0)
        return rc;
    request.topics = none; /* of no topic */
    rc = cluster_client_call(client, KAFKA_API_METADATA, &request, &work->metadata, &work->arena,
                             &work->sentence);
    cluster_client_free(client);
    return rc < 0 ? rc : choose_brokers(work);
}

static int describe(struct work *work)
{
    int rc = find_brokers(work);
    if (rc < 0)
        return rc;
    struct buffer json, ids;
    buffer_init(&json);
    buffer_init(&ids);
    append_ids(work->chosen, work->chosen_count, &ids);
    printf("Querying brokers for log directories information\n");
    buffer_append_string(&json, "{\"brokers\":[");
    for (size_t i = 0; i < work->chosen_count && rc == 0; i++) {
        buffer_append_string(&json, i > 0 ? "," : "");
        rc = ask_broker(work, work->chosen[i], &json);
    }
    buffer_append_string(&json, "],\"version\":1}");
    if (rc == 0)
        printf("Received log directory information from brokers %s\n%s\n", buffer_string(&ids),
               buffer_string(&json));
    buffer_release(&json);
    buffer_release(&ids);
    return rc;
}

static int run(const struct options *options)
{
    struct work work = {.bootstrap = options_value(options, "bootstrap-server"),
                        .brokers = options_value(options, "broker-list"),
                        .topics = options_value(options, "topic-list")};
    buffer_init(&work.sentence);
    buffer_init(&work.hint);
    arena_init(&work.arena, ANSWER_BYTES_MAX);
    int status = 0;
    if (options_require(options, "bootstrap-server describe", &work.sentence) < 0) {
        status = tool_wrong_use(buffer_string(&work.sentence));
    } else if (tool_read_command_config(options, &work.sentence) < 0 || describe(&work) < 0) {
        fflush(stdout);
        fprintf(stderr, "%s\n", buffer_string(&work.sentence));
        if (work.hint.length > 0)
            tool_hint("%s", buffer_string(&work.hint));
        status = 1;
    }
    free(work.chosen);
    arena_release(&work.arena);
    buffer_release(&work.sentence);
    buffer_release(&work.hint);
    return status;
}

const struct tool log_dirs_tool = {
    .name = "log-dirs",
    .summary = "show what lies in the log directories of brokers",
    .purpose = "This tool helps to query log directory usage on the specified brokers.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .run = run,
};
