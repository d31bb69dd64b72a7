/* SPDX-License-Identifier: Apache-2.0 */
/* Record by record. */
#include "broker/log/clean_filter.h"

#include <errno.h>

#include "broker/log/clean_old.h"
#include "common/bytes.h"
#include "proto/records/old.h"
#include "proto/records/record.h"
#include "proto/records/validate.h"

/* What is kept between batches. */
#define SCRATCH_KEPT_BYTES ((size_t)1024 * 1024)

void clean_filter_init(struct clean_filter *filter)
{
    *filter = (struct clean_filter){0};
    const struct record_batch_parameters parameters = record_batch_parameters_plain();
    buffer_init(&filter->scratch);
    buffer_init(&filter->decisions);
    record_batch_builder_init(&filter->builder, &parameters);
}

void clean_filter_release(struct clean_filter *filter)
{
    buffer_release(&filter->scratch);
    buffer_release(&filter->decisions);
    record_batch_builder_release(&filter->builder);
}

static void trim(struct buffer *buffer)
{
    if (buffer->capacity <= SCRATCH_KEPT_BYTES)
        return;
    buffer_release(buffer);
    buffer_init(buffer);
}

void clean_filter_trim(struct clean_filter *filter)
{
    trim(&filter->scratch);
    trim(&filter->decisions);
    trim(&filter->builder.records);
    trim(&filter->builder.body);
}

/* What a batch of this size may inflate to: a bound against forged ones, far above honest data. */
static size_t inflated_max(size_t size_bytes, size_t batch_bytes_max)
{
    size_t limit;
    return multiply_size(max_size(size_bytes, batch_bytes_max), RECORD_DECOMPRESSED_RATIO_MAX, &limit)
               ? limit
               : SIZE_MAX;
}

/* Of any format: 1 with *batch, 0 with *message, or -EBADMSG. The CRC is right. */
static int parse_entry(struct slice bytes, struct record_batch *batch, struct old_message *message)
{
    size_t size;
    int magic;
    if (record_entry_peek(bytes, &size, &magic) || size != bytes.length)
        return -EBADMSG;
    if (magic == RECORD_MAGIC_V2) {
        bool sound = record_batch_parse(bytes, batch) == 0 && record_batch_check_crc(batch) &&
                     batch->base_offset >= 0 && batch->last_offset_delta >= 0 && batch->record_count >= 0 &&
                     batch->base_offset <= INT64_MAX - INT32_MAX - 1;
        return sound ? 1 : -EBADMSG;
    }
    bool sound =
        old_message_parse(bytes, message) == 0 && old_message_check_crc(message) && message->offset >= 0;
    return sound ? 0 : -EBADMSG;
}

/* Readies the iterator over a batch's records. 0, or -EBADMSG. */
static int begin_records(const struct record_batch *batch, size_t batch_bytes_max, struct buffer *scratch,
                         struct record_iterator *iterator)
{
    struct slice records = batch->records;
    buffer_clear(scratch);
    if (batch->record_count > 0 || batch->codec == CODEC_NONE) {
        if (record_batch_decompress(batch, inflated_max(batch->size_bytes, batch_bytes_max), scratch,
                                    &records))
            return -EBADMSG;
    } else {
        records.length = 0;
    }
    record_iterator_init(iterator, batch, records);
    return 0;
}

/* The next record, its offset above the last one's and within the batch. 1, 0, -EBADMSG. */
static int next_record(struct record_iterator *iterator, const struct record_batch *batch,
                       int32_t *last_delta, struct record *record)
{
    int more = record_iterator_next(iterator, record);
    if (more <= 0)
        return more;
    if (record->offset_delta <= *last_delta || record->offset_delta > batch->last_offset_delta)
        return -EBADMSG;
    *last_delta = record->offset_delta;
    return 1;
}

/* ---- filling the map ---- */

struct map_filling {
    struct clean_map *map;
    int64_t first_offset;
    bool full;
};

/* False: the map is full. */
static bool put_key(struct map_filling *filling, struct slice key, int64_t offset)
{
    if (!slice_is_null(key) && offset >= filling->first_offset && !clean_map_put(filling->map, key, offset))
        filling->full = true;
    return !filling->full;
}

