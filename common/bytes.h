/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Big-endian reading and writing with bounds.
 *
 * The reader never goes past its end. Its error is sticky: after the first short read every getter returns 0
 * and reader_failed() stays true, so a decoder may read a whole structure and look once, before it uses a
 * length or count it has read. The writer appends to a buffer and cannot fail.
 *
 * Varints are those of Kafka and protobuf: base-128, low group first; signed ones zigzag. A varint of more
 * than 5 bytes, a varlong of more than 10, is an error (overlong forms within that are accepted).
 */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

static inline uint16_t load_u16(const uint8_t *at)
{
    return (uint16_t)((uint16_t)at[0] << 8 | at[1]);
}

static inline uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t load_u64(const uint8_t *at)
{
    return (uint64_t)load_u32(at) << 32 | load_u32(at + 4);
}

static inline void store_u16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void store_u32(uint8_t *at, uint32_t value)
{
    store_u16(at, (uint16_t)(value >> 16));
    store_u16(at + 2, (uint16_t)value);
}

static inline void store_u64(uint8_t *at, uint64_t value)
{
    store_u32(at, (uint32_t)(value >> 32));
    store_u32(at + 4, (uint32_t)value);
}

struct byte_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline void reader_init(struct byte_reader *reader, struct slice bytes)
{
    reader->at = bytes.data;
    reader->end = bytes.length ? bytes.data + bytes.length : bytes.data;
    reader->failed = false;
}

static inline size_t reader_left(const struct byte_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

MUST_CHECK static inline bool reader_failed(const struct byte_reader *reader)
{
    return reader->failed;
}

static inline void reader_fail(struct byte_reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
}

/* Where the next `length` bytes are, which are then behind the reader; NULL and failed when there are fewer.
 */
static inline const uint8_t *reader_take(struct byte_reader *reader, size_t length)
{
    if (reader_left(reader) < length) {
        reader_fail(reader);
        return NULL;
    }
    const uint8_t *at = reader->at;
    if (length > 0)
        reader->at += length;
    return at;
}

static inline uint8_t reader_u8(struct byte_reader *reader)
{
    const uint8_t *at = reader_take(reader, 1);
    return at ? at[0] : 0;
}

static inline int8_t reader_i8(struct byte_reader *reader)
{
    return (int8_t)reader_u8(reader);
}

static inline uint16_t reader_u16(struct byte_reader *reader)
{
    const uint8_t *at = reader_take(reader, 2);
    return at ? load_u16(at) : 0;
}

static inline int16_t reader_i16(struct byte_reader *reader)
{
    return (int16_t)reader_u16(reader);
}

static inline uint32_t reader_u32(struct byte_reader *reader)
{
    const uint8_t *at = reader_take(reader, 4);
    return at ? load_u32(at) : 0;
}

static inline int32_t reader_i32(struct byte_reader *reader)
{
    return (int32_t)reader_u32(reader);
}

static inline uint64_t reader_u64(struct byte_reader *reader)
{
    const uint8_t *at = reader_take(reader, 8);
    return at ? load_u64(at) : 0;
}

static inline int64_t reader_i64(struct byte_reader *reader)
{
    return (int64_t)reader_u64(reader);
}

/* Exactly `length` bytes, borrowed from what is read. */
static inline struct slice reader_slice(struct byte_reader *reader, size_t length)
{
    const uint8_t *at = reader_take(reader, length);
    return slice_make(at, at ? length : 0);
}

/* Unsigned and zigzag varints of 32 and 64 bits. */
uint32_t reader_unsigned_varint(struct byte_reader *reader);
uint64_t reader_unsigned_varlong(struct byte_reader *reader);
int32_t reader_varint(struct byte_reader *reader);
int64_t reader_varlong(struct byte_reader *reader);

void writer_u8(struct buffer *buffer, uint8_t value);
void writer_u16(struct buffer *buffer, uint16_t value);
void writer_u32(struct buffer *buffer, uint32_t value);
void writer_u64(struct buffer *buffer, uint64_t value);
void writer_slice(struct buffer *buffer, struct slice bytes);
void writer_unsigned_varint(struct buffer *buffer, uint32_t value);
void writer_unsigned_varlong(struct buffer *buffer, uint64_t value);
void writer_varint(struct buffer *buffer, int32_t value);
void writer_varlong(struct buffer *buffer, int64_t value);

#endif
