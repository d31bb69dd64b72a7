/* SPDX-License-Identifier: Apache-2.0 */
/* The journal of a storm, replayed into what may be there after a crash. */
#include "tests/support/storm_model.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "common/prng.h"
#include "proto/records/builder.h"

void storm_model_init(struct storm_model *model)
{
    *model = (struct storm_model){.next_number = 1, .next_producer_id = 1000};
    for (int i = 0; i < STORM_PARTITIONS; i++) {
        model->partitions[i].truncating_to = INT64_MAX;
        model->partitions[i].producer_id = -1;
    }
}

void storm_model_release(struct storm_model *model)
{
    for (int i = 0; i < STORM_PARTITIONS; i++)
        free(model->partitions[i].batches);
}

int64_t storm_batch_last_offset(const struct storm_batch *batch)
{
    return batch->base_offset + batch->record_count - 1;
}

int64_t storm_partition_end(const struct storm_partition *partition)
{
    if (partition->count == 0)
        return partition->start_max;
    return storm_batch_last_offset(&partition->batches[partition->count - 1]) + 1;
}

const struct storm_batch *storm_partition_find(const struct storm_partition *partition, int64_t offset)
{
    size_t low = 0, high = partition->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (storm_batch_last_offset(&partition->batches[middle]) < offset)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < partition->count && partition->batches[low].base_offset <= offset;
    return found ? &partition->batches[low] : NULL;
}

/* ---- contents ---- */

static struct prng content_prng(uint64_t number, int32_t index)
{
    struct prng prng;
    prng_init(&prng, number * 1000003 + (uint64_t)index);
    return prng;
}

uint32_t storm_key_number(uint64_t number, int32_t index)
{
    struct prng prng = content_prng(number, index);
    return (uint32_t)prng_below(&prng, STORM_KEYS);
}

void storm_key(uint64_t number, int32_t index, struct buffer *out)
{
    buffer_print(out, "key-%" PRIu32, storm_key_number(number, index));
}

bool storm_value(uint64_t number, int32_t index, struct buffer *out)
{
    struct prng prng = content_prng(number, index);
    prng_next(&prng); /* made the key */
    if (prng_one_in(&prng, 12))
        return false;
    size_t length = (size_t)prng_below(&prng, STORM_VALUE_BYTES_MAX);
    buffer_print(out, "%" PRIu64 ".%" PRId32 " ", number, index);
    uint8_t *bytes = buffer_extend(out, length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)prng_next(&prng);
    return true;
}

int64_t storm_record_timestamp(const struct storm_batch *batch, int32_t index)
{
    struct prng prng = content_prng(batch->number, index + 1000);
    return batch->timestamp - (int64_t)prng_below(&prng, 30);
}

void storm_batch_bytes(const struct storm_batch *batch, struct buffer *out)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    if (batch->producer_id >= 0) {
        parameters.producer_id = batch->producer_id;
        parameters.producer_epoch = 0;
        parameters.base_sequence = batch->base_sequence;
    }
    struct record_batch_builder builder;
    struct buffer key, value;
    buffer_init(&key);
    buffer_init(&value);
    record_batch_builder_init(&builder, &parameters);
    for (int32_t i = 0; i < batch->record_count; i++) {
        buffer_clear(&key);
        buffer_clear(&value);
        storm_key(batch->number, i, &key);
        bool has_value = storm_value(batch->number, i, &value);
        record_batch_builder_append(&builder, storm_record_timestamp(batch, i), buffer_slice(&key),
                                    has_value ? buffer_slice(&value) : (struct slice){0}, NULL, 0);
    }
    int error = record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, out);
    CHECK(error == 0);
    record_batch_builder_release(&builder);
    buffer_release(&key);
    buffer_release(&value);
}

/* ---- events ---- */

