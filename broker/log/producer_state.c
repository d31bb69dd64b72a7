/* SPDX-License-Identifier: Apache-2.0 */
/* Producers: sequences, duplicates, epochs, and their snapshots. */
#include "broker/log/producer_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "common/map.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_HEADER_BYTES 10
#define SNAPSHOT_ENTRY_BYTES 46

struct known_batch {
    int32_t last_sequence;
    int32_t offset_delta; /* last offset - first offset, and so of the sequences */
    int64_t last_offset;
    int64_t timestamp;
};

struct producer {
    int64_t id;
    int16_t epoch;
    int32_t coordinator_epoch;
    int64_t last_timestamp;
    int64_t transaction_first_offset; /* -1: none open */
    int batches_count;
    struct known_batch batches[PRODUCER_BATCHES_KEPT]; /* oldest first */
};

struct open_transaction {
    int64_t producer_id;
    int64_t first_offset;
};

struct ended_transaction {
    int64_t first_offset;
    int64_t last_offset; /* of the marker */
};

struct producer_state {
    struct map *producers;         /* id -> struct producer */
    struct open_transaction *open; /* of all producers, by first offset */
    size_t open_count;
    size_t open_capacity;
    struct ended_transaction *ended; /* by last offset; perhaps not replicated yet */
    size_t ended_count;
    size_t ended_capacity;
};

struct producer_state *producer_state_new(void)
{
    struct producer_state *state = memory_allocate_zeroed(1, sizeof(*state));
    state->producers = map_new(0);
    return state;
}

void producer_state_clear(struct producer_state *state)
{
    size_t position = 0;
    void *producer;
    while (map_next(state->producers, &position, NULL, &producer))
        free(producer);
    map_free(state->producers);
    state->producers = map_new(0);
    state->open_count = 0;
    state->ended_count = 0;
}

void producer_state_free(struct producer_state *state)
{
    if (!state)
        return;
    producer_state_clear(state);
    map_free(state->producers);
    free(state->open);
    free(state->ended);
    free(state);
}

size_t producer_state_count(const struct producer_state *state)
{
    return map_size(state->producers);
}

static struct producer *find_producer(const struct producer_state *state, int64_t id)
{
    uint64_t key = (uint64_t)id;
    return map_get(state->producers, map_integer_key(&key));
}

static struct producer *add_producer(struct producer_state *state, int64_t id)
{
    struct producer *producer = memory_allocate_zeroed(1, sizeof(*producer));
    uint64_t key = (uint64_t)id;
    producer->id = id;
    producer->epoch = -1;
    producer->coordinator_epoch = -1;
    producer->last_timestamp = -1;
    producer->transaction_first_offset = -1;
    map_put(state->producers, map_integer_key(&key), producer);
    return producer;
}

static int32_t first_sequence(const struct known_batch *batch)
{
    return (int32_t)(((int64_t)batch->last_sequence - batch->offset_delta) & INT32_MAX);
}

static int32_t newest_sequence(const struct producer *producer)
{
    return producer->batches_count > 0 ? producer->batches[producer->batches_count - 1].last_sequence : -1;
}

static bool find_duplicate(const struct producer *producer, const struct producer_batch *batch,
                           struct producer_duplicate *duplicate)
{
    for (int i = 0; i < producer->batches_count; i++) {
        const struct known_batch *known = &producer->batches[i];
        if (known->last_sequence != batch->last_sequence || first_sequence(known) != batch->first_sequence)
            continue;
        *duplicate = (struct producer_duplicate){true, known->last_offset - known->offset_delta,
                                                 known->last_offset, known->timestamp};
        return true;
    }
    return false;
}

static int16_t check_marker(const struct producer *producer, const struct producer_batch *batch)
{
    if (batch->epoch < producer->epoch)
        return KAFKA_INVALID_PRODUCER_EPOCH;
    if (batch->coordinator_epoch < producer->coordinator_epoch)
        return KAFKA_TRANSACTION_COORDINATOR_FENCED;
    return KAFKA_NONE;
}

