/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From timestamps to offsets (ListOffsets). A segment whose greatest timestamp lies below the target is
 * passed over; in the first other one the time index says where to begin, and batches are walked until one
 * whose greatest timestamp reaches the target; only that one is opened and its records looked at, also inside
 * the compressed messages of old formats. A compressed batch whose records cannot be read (an
 * older broker may have taken such a one) is answered as a whole.
 */
#include <errno.h>

#include "broker/log/partition_log_private.h"
#include "common/codec.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "proto/records/old.h"
#include "proto/records/record.h"

/* What one batch may unfold to here, under the partition's lock; more is no honest data (B29). */
#define DECOMPRESSED_BYTES_MAX ((size_t)128 * 1024 * 1024)

/* What is looked for: the first record that satisfies all of it. */
struct wanted {
    int64_t timestamp;   /* at least this */
    int64_t low_offset;  /* at least this */
    int64_t upper_bound; /* below this */
};

/* A walk over the records of a v2 batch, uncompressed piece by piece. NULL: an unknown codec. The walker is
 * given back by end_walk. */
static struct record_walker *begin_walk(struct partition_log *log, const struct record_batch *batch)
{
    if ((int)batch->codec >= CODEC_COUNT)
        return NULL;
    struct record_walker *walker = record_walkers_take(log->walkers);
    record_walker_start(walker, batch, batch->codec, batch->records, DECOMPRESSED_BYTES_MAX);
    return walker;
}

static void end_walk(struct partition_log *log, struct record_walker *walker)
{
    record_walker_trim(walker);
    record_walkers_give_back(log->walkers, walker);
}

static int64_t offset_in(const struct record_batch *batch, const struct record_outline *record)
{
    return (int64_t)((uint64_t)batch->base_offset + (uint64_t)(int64_t)record->offset_delta);
}

/* The first wanted record among those of a v2 batch. 1, 0, -errno. */
static int find_in_records(struct partition_log *log, const struct record_batch *batch,
                           const struct wanted *wanted, struct log_timestamp_offset *found)
{
    struct record_walker *walker = begin_walk(log, batch);
    if (!walker)
        return -EINVAL;
    struct record_outline record;
    int result;
    while ((result = record_walker_next(walker, &record)) > 0) {
        int64_t offset = offset_in(batch, &record);
        if (record.timestamp < wanted->timestamp || offset < wanted->low_offset)
            continue;
        result = offset < wanted->upper_bound;
        if (result)
            *found = (struct log_timestamp_offset){record.timestamp, offset, batch->leader_epoch};
        break;
    }
    end_walk(log, walker);
    return result;
}

/* The greatest timestamp of the records within the bounds; what cannot be read has none. */
static int64_t newest_in_records(struct partition_log *log, const struct record_batch *batch,
                                 const struct wanted *wanted)
{
    int64_t newest = RECORD_NO_TIMESTAMP;
    struct record_walker *walker = begin_walk(log, batch);
    struct record_outline record;
    while (walker && record_walker_next(walker, &record) > 0) {
        int64_t offset = offset_in(batch, &record);
        if (offset >= wanted->low_offset && offset < wanted->upper_bound)
            newest = max_i64(newest, record.timestamp);
    }
    if (walker)
        end_walk(log, walker);
    return newest;
}

/* 1 with the first offset of a batch whose records cannot be read. */
static int answer_whole(const struct record_batch *batch, const struct wanted *wanted,
                        struct log_timestamp_offset *found)
{
    *found = (struct log_timestamp_offset){
        batch->max_timestamp, max_i64(batch->base_offset, wanted->low_offset), batch->leader_epoch};
    return 1;
}

/* The offset of the last message inside a wrapper, as it stands there. 0, -EBADMSG. */
static int last_inner_offset(struct slice messages, int64_t *offset)
{
    struct old_message message;
    if (messages.length == 0)
        return -EBADMSG;
    while (messages.length > 0) {
        if (old_message_parse(messages, &message) || message.codec != CODEC_NONE)
            return -EBADMSG;
        *offset = message.offset;
        messages = slice_make(messages.data + message.size_bytes, messages.length - message.size_bytes);
    }
    return 0;
}

/* The first wanted message of an old one that may be a wrapper around others: their offsets are their own in
 * magic 0, in magic 1 they count up to the wrapper's, which is the last one's. 1, 0, -EBADMSG, -errno. */
