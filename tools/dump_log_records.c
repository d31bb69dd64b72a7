/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of a batch, a line each. Compressed ones are uncompressed as far as the next record needs it,
 * so what is in memory is one record. Messages of old formats inside a compressed one are the exception:
 * their offsets depend on the last one, so they are uncompressed whole, up to a bound.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/bytes.h"
#include "proto/records/batch.h"
#include "proto/records/old.h"
#include "proto/records/record.h"
#include "tools/dump_log.h"

#define STEP_BYTES ((size_t)64 * 1024)
#define RECORD_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define OLD_SET_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define LENGTH_BYTES_MAX 5

#define CONTROL_KEY_BYTES 4
#define MARKER_BYTES 6

/* ---- lines ---- */

static void note_offset(struct dump_records *records, int64_t offset)
{
    int64_t last = records->last_offset;
    records->last_offset = offset;
    if (last == -1 || (last != INT64_MAX && offset == last + 1))
        return;
    dump_note_pair(records->dump, records->file->path, DUMP_OFFSET_GAP, last, offset);
    if (offset <= last)
        records->dump->damaged = true; /* gaps are what compaction leaves; this is not */
}

static void print_metadata(struct dump *dump, const char *type, int64_t offset, int64_t timestamp,
                           struct slice key, struct slice value)
{
    buffer_print(&dump->line,
                 "| offset: %" PRId64 " %s: %" PRId64 " keySize: %" PRId64 " valueSize: %" PRId64, offset,
                 type, timestamp, slice_is_null(key) ? (int64_t)-1 : (int64_t)key.length,
                 slice_is_null(value) ? (int64_t)-1 : (int64_t)value.length);
}

static void print_data(struct dump *dump, struct slice key, struct slice value)
{
    if (!slice_is_null(key)) {
        buffer_append_string(&dump->line, dump->request.skip_record_metadata ? "| key: " : " key: ");
        dump_append_text(&dump->line, key);
    }
    if (!slice_is_null(value)) {
        buffer_append_string(&dump->line, " payload: ");
        dump_append_text(&dump->line, value);
    }
}

static void end_line(struct dump *dump)
{
    writer_u8(&dump->line, '\n');
    dump_flush(dump);
}

static void print_header_keys(struct dump *dump, const struct record *record)
{
    struct byte_reader reader;
    struct record_header header;
    const char *separator = "";
    reader_init(&reader, record->headers);
    buffer_append_string(&dump->line, " headerKeys: [");
    while (record_header_next(&reader, &header)) {
        buffer_append_string(&dump->line, separator);
        dump_append_text(&dump->line, header.key);
        separator = ",";
    }
    buffer_append_string(&dump->line, "]");
}

static const char *control_type_name(int16_t type)
{
    static const char *const names[] = {"ABORT",           "COMMIT",          "LEADER_CHANGE",
                                        "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION",
                                        "KRAFT_VOTERS"};
    return type >= 0 && (size_t)type < ARRAY_SIZE(names) ? names[type] : "UNKNOWN";
}

/* NULL, or what is wrong. */
static const char *print_control(struct dump *dump, const struct record *record)
{
    if (record->key.length < CONTROL_KEY_BYTES || (int16_t)load_u16(record->key.data) < 0)
        return "the key of a control record is too short or of an unknown version";
    int16_t type = (int16_t)load_u16(record->key.data + 2);
    if (type != 0 && type != 1) {
        buffer_print(&dump->line, " controlType: %s(%d)", control_type_name(type), type);
        return NULL;
    }
    if (record->value.length < MARKER_BYTES || (int16_t)load_u16(record->value.data) < 0)
        return "the value of a transaction marker is too short or of an unknown version";
    buffer_print(&dump->line, " endTxnMarker: %s coordinatorEpoch: %" PRId32, control_type_name(type),
                 (int32_t)load_u32(record->value.data + 2));
    return NULL;
}

