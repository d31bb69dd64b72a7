/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and checking of listeners; see listeners.h for the rules. */
#include "broker/config/listeners.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "broker/config/config_key.h"
#include "common/memory.h"

#define PORT_GREATEST 65535

static const char *const protocol_names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};

const char *security_protocol_name(enum security_protocol protocol)
{
    return protocol_names[protocol];
}

int security_protocol_parse(struct slice name)
{
    for (size_t i = 0; i < ARRAY_SIZE(protocol_names); i++)
        if (name.length == strlen(protocol_names[i]) &&
            strncasecmp((const char *)name.data, protocol_names[i], name.length) == 0)
            return (int)i;
    return -EINVAL;
}

static void listener_set_release(struct listener_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->items[i].name);
        free(set->items[i].host);
    }
    free(set->items);
    *set = (struct listener_set){0};
}

void listeners_init(struct listeners *listeners)
{
    *listeners = (struct listeners){0};
}

void listeners_release(struct listeners *listeners)
{
    listener_set_release(&listeners->bound);
    listener_set_release(&listeners->advertised);
    free(listeners->inter_broker);
    listeners_init(listeners);
}

const struct listener *listener_set_find(const struct listener_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcasecmp(set->items[i].name, name) == 0)
            return &set->items[i];
    return NULL;
}

static char *copy_capitals(struct slice text)
{
    char *copy = memory_copy_bytes(text.data, text.length);
    for (char *at = copy; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    return copy;
}

/* The protocol of a listener name in "NAME:PROTOCOL,...", or -EINVAL with the reason. */
static int map_protocol(const char *map, const char *name, struct buffer *error)
{
    size_t position = 0;
    struct slice pair;
    while (config_list_next(map, &position, &pair)) {
        const uint8_t *colon = memchr(pair.data, ':', pair.length);
        if (colon == NULL)
            continue; /* listeners_parse has refused such a map */
        size_t name_length = (size_t)(colon - pair.data);
        if (name_length != strlen(name) || strncasecmp((const char *)pair.data, name, name_length) != 0)
            continue;
        return security_protocol_parse(slice_make(colon + 1, pair.length - name_length - 1));
    }
    buffer_print(error, "the listener name %s is not in listener.security.protocol.map", name);
    return -EINVAL;
}

static int check_map(const char *map, struct buffer *error)
{
    size_t position = 0;
    struct slice pair;
    while (config_list_next(map, &position, &pair)) {
        const uint8_t *colon = memchr(pair.data, ':', pair.length);
        if (colon == NULL || colon == pair.data) {
            buffer_print(error, "must be a list of name:PROTOCOL pairs; \"%.*s\" is none",
                         SLICE_ARGUMENTS(pair));
            return -EINVAL;
        }
        struct slice protocol = slice_make(colon + 1, (size_t)(pair.data + pair.length - colon - 1));
        if (security_protocol_parse(protocol) < 0) {
            buffer_print(error,
                         "\"%.*s\" is no security protocol; there are PLAINTEXT, SSL, SASL_PLAINTEXT "
                         "and SASL_SSL",
                         SLICE_ARGUMENTS(protocol));
            return -EINVAL;
        }
        size_t before = 0;
        struct slice other;
        while (config_list_next(map, &before, &other) && other.data != pair.data) {
            size_t name_length = (size_t)(colon - pair.data) + 1;
            if (other.length >= name_length &&
                strncasecmp((const char *)other.data, (const char *)pair.data, name_length) == 0) {
                buffer_print(error, "the name %.*s comes twice", (int)name_length - 1,
                             (const char *)pair.data);
                return -EINVAL;
            }
        }
    }
    return 0;
}

static bool is_host_byte(uint8_t byte)
{
    return isalnum(byte) || byte == '-' || byte == '%' || byte == '.' || byte == '_' || byte == ':';
}

/* Decimal digits up to 65535, or -1. */
static int32_t parse_port(struct slice text)
{
    int32_t port = 0;
    if (text.length == 0 || text.length > 5)
        return -1;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        port = port * 10 + (text.data[i] - '0');
    }
    return port <= PORT_GREATEST ? port : -1;
}

