/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over records piece by piece. A record that lies within the piece, as nearly all do, is parsed
 * where it lies; one that reaches into the next is read field by field, and the bytes of its key, value and
 * headers are passed over as they come.
 */
#include "proto/records/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/memory.h"

#define VARINT_BYTES_MAX 5
#define VARLONG_BYTES_MAX 10

void record_walker_init(struct record_walker *walker)
{
    *walker = (struct record_walker){0};
    codec_reader_init(&walker->codec);
}

void record_walker_release(struct record_walker *walker)
{
    codec_reader_release(&walker->codec);
    free(walker->piece_memory);
    walker->piece_memory = NULL;
}

void record_walker_trim(struct record_walker *walker)
{
    codec_reader_trim(&walker->codec);
}

void record_walker_start(struct record_walker *walker, const struct record_batch *batch, enum codec codec,
                         struct slice bytes, size_t limit_bytes)
{
    record_iterator_init(&walker->batch, batch, slice_make(NULL, 0));
    walker->limit_bytes = limit_bytes;
    walker->error = 0;
    /* Uncompressed records are one piece, where they lie; for the codec there is nothing left. */
    bool in_place = codec == CODEC_NONE;
    walker->piece = in_place ? bytes : slice_make(NULL, 0);
    walker->passed_bytes = walker->piece.length;
    if (!in_place && walker->piece_memory == NULL)
        walker->piece_memory = memory_allocate(RECORD_PIECE_BYTES);
    walker->codec.block_bytes_max = limit_bytes;
    int error = codec_reader_start(&walker->codec, codec, in_place ? slice_make(NULL, 0) : bytes);
    CHECK(error == 0);
}

static bool fail(struct record_walker *walker, int error)
{
    if (walker->error == 0)
        walker->error = error;
    walker->piece = slice_make(NULL, 0);
    return false;
}

static void pass(struct record_walker *walker, size_t length)
{
    walker->piece = slice_make(walker->piece.data + length, walker->piece.length - length);
}

uint64_t record_walker_position(const struct record_walker *walker)
{
    return walker->passed_bytes - walker->piece.length;
}

/* The piece is used up: the next one. True with an empty piece at the end; false: an error. */
static bool next_piece(struct record_walker *walker)
{
    CHECK(walker->piece.length == 0);
    size_t produced = 0;
    if (walker->error)
        return false;
    int error = 0;
    if (walker->codec.codec != CODEC_NONE)
        error = codec_reader_read(&walker->codec, walker->piece_memory, RECORD_PIECE_BYTES, &produced);
    if (error)
        return fail(walker, error == -EMSGSIZE ? error : -EILSEQ);
    if (produced > walker->limit_bytes - walker->passed_bytes)
        return fail(walker, -EMSGSIZE);
    walker->passed_bytes += produced;
    walker->piece = slice_make(walker->piece_memory, produced);
    return true;
}

static uint8_t read_byte(struct record_walker *walker)
{
    if (walker->piece.length == 0) {
        if (!next_piece(walker))
            return 0;
        if (walker->piece.length == 0)
            return fail(walker, -EBADMSG); /* the records end within one */
    }
    uint8_t byte = walker->piece.data[0];
    pass(walker, 1);
    return byte;
}

/* The bytes of a number, gathered over the edge of a piece. */
static void gather_number(struct record_walker *walker, uint8_t *bytes, size_t bytes_max, size_t *length)
{
    *length = 0;
    do
        bytes[*length] = read_byte(walker);
    while (bytes[(*length)++] & 0x80 && *length < bytes_max);
}

static int64_t read_number(struct record_walker *walker, size_t bytes_max)
{
    uint8_t gathered[VARLONG_BYTES_MAX];
    size_t length = 0;
    struct byte_reader reader;
    bool within = walker->piece.length >= bytes_max;
    if (!within)
        gather_number(walker, gathered, bytes_max, &length);
    reader_init(&reader, within ? walker->piece : slice_make(gathered, length));
    int64_t value = bytes_max == VARINT_BYTES_MAX ? reader_varint(&reader) : reader_varlong(&reader);
    if (reader_failed(&reader)) {
        fail(walker, -EBADMSG);
        return 0;
    }
    if (within)
        pass(walker, walker->piece.length - reader_left(&reader));
    return value;
}

