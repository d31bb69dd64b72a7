/* SPDX-License-Identifier: Apache-2.0 */
/* The table of Java clients' settings that are called otherwise here, see client_properties.h. */
#include "tools/client_properties.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

#define FILE_BYTES_MAX ((size_t)1024 * 1024)

static const struct {
    const char *java;
    const char *library;
} renamed[] = {
    {"max.request.size", "message.max.bytes"},
    {"send.buffer.bytes", "socket.send.buffer.bytes"},
    {"receive.buffer.bytes", "socket.receive.buffer.bytes"},
    {"fetch.max.wait.ms", "fetch.wait.max.ms"},
    {"max.block.ms", "topic.metadata.propagation.max.ms"},
    {"ssl.truststore.certificates", "ssl.ca.pem"},
    {"ssl.keystore.certificate.chain", "ssl.certificate.pem"},
    {"ssl.keystore.key", "ssl.key.pem"},
};

/* Settings of the Java clients' own inside, and those that the console tools decide themselves. */
static const char *const ignored[] = {
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "partitioner.class",
    "partitioner.ignore.keys",
    "partitioner.adaptive.partitioning.enable",
    "interceptor.classes",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "metadata.max.idle.ms",
    "client.dns.lookup",
    "max.poll.records",
    "default.api.timeout.ms",
    "exclude.internal.topics",
    "auto.include.jmx.reporter",
    "enable.metrics.push",
    "sasl.client.callback.handler.class",
    "sasl.login.class",
    "security.providers",
};

/* -1 stands for the system's own size there, 0 here. */
static const char *socket_size(const char *value)
{
    return strcmp(value, "-1") == 0 ? "0" : value;
}

enum property_kind client_property_map(const char *name, const char *value, struct buffer *mapped_name,
                                       struct buffer *mapped_value)
{
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
        if (strcmp(ignored[i], name) == 0)
            return PROPERTY_IGNORED;
    if (strcmp(name, "buffer.memory") == 0) {
        long long bytes = strtoll(value, NULL, 10);
        buffer_append_string(mapped_name, "queue.buffering.max.kbytes");
        buffer_print(mapped_value, "%lld", bytes < 1024 ? 1 : bytes / 1024);
        return PROPERTY_CHANGED;
    }
    for (size_t i = 0; i < ARRAY_SIZE(renamed); i++) {
        if (strcmp(renamed[i].java, name) != 0)
            continue;
        bool is_socket = strstr(name, "buffer.bytes") != NULL;
        buffer_append_string(mapped_name, renamed[i].library);
        buffer_append_string(mapped_value, is_socket ? socket_size(value) : value);
        return PROPERTY_CHANGED;
    }
    buffer_append_string(mapped_name, name);
    buffer_append_string(mapped_value, value);
    return PROPERTY_SAME;
}

int properties_load(const char *path, struct properties *properties, struct buffer *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int rc = -errno;
        buffer_print(error, "%s: %s", path, strerror(-rc));
        return rc;
    }
    struct buffer text, problem;
    buffer_init(&text);
    buffer_init(&problem);
    int rc = 0;
    for (size_t got = 1; got > 0 && text.length <= FILE_BYTES_MAX;) {
        got = fread(buffer_reserve(&text, 4096), 1, 4096, file);
        text.length += got;
    }
    if (ferror(file) || text.length > FILE_BYTES_MAX) {
        buffer_print(error, "%s: cannot be read as properties", path);
        rc = -EIO;
    } else if (properties_parse(properties, buffer_slice(&text), &problem) < 0) {
        buffer_print(error, "%s: %s", path, buffer_string(&problem));
        rc = -EBADMSG;
    }
    fclose(file);
    buffer_release(&problem);
    buffer_release(&text);
    return rc;
}

int properties_add_pair(struct properties *properties, const char *pair, struct buffer *error)
{
    const char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair) {
        buffer_print(error, "Invalid command line properties: %s", pair);
        return -EINVAL;
    }
    char *key = memory_copy_bytes(pair, (size_t)(equals - pair));
    properties_set(properties, key, equals + 1, 0);
    free(key);
    return 0;
}
