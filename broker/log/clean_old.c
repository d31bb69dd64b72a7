/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of messages, taken apart and put together. */
#include "broker/log/clean_old.h"

#include <errno.h>

#include "common/bytes.h"
#include "proto/records/batch.h"

/* The messages inside, uncompressed, and what must be added to their offsets. */
struct message_set {
    struct slice rest;
    int64_t offset_shift;
    int64_t next_offset; /* nothing below may come, */
    int64_t last_offset; /* nor anything above this */
    int magic;
};

static int next_message(struct message_set *set, struct clean_old_record *record)
{
    if (set->rest.length == 0)
        return 0;
    if (old_message_parse(set->rest, &record->message) || record->message.magic != set->magic ||
        record->message.codec != CODEC_NONE)
        return -EBADMSG;
    record->offset = (int64_t)((uint64_t)record->message.offset + (uint64_t)set->offset_shift);
    if (record->offset < set->next_offset || record->offset > set->last_offset)
        return -EBADMSG;
    set->next_offset = record->offset < INT64_MAX ? record->offset + 1 : INT64_MAX;
    set->rest = slice_make(set->rest.data + record->message.size_bytes,
                           set->rest.length - record->message.size_bytes);
    return 1;
}

/* Decompresses, and looks for the last offset. */
static int open_set(const struct old_message *message, size_t limit, struct buffer *scratch,
                    struct message_set *set)
{
    buffer_clear(scratch);
    if (slice_is_null(message->value) || codec_decompress(message->codec, message->value, limit, scratch))
        return -EBADMSG;
    *set = (struct message_set){
        .rest = buffer_slice(scratch), .last_offset = message->offset, .magic = message->magic};
    if (message->magic == RECORD_MAGIC_V0)
        return 0;
    struct message_set walk = *set;
    walk.last_offset = INT64_MAX;
    struct clean_old_record record = {.offset = -1};
    int result;
    while ((result = next_message(&walk, &record)) > 0)
        ;
    if (result || record.offset < 0)
        return -EBADMSG;
    set->offset_shift = message->offset - record.offset;
    return 0;
}

int clean_old_walk(const struct old_message *message, size_t limit, struct buffer *scratch,
                   clean_old_visit *visit, void *context)
{
    struct clean_old_record record = {.offset = message->offset, .message = *message};
    if (message->codec == CODEC_NONE) {
        visit(context, &record);
        return 0;
    }
    struct message_set set;
    int result = open_set(message, limit, scratch, &set);
    if (result)
        return result;
    while ((result = next_message(&set, &record)) > 0)
        if (!visit(context, &record))
            return 0;
    return result;
}

/* ---- filtering ---- */

struct filter {
    clean_old_visit *keep;
    void *context;
    struct buffer messages; /* of the set, those that stay */
    int64_t total;
    int64_t kept;
    int64_t first_offset; /* of those that stay */
    int64_t last_offset;
    int64_t max_timestamp;
};

static bool filter_record(void *context, const struct clean_old_record *record)
{
    struct filter *filter = context;
    filter->total++;
    if (!filter->keep(filter->context, record))
        return true;
    if (filter->kept++ == 0)
        filter->first_offset = record->offset;
    filter->last_offset = record->offset;
    filter->max_timestamp = max_i64(filter->max_timestamp, record->message.timestamp);
    size_t start = filter->messages.length;
    buffer_append(&filter->messages, record->message.bytes.data, record->message.bytes.length);
    if (record->message.magic == RECORD_MAGIC_V1) /* the CRC does not cover the offset */
        store_u64(filter->messages.data + start, (uint64_t)(record->offset - filter->first_offset));
    return true;
}

static int write_set(const struct old_message *message, const struct filter *filter, struct buffer *out)
{
    struct buffer compressed;
    buffer_init(&compressed);
    int error =
        codec_compress(message->codec, CODEC_DEFAULT_LEVEL, buffer_slice(&filter->messages), &compressed);
    if (!error) {
        struct old_message set = *message;
        set.offset = filter->last_offset;
        set.timestamp = message->append_time ? message->timestamp : filter->max_timestamp;
        set.key = slice_make(NULL, 0);
        set.value = buffer_slice(&compressed);
        error = old_message_append(&set, out);
    }
    buffer_release(&compressed);
    return error ? -EBADMSG : 0;
}

int clean_old_filter(const struct old_message *message, size_t limit, struct buffer *scratch,
                     clean_old_visit *keep, void *context, struct buffer *out, int64_t *kept)
{
    struct filter filter = {.keep = keep, .context = context, .max_timestamp = RECORD_NO_TIMESTAMP};
    buffer_init(&filter.messages);
    int error = clean_old_walk(message, limit, scratch, filter_record, &filter);
    *kept = filter.kept;
    if (!error && filter.kept == filter.total)
        buffer_append(out, message->bytes.data, message->bytes.length);
    else if (!error && filter.kept > 0)
        error = write_set(message, &filter, out);
    buffer_release(&filter.messages);
    return error;
}