/* Passes over a length and as many bytes, which must end by `end`. False: null, or an error. */
static bool skip_bytes(struct record_walker *walker, uint64_t end)
{
    int64_t left = read_number(walker, VARINT_BYTES_MAX);
    if (left == -1)
        return false;
    if (walker->error || left < 0 || record_walker_position(walker) > end ||
        (uint64_t)left > end - record_walker_position(walker))
        return fail(walker, -EBADMSG);
    while (left > 0) {
        size_t step = min_size(walker->piece.length, (size_t)left);
        pass(walker, step);
        left -= (int64_t)step;
        if (left == 0)
            break;
        if (!next_piece(walker))
            return false;
        if (walker->piece.length == 0)
            return fail(walker, -EBADMSG);
    }
    return true;
}

/* A record that does not lie within the piece; it ends at `end`. */
static bool read_record(struct record_walker *walker, uint64_t end, struct record_outline *outline)
{
    if (walker->codec.codec == CODEC_NONE)
        return fail(walker, -EBADMSG); /* the piece is all there is */
    if (end > walker->limit_bytes)
        return fail(walker, -EMSGSIZE); /* known before it is unpacked */
    read_byte(walker);                  /* attributes */
    uint64_t timestamp_delta = (uint64_t)read_number(walker, VARLONG_BYTES_MAX);
    outline->timestamp = walker->batch.has_append_time
                             ? walker->batch.append_time
                             : (int64_t)((uint64_t)walker->batch.base_timestamp + timestamp_delta);
    outline->offset_delta = (int32_t)read_number(walker, VARINT_BYTES_MAX);
    outline->has_key = skip_bytes(walker, end);
    skip_bytes(walker, end);
    int64_t headers = read_number(walker, VARINT_BYTES_MAX);
    if (headers < 0)
        return fail(walker, -EBADMSG);
    for (; headers > 0 && walker->error == 0; headers--) {
        if (!skip_bytes(walker, end))
            return fail(walker, -EBADMSG); /* the key of a header is never null */
        skip_bytes(walker, end);
    }
    return walker->error == 0 && (record_walker_position(walker) == end || fail(walker, -EBADMSG));
}

static bool parse_in_place(struct record_walker *walker, size_t length, struct record_outline *outline)
{
    struct record record;
    if (!record_parse_body(&walker->batch, slice_make(walker->piece.data, length), &record))
        return fail(walker, -EBADMSG);
    *outline = (struct record_outline){record.timestamp, record.offset_delta, !slice_is_null(record.key)};
    pass(walker, length);
    return true;
}

/* All records have come: the end must be there, and the compressed stream whole. */
static int finish(struct record_walker *walker)
{
    if (walker->batch.left < 0 || walker->piece.length > 0)
        fail(walker, -EBADMSG);
    else if (next_piece(walker) && walker->piece.length > 0)
        fail(walker, -EBADMSG);
    return walker->error;
}

int record_walker_next(struct record_walker *walker, struct record_outline *outline)
{
    if (walker->error)
        return walker->error;
    if (walker->batch.left <= 0)
        return finish(walker);
    walker->batch.left--;
    int64_t length = read_number(walker, VARINT_BYTES_MAX);
    if (walker->error == 0 && length < 0)
        fail(walker, -EBADMSG);
    if (walker->error)
        return walker->error;
    bool good = walker->piece.length >= (size_t)length
                    ? parse_in_place(walker, (size_t)length, outline)
                    : read_record(walker, record_walker_position(walker) + (uint64_t)length, outline);
    return good ? 1 : walker->error;
}
