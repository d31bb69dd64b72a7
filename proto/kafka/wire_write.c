/* SPDX-License-Identifier: Apache-2.0 */
/* Writing of the client protocol's primitives: see wire.h. */
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/wire.h"

#define STRING_LIMIT 32767

void wire_writer_init(struct wire_writer *writer, struct buffer *buffer)
{
    *writer = (struct wire_writer){.buffer = buffer};
}

void wire_writer_release(struct wire_writer *writer)
{
    free(writer->gaps);
    *writer = (struct wire_writer){.buffer = writer->buffer};
}

int64_t wire_writer_gap_length(const struct wire_writer *writer)
{
    int64_t sum = 0;
    for (size_t i = 0; i < writer->gap_count; i++)
        sum += writer->gaps[i].length;
    return sum;
}

/* The int32 or compact length of `length` bytes or elements; -1 is null. */
static void write_length(struct wire_writer *writer, int64_t length, bool flexible)
{
    CHECK(length >= -1 && length < INT32_MAX);
    if (flexible)
        writer_unsigned_varint(writer->buffer, (uint32_t)(length + 1));
    else
        wire_write_int32(writer, (int32_t)length);
}

void wire_write_string(struct wire_writer *writer, struct slice text, bool flexible, bool nullable)
{
    int32_t length = (int32_t)min_size(text.length, STRING_LIMIT);
    if (slice_is_null(text))
        length = nullable ? -1 : 0;
    if (flexible)
        writer_unsigned_varint(writer->buffer, (uint32_t)(length + 1));
    else
        wire_write_int16(writer, (int16_t)length);
    if (length > 0)
        writer_slice(writer->buffer, slice_make(text.data, (size_t)length));
}

void wire_write_bytes(struct wire_writer *writer, struct slice bytes, bool flexible, bool nullable)
{
    if (slice_is_null(bytes)) {
        write_length(writer, nullable ? -1 : 0, flexible);
        return;
    }
    write_length(writer, (int64_t)bytes.length, flexible);
    writer_slice(writer->buffer, bytes);
}

void wire_write_records(struct wire_writer *writer, const struct wire_records *records, bool flexible,
                        bool nullable)
{
    if (!records->external) {
        wire_write_bytes(writer, records->bytes, flexible, nullable);
        return;
    }
    write_length(writer, records->external_length, flexible);
    writer->gaps = memory_grow(writer->gaps, writer->gap_count, &writer->gap_capacity, sizeof(*writer->gaps));
    writer->gaps[writer->gap_count++] = (struct wire_gap){
        .position = writer->buffer->length,
        .external = records->external,
        .length = records->external_length,
    };
}

void wire_write_bool(struct wire_writer *writer, bool value)
{
    writer_u8(writer->buffer, value ? 1 : 0);
}

void wire_write_float64(struct wire_writer *writer, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    writer_u64(writer->buffer, bits);
}

void wire_write_uuid(struct wire_writer *writer, struct uuid id)
{
    writer_slice(writer->buffer, slice_make(id.bytes, sizeof(id.bytes)));
}

void wire_write_presence(struct wire_writer *writer, bool present)
{
    wire_write_int8(writer, present ? 1 : -1);
}

size_t wire_write_count(struct wire_writer *writer, const void *array, size_t count, bool flexible,
                        bool nullable)
{
    if (array) {
        write_length(writer, (int64_t)count, flexible);
        return count;
    }
    CHECK(count == 0);
    write_length(writer, nullable ? -1 : 0, flexible);
    return 0;
}

void wire_write_int8_array(struct wire_writer *writer, const int8_t *array, size_t count, bool flexible,
                           bool nullable)
{
    count = wire_write_count(writer, array, count, flexible, nullable);
    for (size_t i = 0; i < count; i++)
        wire_write_int8(writer, array[i]);
}

void wire_write_int32_array(struct wire_writer *writer, const int32_t *array, size_t count, bool flexible,
                            bool nullable)
{
    count = wire_write_count(writer, array, count, flexible, nullable);
    for (size_t i = 0; i < count; i++)
        wire_write_int32(writer, array[i]);
}

void wire_write_int64_array(struct wire_writer *writer, const int64_t *array, size_t count, bool flexible,
                            bool nullable)
{
    count = wire_write_count(writer, array, count, flexible, nullable);
    for (size_t i = 0; i < count; i++)
        wire_write_int64(writer, array[i]);
}

void wire_write_string_array(struct wire_writer *writer, const struct slice *array, size_t count,
                             bool flexible, bool nullable)
{
    count = wire_write_count(writer, array, count, flexible, nullable);
    for (size_t i = 0; i < count; i++)
        wire_write_string(writer, array[i], flexible, false);
}

void wire_write_tag_count(struct wire_writer *writer, uint32_t count)
{
    writer_unsigned_varint(writer->buffer, count);
}

/*
 * The size in front of a field is known only behind it. Nearly all fields are shorter than 128 bytes, so one
 * byte is kept free for it; a longer field is moved up.
 */
size_t wire_tag_begin(struct wire_writer *writer, uint32_t tag)
{
    writer_unsigned_varint(writer->buffer, tag);
    writer_u8(writer->buffer, 0);
    return writer->buffer->length;
}

void wire_tag_end(struct wire_writer *writer, size_t start)
{
    struct buffer *buffer = writer->buffer;
    size_t size = buffer->length - start;
    CHECK(size < INT32_MAX);

    uint8_t encoded[5];
    size_t encoded_length = 0;
    for (size_t rest = size; encoded_length == 0 || rest > 0; rest >>= 7)
        encoded[encoded_length++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    if (encoded_length > 1) {
        buffer_extend(buffer, encoded_length - 1);
        memmove(buffer->data + start - 1 + encoded_length, buffer->data + start, size);
    }
    memcpy(buffer->data + start - 1, encoded, encoded_length);
}
