/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the records of a batch. */
#include "proto/records/record.h"

#include <errno.h>

void record_iterator_init(struct record_iterator *iterator, const struct record_batch *batch,
                          struct slice records)
{
    reader_init(&iterator->reader, records);
    iterator->base_offset = batch->base_offset;
    iterator->base_timestamp = batch->base_timestamp;
    iterator->has_append_time = batch->append_time;
    iterator->append_time = batch->max_timestamp;
    iterator->left = batch->record_count;
}

/* A varint length, -1 for null, and that many bytes. */
static struct slice read_nullable_varint(struct byte_reader *reader)
{
    int32_t length = reader_varint(reader);
    if (length == -1)
        return slice_make(NULL, 0);
    if (length < 0) {
        reader_fail(reader);
        return slice_make(NULL, 0);
    }
    return reader_slice(reader, (size_t)length);
}

bool record_header_next(struct byte_reader *reader, struct record_header *header)
{
    if (reader_left(reader) == 0)
        return false;
    header->key = read_nullable_varint(reader);
    if (slice_is_null(header->key))
        reader_fail(reader);
    header->value = read_nullable_varint(reader);
    return !reader_failed(reader);
}

/* The headers fill what is left of the record exactly. */
static bool check_headers(struct slice headers, int32_t count)
{
    struct byte_reader reader;
    struct record_header header;
    reader_init(&reader, headers);
    for (int32_t i = 0; i < count; i++) {
        if (!record_header_next(&reader, &header))
            return false;
    }
    return reader_left(&reader) == 0;
}

/* Sums that wrap are as good as any other: the bytes are a stranger's, and the result is only a number. */
static int64_t add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

bool record_parse_body(const struct record_iterator *iterator, struct slice body, struct record *record)
{
    struct byte_reader reader;
    reader_init(&reader, body);
    reader_i8(&reader); /* attributes: none is defined */
    record->timestamp_delta = reader_varlong(&reader);
    record->offset_delta = reader_varint(&reader);
    record->key = read_nullable_varint(&reader);
    record->value = read_nullable_varint(&reader);
    record->header_count = reader_varint(&reader);
    if (reader_failed(&reader) || record->header_count < 0)
        return false;
    record->headers = reader_slice(&reader, reader_left(&reader));
    record->offset = add_wrapping(iterator->base_offset, record->offset_delta);
    record->timestamp = add_wrapping(iterator->base_timestamp, record->timestamp_delta);
    if (iterator->has_append_time)
        record->timestamp = iterator->append_time;
    return check_headers(record->headers, record->header_count);
}

static int stop(struct record_iterator *iterator, int result)
{
    reader_fail(&iterator->reader);
    iterator->left = 0;
    return result;
}

int record_iterator_next(struct record_iterator *iterator, struct record *record)
{
    struct byte_reader *reader = &iterator->reader;
    if (reader_failed(reader))
        return stop(iterator, -EBADMSG);
    if (iterator->left <= 0)
        return reader_left(reader) == 0 && iterator->left == 0 ? 0 : stop(iterator, -EBADMSG);
    iterator->left--;
    int32_t length = reader_varint(reader);
    if (reader_failed(reader) || length < 0)
        return stop(iterator, -EBADMSG);
    struct slice body = reader_slice(reader, (size_t)length);
    if (reader_failed(reader) || !record_parse_body(iterator, body, record))
        return stop(iterator, -EBADMSG);
    return 1;
}
