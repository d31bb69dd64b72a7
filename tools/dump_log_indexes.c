/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `.index`, `.timeindex` and `.txnindex` files: their entries, and whether the log agrees with them. Behind a
 * crash the first two may end in zeros, which end the entries; so they do under a broker of Kafka's that
 * lives.
 *
 * An index entry names the last offset of an append and where that begins. An append of several batches gives
 * an offset that is not the first batch's: it is listed as Kafka lists it, but is no damage. One that leads
 * past its offset is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/log/offset_index.h"
#include "broker/log/time_index.h"
#include "broker/log/transaction_index.h"
#include "common/bytes.h"
#include "tools/dump_log.h"

#define CHUNK_ENTRIES ((int64_t)4096)

/* Entries of an index file, a chunk at a time. */
struct entry_reader {
    struct dump *dump;
    struct dump_file *file;
    int64_t entry_bytes;
    int64_t count; /* whole entries in the file */
    int64_t chunk_first;
    struct buffer chunk;
};

static void entry_reader_init(struct entry_reader *reader, struct dump *dump, struct dump_file *file,
                              int64_t entry_bytes)
{
    *reader = (struct entry_reader){
        .dump = dump, .file = file, .entry_bytes = entry_bytes, .count = file->size / entry_bytes};
    buffer_init(&reader->chunk);
}

static void entry_reader_release(struct entry_reader *reader)
{
    buffer_release(&reader->chunk);
}

/* NULL where the file cannot be read, of which was told. */
static const uint8_t *entry_reader_at(struct entry_reader *reader, int64_t number)
{
    int64_t loaded = (int64_t)reader->chunk.length / reader->entry_bytes;
    if (number < reader->chunk_first || number >= reader->chunk_first + loaded) {
        size_t step = (size_t)(min_i64(CHUNK_ENTRIES, reader->count - number) * reader->entry_bytes);
        buffer_clear(&reader->chunk);
        if (dump_read(reader->dump, reader->file, buffer_reserve(&reader->chunk, step), step,
                      number * reader->entry_bytes))
            return NULL;
        reader->chunk.length = step;
        reader->chunk_first = number;
    }
    return reader->chunk.data + (number - reader->chunk_first) * reader->entry_bytes;
}

/* An entry's offset; that of a damaged file wraps, as Kafka's does. */
static int64_t absolute_offset(const struct entry_reader *reader, const uint8_t *relative)
{
    return (int64_t)((uint64_t)reader->file->base_offset + (uint64_t)(int64_t)(int32_t)load_u32(relative));
}

struct offset_entry {
    int64_t offset;
    int32_t position;
};

static bool read_offset_entry(struct entry_reader *reader, int64_t number, struct offset_entry *entry)
{
    const uint8_t *bytes = entry_reader_at(reader, number);
    if (bytes == NULL)
        return false;
    entry->offset = absolute_offset(reader, bytes);
    entry->position = (int32_t)load_u32(bytes + 4);
    return true;
}

static bool read_time_entry(struct entry_reader *reader, int64_t number, struct time_index_entry *entry)
{
    const uint8_t *bytes = entry_reader_at(reader, number);
    if (bytes == NULL)
        return false;
    entry->timestamp = (int64_t)load_u64(bytes);
    entry->offset = absolute_offset(reader, bytes + 8);
    return true;
}

static void say_passed(struct dump *dump, const struct dump_file *file)
{
    buffer_print(&dump->line, "%s passed sanity check.\n", file->path);
    dump_flush(dump);
}

static bool check_size(struct dump *dump, const struct entry_reader *reader, const char *kind)
{
    if (reader->file->size % reader->entry_bytes == 0)
        return true;
    dump_complain(dump,
                  "%s %s is corrupt, found %" PRId64
                  " bytes which is neither positive nor a multiple of %" PRId64,
                  kind, reader->file->path, reader->file->size, reader->entry_bytes);
    return false;
}

/* ---- offset index ---- */

static void check_offset_sanity(struct dump *dump, struct entry_reader *reader)
{
    struct offset_entry last;
    if (!read_offset_entry(reader, reader->count - 1, &last))
        return;
    if (last.offset < reader->file->base_offset)
        dump_complain(dump,
                      "Corrupt index found, index file (%s) has non-zero size but the last offset is %" PRId64
                      " which is less than the base offset %" PRId64,
                      reader->file->path, last.offset, reader->file->base_offset);
    else if (check_size(dump, reader, "Index file"))
        say_passed(dump, reader->file);
}

