/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of connections by address. */
#include "broker/net/connection_limits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "common/memory.h"
#include "common/prng.h"

struct connection_limits {
    pthread_mutex_t mutex;
    size_t max_connections;
    size_t max_connections_per_ip;
    struct map *overrides;  /* address -> bound + 1, as a pointer's value; constant once threads run */
    size_t count;           /* guarded by mutex */
    struct map *by_address; /* guarded by mutex: address -> count, as a pointer's value */
};

struct connection_limits *connection_limits_new(size_t max_connections, size_t max_connections_per_ip)
{
    struct connection_limits *limits = memory_allocate_zeroed(1, sizeof(*limits));
    pthread_mutex_init(&limits->mutex, NULL);
    limits->max_connections = max_connections;
    limits->max_connections_per_ip = max_connections_per_ip;
    limits->by_address = map_new(random_u64());
    limits->overrides = map_new(random_u64());
    return limits;
}

void connection_limits_free(struct connection_limits *limits)
{
    if (limits == NULL)
        return;
    map_free(limits->by_address);
    map_free(limits->overrides);
    pthread_mutex_destroy(&limits->mutex);
    free(limits);
}

/* One "host:count". */
static int override_one(struct connection_limits *limits, struct slice pair)
{
    const uint8_t *colon = memrchr(pair.data, ':', pair.length);
    if (colon == NULL)
        return -EINVAL;
    char host[256];
    size_t count = 0;
    struct slice name = slice_make(pair.data, (size_t)(colon - pair.data));
    for (const uint8_t *at = colon + 1; at < pair.data + pair.length; at++) {
        if (*at < '0' || *at > '9' || count > INT32_MAX / 10)
            return -EINVAL;
        count = count * 10 + (size_t)(*at - '0');
    }
    if (name.length > 2 && name.data[0] == '[' && name.data[name.length - 1] == ']')
        name = slice_make(name.data + 1, name.length - 2);
    if (name.length == 0 || name.length >= sizeof(host))
        return -EINVAL;
    memcpy(host, name.data, name.length);
    host[name.length] = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return -EINVAL;
    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        struct sockaddr_storage address = {0};
        memcpy(&address, each->ai_addr, each->ai_addrlen);
        struct in6_addr bytes = socket_address_bytes(&address);
        (void)map_put(limits->overrides, slice_make(&bytes, sizeof(bytes)), (void *)(uintptr_t)(count + 1));
    }
    freeaddrinfo(found);
    return 0;
}

int connection_limits_override(struct connection_limits *limits, const char *text, struct buffer *error)
{
    while (text != NULL && *text != 0) {
        size_t length = strcspn(text, ",");
        struct slice pair = slice_make(text, length);
        text += length + (text[length] == ',' ? 1 : 0);
        while (pair.length > 0 && pair.data[0] == ' ')
            pair = slice_make(pair.data + 1, pair.length - 1);
        while (pair.length > 0 && pair.data[pair.length - 1] == ' ')
            pair.length--;
        if (pair.length == 0 || override_one(limits, pair) == 0)
            continue;
        buffer_print(error, "max.connections.per.ip.overrides: %.*s is no known address and number",
                     SLICE_ARGUMENTS(pair));
        return -EINVAL;
    }
    return 0;
}

static size_t bound_of(const struct connection_limits *limits, struct slice address)
{
    uintptr_t own = (uintptr_t)map_get(limits->overrides, address);
    return own > 0 ? own - 1 : limits->max_connections_per_ip;
}

enum connection_verdict connection_limits_enter(struct connection_limits *limits,
                                                const struct in6_addr *address)
{
    struct slice key = slice_make(address, sizeof(*address));
    enum connection_verdict verdict = CONNECTION_ADMITTED;
    pthread_mutex_lock(&limits->mutex);
    uintptr_t from_address = (uintptr_t)map_get(limits->by_address, key);
    if (limits->count >= limits->max_connections) {
        verdict = CONNECTION_TOO_MANY;
    } else if (from_address >= bound_of(limits, key)) {
        verdict = CONNECTION_TOO_MANY_FROM_ADDRESS;
    } else {
        map_put(limits->by_address, key, (void *)(from_address + 1));
        limits->count++;
    }
    pthread_mutex_unlock(&limits->mutex);
    return verdict;
}

void connection_limits_leave(struct connection_limits *limits, const struct in6_addr *address)
{
    struct slice key = slice_make(address, sizeof(*address));
    pthread_mutex_lock(&limits->mutex);
    uintptr_t from_address = (uintptr_t)map_get(limits->by_address, key);
    CHECK(from_address > 0 && limits->count > 0);
    limits->count--;
    if (from_address == 1)
        map_remove(limits->by_address, key);
    else
        map_put(limits->by_address, key, (void *)(from_address - 1));
    pthread_mutex_unlock(&limits->mutex);
}

size_t connection_limits_count(struct connection_limits *limits)
{
    pthread_mutex_lock(&limits->mutex);
    size_t count = limits->count;
    pthread_mutex_unlock(&limits->mutex);
    return count;
}

struct in6_addr socket_address_bytes(const struct sockaddr_storage *address)
{
    struct in6_addr bytes = IN6ADDR_ANY_INIT;
    if (address->ss_family == AF_INET6) {
        bytes = ((const struct sockaddr_in6 *)address)->sin6_addr;
    } else if (address->ss_family == AF_INET) {
        bytes.s6_addr[10] = bytes.s6_addr[11] = 0xff;
        memcpy(&bytes.s6_addr[12], &((const struct sockaddr_in *)address)->sin_addr, 4);
    }
    return bytes;
}

void socket_address_print(const struct sockaddr_storage *address, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct in6_addr bytes = socket_address_bytes(address);
    int port = 0;
    if (address->ss_family == AF_INET6)
        port = ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    else if (address->ss_family == AF_INET)
        port = ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (IN6_IS_ADDR_V4MAPPED(&bytes)) {
        inet_ntop(AF_INET, &bytes.s6_addr[12], host, sizeof(host));
        snprintf(text, size, "%s:%d", host, port);
    } else {
        inet_ntop(AF_INET6, &bytes, host, sizeof(host));
        snprintf(text, size, "[%s]:%d", host, port);
    }
}
