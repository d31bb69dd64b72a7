/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What generated codecs call: the primitives of the client protocol in their two encodings.
 *
 * Inflexible versions: a string has an int16 length, bytes, records and arrays an int32; -1 is null.
 * Flexible versions (KIP-482): all lengths are unsigned varints of length + 1, 0 is null, and every structure
 * ends in a section of tagged fields: count, then tag, size and data of each, tags ascending.
 *
 * Reading: a wire_reader carries a sticky error, so that generated code reads a structure straight through
 * and looks once. It never goes past the end of the input, believes no length before it has compared it with
 * what is left, and takes memory from an arena with a budget only: an array of n elements is allocated after
 * n * (least encoded size of an element) was found to fit into the bytes left. As the elements must really be
 * there for decoding to go on, an announced but missing array is paid for at most once in each nesting level.
 *
 * Writing: a wire_writer appends to a buffer and cannot fail. Records may stay outside ("external", a range
 * of a file, say): then only their length is written and a gap is noted where they belong.
 *
 * Pure; one thread at a time uses a reader or a writer.
 */
#ifndef PROTO_KAFKA_WIRE_H
#define PROTO_KAFKA_WIRE_H

#include "common/arena.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/bytes.h"
#include "common/slice.h"
#include "common/uuid.h"

/*
 * The records of one partition, as they are: batches or message sets, not looked at here. A decoder borrows
 * `bytes` from its input and leaves `external` NULL. For an encoder, `external` != NULL stands for
 * external_length bytes that the owner of the writer sends itself (see wire_gap). NULL bytes and no external
 * are null where the field may be null, else empty.
 */
struct wire_records {
    struct slice bytes;
    void *external;
    int64_t external_length;
};

/* `length` bytes that belong at `position` of the writer's buffer and are not in it. */
struct wire_gap {
    size_t position;
    void *external;
    int64_t length;
};

struct wire_writer {
    struct buffer *buffer; /* borrowed */
    struct wire_gap *gaps; /* owned, by ascending position */
    size_t gap_count;
    size_t gap_capacity;
};

void wire_writer_init(struct wire_writer *writer, struct buffer *buffer);
/* Frees the gaps' array; the buffer and what the gaps point to stay with their owners. */
void wire_writer_release(struct wire_writer *writer);
/* Sum of the gaps' lengths: what a frame's length field counts beside the buffer's bytes. */
int64_t wire_writer_gap_length(const struct wire_writer *writer);

struct wire_reader {
    struct byte_reader *bytes;
    struct arena *arena;
    int error;       /* 0, -EBADMSG or -ENOMEM; sticky */
    int16_t version; /* of the message */
    bool flexible;
};

/* Starts reading one message at reader->at. `bytes` and `arena` are borrowed. */
void wire_reader_init(struct wire_reader *reader, struct byte_reader *bytes, struct arena *arena,
                      int16_t version, bool flexible);
/* Notes `error` unless one is noted, and makes all further reads give zeros. */
void wire_fail(struct wire_reader *reader, int error);
/* The outcome: 0, -EBADMSG (malformed or cut off) or -ENOMEM (the arena's budget refused). */
int wire_reader_error(const struct wire_reader *reader);

/* Slices of the input; the null slice for null, which is an error unless `nullable`. */
struct slice wire_read_string(struct wire_reader *reader, bool nullable);
struct slice wire_read_bytes(struct wire_reader *reader, bool nullable);
struct wire_records wire_read_records(struct wire_reader *reader, bool nullable);
/* One byte, zero or not. */
bool wire_read_bool(struct wire_reader *reader);
double wire_read_float64(struct wire_reader *reader);
struct uuid wire_read_uuid(struct wire_reader *reader);
/* The byte in front of a structure that may be null: true when the structure follows. */
bool wire_read_presence(struct wire_reader *reader);
/* Zeroed memory of the arena for a structure that is there; NULL, and -ENOMEM noted, when refused. */
void *wire_allocate(struct wire_reader *reader, size_t size);

/*
 * Reads an array's count and allocates its elements, zeroed: *count of them, each of `size` bytes in memory
 * and of at least `least` bytes in the input. NULL with *count 0 for null (an error unless `nullable`) and
 * after an error; an empty array gives wire_empty_array(). The result lives in the arena.
 */
void *wire_read_array(struct wire_reader *reader, bool nullable, size_t least, size_t size, size_t *count);

/* Arrays of numbers and strings, whole; as wire_read_array. */
int8_t *wire_read_int8_array(struct wire_reader *reader, bool nullable, size_t *count);
int32_t *wire_read_int32_array(struct wire_reader *reader, bool nullable, size_t *count);
int64_t *wire_read_int64_array(struct wire_reader *reader, bool nullable, size_t *count);
struct slice *wire_read_string_array(struct wire_reader *reader, bool nullable, size_t *count);

/* A pointer for arrays of no elements: not NULL, aligned for any type, never to be written to or freed. */
void *wire_empty_array(void);

