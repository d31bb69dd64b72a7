/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of broker registrations. */
#include "coordinator/zk/node_broker.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_json.h"

#define VERSION_WRITTEN 5
#define ENDPOINTS_MAX 100
#define PORT_MAX 65535

void node_broker_init(struct node_broker *node)
{
    *node = (struct node_broker){.version = VERSION_WRITTEN,
                                 .jmx_port = -1,
                                 .timestamp_ms = -1,
                                 .intact_since = -1,
                                 .intact_until = -1,
                                 .alive_since = -1};
}

void node_broker_release(struct node_broker *node)
{
    for (size_t i = 0; i < node->endpoint_count; i++) {
        free(node->endpoints[i].listener);
        free(node->endpoints[i].protocol);
        free(node->endpoints[i].host);
    }
    free(node->endpoints);
    free(node->rack);
    node_broker_init(node);
}

static char *copy_slice(struct slice text)
{
    return memory_copy_bytes(text.length > 0 ? (const char *)text.data : "", text.length);
}

void node_broker_add_endpoint(struct node_broker *node, struct slice listener, struct slice protocol,
                              struct slice host, int32_t port)
{
    node->endpoints = memory_resize(node->endpoints, (node->endpoint_count + 1) * sizeof(node->endpoints[0]));
    node->endpoints[node->endpoint_count++] =
        (struct node_endpoint){copy_slice(listener), copy_slice(protocol), copy_slice(host), port};
}

void node_broker_copy(struct node_broker *to, const struct node_broker *from)
{
    node_broker_init(to);
    to->version = from->version;
    to->jmx_port = from->jmx_port;
    to->timestamp_ms = from->timestamp_ms;
    to->intact_since = from->intact_since;
    to->intact_until = from->intact_until;
    to->alive_since = from->alive_since;
    to->rack = from->rack ? memory_copy_string(from->rack) : NULL;
    for (size_t i = 0; i < from->endpoint_count; i++) {
        const struct node_endpoint *endpoint = &from->endpoints[i];
        node_broker_add_endpoint(to, slice_of(endpoint->listener), slice_of(endpoint->protocol),
                                 slice_of(endpoint->host), endpoint->port);
    }
}

const struct node_endpoint *node_broker_endpoint(const struct node_broker *node, struct slice listener)
{
    for (size_t i = 0; i < node->endpoint_count; i++)
        if (slice_is(listener, node->endpoints[i].listener))
            return &node->endpoints[i];
    return NULL;
}

static json_t *encode_endpoints(const struct node_broker *node)
{
    json_t *array = json_array();
    struct buffer text;
    buffer_init(&text);
    for (size_t i = 0; i < node->endpoint_count; i++) {
        const struct node_endpoint *endpoint = &node->endpoints[i];
        bool brackets = strchr(endpoint->host, ':') != NULL;
        buffer_clear(&text);
        buffer_print(&text, "%s://%s%s%s:%d", endpoint->listener, brackets ? "[" : "", endpoint->host,
                     brackets ? "]" : "", endpoint->port);
        int failed = json_array_append_new(array, node_string(buffer_slice(&text)));
        CHECK(failed == 0);
    }
    buffer_release(&text);
    return array;
}

static json_t *encode_protocols(const struct node_broker *node)
{
    json_t *map = json_object();
    for (size_t i = 0; i < node->endpoint_count; i++)
        node_set_string(map, node->endpoints[i].listener, slice_of(node->endpoints[i].protocol));
    return map;
}

void node_broker_encode(const struct node_broker *node, struct buffer *out)
{
    const struct node_endpoint *plain = NULL;
    for (size_t i = 0; i < node->endpoint_count && plain == NULL; i++)
        if (strcmp(node->endpoints[i].protocol, "PLAINTEXT") == 0)
            plain = &node->endpoints[i];
    json_t *json = json_object();
    node_set_integer(json, "version", VERSION_WRITTEN);
    if (plain != NULL)
        node_set_string(json, "host", slice_of(plain->host));
    else
        json_object_set_new(json, "host", json_null());
    node_set_integer(json, "port", plain ? plain->port : -1);
    node_set_integer(json, "jmx_port", node->jmx_port);
    node_set_quoted_integer(json, "timestamp", node->timestamp_ms);
    json_object_set_new(json, "endpoints", encode_endpoints(node));
    if (node->rack != NULL)
        node_set_string(json, "rack", slice_of(node->rack));
    json_object_set_new(json, "listener_security_protocol_map", encode_protocols(node));
    json_object_set_new(json, "features", json_object());
    if (node->intact_since >= 0)
        node_set_integer(json, "intact_since", node->intact_since);
    if (node->intact_since >= 0 && node->intact_until >= 0)
        node_set_integer(json, "intact_until", node->intact_until);
    if (node->alive_since >= 0)
        node_set_integer(json, "alive_since", node->alive_since);
    node_write(json, out);
}

