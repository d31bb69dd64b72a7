/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `.log` files: one line a batch, or old message, then its records. The file may grow meanwhile: a broker is
 * allowed to live on it. What was not there when the dump began is left out, but for the end of a batch that
 * was being written just then.
 */
#include <errno.h>
#include <inttypes.h>

#include "common/bytes.h"
#include "proto/records/batch.h"
#include "proto/records/old.h"
#include "tools/dump_log.h"

#define WINDOW_BYTES ((int64_t)1024 * 1024)
#define HEADER_WINDOW_BYTES ((int64_t)4096)

void dump_batches_init(struct dump_batches *batches, struct dump *dump, struct dump_file *file,
                       int64_t position, int64_t end, bool headers_only)
{
    *batches = (struct dump_batches){.dump = dump,
                                     .file = file,
                                     .position = position,
                                     .end = end,
                                     .window_position = position,
                                     .headers_only = headers_only};
    buffer_init(&batches->window);
}

void dump_batches_release(struct dump_batches *batches)
{
    buffer_release(&batches->window);
}

/* The bytes [position, position + length), which lie before the end, into the window. */
static int fill(struct dump_batches *batches, int64_t length, const uint8_t **bytes)
{
    int64_t position = batches->position;
    struct buffer *window = &batches->window;
    int64_t window_end = batches->window_position + (int64_t)window->length;
    if (position < batches->window_position || position + length > window_end) {
        int64_t usual = batches->headers_only ? HEADER_WINDOW_BYTES : WINDOW_BYTES;
        int64_t step = min_i64(max_i64(length, usual), batches->end - position);
        buffer_clear(window);
        batches->window_position = position;
        int error = dump_read(batches->dump, batches->file, buffer_reserve(window, (size_t)step),
                              (size_t)step, position);
        if (error)
            return error;
        window->length = (size_t)step;
    }
    *bytes = window->data + (position - batches->window_position);
    return 0;
}

/* A batch was being written when the file was opened: by now it may be whole. */
static bool end_is_here_now(struct dump_batches *batches, int64_t size_bytes)
{
    int64_t size = 0;
    int64_t wanted = batches->position + size_bytes;
    if (batches->end != batches->file->size ||
        file_size(batches->dump->files, batches->file->file, &size) != 0 || size < wanted)
        return false;
    batches->file->size = wanted;
    batches->end = wanted;
    return true;
}

static int complain_about_size(struct dump_batches *batches, int32_t length, const char *what)
{
    dump_complain(batches->dump,
                  "Found record size %" PRId32 " %s in file %s, at position %" PRId64
                  ": nothing can be read behind that.",
                  length, what, batches->file->path, batches->position);
    return -EBADMSG;
}

static bool parse_entry(struct dump_entry *entry)
{
    struct record_batch batch;
    if (entry->magic < RECORD_MAGIC_V2) {
        entry->last_offset = (int64_t)load_u64(entry->bytes.data);
        return true;
    }
    /* Whatever has a larger magic is taken for the newest format, as Kafka does. */
    if (entry->size_bytes < RECORD_BATCH_HEADER_BYTES || entry->magic != RECORD_MAGIC_V2 ||
        record_batch_parse_header(entry->bytes, &batch) != 0)
        return false;
    entry->last_offset = record_batch_last_offset(&batch);
    return true;
}

int dump_batches_next(struct dump_batches *batches, struct dump_entry *entry)
{
    const uint8_t *bytes;
    int64_t left = batches->end - batches->position;
    if (left <= RECORD_ENTRY_MAGIC_BYTES)
        return 0;
    int error = fill(batches, RECORD_ENTRY_MAGIC_BYTES, &bytes);
    if (error)
        return error;
    int32_t length = (int32_t)load_u32(bytes + RECORD_BATCH_LENGTH_AT);
    if (length < RECORD_ENTRY_LENGTH_MIN)
        return complain_about_size(batches, length, "smaller than minimum record overhead (14)");
    *entry = (struct dump_entry){.position = batches->position,
                                 .size_bytes = (int64_t)length + RECORD_ENTRY_PREFIX_BYTES,
                                 .magic = (int8_t)bytes[RECORD_BATCH_MAGIC_AT]};
    if (entry->size_bytes > left && !end_is_here_now(batches, entry->size_bytes))
        return 0;
    if (!batches->headers_only && entry->size_bytes > DUMP_BATCH_BYTES_MAX)
        return complain_about_size(batches, length, "larger than any batch should be");
    int64_t needed =
        batches->headers_only ? min_i64(entry->size_bytes, RECORD_BATCH_HEADER_BYTES) : entry->size_bytes;
    error = fill(batches, needed, &bytes);
    if (error)
        return error;
    entry->bytes = slice_make(bytes, (size_t)needed);
    if (!parse_entry(entry))
        return complain_about_size(batches, length, "with an unknown format or too short for it");
    batches->position += entry->size_bytes;
    return 1;
}

/* ---- lines ---- */

static const char *timestamp_type(int magic, bool append_time)
{
    if (magic == RECORD_MAGIC_V0)
        return "NoTimestampType";
    return append_time ? "LogAppendTime" : "CreateTime";
}

static const char *word(bool value)
{
    return value ? "true" : "false";
}