int16_t producer_state_check(const struct producer_state *state, const struct producer_batch *batch,
                             struct producer_duplicate *duplicate)
{
    *duplicate = (struct producer_duplicate){false, -1, -1, -1};
    const struct producer *producer = find_producer(state, batch->producer_id);
    if (!producer)
        return KAFKA_NONE;
    if (batch->is_marker)
        return check_marker(producer, batch);
    if (batch->epoch < producer->epoch)
        return KAFKA_INVALID_PRODUCER_EPOCH;
    if (batch->epoch > producer->epoch) {
        if (batch->first_sequence != 0)
            return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    } else {
        if (find_duplicate(producer, batch, duplicate))
            return KAFKA_NONE;
        int32_t newest = newest_sequence(producer);
        int32_t expected = newest < 0 ? 0 : record_sequence_add(newest, 1);
        if (batch->first_sequence != expected)
            return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    if (producer->transaction_first_offset >= 0 && !batch->transactional)
        return KAFKA_INVALID_TXN_STATE;
    return KAFKA_NONE;
}

static void remember_batch(struct producer *producer, const struct producer_batch *batch)
{
    if (producer->batches_count == PRODUCER_BATCHES_KEPT) {
        memmove(producer->batches, producer->batches + 1,
                (PRODUCER_BATCHES_KEPT - 1) * sizeof(*producer->batches));
        producer->batches_count--;
    }
    producer->batches[producer->batches_count++] =
        (struct known_batch){batch->last_sequence, (int32_t)(batch->last_offset - batch->base_offset),
                             batch->last_offset, batch->timestamp};
}

/* ---- open and ended transactions ---- */

/* In a log the new one is the last; in a snapshot and a damaged log it may be any. */
static void open_transaction(struct producer_state *state, struct producer *producer, int64_t first_offset)
{
    state->open = memory_grow(state->open, state->open_count, &state->open_capacity, sizeof(*state->open));
    size_t at = state->open_count++;
    for (; at > 0 && state->open[at - 1].first_offset > first_offset; at--)
        state->open[at] = state->open[at - 1];
    state->open[at] = (struct open_transaction){producer->id, first_offset};
    producer->transaction_first_offset = first_offset;
}

static void close_transaction(struct producer_state *state, struct producer *producer)
{
    size_t low = 0, high = state->open_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (state->open[middle].first_offset < producer->transaction_first_offset)
            low = middle + 1;
        else
            high = middle;
    }
    while (state->open[low].producer_id != producer->id)
        low++;
    memmove(state->open + low, state->open + low + 1, (state->open_count - low - 1) * sizeof(*state->open));
    state->open_count--;
    producer->transaction_first_offset = -1;
}

static bool complete_transaction(struct producer_state *state, struct producer *producer,
                                 const struct producer_batch *marker, struct completed_transaction *completed)
{
    int64_t first_offset = producer->transaction_first_offset;
    if (first_offset < 0)
        return false;
    close_transaction(state, producer);
    state->ended =
        memory_grow(state->ended, state->ended_count, &state->ended_capacity, sizeof(*state->ended));
    state->ended[state->ended_count++] = (struct ended_transaction){first_offset, marker->last_offset};
    if (completed)
        *completed = (struct completed_transaction){
            .producer_id = producer->id,
            .first_offset = first_offset,
            .last_offset = marker->last_offset,
            .aborted = !marker->commit,
            .last_stable_offset =
                state->open_count > 0 ? state->open[0].first_offset : marker->last_offset + 1,
        };
    return true;
}

bool producer_state_update(struct producer_state *state, const struct producer_batch *batch,
                           struct completed_transaction *completed)
{
    struct producer *producer = find_producer(state, batch->producer_id);
    if (!producer)
        producer = add_producer(state, batch->producer_id);
    if (producer->epoch != batch->epoch) {
        producer->epoch = batch->epoch;
        producer->batches_count = 0;
    }
    producer->last_timestamp = batch->timestamp;
    if (batch->is_marker) {
        producer->coordinator_epoch = batch->coordinator_epoch;
        return complete_transaction(state, producer, batch, completed);
    }
    remember_batch(producer, batch);
    if (batch->transactional && producer->transaction_first_offset < 0)
        open_transaction(state, producer, batch->base_offset);
    return false;
}

void producer_state_expire(struct producer_state *state, int64_t now_ms, int64_t expiration_ms)
{
    size_t position = 0;
    struct slice key;
    void *value;
    while (map_next(state->producers, &position, &key, &value)) {
        struct producer *producer = value;
        /* The last timestamp is a client's, and may be any number: it must stand alone. */
        if (producer->transaction_first_offset >= 0 || producer->last_timestamp > now_ms - expiration_ms)
            continue;
        map_remove(state->producers, key);
        free(producer);
    }
}

int64_t producer_state_first_open_offset(const struct producer_state *state)
{
    return state->open_count > 0 ? state->open[0].first_offset : -1;
}

