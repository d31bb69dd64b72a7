/* SPDX-License-Identifier: Apache-2.0 */
/* /controller (who is in office) and /controller_epoch (how often the office changed hands). */
#ifndef COORDINATOR_ZK_NODE_CONTROLLER_H
#define COORDINATOR_ZK_NODE_CONTROLLER_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

/*
 * All node_*.h share one form. encode appends Kafka's compact JSON, fields in Kafka's order. decode reads
 * what Kafka and its tools have ever written, ignores fields it does not know, and never trusts what it
 * reads: 0, or -EINVAL with the reason in `error` (appended; may be NULL) and *node released or empty.
 * Structures that own memory have a release, which leaves them empty.
 */

struct node_controller {
    int32_t broker_id;
    int64_t timestamp_ms;
    int32_t kraft_controller_epoch; /* -1: this is a ZooKeeper cluster, the only kind we write into */
};

void node_controller_encode(const struct node_controller *node, struct buffer *out);
MUST_CHECK int node_controller_decode(struct slice data, struct node_controller *node, struct buffer *error);

/* A decimal number, no JSON. Never negative. */
void node_controller_epoch_encode(int32_t controller_epoch, struct buffer *out);
MUST_CHECK int node_controller_epoch_decode(struct slice data, int32_t *controller_epoch,
                                            struct buffer *error);

#endif
