/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of magic 0 and 1. */
#include "proto/records/old.h"

#include <errno.h>
#include <zlib.h>

#include "common/bytes.h"
#include "proto/records/batch.h"

#define OLD_ATTRIBUTES_AT 17

/* An int32 length, -1 for null, and that many bytes. */
static struct slice read_nullable_bytes(struct byte_reader *reader)
{
    int32_t length = reader_i32(reader);
    if (length == -1)
        return slice_make(NULL, 0);
    if (length < 0) {
        reader_fail(reader);
        return slice_make(NULL, 0);
    }
    return reader_slice(reader, (size_t)length);
}

int old_message_parse(struct slice bytes, struct old_message *message)
{
    *message = (struct old_message){.timestamp = RECORD_NO_TIMESTAMP};
    int error = record_entry_peek(bytes, &message->size_bytes, &message->magic);
    if (error == -EBADMSG || message->size_bytes == 0)
        return error;
    if (message->magic != RECORD_MAGIC_V0 && message->magic != RECORD_MAGIC_V1)
        return -EBADMSG;
    if (error)
        return error;
    message->bytes = slice_make(bytes.data, message->size_bytes);
    message->offset = (int64_t)load_u64(bytes.data);
    message->crc = load_u32(bytes.data + RECORD_ENTRY_PREFIX_BYTES);
    struct byte_reader reader;
    reader_init(&reader, slice_make(bytes.data + OLD_ATTRIBUTES_AT, message->size_bytes - OLD_ATTRIBUTES_AT));
    uint8_t attributes = reader_u8(&reader);
    message->codec = (enum codec)(attributes & RECORD_ATTRIBUTE_CODEC_MASK);
    if (message->magic == RECORD_MAGIC_V1) {
        message->append_time = (attributes & RECORD_ATTRIBUTE_APPEND_TIME) != 0;
        message->timestamp = reader_i64(&reader);
    }
    message->key = read_nullable_bytes(&reader);
    message->value = read_nullable_bytes(&reader);
    return reader_failed(&reader) || reader_left(&reader) > 0 ? -EBADMSG : 0;
}

bool old_message_check_crc(const struct old_message *message)
{
    const uint8_t *covered = message->bytes.data + RECORD_BATCH_MAGIC_AT;
    uLong crc = crc32_z(0, covered, message->bytes.length - RECORD_BATCH_MAGIC_AT);
    return (uint32_t)crc == message->crc;
}

static void write_nullable(struct buffer *out, struct slice bytes)
{
    writer_u32(out, slice_is_null(bytes) ? UINT32_MAX : (uint32_t)bytes.length);
    writer_slice(out, bytes);
}

int old_message_append(const struct old_message *message, struct buffer *out)
{
    size_t fixed = OLD_ATTRIBUTES_AT + 1 + (message->magic == RECORD_MAGIC_V1 ? 8 : 0) + 8;
    if (message->key.length > INT32_MAX - fixed ||
        message->value.length > INT32_MAX - fixed - message->key.length)
        return -EMSGSIZE;
    size_t start = out->length;
    writer_u64(out, (uint64_t)message->offset);
    writer_u32(out, 0); /* size: known at the end */
    writer_u32(out, 0); /* CRC: likewise */
    writer_u8(out, (uint8_t)message->magic);
    writer_u8(
        out, (uint8_t)((unsigned)message->codec | (message->append_time ? RECORD_ATTRIBUTE_APPEND_TIME : 0)));
    if (message->magic == RECORD_MAGIC_V1)
        writer_u64(out, (uint64_t)message->timestamp);
    write_nullable(out, message->key);
    write_nullable(out, message->value);
    uint8_t *at = out->data + start;
    size_t size = out->length - start;
    store_u32(at + RECORD_BATCH_LENGTH_AT, (uint32_t)(size - RECORD_ENTRY_PREFIX_BYTES));
    uLong crc = crc32_z(0, at + RECORD_BATCH_MAGIC_AT, size - RECORD_BATCH_MAGIC_AT);
    store_u32(at + RECORD_ENTRY_PREFIX_BYTES, (uint32_t)crc);
    return 0;
}
