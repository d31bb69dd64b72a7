/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Producer ids: numbers that no other producer of the cluster has. The controller hands out blocks of them
 * (KIP-730); a broker takes the next block before the present one is used up, so that hardly anybody waits.
 *
 * From any thread; the lock is held for a moment only.
 */
#ifndef BROKER_API_PRODUCER_IDS_H
#define BROKER_API_PRODUCER_IDS_H

#include "broker/api/api.h"

struct producer_ids;

struct producer_ids *producer_ids_new(void);
/* When no block is under way any more (the link has ended its calls). */
void producer_ids_free(struct producer_ids *ids);

/*
 * The next id: KAFKA_NONE, or KAFKA_COORDINATOR_LOAD_IN_PROGRESS while the block is on its way: the client
 * asks again. `mailbox`: of the calling thread, where the controller's answer is handled.
 */
int16_t producer_ids_next(struct api_context *context, struct mailbox *mailbox, int64_t *producer_id);

/* Orders a block if none is there or on its way: when the broker has been registered, so that the first
 * producer need not wait. */
void producer_ids_prepare(struct api_context *context, struct mailbox *mailbox);

#endif