static bool parse_port(struct slice text, int32_t *port)
{
    int32_t value = 0;
    if (text.length == 0 || text.length > 5)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *port = value;
    return value <= PORT_MAX;
}

/* NAME://host:port, an IPv6 host in brackets. */
static bool parse_endpoint(struct slice text, struct slice *listener, struct slice *host, int32_t *port)
{
    const uint8_t *scheme_end = text.length > 0 ? memmem(text.data, text.length, "://", 3) : NULL;
    if (scheme_end == NULL || scheme_end == text.data)
        return false;
    *listener = slice_make(text.data, (size_t)(scheme_end - text.data));
    struct slice rest = slice_make(scheme_end + 3, text.length - listener->length - 3);
    const uint8_t *colon = rest.length > 0 ? memrchr(rest.data, ':', rest.length) : NULL;
    if (colon == NULL)
        return false;
    *host = slice_make(rest.data, (size_t)(colon - rest.data));
    if (host->length >= 2 && host->data[0] == '[' && host->data[host->length - 1] == ']')
        *host = slice_make(host->data + 1, host->length - 2);
    const uint8_t *end = rest.data + rest.length;
    return parse_port(slice_make(colon + 1, (size_t)(end - colon) - 1), port);
}

static bool is_security_protocol(struct slice name)
{
    return slice_is(name, "PLAINTEXT") || slice_is(name, "SSL") || slice_is(name, "SASL_PLAINTEXT") ||
           slice_is(name, "SASL_SSL");
}

/* The protocol of a listener: by the map (version 4 on), else the one of the same name. */
static bool find_protocol(const json_t *protocols, struct slice listener, struct slice *protocol)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)protocols, key, value)
    {
        if (slice_is(listener, key) && json_is_string(value)) {
            *protocol = slice_make(json_string_value(value), json_string_length(value));
            return is_security_protocol(*protocol);
        }
    }
    *protocol = listener;
    return is_security_protocol(listener);
}

static int decode_endpoints(const json_t *json, struct node_broker *node, struct buffer *error)
{
    const json_t *array = json_object_get(json, "endpoints");
    const json_t *protocols = json_object_get(json, "listener_security_protocol_map");
    if (!json_is_array(array) || json_array_size(array) == 0 || json_array_size(array) > ENDPOINTS_MAX)
        return node_fail(error, "no \"endpoints\", or too many");
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        struct slice listener, host, protocol;
        int32_t port;
        if (!json_is_string(item) ||
            !parse_endpoint(slice_make(json_string_value(item), json_string_length(item)), &listener, &host,
                            &port))
            return node_fail(error, "endpoint %zu is not NAME://host:port", i);
        if (!find_protocol(protocols, listener, &protocol))
            return node_fail(error, "endpoint %zu has a listener of unknown security protocol", i);
        node_broker_add_endpoint(node, listener, protocol, host, port);
    }
    return 0;
}

/* Version 1 has one plain endpoint in host and port. */
static int decode_host_and_port(const json_t *json, struct node_broker *node, struct buffer *error)
{
    struct slice host;
    int32_t port;
    if (!json_get_string(json, "host", &host) || !json_get_int32(json, "port", &port) || port < 0 ||
        port > PORT_MAX)
        return node_fail(error, "no \"host\" and \"port\"");
    node_broker_add_endpoint(node, slice_of("PLAINTEXT"), slice_of("PLAINTEXT"), host, port);
    return 0;
}

static int decode(const json_t *json, struct node_broker *node, struct buffer *error)
{
    if (!node_get_version(json, &node->version))
        return node_fail(error, "no \"version\"");
    int result =
        node->version == 1 ? decode_host_and_port(json, node, error) : decode_endpoints(json, node, error);
    if (result != 0)
        return result;
    struct slice rack;
    if (json_get_string(json, "rack", &rack))
        node->rack = copy_slice(rack);
    if (!node_get_loose_integer(json, "timestamp", &node->timestamp_ms))
        node->timestamp_ms = -1;
    if (!json_get_int32(json, "jmx_port", &node->jmx_port))
        node->jmx_port = -1;
    if (!json_get_integer(json, "intact_since", &node->intact_since) || node->intact_since < -1)
        node->intact_since = -1;
    if (!json_get_integer(json, "intact_until", &node->intact_until) || node->intact_until < -1)
        node->intact_until = -1;
    if (!json_get_integer(json, "alive_since", &node->alive_since) || node->alive_since < -1)
        node->alive_since = -1;
    return 0;
}

int node_broker_decode(struct slice data, struct node_broker *node, struct buffer *error)
{
    node_broker_init(node);
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = decode(json, node, error);
    if (result != 0)
        node_broker_release(node);
    json_decref(json);
    return result;
}