static const char *print_record(struct dump_records *records, const struct record_batch *batch,
                                const struct record *record)
{
    struct dump *dump = records->dump;
    const char *problem = NULL;
    note_offset(records, record->offset);
    if (!dump->request.skip_record_metadata) {
        print_metadata(dump, batch->append_time ? "LogAppendTime" : "CreateTime", record->offset,
                       record->timestamp, record->key, record->value);
        int32_t sequence = batch->base_sequence < 0
                               ? RECORD_NO_SEQUENCE
                               : record_sequence_add(batch->base_sequence, record->offset_delta);
        buffer_print(&dump->line, " sequence: %" PRId32, sequence);
        print_header_keys(dump, record);
        if (batch->control)
            problem = print_control(dump, record);
    }
    if (dump->request.print_data && !batch->control)
        print_data(dump, record->key, record->value);
    end_line(dump);
    return problem;
}

/* ---- records of the present format ---- */

/* Uncompressed bytes of which the front is taken off. */
struct record_source {
    struct codec_reader codec;
    struct buffer window;
    size_t taken;
    bool ended;
};

/* At least `length` bytes in the window, or all there are. False: they cannot be uncompressed. */
static bool source_fill(struct record_source *source, size_t length)
{
    struct buffer *window = &source->window;
    while (!source->ended && window->length - source->taken < length) {
        if (source->taken > 0) {
            window->length -= source->taken;
            memmove(window->data, window->data + source->taken, window->length);
            source->taken = 0;
        }
        size_t produced;
        uint8_t *at = buffer_reserve(window, STEP_BYTES);
        if (codec_reader_read(&source->codec, at, STEP_BYTES, &produced))
            return false;
        window->length += produced;
        source->ended = produced == 0;
    }
    return true;
}

static struct slice source_rest(const struct record_source *source)
{
    return slice_make(source->window.data + source->taken, source->window.length - source->taken);
}

/* The next record's body. NULL, or what is wrong. */
static const char *source_next(struct record_source *source, struct slice *body)
{
    static const char *const unreadable = "the records cannot be uncompressed";
    struct byte_reader reader;
    if (!source_fill(source, LENGTH_BYTES_MAX))
        return unreadable;
    reader_init(&reader, source_rest(source));
    int32_t length = reader_varint(&reader);
    if (reader_failed(&reader) || length < 0 || (size_t)length > RECORD_BYTES_MAX)
        return "there are fewer records than the batch says, or the length of one is wrong";
    source->taken += source_rest(source).length - reader_left(&reader);
    if (!source_fill(source, (size_t)length))
        return unreadable;
    if (source_rest(source).length < (size_t)length)
        return "the records end within one";
    *body = slice_make(source->window.data + source->taken, (size_t)length);
    source->taken += (size_t)length;
    return NULL;
}

static const char *print_records(struct dump_records *records, const struct record_batch *batch,
                                 struct record_source *source)
{
    struct record_iterator iterator;
    record_iterator_init(&iterator, batch, slice_make(NULL, 0));
    if (batch->record_count < 0)
        return "the number of records is negative";
    for (int32_t i = 0; i < batch->record_count; i++) {
        struct slice body;
        struct record record;
        const char *problem = source_next(source, &body);
        if (problem == NULL && !record_parse_body(&iterator, body, &record))
            problem = "a record is damaged";
        if (problem == NULL)
            problem = print_record(records, batch, &record);
        if (problem != NULL)
            return problem;
    }
    if (batch->record_count > 0 && (!source_fill(source, 1) || source_rest(source).length > 0))
        return "there is more in the batch than the records that it says";
    return NULL;
}

static const char *print_batch_records(struct dump_records *records, const struct dump_entry *entry)
{
    struct record_batch batch;
    struct record_source source = {.taken = 0};
    if (record_batch_parse(entry->bytes, &batch) != 0)
        return "the batch is damaged";
    codec_reader_init(&source.codec);
    buffer_init(&source.window);
    const char *problem = codec_reader_start(&source.codec, batch.codec, batch.records)
                              ? "the codec is unknown"
                              : print_records(records, &batch, &source);
    buffer_release(&source.window);
    codec_reader_release(&source.codec);
    return problem;
}

