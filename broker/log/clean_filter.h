/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What compaction leaves of one batch: all of it, some of it, its header, or nothing.
 *
 *   record above the end of the map    stays
 *   without a key                      goes
 *   not the newest of its key          goes
 *   newest, without a value            stays until the delete horizon of its batch; in old formats as long
 *                                      as keep_old_tombstones says
 *   data of an aborted transaction     goes
 *   marker                             clean_transactions tells when its transaction is empty; then the batch
 *                                      gets a delete horizon, and goes when that has passed
 *
 * The delete horizon (KIP-534): the first time that a batch with a tombstone, or a marker that is not needed
 * any more, is met, its attribute bit 6 is set and its base timestamp becomes now + delete.retention.ms.
 *
 * A batch that is written anew keeps base offset, last offset delta, epochs, producer fields, and its codec.
 * One without records goes, but for that which holds the last sequence of a producer that is still known, or
 * the last marker with its epoch: of these the header stays.
 *
 * Memory: to decide it takes the window of clean_records.h and a byte for each record, whatever a batch
 * inflates to; a batch that stays whole is not copied but to `out`. One that is written anew takes in
 * addition what stays of its records, uncompressed and compressed. Both ends are bounded by what one batch
 * may inflate to, RECORD_DECOMPRESSED_RATIO_MAX times max.message.bytes: a single record, a rewritten batch,
 * or a compressed message of an old format as large as that takes so much until the segment's end.
 *
 * Pure.
 */
#ifndef BROKER_LOG_CLEAN_FILTER_H
#define BROKER_LOG_CLEAN_FILTER_H

#include "broker/log/clean_map.h"
#include "broker/log/clean_records.h"
#include "broker/log/clean_transactions.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"
#include "proto/records/builder.h"

/* A producer that the log still knows, and what it knows it by. */
struct clean_producer {
    int64_t producer_id;
    int64_t last_data_offset; /* -1: only a marker is known */
    int16_t epoch;
};

struct clean_filter {
    /* Set by the owner before the first batch; borrowed. */
    const struct clean_map *map;
    struct clean_transactions *transactions;
    const struct clean_producer *producers; /* by id */
    size_t producers_count;
    int64_t now_ms;
    int64_t delete_retention_ms;
    size_t batch_bytes_max; /* max.message.bytes: of what a batch may inflate to */
    /* Set by the owner before each segment. */
    bool keep_old_tombstones;
    /* Counted here. */
    int64_t records_seen;
    int64_t records_kept;
    int64_t records_without_key;
    /* Memory. */
    struct clean_records records; /* its window is also where old messages are uncompressed */
    struct buffer decisions;      /* a byte for each record of a batch: whether it stays */
    struct record_batch_builder builder;
};

/* What was left of a batch. */
struct clean_result {
    size_t size_bytes; /* 0: nothing */
    int64_t last_offset;
    int64_t max_timestamp;
};

/* Zeroes all fields and makes the memory ready. */
void clean_filter_init(struct clean_filter *filter);
void clean_filter_release(struct clean_filter *filter);
/* Gives memory back that an unusual batch has taken. */
void clean_filter_trim(struct clean_filter *filter);

/*
 * Appends to `out` what is left of the batch or old message in `bytes`, which must be whole; its CRC is
 * checked. 0, or -EBADMSG: it is damaged.
 */
MUST_CHECK int clean_filter_batch(struct clean_filter *filter, struct slice bytes, struct buffer *out,
                                  struct clean_result *result);

/*
 * The other half of compaction: puts the keys of the batch into the map; those at or above first_offset, not
 * those of aborted transactions. 1: all are in, and the map knows of it; 0: the map is full; -EBADMSG.
 */
MUST_CHECK int clean_map_batch(struct clean_map *map, struct clean_transactions *transactions,
                               struct slice bytes, int64_t first_offset, size_t batch_bytes_max,
                               struct clean_records *records);

#endif
