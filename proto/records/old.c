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
