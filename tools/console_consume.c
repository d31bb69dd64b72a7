/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The console consumer at work: looks up the partitions, reads all of them into one queue, writes a line for
 * each record. Now and then it looks for partitions and topics that have come meanwhile; those are read from
 * their beginning.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/memory.h"
#include "tools/console_consumer.h"
#include "tools/tool.h"

#define IDLE_MS 100
#define LOOK_INTERVAL_MS 10000
#define OUTPUT_BYTES ((size_t)64 * 1024)

/* A topic that is read: its partitions 0 .. started-1, or just one. */
struct feed {
    char *name;
    rd_kafka_topic_t *handle;
    int32_t started;
};

struct consumer {
    struct console *console;
    const struct consume_request *request;
    rd_kafka_queue_t *queue;
    struct feed *feeds;
    size_t feed_count;
    size_t feed_capacity;
    struct buffer output;
    struct record_header *headers; /* of the record at hand */
    size_t header_capacity;
    int64_t processed;
    int64_t last_record_ms; /* when the last one came; at first the beginning */
    bool is_late;           /* partitions found now are new ones */
    bool is_broken;         /* nobody reads our output any more */
};

static struct feed *feed_of(struct consumer *consumer, const char *name)
{
    for (size_t i = 0; i < consumer->feed_count; i++)
        if (strcmp(consumer->feeds[i].name, name) == 0)
            return &consumer->feeds[i];
    consumer->feeds = memory_grow(consumer->feeds, consumer->feed_count, &consumer->feed_capacity,
                                  sizeof(*consumer->feeds));
    struct feed *feed = &consumer->feeds[consumer->feed_count++];
    *feed = (struct feed){.name = memory_copy_string(name),
                          .handle = rd_kafka_topic_new(consumer->console->handle, name, NULL)};
    return feed;
}

static int start_partition(struct consumer *consumer, struct feed *feed, int32_t partition)
{
    const struct consume_request *request = consumer->request;
    int64_t offset = consumer->is_late ? RD_KAFKA_OFFSET_BEGINNING : request->offset;
    if (rd_kafka_consume_start_queue(feed->handle, partition, offset, consumer->queue) == 0)
        return 0;
    fprintf(stderr, "ERROR Partition %d of topic %s cannot be read: %s\n", (int)partition, feed->name,
            rd_kafka_err2str(rd_kafka_last_error()));
    return -EIO;
}

/* Starts what is not read yet of a topic. -EAGAIN: it is not there, or not ready. */
static int start_topic(struct consumer *consumer, const struct rd_kafka_metadata_topic *topic)
{
    const struct consume_request *request = consumer->request;
    if (topic->err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
        fprintf(stderr, "ERROR Invalid topics: [%s]\n", topic->topic);
        return -EINVAL;
    }
    if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR || topic->partition_cnt == 0) {
        console_warn(consumer->console, "Error while fetching metadata : {%s=%s}", topic->topic,
                     rd_kafka_err2name(topic->err));
        return -EAGAIN;
    }
    struct feed *feed = feed_of(consumer, topic->topic);
    if (request->partition != CONSUME_ALL_PARTITIONS) {
        if (request->partition >= topic->partition_cnt) {
            fprintf(stderr, "ERROR Topic %s has no partition %d; it has %d, from 0.\n", topic->topic,
                    (int)request->partition, topic->partition_cnt);
            return -ENOENT;
        }
        int rc = feed->started > 0 ? 0 : start_partition(consumer, feed, request->partition);
        feed->started = 1;
        return rc;
    }
    int rc = 0;
    for (; feed->started < topic->partition_cnt && rc == 0; feed->started++)
        rc = start_partition(consumer, feed, feed->started);
    return rc;
}

/* Asks which partitions there are, and starts those that are new. -EAGAIN: nothing to be read is there. */
static int look(struct consumer *consumer)
{
    const struct consume_request *request = consumer->request;
    const struct rd_kafka_metadata *metadata = NULL;
    int rc = console_metadata(consumer->console, request->topic, request->connect_timeout_ms, &metadata);
    if (rc == -ETIMEDOUT && consumer->is_late)
        return 0; /* the reading goes on when a broker is back */
    if (rc == -ETIMEDOUT)
        console_say_unreachable(request->bootstrap, request->connect_timeout_ms);
    if (rc < 0)
        return rc;
    int result = -EAGAIN;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (request->topic == NULL &&
            (topic_is_internal(topic->topic) || !topics_pattern_matches(request->pattern, topic->topic)))
            continue;
        rc = start_topic(consumer, topic);
        if (rc != -EAGAIN)
            result = rc;
        if (result < 0 && result != -EAGAIN)
            break;
    }
    rd_kafka_metadata_destroy(metadata);
    return result;
}

static bool is_over_time(const struct consumer *consumer)
{
    return consumer->request->timeout_ms >= 0 &&
           clock_monotonic_ms() - consumer->last_record_ms >= consumer->request->timeout_ms;
}

/* Writes out what is collected. */
static void flush_output(struct consumer *consumer)
{
    struct buffer *output = &consumer->output;
    if (output->length > 0 &&
        (fwrite(output->data, 1, output->length, stdout) < output->length || fflush(stdout) != 0))
        consumer->is_broken = true;
    buffer_clear(output);
}