int64_t producer_state_first_unstable_offset(const struct producer_state *state, int64_t high_watermark)
{
    int64_t first = producer_state_first_open_offset(state);
    for (size_t i = state->ended_count; i > 0 && state->ended[i - 1].last_offset >= high_watermark; i--)
        if (first < 0 || state->ended[i - 1].first_offset < first)
            first = state->ended[i - 1].first_offset;
    return first;
}

void producer_state_forget_replicated(struct producer_state *state, int64_t high_watermark)
{
    size_t gone = 0;
    while (gone < state->ended_count && state->ended[gone].last_offset < high_watermark)
        gone++;
    if (gone == 0)
        return;
    memmove(state->ended, state->ended + gone, (state->ended_count - gone) * sizeof(*state->ended));
    state->ended_count -= gone;
}

size_t producer_state_ended_count(const struct producer_state *state)
{
    return state->ended_count;
}

void producer_state_each(const struct producer_state *state, producer_visit *visit, void *context)
{
    size_t position = 0;
    void *value;
    while (map_next(state->producers, &position, NULL, &value)) {
        const struct producer *producer = value;
        int count = producer->batches_count;
        visit(context, producer->id, producer->epoch,
              count > 0 ? producer->batches[count - 1].last_offset : -1);
    }
}

static int compare_producers(const void *left, const void *right)
{
    const struct producer *a = *(struct producer *const *)left;
    const struct producer *b = *(struct producer *const *)right;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void encode_producer(const struct producer *producer, struct buffer *out)
{
    const struct known_batch none = {-1, 0, -1, producer->last_timestamp};
    const struct known_batch *newest =
        producer->batches_count > 0 ? &producer->batches[producer->batches_count - 1] : &none;
    writer_u64(out, (uint64_t)producer->id);
    writer_u16(out, (uint16_t)producer->epoch);
    writer_u32(out, (uint32_t)newest->last_sequence);
    writer_u64(out, (uint64_t)newest->last_offset);
    writer_u32(out, (uint32_t)newest->offset_delta);
    writer_u64(out, (uint64_t)producer->last_timestamp);
    writer_u32(out, (uint32_t)producer->coordinator_epoch);
    writer_u64(out, (uint64_t)producer->transaction_first_offset);
}

void producer_state_encode(const struct producer_state *state, struct buffer *out)
{
    size_t start = out->length;
    size_t count = map_size(state->producers);
    struct producer **sorted = memory_allocate(count * sizeof(struct producer *));
    size_t position = 0, taken = 0;
    void *value;
    while (map_next(state->producers, &position, NULL, &value))
        sorted[taken++] = value;
    if (count > 1)
        qsort(sorted, count, sizeof(*sorted), compare_producers);
    writer_u16(out, SNAPSHOT_VERSION);
    writer_u32(out, 0);
    writer_u32(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        encode_producer(sorted[i], out);
    store_u32(out->data + start + 2, crc32c(0, out->data + start + 6, out->length - start - 6));
    free(sorted);
}

static void decode_producer(struct producer_state *state, struct byte_reader *reader)
{
    int64_t id = reader_i64(reader);
    struct producer *producer = find_producer(state, id);
    if (!producer)
        producer = add_producer(state, id);
    producer->epoch = reader_i16(reader);
    struct known_batch batch;
    batch.last_sequence = reader_i32(reader);
    batch.last_offset = reader_i64(reader);
    batch.offset_delta = reader_i32(reader);
    batch.timestamp = reader_i64(reader);
    producer->last_timestamp = batch.timestamp;
    producer->coordinator_epoch = reader_i32(reader);
    int64_t first_offset = reader_i64(reader);
    if (producer->transaction_first_offset >= 0)
        close_transaction(state, producer);
    if (first_offset >= 0)
        open_transaction(state, producer, first_offset);
    producer->batches_count = 0;
    if (batch.last_offset >= 0 && batch.last_sequence >= 0 && batch.offset_delta >= 0)
        producer->batches[producer->batches_count++] = batch;
}

int producer_state_decode(struct producer_state *state, struct slice snapshot)
{
    producer_state_clear(state);
    struct byte_reader reader;
    reader_init(&reader, snapshot);
    int16_t version = reader_i16(&reader);
    uint32_t crc = reader_u32(&reader);
    int32_t count = reader_i32(&reader);
    if (reader_failed(&reader) || version != SNAPSHOT_VERSION || count < 0 ||
        (uint64_t)count * SNAPSHOT_ENTRY_BYTES != snapshot.length - SNAPSHOT_HEADER_BYTES ||
        crc32c(0, snapshot.data + 6, snapshot.length - 6) != crc)
        return -EBADMSG;
    for (int32_t i = 0; i < count; i++)
        decode_producer(state, &reader);
    return 0;
}
