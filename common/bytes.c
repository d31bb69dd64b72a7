/* SPDX-License-Identifier: Apache-2.0 */
/* The varints of bytes.h and the writer. */
#include "common/bytes.h"

#include <string.h>

#define VARINT_BYTES_MAX 5
#define VARLONG_BYTES_MAX 10

/* Bits that do not fit into 64 (or, in the caller, 32) are dropped, as Kafka's readers do. */
static uint64_t read_groups(struct byte_reader *reader, unsigned bytes_max)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes_max; i++) {
        uint8_t byte = reader_u8(reader);
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80))
            return value;
    }
    reader_fail(reader);
    return 0;
}

uint32_t reader_unsigned_varint(struct byte_reader *reader)
{
    return (uint32_t)read_groups(reader, VARINT_BYTES_MAX);
}

uint64_t reader_unsigned_varlong(struct byte_reader *reader)
{
    return read_groups(reader, VARLONG_BYTES_MAX);
}

int32_t reader_varint(struct byte_reader *reader)
{
    uint32_t raw = reader_unsigned_varint(reader);
    return (int32_t)((raw >> 1) ^ (0U - (raw & 1)));
}

int64_t reader_varlong(struct byte_reader *reader)
{
    uint64_t raw = reader_unsigned_varlong(reader);
    return (int64_t)((raw >> 1) ^ (0ULL - (raw & 1)));
}

void writer_u8(struct buffer *buffer, uint8_t value)
{
    *buffer_extend(buffer, 1) = value;
}

void writer_u16(struct buffer *buffer, uint16_t value)
{
    store_u16(buffer_extend(buffer, 2), value);
}

void writer_u32(struct buffer *buffer, uint32_t value)
{
    store_u32(buffer_extend(buffer, 4), value);
}

void writer_u64(struct buffer *buffer, uint64_t value)
{
    store_u64(buffer_extend(buffer, 8), value);
}

void writer_slice(struct buffer *buffer, struct slice bytes)
{
    buffer_append(buffer, bytes.data, bytes.length);
}

void writer_unsigned_varint(struct buffer *buffer, uint32_t value)
{
    writer_unsigned_varlong(buffer, value);
}

void writer_unsigned_varlong(struct buffer *buffer, uint64_t value)
{
    uint8_t groups[VARLONG_BYTES_MAX];
    size_t count = 0;
    while (value >= 0x80) {
        groups[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    groups[count++] = (uint8_t)value;
    buffer_append(buffer, groups, count);
}

void writer_varint(struct buffer *buffer, int32_t value)
{
    writer_unsigned_varint(buffer, ((uint32_t)value << 1) ^ (value < 0 ? UINT32_MAX : 0));
}

void writer_varlong(struct buffer *buffer, int64_t value)
{
    writer_unsigned_varlong(buffer, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}