/* ---- messages of old formats ---- */

/* Steps over the messages inside; counts them and gives the offset of the last. */
static const char *check_inner(struct slice set, int magic, int64_t *last_offset)
{
    struct old_message inner;
    size_t count = 0;
    for (; set.length > 0; count++) {
        if (old_message_parse(set, &inner) != 0)
            return "a message inside a compressed one is damaged";
        if (inner.magic != magic || inner.codec != CODEC_NONE)
            return "a message inside a compressed one has another format or is compressed itself";
        *last_offset = inner.offset;
        set = slice_make(set.data + inner.size_bytes, set.length - inner.size_bytes);
    }
    return count == 0 ? "a compressed message has none inside" : NULL;
}

static void visit_inner(const struct old_message *wrapper, struct slice set, int64_t last_offset,
                        void (*visit)(void *context, const struct old_message *message), void *context)
{
    /* Magic 1 counts from 0 inside; a wrapper at 0 comes from a producer that did not set its offset. */
    int64_t base = 0;
    if (wrapper->magic == RECORD_MAGIC_V1 && wrapper->offset != 0)
        base = (int64_t)((uint64_t)wrapper->offset - (uint64_t)last_offset);
    struct old_message inner;
    for (; set.length > 0 && old_message_parse(set, &inner) == 0;
         set = slice_make(set.data + inner.size_bytes, set.length - inner.size_bytes)) {
        inner.offset = (int64_t)((uint64_t)base + (uint64_t)inner.offset);
        inner.append_time = wrapper->append_time;
        if (wrapper->append_time)
            inner.timestamp = wrapper->timestamp;
        visit(context, &inner);
    }
}

const char *dump_old_messages(struct slice bytes,
                              void (*visit)(void *context, const struct old_message *message), void *context)
{
    struct old_message message;
    if (old_message_parse(bytes, &message) != 0)
        return "the message is damaged";
    if (message.codec == CODEC_NONE) {
        visit(context, &message);
        return NULL;
    }
    if (slice_is_null(message.value) || message.codec > CODEC_LZ4)
        return "a compressed message has no value or an unknown codec";
    struct buffer set;
    int64_t last_offset = 0;
    buffer_init(&set);
    const char *problem = codec_decompress(message.codec, message.value, OLD_SET_BYTES_MAX, &set)
                              ? "the messages inside cannot be uncompressed"
                              : check_inner(buffer_slice(&set), message.magic, &last_offset);
    if (problem == NULL)
        visit_inner(&message, buffer_slice(&set), last_offset, visit, context);
    buffer_release(&set);
    return problem;
}

static void print_old_message(void *context, const struct old_message *message)
{
    struct dump_records *records = context;
    struct dump *dump = records->dump;
    const char *type = message->magic == RECORD_MAGIC_V0 ? "NoTimestampType"
                       : message->append_time            ? "LogAppendTime"
                                                         : "CreateTime";
    bool valid = old_message_check_crc(message);
    note_offset(records, message->offset);
    if (!dump->request.skip_record_metadata) {
        print_metadata(dump, type, message->offset, message->timestamp, message->key, message->value);
        /* The brace is Kafka's. */
        buffer_print(&dump->line, " isValid: %s crc: %" PRIu32 "}", valid ? "true" : "false", message->crc);
    }
    if (dump->request.print_data)
        print_data(dump, message->key, message->value);
    end_line(dump);
    if (!valid)
        dump->damaged = true;
}

void dump_records_of(struct dump_records *records, const struct dump_entry *entry)
{
    const char *problem = entry->magic == RECORD_MAGIC_V2
                              ? print_batch_records(records, entry)
                              : dump_old_messages(entry->bytes, print_old_message, records);
    if (problem != NULL)
        dump_complain(records->dump,
                      "%s: the batch at position %" PRId64 " (last offset %" PRId64
                      ") cannot be read to its end: %s.",
                      records->file->path, entry->position, entry->last_offset, problem);
}
