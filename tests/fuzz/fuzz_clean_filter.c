/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strange batch, of any format, its sums put right, goes through compaction: into the map of keys, then
 * through the filter. Damage is an error; else what is left is a sound batch of the same place in the log, no
 * larger than what it was but for a horizon, and the filter leaves that as it is from then on.
 *
 * Input: a byte of flags, then the batch.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "broker/log/batch_scan.h"
#include "broker/log/clean_filter.h"
#include "common/bytes.h"
#include "common/check.h"
#include "common/crc32c.h"
#include "proto/records/old.h"
#include "tests/fuzz/driver.h"

#define NOW_MS 1000000
#define BATCH_BYTES_MAX ((size_t)4096)

struct cleaning {
    struct clean_map map;
    struct clean_transactions transactions;
    struct clean_filter filter;
};

static void begin(struct cleaning *cleaning, bool small)
{
    static const uint64_t key[2] = {1, 2};
    clean_map_init(&cleaning->map, (small ? 3 : 200) * CLEAN_MAP_SLOT_BYTES, 0.9, key);
    clean_transactions_init(&cleaning->transactions, NULL, 0);
    clean_filter_init(&cleaning->filter);
    cleaning->filter.map = &cleaning->map;
    cleaning->filter.transactions = &cleaning->transactions;
    cleaning->filter.now_ms = NOW_MS;
    cleaning->filter.delete_retention_ms = 1000;
    cleaning->filter.batch_bytes_max = BATCH_BYTES_MAX;
}

static void end(struct cleaning *cleaning)
{
    clean_filter_release(&cleaning->filter);
    clean_transactions_release(&cleaning->transactions);
    clean_map_clear(&cleaning->map);
}

/* Puts length and sum right where there is a whole entry of any format. */
static bool repair(struct buffer *bytes)
{
    if (bytes->length < RECORD_ENTRY_PREFIX_BYTES + RECORD_ENTRY_LENGTH_MIN || bytes->length > INT32_MAX)
        return false;
    uint8_t *at = bytes->data;
    at[0] &= 0x0f;
    store_u32(at + RECORD_BATCH_LENGTH_AT, (uint32_t)(bytes->length - RECORD_ENTRY_PREFIX_BYTES));
    at[RECORD_BATCH_MAGIC_AT] %= 3;
    if (at[RECORD_BATCH_MAGIC_AT] < RECORD_MAGIC_V2) {
        store_u32(at + RECORD_ENTRY_PREFIX_BYTES,
                  (uint32_t)crc32_z(0, at + RECORD_BATCH_MAGIC_AT, bytes->length - RECORD_BATCH_MAGIC_AT));
        return true;
    }
    if (bytes->length < RECORD_BATCH_HEADER_BYTES)
        return false;
    store_u32(at + RECORD_BATCH_CRC_AT,
              crc32c(0, at + RECORD_BATCH_ATTRIBUTES_AT, bytes->length - RECORD_BATCH_ATTRIBUTES_AT));
    return true;
}

/* Twice, from a map that knows the batch, or (when it is full) a part of it. */
static void clean(struct slice bytes, bool small, bool others)
{
    struct cleaning cleaning;
    struct buffer first, second;
    struct clean_records records;
    struct clean_result result;
    buffer_init(&first);
    buffer_init(&second);
    clean_records_init(&records);
    begin(&cleaning, small);
    int mapped = clean_map_batch(&cleaning.map, &cleaning.transactions, bytes, 0, BATCH_BYTES_MAX, &records);
    CHECK(mapped == 0 || mapped == 1 || mapped == -EBADMSG);
    if (others)
        clean_map_advance(&cleaning.map, INT64_MAX - 1);
    int error = clean_filter_batch(&cleaning.filter, bytes, &first, &result);
    CHECK(error == 0 || error == -EBADMSG);
    CHECK(result.size_bytes == (error ? 0 : first.length));
    if (!error && first.length > 0) {
        struct scanned_batch before, after;
        int parsed = scanned_batch_parse(bytes.data, bytes.length, &before);
        if (parsed == 0)
            parsed = scanned_batch_parse(first.data, first.length, &after);
        CHECK(parsed == 0 && scanned_batch_check_crc(&after, first.data));
        CHECK(after.size_bytes == (int64_t)first.length && after.magic == before.magic);
        CHECK(after.last_offset == result.last_offset && after.last_offset <= before.last_offset);
        CHECK(after.magic < RECORD_MAGIC_V2 ||
              (after.last_offset == before.last_offset && after.base_offset == before.base_offset));
        error = clean_filter_batch(&cleaning.filter, buffer_slice(&first), &second, &result);
        CHECK(error == 0 && slice_equals(buffer_slice(&first), buffer_slice(&second)));
    }
    buffer_release(&first);
    buffer_release(&second);
    clean_records_release(&records);
    end(&cleaning);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice given = slice_make(data + 1, size - 1);
    bool small = data[0] & 1, others = data[0] & 2;
    clean(given, small, others);
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_append(&bytes, given.data, given.length);
    if (repair(&bytes))
        clean(buffer_slice(&bytes), small, others);
    buffer_release(&bytes);
    return 0;
}
