/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of the client protocol's primitives: see wire.h. Writing is in wire_write.c. */
#include <errno.h>

#include "proto/kafka/wire.h"

/* Longest string of the protocol, in either encoding. */
#define STRING_LIMIT 32767

static const max_align_t empty_array;

void *wire_empty_array(void)
{
    return (void *)(uintptr_t)&empty_array;
}

void wire_reader_init(struct wire_reader *reader, struct byte_reader *bytes, struct arena *arena,
                      int16_t version, bool flexible)
{
    reader->bytes = bytes;
    reader->arena = arena;
    reader->error = 0;
    reader->version = version;
    reader->flexible = flexible;
}

void wire_fail(struct wire_reader *reader, int error)
{
    if (reader->error == 0 && !reader_failed(reader->bytes))
        reader->error = error;
    reader_fail(reader->bytes);
}

int wire_reader_error(const struct wire_reader *reader)
{
    if (reader->error != 0)
        return reader->error;
    return reader_failed(reader->bytes) ? -EBADMSG : 0;
}

/*
 * The length in front of a string, bytes or an array: -1 for null, which is an error unless `nullable`. After
 * an error also -1. The result is not compared with what is left.
 */
static int64_t read_length(struct wire_reader *reader, bool short_length, bool nullable)
{
    int64_t length;
    if (reader->flexible)
        length = (int64_t)reader_unsigned_varint(reader->bytes) - 1;
    else if (short_length)
        length = reader_i16(reader->bytes);
    else
        length = reader_i32(reader->bytes);
    if (reader_failed(reader->bytes))
        return -1;
    if (length < -1 || (length == -1 && !nullable)) {
        wire_fail(reader, -EBADMSG);
        return -1;
    }
    return length;
}

static struct slice read_range(struct wire_reader *reader, int64_t length)
{
    if (length < 0)
        return slice_make(NULL, 0);
    return reader_slice(reader->bytes, (size_t)length);
}

struct slice wire_read_string(struct wire_reader *reader, bool nullable)
{
    int64_t length = read_length(reader, true, nullable);
    if (length > STRING_LIMIT) {
        wire_fail(reader, -EBADMSG);
        length = -1;
    }
    return read_range(reader, length);
}

struct slice wire_read_bytes(struct wire_reader *reader, bool nullable)
{
    return read_range(reader, read_length(reader, false, nullable));
}

struct wire_records wire_read_records(struct wire_reader *reader, bool nullable)
{
    return (struct wire_records){.bytes = wire_read_bytes(reader, nullable)};
}

bool wire_read_bool(struct wire_reader *reader)
{
    return reader_u8(reader->bytes) != 0;
}

double wire_read_float64(struct wire_reader *reader)
{
    uint64_t bits = reader_u64(reader->bytes);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

struct uuid wire_read_uuid(struct wire_reader *reader)
{
    struct uuid id = {{0}};
    const uint8_t *at = reader_take(reader->bytes, sizeof(id.bytes));
    if (at)
        memcpy(id.bytes, at, sizeof(id.bytes));
    return id;
}

bool wire_read_presence(struct wire_reader *reader)
{
    int8_t presence = reader_i8(reader->bytes);
    return presence >= 0 && !reader_failed(reader->bytes);
}

void *wire_allocate(struct wire_reader *reader, size_t size)
{
    void *memory = arena_allocate(reader->arena, size);
    if (!memory)
        wire_fail(reader, -ENOMEM);
    return memory;
}

void *wire_read_array(struct wire_reader *reader, bool nullable, size_t least, size_t size, size_t *count)
{
    *count = 0;
    int64_t announced = read_length(reader, false, nullable);
    if (announced < 0)
        return NULL;
    if (announced == 0)
        return wire_empty_array();
    if ((uint64_t)announced > reader_left(reader->bytes) / least) {
        wire_fail(reader, -EBADMSG);
        return NULL;
    }
    void *array = arena_allocate_array(reader->arena, (size_t)announced, size);
    if (!array) {
        wire_fail(reader, -ENOMEM);
        return NULL;
    }
    *count = (size_t)announced;
    return array;
}

int8_t *wire_read_int8_array(struct wire_reader *reader, bool nullable, size_t *count)
{
    int8_t *array = wire_read_array(reader, nullable, sizeof(*array), sizeof(*array), count);
    for (size_t i = 0; i < *count; i++)
        array[i] = reader_i8(reader->bytes);
    return array;
}

int32_t *wire_read_int32_array(struct wire_reader *reader, bool nullable, size_t *count)
{
    int32_t *array = wire_read_array(reader, nullable, sizeof(*array), sizeof(*array), count);
    for (size_t i = 0; i < *count; i++)
        array[i] = reader_i32(reader->bytes);
    return array;
}

int64_t *wire_read_int64_array(struct wire_reader *reader, bool nullable, size_t *count)
{
    int64_t *array = wire_read_array(reader, nullable, sizeof(*array), sizeof(*array), count);
    for (size_t i = 0; i < *count; i++)
        array[i] = reader_i64(reader->bytes);
    return array;
}

struct slice *wire_read_string_array(struct wire_reader *reader, bool nullable, size_t *count)
{
    size_t least = reader->flexible ? 1 : 2;
    struct slice *array = wire_read_array(reader, nullable, least, sizeof(*array), count);
    for (size_t i = 0; i < *count; i++)
        array[i] = wire_read_string(reader, false);
    return array;
}

void wire_tags_begin(struct wire_tags *tags, struct wire_reader *reader)
{
    tags->left = reader_unsigned_varint(reader->bytes);
    tags->tag = 0;
    tags->last_tag = -1;
    tags->end = NULL;
}

bool wire_tags_next(struct wire_tags *tags, struct wire_reader *reader)
{
    struct byte_reader *bytes = reader->bytes;
    if (tags->end) {
        if (reader_left(bytes) > 0)
            wire_fail(reader, -EBADMSG);
        else if (!reader_failed(bytes))
            bytes->end = tags->end;
        tags->end = NULL;
    }
    if (reader_failed(bytes) || tags->left == 0)
        return false;
    tags->left--;
    tags->tag = reader_unsigned_varint(bytes);
    uint32_t size = reader_unsigned_varint(bytes);
    if ((int64_t)tags->tag <= tags->last_tag || size > reader_left(bytes))
        wire_fail(reader, -EBADMSG);
    if (reader_failed(bytes))
        return false;
    tags->last_tag = tags->tag;
    tags->end = bytes->end;
    bytes->end = bytes->at + size;
    return true;
}

void wire_tags_skip(struct wire_tags *tags, struct wire_reader *reader)
{
    (void)tags;
    reader->bytes->at = reader->bytes->end;
}

void wire_skip_all_tags(struct wire_reader *reader)
{
    struct wire_tags tags;
    wire_tags_begin(&tags, reader);
    while (wire_tags_next(&tags, reader))
        wire_tags_skip(&tags, reader);
}
