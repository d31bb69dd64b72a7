/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of connections by address. */
#include "broker/net/connection_limits.h"

#include <arpa/inet.h>
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
    return limits;
}

void connection_limits_free(struct connection_limits *limits)
{
    if (limits == NULL)
        return;
    map_free(limits->by_address);
    pthread_mutex_destroy(&limits->mutex);
    free(limits);
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
    } else if (from_address >= limits->max_connections_per_ip) {
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
