/* SPDX-License-Identifier: Apache-2.0 */
/* /cluster/id: read; if missing, made together with its parent, and read again whatever that said. */
#include "coordinator/membership/cluster_id.h"

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/zk/path.h"

/* Reads that find nothing although a create went before: then somebody deletes what we make. */
#define ATTEMPTS_MAX 3

struct search {
    struct zk_client *client;
    struct uuid proposal;
    int attempts;
    void (*done)(void *context, enum zk_result result, const struct node_cluster_id *cluster_id,
                 const char *problem);
    void *context;
};

static void read_again(struct search *search);

static void finish(struct search *search, enum zk_result result, const struct node_cluster_id *cluster_id,
                   const char *problem)
{
    search->done(search->context, result, cluster_id, problem);
    free(search);
}

static void on_created(void *context, const struct zk_response *response)
{
    struct search *search = context;
    if (response->result == ZK_OK || response->result == ZK_NODE_EXISTS || response->result == ZK_UNKNOWN)
        read_again(search);
    else
        finish(search, response->result, NULL, zk_result_name(response->result));
}

static void create(struct search *search)
{
    struct node_cluster_id node;
    uuid_format(search->proposal, node.text);
    struct buffer data;
    buffer_init(&data);
    node_cluster_id_encode(&node, &data);
    zk_create(search->client, "/cluster", slice_make(NULL, 0), ZK_PERSISTENT, (struct zk_completion){0});
    zk_create(search->client, ZK_PATH_CLUSTER_ID, buffer_slice(&data), ZK_PERSISTENT,
              zk_completion_make(on_created, search));
    buffer_release(&data);
}

static void on_read(void *context, const struct zk_response *response)
{
    struct search *search = context;
    if (response->result == ZK_NO_NODE && ++search->attempts < ATTEMPTS_MAX) {
        create(search);
        return;
    }
    if (response->result != ZK_OK) {
        finish(search, response->result, NULL, zk_result_name(response->result));
        return;
    }
    struct node_cluster_id node;
    struct buffer problem;
    buffer_init(&problem);
    if (node_cluster_id_decode(response->data, &node, &problem) == 0)
        finish(search, ZK_OK, &node, NULL);
    else
        finish(search, ZK_ERROR, NULL, buffer_string(&problem));
    buffer_release(&problem);
}

static void read_again(struct search *search)
{
    zk_get(search->client, ZK_PATH_CLUSTER_ID, false, zk_completion_make(on_read, search));
}

void membership_cluster_id(struct zk_client *client, struct uuid proposal,
                           void (*done)(void *context, enum zk_result result,
                                        const struct node_cluster_id *cluster_id, const char *problem),
                           void *context)
{
    struct search *search = memory_allocate(sizeof(*search));
    *search = (struct search){.client = client, .proposal = proposal, .done = done, .context = context};
    read_again(search);
}
