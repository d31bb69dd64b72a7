/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `barnabas console-producer`: the lines of standard input become records of a topic. At the end of the
 * input, or at SIGINT, everything read is sent before the program ends; what could not be delivered is named
 * on standard error.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "tools/client_properties.h"
#include "tools/console.h"
#include "tools/line_reader.h"
#include "tools/tool.h"

#define READ_BYTES ((size_t)64 * 1024)
#define POLL_MS 100
#define FULL_WAIT_MS 100
#define DEFAULT_BLOCK_MS 10000
#define TIME_MS_MAX ((int64_t)INT32_MAX)
#define STATUS_INTERRUPTED 130

static const struct option_row rows[] = {
    {"batch-size", OPTION_VALUE, "Integer: size", "The most bytes of records in one batch (default: 16384)."},
    {"bootstrap-server", OPTION_VALUE, "String: server to connect to",
     "The brokers to connect to, host:port with commas between them."},
    {"broker-list", OPTION_VALUE, "String: broker-list",
     "The former name of --bootstrap-server; left out when both are given."},
    {"command-config", OPTION_VALUE, "String: config file", "The same as --producer.config."},
    {"compression-codec", OPTION_OPTIONAL_VALUE, "String: compression-codec",
     "none, gzip, snappy, lz4 or zstd; gzip when no value is given."},
    {"help", OPTION_FLAG, NULL, "Print usage information."},
    {"line-reader", OPTION_VALUE, "String: reader_class",
     "Taken and not needed: the reader is the one of lines."},
    {"max-block-ms", OPTION_VALUE, "Long: max block on send",
     "How long to wait for the topic to be there (default: 10000)."},
    {"max-memory-bytes", OPTION_VALUE, "Long: total memory in bytes",
     "The most memory for records that wait to be sent."},
    {"max-partition-memory-bytes", OPTION_VALUE, "Integer: memory in bytes per partition",
     "The same as --batch-size, which it replaces."},
    {"message-send-max-retries", OPTION_VALUE, "Integer", "How often a request is tried again."},
    {"metadata-expiry-ms", OPTION_VALUE, "Long: metadata expiration interval",
     "How old the client's knowledge of the cluster may become."},
    {"producer-property", OPTION_VALUES, "String: producer_prop",
     "A setting of the producer, key=value. May be given more than once."},
    {"producer.config", OPTION_VALUE, "String: config file",
     "Property file with settings of the producer; --producer-property goes before it."},
    {"property", OPTION_VALUES, "String: prop",
     "A property of the line reader, key=value: parse.key, key.separator (TAB), ignore.error, parse.headers, "
     "headers.delimiter (TAB), headers.separator (,), headers.key.separator (:), null.marker."},
    {"reader-config", OPTION_VALUE, "String: config file",
     "Property file with properties of the line reader."},
    {"request-required-acks", OPTION_VALUE, "String: request required acks",
     "Which acknowledgements a record needs: 0, 1, -1 or all (default: -1)."},
    {"request-timeout-ms", OPTION_VALUE, "Integer: request timeout ms", "How long a request may take."},
    {"retry-backoff-ms", OPTION_VALUE, "Long", "How long to wait before a request is tried again."},
    {"socket-buffer-size", OPTION_VALUE, "Integer: size", "The size of the socket's send buffer."},
    {"sync", OPTION_FLAG, NULL, "Wait for each record's acknowledgement before the next is sent."},
    {"timeout", OPTION_VALUE, "Long: timeout_ms",
     "How long records may wait for others to be sent with them (default: 5)."},
    {"timeout-connect", OPTION_VALUE, "Long: milliseconds",
     "How long to wait for the first broker that answers (default: 10000)."},
    {"topic", OPTION_VALUE, "String: topic", "REQUIRED: The topic to produce to."},
    {"version", OPTION_FLAG, NULL, "Display the version."},
    /* Of the producer before Kafka 0.9. */
    {"key-serializer", OPTION_VALUE, "String: encoder_class", "Of former releases; left out."},
    {"old-producer", OPTION_FLAG, NULL, "Of former releases; left out."},
    {"queue-enqueuetimeout-ms", OPTION_VALUE, "Integer", "Of former releases; left out."},
    {"queue-size", OPTION_VALUE, "Integer", "Of former releases; left out."},
    {"value-serializer", OPTION_VALUE, "String: encoder_class", "Of former releases; left out."},
};

