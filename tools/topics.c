/* SPDX-License-Identifier: Apache-2.0 */
/* `barnabas topics`: the options, their checks in the order of Kafka's tool, and the end with its exit
 * status. */
#include "tools/topics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/file.h"

#define DEFAULT_TIMEOUT_MS 10000
#define TIMEOUT_MS_MAX (24 * 3600 * INT64_C(1000))

static const struct option_row rows[] = {
    {"alter", OPTION_FLAG, NULL, "Alter the number of partitions of a topic."},
    {"at-min-isr-partitions", OPTION_FLAG, NULL,
     "If set when describing topics, only show partitions whose isr count is equal to the configured "
     "minimum."},
    {"bootstrap-server", OPTION_VALUE, "String: server to connect to",
     "The brokers to connect to, host:port with commas between them."},
    {"command-config", OPTION_VALUE, "String: command config property file",
     "Property file with settings for the connection to the brokers."},
    {"config", OPTION_VALUES, "String: name=value",
     "A setting of the topic that is created, or (with --zookeeper) altered. May be given more than once."},
    {"create", OPTION_FLAG, NULL, "Create a new topic."},
    {"delete", OPTION_FLAG, NULL, "Delete a topic."},
    {"delete-config", OPTION_VALUES, "String: name",
     "A setting to be taken from a topic (with --zookeeper and --alter). May be given more than once."},
    {"describe", OPTION_FLAG, NULL, "List details for the given topics."},
    {"disable-rack-aware", OPTION_FLAG, NULL, "Disable rack aware replica assignment."},
    {"exclude-internal", OPTION_FLAG, NULL, "Leave internal topics out when listing or describing."},
    {"force", OPTION_FLAG, NULL, "Suppress console prompts."},
    {"help", OPTION_FLAG, NULL, "Print usage information."},
    {"if-exists", OPTION_FLAG, NULL,
     "If set when altering, deleting or describing topics, do nothing when the topic does not exist."},
    {"if-not-exists", OPTION_FLAG, NULL,
     "If set when creating topics, do nothing when the topic exists already."},
    {"list", OPTION_FLAG, NULL, "List all available topics."},
    {"partition-size-limit-per-response", OPTION_VALUE, "Integer: maximum number of partitions",
     "Taken and not needed: answers are read whole."},
    {"partitions", OPTION_VALUE, "Integer: # of partitions",
     "The number of partitions of the topic that is created or altered."},
    {"replica-assignment", OPTION_VALUE, "String: broker_id:broker_id,...",
     "The replicas of each partition: a colon between replicas, a comma between partitions."},
    {"replication-factor", OPTION_VALUE, "Integer: replication factor",
     "The number of replicas of each partition of the topic that is created."},
    {"timeout", OPTION_VALUE, "Integer: milliseconds", "How long to wait for an answer (default: 10000)."},
    {"topic", OPTION_VALUE, "String: topic",
     "The topic to create, alter, describe or delete. Except for --create it may be a regular expression, "
     "which "
     "stands in quotes."},
    {"topic-id", OPTION_VALUE, "String: topic id", "The id of a topic to describe."},
    {"topics-with-overrides", OPTION_FLAG, NULL,
     "If set when describing topics, only show topics that have settings of their own."},
    {"unavailable-partitions", OPTION_FLAG, NULL,
     "If set when describing topics, only show partitions whose leader is not available."},
    {"under-min-isr-partitions", OPTION_FLAG, NULL,
     "If set when describing topics, only show partitions whose isr count is less than the configured "
     "minimum."},
    {"under-replicated-partitions", OPTION_FLAG, NULL,
     "If set when describing topics, only show under replicated partitions."},
    {"version", OPTION_FLAG, NULL, "Display the version."},
    {"zookeeper", OPTION_VALUE, "String: hosts",
     "The ZooKeeper servers, host:port with commas between them and /chroot at the end: works straight in "
     "ZooKeeper, as tools up to Kafka 2.8 did."},
};

static const char *const filters =
    "under-replicated-partitions unavailable-partitions under-min-isr-partitions at-min-isr-partitions "
    "topics-with-overrides";

