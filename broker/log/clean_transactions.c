/* SPDX-License-Identifier: Apache-2.0 */
/* Open transactions by producer, while the batches go by. */
#include "broker/log/clean_transactions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/memory.h"
#include "proto/records/record.h"

/* Types of control records. */
#define CONTROL_ABORT 0
#define CONTROL_COMMIT 1

/* An aborted transaction that has begun and whose marker has not come. */
struct ongoing {
    struct aborted_transaction entry;
    bool has_data;
};

static int by_first_offset(const void *left, const void *right)
{
    const struct aborted_transaction *a = left, *b = right;
    if (a->first_offset != b->first_offset)
        return a->first_offset < b->first_offset ? -1 : 1;
    return a->last_offset < b->last_offset ? -1 : a->last_offset > b->last_offset;
}

void clean_transactions_init(struct clean_transactions *transactions,
                             const struct aborted_transaction *aborted, size_t count)
{
    *transactions = (struct clean_transactions){
        .aborted = memory_allocate(count * sizeof(*aborted)),
        .aborted_count = count,
        .ongoing_aborted = map_new(0),
        .ongoing_committed = map_new(0),
    };
    if (count == 0)
        return;
    memcpy(transactions->aborted, aborted, count * sizeof(*aborted));
    qsort(transactions->aborted, count, sizeof(*aborted), by_first_offset);
}

void clean_transactions_release(struct clean_transactions *transactions)
{
    size_t position = 0;
    void *value;
    while (map_next(transactions->ongoing_aborted, &position, NULL, &value))
        free(value);
    map_free(transactions->ongoing_aborted);
    map_free(transactions->ongoing_committed);
    free(transactions->aborted);
    free(transactions->kept);
    *transactions = (struct clean_transactions){0};
}

void clean_transactions_copy(struct clean_transactions *copy, const struct clean_transactions *transactions)
{
    size_t position = 0;
    struct slice key;
    void *value;
    clean_transactions_init(copy, transactions->aborted + transactions->next,
                            transactions->aborted_count - transactions->next);
    while (map_next(transactions->ongoing_aborted, &position, &key, &value))
        map_put(copy->ongoing_aborted, key, memory_copy_bytes(value, sizeof(struct ongoing)));
    position = 0;
    while (map_next(transactions->ongoing_committed, &position, &key, NULL))
        map_put(copy->ongoing_committed, key, copy);
}

void clean_transactions_skip(struct clean_transactions *transactions, int64_t offset)
{
    size_t left = transactions->next, position = 0;
    for (size_t i = left; i < transactions->aborted_count; i++)
        if (transactions->aborted[i].last_offset >= offset)
            transactions->aborted[left++] = transactions->aborted[i];
    transactions->aborted_count = left;
    struct slice key;
    void *value;
    while (map_next(transactions->ongoing_aborted, &position, &key, &value)) {
        struct ongoing *ongoing = value;
        if (ongoing->entry.last_offset >= offset)
            continue;
        map_remove(transactions->ongoing_aborted, key);
        free(ongoing);
    }
}

/* Those that have begun by `offset` are ongoing. */
static void begin_up_to(struct clean_transactions *transactions, int64_t offset)
{
    while (transactions->next < transactions->aborted_count &&
           transactions->aborted[transactions->next].first_offset <= offset) {
        const struct aborted_transaction *entry = &transactions->aborted[transactions->next++];
        uint64_t id = (uint64_t)entry->producer_id;
        if (map_get(transactions->ongoing_aborted, map_integer_key(&id)) != NULL)
            continue;
        struct ongoing *ongoing = memory_allocate_zeroed(1, sizeof(*ongoing));
        ongoing->entry = *entry;
        map_put(transactions->ongoing_aborted, map_integer_key(&id), ongoing);
    }
}

static void keep_entry(struct clean_transactions *transactions, const struct aborted_transaction *entry)
{
    transactions->kept = memory_grow(transactions->kept, transactions->kept_count,
                                     &transactions->kept_capacity, sizeof(*transactions->kept));
    transactions->kept[transactions->kept_count++] = *entry;
}

static bool end_aborted(struct clean_transactions *transactions, uint64_t id)
{
    struct ongoing *ongoing = map_remove(transactions->ongoing_aborted, map_integer_key(&id));
    bool has_data = ongoing != NULL && ongoing->has_data;
    if (has_data)
        keep_entry(transactions, &ongoing->entry);
    free(ongoing);
    return !has_data;
}

static int see_marker(struct clean_transactions *transactions, const struct record_batch *batch,
                      bool *discard)
{
    *discard = true;
    if (batch->record_count == 0)
        return batch->records.length == 0 ? 0 : -EBADMSG;
    struct record_iterator iterator;
    struct record record;
    record_iterator_init(&iterator, batch, batch->records);
    if (batch->codec != CODEC_NONE || record_iterator_next(&iterator, &record) != 1)
        return -EBADMSG;
    struct byte_reader reader;
    reader_init(&reader, record.key);
    reader_i16(&reader); /* version */
    int16_t type = reader_i16(&reader);
    if (slice_is_null(record.key) || reader_failed(&reader))
        return -EBADMSG;
    uint64_t id = (uint64_t)batch->producer_id;
    if (type == CONTROL_ABORT)
        *discard = end_aborted(transactions, id);
    else if (type == CONTROL_COMMIT)
        *discard = map_remove(transactions->ongoing_committed, map_integer_key(&id)) == NULL;
    else
        *discard = false;
    return 0;
}

int clean_transactions_see(struct clean_transactions *transactions, const struct record_batch *batch,
                           bool *discard)
{
    begin_up_to(transactions, record_batch_last_offset(batch));
    *discard = false;
    if (batch->control)
        return see_marker(transactions, batch, discard);
    if (!batch->transactional)
        return 0;
    uint64_t id = (uint64_t)batch->producer_id;
    struct ongoing *ongoing = map_get(transactions->ongoing_aborted, map_integer_key(&id));
    if (ongoing != NULL) {
        ongoing->has_data = true;
        *discard = true;
    } else {
        map_put(transactions->ongoing_committed, map_integer_key(&id), transactions);
    }
    return 0;
}