/*
 * The tagged fields at the end of a structure:
 *
 *     struct wire_tags tags;
 *     wire_tags_begin(&tags, reader);
 *     while (wire_tags_next(&tags, reader))
 *         switch (tags.tag) { case 0: ...read it...; break; default: wire_tags_skip(&tags, reader); }
 *
 * Within an iteration the reader ends where the field ends; a field that is not consumed to its end, tags
 * that do not ascend and sizes beyond the input are errors.
 */
struct wire_tags {
    uint32_t left;      /* fields still to come */
    uint32_t tag;       /* of the present field */
    int64_t last_tag;   /* -1 at first */
    const uint8_t *end; /* of the reader outside the present field; NULL outside any */
};

void wire_tags_begin(struct wire_tags *tags, struct wire_reader *reader);
MUST_CHECK bool wire_tags_next(struct wire_tags *tags, struct wire_reader *reader);
void wire_tags_skip(struct wire_tags *tags, struct wire_reader *reader);
/* Reads a whole section of which no tag is known. */
void wire_skip_all_tags(struct wire_reader *reader);

/*
 * Writers. A null slice is written as null where `nullable`, else as empty. Strings longer than the encoding
 * can express (32767 bytes, inflexible) are cut there: a broker's own texts only, never names.
 */
void wire_write_string(struct wire_writer *writer, struct slice text, bool flexible, bool nullable);
void wire_write_bytes(struct wire_writer *writer, struct slice bytes, bool flexible, bool nullable);
void wire_write_records(struct wire_writer *writer, const struct wire_records *records, bool flexible,
                        bool nullable);
void wire_write_bool(struct wire_writer *writer, bool value);
void wire_write_float64(struct wire_writer *writer, double value);
void wire_write_uuid(struct wire_writer *writer, struct uuid id);
void wire_write_presence(struct wire_writer *writer, bool present);

static inline void wire_write_int8(struct wire_writer *writer, int8_t value)
{
    writer_u8(writer->buffer, (uint8_t)value);
}

static inline void wire_write_int16(struct wire_writer *writer, int16_t value)
{
    writer_u16(writer->buffer, (uint16_t)value);
}

static inline void wire_write_uint16(struct wire_writer *writer, uint16_t value)
{
    writer_u16(writer->buffer, value);
}

static inline void wire_write_int32(struct wire_writer *writer, int32_t value)
{
    writer_u32(writer->buffer, (uint32_t)value);
}

static inline void wire_write_int64(struct wire_writer *writer, int64_t value)
{
    writer_u64(writer->buffer, (uint64_t)value);
}

/* An array's count; `array` NULL is null where `nullable`. Returns how many elements follow. */
size_t wire_write_count(struct wire_writer *writer, const void *array, size_t count, bool flexible,
                        bool nullable);
void wire_write_int8_array(struct wire_writer *writer, const int8_t *array, size_t count, bool flexible,
                           bool nullable);
void wire_write_int32_array(struct wire_writer *writer, const int32_t *array, size_t count, bool flexible,
                            bool nullable);
void wire_write_int64_array(struct wire_writer *writer, const int64_t *array, size_t count, bool flexible,
                            bool nullable);
void wire_write_string_array(struct wire_writer *writer, const struct slice *array, size_t count,
                             bool flexible, bool nullable);

/*
 * The tagged section: its count, then for each field begin, the field's own writing, end. The end puts the
 * field's size in front of it. Records with gaps do not occur in tagged fields.
 */
void wire_write_tag_count(struct wire_writer *writer, uint32_t count);
size_t wire_tag_begin(struct wire_writer *writer, uint32_t tag);
void wire_tag_end(struct wire_writer *writer, size_t start);

/* For the printers (wire_print.c): "text" escaped or null, lengths of bytes and records, and what an elided
 * array shows. */
#define WIRE_PRINT_STRING_LIMIT 256
#define WIRE_PRINT_ELEMENTS 32

void wire_print_string(struct buffer *out, struct slice text);
void wire_print_bytes(struct buffer *out, struct slice bytes);
void wire_print_records(struct buffer *out, const struct wire_records *records);
void wire_print_uuid(struct buffer *out, struct uuid id);
/* For passwords and the like: whether there is one, not what it is. */
void wire_print_secret(struct buffer *out, struct slice secret);
/*
 * Opens an array: prints "null" and returns 0 for null, else "[" and returns how many elements to print (at
 * most WIRE_PRINT_ELEMENTS).
 */
size_t wire_print_array_begin(struct buffer *out, const void *array, size_t count);
/* Closes it: how many were left out, and "]". */
void wire_print_array_end(struct buffer *out, const void *array, size_t count);
void wire_print_int8_array(struct buffer *out, const int8_t *array, size_t count);
void wire_print_int32_array(struct buffer *out, const int32_t *array, size_t count);
void wire_print_int64_array(struct buffer *out, const int64_t *array, size_t count);
void wire_print_string_array(struct buffer *out, const struct slice *array, size_t count);

#endif