/* NAME://host:port, host perhaps in brackets or empty. */
static int parse_one(struct slice text, const char *map, struct listener *listener, struct buffer *error)
{
    const uint8_t *mark = memmem(text.data, text.length, "://", 3);
    const uint8_t *colon = memrchr(text.data, ':', text.length);
    if (mark == NULL || mark == text.data || colon < mark + 3) {
        buffer_print(error, "\"%.*s\" is not of the form NAME://host:port", SLICE_ARGUMENTS(text));
        return -EINVAL;
    }
    struct slice host = slice_make(mark + 3, (size_t)(colon - mark - 3));
    if (host.length >= 2 && host.data[0] == '[' && host.data[host.length - 1] == ']')
        host = slice_make(host.data + 1, host.length - 2);
    for (size_t i = 0; i < host.length; i++) {
        if (!is_host_byte(host.data[i])) {
            buffer_print(error, "the host in \"%.*s\" is neither a name nor an address",
                         SLICE_ARGUMENTS(text));
            return -EINVAL;
        }
    }
    int32_t port = parse_port(slice_make(colon + 1, (size_t)(text.data + text.length - colon - 1)));
    if (port < 0) {
        buffer_print(error, "the port in \"%.*s\" is not a number from 0 to 65535", SLICE_ARGUMENTS(text));
        return -EINVAL;
    }
    listener->name = copy_capitals(slice_make(text.data, (size_t)(mark - text.data)));
    listener->host = memory_copy_bytes(host.data, host.length);
    listener->port = port;
    int protocol = map_protocol(map, listener->name, error);
    if (protocol >= 0)
        listener->protocol = (enum security_protocol)protocol;
    return protocol < 0 ? protocol : 0;
}

static bool is_ipv6(const char *host)
{
    return strchr(host, ':') != NULL;
}

static bool is_ipv4(const char *host)
{
    return host[0] != 0 && strspn(host, "0123456789.") == strlen(host);
}

/* Whether two listeners may have the same port: any free one, or one of each family. */
static bool may_share_port(const struct listener *a, const struct listener *b)
{
    return a->port == 0 || (is_ipv4(a->host) && is_ipv6(b->host)) || (is_ipv6(a->host) && is_ipv4(b->host));
}

static int check_unique(const struct listener_set *set, bool ports, struct buffer *error)
{
    for (size_t i = 0; i < set->count; i++) {
        for (size_t j = i + 1; j < set->count; j++) {
            const struct listener *a = &set->items[i];
            const struct listener *b = &set->items[j];
            if (strcmp(a->name, b->name) == 0) {
                buffer_print(error, "the listener name %s comes twice", a->name);
                return -EINVAL;
            }
            if (ports && a->port == b->port && !may_share_port(a, b)) {
                buffer_print(error, "the listeners %s and %s have the same port %d", a->name, b->name,
                             (int)a->port);
                return -EINVAL;
            }
        }
    }
    return 0;
}

static int parse_set(const char *text, const char *map, bool unique_ports, struct listener_set *set,
                     struct buffer *error)
{
    size_t position = 0;
    size_t capacity = 0;
    struct slice element;
    while (config_list_next(text, &position, &element)) {
        set->items = memory_grow(set->items, set->count, &capacity, sizeof(set->items[0]));
        struct listener *listener = &set->items[set->count++];
        *listener = (struct listener){0};
        if (parse_one(element, map, listener, error) < 0)
            return -EINVAL;
    }
    if (set->count == 0) {
        buffer_append_string(error, "must name at least one listener");
        return -EINVAL;
    }
    return check_unique(set, unique_ports, error);
}