static bool put_old_key(void *context, const struct clean_old_record *record)
{
    return put_key(context, record->message.key, record->offset);
}

static int put_keys(struct map_filling *filling, const struct record_batch *batch, size_t batch_bytes_max,
                    struct buffer *scratch)
{
    struct record_iterator iterator;
    struct record record;
    int32_t last_delta = -1;
    int more = begin_records(batch, batch_bytes_max, scratch, &iterator);
    if (more)
        return more;
    while ((more = next_record(&iterator, batch, &last_delta, &record)) > 0)
        if (!put_key(filling, record.key, record.offset))
            return 0;
    return more;
}

int clean_map_batch(struct clean_map *map, struct clean_transactions *transactions, struct slice bytes,
                    int64_t first_offset, size_t batch_bytes_max, struct buffer *scratch)
{
    struct record_batch batch;
    struct old_message message;
    struct map_filling filling = {map, first_offset, false};
    int format = parse_entry(bytes, &batch, &message), error = 0;
    if (format < 0)
        return format;
    int64_t last_offset = format > 0 ? record_batch_last_offset(&batch) : message.offset;
    bool discard = false;
    if (format > 0)
        error = clean_transactions_see(transactions, &batch, &discard);
    if (error)
        return error;
    if (last_offset < first_offset)
        return 1;
    if (format == 0)
        error = clean_old_walk(&message, inflated_max(bytes.length, batch_bytes_max), scratch, put_old_key,
                               &filling);
    else if (!batch.control && !discard)
        error = put_keys(&filling, &batch, batch_bytes_max, scratch);
    if (error || filling.full)
        return error;
    clean_map_advance(map, last_offset);
    return 1;
}

/* ---- filtering ---- */

/* Whether a record stays; of tombstones `keep_tombstones` decides. */
static bool keeps(struct clean_filter *filter, int64_t offset, struct slice key, struct slice value,
                  bool keep_tombstones)
{
    if (offset > filter->map->latest_offset)
        return true;
    if (slice_is_null(key)) {
        filter->records_without_key++;
        return false;
    }
    if (offset < clean_map_get(filter->map, key))
        return false;
    return !slice_is_null(value) || keep_tombstones;
}

static bool keep_old(void *context, const struct clean_old_record *record)
{
    struct clean_filter *filter = context;
    filter->records_seen++;
    return keeps(filter, record->offset, record->message.key, record->message.value,
                 filter->keep_old_tombstones);
}

static int filter_old(struct clean_filter *filter, const struct old_message *message, struct buffer *out,
                      struct clean_result *result)
{
    int64_t kept;
    size_t start = out->length;
    int error = clean_old_filter(message, inflated_max(message->size_bytes, filter->batch_bytes_max),
                                 &filter->scratch, keep_old, filter, out, &kept);
    if (error || kept == 0)
        return error;
    filter->records_kept += kept;
    struct old_message left;
    error = old_message_parse(slice_make(out->data + start, out->length - start), &left);
    *result = (struct clean_result){out->length - start, left.offset, left.timestamp};
    return error;
}

/* Whether the log knows the batch's producer by it. */
static bool holds_last_of_producer(const struct clean_filter *filter, const struct record_batch *batch)
{
    if (batch->producer_id < 0)
        return false;
    size_t low = 0, high = filter->producers_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (filter->producers[middle].producer_id < batch->producer_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == filter->producers_count || filter->producers[low].producer_id != batch->producer_id)
        return false;
    const struct clean_producer *producer = &filter->producers[low];
    return producer->last_data_offset >= 0 ? producer->last_data_offset == record_batch_last_offset(batch)
                                           : batch->control && producer->epoch == batch->producer_epoch;
}

/* Which records of a batch stay. */
struct retained {
    bool all;
    bool tombstones; /* records without value among those that stay */
    int64_t count;
};

