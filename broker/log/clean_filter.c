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
    clean_records_init(&filter->records);
    buffer_init(&filter->decisions);
    record_batch_builder_init(&filter->builder, &parameters);
}

void clean_filter_release(struct clean_filter *filter)
{
    clean_records_release(&filter->records);
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
    clean_records_trim(&filter->records);
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

/* ---- several records at a time ---- */

/* So many keys are looked up together: see clean_map_prepare. */
#define BLOCK_RECORDS 32

struct seen_record {
    struct clean_map_key key; /* only with has_key */
    int64_t offset;
    bool has_key;
    bool has_value;
};

struct record_block {
    struct seen_record records[BLOCK_RECORDS];
    size_t count;
};

/* The next records. 1: there may be more; 0: these are the last; -EBADMSG. */
static int next_block(struct clean_records *records, const struct clean_map *map, struct record_block *block)
{
    struct record record;
    int more = 1;
    for (block->count = 0; block->count < BLOCK_RECORDS; block->count++) {
        more = clean_records_next(records, &record);
        if (more <= 0)
            break;
        struct seen_record *seen = &block->records[block->count];
        seen->offset = record.offset;
        seen->has_key = !slice_is_null(record.key);
        seen->has_value = !slice_is_null(record.value);
        if (seen->has_key)
            seen->key = clean_map_prepare(map, record.key);
    }
    return more;
}

/* ---- filling the map ---- */

struct map_filling {
    struct clean_map *map;
    int64_t first_offset;
    bool full;
};

static bool put_old_key(void *context, const struct clean_old_record *record)
{
    struct map_filling *filling = context;
    if (!slice_is_null(record->message.key) && record->offset >= filling->first_offset &&
        !clean_map_put(filling->map, clean_map_prepare(filling->map, record->message.key), record->offset))
        filling->full = true;
    return !filling->full;
}

/* 0, also where the map is full; or -EBADMSG. */
static int put_keys(struct map_filling *filling, const struct record_batch *batch, size_t batch_bytes_max,
                    struct clean_records *records)
{
    struct record_block block;
    int more = 1;
    clean_records_start(records, batch, inflated_max(batch->size_bytes, batch_bytes_max));
    while (more > 0) {
        more = next_block(records, filling->map, &block);
        for (size_t i = 0; i < block.count && more >= 0; i++) {
            const struct seen_record *seen = &block.records[i];
            if (!seen->has_key || seen->offset < filling->first_offset)
                continue;
            if (!clean_map_put(filling->map, seen->key, seen->offset)) {
                filling->full = true;
                return 0;
            }
        }
    }
    return more;
}

int clean_map_batch(struct clean_map *map, struct clean_transactions *transactions, struct slice bytes,
                    int64_t first_offset, size_t batch_bytes_max, struct clean_records *records)
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
        error = clean_old_walk(&message, inflated_max(bytes.length, batch_bytes_max), &records->window,
                               put_old_key, &filling);
    else if (!batch.control && !discard)
        error = put_keys(&filling, &batch, batch_bytes_max, records);
    if (error || filling.full)
        return error;
    clean_map_advance(map, last_offset);
    return 1;
}

/* ---- filtering ---- */

/* Whether a record stays; of tombstones `keep_tombstones` decides. */
static bool keeps(struct clean_filter *filter, const struct seen_record *record, bool keep_tombstones)
{
    if (record->offset > filter->map->latest_offset)
        return true;
    if (!record->has_key) {
        filter->records_without_key++;
        return false;
    }
    if (record->offset < clean_map_get(filter->map, record->key))
        return false;
    return record->has_value || keep_tombstones;
}

static bool keep_old(void *context, const struct clean_old_record *record)
{
    struct clean_filter *filter = context;
    struct seen_record seen = {.offset = record->offset,
                               .has_key = !slice_is_null(record->message.key),
                               .has_value = !slice_is_null(record->message.value)};
    if (seen.has_key)
        seen.key = clean_map_prepare(filter->map, record->message.key);
    filter->records_seen++;
    return keeps(filter, &seen, filter->keep_old_tombstones);
}

static int filter_old(struct clean_filter *filter, const struct old_message *message, struct buffer *out,
                      struct clean_result *result)
{
    int64_t kept;
    size_t start = out->length;
    int error = clean_old_filter(message, inflated_max(message->size_bytes, filter->batch_bytes_max),
                                 &filter->records.window, keep_old, filter, out, &kept);
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
static int decide(struct clean_filter *filter, const struct record_batch *batch, struct retained *retained)
{
    bool keep_tombstones = !batch->has_delete_horizon || filter->now_ms < batch->base_timestamp;
    struct record_block block;
    int more = 1;
    buffer_clear(&filter->decisions);
    *retained = (struct retained){.all = true};
    clean_records_start(&filter->records, batch, inflated_max(batch->size_bytes, filter->batch_bytes_max));
    while (more > 0) {
        more = next_block(&filter->records, filter->map, &block);
        for (size_t i = 0; i < block.count && more >= 0; i++) {
            bool stays = batch->control || keeps(filter, &block.records[i], keep_tombstones);
            writer_u8(&filter->decisions, stays);
            retained->all = retained->all && stays;
            retained->count += stays;
            retained->tombstones = retained->tombstones || (stays && !block.records[i].has_value);
        }
    }
    return more;
}

/* Writes the batch anew with the records that stay. 0, or -EBADMSG. */
static int rewrite(struct clean_filter *filter, const struct record_batch *batch, bool has_horizon,
                   int64_t horizon_ms, struct buffer *out)
{
    struct record_batch_parameters parameters = record_batch_parameters_of(batch);
    parameters.has_delete_horizon = has_horizon;
    parameters.delete_horizon_ms = horizon_ms;
    struct record_batch_builder *builder = &filter->builder;
    record_batch_builder_clear(builder, &parameters);
    struct record record;
    int more;
    clean_records_rewind(&filter->records);
    for (size_t i = 0; (more = clean_records_next(&filter->records, &record)) > 0; i++)
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
    filter->records_seen += batch->record_count;
    if (!discard)
        error = decide(filter, batch, &retained);
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
    return rewrite(filter, batch, new_horizon || batch->has_delete_horizon, horizon_ms, out);
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
