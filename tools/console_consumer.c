/* SPDX-License-Identifier: Apache-2.0 */
/* `barnabas console-consumer`: the options, their checks, and the settings made from them. */
#include "tools/console_consumer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/client_properties.h"
#include "tools/tool.h"

#define DEFAULT_CONNECT_MS 10000
#define TIME_MS_MAX ((int64_t)INT32_MAX)

static const struct option_row rows[] = {
    {"bootstrap-server", OPTION_VALUE, "String: server to connect to",
     "The brokers to connect to, host:port with commas between them."},
    {"command-config", OPTION_VALUE, "String: config file", "The same as --consumer.config."},
    {"consumer-property", OPTION_VALUES, "String: consumer_prop",
     "A setting of the consumer, key=value. May be given more than once."},
    {"consumer.config", OPTION_VALUE, "String: config file",
     "Property file with settings of the consumer; --consumer-property goes before it."},
    {"enable-systest-events", OPTION_FLAG, NULL, "Taken and not needed."},
    {"formatter", OPTION_VALUE, "String: class",
     "Taken and not needed: lines are written by the default one."},
    {"formatter-config", OPTION_VALUE, "String: config file",
     "Property file with properties of the formatter; --property goes before it."},
    {"from-beginning", OPTION_FLAG, NULL,
     "Start with the earliest record there is rather than the next one to come."},
    {"group", OPTION_VALUE, "String: consumer group id",
     "Consumer groups come with a later release; partitions are read without one."},
    {"help", OPTION_FLAG, NULL, "Print usage information."},
    {"include", OPTION_VALUE, "String: Java regex (String)", "A regular expression of topics to consume."},
    {"isolation-level", OPTION_VALUE, "String",
     "read_committed leaves out what transactions have not committed; read_uncommitted (default) reads all."},
    {"key-deserializer", OPTION_VALUE, "String: deserializer for key",
     "A class name: numbers of Short-, Integer-, Long-, Float- and DoubleDeserializer are written as such."},
    {"max-messages", OPTION_VALUE, "Integer: num_messages", "How many records to read before the end."},
    {"offset", OPTION_VALUE, "String: consume offset",
     "The offset to begin with: a number, earliest or latest (default). Needs --partition."},
    {"partition", OPTION_VALUE, "Integer: partition", "The one partition to read."},
    {"property", OPTION_VALUES, "String: prop",
     "A property of the formatter, key=value: print.timestamp, print.partition, print.offset, print.headers, "
     "print.key, print.value, key.separator (TAB), line.separator, headers.separator (,), null.literal."},
    {"skip-message-on-error", OPTION_FLAG, NULL, "Skip a record that cannot be read rather than end."},
    {"timeout-connect", OPTION_VALUE, "Long: milliseconds",
     "How long to wait for the first broker that answers (default: 10000)."},
    {"timeout-ms", OPTION_VALUE, "Integer: timeout_ms", "End when no record arrives for so long."},
    {"topic", OPTION_VALUE, "String: topic", "The topic to consume."},
    {"value-deserializer", OPTION_VALUE, "String: deserializer for values", "The same for values."},
    {"version", OPTION_FLAG, NULL, "Display the version."},
    {"whitelist", OPTION_VALUE, "String: Java regex (String)", "The former name of --include."},
    {"zookeeper", OPTION_VALUE, "String: urls",
     "The former way: the brokers are found in ZooKeeper, at host:port[,host:port...][/chroot]."},
    /* Of the consumer before Kafka 0.9. */
    {"blacklist", OPTION_VALUE, "String: blacklist", "Of former releases; refused."},
    {"csv-reporter-enabled", OPTION_FLAG, NULL, "Of former releases; left out."},
    {"delete-consumer-offsets", OPTION_FLAG, NULL, "Of former releases; left out."},
    {"metrics-dir", OPTION_VALUE, "String: metrics directory", "Of former releases; left out."},
    {"new-consumer", OPTION_FLAG, NULL, "Of former releases; left out."},
};

static const char *const without_effect[] = {"csv-reporter-enabled", "delete-consumer-offsets", "metrics-dir",
                                             "new-consumer", "formatter"};

