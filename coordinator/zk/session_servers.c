/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of zookeeper.connect, and name resolution on a worker. */
#include "coordinator/zk/session_servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/mailbox.h"
#include "common/memory.h"
#include "common/slice.h"
#include "common/worker.h"

#define DEFAULT_PORT 2181
#define PORT_MAX 65535
#define HOST_LENGTH_MAX 255

static bool is_numeric(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
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
    return value > 0 && value <= PORT_MAX;
}

/* One of host, host:port, [v6], [v6]:port. */
static bool parse_server(struct slice text, struct slice *host, int32_t *port)
{
    *port = DEFAULT_PORT;
    if (text.length > 0 && text.data[0] == '[') {
        const uint8_t *close = memchr(text.data, ']', text.length);
        if (close == NULL)
            return false;
        *host = slice_make(text.data + 1, (size_t)(close - text.data) - 1);
        size_t rest = text.length - host->length - 2;
        if (rest == 0)
            return true;
        return close[1] == ':' && parse_port(slice_make(close + 2, rest - 1), port);
    }
    const uint8_t *colon = text.length > 0 ? memchr(text.data, ':', text.length) : NULL;
    *host = colon ? slice_make(text.data, (size_t)(colon - text.data)) : text;
    return colon == NULL || parse_port(slice_make(colon + 1, text.length - host->length - 1), port);
}

static struct slice trim(struct slice text)
{
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_make(text.data + 1, text.length - 1);
    while (text.length > 0 && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        text.length--;
    return text;
}

static const char *parse_list(struct slice list, struct zk_servers *servers)
{
    while (list.length > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.length);
        struct slice item = comma ? slice_make(list.data, (size_t)(comma - list.data)) : list;
        list = comma ? slice_make(comma + 1, list.length - item.length - 1) : slice_make(NULL, 0);
        item = trim(item);
        struct slice host;
        int32_t port;
        if (!parse_server(item, &host, &port))
            return "a server is not host:port";
        if (host.length == 0 || host.length > HOST_LENGTH_MAX)
            return "a server has no host name";
        servers->servers =
            memory_resize(servers->servers, (servers->count + 1) * sizeof(servers->servers[0]));
        struct zk_server *server = &servers->servers[servers->count++];
        server->host = memory_copy_bytes(host.data, host.length);
        server->port = port;
        server->numeric = is_numeric(server->host);
        servers->all_numeric = servers->all_numeric && server->numeric;
    }
    return servers->count > 0 ? NULL : "it names no server";
}

/* Drops the last slash; refuses what ZooKeeper would not take as a path. */
static const char *parse_chroot(struct slice path, struct zk_servers *servers)
{
    while (path.length > 0 && path.data[path.length - 1] == '/')
        path.length--;
    servers->chroot = memory_copy_bytes(path.length > 0 ? (const char *)path.data : "", path.length);
    if (strstr(servers->chroot, "//") != NULL)
        return "its path holds an empty name";
    return NULL;
}

int zk_servers_parse(const char *connect, struct zk_servers *servers, const char **problem)
{
    *servers = (struct zk_servers){.all_numeric = true};
    struct slice text = trim(slice_of(connect));
    const uint8_t *slash = text.length > 0 ? memchr(text.data, '/', text.length) : NULL;
    struct slice list = slash ? slice_make(text.data, (size_t)(slash - text.data)) : text;
    struct slice path = slash ? slice_make(slash, text.length - list.length) : slice_make(NULL, 0);
    *problem = parse_list(list, servers);
    if (*problem == NULL)
        *problem = parse_chroot(path, servers);
    if (*problem == NULL)
        return 0;
    zk_servers_release(servers);
    return -EINVAL;
}

void zk_servers_release(struct zk_servers *servers)
{
    for (size_t i = 0; i < servers->count; i++)
        free(servers->servers[i].host);
    free(servers->servers);
    free(servers->chroot);
    *servers = (struct zk_servers){0};
}

struct zk_resolver {
    struct mail mail; /* on its way to the worker, or back */
    struct mailbox *mailbox;
    struct worker *worker; /* made when the first name is to be resolved */
    const struct zk_servers *servers;
    zk_resolved *resolved;
    void *context;
    bool busy;
    bool ending; /* only the loop's thread looks at it */
    struct buffer addresses;
};

static void append_address(struct buffer *out, const char *address, int32_t port)
{
    buffer_print(out, "%s%s:%d", out->length > 0 ? "," : "", address, port);
}

/* On the worker: every address of every name, in the order of the list. */
static void resolve_all(const struct zk_servers *servers, struct buffer *out)
{
    for (size_t i = 0; i < servers->count; i++) {
        const struct zk_server *server = &servers->servers[i];
        if (server->numeric) {
            append_address(out, server->host, server->port);
            continue;
        }
        struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        struct addrinfo *found = NULL;
        if (getaddrinfo(server->host, NULL, &hints, &found) != 0)
            continue;
        for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
            char text[INET6_ADDRSTRLEN + 32];
            if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) ==
                0)
                append_address(out, text, server->port);
        }
        freeaddrinfo(found);
    }
}

static void on_resolved(struct mail *mail)
{
    struct zk_resolver *resolver = container_of(mail, struct zk_resolver, mail);
    resolver->busy = false;
    if (resolver->ending)
        return;
    bool found = resolver->addresses.length > 0;
    resolver->resolved(resolver->context, found ? buffer_string(&resolver->addresses) : NULL);
}

static void on_worker(struct mail *mail)
{
    struct zk_resolver *resolver = container_of(mail, struct zk_resolver, mail);
    resolve_all(resolver->servers, &resolver->addresses);
    resolver->mail.handle = on_resolved;
    mailbox_post(resolver->mailbox, &resolver->mail);
}

struct zk_resolver *zk_resolver_new(struct loop *loop, const struct zk_servers *servers,
                                    zk_resolved *resolved, void *context)
{
    struct zk_resolver *resolver = memory_allocate_zeroed(1, sizeof(*resolver));
    resolver->mailbox = mailbox_new(loop);
    resolver->servers = servers;
    resolver->resolved = resolved;
    resolver->context = context;
    buffer_init(&resolver->addresses);
    return resolver;
}

void zk_resolver_free(struct zk_resolver *resolver)
{
    if (resolver == NULL)
        return;
    resolver->ending = true;
    if (resolver->worker != NULL)
        worker_free(resolver->worker);
    mailbox_free(resolver->mailbox);
    buffer_release(&resolver->addresses);
    free(resolver);
}

void zk_resolver_start(struct zk_resolver *resolver)
{
    if (resolver->busy)
        return;
    resolver->busy = true;
    buffer_clear(&resolver->addresses);
    bool threaded = !resolver->servers->all_numeric;
    if (threaded && resolver->worker == NULL)
        threaded = worker_new("zk-resolve", 1, &resolver->worker) == 0;
    if (threaded) {
        resolver->mail.handle = on_worker;
        worker_post(resolver->worker, &resolver->mail);
        return;
    }
    resolve_all(resolver->servers, &resolver->addresses);
    resolver->mail.handle = on_resolved;
    mailbox_post(resolver->mailbox, &resolver->mail);
}
