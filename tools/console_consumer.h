/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `barnabas console-consumer`: what its files share. console_consumer.c reads and checks the options; reading
 * records and writing lines is in console_consume.c. It reads partitions by assignment: all of the topics
 * that are meant, or one; there is no group.
 */
#ifndef TOOLS_CONSOLE_CONSUMER_H
#define TOOLS_CONSOLE_CONSUMER_H

#include "tools/console.h"
#include "tools/record_printer.h"
#include "tools/topics.h"

#define CONSUME_NO_LIMIT (-1)
#define CONSUME_ALL_PARTITIONS (-1)

struct consume_request {
    const char *bootstrap;
    const char *topic;              /* or NULL: those that `pattern` matches */
    struct topics_pattern *pattern; /* or NULL */
    int32_t partition;              /* or CONSUME_ALL_PARTITIONS */
    int64_t offset;                 /* or RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END */
    int64_t message_limit;          /* or CONSUME_NO_LIMIT */
    int64_t timeout_ms;             /* without a record; or CONSUME_NO_LIMIT */
    int64_t connect_timeout_ms;
    bool skip_errors;
    struct record_format format;
};

/* Reads until the limit, the timeout or a signal; says on standard error how many records that were. The exit
 * status. */
int consume(struct console *console, const struct consume_request *request);

/* The brokers registered below a ZooKeeper connect string, as a bootstrap list. 0, or -errno with the
 * sentence. */
MUST_CHECK int bootstrap_from_zookeeper(const char *connect, int64_t timeout_ms, struct buffer *bootstrap,
                                        struct buffer *error);

#endif