/* Whether the batch where the entry points is the one that it means. False: the log cannot be read. */
static bool verify_offset_entry(struct dump *dump, const struct dump_file *file, struct dump_file *log,
                                const struct offset_entry *entry)
{
    struct dump_batches batches;
    struct dump_entry batch;
    int64_t end = min_i64(log->size, entry->position + dump->request.max_message_bytes);
    int more = 0;
    dump_batches_init(&batches, dump, log, entry->position, end, true);
    if (entry->position >= 0 && entry->position < end)
        more = dump_batches_next(&batches, &batch);
    if (more == 0)
        dump_complain(dump,
                      "%s: the entry of offset %" PRId64 " points to position %" PRId32
                      " of the log, where no whole batch of at most %" PRId64
                      " bytes (--max-message-size) is.",
                      file->path, entry->offset, entry->position, dump->request.max_message_bytes);
    if (more > 0 && batch.last_offset != entry->offset)
        dump_note_pair(dump, file->path, DUMP_INDEX_MISMATCH, entry->offset, batch.last_offset);
    if (more > 0 && batch.last_offset > entry->offset)
        dump->damaged = true;
    dump_batches_release(&batches);
    return more >= 0 || more == -EBADMSG;
}

static void dump_offset_entries(struct dump *dump, struct entry_reader *reader, struct dump_file *log)
{
    for (int64_t i = 0; i < reader->count; i++) {
        struct offset_entry entry;
        if (!read_offset_entry(reader, i, &entry) || (entry.offset == reader->file->base_offset && i > 0) ||
            !verify_offset_entry(dump, reader->file, log, &entry))
            break;
        if (!dump->request.verify_index_only)
            buffer_print(&dump->line, "offset: %" PRId64 " position: %" PRId32 "\n", entry.offset,
                         entry.position);
        dump_flush(dump);
        dump_progress(dump, reader->file->name, entry.position, log->size);
    }
    dump_progress(dump, reader->file->name, 0, 0);
}

void dump_offset_index(struct dump *dump, struct dump_file *file)
{
    struct dump_file log;
    struct buffer log_path;
    struct entry_reader reader;
    buffer_init(&log_path);
    if (dump_open(dump, file, ".log", false, &log, &log_path) == 0) {
        entry_reader_init(&reader, dump, file, OFFSET_INDEX_ENTRY_BYTES);
        if (reader.count == 0) {
            buffer_print(&dump->line, "%s is empty.\n", file->path);
            dump_flush(dump);
        } else if (dump->request.index_sanity_check) {
            check_offset_sanity(dump, &reader);
        } else {
            dump_offset_entries(dump, &reader, &log);
        }
        entry_reader_release(&reader);
        dump_close(dump, &log);
    }
    buffer_release(&log_path);
}

/* ---- time index ---- */

static void check_time_sanity(struct dump *dump, struct entry_reader *reader)
{
    struct time_index_entry first = {0}, last = {0};
    const char *path = reader->file->path;
    bool any = reader->count > 0;
    if (any && (!read_time_entry(reader, 0, &first) || !read_time_entry(reader, reader->count - 1, &last)))
        return;
    if (any && last.timestamp < first.timestamp)
        dump_complain(
            dump,
            "Corrupt time index found, time index file (%s) has non-zero size but the last timestamp is "
            "%" PRId64 " which is less than the first timestamp %" PRId64,
            path, last.timestamp, first.timestamp);
    else if (any && last.offset < reader->file->base_offset)
        dump_complain(
            dump,
            "Corrupt time index found, time index file (%s) has non-zero size but the last offset is "
            "%" PRId64 " which is less than the first offset %" PRId64,
            path, last.offset, reader->file->base_offset);
    else if (check_size(dump, reader, "Time index file"))
        say_passed(dump, reader->file);
}

/* The position that the offset index knows for this offset: of its greatest entry at or below; 0: none. */
static int64_t look_up_position(struct entry_reader *offsets, int64_t offset)
{
    int64_t low = 0, high = offsets->count;
    int64_t position = 0;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        struct offset_entry entry;
        if (!read_offset_entry(offsets, middle, &entry))
            return 0;
        bool zeroed = middle > 0 && entry.offset == offsets->file->base_offset; /* behind the entries */
        if (zeroed || entry.offset > offset) {
            high = middle;
        } else {
            position = entry.position;
            low = middle + 1;
        }
    }
    return position;
}

/* The timestamp of the batch that the entry names, against the entry's. */
static void verify_batch_timestamp(struct dump *dump, const struct dump_file *file, struct dump_file *log,
                                   const struct time_index_entry *entry, int64_t previous, int64_t position)
{
    struct dump_batches batches;
    struct dump_entry batch;
    int64_t timestamp;
    dump_batches_init(&batches, dump, log, position, log->size, false);
    if (dump_batches_next(&batches, &batch) > 0) {
        if (!dump_greatest_timestamp(dump, &batch, &timestamp))
            dump_complain(dump,
                          "%s: the records of the batch at position %" PRId64 " (last offset %" PRId64
                          ") cannot be read.",
                          log->path, batch.position, batch.last_offset);
        else if (timestamp != entry->timestamp)
            dump_note_pair(dump, file->path, DUMP_TIME_MISMATCH, entry->timestamp, timestamp);
    }
    if (previous >= entry->timestamp)
        dump_note_pair(dump, file->path, DUMP_TIME_ORDER, entry->timestamp, previous);
    dump_batches_release(&batches);
}

/* One pass over the entries. As their offsets rise, each walk over the log goes on where the last one ended.
 */
