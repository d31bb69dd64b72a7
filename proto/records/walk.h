/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks over the records of a batch while they are being uncompressed: of the uncompressed form only one
 * piece of RECORD_PIECE_BYTES is in memory at a time, and nothing of it is copied. Yields what a leader needs
 * to know of each record; keys and values are checked for their form and passed over.
 *
 * It accepts exactly the batches that record_batch_decompress and record_iterator_next accept together, but
 * may find another fault of a damaged one first.
 *
 *   record_walker_start(&walker, &batch, batch.codec, batch.records, limit);
 *   while ((more = record_walker_next(&walker, &outline)) > 0)
 *       ...
 *
 * Pure.
 */
#ifndef PROTO_RECORDS_WALK_H
#define PROTO_RECORDS_WALK_H

#include "common/base.h"
#include "common/codec.h"
#include "common/slice.h"
#include "proto/records/record.h"

#define RECORD_PIECE_BYTES ((size_t)64 * 1024)

struct record_outline {
    int64_t timestamp; /* the batch's append time, where it has one */
    int32_t offset_delta;
    bool has_key;
};

/* Used again for batch after batch it allocates nothing. One thread at a time. */
struct record_walker {
    struct codec_reader codec;
    uint8_t *piece_memory; /* made when first needed */
    struct slice piece;    /* what is uncompressed of it and still lies before the walk */
    uint64_t passed_bytes; /* of all pieces, up to the end of this one */
    uint64_t limit_bytes;
    struct record_iterator batch; /* what holds for all records */
    int error;                    /* 0, or what ended the walk */
};

void record_walker_init(struct record_walker *walker);
void record_walker_release(struct record_walker *walker);
/*
 * Begins with the records of `batch`: `bytes`, compressed with `codec` (both may differ from the batch's own:
 * its uncompressed records with CODEC_NONE), which must stay until the walk is over. At most `limit_bytes`
 * may come out of compressed ones. The codec must be one of the table.
 */
void record_walker_start(struct record_walker *walker, const struct record_batch *batch, enum codec codec,
                         struct slice bytes, size_t limit_bytes);
/*
 * 1: *outline is the next record's. 0: as many as the batch says have come, and nothing is left over.
 * -EBADMSG: damaged records, fewer, or more. -EILSEQ: damaged as compressed data. -EMSGSIZE: more than the
 * limit. After 0 or an error there is nothing more.
 */
MUST_CHECK int record_walker_next(struct record_walker *walker, struct record_outline *outline);
/* How many uncompressed bytes the walk has passed. */
uint64_t record_walker_position(const struct record_walker *walker);
/* Gives back memory beyond a usual amount; see codec_reader_trim. */
void record_walker_trim(struct record_walker *walker);

#endif
