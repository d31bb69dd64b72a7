/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers named in zookeeper.connect: parsed, and resolved to the numeric list that the C library gets.
 * Names are resolved on a worker thread, since resolving may block for seconds. Private to the session.
 */
#ifndef COORDINATOR_ZK_SESSION_SERVERS_H
#define COORDINATOR_ZK_SESSION_SERVERS_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/loop.h"

struct zk_server {
    char *host; /* IPv6 without brackets */
    int32_t port;
    bool numeric;
};

struct zk_servers {
    struct zk_server *servers;
    size_t count;
    char *chroot; /* "" or "/a/b" */
    bool all_numeric;
};

/* host[:port][,...][/chroot]; port 2181 where it is left out. -EINVAL, and *problem says why. */
MUST_CHECK int zk_servers_parse(const char *connect, struct zk_servers *servers, const char **problem);
void zk_servers_release(struct zk_servers *servers);

struct zk_resolver;

/* Tells, on the loop's thread, the library's list "address:port,..."; NULL when no name could be resolved. */
typedef void zk_resolved(void *context, const char *addresses);

/* Borrows `servers`. */
struct zk_resolver *zk_resolver_new(struct loop *loop, const struct zk_servers *servers,
                                    zk_resolved *resolved, void *context);
/* Waits for a resolution under way; its result is dropped. NULL is fine. */
void zk_resolver_free(struct zk_resolver *resolver);
/* Starts to resolve, unless that is under way. The answer comes later, also for numeric addresses. */
void zk_resolver_start(struct zk_resolver *resolver);

#endif