static int fail(struct buffer *error, const char *sentence)
{
    buffer_append_string(error, sentence);
    return -EINVAL;
}

static int read_offset(const struct options *options, struct consume_request *request,
                       const struct properties *settings, struct buffer *error)
{
    const char *text = options_value(options, "offset");
    const struct property *reset = properties_find(settings, "auto.offset.reset");
    bool from_beginning =
        options_has(options, "from-beginning") ||
        (reset != NULL && (strcmp(reset->value, "earliest") == 0 || strcmp(reset->value, "smallest") == 0));
    request->offset = from_beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END;
    if (text == NULL)
        return 0;
    if (strcmp(text, "earliest") == 0) {
        request->offset = RD_KAFKA_OFFSET_BEGINNING;
    } else if (strcmp(text, "latest") == 0) {
        request->offset = RD_KAFKA_OFFSET_END;
    } else {
        char *end = NULL;
        errno = 0;
        request->offset = strtoll(text, &end, 10);
        if (end == text || *end != '\0' || errno != 0 || request->offset < 0) {
            buffer_print(
                error,
                "The provided offset value '%s' is incorrect. Valid values are 'earliest', 'latest', or a "
                "non-negative long.",
                text);
            return -EINVAL;
        }
    }
    return 0;
}

static int check_together(const struct options *options, struct buffer *error)
{
    bool has_topic = options_has(options, "topic");
    bool has_pattern = options_has(options, "include") || options_has(options, "whitelist");
    if (options_has(options, "blacklist"))
        return fail(error,
                    "--blacklist belongs to consumers of former releases; name the topics with --include.");
    if (options_has(options, "partition") && !has_topic)
        return fail(error, "The topic is required when partition is specified.");
    if (has_topic == has_pattern)
        return fail(error, "Exactly one of --include/--topic is required.");
    if (options_has(options, "offset") && !options_has(options, "partition"))
        return fail(error, "The partition is required when offset is specified.");
    if (options_has(options, "offset") && options_has(options, "from-beginning"))
        return fail(error, "Options from-beginning and offset cannot be specified together.");
    if (options_has(options, "group") && options_has(options, "partition"))
        return fail(error, "Options group and partition cannot be specified together.");
    if (options_has(options, "bootstrap-server") && options_has(options, "zookeeper"))
        return fail(error, "Only one of --bootstrap-server or --zookeeper must be specified");
    if (!options_has(options, "zookeeper"))
        return options_require(options, "bootstrap-server", error);
    return 0;
}

static int read_numbers(const struct options *options, struct consume_request *request, struct buffer *error)
{
    int64_t partition = CONSUME_ALL_PARTITIONS;
    request->connect_timeout_ms = DEFAULT_CONNECT_MS;
    request->message_limit = CONSUME_NO_LIMIT;
    request->timeout_ms = CONSUME_NO_LIMIT;
    int rc = options_integer(options, "partition", 0, INT32_MAX, &partition, error);
    if (rc == 0)
        rc = options_integer(options, "max-messages", -1, INT64_MAX, &request->message_limit, error);
    if (rc == 0)
        rc = options_integer(options, "timeout-ms", -1, TIME_MS_MAX, &request->timeout_ms, error);
    if (rc == 0)
        rc = options_integer(options, "timeout-connect", 1, TIME_MS_MAX, &request->connect_timeout_ms, error);
    request->partition = (int32_t)partition;
    return rc;
}

/* The consumer's settings: its file, then --consumer-property, then the options. */
static int read_settings(const struct options *options, struct properties *settings, struct buffer *error)
{
    int rc = console_read_file(options, "command-config", settings, error);
    if (rc == 0)
        rc = console_read_file(options, "consumer.config", settings, error);
    if (rc == 0)
        rc = console_read_pairs(options, "consumer-property", settings, error);
    const char *isolation = options_value(options, "isolation-level");
    if (isolation != NULL)
        properties_set(settings, "isolation.level", isolation, 0);
    if (rc == 0 && (options_has(options, "group") || properties_find(settings, "group.id") != NULL))
        rc = fail(error, "Consumer groups come with a later release of Barnabas.\n"
                         "Leave the group out: all partitions of the topic are read then.");
    return rc;
}

