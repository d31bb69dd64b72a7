/* SPDX-License-Identifier: Apache-2.0 */
/* The header of record batches: reading it, checking the CRC, changing the few fields that brokers change. */
#include "proto/records/batch.h"

#include <errno.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/crc32c.h"

_Static_assert(RECORD_BATCH_RECORDS_AT == RECORD_BATCH_HEADER_BYTES, "the records follow the header");
_Static_assert(RECORD_BATCH_LENGTH_AT + 4 == RECORD_ENTRY_PREFIX_BYTES, "length counts what follows it");
_Static_assert(RECORD_BATCH_MAGIC_AT + 1 == RECORD_ENTRY_MAGIC_BYTES, "magic ends the common part");
_Static_assert(RECORD_BATCH_CRC_AT + 4 == RECORD_BATCH_ATTRIBUTES_AT, "the CRC covers what follows it");
_Static_assert(RECORD_BATCH_LAST_OFFSET_DELTA_AT == RECORD_BATCH_ATTRIBUTES_AT + 2, "int16 attributes");
_Static_assert(RECORD_BATCH_MAX_TIMESTAMP_AT == RECORD_BATCH_BASE_TIMESTAMP_AT + 8, "int64 timestamp");
_Static_assert(RECORD_BATCH_RECORD_COUNT_AT + 4 == RECORD_BATCH_RECORDS_AT, "the count ends the header");
_Static_assert(RECORD_BATCH_LENGTH_MIN == 49, "length of a batch without records");

int record_entry_peek(struct slice bytes, size_t *size_bytes, int *magic)
{
    *size_bytes = 0;
    *magic = -1;
    if (bytes.length < RECORD_ENTRY_PREFIX_BYTES)
        return -ENODATA;
    int32_t length = (int32_t)load_u32(bytes.data + RECORD_BATCH_LENGTH_AT);
    if (length < RECORD_ENTRY_LENGTH_MIN)
        return -EBADMSG;
    if (bytes.length < RECORD_ENTRY_MAGIC_BYTES)
        return -ENODATA;
    *magic = (int8_t)bytes.data[RECORD_BATCH_MAGIC_AT];
    *size_bytes = (size_t)length + RECORD_ENTRY_PREFIX_BYTES;
    return bytes.length < *size_bytes ? -ENODATA : 0;
}

static void read_fields(struct slice bytes, struct record_batch *batch)
{
    struct byte_reader reader;
    reader_init(&reader, bytes);
    batch->base_offset = reader_i64(&reader);
    batch->length = reader_i32(&reader);
    batch->size_bytes = (size_t)batch->length + RECORD_ENTRY_PREFIX_BYTES;
    batch->leader_epoch = reader_i32(&reader);
    reader_i8(&reader); /* the magic, already known */
    batch->crc = reader_u32(&reader);
    batch->attributes = reader_i16(&reader);
    batch->last_offset_delta = reader_i32(&reader);
    batch->base_timestamp = reader_i64(&reader);
    batch->max_timestamp = reader_i64(&reader);
    batch->producer_id = reader_i64(&reader);
    batch->producer_epoch = reader_i16(&reader);
    batch->base_sequence = reader_i32(&reader);
    batch->record_count = reader_i32(&reader);
    batch->codec = (enum codec)(batch->attributes & RECORD_ATTRIBUTE_CODEC_MASK);
    batch->append_time = (batch->attributes & RECORD_ATTRIBUTE_APPEND_TIME) != 0;
    batch->transactional = (batch->attributes & RECORD_ATTRIBUTE_TRANSACTIONAL) != 0;
    batch->control = (batch->attributes & RECORD_ATTRIBUTE_CONTROL) != 0;
    batch->has_delete_horizon = (batch->attributes & RECORD_ATTRIBUTE_DELETE_HORIZON) != 0;
    bool failed = reader_failed(&reader);
    CHECK(!failed);
}

int record_batch_parse_header(struct slice bytes, struct record_batch *batch)
{
    *batch = (struct record_batch){0};
    size_t size = 0;
    int magic = -1;
    int error = record_entry_peek(bytes, &size, &magic);
    if (error == -EBADMSG || size == 0)
        return error;
    if (magic != RECORD_MAGIC_V2 || size < RECORD_BATCH_HEADER_BYTES)
        return -EBADMSG;
    if (bytes.length < RECORD_BATCH_HEADER_BYTES)
        return -ENODATA;
    read_fields(bytes, batch);
    return 0;
}

