/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a batch as compaction walks over them, twice where the batch is to be written anew.
 *
 * Of a compressed batch no more is uncompressed at a time than a window of 1 MiB, or the record that is
 * looked at where that alone is larger: what a batch may inflate to is many times its size. One that fits in
 * the window is uncompressed once for both walks. Accepts exactly the batches that record_batch_decompress
 * and record_iterator_next accept together, but may find a fault only after it has given the records before
 * it. Pure.
 */
#ifndef BROKER_LOG_CLEAN_RECORDS_H
#define BROKER_LOG_CLEAN_RECORDS_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/codec.h"
#include "common/slice.h"
#include "proto/records/batch.h"
#include "proto/records/record.h"

#define CLEAN_RECORDS_WINDOW_BYTES ((size_t)1024 * 1024)

/* Used again for batch after batch it allocates nothing. */
struct clean_records {
    struct codec_reader codec;
    struct buffer window; /* the newest of what was uncompressed */
    size_t used;          /* bytes of it that were walked over */
    struct slice plain;   /* of a batch without a codec: what was not walked over yet */
    const struct record_batch *batch;
    struct record_iterator iterator; /* what holds for all records */
    size_t limit_bytes;
    size_t passed_bytes; /* uncompressed so far */
    bool whole;          /* nothing of this batch has left the window */
    bool ended;          /* nothing more comes of the codec */
    bool damaged;        /* there is no such codec */
    int32_t last_delta;
};

void clean_records_init(struct clean_records *records);
void clean_records_release(struct clean_records *records);
/* Gives memory back that an unusual batch has taken. */
void clean_records_trim(struct clean_records *records);

/* Begins with a batch, which must stay; of a compressed one at most limit_bytes may come. */
void clean_records_start(struct clean_records *records, const struct record_batch *batch, size_t limit_bytes);
/* The same batch from its first record on. */
void clean_records_rewind(struct clean_records *records);
/*
 * 1: *record is the next one, valid until the next call; its offset lies above the last one's and within the
 * batch. 0: as many as the batch says have come, and nothing is left over. -EBADMSG.
 */
MUST_CHECK int clean_records_next(struct clean_records *records, struct record *record);

#endif