static void print_end_of_line(struct dump *dump, const struct dump_entry *entry, const char *type,
                              int64_t timestamp, enum codec codec, uint32_t crc, bool valid)
{
    buffer_print(&dump->line,
                 " position: %" PRId64 " %s: %" PRId64 " size: %" PRId64
                 " magic: %d compresscodec: %s crc: %" PRIu32 " isvalid: %s\n",
                 entry->position, type, timestamp, entry->size_bytes, entry->magic, codec_name(codec), crc,
                 word(valid));
    dump_flush(dump);
}

static void complain_about_crc(struct dump *dump, const struct dump_file *file,
                               const struct dump_entry *entry)
{
    dump_complain(dump,
                  "%s: the CRC of the batch at position %" PRId64 " (last offset %" PRId64 ") is wrong.",
                  file->path, entry->position, entry->last_offset);
}

static void print_batch(struct dump *dump, const struct dump_file *file, const struct dump_entry *entry)
{
    struct record_batch batch;
    if (record_batch_parse(entry->bytes, &batch) != 0)
        return; /* parse_entry has seen the header, and the entry is whole */
    buffer_print(&dump->line,
                 "baseOffset: %" PRId64 " lastOffset: %" PRId64 " count: %" PRId32 " baseSequence: %" PRId32
                 " lastSequence: %" PRId32 " producerId: %" PRId64 " producerEpoch: %d"
                 " partitionLeaderEpoch: %" PRId32 " isTransactional: %s isControl: %s deleteHorizonMs: ",
                 batch.base_offset, entry->last_offset, batch.record_count, batch.base_sequence,
                 record_batch_last_sequence(&batch), batch.producer_id, batch.producer_epoch,
                 batch.leader_epoch, word(batch.transactional), word(batch.control));
    if (batch.has_delete_horizon)
        buffer_print(&dump->line, "OptionalLong[%" PRId64 "]", batch.base_timestamp);
    else
        buffer_append_string(&dump->line, "OptionalLong.empty");
    bool valid = record_batch_check_crc(&batch);
    print_end_of_line(dump, entry, timestamp_type(entry->magic, batch.append_time), batch.max_timestamp,
                      batch.codec, batch.crc, valid);
    if (!valid)
        complain_about_crc(dump, file, entry);
}

static void print_message(struct dump *dump, const struct dump_file *file, const struct dump_entry *entry)
{
    struct old_message message;
    if (old_message_parse(entry->bytes, &message) != 0) {
        dump_complain(dump, "%s: the message at position %" PRId64 " (offset %" PRId64 ") is damaged.",
                      file->path, entry->position, entry->last_offset);
        return;
    }
    bool valid = old_message_check_crc(&message);
    buffer_print(&dump->line, "offset: %" PRId64, message.offset);
    print_end_of_line(dump, entry, timestamp_type(message.magic, message.append_time), message.timestamp,
                      message.codec, message.crc, valid);
    if (!valid)
        complain_about_crc(dump, file, entry);
}

void dump_batches_file(struct dump *dump, struct dump_file *file)
{
    bool whole = dump->request.max_bytes == INT32_MAX;
    int64_t end = whole ? file->size : min_i64(file->size, dump->request.max_bytes);
    struct dump_records records = {.dump = dump, .file = file, .last_offset = -1};
    struct dump_batches batches;
    struct dump_entry entry;
    int more;
    buffer_print(&dump->line, "Log starting offset: %" PRId64 "\n", file->base_offset);
    dump_flush(dump);
    dump_batches_init(&batches, dump, file, 0, end, false);
    while ((more = dump_batches_next(&batches, &entry)) > 0) {
        if (entry.magic == RECORD_MAGIC_V2)
            print_batch(dump, file, &entry);
        else
            print_message(dump, file, &entry);
        if (dump->request.deep)
            dump_records_of(&records, &entry);
        dump_progress(dump, file->name, batches.position, batches.end);
    }
    dump_progress(dump, file->name, 0, 0);
    if (more == 0 && whole && batches.end > batches.position) {
        buffer_print(&dump->line, "Found %" PRId64 " invalid bytes at the end of %s\n",
                     batches.end - batches.position, file->name);
        dump_flush(dump);
        dump_complain(dump,
                      "%s: the %" PRId64 " bytes from position %" PRId64 " to the end are no whole batch.",
                      file->path, batches.end - batches.position, batches.position);
    }
    dump_batches_release(&batches);
}

/* ---- for the time index ---- */

static void note_timestamp(void *context, const struct old_message *message)
{
    int64_t *greatest = context;
    *greatest = max_i64(*greatest, message->timestamp);
}

bool dump_greatest_timestamp(struct dump *dump, const struct dump_entry *entry, int64_t *timestamp)
{
    *timestamp = RECORD_NO_TIMESTAMP;
    if (entry->magic != RECORD_MAGIC_V2)
        return dump_old_messages(entry->bytes, note_timestamp, timestamp) == NULL;
    struct record_batch batch;
    struct record_outline outline;
    if (record_batch_parse(entry->bytes, &batch) != 0 || (int)batch.codec >= CODEC_COUNT)
        return false;
    int more;
    record_walker_start(&dump->walker, &batch, batch.codec, batch.records, SIZE_MAX);
    while ((more = record_walker_next(&dump->walker, &outline)) > 0)
        *timestamp = max_i64(*timestamp, outline.timestamp);
    return more == 0;
}