static int find_in_messages(struct partition_log *log, const struct old_message *outer,
                            const struct wanted *wanted, struct log_timestamp_offset *found)
{
    struct slice messages = outer->bytes;
    int64_t base = 0, last = outer->offset;
    int error = 0;
    if (outer->codec != CODEC_NONE) {
        buffer_clear(&log->scratch);
        error = codec_decompress(outer->codec, outer->value, DECOMPRESSED_BYTES_MAX, &log->scratch);
        messages = buffer_slice(&log->scratch);
        if (!error)
            error = last_inner_offset(messages, &last);
        if (!error && outer->magic == RECORD_MAGIC_V1 && __builtin_sub_overflow(outer->offset, last, &base))
            error = -EBADMSG;
        base = max_i64(0, base);
    }
    while (!error && messages.length > 0) {
        struct old_message message;
        error = old_message_parse(messages, &message);
        if (error)
            break;
        int64_t timestamp = outer->append_time ? outer->timestamp : message.timestamp;
        int64_t offset;
        if (__builtin_add_overflow(base, message.offset, &offset))
            return -EBADMSG;
        messages = slice_make(messages.data + message.size_bytes, messages.length - message.size_bytes);
        if (timestamp < wanted->timestamp || offset < wanted->low_offset)
            continue;
        if (offset >= wanted->upper_bound)
            return 0;
        *found = (struct log_timestamp_offset){timestamp, offset, RECORD_NO_LEADER_EPOCH};
        return 1;
    }
    return error;
}

static bool is_unreadable(int error)
{
    return error == -EBADMSG || error == -EINVAL || error == -EMSGSIZE || error == -ENODATA ||
           error == -EILSEQ;
}

static int find_in_old(struct partition_log *log, struct batch_scanner *scanner,
                       const struct scanned_batch *scanned, const struct wanted *wanted,
                       struct log_timestamp_offset *found)
{
    const uint8_t *bytes;
    struct old_message message;
    int error = batch_scanner_bytes(scanner, scanned, &bytes);
    if (error)
        return error;
    int result = old_message_parse(slice_make(bytes, (size_t)scanned->size_bytes), &message);
    if (result == 0)
        result = find_in_messages(log, &message, wanted, found);
    if (!is_unreadable(result))
        return result;
    if (scanned->last_offset >= wanted->upper_bound)
        return 0;
    *found =
        (struct log_timestamp_offset){scanned->max_timestamp, scanned->last_offset, RECORD_NO_LEADER_EPOCH};
    return 1;
}

/* As find_in_records, for a batch of any format at the scanner. */
static int find_in_batch(struct partition_log *log, struct batch_scanner *scanner,
                         const struct scanned_batch *scanned, const struct wanted *wanted,
                         struct log_timestamp_offset *found)
{
    if (scanned->last_offset < wanted->low_offset || scanned->max_timestamp < wanted->timestamp)
        return 0;
    if (scanned->magic != RECORD_MAGIC_V2)
        return find_in_old(log, scanner, scanned, wanted, found);
    const uint8_t *bytes;
    struct record_batch batch;
    int error = batch_scanner_bytes(scanner, scanned, &bytes);
    if (!error)
        error = record_batch_parse(slice_make(bytes, (size_t)scanned->size_bytes), &batch);
    if (error)
        return error;
    int result = find_in_records(log, &batch, wanted, found);
    return is_unreadable(result) ? answer_whole(&batch, wanted, found) : result;
}

/* The first wanted record of a segment. 1, 0, -errno. */
static int find_in_segment(struct partition_log *log, struct segment *segment, const struct wanted *wanted,
                           struct log_timestamp_offset *found)
{
    int64_t interval = log->settings.index_interval_bytes;
    struct time_index_entry entry = time_index_find(&segment->times, wanted->timestamp);
    struct scanned_batch batch = {0};
    int64_t from_offset =
        max_i64(entry.timestamp >= 0 ? entry.offset : segment->base_offset, wanted->low_offset);
    int result = segment_find(segment, from_offset, interval, &batch);
    if (result <= 0)
        return result;
    struct batch_scanner scanner;
    batch_scanner_init(&scanner, segment, batch.position, segment->size_bytes, SCAN_CHUNK_LOOKUP);
    int64_t sound_position = batch.position, sound_offset = batch.base_offset;
    while ((result = batch_scanner_next(&scanner, &batch)) > 0 && batch.base_offset < wanted->upper_bound) {
        result = find_in_batch(log, &scanner, &batch, wanted, found);
        if (result != 0)
            break;
        sound_position = scanner.position;
        sound_offset = batch.last_offset + 1;
    }
    batch_scanner_release(&scanner);
    if (is_unreadable(result)) {
        segment_note_damage(segment, sound_position, sound_offset);
        return -EBADMSG;
    }
    if (result > 0 && batch.base_offset >= wanted->upper_bound)
        return 0;
    return result;
}

int16_t partition_log_find_timestamp(struct partition_log *log, int64_t timestamp_ms, int64_t upper_bound,
                                     struct log_timestamp_offset *found)
{
    *found = (struct log_timestamp_offset){-1, -1, -1};
    if (partition_log_failure(log))
        return KAFKA_KAFKA_STORAGE_ERROR;
    const struct wanted wanted = {timestamp_ms, log->start_offset, min_i64(upper_bound, log->end_offset)};
    int result = 0;
    size_t number = 0;
    for (size_t i = partition_log_segment_number(log, log->start_offset);
         i < log->segments_count && result == 0; i++) {
        struct segment *segment = log->segments[i];
        if (segment->base_offset >= wanted.upper_bound)
            break;
        number = i;
        if (partition_log_use_segment(log, i))
            return KAFKA_KAFKA_STORAGE_ERROR;
        result = segment_load_times(segment, log->settings.index_interval_bytes);
        if (result == 0)
            result = segment_open_file(segment);
        if (result == 0 && segment->max_timestamp >= timestamp_ms)
            result = find_in_segment(log, segment, &wanted, found);
    }
    partition_log_trim_buffers(log);
    return result < 0 ? partition_log_read_error(log, number, result, "looking up a timestamp") : KAFKA_NONE;
}

