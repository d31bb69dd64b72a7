/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client protocol for a command line: one call, one answer, with a deadline; over a private loop. Calls
 * go to any broker of the bootstrap list, or to the controller. What goes wrong is told in sentences for the
 * operator. One thread.
 */
#ifndef TOOLS_CLUSTER_CLIENT_H
#define TOOLS_CLUSTER_CLIENT_H

#include "common/arena.h"
#include "common/base.h"
#include "common/buffer.h"

struct cluster_client;

struct cluster_client_options {
    const char *bootstrap; /* host:port[,host:port...] */
    const char *client_id; /* told to the brokers */
    const char *call;      /* what the tool is at, for the sentence of a timeout: "listTopics" */
    int64_t timeout_ms;    /* for opening, and for each call */
};

/*
 * Connects to the first broker of the list that answers. Each address that does not is named on standard
 * error once, when it first fails. 0; -EINVAL: the list is not understood; -ETIMEDOUT: nobody has answered.
 * `error` then has the sentence, `hint` what to do.
 */
MUST_CHECK int cluster_client_open(const struct cluster_client_options *options,
                                   struct cluster_client **client, struct buffer *error, struct buffer *hint);
void cluster_client_free(struct cluster_client *client);

/* The highest version of an API that both sides know; -1: the broker does not serve it. */
int cluster_client_version(const struct cluster_client *client, int16_t api_key);

/*
 * One request to the broker that was found; `request` and `response` are the generated structures of that
 * API. The response points into `arena`. 0, or -errno with the sentence in `error`.
 */
MUST_CHECK int cluster_client_call(struct cluster_client *client, int16_t api_key, const void *request,
                                   void *response, struct arena *arena, struct buffer *error);

/* The same to the controller, which is looked up before. */
MUST_CHECK int cluster_client_call_controller(struct cluster_client *client, int16_t api_key,
                                              const void *request, void *response, struct arena *arena,
                                              struct buffer *error);

/* Takes the next host and port off a list, IPv6 in brackets. 0; -ENOENT at the end; -EINVAL. *host is
 * allocated. */
MUST_CHECK int bootstrap_next(const char **list, char **host, int32_t *port);

#endif