static int choose_action(const struct options *options, struct topics_request *request, struct buffer *error)
{
    static const struct {
        const char *name;
        enum topics_action action;
    } actions[] = {{"list", TOPICS_LIST},
                   {"describe", TOPICS_DESCRIBE},
                   {"create", TOPICS_CREATE},
                   {"delete", TOPICS_DELETE},
                   {"alter", TOPICS_ALTER}};
    size_t chosen = 0;
    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        if (options_has(options, actions[i].name)) {
            request->action = actions[i].action;
            chosen++;
        }
    }
    if (chosen == 1)
        return 0;
    buffer_append_string(error,
                         "Command must include exactly one action: --list, --describe, --create, --alter or "
                         "--delete");
    return -EINVAL;
}

static int choose_door(const struct options *options, struct topics_request *request, struct buffer *error)
{
    request->bootstrap = options_value(options, "bootstrap-server");
    request->zookeeper = options_value(options, "zookeeper");
    if (request->bootstrap != NULL && request->zookeeper != NULL)
        buffer_append_string(error, "Only one of --bootstrap-server or --zookeeper must be specified");
    else if (request->bootstrap == NULL && request->zookeeper == NULL)
        buffer_append_string(error, "--bootstrap-server must be specified");
    return error->length > 0 ? -EINVAL : 0;
}

