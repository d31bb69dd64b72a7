/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record batches, format v2 (magic 2), as they lie in requests, answers and segment files. All integers are
 * big-endian:
 *
 *    0  int64 base offset          21  int16 attributes          51  int16 producer epoch
 *    8  int32 length behind it     23  int32 last offset delta   53  int32 base sequence
 *   12  int32 leader epoch         27  int64 base timestamp      57  int32 record count
 *   16  int8  magic                35  int64 max timestamp       61  records, compressed as one stream
 *   17  uint32 CRC-32C of 21..     43  int64 producer id
 *
 * Attributes: bits 0-2 codec, 3 timestamp type (1: append time), 4 transactional, 5 control, 6 the base
 * timestamp is the delete horizon of compaction.
 *
 * What the leader writes into a batch (base offset, leader epoch) lies outside the CRC; attributes and max
 * timestamp lie inside, so changing them means a new CRC.
 *
 * Entries of all formats begin with an offset and a length and have their magic at the same place; so a set
 * of mixed formats can be stepped through by record_entry_peek. Pure: nothing here touches the world.
 */
#ifndef PROTO_RECORDS_BATCH_H
#define PROTO_RECORDS_BATCH_H

#include "common/base.h"
#include "common/codec.h"
#include "common/slice.h"

enum record_batch_position {
    RECORD_BATCH_BASE_OFFSET_AT = 0,
    RECORD_BATCH_LENGTH_AT = 8,
    RECORD_BATCH_LEADER_EPOCH_AT = 12,
    RECORD_BATCH_MAGIC_AT = 16,
    RECORD_BATCH_CRC_AT = 17,
    RECORD_BATCH_ATTRIBUTES_AT = 21,
    RECORD_BATCH_LAST_OFFSET_DELTA_AT = 23,
    RECORD_BATCH_BASE_TIMESTAMP_AT = 27,
    RECORD_BATCH_MAX_TIMESTAMP_AT = 35,
    RECORD_BATCH_PRODUCER_ID_AT = 43,
    RECORD_BATCH_PRODUCER_EPOCH_AT = 51,
    RECORD_BATCH_BASE_SEQUENCE_AT = 53,
    RECORD_BATCH_RECORD_COUNT_AT = 57,
    RECORD_BATCH_RECORDS_AT = 61,
};

#define RECORD_BATCH_HEADER_BYTES 61
/* Offset and length, which every entry begins with; the length field counts what is behind them. */
#define RECORD_ENTRY_PREFIX_BYTES 12
/* From here on the magic of an entry is known. */
#define RECORD_ENTRY_MAGIC_BYTES 17
/* The smallest value of the length field: of any format, of v2. */
#define RECORD_ENTRY_LENGTH_MIN 14
#define RECORD_BATCH_LENGTH_MIN (RECORD_BATCH_HEADER_BYTES - RECORD_ENTRY_PREFIX_BYTES)

#define RECORD_MAGIC_V0 0
#define RECORD_MAGIC_V1 1
#define RECORD_MAGIC_V2 2

#define RECORD_ATTRIBUTE_CODEC_MASK 0x07
#define RECORD_ATTRIBUTE_APPEND_TIME 0x08
#define RECORD_ATTRIBUTE_TRANSACTIONAL 0x10
#define RECORD_ATTRIBUTE_CONTROL 0x20
#define RECORD_ATTRIBUTE_DELETE_HORIZON 0x40

#define RECORD_NO_TIMESTAMP (-1)
#define RECORD_NO_PRODUCER_ID (-1)
#define RECORD_NO_PRODUCER_EPOCH (-1)
#define RECORD_NO_SEQUENCE (-1)
#define RECORD_NO_LEADER_EPOCH (-1)

/* A batch as parsed. Slices borrow from what was parsed. */
struct record_batch {
    int64_t base_offset;
    int32_t length;    /* the length field */
    size_t size_bytes; /* of the whole batch: length + 12 */
    int32_t leader_epoch;
    uint32_t crc;
    int16_t attributes;
    enum codec codec; /* 5-7 are possible and mean nothing */
    bool append_time; /* the timestamp of every record is max_timestamp */
    bool transactional;
    bool control;
    bool has_delete_horizon;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t record_count;
    struct slice bytes;   /* the whole batch; null after record_batch_parse_header */
    struct slice records; /* behind the header, compressed as it is; null after record_batch_parse_header */
};

/*
 * What the entry at the start of `bytes` is, of any format: its size (prefix included) and magic. 0: the
 * entry is complete; -ENODATA: `bytes` ends before it does (both are set if RECORD_ENTRY_MAGIC_BYTES are
 * there, else 0 and -1); -EBADMSG: its length field is impossible. The magic may be any int8.
 */
MUST_CHECK int record_entry_peek(struct slice bytes, size_t *size_bytes, int *magic);

/*
 * Parses the batch at the start of `bytes`; there may be more behind it (at bytes.data + batch->size_bytes).
 * 0; -ENODATA: `bytes` ends before the batch does, or is empty; -EBADMSG: not magic 2, or a length field too
 * small for the header. What the fields say is not judged: counts, deltas, codec may be anything.
 */
MUST_CHECK int record_batch_parse(struct slice bytes, struct record_batch *batch);
/* As record_batch_parse, but only the 61 bytes of the header need to be there. */
MUST_CHECK int record_batch_parse_header(struct slice bytes, struct record_batch *batch);

/* Whether the CRC fits the bytes; of a batch from record_batch_parse. */
MUST_CHECK bool record_batch_check_crc(const struct record_batch *batch);

/*
 * The records uncompressed: *records is the batch's own slice when it has no codec, else what was appended to
 * `scratch` (valid until that changes). 0, or as codec_decompress.
 */
MUST_CHECK int record_batch_decompress(const struct record_batch *batch, size_t limit, struct buffer *scratch,
                                       struct slice *records);

/* Also right for a batch that compaction has thinned out. */
int64_t record_batch_last_offset(const struct record_batch *batch);
/* Of the last record; RECORD_NO_SEQUENCE when the batch has no sequence. */
int32_t record_batch_last_sequence(const struct record_batch *batch);
/* sequence + delta; after 2147483647 comes 0. */
int32_t record_sequence_add(int32_t sequence, int32_t delta);

/* Changes of a whole, well-formed batch in place. These two lie outside the CRC: */
void record_batch_set_base_offset(uint8_t *batch, int64_t base_offset);
void record_batch_set_leader_epoch(uint8_t *batch, int32_t leader_epoch);
/* These lie inside: the CRC is computed anew if anything changes. */
/* Append time: `now_ms` is the timestamp of every record. */
void record_batch_set_append_time(uint8_t *batch, size_t size_bytes, int64_t now_ms);
/* Create time, with this as the largest. */
void record_batch_set_max_timestamp(uint8_t *batch, size_t size_bytes, int64_t max_timestamp);

#endif
