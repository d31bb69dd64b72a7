/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which batches of transactions compaction may drop. Batches are shown in the order of the log; the aborted
 * transactions that touch what is walked over are given beforehand, as the transaction index has them.
 *
 *   data of an aborted transaction   goes at once
 *   ABORT marker                     goes once no data of its transaction was met in this walk; until then it
 *                                    stays, and so does its entry in the index
 *   COMMIT marker                    likewise, without an index
 *   marker without a record          was emptied by an earlier walk: goes
 *
 * What "goes" means for a marker (a delete horizon first) is decided by clean_filter. Pure.
 */
#ifndef BROKER_LOG_CLEAN_TRANSACTIONS_H
#define BROKER_LOG_CLEAN_TRANSACTIONS_H

#include "broker/log/transaction_index.h"
#include "common/base.h"
#include "common/map.h"
#include "proto/records/batch.h"

struct clean_transactions {
    struct aborted_transaction *aborted; /* by first offset */
    size_t aborted_count;
    size_t next; /* the first that was not reached yet */
    struct map *ongoing_aborted;
    struct map *ongoing_committed;
    /* Markers of the index that stay, in the order of the log; whoever writes an index takes them. */
    struct aborted_transaction *kept;
    size_t kept_count;
    size_t kept_capacity;
};

/* Takes a copy of the entries, in any order. */
void clean_transactions_init(struct clean_transactions *transactions,
                             const struct aborted_transaction *aborted, size_t count);
void clean_transactions_release(struct clean_transactions *transactions);
/* Another walk from where this one stands; it has kept nothing yet. */
void clean_transactions_copy(struct clean_transactions *copy, const struct clean_transactions *transactions);
/* The walk goes on at `offset`, and what lies between will not be met: transactions that were aborted there
 * are over. */
void clean_transactions_skip(struct clean_transactions *transactions, int64_t offset);

/*
 * Takes note of the next batch (header and records, parsed from the whole batch), of a control batch that it
 * is well-formed. Whether all of it may go for the sake of its transaction: *discard. 0, or -EBADMSG.
 */
MUST_CHECK int clean_transactions_see(struct clean_transactions *transactions,
                                      const struct record_batch *batch, bool *discard);

#endif