struct time_check {
    struct dump *dump;
    struct entry_reader *reader;
    struct entry_reader *offsets;
    struct dump_file *log;
    int64_t wanted; /* by the last walk: the offset, */
    int64_t from;   /* where it began, */
    int64_t ended;  /* and the first batch that reaches the offset */
};

/* Where the walk to this offset begins: where the offset index says, or further on where the last walk, which
 * came by there, ended. */
static int64_t begin_walk(struct time_check *check, int64_t offset)
{
    int64_t position = check->offsets->count > 0 ? look_up_position(check->offsets, offset) : 0;
    bool goes_on = offset >= check->wanted && position >= check->from && position <= check->ended;
    check->wanted = offset;
    if (goes_on)
        return check->ended;
    check->from = position;
    return position;
}

/* Walks to the batch that ends at the entry's offset. */
static void verify_time_entry(struct time_check *check, const struct time_index_entry *entry,
                              int64_t previous)
{
    struct dump_batches batches;
    struct dump_entry batch;
    int more;
    dump_batches_init(&batches, check->dump, check->log, begin_walk(check, entry->offset), check->log->size,
                      true);
    do
        more = dump_batches_next(&batches, &batch);
    while (more > 0 && batch.last_offset < entry->offset);
    check->ended = more > 0 ? batch.position : batches.position;
    if (more > 0 && batch.last_offset == entry->offset)
        verify_batch_timestamp(check->dump, check->reader->file, check->log, entry, previous, batch.position);
    else if (more >= 0)
        dump_note_pair(check->dump, check->reader->file->path, DUMP_OFFSET_NOT_FOUND, entry->offset,
                       more > 0 ? batch.last_offset : -1);
    dump_batches_release(&batches);
}

static void dump_time_entries(struct dump *dump, struct entry_reader *reader, struct entry_reader *offsets,
                              struct dump_file *log)
{
    struct time_check check = {dump, reader, offsets, log, INT64_MIN, 0, 0};
    int64_t previous = -1;
    for (int64_t i = 0; i < reader->count; i++) {
        struct time_index_entry entry;
        if (!read_time_entry(reader, i, &entry) || (entry.offset == reader->file->base_offset && i > 0))
            break;
        verify_time_entry(&check, &entry, previous);
        if (!dump->request.verify_index_only)
            buffer_print(&dump->line, "timestamp: %" PRId64 " offset: %" PRId64 "\n", entry.timestamp,
                         entry.offset);
        dump_flush(dump);
        previous = entry.timestamp;
        dump_progress(dump, reader->file->name, i * (log->size / reader->count), log->size);
    }
    dump_progress(dump, reader->file->name, 0, 0);
}

void dump_time_index(struct dump *dump, struct dump_file *file)
{
    struct dump_file log, index = {.base_offset = file->base_offset};
    struct buffer log_path, index_path;
    struct entry_reader reader, offsets;
    buffer_init(&log_path);
    buffer_init(&index_path);
    if (dump_open(dump, file, ".log", false, &log, &log_path) == 0) {
        int error = dump_open(dump, file, ".index", true, &index, &index_path);
        entry_reader_init(&reader, dump, file, TIME_INDEX_ENTRY_BYTES);
        entry_reader_init(&offsets, dump, &index, OFFSET_INDEX_ENTRY_BYTES);
        if (dump->request.index_sanity_check)
            check_time_sanity(dump, &reader);
        else if (error == 0 || error == -ENOENT) /* without it the log is walked from its start */
            dump_time_entries(dump, &reader, &offsets, &log);
        entry_reader_release(&reader);
        entry_reader_release(&offsets);
        if (error == 0)
            dump_close(dump, &index);
        dump_close(dump, &log);
    }
    buffer_release(&log_path);
    buffer_release(&index_path);
}

/* ---- aborted transactions ---- */

void dump_transaction_index(struct dump *dump, struct dump_file *file)
{
    struct entry_reader reader;
    entry_reader_init(&reader, dump, file, TRANSACTION_INDEX_ENTRY_BYTES);
    for (int64_t i = 0; i < reader.count; i++) {
        const uint8_t *bytes = entry_reader_at(&reader, i);
        if (bytes == NULL)
            break;
        int16_t version = (int16_t)load_u16(bytes);
        if (version != 0) {
            dump_complain(
                dump,
                "Unexpected aborted transaction version %d in transaction index %s, current version is 0",
                version, file->path);
            break;
        }
        buffer_print(&dump->line,
                     "version: 0 producerId: %" PRId64 " firstOffset: %" PRId64 " lastOffset: %" PRId64
                     " lastStableOffset: %" PRId64 "\n",
                     (int64_t)load_u64(bytes + 2), (int64_t)load_u64(bytes + 10),
                     (int64_t)load_u64(bytes + 18), (int64_t)load_u64(bytes + 26));
        dump_flush(dump);
    }
    if (file->size % TRANSACTION_INDEX_ENTRY_BYTES != 0)
        dump_complain(dump, "%s: the last %" PRId64 " bytes are no whole entry.", file->path,
                      file->size % TRANSACTION_INDEX_ENTRY_BYTES);
    entry_reader_release(&reader);
}
