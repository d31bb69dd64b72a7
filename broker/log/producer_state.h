/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a log knows of idempotent and transactional producers: for each producer id its epoch, its last five
 * batches, the coordinator epoch of its last marker and the first offset of its open transaction. A pure
 * function of the log (invariant I49); it decides what is a repeat and what is out of order (I48), and where
 * the last stable offset lies (I53).
 *
 * Snapshot format (.snapshot files): int16 version 1, uint32 CRC-32C of all that follows, int32 count, then
 * 46 bytes a producer: producerId 8, producerEpoch 2, lastSequence 4, lastOffset 8, offsetDelta 4,
 * timestamp 8, coordinatorEpoch 4 (-1: none), currentTxnFirstOffset 8 (-1: none), here in the order of the
 * ids. Only the newest batch of a producer is in it.
 *
 * Pure. Not thread-safe: guarded by the log's owner.
 */
#ifndef BROKER_LOG_PRODUCER_STATE_H
#define BROKER_LOG_PRODUCER_STATE_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

struct producer_state;

#define PRODUCER_BATCHES_KEPT 5

/* What of a batch matters here. */
struct producer_batch {
    int64_t producer_id; /* >= 0 */
    int16_t epoch;
    int32_t first_sequence; /* -1 in markers */
    int32_t last_sequence;
    int64_t base_offset; /* not looked at by the check */
    int64_t last_offset;
    int64_t timestamp; /* greatest of the batch */
    bool transactional;
    bool is_marker;
    bool commit;               /* of a marker */
    int32_t coordinator_epoch; /* of a marker */
};

/* A transaction that a marker has brought to its end. */
struct completed_transaction {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset; /* of the marker */
    bool aborted;
    int64_t last_stable_offset; /* first of the earliest that is open still, or behind the marker */
};

struct producer_duplicate {
    bool found;
    int64_t base_offset;
    int64_t last_offset;
    int64_t timestamp;
};

struct producer_state *producer_state_new(void);
void producer_state_free(struct producer_state *state);
void producer_state_clear(struct producer_state *state);
size_t producer_state_count(const struct producer_state *state);

/*
 * Whether a leader may append this batch of a client, or this marker of a coordinator: KAFKA_NONE (look at
 * duplicate->found first), INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE,
 * TRANSACTION_COORDINATOR_FENCED.
 */
MUST_CHECK int16_t producer_state_check(const struct producer_state *state,
                                        const struct producer_batch *batch,
                                        struct producer_duplicate *duplicate);
/* Takes note of a batch that is in the log now, whoever checked it. True, with *completed filled (may be
 * NULL), where it is a marker and ended an open transaction. */
bool producer_state_update(struct producer_state *state, const struct producer_batch *batch,
                           struct completed_transaction *completed);
/* Forgets producers without an open transaction whose last batch is older than expiration_ms. */
void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms);
/* First offset of the earliest open transaction, -1 where none is open. */
int64_t producer_state_first_open_offset(const struct producer_state *state);
/*
 * First offset of the earliest transaction that is not decided for readers below `high_watermark`: one that
 * is open, or whose marker is not below it; -1 where there is none. Known of transactions that ended since
 * the state was cleared or decoded, and were not forgotten (next).
 */
int64_t producer_state_first_unstable_offset(const struct producer_state *state, int64_t high_watermark);
/* Forgets what it kept of ended transactions whose marker is below the high watermark. Cheap when nothing is
 * to be done; to be called when that has moved. */
void producer_state_forget_replicated(struct producer_state *state, int64_t high_watermark);
/* How many it keeps. */
size_t producer_state_ended_count(const struct producer_state *state);

/* Visits what is known of each producer: its epoch, and the last offset of its newest batch of data, -1 where
 * none is known. In no particular order. */
typedef void producer_visit(void *context, int64_t producer_id, int16_t epoch, int64_t last_data_offset);
void producer_state_each(const struct producer_state *state, producer_visit *visit, void *context);

/* Appends the snapshot. */
void producer_state_encode(const struct producer_state *state, struct buffer *out);
/* Replaces the state by that of the snapshot. 0, or -EBADMSG (the state is then empty). */
MUST_CHECK int producer_state_decode(struct producer_state *state, struct slice snapshot);

#endif