static const char *const former[] = {"key-serializer", "old-producer", "queue-enqueuetimeout-ms",
                                     "queue-size", "value-serializer"};

/* Options that are settings under another name. */
static const struct {
    const char *option;
    const char *setting;
} settings_of_options[] = {
    {"batch-size", "batch.size"},
    {"max-partition-memory-bytes", "batch.size"},
    {"max-memory-bytes", "buffer.memory"},
    {"message-send-max-retries", "retries"},
    {"metadata-expiry-ms", "metadata.max.age.ms"},
    {"request-required-acks", "acks"},
    {"request-timeout-ms", "request.timeout.ms"},
    {"retry-backoff-ms", "retry.backoff.ms"},
    {"socket-buffer-size", "send.buffer.bytes"},
    {"timeout", "linger.ms"},
};

struct producer {
    struct console console; /* first: the library's context is this structure */
    const char *topic;
    struct line_format format;
    struct line_parts parts;
    struct buffer input; /* what was read and is not sent yet */
    uint64_t line_number;
    uint64_t failed;
    bool sync;
    bool prompts;
};

/* Called by rd_kafka_poll and rd_kafka_flush. */
static void on_delivered(rd_kafka_t *handle, const rd_kafka_message_t *message, void *context)
{
    struct producer *producer = context;
    (void)handle;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    producer->failed++;
    fprintf(stderr, "ERROR Error when sending message to topic %s with key: ", producer->topic);
    if (message->key != NULL)
        fprintf(stderr, "%zu bytes, value: ", message->key_len);
    else
        fputs("null, value: ", stderr);
    if (message->payload != NULL)
        fprintf(stderr, "%zu bytes with error: %s\n", message->len, rd_kafka_err2str(message->err));
    else
        fprintf(stderr, "null with error: %s\n", rd_kafka_err2str(message->err));
}

/* Hands one record to the library, waiting while its queue is full. */
static int send_parts(struct producer *producer)
{
    const struct line_parts *parts = &producer->parts;
    rd_kafka_resp_err_t code;
    do {
        rd_kafka_headers_t *headers =
            parts->header_count > 0 ? rd_kafka_headers_new(parts->header_count) : NULL;
        for (size_t i = 0; i < parts->header_count; i++)
            rd_kafka_header_add(headers, (const char *)parts->headers[i].name.data,
                                (ssize_t)parts->headers[i].name.length, parts->headers[i].value.data,
                                (ssize_t)parts->headers[i].value.length);
        code = rd_kafka_producev(producer->console.handle, RD_KAFKA_V_TOPIC(producer->topic),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                 RD_KAFKA_V_KEY((void *)(uintptr_t)parts->key.data, parts->key.length),
                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)parts->value.data, parts->value.length),
                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL)
            rd_kafka_headers_destroy(headers);
        rd_kafka_poll(producer->console.handle, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? FULL_WAIT_MS : 0);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && !console_interrupted(&producer->console));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "ERROR Error when sending message to topic %s: %s\n", producer->topic,
                rd_kafka_err2str(code));
        producer->failed++;
    }
    while (producer->sync && rd_kafka_outq_len(producer->console.handle) > 0 &&
           !console_interrupted(&producer->console))
        rd_kafka_flush(producer->console.handle, POLL_MS);
    return 0;
}

