/* SPDX-License-Identifier: Apache-2.0 */
/* Resolving, numeric or on a worker. */
#include "broker/net/client_resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

struct resolution {
    struct mail mail; /* first to the worker, then back */
    struct mailbox *mailbox;
    char *host;
    int32_t port;
    int status;
    struct resolved_addresses addresses;
    void (*done)(void *context, int status, const struct resolved_addresses *addresses); /* loop's thread */
    void *context;
};

static int look_up(const char *host, int32_t port, int flags, struct resolved_addresses *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *found = NULL;
    char service[16];
    snprintf(service, sizeof(service), "%d", port);
    out->count = 0;
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -EINVAL;
    for (const struct addrinfo *each = found; each != NULL; each = each->ai_next) {
        if (out->count == RESOLVED_ADDRESSES_MAX || each->ai_addrlen > sizeof(out->addresses[0]))
            break;
        memcpy(&out->addresses[out->count], each->ai_addr, each->ai_addrlen);
        out->lengths[out->count++] = each->ai_addrlen;
    }
    freeaddrinfo(found);
    return out->count > 0 ? 0 : -EINVAL;
}

int resolve_numeric(const char *host, int32_t port, struct resolved_addresses *out)
{
    size_t length = strlen(host);
    bool bracketed = length >= 2 && host[0] == '[' && host[length - 1] == ']';
    char *name = bracketed ? memory_copy_bytes(host + 1, length - 2) : memory_copy_string(host);
    int status = look_up(name, port, AI_NUMERICHOST, out);
    free(name);
    return status;
}

static void on_back(struct mail *mail)
{
    struct resolution *resolution = container_of(mail, struct resolution, mail);
    if (resolution->done != NULL)
        resolution->done(resolution->context, resolution->status, &resolution->addresses);
    free(resolution->host);
    free(resolution);
}

static void on_worker(struct mail *mail)
{
    struct resolution *resolution = container_of(mail, struct resolution, mail);
    int status = look_up(resolution->host, resolution->port, 0, &resolution->addresses);
    resolution->status = status == 0 ? 0 : -EHOSTUNREACH;
    mail->handle = on_back;
    mailbox_post(resolution->mailbox, mail);
}

struct resolution *
resolution_start(struct worker *worker, struct mailbox *mailbox, const char *host, int32_t port,
                 void (*done)(void *context, int status, const struct resolved_addresses *addresses),
                 void *context)
{
    struct resolution *resolution = memory_allocate_zeroed(1, sizeof(*resolution));
    resolution->mail.handle = on_worker;
    resolution->mailbox = mailbox;
    resolution->host = memory_copy_string(host);
    resolution->port = port;
    resolution->done = done;
    resolution->context = context;
    worker_post(worker, &resolution->mail);
    return resolution;
}

void resolution_cancel(struct resolution *resolution)
{
    resolution->done = NULL;
}
