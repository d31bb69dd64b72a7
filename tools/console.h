/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the console producer and the console consumer share: a client handle made from Java-style settings,
 * its warnings on standard error, and orderly ends by SIGINT or SIGTERM. One thread; the library has its own.
 */
#ifndef TOOLS_CONSOLE_H
#define TOOLS_CONSOLE_H

#include <librdkafka/rdkafka.h>

#include "common/buffer.h"
#include "common/properties.h"

struct console {
    rd_kafka_t *handle;
    const char *role; /* "Producer", "Consumer": for warnings */
    char *client_id;
    bool is_reached; /* a broker has answered */
    bool is_interrupted;
    int signal_descriptor;      /* readable once SIGINT or SIGTERM has come */
    struct buffer last_warning; /* the same is not said twice in a row */
};

struct console_callbacks {
    void (*delivered)(rd_kafka_t *handle, const rd_kafka_message_t *message, void *console); /* or NULL */
};

/*
 * Makes the handle. Settings that the library does not know are named on standard error and left out; a value
 * that it refuses gives -EINVAL with the sentence. `console` is its callbacks' context, so it does not move.
 */
MUST_CHECK int console_open(struct console *console, rd_kafka_type_t type, const char *role,
                            const struct properties *settings, struct console_callbacks callbacks,
                            struct buffer *error);
/* Also of a console that could not be opened. */
void console_close(struct console *console);

/* Sets a setting unless the user has given it. */
void console_default(struct properties *settings, const char *key, const char *value);

/* Whether a signal has come; takes notice of it. */
bool console_interrupted(struct console *console);

/* What is known of a topic; topic NULL: all topics. Tries until a broker answers, or timeout_ms have passed
 * (-ETIMEDOUT), or a signal comes (-EINTR). The caller frees *metadata with rd_kafka_metadata_destroy. */
MUST_CHECK int console_metadata(struct console *console, const char *topic, int64_t timeout_ms,
                                const struct rd_kafka_metadata **metadata);

/* A line on standard error: "WARN [Producer clientId=console-producer] ...". */
void console_warn(struct console *console, const char *format, ...) PRINTF_LIKE(2, 3);

/* For what cannot be reached: a line for standard error that says what to do. */
void console_say_unreachable(const char *bootstrap, int64_t timeout_ms);

/* Collects a repeated option's "key=value" pairs. -EINVAL with the sentence. */
struct options;
MUST_CHECK int console_read_pairs(const struct options *options, const char *option,
                                  struct properties *properties, struct buffer *error);

/* The settings of the file that an option names, if given. */
MUST_CHECK int console_read_file(const struct options *options, const char *option,
                                 struct properties *properties, struct buffer *error);

#endif