/*
 * What a batch may add to the search for the greatest timestamp. Its header tells, but for one in which the
 * log starts, and for one that tells of more than there can be: compaction has left it without that record.
 */
static int newest_of_batch(struct partition_log *log, struct batch_scanner *scanner,
                           const struct scanned_batch *scanned, const struct wanted *wanted, int64_t ceiling,
                           int64_t *newest)
{
    *newest = scanned->max_timestamp;
    if (scanned->magic == RECORD_MAGIC_V2 &&
        (scanned->base_offset < wanted->low_offset || scanned->max_timestamp > ceiling)) {
        const uint8_t *bytes;
        struct record_batch batch;
        int error = batch_scanner_bytes(scanner, scanned, &bytes);
        if (!error)
            error = record_batch_parse(slice_make(bytes, (size_t)scanned->size_bytes), &batch);
        if (error)
            return error;
        *newest = newest_in_records(log, &batch, wanted);
    }
    if (*newest > ceiling)
        *newest = RECORD_NO_TIMESTAMP;
    return 0;
}

/* The greatest timestamp up to `ceiling` of the segment's batches, as far as they can be wanted; a larger one
 * perhaps than any record has. 0, or -errno. */
static int greatest_of_segment(struct partition_log *log, size_t number, const struct wanted *wanted,
                               int64_t ceiling, int64_t *greatest)
{
    struct segment *segment = log->segments[number];
    if (segment->base_offset >= wanted->low_offset && segment->max_timestamp <= ceiling &&
        partition_log_segment_end(log, number) <= wanted->upper_bound) {
        *greatest = segment->max_timestamp;
        return 0;
    }
    struct scanned_batch batch;
    *greatest = -1;
    int result = segment_find(segment, wanted->low_offset, log->settings.index_interval_bytes, &batch);
    if (result <= 0)
        return result;
    struct batch_scanner scanner;
    batch_scanner_init(&scanner, segment, batch.position, segment->size_bytes, SCAN_CHUNK_HEADERS);
    int64_t sound_position = batch.position, sound_offset = batch.base_offset;
    while ((result = batch_scanner_next(&scanner, &batch)) > 0 && batch.last_offset < wanted->upper_bound) {
        int64_t newest = -1;
        if (batch.max_timestamp > *greatest)
            result = newest_of_batch(log, &scanner, &batch, wanted, ceiling, &newest);
        if (result < 0)
            break;
        *greatest = max_i64(*greatest, newest);
        sound_position = scanner.position;
        sound_offset = batch.last_offset + 1;
    }
    batch_scanner_release(&scanner);
    if (is_unreadable(result)) {
        segment_note_damage(segment, sound_position, sound_offset);
        return -EBADMSG;
    }
    return result < 0 ? result : 0;
}

/* The same of all segments. A Kafka error, which was said. */
static int16_t greatest_of_log(struct partition_log *log, const struct wanted *wanted, int64_t ceiling,
                               int64_t *greatest)
{
    int error = 0;
    size_t number = 0;
    *greatest = -1;
    for (size_t i = partition_log_segment_number(log, log->start_offset); i < log->segments_count && !error;
         i++) {
        if (log->segments[i]->base_offset >= wanted->upper_bound)
            break;
        int64_t of_segment = -1;
        if (partition_log_use_segment(log, i))
            return KAFKA_KAFKA_STORAGE_ERROR;
        number = i;
        error = segment_load_times(log->segments[i], log->settings.index_interval_bytes);
        if (!error)
            error = segment_open_file(log->segments[i]);
        if (!error)
            error = greatest_of_segment(log, i, wanted, ceiling, &of_segment);
        *greatest = max_i64(*greatest, of_segment);
    }
    return error ? partition_log_read_error(log, number, error, "looking up the greatest timestamp")
                 : KAFKA_NONE;
}

int16_t partition_log_find_max_timestamp(struct partition_log *log, int64_t upper_bound,
                                         struct log_timestamp_offset *found)
{
    *found = (struct log_timestamp_offset){-1, -1, -1};
    const struct wanted wanted = {0, log->start_offset, min_i64(upper_bound, log->end_offset)};
    int64_t greatest, ceiling = INT64_MAX;
    int16_t result = partition_log_failure(log) ? KAFKA_KAFKA_STORAGE_ERROR : KAFKA_NONE;
    /* Usually once: headers tell of timestamps that no record has only where compaction or the log start took
     * the record. */
    while (result == KAFKA_NONE && found->offset < 0) {
        result = greatest_of_log(log, &wanted, ceiling, &greatest);
        if (result != KAFKA_NONE || greatest < 0)
            break;
        result = partition_log_find_timestamp(log, greatest, upper_bound, found);
        ceiling = greatest - 1;
    }
    return result;
}