/* -EINVAL, said on standard error: the line cannot be taken apart. */
static int send_line(struct producer *producer, struct slice line)
{
    if (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    /* An empty line is an empty value, not null. */
    if (line.length == 0)
        line = slice_of("");
    struct buffer error;
    buffer_init(&error);
    int rc = line_parse(&producer->format, line, ++producer->line_number, &producer->parts, &error);
    if (rc < 0)
        fprintf(stderr, "ERROR %s\n", buffer_string(&error));
    buffer_release(&error);
    return rc < 0 ? rc : send_parts(producer);
}

/* Sends all whole lines of the input, and at its end the last one without a line end. `from`: where to look
 * for the first line end. */
static int send_lines(struct producer *producer, size_t from, bool at_end)
{
    struct buffer *input = &producer->input;
    size_t start = 0;
    int rc = 0;
    while (rc == 0) {
        const uint8_t *end = memchr(input->data + from, '\n', input->length - from);
        if (end == NULL)
            break;
        rc = send_line(producer, slice_make(input->data + start, (size_t)(end - input->data) - start));
        start = from = (size_t)(end - input->data) + 1;
    }
    if (rc == 0 && at_end && start < input->length) {
        rc = send_line(producer, slice_make(input->data + start, input->length - start));
        start = input->length;
    }
    memmove(input->data, input->data + start, input->length - start);
    input->length -= start;
    return rc;
}

static void prompt(const struct producer *producer)
{
    if (producer->prompts) {
        fputc('>', stdout);
        fflush(stdout);
    }
}

/* Reads and sends until the end of the input, a signal, or a line that cannot be taken apart. */
static int read_input(struct producer *producer)
{
    struct pollfd descriptors[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                                   {.fd = producer->console.signal_descriptor, .events = POLLIN}};
    prompt(producer);
    for (;;) {
        poll(descriptors, ARRAY_SIZE(descriptors), POLL_MS);
        rd_kafka_poll(producer->console.handle, 0);
        if (console_interrupted(&producer->console))
            return 0;
        if (descriptors[0].revents == 0)
            continue;
        size_t before = producer->input.length;
        ssize_t got = read(STDIN_FILENO, buffer_reserve(&producer->input, READ_BYTES), READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fprintf(stderr, "ERROR Error reading standard input: %s\n", strerror(errno));
        producer->input.length += got > 0 ? (size_t)got : 0;
        int rc = send_lines(producer, before, got <= 0);
        if (rc < 0 || got <= 0)
            return rc < 0 || got < 0 ? -EINVAL : 0;
        prompt(producer);
    }
}

/* Waits until the topic is there; the brokers may make it because it was asked for. */
static int wait_topic(struct producer *producer, const char *bootstrap, int64_t connect_ms, int64_t block_ms)
{
    int64_t deadline_ms = clock_monotonic_ms() + block_ms;
    int correlation = 1;
    for (;; correlation++) {
        const struct rd_kafka_metadata *metadata = NULL;
        int rc = console_metadata(&producer->console, producer->topic, connect_ms, &metadata);
        if (rc < 0) {
            if (rc == -ETIMEDOUT)
                console_say_unreachable(bootstrap, connect_ms);
            return rc;
        }
        rd_kafka_resp_err_t code =
            metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        rd_kafka_metadata_destroy(metadata);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return 0;
        if (code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
            fprintf(stderr, "ERROR Invalid topics: [%s]\n", producer->topic);
            return -EINVAL;
        }
        console_warn(&producer->console, "Error while fetching metadata : {%s=%s}", producer->topic,
                     rd_kafka_err2name(code));
        if (clock_monotonic_ms() >= deadline_ms) {
            fprintf(stderr,
                    "ERROR Topic %s not present in metadata after %lld ms.\n"
                    "Create it first: barnabas topics --create --topic %s --bootstrap-server %s\n",
                    producer->topic, (long long)block_ms, producer->topic, bootstrap);
            return -ENOENT;
        }
        poll(NULL, 0, POLL_MS);
        if (console_interrupted(&producer->console))
            return -EINTR;
    }
}

static void set_option(const struct options *options, const char *option, const char *setting,
                       struct properties *settings)
{
    if (options_value(options, option) != NULL)
        properties_set(settings, setting, options_value(options, option), 0);
}

/* The producer's settings: its file, then --producer-property, then the options, then defaults. */
static int read_settings(const struct options *options, const char *bootstrap, struct properties *settings,
                         struct buffer *error)
{
    int rc = console_read_file(options, "command-config", settings, error);
    if (rc == 0)
        rc = console_read_file(options, "producer.config", settings, error);
    if (rc == 0)
        rc = console_read_pairs(options, "producer-property", settings, error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(settings_of_options); i++)
        set_option(options, settings_of_options[i].option, settings_of_options[i].setting, settings);
    if (options_has(options, "compression-codec")) {
        const char *codec = options_value(options, "compression-codec");
        properties_set(settings, "compression.type", codec != NULL && *codec != '\0' ? codec : "gzip", 0);
    }
    properties_set(settings, "bootstrap.servers", bootstrap, 0);
    console_default(settings, "client.id", "console-producer");
    console_default(settings, "acks", "-1");
    console_default(settings, "partitioner", "murmur2_random"); /* where Java's producers put a key */
    if (properties_find(settings, "message.timeout.ms") == NULL)
        console_default(settings, "delivery.timeout.ms", "120000");
    return 0;
}

static int read_format(const struct options *options, struct properties *reader, struct line_format *format,
                       struct buffer *error)
{
    int rc = console_read_file(options, "reader-config", reader, error);
    if (rc == 0)
        rc = console_read_pairs(options, "property", reader, error);
    return rc == 0 ? line_format_read(format, reader, error) : rc;
}

/* Waits until all is acknowledged or has failed; another signal ends the waiting. */
static void finish(struct producer *producer)
{
    producer->console.is_interrupted = false;
    while (rd_kafka_outq_len(producer->console.handle) > 0 && !console_interrupted(&producer->console))
        rd_kafka_flush(producer->console.handle, POLL_MS);
    int left = rd_kafka_outq_len(producer->console.handle);
    if (left > 0)
        fprintf(stderr, "ERROR Interrupted: %d messages may not have been sent.\n", left);
}

static int produce(struct producer *producer, const struct options *options, const char *bootstrap,
                   int64_t connect_ms, int64_t block_ms)
{
    producer->topic = options_value(options, "topic");
    producer->sync = options_has(options, "sync");
    producer->prompts = isatty(STDIN_FILENO) != 0;
    int rc = wait_topic(producer, bootstrap, connect_ms, block_ms);
    if (rc == 0)
        rc = read_input(producer);
    bool was_interrupted = producer->console.is_interrupted;
    finish(producer);
    if (was_interrupted || producer->console.is_interrupted)
        return STATUS_INTERRUPTED;
    return rc < 0 || producer->failed > 0 ? 1 : 0;
}

static int run(const struct options *options)
{
    struct producer producer = {0};
    struct properties settings, reader;
    struct buffer error;
    properties_init(&settings);
    properties_init(&reader);
    buffer_init(&error);
    buffer_init(&producer.input);
    line_parts_init(&producer.parts);
    int64_t connect_ms = DEFAULT_BLOCK_MS, block_ms = DEFAULT_BLOCK_MS;
    const char *bootstrap = options_value(options, "bootstrap-server");
    if (bootstrap == NULL)
        bootstrap = options_value(options, "broker-list");
    int rc = bootstrap == NULL ? options_require(options, "bootstrap-server", &error) : 0;
    if (rc == 0)
        rc = options_require(options, "topic", &error);
    if (rc == 0)
        rc = options_integer(options, "timeout-connect", 1, TIME_MS_MAX, &connect_ms, &error);
    if (rc == 0)
        rc = options_integer(options, "max-block-ms", 1, TIME_MS_MAX, &block_ms, &error);
    int status = 1;
    if (rc < 0) {
        status = tool_wrong_use(buffer_string(&error));
    } else if (read_settings(options, bootstrap, &settings, &error) < 0 ||
               read_format(options, &reader, &producer.format, &error) < 0) {
        fprintf(stderr, "%s\n", buffer_string(&error));
    } else {
        for (size_t i = 0; i < ARRAY_SIZE(former); i++)
            if (options_has(options, former[i]))
                tool_hint("Note: --%s belongs to producers of former releases and is left out.", former[i]);
        struct console_callbacks callbacks = {.delivered = on_delivered};
        if (console_open(&producer.console, RD_KAFKA_PRODUCER, "Producer", &settings, callbacks, &error) < 0)
            fprintf(stderr, "%s\n", buffer_string(&error));
        else
            status = produce(&producer, options, bootstrap, connect_ms, block_ms);
        console_close(&producer.console);
    }
    line_parts_release(&producer.parts);
    buffer_release(&producer.input);
    buffer_release(&error);
    properties_release(&reader);
    properties_release(&settings);
    return status;
}

const struct tool console_producer_tool = {
    .name = "console-producer",
    .summary = "send the lines of standard input to a topic",
    .purpose = "This tool helps to read data from standard input and publish it to Kafka.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .run = run,
};