static size_t read_headers(struct consumer *consumer, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    if (!consumer->request->format.print_headers ||
        rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    size_t count = 0;
    const char *name;
    const void *value;
    size_t length;
    while (rd_kafka_header_get_all(headers, count, &name, &value, &length) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        consumer->headers =
            memory_grow(consumer->headers, count, &consumer->header_capacity, sizeof(*consumer->headers));
        consumer->headers[count++] = (struct record_header){name, slice_make(value, length)};
    }
    return count;
}

static void print_message(struct consumer *consumer, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    int64_t timestamp_ms = rd_kafka_message_timestamp(message, &type);
    struct record_view record = {
        .timestamp_kind = type == RD_KAFKA_TIMESTAMP_CREATE_TIME       ? TIMESTAMP_CREATE
                          : type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? TIMESTAMP_LOG_APPEND
                                                                       : TIMESTAMP_NONE,
        .timestamp_ms = timestamp_ms,
        .partition = message->partition,
        .offset = message->offset,
        .header_count = read_headers(consumer, message),
        .key = slice_make(message->key, message->key_len),
        .value = slice_make(message->payload, message->len),
    };
    record.headers = consumer->headers;
    record_print(&consumer->request->format, &record, &consumer->output);
    if (consumer->output.length >= OUTPUT_BYTES)
        flush_output(consumer);
}

/* One event of the queue. -EIO: it cannot be gone on. */
static int handle(struct consumer *consumer, const rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        consumer->last_record_ms = clock_monotonic_ms();
        consumer->processed++;
        print_message(consumer, message);
        return 0;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return 0;
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "";
    const char *reason = message->payload != NULL ? (const char *)message->payload : "";
    bool is_bad_record =
        message->err == RD_KAFKA_RESP_ERR__BAD_MSG || message->err == RD_KAFKA_RESP_ERR__BAD_COMPRESSION;
    if (is_bad_record && !consumer->request->skip_errors) {
        fprintf(stderr, "ERROR Error processing message, terminating consumer process: %s-%d: %s %s\n", topic,
                (int)message->partition, rd_kafka_err2str(message->err), reason);
        return -EIO;
    }
    console_warn(consumer->console, "%s-%d: %s %s", topic, (int)message->partition,
                 rd_kafka_err2name(message->err), reason);
    return 0;
}

/* Waits for the topic; 0 once something is read, 1 when time is over. */
static int begin(struct consumer *consumer)
{
    for (;;) {
        int rc = look(consumer);
        if (rc != -EAGAIN)
            return rc;
        if (console_interrupted(consumer->console))
            return -EINTR;
        if (is_over_time(consumer))
            return 1;
        poll(NULL, 0, IDLE_MS);
    }
}

/* 0: the limit is reached or a signal has come; 1: time is over; negative: it cannot be gone on. */
static int read_on(struct consumer *consumer)
{
    const struct consume_request *request = consumer->request;
    int64_t next_look_ms = clock_monotonic_ms() + LOOK_INTERVAL_MS;
    while (request->message_limit < 0 || consumer->processed < request->message_limit) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->queue, 0);
        if (message == NULL) {
            flush_output(consumer);
            message = rd_kafka_consume_queue(consumer->queue, IDLE_MS);
        }
        rd_kafka_poll(consumer->console->handle, 0);
        int rc = message != NULL ? handle(consumer, message) : 0;
        if (message != NULL)
            rd_kafka_message_destroy(message);
        if (rc < 0)
            return rc;
        if (consumer->is_broken) {
            fputs("Unable to write to standard out, closing consumer.\n", stderr);
            return 0;
        }
        if (console_interrupted(consumer->console))
            return 0;
        if (message == NULL && is_over_time(consumer))
            return 1;
        if (message == NULL && clock_monotonic_ms() >= next_look_ms) {
            rc = look(consumer);
            if (rc < 0 && rc != -EAGAIN)
                return rc == -EINTR ? 0 : rc;
            next_look_ms = clock_monotonic_ms() + LOOK_INTERVAL_MS;
        }
    }
    return 0;
}

static void release(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->feed_count; i++) {
        struct feed *feed = &consumer->feeds[i];
        bool is_one = consumer->request->partition != CONSUME_ALL_PARTITIONS;
        for (int32_t j = 0; j < feed->started; j++)
            rd_kafka_consume_stop(feed->handle, is_one ? consumer->request->partition : j);
        rd_kafka_topic_destroy(feed->handle);
        free(feed->name);
    }
    free(consumer->feeds);
    free(consumer->headers);
    rd_kafka_queue_destroy(consumer->queue);
    buffer_release(&consumer->output);
}

int consume(struct console *console, const struct consume_request *request)
{
    struct consumer consumer = {.console = console, .request = request};
    buffer_init(&consumer.output);
    consumer.queue = rd_kafka_queue_new(console->handle);
    consumer.last_record_ms = clock_monotonic_ms();
    int rc = begin(&consumer);
    consumer.is_late = true;
    if (rc == 0)
        rc = read_on(&consumer);
    flush_output(&consumer);
    if (rc == 1)
        fprintf(stderr,
                "ERROR Error processing message, terminating consumer process: TimeoutException: nothing "
                "arrived within --timeout-ms %lld\n",
                (long long)request->timeout_ms);
    fprintf(stderr, "Processed a total of %lld messages\n", (long long)consumer.processed);
    release(&consumer);
    return rc < 0 && rc != -EINTR ? 1 : 0;
}
