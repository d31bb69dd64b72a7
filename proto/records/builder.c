/* SPDX-License-Identifier: Apache-2.0 */
/* Making record batches. */
#include "proto/records/builder.h"

#include <errno.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/crc32c.h"

struct record_batch_parameters record_batch_parameters_of(const struct record_batch *batch)
{
    return (struct record_batch_parameters){
        .base_offset = batch->base_offset,
        .leader_epoch = batch->leader_epoch,
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .base_sequence = batch->base_sequence,
        .transactional = batch->transactional,
        .control = batch->control,
        .append_time = batch->append_time,
        .append_time_ms = batch->max_timestamp,
    };
}

void record_batch_builder_init(struct record_batch_builder *builder,
                               const struct record_batch_parameters *parameters)
{
    buffer_init(&builder->records);
    buffer_init(&builder->body);
    record_batch_builder_clear(builder, parameters);
}

void record_batch_builder_release(struct record_batch_builder *builder)
{
    buffer_release(&builder->records);
    buffer_release(&builder->body);
}

void record_batch_builder_clear(struct record_batch_builder *builder,
                                const struct record_batch_parameters *parameters)
{
    builder->parameters = *parameters;
    buffer_clear(&builder->records);
    builder->record_count = 0;
    builder->last_offset_delta = -1;
    builder->base_timestamp =
        parameters->has_delete_horizon ? parameters->delete_horizon_ms : RECORD_NO_TIMESTAMP;
    builder->max_timestamp = RECORD_NO_TIMESTAMP;
}

static void write_nullable(struct buffer *out, struct slice bytes)
{
    if (slice_is_null(bytes)) {
        writer_varint(out, -1);
        return;
    }
    CHECK(bytes.length <= INT32_MAX);
    writer_varint(out, (int32_t)bytes.length);
    writer_slice(out, bytes);
}

/* The fields up to the header count; the headers come behind them. */
static void begin_body(struct record_batch_builder *builder, int32_t offset_delta, int64_t timestamp,
                       struct slice key, struct slice value, size_t header_count)
{
    CHECK(offset_delta > builder->last_offset_delta && header_count <= INT32_MAX);
    if (builder->record_count == 0) {
        if (!builder->parameters.has_delete_horizon)
            builder->base_timestamp = timestamp;
        builder->max_timestamp = timestamp;
    }
    builder->max_timestamp = max_i64(builder->max_timestamp, timestamp);
    builder->last_offset_delta = offset_delta;
    builder->record_count++;
    struct buffer *body = &builder->body;
    buffer_clear(body);
    writer_u8(body, 0);
    writer_varlong(body, (int64_t)((uint64_t)timestamp - (uint64_t)builder->base_timestamp));
    writer_varint(body, offset_delta);
    write_nullable(body, key);
    write_nullable(body, value);
    writer_varint(body, (int32_t)header_count);
}

static void end_body(struct record_batch_builder *builder)
{
    CHECK(builder->body.length <= INT32_MAX);
    writer_varint(&builder->records, (int32_t)builder->body.length);
    writer_slice(&builder->records, buffer_slice(&builder->body));
}

void record_batch_builder_append(struct record_batch_builder *builder, int64_t timestamp, struct slice key,
                                 struct slice value, const struct record_header *headers, size_t header_count)
{
    CHECK(builder->last_offset_delta < INT32_MAX);
    begin_body(builder, builder->last_offset_delta + 1, timestamp, key, value, header_count);
    for (size_t i = 0; i < header_count; i++) {
        CHECK(!slice_is_null(headers[i].key));
        write_nullable(&builder->body, headers[i].key);
        write_nullable(&builder->body, headers[i].value);
    }
    end_body(builder);
}

void record_batch_builder_append_at(struct record_batch_builder *builder, int32_t offset_delta,
                                    int64_t timestamp, struct slice key, struct slice value,
                                    struct slice headers, int32_t header_count)
{
    begin_body(builder, offset_delta, timestamp, key, value, (size_t)header_count);
    writer_slice(&builder->body, headers);
    end_body(builder);
}

void record_batch_builder_end_at(struct record_batch_builder *builder, int32_t last_offset_delta)
{
    CHECK(last_offset_delta >= builder->last_offset_delta);
    builder->last_offset_delta = last_offset_delta;
}

size_t record_batch_builder_size_bytes(const struct record_batch_builder *builder)
{
    return RECORD_BATCH_HEADER_BYTES + builder->records.length;
}

static int16_t attributes_of(const struct record_batch_parameters *parameters, enum codec codec)
{
    unsigned attributes = (unsigned)codec;
    if (parameters->append_time)
        attributes |= RECORD_ATTRIBUTE_APPEND_TIME;
    if (parameters->transactional)
        attributes |= RECORD_ATTRIBUTE_TRANSACTIONAL;
    if (parameters->control)
        attributes |= RECORD_ATTRIBUTE_CONTROL;
    if (parameters->has_delete_horizon)
        attributes |= RECORD_ATTRIBUTE_DELETE_HORIZON;
    return (int16_t)attributes;
}

