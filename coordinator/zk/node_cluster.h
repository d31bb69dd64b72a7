/* SPDX-License-Identifier: Apache-2.0 */
/* The small nodes of the whole cluster: /cluster/id, /latest_producer_id_block, log_dir_event, /feature. */
#ifndef COORDINATOR_ZK_NODE_CLUSTER_H
#define COORDINATOR_ZK_NODE_CLUSTER_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"
#include "common/uuid.h"

/* /cluster/id. The id is text of up to 64 characters without spaces: 22 of base64 by Kafka, but older tools
 * have written others, which are kept as they are. */
#define NODE_CLUSTER_ID_LENGTH_MAX 64
struct node_cluster_id {
    char text[NODE_CLUSTER_ID_LENGTH_MAX + 1];
};
void node_cluster_id_encode(const struct node_cluster_id *node, struct buffer *out);
MUST_CHECK int node_cluster_id_decode(struct slice data, struct node_cluster_id *node, struct buffer *error);

/* /latest_producer_id_block: the block given out last; both ends included. */
#define NODE_PRODUCER_ID_BLOCK_SIZE 1000
struct node_producer_id_block {
    int32_t broker_id;
    int64_t block_start;
    int64_t block_end;
};
void node_producer_id_block_encode(const struct node_producer_id_block *node, struct buffer *out);
MUST_CHECK int node_producer_id_block_decode(struct slice data, struct node_producer_id_block *node,
                                             struct buffer *error);
/* The block after the one stored in `data` (a node without data: the first, 0..999). -EINVAL as decode;
 * -ERANGE when the ids are used up. */
MUST_CHECK int node_producer_id_block_next(struct slice data, int32_t broker_id,
                                           struct node_producer_id_block *next, struct buffer *error);

/* /log_dir_event_notification/log_dir_event_<seq>: a broker has lost a log directory. */
struct node_log_dir_event {
    int32_t broker_id;
    int32_t event; /* 1: failure */
};
#define NODE_LOG_DIR_FAILURE 1
void node_log_dir_event_encode(const struct node_log_dir_event *node, struct buffer *out);
MUST_CHECK int node_log_dir_event_decode(struct slice data, struct node_log_dir_event *node,
                                         struct buffer *error);

/* /feature: finalized features. None exists in ZooKeeper mode at 3.9: written without, names read are counted
 * only. */
struct node_feature {
    int32_t version; /* 1 or 2; encode writes 2 */
    bool enabled;
    size_t feature_count;
};
void node_feature_encode(const struct node_feature *node, struct buffer *out);
MUST_CHECK int node_feature_decode(struct slice data, struct node_feature *node, struct buffer *error);

#endif