int record_batch_parse(struct slice bytes, struct record_batch *batch)
{
    int error = record_batch_parse_header(bytes, batch);
    if (error)
        return error;
    if (bytes.length < batch->size_bytes)
        return -ENODATA;
    batch->bytes = slice_make(bytes.data, batch->size_bytes);
    batch->records =
        slice_make(bytes.data + RECORD_BATCH_RECORDS_AT, batch->size_bytes - RECORD_BATCH_RECORDS_AT);
    return 0;
}

static uint32_t compute_crc(const uint8_t *batch, size_t size_bytes)
{
    return crc32c(0, batch + RECORD_BATCH_ATTRIBUTES_AT, size_bytes - RECORD_BATCH_ATTRIBUTES_AT);
}

bool record_batch_check_crc(const struct record_batch *batch)
{
    CHECK(!slice_is_null(batch->bytes));
    return compute_crc(batch->bytes.data, batch->bytes.length) == batch->crc;
}

int record_batch_decompress(const struct record_batch *batch, size_t limit, struct buffer *scratch,
                            struct slice *records)
{
    CHECK(!slice_is_null(batch->records));
    if (batch->codec == CODEC_NONE) {
        *records = batch->records;
        return 0;
    }
    size_t before = scratch->length;
    int error = codec_decompress(batch->codec, batch->records, limit, scratch);
    if (error)
        return error;
    buffer_reserve(scratch, 1); /* so that nothing has an address, too */
    *records = slice_make(scratch->data + before, scratch->length - before);
    return 0;
}

int64_t record_batch_last_offset(const struct record_batch *batch)
{
    return (int64_t)((uint64_t)batch->base_offset + (uint64_t)(int64_t)batch->last_offset_delta);
}

int32_t record_sequence_add(int32_t sequence, int32_t delta)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)delta) & INT32_MAX);
}

int32_t record_batch_last_sequence(const struct record_batch *batch)
{
    if (batch->base_sequence == RECORD_NO_SEQUENCE)
        return RECORD_NO_SEQUENCE;
    return record_sequence_add(batch->base_sequence, batch->last_offset_delta);
}

void record_batch_set_base_offset(uint8_t *batch, int64_t base_offset)
{
    store_u64(batch + RECORD_BATCH_BASE_OFFSET_AT, (uint64_t)base_offset);
}

void record_batch_set_leader_epoch(uint8_t *batch, int32_t leader_epoch)
{
    store_u32(batch + RECORD_BATCH_LEADER_EPOCH_AT, (uint32_t)leader_epoch);
}

static void set_timestamps(uint8_t *batch, size_t size_bytes, bool append_time, int64_t max_timestamp)
{
    CHECK(size_bytes >= RECORD_BATCH_HEADER_BYTES);
    unsigned before = load_u16(batch + RECORD_BATCH_ATTRIBUTES_AT);
    unsigned attributes = before & ~(unsigned)RECORD_ATTRIBUTE_APPEND_TIME;
    if (append_time)
        attributes |= RECORD_ATTRIBUTE_APPEND_TIME;
    if (attributes == before && load_u64(batch + RECORD_BATCH_MAX_TIMESTAMP_AT) == (uint64_t)max_timestamp)
        return;
    store_u16(batch + RECORD_BATCH_ATTRIBUTES_AT, (uint16_t)attributes);
    store_u64(batch + RECORD_BATCH_MAX_TIMESTAMP_AT, (uint64_t)max_timestamp);
    store_u32(batch + RECORD_BATCH_CRC_AT, compute_crc(batch, size_bytes));
}

void record_batch_set_append_time(uint8_t *batch, size_t size_bytes, int64_t now_ms)
{
    set_timestamps(batch, size_bytes, true, now_ms);
}

void record_batch_set_max_timestamp(uint8_t *batch, size_t size_bytes, int64_t max_timestamp)
{
    set_timestamps(batch, size_bytes, false, max_timestamp);
}