static int check_advertised(const struct listeners *listeners, struct buffer *error)
{
    for (size_t i = 0; i < listeners->advertised.count; i++) {
        const struct listener *listener = &listeners->advertised.items[i];
        if (listener_set_find(&listeners->bound, listener->name) == NULL) {
            buffer_print(error, "the listener %s is not among listeners", listener->name);
            return -EINVAL;
        }
        if (strcmp(listener->host, "0.0.0.0") == 0) {
            buffer_print(error,
                         "nobody can reach 0.0.0.0 (listener %s): set advertised.listeners to the name "
                         "or address that clients use",
                         listener->name);
            return -EINVAL;
        }
    }
    return 0;
}

static int find_inter_broker(struct listeners *listeners, const struct listener_texts *texts,
                             const char **key, struct buffer *error)
{
    *key = texts->inter_broker_name ? "inter.broker.listener.name" : "security.inter.broker.protocol";
    if (texts->inter_broker_name && texts->inter_broker_protocol) {
        buffer_append_string(error, "only one of inter.broker.listener.name and "
                                    "security.inter.broker.protocol may be set");
        return -EINVAL;
    }
    const char *name = texts->inter_broker_name;
    if (name == NULL)
        name = texts->inter_broker_protocol ? texts->inter_broker_protocol : "PLAINTEXT";
    if (map_protocol(texts->protocol_map, name, error) < 0)
        return -EINVAL;
    const struct listener *listener = listener_set_find(&listeners->advertised, name);
    if (listener == NULL) {
        buffer_print(error, "brokers talk to each other by the listener %s, which is not advertised", name);
        return -EINVAL;
    }
    listeners->inter_broker = memory_copy_string(listener->name);
    return 0;
}

static int check_control_plane(const struct listeners *listeners, const char *name, struct buffer *error)
{
    if (name == NULL)
        return 0;
    if (listener_set_find(&listeners->advertised, name) == NULL) {
        buffer_print(error, "the listener %s is not advertised", name);
        return -EINVAL;
    }
    if (strcasecmp(name, listeners->inter_broker) == 0) {
        buffer_append_string(error, "must differ from the inter-broker listener");
        return -EINVAL;
    }
    return 0;
}

int listeners_parse(struct listeners *listeners, const struct listener_texts *texts, const char **key,
                    struct buffer *error)
{
    *key = "listener.security.protocol.map";
    if (check_map(texts->protocol_map, error) < 0)
        return -EINVAL;
    *key = "listeners";
    if (parse_set(texts->listeners, texts->protocol_map, true, &listeners->bound, error) < 0)
        return -EINVAL;
    const char *advertised = texts->advertised ? texts->advertised : texts->listeners;
    *key = texts->advertised ? "advertised.listeners" : "listeners";
    if (parse_set(advertised, texts->protocol_map, false, &listeners->advertised, error) < 0 ||
        check_advertised(listeners, error) < 0)
        return -EINVAL;
    if (find_inter_broker(listeners, texts, key, error) < 0)
        return -EINVAL;
    *key = "control.plane.listener.name";
    return check_control_plane(listeners, texts->control_plane_name, error);
}

int listeners_check_served(const struct listeners *listeners, struct buffer *error)
{
    for (size_t i = 0; i < listeners->bound.count; i++) {
        const struct listener *listener = &listeners->bound.items[i];
        if (listener->protocol != SECURITY_PLAINTEXT) {
            buffer_print(error,
                         "the listener %s speaks %s, which this release does not serve; only PLAINTEXT "
                         "listeners work",
                         listener->name, security_protocol_name(listener->protocol));
            return -EINVAL;
        }
    }
    return 0;
}

void listeners_fill_advertised_host(struct listeners *listeners, const char *host)
{
    for (size_t i = 0; i < listeners->advertised.count; i++) {
        struct listener *listener = &listeners->advertised.items[i];
        if (listener->host[0] == 0) {
            free(listener->host);
            listener->host = memory_copy_string(host);
        }
    }
}

void listeners_set_bound_port(struct listeners *listeners, const char *name, int32_t port)
{
    for (size_t i = 0; i < listeners->advertised.count; i++) {
        struct listener *listener = &listeners->advertised.items[i];
        if (strcasecmp(listener->name, name) == 0 && listener->port == 0)
            listener->port = port;
    }
}