static void write_header(const struct record_batch_builder *builder, enum codec codec, struct buffer *out)
{
    const struct record_batch_parameters *parameters = &builder->parameters;
    int64_t max_timestamp = parameters->append_time ? parameters->append_time_ms : builder->max_timestamp;
    writer_u64(out, (uint64_t)parameters->base_offset);
    writer_u32(out, 0); /* length: known at the end */
    writer_u32(out, (uint32_t)parameters->leader_epoch);
    writer_u8(out, RECORD_MAGIC_V2);
    writer_u32(out, 0); /* CRC: known at the end */
    writer_u16(out, (uint16_t)attributes_of(parameters, codec));
    writer_u32(out, (uint32_t)builder->last_offset_delta);
    writer_u64(out, (uint64_t)builder->base_timestamp);
    writer_u64(out, (uint64_t)max_timestamp);
    writer_u64(out, (uint64_t)parameters->producer_id);
    writer_u16(out, (uint16_t)parameters->producer_epoch);
    writer_u32(out, (uint32_t)parameters->base_sequence);
    writer_u32(out, (uint32_t)builder->record_count);
}

/* Fills in what is known only at the end of the batch that begins at `start`. */
static void finish_header(struct buffer *out, size_t start)
{
    uint8_t *batch = out->data + start;
    size_t size = out->length - start;
    store_u32(batch + RECORD_BATCH_LENGTH_AT, (uint32_t)(size - RECORD_ENTRY_PREFIX_BYTES));
    store_u32(batch + RECORD_BATCH_CRC_AT,
              crc32c(0, batch + RECORD_BATCH_ATTRIBUTES_AT, size - RECORD_BATCH_ATTRIBUTES_AT));
}

/* The batch that the builder describes, of these records. */
static int finish_with(const struct record_batch_builder *builder, struct slice records, enum codec codec,
                       int level, struct buffer *out)
{
    CHECK(builder->record_count > 0);
    size_t start = out->length;
    write_header(builder, codec, out);
    int error = codec_compress(codec, level, records, out);
    size_t size = out->length - start;
    if (!error && size - RECORD_ENTRY_PREFIX_BYTES > INT32_MAX)
        error = -EMSGSIZE;
    if (error) {
        out->length = start;
        return error;
    }
    finish_header(out, start);
    return 0;
}

int record_batch_builder_finish(struct record_batch_builder *builder, enum codec codec, int level,
                                struct buffer *out)
{
    return finish_with(builder, buffer_slice(&builder->records), codec, level, out);
}

void record_batch_append_emptied(const struct record_batch *batch, struct buffer *out)
{
    const struct record_batch_builder builder = {
        .parameters = record_batch_parameters_of(batch),
        .last_offset_delta = batch->last_offset_delta,
        .base_timestamp = RECORD_NO_TIMESTAMP,
        .max_timestamp = batch->max_timestamp,
    };
    size_t start = out->length;
    write_header(&builder, CODEC_NONE, out);
    finish_header(out, start);
}

/* Whether the deltas are 0..n-1 already; *max_timestamp: of the records. 1, 0, or -EBADMSG. */
static int is_in_sequence(const struct record_batch *batch, struct slice records, int64_t *max_timestamp)
{
    struct record_iterator iterator;
    struct record record;
    int more;
    int in_sequence = 1;
    record_iterator_init(&iterator, batch, records);
    *max_timestamp = RECORD_NO_TIMESTAMP;
    for (int32_t i = 0; (more = record_iterator_next(&iterator, &record)) > 0; i++) {
        in_sequence &= record.offset_delta == i;
        *max_timestamp = max_i64(*max_timestamp, record.timestamp);
    }
    return more < 0 ? more : in_sequence;
}

static int append_all(struct record_batch_builder *builder, const struct record_batch *batch,
                      struct slice records)
{
    struct record_iterator iterator;
    struct record record;
    int more;
    record_iterator_init(&iterator, batch, records);
    while ((more = record_iterator_next(&iterator, &record)) > 0)
        record_batch_builder_append_at(builder, builder->last_offset_delta + 1, record.timestamp, record.key,
                                       record.value, record.headers, record.header_count);
    return more;
}

/* Of the uncompressed records in `scratch`, or in the batch; those in `scratch` go when they are not needed
 * any more. */
static int rebuild(const struct record_batch *batch, struct slice records, struct buffer *scratch,
                   enum codec codec, int level, struct buffer *out)
{
    const struct record_batch_parameters parameters = record_batch_parameters_of(batch);
    struct record_batch_builder builder;
    int64_t max_timestamp;
    int in_sequence = is_in_sequence(batch, records, &max_timestamp);
    if (in_sequence < 0 || batch->record_count <= 0)
        return -EBADMSG;
    record_batch_builder_init(&builder, &parameters);
    int error = 0;
    if (in_sequence) { /* nothing of the records changes: they need not be copied to be compressed */
        builder.record_count = batch->record_count;
        builder.last_offset_delta = batch->record_count - 1;
        builder.base_timestamp = batch->base_timestamp;
        builder.max_timestamp = max_timestamp;
        error = finish_with(&builder, records, codec, level, out);
    } else {
        error = append_all(&builder, batch, records);
        buffer_release(scratch);
        if (!error)
            error = record_batch_builder_finish(&builder, codec, level, out);
    }
    record_batch_builder_release(&builder);
    return error;
}

int record_batch_rebuild(const struct record_batch *batch, size_t uncompressed_bytes, enum codec codec,
                         int level, struct buffer *out)
{
    struct buffer scratch;
    struct slice records;
    buffer_init(&scratch);
    /* At once, so that it does not grow by doubling; the reader asks for room up to a step behind the end. */
    if (batch->codec != CODEC_NONE)
        buffer_reserve(&scratch, uncompressed_bytes + 1);
    int error = record_batch_decompress(batch, uncompressed_bytes, &scratch, &records);
    error = error ? -EBADMSG : rebuild(batch, records, &scratch, codec, level, out);
    buffer_release(&scratch);
    return error;
}
