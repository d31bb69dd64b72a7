/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes record batches: begin with what holds for the whole batch, append records, finish with a codec.
 *
 *   record_batch_builder_init(&builder, &parameters);
 *   record_batch_builder_append(&builder, timestamp, key, value, headers, header_count);
 *   error = record_batch_builder_finish(&builder, CODEC_LZ4, CODEC_DEFAULT_LEVEL, &out);
 *   record_batch_builder_release(&builder);
 *
 * Pure.
 */
#ifndef PROTO_RECORDS_BUILDER_H
#define PROTO_RECORDS_BUILDER_H

#include "common/base.h"
#include "common/buffer.h"
#include "proto/records/batch.h"
#include "proto/records/record.h"

struct record_batch_parameters {
    int64_t base_offset;
    int32_t leader_epoch;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    bool transactional;
    bool control;
    bool append_time;       /* all records have append_time_ms */
    int64_t append_time_ms; /* only with append_time */
    /* Compaction: the base timestamp is not the first record's but the time from which tombstones and markers
     * in here may go. */
    bool has_delete_horizon;
    int64_t delete_horizon_ms; /* only with has_delete_horizon */
};

/* Base offset 0, no leader epoch, no producer, create time: what a plain producer sends. */
static inline struct record_batch_parameters record_batch_parameters_plain(void)
{
    return (struct record_batch_parameters){
        .leader_epoch = RECORD_NO_LEADER_EPOCH,
        .producer_id = RECORD_NO_PRODUCER_ID,
        .producer_epoch = RECORD_NO_PRODUCER_EPOCH,
        .base_sequence = RECORD_NO_SEQUENCE,
    };
}

/* Those of a batch that is there; without its delete horizon. */
struct record_batch_parameters record_batch_parameters_of(const struct record_batch *batch);

struct record_batch_builder {
    struct record_batch_parameters parameters;
    struct buffer records; /* uncompressed */
    struct buffer body;    /* scratch of one record */
    int32_t record_count;
    int32_t last_offset_delta;
    int64_t base_timestamp; /* of the first record */
    int64_t max_timestamp;
};

void record_batch_builder_init(struct record_batch_builder *builder,
                               const struct record_batch_parameters *parameters);
void record_batch_builder_release(struct record_batch_builder *builder);
/* Begins the next batch with the same memory. */
void record_batch_builder_clear(struct record_batch_builder *builder,
                                const struct record_batch_parameters *parameters);

/* Appends a record whose offset follows the last one's. Null slices are nulls; header keys are not null. */
void record_batch_builder_append(struct record_batch_builder *builder, int64_t timestamp, struct slice key,
                                 struct slice value, const struct record_header *headers,
                                 size_t header_count);
/*
 * The same with a delta of the caller's, larger than the last one (batches with gaps), and headers that are
 * encoded already, as in struct record.
 */
void record_batch_builder_append_at(struct record_batch_builder *builder, int32_t offset_delta,
                                    int64_t timestamp, struct slice key, struct slice value,
                                    struct slice headers, int32_t header_count);

/* The batch ends at this delta, whatever its last record has (compaction: the records behind are gone). */
void record_batch_builder_end_at(struct record_batch_builder *builder, int32_t last_offset_delta);

/* What the batch would take uncompressed. */
size_t record_batch_builder_size_bytes(const struct record_batch_builder *builder);

/*
 * Appends the batch, CRC included, to `out`. 0; -EINVAL: the codec or level is unknown; -EMSGSIZE: it is too
 * long for its length field; `out` is then as it was.
 */
MUST_CHECK int record_batch_builder_finish(struct record_batch_builder *builder, enum codec codec, int level,
                                           struct buffer *out);

/*
 * Appends to `out` the batch anew: same parameters and records, offset deltas 0..n-1, largest timestamp
 * recomputed, compressed with `codec`. `uncompressed_bytes`: what its records take uncompressed, not less; it
 * takes RECORD_REBUILD_FACTOR times that for as long as it works, besides what it appends. 0; -EBADMSG:
 * damaged; as finish.
 */
#define RECORD_REBUILD_FACTOR 3
MUST_CHECK int record_batch_rebuild(const struct record_batch *batch, size_t uncompressed_bytes,
                                    enum codec codec, int level, struct buffer *out);

/*
 * Appends to `out` what compaction leaves of a batch whose records are all gone but whose producer is still
 * known by it: the header with offsets, epochs, sequence and largest timestamp, no codec, no base timestamp,
 * no records.
 */
void record_batch_append_emptied(const struct record_batch *batch, struct buffer *out);

#endif