static int read_format(const struct options *options, struct properties *formatter,
                       struct record_format *format, struct buffer *error)
{
    int rc = console_read_file(options, "formatter-config", formatter, error);
    if (rc == 0)
        rc = console_read_pairs(options, "property", formatter, error);
    if (rc == 0)
        rc = record_format_read(format, formatter, error);
    if (rc == 0 && options_value(options, "key-deserializer") != NULL)
        format->key_form = value_form_of_class(options_value(options, "key-deserializer"));
    if (rc == 0 && options_value(options, "value-deserializer") != NULL)
        format->value_form = value_form_of_class(options_value(options, "value-deserializer"));
    return rc;
}

/* Where the brokers are; through ZooKeeper where that is what is given. `found` keeps the text. */
static int find_bootstrap(const struct options *options, struct consume_request *request,
                          struct buffer *found, struct buffer *error)
{
    request->bootstrap = options_value(options, "bootstrap-server");
    if (request->bootstrap != NULL)
        return 0;
    tool_hint(
        "Using the ConsoleConsumer with old consumer is deprecated and will be removed in a future major "
        "release. Consider using the new consumer by passing [bootstrap-server] instead of [zookeeper].");
    int rc = bootstrap_from_zookeeper(options_value(options, "zookeeper"), request->connect_timeout_ms, found,
                                      error);
    request->bootstrap = buffer_string(found);
    return rc;
}

static int open_and_consume(const struct consume_request *request, struct properties *settings,
                            struct buffer *error)
{
    properties_set(settings, "bootstrap.servers", request->bootstrap, 0);
    properties_set(settings, "auto.offset.reset",
                   request->offset == RD_KAFKA_OFFSET_BEGINNING ? "earliest" : "latest", 0);
    console_default(settings, "client.id", "console-consumer");
    console_default(settings, "isolation.level", "read_uncommitted");
    console_default(settings, "allow.auto.create.topics", "true");
    console_default(settings, "check.crcs", "true");
    struct console console;
    struct console_callbacks callbacks = {0};
    int status = 1;
    if (console_open(&console, RD_KAFKA_CONSUMER, "Consumer", settings, callbacks, error) == 0)
        status = consume(&console, request);
    else
        fprintf(stderr, "%s\n", buffer_string(error));
    console_close(&console);
    return status;
}

static int run(const struct options *options)
{
    struct consume_request request = {.topic = options_value(options, "topic"),
                                      .skip_errors = options_has(options, "skip-message-on-error")};
    struct properties settings, formatter;
    struct buffer error, found;
    properties_init(&settings);
    properties_init(&formatter);
    buffer_init(&error);
    buffer_init(&found);
    int status = 1;
    const char *expression = options_value(options, "include");
    if (expression == NULL)
        expression = options_value(options, "whitelist");
    int rc = check_together(options, &error);
    if (rc == 0)
        rc = read_numbers(options, &request, &error);
    if (rc < 0) {
        status = tool_wrong_use(buffer_string(&error));
    } else {
        for (size_t i = 0; i < ARRAY_SIZE(without_effect); i++)
            if (options_has(options, without_effect[i]))
                tool_hint("Note: --%s has no effect here and is left out.", without_effect[i]);
        rc = read_settings(options, &settings, &error);
        if (rc == 0)
            rc = read_offset(options, &request, &settings, &error);
        if (rc == 0)
            rc = read_format(options, &formatter, &request.format, &error);
        if (rc == 0 && request.topic == NULL &&
            (request.pattern = topics_pattern_new(expression, &error)) == NULL)
            rc = -EINVAL;
        if (rc == 0)
            rc = find_bootstrap(options, &request, &found, &error);
        if (rc < 0)
            fprintf(stderr, "%s\n", buffer_string(&error));
        else
            status = open_and_consume(&request, &settings, &error);
    }
    topics_pattern_free(request.pattern);
    buffer_release(&found);
    buffer_release(&error);
    properties_release(&formatter);
    properties_release(&settings);
    return status;
}

const struct tool console_consumer_tool = {
    .name = "console-consumer",
    .summary = "write the records of topics to standard output",
    .purpose = "This tool helps to read data from Kafka topics and outputs it to standard output.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .run = run,
};
