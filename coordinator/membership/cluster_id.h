/* SPDX-License-Identifier: Apache-2.0 */
/* /cluster/id: read, or made by the first broker. */
#ifndef COORDINATOR_MEMBERSHIP_CLUSTER_ID_H
#define COORDINATOR_MEMBERSHIP_CLUSTER_ID_H

#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/zk.h"

/*
 * Reads /cluster/id; where there is none, creates it from `proposal` (a usable random id) and takes whatever
 * is there afterwards. done is called once; cluster_id is valid when ZK_OK. ZK_UNKNOWN, ZK_EXPIRED: call
 * again when connected. ZK_ERROR: what is there cannot be read; `problem` says why.
 */
void membership_cluster_id(struct zk_client *client, struct uuid proposal,
                           void (*done)(void *context, enum zk_result result,
                                        const struct node_cluster_id *cluster_id, const char *problem),
                           void *context);

#endif
