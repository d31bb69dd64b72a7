/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a log batch by batch and hashes what it finds. */
#include "tests/sim/log_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"

/* Where a batch has its checksum. */
#define CHECKSUM_AT 17

void log_scan_init(struct log_scan *scan)
{
    memset(scan, 0, sizeof(*scan));
    buffer_init(&scan->bytes);
}

void log_scan_release(struct log_scan *scan)
{
    free(scan->batches);
    buffer_release(&scan->bytes);
    log_scan_init(scan);
}

uint32_t log_scan_checksum(struct slice batch)
{
    uint32_t checksum = 0;
    if (batch.length >= CHECKSUM_AT + sizeof(checksum))
        memcpy(&checksum, batch.data + CHECKSUM_AT, sizeof(checksum));
    return checksum;
}

static uint64_t hash_bytes(struct slice bytes)
{
    uint64_t hash = 0x51ed270b0a1f2d3cULL ^ bytes.length;
    size_t at = 0;
    for (; at + 8 <= bytes.length; at += 8) {
        uint64_t word;
        memcpy(&word, bytes.data + at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 31;
    }
    for (; at < bytes.length; at++)
        hash = (hash ^ bytes.data[at]) * 0x100000001b3ULL;
    return hash;
}

static bool add_batches(struct log_scan *scan, struct slice bytes)
{
    while (bytes.length > 0) {
        struct record_batch batch;
        int error = record_batch_parse(bytes, &batch);
        if (error == -ENODATA && scan->count > 0)
            return true; /* an answer may end within a batch */
        if (error != 0 || !record_batch_check_crc(&batch))
            return false;
        scan->batches = memory_grow(scan->batches, scan->count, &scan->capacity, sizeof(*scan->batches));
        scan->batches[scan->count++] = (struct scanned_batch){.base_offset = batch.base_offset,
                                                              .last_offset = record_batch_last_offset(&batch),
                                                              .leader_epoch = batch.leader_epoch,
                                                              .producer_id = batch.producer_id,
                                                              .base_sequence = batch.base_sequence,
                                                              .hash = hash_bytes(batch.bytes),
                                                              .checksum = log_scan_checksum(batch.bytes)};
        bytes = slice_make(bytes.data + batch.size_bytes, bytes.length - batch.size_bytes);
    }
    return true;
}

bool log_scan_bytes(struct log_scan *scan, struct slice bytes)
{
    scan->count = 0;
    return add_batches(scan, bytes);
}

bool log_scan_log(struct log_scan *scan, struct partition_log *log, int64_t offset, int64_t limit)
{
    scan->count = 0;
    int64_t end = partition_log_end_offset(log);
    while (offset < end && limit > 0) {
        struct log_range range;
        if (partition_log_read(log, offset, limit, end, true, &range) != KAFKA_NONE)
            return false;
        buffer_clear(&scan->bytes);
        uint8_t *room = buffer_extend(&scan->bytes, (size_t)range.length);
        bool whole = range.length > 0 && log_range_read(&range, room) == 0;
        limit -= range.length;
        size_t before = scan->count;
        log_range_release(&range);
        if (!whole || !add_batches(scan, buffer_slice(&scan->bytes)) || scan->count == before)
            return false;
        offset = scan->batches[scan->count - 1].last_offset + 1;
    }
    return true;
}

const struct scanned_batch *log_scan_find(const struct log_scan *scan, int64_t offset)
{
    size_t low = 0, high = scan->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (scan->batches[middle].last_offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == scan->count || scan->batches[low].base_offset > offset)
        return NULL;
    return &scan->batches[low];
}