/* Decides on each record: a byte for each in `decisions`. 0, or -EBADMSG. */
static int decide(struct clean_filter *filter, const struct record_batch *batch,
                  struct record_iterator iterator, struct retained *retained)
{
    bool keep_tombstones = !batch->has_delete_horizon || filter->now_ms < batch->base_timestamp;
    struct record record;
    int32_t last_delta = -1;
    int more;
    buffer_clear(&filter->decisions);
    *retained = (struct retained){.all = true};
    while ((more = next_record(&iterator, batch, &last_delta, &record)) > 0) {
        bool stays =
            batch->control || keeps(filter, record.offset, record.key, record.value, keep_tombstones);
        writer_u8(&filter->decisions, stays);
        retained->all = retained->all && stays;
        retained->count += stays;
        retained->tombstones = retained->tombstones || (stays && slice_is_null(record.value));
    }
    return more;
}

/* Writes the batch anew with the records that stay. 0, or -EBADMSG. */
static int rewrite(struct clean_filter *filter, const struct record_batch *batch,
                   struct record_iterator iterator, bool has_horizon, int64_t horizon_ms, struct buffer *out)
{
    struct record_batch_parameters parameters = record_batch_parameters_of(batch);
    parameters.has_delete_horizon = has_horizon;
    parameters.delete_horizon_ms = horizon_ms;
    struct record_batch_builder *builder = &filter->builder;
    record_batch_builder_clear(builder, &parameters);
    struct record record;
    int more;
    for (size_t i = 0; (more = record_iterator_next(&iterator, &record)) > 0; i++)
        if (filter->decisions.data[i])
            record_batch_builder_append_at(builder, record.offset_delta, record.timestamp, record.key,
                                           record.value, record.headers, record.header_count);
    if (more)
        return more;
    /* So that the producer's last sequence, and the end of the log, are what they were. */
    record_batch_builder_end_at(builder, batch->last_offset_delta);
    return record_batch_builder_finish(builder, batch->codec, CODEC_DEFAULT_LEVEL, out) ? -EBADMSG : 0;
}

static int64_t add_saturating(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int filter_batch(struct clean_filter *filter, const struct record_batch *batch, struct buffer *out)
{
    bool empty_transaction;
    int error = clean_transactions_see(filter->transactions, batch, &empty_transaction);
    if (error)
        return error;
    bool discard = empty_transaction;
    if (batch->control)
        discard = discard && batch->has_delete_horizon && batch->base_timestamp <= filter->now_ms;
    struct retained retained = {0};
    struct record_iterator iterator;
    filter->records_seen += batch->record_count;
    if (!discard)
        error = begin_records(batch, filter->batch_bytes_max, &filter->scratch, &iterator);
    if (!error && !discard)
        error = decide(filter, batch, iterator, &retained);
    if (error)
        return error;
    if (retained.count == 0) {
        if (holds_last_of_producer(filter, batch))
            record_batch_append_emptied(batch, out);
        return 0;
    }
    filter->records_kept += retained.count;
    bool marks = retained.tombstones || (empty_transaction && batch->control);
    bool new_horizon = marks && !batch->has_delete_horizon;
    if (retained.all && !new_horizon) {
        buffer_append(out, batch->bytes.data, batch->bytes.length);
        return 0;
    }
    int64_t horizon_ms =
        new_horizon ? add_saturating(filter->now_ms, filter->delete_retention_ms) : batch->base_timestamp;
    return rewrite(filter, batch, iterator, new_horizon || batch->has_delete_horizon, horizon_ms, out);
}

int clean_filter_batch(struct clean_filter *filter, struct slice bytes, struct buffer *out,
                       struct clean_result *result)
{
    struct record_batch batch;
    struct old_message message;
    *result = (struct clean_result){0};
    int format = parse_entry(bytes, &batch, &message);
    if (format < 0)
        return format;
    if (format == 0)
        return filter_old(filter, &message, out, result);
    size_t start = out->length;
    int error = filter_batch(filter, &batch, out);
    if (error || out->length == start)
        return error;
    struct record_batch left;
    error = record_batch_parse(slice_make(out->data + start, out->length - start), &left);
    *result = (struct clean_result){out->length - start, record_batch_last_offset(&left), left.max_timestamp};
    return error;
}
