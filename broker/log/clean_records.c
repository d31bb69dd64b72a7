/* SPDX-License-Identifier: Apache-2.0 */
/* A window that slides over what the codec gives. */
#include "broker/log/clean_records.h"

#include <errno.h>
#include <string.h>

#include "common/bytes.h"

/* Uncompressed in one go. */
#define PIECE_BYTES ((size_t)64 * 1024)
#define VARINT_BYTES_MAX ((size_t)5)

void clean_records_init(struct clean_records *records)
{
    *records = (struct clean_records){0};
    codec_reader_init(&records->codec);
    buffer_init(&records->window);
}

void clean_records_release(struct clean_records *records)
{
    codec_reader_release(&records->codec);
    buffer_release(&records->window);
}

void clean_records_trim(struct clean_records *records)
{
    codec_reader_trim(&records->codec);
    if (records->window.capacity <= 2 * CLEAN_RECORDS_WINDOW_BYTES)
        return;
    buffer_release(&records->window);
    buffer_init(&records->window);
}

static bool is_plain(const struct clean_records *records)
{
    return records->batch->codec == CODEC_NONE;
}

/* From the first byte of the compressed records. */
static void restart_codec(struct clean_records *records)
{
    buffer_clear(&records->window);
    records->passed_bytes = 0;
    records->whole = true;
    /* A batch that was emptied has nothing that a codec could read. */
    records->ended = is_plain(records) || records->batch->record_count == 0;
    records->damaged = !records->ended && codec_reader_start(&records->codec, records->batch->codec,
                                                             records->batch->records) != 0;
}

void clean_records_start(struct clean_records *records, const struct record_batch *batch, size_t limit_bytes)
{
    records->batch = batch;
    records->limit_bytes = limit_bytes;
    restart_codec(records);
    clean_records_rewind(records);
}

void clean_records_rewind(struct clean_records *records)
{
    if (!records->whole)
        restart_codec(records);
    records->used = 0;
    records->plain = is_plain(records) ? records->batch->records : slice_make(NULL, 0);
    records->last_delta = -1;
    record_iterator_init(&records->iterator, records->batch, slice_make(NULL, 0));
}

/* What is there and was not walked over. */
static struct slice rest(const struct clean_records *records)
{
    if (is_plain(records) || records->window.length == records->used)
        return records->plain;
    return slice_make(records->window.data + records->used, records->window.length - records->used);
}

static void pass(struct clean_records *records, size_t length)
{
    if (is_plain(records))
        records->plain = slice_make(records->plain.data + length, records->plain.length - length);
    else
        records->used += length;
}

/* Uncompresses the next piece. 1; 0: there is none; -EBADMSG. */
static int fill(struct clean_records *records)
{
    if (records->damaged)
        return -EBADMSG;
    if (records->ended)
        return 0;
    struct buffer *window = &records->window;
    if (window->length + PIECE_BYTES > CLEAN_RECORDS_WINDOW_BYTES && records->used > 0) {
        window->length -= records->used;
        memmove(window->data, window->data + records->used, window->length);
        records->used = 0;
        records->whole = false;
    }
    size_t produced;
    uint8_t *at = buffer_reserve(window, PIECE_BYTES);
    if (codec_reader_read(&records->codec, at, PIECE_BYTES, &produced) ||
        produced > records->limit_bytes - records->passed_bytes)
        return -EBADMSG;
    window->length += produced;
    records->passed_bytes += produced;
    records->ended = produced == 0;
    return produced > 0;
}

/* Brings `wanted` bytes, or all that still come. 0, or -EBADMSG. */
static int need(struct clean_records *records, size_t wanted)
{
    int more = 1;
    while (rest(records).length < wanted && more > 0)
        more = fill(records);
    return more < 0 ? more : 0;
}

/* The end must be there, of the records and of what the codec reads. */
static int finish(struct clean_records *records)
{
    return rest(records).length > 0 || fill(records) != 0 ? -EBADMSG : 0;
}

int clean_records_next(struct clean_records *records, struct record *record)
{
    if (records->iterator.left <= 0)
        return records->iterator.left < 0 ? -EBADMSG : finish(records);
    records->iterator.left--;
    struct byte_reader reader;
    if (need(records, VARINT_BYTES_MAX))
        return -EBADMSG;
    reader_init(&reader, rest(records));
    int32_t length = reader_varint(&reader);
    if (reader_failed(&reader) || length < 0)
        return -EBADMSG;
    pass(records, rest(records).length - reader_left(&reader));
    if (need(records, (size_t)length) || rest(records).length < (size_t)length)
        return -EBADMSG;
    if (!record_parse_body(&records->iterator, slice_make(rest(records).data, (size_t)length), record) ||
        record->offset_delta <= records->last_delta ||
        record->offset_delta > records->batch->last_offset_delta)
        return -EBADMSG;
    pass(records, (size_t)length);
    records->last_delta = record->offset_delta;
    return 1;
}