/* What must be there, and what cannot be together. */
static int check_together(const struct options *options, const struct topics_request *request,
                          struct buffer *error)
{
    enum topics_action action = request->action;
    int rc = 0;
    if (action == TOPICS_CREATE || action == TOPICS_DELETE || action == TOPICS_ALTER ||
        (action == TOPICS_DESCRIBE && options_has(options, "if-exists") && !options_has(options, "topic-id")))
        rc = options_require(options, "topic", error);
    if (rc == 0 && action == TOPICS_CREATE && request->zookeeper != NULL &&
        !options_has(options, "replica-assignment"))
        rc = options_require(options, "partitions replication-factor", error);
    if (rc == 0 && action == TOPICS_ALTER && request->bootstrap != NULL) {
        if (options_has(options, "config") || options_has(options, "delete-config")) {
            buffer_print(
                error,
                "Option combination \"[bootstrap-server],[%s]\" can't be used with option \"[alter]\" "
                "(the kafka-configs CLI supports altering topic configs with a --bootstrap-server option)",
                options_has(options, "config") ? "config" : "delete-config");
            return -EINVAL;
        }
        rc = options_require(options, "partitions", error);
    }
    static const struct {
        const char *name;
        const char *refuses;
    } conflicts[] = {
        {"list",
         "partitions replication-factor config delete-config replica-assignment if-exists if-not-exists"},
        {"describe", "partitions replication-factor config delete-config replica-assignment if-not-exists"},
        {"delete", "partitions replication-factor config delete-config replica-assignment if-not-exists"},
        {"create", "if-exists delete-config topic-id"},
        {"alter", "replication-factor if-not-exists"},
        {"replica-assignment", "replication-factor"},
        {"topics-with-overrides", "under-replicated-partitions unavailable-partitions"},
        {"topic-id", "zookeeper topic"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(conflicts) && rc == 0; i++)
        rc = options_refuse(options, conflicts[i].name, conflicts[i].refuses, error);
    if (rc == 0 && action == TOPICS_CREATE)
        rc = options_refuse(options, "replica-assignment", "partitions", error);
    static const char *const without_filters[] = {"list", "create", "delete", "alter"};
    for (size_t i = 0; i < ARRAY_SIZE(without_filters) && rc == 0; i++)
        rc = options_refuse(options, without_filters[i], filters, error);
    return rc;
}

static int read_numbers(const struct options *options, struct topics_request *request, struct buffer *error)
{
    int64_t partitions = -1, replicas = -1;
    request->timeout_ms = DEFAULT_TIMEOUT_MS;
    int rc = options_integer(options, "partitions", INT32_MIN, INT32_MAX, &partitions, error);
    if (rc == 0)
        rc = options_integer(options, "replication-factor", INT32_MIN, INT32_MAX, &replicas, error);
    if (rc == 0)
        rc = options_integer(options, "timeout", 1, TIMEOUT_MS_MAX, &request->timeout_ms, error);
    request->partitions = (int32_t)partitions;
    request->replication_factor = (int32_t)replicas;
    return rc;
}

static int read_request(const struct options *options, struct topics_request *request, struct buffer *error)
{
    int rc = choose_action(options, request, error);
    if (rc == 0)
        rc = choose_door(options, request, error);
    if (rc == 0)
        rc = check_together(options, request, error);
    if (rc == 0)
        rc = read_numbers(options, request, error);
    request->topic = options_value(options, "topic");
    request->topic_id = options_value(options, "topic-id");
    request->if_exists = options_has(options, "if-exists");
    request->if_not_exists = options_has(options, "if-not-exists");
    request->exclude_internal = options_has(options, "exclude-internal");
    request->ignore_racks = options_has(options, "disable-rack-aware");
    request->filter = (struct topics_filter){
        .under_replicated = options_has(options, "under-replicated-partitions"),
        .unavailable = options_has(options, "unavailable-partitions"),
        .under_min_isr = options_has(options, "under-min-isr-partitions"),
        .at_min_isr = options_has(options, "at-min-isr-partitions"),
        .with_overrides = options_has(options, "topics-with-overrides"),
    };
    return rc;
}

/* What Kafka's tool looks at only when it is at work: numbers in range, settings, the assignment. */
static int read_values(const struct options *options, struct topics_request *request, struct buffer *sentence)
{
    size_t position = 0, capacity = 0;
    if (options_has(options, "partitions") && request->partitions < 1) {
        buffer_append_string(sentence, "The partitions must be greater than 0");
        return -EINVAL;
    }
    if (options_has(options, "replication-factor") &&
        (request->replication_factor < 1 || request->replication_factor > INT16_MAX)) {
        buffer_append_string(sentence, "The replication factor must be between 1 and 32767 inclusive");
        return -EINVAL;
    }
    for (const char *text; (text = options_next_value(options, "config", &position)) != NULL;) {
        request->settings =
            memory_grow(request->settings, request->setting_count, &capacity, sizeof(*request->settings));
        int rc = topics_setting_parse(text, &request->settings[request->setting_count++], sentence);
        if (rc < 0)
            return rc;
    }
    position = capacity = 0;
    for (const char *text; (text = options_next_value(options, "delete-config", &position)) != NULL;) {
        request->removed =
            memory_grow(request->removed, request->removed_count, &capacity, sizeof(*request->removed));
        request->removed[request->removed_count++] = slice_of(text);
    }
    const char *assignment = options_value(options, "replica-assignment");
    return assignment != NULL ? topics_assignment_parse(assignment, &request->assignment, sentence) : 0;
}

static int run(const struct options *options)
{
    struct topics_request request = {0};
    struct topics_error error;
    buffer_init(&error.sentence);
    buffer_init(&error.hint);
    int status = 0;
    if (read_request(options, &request, &error.sentence) < 0) {
        status = tool_wrong_use(buffer_string(&error.sentence));
    } else {
        int rc = read_values(options, &request, &error.sentence);
        if (rc == 0)
            rc = tool_read_command_config(options, &error.sentence);
        if (rc == 0 && request.zookeeper != NULL)
            rc = topics_by_zookeeper(&request, &error);
        else if (rc == 0)
            rc = topics_by_bootstrap(&request, &error);
        if (rc < 0) {
            printf("Error while executing topic command : %s\n", buffer_string(&error.sentence));
            if (error.hint.length > 0)
                tool_hint("%s", buffer_string(&error.hint));
            status = 1;
        }
    }
    free(request.assignment.replicas);
    free(request.settings);
    free(request.removed);
    buffer_release(&error.sentence);
    buffer_release(&error.hint);
    return status;
}

const struct tool topics_tool = {
    .name = "topics",
    .summary = "create, list, describe, alter and delete topics",
    .purpose = "This tool helps to create, delete, describe, or change a topic.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .run = run,
};
