/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host names to addresses, without blocking a loop: numeric ones at once, names on a worker's thread.
 */
#ifndef BROKER_NET_CLIENT_RESOLVE_H
#define BROKER_NET_CLIENT_RESOLVE_H

#include <sys/socket.h>

#include "common/base.h"
#include "common/mailbox.h"
#include "common/worker.h"

#define RESOLVED_ADDRESSES_MAX 8

struct resolved_addresses {
    struct sockaddr_storage addresses[RESOLVED_ADDRESSES_MAX];
    socklen_t lengths[RESOLVED_ADDRESSES_MAX];
    size_t count;
};

/* A numeric host (IPv6 with or without brackets). 0, or -EINVAL when it is a name. */
MUST_CHECK int resolve_numeric(const char *host, int32_t port, struct resolved_addresses *out);

struct resolution;

/*
 * Resolves on the worker and calls `done` by a mail to the mailbox's thread, where resolution_start and
 * resolution_cancel belong. status 0, or -EHOSTUNREACH. The resolution frees itself after `done`.
 */
struct resolution *
resolution_start(struct worker *worker, struct mailbox *mailbox, const char *host, int32_t port,
                 void (*done)(void *context, int status, const struct resolved_addresses *addresses),
                 void *context);
/* `done` will not be called; the resolution frees itself when the worker is through with it. */
void resolution_cancel(struct resolution *resolution);

#endif
