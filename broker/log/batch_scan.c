/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of batches, one after the other. */
#include "broker/log/batch_scan.h"

#include <errno.h>
#include <string.h>

#include "broker/log/segment.h"
#include "common/bytes.h"
#include "proto/records/batch.h"
#include "proto/records/old.h"

/* Where the timestamp of a message of magic 1 ends. */
#define OLD_TIMESTAMP_AT 18
#define OLD_TIMESTAMP_END 26
#define OLD_V1_LENGTH_MIN 22

static int parse_old(const uint8_t *bytes, size_t available, struct scanned_batch *batch)
{
    *batch = (struct scanned_batch){
        .position = batch->position,
        .size_bytes = batch->size_bytes,
        .magic = batch->magic,
        .base_offset = (int64_t)load_u64(bytes),
        .max_timestamp = RECORD_NO_TIMESTAMP,
        .producer_id = RECORD_NO_PRODUCER_ID,
        .base_sequence = RECORD_NO_SEQUENCE,
        .leader_epoch = RECORD_NO_LEADER_EPOCH,
        .producer_epoch = RECORD_NO_PRODUCER_EPOCH,
    };
    batch->last_offset = batch->base_offset;
    if (batch->base_offset < 0)
        return -EBADMSG;
    if (batch->magic == RECORD_MAGIC_V0)
        return 0;
    if (batch->size_bytes < RECORD_ENTRY_PREFIX_BYTES + OLD_V1_LENGTH_MIN || available < OLD_TIMESTAMP_END)
        return -EBADMSG;
    batch->max_timestamp = (int64_t)load_u64(bytes + OLD_TIMESTAMP_AT);
    return 0;
}

int scanned_batch_parse(const uint8_t *bytes, size_t available, struct scanned_batch *batch)
{
    size_t size = 0;
    int magic = -1;
    if (record_entry_peek(slice_make(bytes, available), &size, &magic) == -EBADMSG || size == 0)
        return -EBADMSG;
    batch->size_bytes = (int64_t)size;
    batch->magic = (int8_t)magic;
    if (magic == RECORD_MAGIC_V0 || magic == RECORD_MAGIC_V1)
        return parse_old(bytes, available, batch);
    struct record_batch header;
    if (record_batch_parse_header(slice_make(bytes, available), &header))
        return -EBADMSG;
    if (header.base_offset < 0 || header.last_offset_delta < 0 ||
        header.base_offset > INT64_MAX - INT32_MAX - 1)
        return -EBADMSG;
    batch->base_offset = header.base_offset;
    batch->last_offset = header.base_offset + header.last_offset_delta;
    batch->last_offset_delta = header.last_offset_delta;
    batch->leader_epoch = header.leader_epoch;
    batch->max_timestamp = header.max_timestamp;
    batch->producer_id = header.producer_id;
    batch->producer_epoch = header.producer_epoch;
    batch->base_sequence = header.base_sequence;
    batch->transactional = header.transactional;
    batch->control = header.control;
    batch->thinned = header.record_count != header.last_offset_delta + 1;
    return 0;
}

bool scanned_batch_check_crc(const struct scanned_batch *batch, const uint8_t *bytes)
{
    struct slice whole = slice_make(bytes, (size_t)batch->size_bytes);
    if (batch->magic == RECORD_MAGIC_V2) {
        struct record_batch parsed;
        return record_batch_parse(whole, &parsed) == 0 && record_batch_check_crc(&parsed);
    }
    struct old_message message;
    return old_message_parse(whole, &message) == 0 && old_message_check_crc(&message);
}