static void add_batch(struct storm_model *model, struct storm_partition *partition,
                      const struct storm_event *event)
{
    partition->batches =
        memory_grow(partition->batches, partition->count, &partition->capacity, sizeof(*partition->batches));
    partition->batches[partition->count++] = (struct storm_batch){
        .base_offset = event->offset,
        .number = event->number,
        .timestamp = event->timestamp,
        .producer_id = event->producer_id,
        .base_sequence = event->base_sequence,
        .leader_epoch = event->leader_epoch,
        .record_count = event->record_count,
        .bytes = event->bytes,
    };
    partition->leader_epoch = event->leader_epoch;
    model->next_number = event->number + 1;
    if (event->producer_id >= 0) {
        partition->producer_id = event->producer_id;
        partition->next_sequence = event->base_sequence + event->record_count;
        if (model->next_producer_id <= event->producer_id)
            model->next_producer_id = event->producer_id + 1;
    }
}

/* Forgets the batches from `offset` on; what was sent after may not go on with their sequences. */
static void cut(struct storm_partition *partition, int64_t offset)
{
    while (partition->count > 0 &&
           storm_batch_last_offset(&partition->batches[partition->count - 1]) >= offset) {
        partition->count--;
        partition->producer_id = -1;
    }
    partition->acknowledged = partition->count;
    partition->truncating_to = INT64_MAX;
    partition->high_watermark = min_i64(partition->high_watermark, offset);
    if (partition->count == 0)
        partition->start_max = offset;
}

/* The partition begins anew, but its epochs go on. */
static void forget(struct storm_partition *partition)
{
    partition->count = 0;
    partition->acknowledged = 0;
    partition->truncating_to = INT64_MAX;
    partition->start_max = 0;
    partition->start_ever = 0;
    partition->start_min = 0;
    partition->high_watermark = 0;
    partition->compacted_below = 0;
    partition->producer_id = -1;
    partition->existence = STORM_ABSENT;
}

/* What is below the start as it is now can never be asked for again. */
static void drop_below(struct storm_partition *partition, int64_t offset)
{
    size_t gone = 0;
    while (gone < partition->count && storm_batch_last_offset(&partition->batches[gone]) < offset)
        gone++;
    gone = gone < partition->acknowledged ? gone : partition->acknowledged;
    if (gone < partition->count / 2)
        return;
    partition->count -= gone;
    partition->acknowledged -= gone;
    for (size_t i = 0; i < partition->count; i++)
        partition->batches[i] = partition->batches[i + gone];
    partition->start_max = max_i64(partition->start_max, offset);
}

static void apply_found(struct storm_partition *partition, int64_t end)
{
    if (end < 0) {
        forget(partition);
        return;
    }
    if (partition->existence == STORM_CREATING || partition->existence == STORM_DELETING)
        partition->existence = STORM_PRESENT;
    cut(partition, end);
}

void storm_model_apply(struct storm_model *model, const struct storm_event *event)
{
    CHECK(event->partition >= 0 && event->partition < STORM_PARTITIONS);
    struct storm_partition *partition = &model->partitions[event->partition];
    switch ((enum storm_event_kind)event->kind) {
    case STORM_NOTHING:
        break;
    case STORM_CREATE:
        forget(partition);
        partition->existence = STORM_CREATING;
        break;
    case STORM_CREATED:
        partition->existence = STORM_PRESENT;
        break;
    case STORM_APPEND:
        add_batch(model, partition, event);
        break;
    case STORM_APPENDED:
        partition->acknowledged = partition->count;
        break;
    case STORM_TRUNCATE:
        partition->truncating_to = event->offset;
        break;
    case STORM_TRUNCATED:
        cut(partition, event->offset);
        break;
    case STORM_START:
        partition->start_max = max_i64(partition->start_max, event->offset);
        partition->start_ever = max_i64(partition->start_ever, event->offset);
        break;
    case STORM_STARTED:
        partition->start_max = event->offset;
        break;
    case STORM_CHECKPOINTED:
        partition->start_min = event->offset;
        drop_below(partition, event->offset);
        break;
    case STORM_COMMIT:
        partition->high_watermark = event->offset;
        break;
    case STORM_COMPACT:
        partition->compacted_below = max_i64(partition->compacted_below, event->offset);
        break;
    case STORM_DELETE:
        partition->existence = STORM_DELETING;
        break;
    case STORM_DELETED:
        forget(partition);
        break;
    case STORM_FOUND:
        apply_found(partition, event->offset);
        break;
    case STORM_EPOCH:
        partition->leader_epoch = event->leader_epoch;
        break;
    }
}
