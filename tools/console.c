/* SPDX-License-Identifier: Apache-2.0 */
/* The client handle of the console tools, see console.h. */
#include "tools/console.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/memory.h"
#include "tools/client_properties.h"
#include "tools/tool.h"

#define ERROR_TEXT_BYTES 512
#define ATTEMPT_MS 500
#define LEVEL_WARNING 4

void console_default(struct properties *settings, const char *key, const char *value)
{
    if (properties_find(settings, key) == NULL)
        properties_set(settings, key, value, 0);
}

void console_warn(struct console *console, const char *format, ...)
{
    struct buffer text;
    buffer_init(&text);
    va_list arguments;
    va_start(arguments, format);
    buffer_print_list(&text, format, arguments);
    va_end(arguments);
    if (!slice_equals(buffer_slice(&text), buffer_slice(&console->last_warning))) {
        fprintf(stderr, "WARN [%s clientId=%s] %s\n", console->role, console->client_id,
                buffer_string(&text));
        buffer_clear(&console->last_warning);
        buffer_append(&console->last_warning, text.data, text.length);
    }
    buffer_release(&text);
}

/* Called by the library's poll functions on our thread. */
static void on_error(rd_kafka_t *handle, int code, const char *reason, void *context)
{
    struct console *console = context;
    (void)handle;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return; /* each has been told of */
    /* "(after 0ms in state CONNECT...)" differs each time. */
    const char *detail = strstr(reason, " (after ");
    int length = (int)(detail != NULL ? (size_t)(detail - reason) : strlen(reason));
    console_warn(console, "%.*s. Broker may not be available.", length, reason);
}

/* Called by the library's threads: what is no error of a connection, which on_error tells. */
static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle;
    if (level <= LEVEL_WARNING && strcmp(facility, "FAIL") != 0 && strcmp(facility, "ERROR") != 0 &&
        strcmp(facility, "CONFWARN") != 0)
        fprintf(stderr, "WARN [%s] %s\n", facility, text);
}

static int set_one(rd_kafka_conf_t *settings, const struct property *property, struct buffer *error)
{
    struct buffer name, value;
    buffer_init(&name);
    buffer_init(&value);
    char text[ERROR_TEXT_BYTES];
    int rc = 0;
    if (client_property_map(property->key, property->value, &name, &value) != PROPERTY_IGNORED) {
        rd_kafka_conf_res_t result =
            rd_kafka_conf_set(settings, buffer_string(&name), buffer_string(&value), text, sizeof(text));
        if (result == RD_KAFKA_CONF_UNKNOWN) {
            tool_hint("WARN The configuration '%s' was supplied but isn't a known config.", property->key);
        } else if (result != RD_KAFKA_CONF_OK) {
            buffer_print(error, "Invalid value %s for configuration %s: %s", property->value, property->key,
                         text);
            rc = -EINVAL;
        }
    }
    buffer_release(&value);
    buffer_release(&name);
    return rc;
}

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

int console_open(struct console *console, rd_kafka_type_t type, const char *role,
                 const struct properties *settings, struct console_callbacks callbacks, struct buffer *error)
{
    *console = (struct console){.role = role};
    buffer_init(&console->last_warning);
    const struct property *client_id = properties_find(settings, "client.id");
    console->client_id = memory_copy_string(client_id != NULL ? client_id->value : "");
    signal(SIGPIPE, SIG_IGN);
    console->signal_descriptor = open_signals();
    rd_kafka_conf_t *converted = rd_kafka_conf_new();
    int rc = 0;
    for (size_t i = 0; i < settings->count && rc == 0; i++)
        rc = set_one(converted, &settings->items[i], error);
    rd_kafka_conf_set_opaque(converted, console);
    rd_kafka_conf_set_error_cb(converted, on_error);
    rd_kafka_conf_set_log_cb(converted, on_log);
    if (callbacks.delivered != NULL)
        rd_kafka_conf_set_dr_msg_cb(converted, callbacks.delivered);
    if (rc == 0) {
        char text[ERROR_TEXT_BYTES];
        console->handle = rd_kafka_new(type, converted, text, sizeof(text));
        if (console->handle == NULL) {
            buffer_append_string(error, text);
            rc = -EINVAL;
        }
    }
    if (rc < 0)
        rd_kafka_conf_destroy(converted);
    return rc;
}

void console_close(struct console *console)
{
    if (console->handle != NULL)
        rd_kafka_destroy(console->handle);
    if (console->signal_descriptor >= 0)
        close(console->signal_descriptor);
    free(console->client_id);
    buffer_release(&console->last_warning);
}

bool console_interrupted(struct console *console)
{
    struct signalfd_siginfo information;
    if (read(console->signal_descriptor, &information, sizeof(information)) > 0)
        console->is_interrupted = true;
    return console->is_interrupted;
}

int console_metadata(struct console *console, const char *topic, int64_t timeout_ms,
                     const struct rd_kafka_metadata **metadata)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    rd_kafka_topic_t *handle = topic != NULL ? rd_kafka_topic_new(console->handle, topic, NULL) : NULL;
    int rc = topic != NULL && handle == NULL ? -EINVAL : -EAGAIN;
    while (rc == -EAGAIN) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        int wait_ms = (int)max_i64(1, min_i64(left_ms, ATTEMPT_MS));
        if (rd_kafka_metadata(console->handle, topic == NULL, handle, metadata, wait_ms) ==
            RD_KAFKA_RESP_ERR_NO_ERROR) {
            console->is_reached = true;
            rc = 0;
        } else if (console_interrupted(console)) {
            rc = -EINTR;
        } else if (left_ms <= 0) {
            rc = -ETIMEDOUT;
        }
        rd_kafka_poll(console->handle, 0);
    }
    if (handle != NULL)
        rd_kafka_topic_destroy(handle);
    return rc;
}

void console_say_unreachable(const char *bootstrap, int64_t timeout_ms)
{
    tool_hint("ERROR No broker of %s has answered within %lld ms.\n"
              "Is a broker running there, and is that the port of a PLAINTEXT listener, neither TLS nor "
              "ZooKeeper's? "
              "--timeout-connect MS waits longer.",
              bootstrap, (long long)timeout_ms);
}

int console_read_pairs(const struct options *options, const char *option, struct properties *properties,
                       struct buffer *error)
{
    size_t position = 0;
    for (const char *pair; (pair = options_next_value(options, option, &position)) != NULL;) {
        int rc = properties_add_pair(properties, pair, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int console_read_file(const struct options *options, const char *option, struct properties *properties,
                      struct buffer *error)
{
    const char *path = options_value(options, option);
    return path != NULL ? properties_load(path, properties, error) : 0;
}