bool scanned_batch_marker(const struct scanned_batch *batch, const uint8_t *bytes, bool *commit,
                          int32_t *coordinator_epoch)
{
    if (batch->magic != RECORD_MAGIC_V2 || !batch->control || !batch->transactional)
        return false;
    struct byte_reader reader;
    reader_init(&reader, slice_make(bytes + RECORD_BATCH_HEADER_BYTES,
                                    (size_t)batch->size_bytes - RECORD_BATCH_HEADER_BYTES));
    reader_varint(&reader);  /* length */
    reader_i8(&reader);      /* attributes */
    reader_varlong(&reader); /* timestamp */
    reader_varint(&reader);  /* offset */
    int32_t key_length = reader_varint(&reader);
    reader_i16(&reader); /* version of the key */
    int16_t type = reader_i16(&reader);
    int32_t value_length = reader_varint(&reader);
    reader_i16(&reader); /* version of the value */
    int32_t epoch = reader_i32(&reader);
    if (reader_failed(&reader) || key_length != 4 || value_length < 6 || type < 0 || type > 1)
        return false;
    *commit = type == 1;
    *coordinator_epoch = epoch;
    return true;
}

void batch_scanner_init(struct batch_scanner *scanner, struct segment *segment, int64_t position, int64_t end,
                        size_t chunk_bytes)
{
    *scanner = (struct batch_scanner){
        .segment = segment, .position = position, .end = end, .chunk_bytes = chunk_bytes};
    buffer_init(&scanner->chunk);
}

void batch_scanner_release(struct batch_scanner *scanner)
{
    buffer_release(&scanner->chunk);
}

/* Sees to it that `length` bytes at `position` are in the chunk. A file that ends before the size we know of
 * has lost what it had: that is an error of the disk. */
static int fill(struct batch_scanner *scanner, int64_t position, size_t length)
{
    int64_t chunk_end = scanner->chunk_position + (int64_t)scanner->chunk.length;
    if (scanner->chunk.length > 0 && position >= scanner->chunk_position &&
        position + (int64_t)length <= chunk_end)
        return 0;
    size_t left = (size_t)(scanner->end - position);
    bool skip_payload =
        scanner->chunk_bytes == SCAN_CHUNK_HEADERS && scanner->last_size_bytes >= SCAN_LARGE_BATCH_BYTES;
    size_t chunk_bytes = skip_payload ? SCAN_CHUNK_LOOKUP : scanner->chunk_bytes;
    size_t wanted = min_size(max_size(length, chunk_bytes), left);
    /* What is there of it is kept: nothing is read twice. */
    size_t kept =
        position >= scanner->chunk_position && position < chunk_end ? (size_t)(chunk_end - position) : 0;
    if (kept > 0)
        memmove(scanner->chunk.data, scanner->chunk.data + (position - scanner->chunk_position), kept);
    scanner->chunk.length = kept;
    scanner->chunk_position = position;
    uint8_t *at = buffer_reserve(&scanner->chunk, wanted - kept);
    ssize_t got = file_read(scanner->segment->files, scanner->segment->file, at, wanted - kept,
                            position + (int64_t)kept);
    if (got < 0)
        return (int)got;
    scanner->chunk.length += (size_t)got;
    return scanner->chunk.length < length ? -EIO : 0;
}

static const uint8_t *chunk_at(const struct batch_scanner *scanner, int64_t position)
{
    return scanner->chunk.data + (position - scanner->chunk_position);
}

int batch_scanner_next(struct batch_scanner *scanner, struct scanned_batch *batch)
{
    int64_t left = scanner->end - scanner->position;
    if (left <= 0)
        return 0;
    size_t available = left < RECORD_BATCH_HEADER_BYTES ? (size_t)left : RECORD_BATCH_HEADER_BYTES;
    int error = fill(scanner, scanner->position, available);
    if (error)
        return error;
    batch->position = scanner->position;
    if (scanned_batch_parse(chunk_at(scanner, scanner->position), available, batch) ||
        batch->size_bytes > left)
        return -EBADMSG;
    scanner->position += batch->size_bytes;
    scanner->last_size_bytes = batch->size_bytes;
    return 1;
}

int batch_scanner_bytes(struct batch_scanner *scanner, const struct scanned_batch *batch,
                        const uint8_t **bytes)
{
    int error = fill(scanner, batch->position, (size_t)batch->size_bytes);
    if (!error)
        *bytes = chunk_at(scanner, batch->position);
    return error;
}
