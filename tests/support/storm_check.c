/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restart found, held against the model of the storm: every record by its content, every lookup by the
 * records, epochs and producers by the batches.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/partition_log_private.h"
#include "common/crc32c.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "proto/records/record.h"
#include "tests/support/storm.h"

#define READ_BYTES 100000
#define INFLATED_BYTES_MAX (1 << 20)
#define LOOKUPS 4

struct found_record {
    int64_t offset;
    int64_t timestamp;
    uint32_t key;
};

/* One batch as it was read. */
struct found_batch {
    int64_t base_offset;
    int64_t last_offset;
    int64_t first_read; /* the offset that a lookup may name */
    int32_t leader_epoch;
    size_t position; /* in `bytes` */
    size_t size_bytes;
};

/* All that one partition's log holds. */
struct scan {
    struct storm *storm;
    int partition;
    struct partition_log *log;
    struct storm_partition *model;
    int64_t start;
    int64_t end;
    struct buffer bytes;
    struct found_batch *batches;
    size_t batches_count;
    size_t batches_capacity;
    struct found_record *records;
    size_t records_count;
    size_t records_capacity;
};

#define SCAN_REQUIRE(scan, condition, ...) \
    ((condition) ? (void)0 : storm_fail((scan)->storm, (scan)->partition, __VA_ARGS__))

static void scan_release(struct scan *scan)
{
    buffer_release(&scan->bytes);
    free(scan->batches);
    free(scan->records);
}

/* ---- reading ---- */

static void check_record(const struct scan *scan, const struct storm_batch *written, int64_t offset,
                         const struct record *record)
{
    struct buffer key, value;
    buffer_init(&key);
    buffer_init(&value);
    int32_t index = (int32_t)(offset - written->base_offset);
    storm_key(written->number, index, &key);
    bool has_value = storm_value(written->number, index, &value);
    SCAN_REQUIRE(scan, slice_equals(record->key, buffer_slice(&key)), "another key at %" PRId64, offset);
    SCAN_REQUIRE(scan, slice_is_null(record->value) == !has_value, "a null value at %" PRId64, offset);
    SCAN_REQUIRE(scan, !has_value || slice_equals(record->value, buffer_slice(&value)),
                 "another value at %" PRId64, offset);
    SCAN_REQUIRE(scan, record->timestamp == storm_record_timestamp(written, index),
                 "another timestamp at %" PRId64, offset);
    buffer_release(&key);
    buffer_release(&value);
}

static void take_records(struct scan *scan, const struct record_batch *batch)
{
    struct buffer scratch;
    struct slice records;
    buffer_init(&scratch);
    SCAN_REQUIRE(scan, record_batch_decompress(batch, INFLATED_BYTES_MAX, &scratch, &records) == 0,
                 "records at %" PRId64 " do not inflate", batch->base_offset);
    struct record_iterator iterator;
    struct record record;
    record_iterator_init(&iterator, batch, records);
    int result;
    while ((result = record_iterator_next(&iterator, &record)) > 0) {
        const struct storm_batch *written = storm_partition_find(scan->model, record.offset);
        SCAN_REQUIRE(scan, written, "nobody wrote a record at %" PRId64, record.offset);
        check_record(scan, written, record.offset, &record);
        SCAN_REQUIRE(scan, batch->leader_epoch == written->leader_epoch, "epoch %d at %" PRId64 ", not %d",
                     batch->leader_epoch, record.offset, written->leader_epoch);
        scan->records =
            memory_grow(scan->records, scan->records_count, &scan->records_capacity, sizeof(*scan->records));
        scan->records[scan->records_count++] = (struct found_record){
            record.offset, record.timestamp,
            storm_key_number(written->number, (int32_t)(record.offset - written->base_offset))};
    }
    SCAN_REQUIRE(scan, result == 0, "damaged records at %" PRId64, batch->base_offset);
    buffer_release(&scratch);
}

/* A batch that compaction never touched stands as it was sent, byte for byte behind what leaders patch. */
static void check_whole(const struct scan *scan, const struct record_batch *batch)
{
    const struct storm_batch *written = storm_partition_find(scan->model, batch->base_offset);
    if (scan->model->compacted_below > batch->base_offset)
        return;
    SCAN_REQUIRE(scan,
                 written && written->base_offset == batch->base_offset &&
                     storm_batch_last_offset(written) == record_batch_last_offset(batch) &&
                     batch->record_count == written->record_count,
                 "a batch at %" PRId64 " that nobody wrote", batch->base_offset);
    SCAN_REQUIRE(scan, (int32_t)batch->size_bytes == written->bytes, "batch %" PRId64 " of %zu bytes, not %d",
                 batch->base_offset, batch->size_bytes, written->bytes);
}

/* Takes whole batches out of what was read; where the next one begins. */
static int64_t take_batches(struct scan *scan, int64_t at, size_t position)
{
    while (position < scan->bytes.length) {
        struct record_batch batch;
        int parsed = record_batch_parse(
            slice_make(scan->bytes.data + position, scan->bytes.length - position), &batch);
        if (parsed) {
            SCAN_REQUIRE(scan, parsed == -ENODATA, "a damaged batch is served behind %" PRId64, at);
            scan->bytes.length = position;
            return at;
        }
        int64_t last = record_batch_last_offset(&batch);
        SCAN_REQUIRE(scan, record_batch_check_crc(&batch), "a wrong CRC is served at %" PRId64,
                     batch.base_offset);
        SCAN_REQUIRE(scan, last >= at && (batch.base_offset >= at || scan->batches_count == 0),
                     "batch %" PRId64 "..%" PRId64 " is served at %" PRId64, batch.base_offset, last, at);
        check_whole(scan, &batch);
        take_records(scan, &batch);
        scan->batches =
            memory_grow(scan->batches, scan->batches_count, &scan->batches_capacity, sizeof(*scan->batches));
        scan->batches[scan->batches_count++] =
            (struct found_batch){batch.base_offset,  last,     max_i64(batch.base_offset, scan->start),
                                 batch.leader_epoch, position, batch.size_bytes};
        at = last + 1;
        position += batch.size_bytes;
    }
    return at;
}

static void scan_all(struct scan *scan)
{
    int64_t at = scan->start;
    while (at < scan->end) {
        struct log_range range;
        int16_t error = partition_log_read(scan->log, at, READ_BYTES, scan->end, true, &range);
        SCAN_REQUIRE(scan, error == KAFKA_NONE, "reading at %" PRId64 " gives error %d", at, error);
        size_t position = scan->bytes.length;
        int64_t length = range.length;
        if (length > 0 && log_range_read(&range, buffer_extend(&scan->bytes, (size_t)length)))
            storm_fail(scan->storm, scan->partition, "the bytes at %" PRId64 " cannot be read", at);
        log_range_release(&range);
        if (length == 0)
            break; /* compaction took the last records, the end stays */
        int64_t next = take_batches(scan, at, position);
        SCAN_REQUIRE(scan, next > at, "nothing whole is served at %" PRId64, at);
        at = next;
    }
    SCAN_REQUIRE(scan, at == scan->end || scan->model->compacted_below > at,
                 "the log ends at %" PRId64 ", its batches at %" PRId64, scan->end, at);
}

/* ---- rules ---- */

static const struct found_record *find_record(const struct scan *scan, int64_t offset)
{
    size_t low = 0, high = scan->records_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (scan->records[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < scan->records_count && scan->records[low].offset == offset ? &scan->records[low] : NULL;
}

/* Whether compaction may have taken the record: a later one of its key is there, or it deletes its key. */
static bool may_be_compacted(const struct scan *scan, const struct storm_batch *batch, int32_t index,
                             const int64_t *last_of_key)
{
    int64_t offset = batch->base_offset + index;
    if (offset >= scan->model->compacted_below)
        return false;
    struct buffer value;
    buffer_init(&value);
    bool tombstone = !storm_value(batch->number, index, &value);
    buffer_release(&value);
    return tombstone || last_of_key[storm_key_number(batch->number, index)] > offset;
}

/* Rules 1 and 3: what was acknowledged is there, and nothing is missing before what is. */
static void check_nothing_is_lost(const struct scan *scan)
{
    const struct storm_partition *model = scan->model;
    int64_t last_of_key[STORM_KEYS];
    memset(last_of_key, 0xff, sizeof(last_of_key));
    for (size_t i = 0; i < scan->records_count; i++)
        last_of_key[scan->records[i].key] = scan->records[i].offset;
    for (size_t i = 0; i < model->count; i++) {
        const struct storm_batch *batch = &model->batches[i];
        bool acknowledged = i < model->acknowledged && storm_batch_last_offset(batch) < model->truncating_to;
        for (int32_t index = 0; index < batch->record_count; index++) {
            int64_t offset = batch->base_offset + index;
            if (offset < scan->start || find_record(scan, offset) ||
                (!acknowledged && batch->base_offset >= scan->end) ||
                may_be_compacted(scan, batch, index, last_of_key))
                continue;
            storm_fail(scan->storm, scan->partition,
                       "record %" PRId64 " (batch %" PRId64 ", %s) is lost; the log is %" PRId64 "..%" PRId64,
                       offset, batch->base_offset, acknowledged ? "acknowledged" : "under way", scan->start,
                       scan->end);
        }
    }
}

static void check_bounds(const struct scan *scan)
{
    const struct storm_partition *model = scan->model;
    SCAN_REQUIRE(scan, scan->start >= model->start_min && scan->start <= model->start_max,
                 "the log starts at %" PRId64 ", not within %" PRId64 "..%" PRId64, scan->start,
                 model->start_min, model->start_max);
    SCAN_REQUIRE(scan, scan->end <= storm_partition_end(model),
                 "the log ends at %" PRId64 ", more than %" PRId64 " was written", scan->end,
                 storm_partition_end(model));
    if (model->truncating_to == INT64_MAX && model->acknowledged > 0) {
        int64_t durable = storm_batch_last_offset(&model->batches[model->acknowledged - 1]) + 1;
        SCAN_REQUIRE(scan, scan->end >= durable,
                     "the log ends at %" PRId64 ", acknowledged was up to %" PRId64, scan->end, durable);
    }
}

/* ---- lookups ---- */

static void check_reads(struct scan *scan)
{
    for (size_t i = 0; i < scan->batches_count; i++) {
        const struct found_batch *batch = &scan->batches[i];
        struct log_range range;
        int64_t offset = prng_between(&scan->storm->prng, batch->first_read, batch->last_offset);
        int16_t error = partition_log_read(scan->log, offset, 1, scan->end, true, &range);
        SCAN_REQUIRE(scan, error == KAFKA_NONE && range.length == (int64_t)batch->size_bytes,
                     "looking up %" PRId64 " gives error %d and %" PRId64 " bytes, not %zu", offset, error,
                     range.length, batch->size_bytes);
        uint8_t *bytes = memory_allocate(batch->size_bytes);
        int failed = log_range_read(&range, bytes);
        SCAN_REQUIRE(scan,
                     !failed && memcmp(bytes, scan->bytes.data + batch->position, batch->size_bytes) == 0,
                     "looking up %" PRId64 " gives another batch", offset);
        free(bytes);
        log_range_release(&range);
    }
}

static void check_timestamps(struct scan *scan)
{
    if (scan->records_count == 0)
        return;
    for (int i = 0; i < LOOKUPS; i++) {
        size_t any = (size_t)prng_below(&scan->storm->prng, scan->records_count);
        int64_t wanted = scan->records[any].timestamp + prng_between(&scan->storm->prng, -1, 1);
        const struct found_record *expected = NULL;
        for (size_t r = 0; r < scan->records_count && !expected; r++)
            if (scan->records[r].timestamp >= wanted && scan->records[r].offset >= scan->start)
                expected = &scan->records[r];
        struct log_timestamp_offset found;
        int16_t error = partition_log_find_timestamp(scan->log, wanted, scan->end, &found);
        SCAN_REQUIRE(scan, error == KAFKA_NONE && found.offset == (expected ? expected->offset : -1),
                     "time %" PRId64 " gives error %d and offset %" PRId64 ", not %" PRId64, wanted, error,
                     found.offset, expected ? expected->offset : -1);
    }
}

/* A start that was moved and forgotten again by a crash has left its mark on the epochs: below it they may
 * say nothing. */
static void check_epochs(const struct scan *scan)
{
    int64_t from = max_i64(scan->start, scan->model->start_ever);
    for (size_t i = 0; i < scan->batches_count; i++) {
        const struct found_batch *batch = &scan->batches[i];
        if (batch->first_read < from)
            continue;
        int32_t epoch = partition_log_epoch_at(scan->log, batch->first_read);
        SCAN_REQUIRE(scan, epoch == batch->leader_epoch, "the epoch at %" PRId64 " is said to be %d, not %d",
                     batch->first_read, epoch, batch->leader_epoch);
    }
    if (scan->model->compacted_below > 0)
        return; /* the first batch of an epoch may be gone, the entry is not */
    struct epoch_cache epochs;
    struct buffer expected, actual;
    buffer_init(&expected);
    buffer_init(&actual);
    epoch_cache_init(&epochs);
    for (size_t i = 0; i < scan->batches_count; i++)
        epoch_cache_assign(&epochs, scan->batches[i].leader_epoch, scan->batches[i].base_offset);
    epoch_cache_truncate_from_start(&epochs, from);
    epoch_cache_format(&epochs, &expected);
    /* The epoch of a leader that wrote nothing may be known or not. */
    epoch_cache_clear(&epochs);
    for (size_t i = 0; i < scan->log->epochs.count; i++)
        if (scan->log->epochs.entries[i].start_offset < scan->end)
            epoch_cache_assign(&epochs, scan->log->epochs.entries[i].epoch,
                               scan->log->epochs.entries[i].start_offset);
    epoch_cache_truncate_from_start(&epochs, from);
    epoch_cache_format(&epochs, &actual);
    SCAN_REQUIRE(scan, slice_equals(buffer_slice(&expected), buffer_slice(&actual)),
                 "the epochs are\n%snot\n%s", buffer_string(&actual), buffer_string(&expected));
    epoch_cache_release(&epochs);
    buffer_release(&expected);
    buffer_release(&actual);
}

/* Where the whole log is there the state of producers is what its batches make. */
static void check_producer_state(const struct scan *scan)
{
    if (scan->model->compacted_below > 0 || scan->model->start_ever > 0)
        return;
    struct producer_state *rebuilt = producer_state_new();
    for (size_t i = 0; i < scan->batches_count; i++) {
        struct scanned_batch header;
        struct producer_batch batch;
        const uint8_t *bytes = scan->bytes.data + scan->batches[i].position;
        SCAN_REQUIRE(scan, scanned_batch_parse(bytes, scan->batches[i].size_bytes, &header) == 0,
                     "a batch that cannot be parsed at %" PRId64, scan->batches[i].base_offset);
        if (partition_log_producer_batch(&header, bytes, &batch))
            producer_state_update(rebuilt, &batch, NULL);
    }
    struct buffer expected, actual;
    buffer_init(&expected);
    buffer_init(&actual);
    producer_state_encode(rebuilt, &expected);
    producer_state_encode(scan->log->producers, &actual);
    SCAN_REQUIRE(scan, slice_equals(buffer_slice(&expected), buffer_slice(&actual)),
                 "the state of %zu producers is not that of the batches (%zu)",
                 producer_state_count(scan->log->producers), producer_state_count(rebuilt));
    producer_state_free(rebuilt);
    buffer_release(&expected);
    buffer_release(&actual);
}

/* The last batch of the present producer is known again for what it is: a repeat. */
static void check_repeat(const struct scan *scan)
{
    const struct storm_partition *model = scan->model;
    const struct storm_batch *last = NULL;
    for (size_t i = 0; i < model->count; i++)
        if (model->batches[i].producer_id >= 0 && model->batches[i].producer_id == model->producer_id &&
            storm_batch_last_offset(&model->batches[i]) < scan->end)
            last = &model->batches[i];
    if (!last || last->base_offset < scan->start)
        return;
    struct log_append_result result;
    struct buffer bytes;
    buffer_init(&bytes);
    storm_batch_bytes(last, &bytes);
    int16_t error = partition_log_append_as_leader(scan->log, bytes.data, bytes.length, 9,
                                                   model->leader_epoch, scan->storm->now_ms, &result);
    SCAN_REQUIRE(scan, error == KAFKA_NONE && result.duplicate,
                 "batch %" PRId64 " of producer %" PRId64 ", sent again, gives error %d", last->base_offset,
                 last->producer_id, error);
    SCAN_REQUIRE(scan, result.last_offset == storm_batch_last_offset(last),
                 "batch %" PRId64 ", sent again, is said to be at %" PRId64, last->base_offset,
                 result.last_offset);
    buffer_release(&bytes);
}

/* ---- a partition, all of them ---- */

static void verify_log(struct storm *storm, int partition, struct partition_log *log, uint64_t *digest)
{
    struct scan scan = {
        .storm = storm,
        .partition = partition,
        .log = log,
        .model = &storm->model.partitions[partition],
        .start = partition_log_start_offset(log),
        .end = partition_log_end_offset(log),
    };
    buffer_init(&scan.bytes);
    check_bounds(&scan);
    scan_all(&scan);
    check_nothing_is_lost(&scan);
    check_reads(&scan);
    check_timestamps(&scan);
    check_epochs(&scan);
    check_producer_state(&scan);
    check_repeat(&scan);
    *digest = *digest * 31 + crc32c(0, scan.bytes.data, scan.bytes.length) + (uint64_t)scan.end;
    scan_release(&scan);
}

void storm_verify(struct storm *storm, uint64_t *digest)
{
    *digest = 0;
    for (int i = 0; i < STORM_PARTITIONS; i++) {
        const struct storm_partition *model = &storm->model.partitions[i];
        struct partition_log *log = storm_log(storm, i);
        struct storm_event found = {.kind = STORM_FOUND, .partition = i, .offset = -1};
        if (!log && model->existence == STORM_PRESENT)
            storm_fail(storm, i, "its folder is gone, with %zu batches", model->acknowledged);
        if (log && model->existence == STORM_ABSENT)
            storm_fail(storm, i, "it is there, and was deleted or never made");
        if (log) {
            verify_log(storm, i, log, digest);
            found.offset = partition_log_end_offset(log);
        }
        storm_emit(storm, &found);
    }
}

/* ---- the bytes on disk ---- */

struct names {
    char **names;
    bool *directories;
    size_t count;
    size_t capacity;
    size_t directories_capacity;
};

static int collect_name(void *context, const char *name, bool is_directory)
{
    struct names *names = context;
    size_t at = names->count;
    names->directories = memory_grow(names->directories, at, &names->directories_capacity, sizeof(bool));
    names->names = memory_grow(names->names, at, &names->capacity, sizeof(char *));
    while (at > 0 && strcmp(names->names[at - 1], name) > 0) {
        names->names[at] = names->names[at - 1];
        names->directories[at] = names->directories[at - 1];
        at--;
    }
    names->names[at] = memory_copy_string(name);
    names->directories[at] = is_directory;
    names->count++;
    return 0;
}

static void dump_directory(struct storm *storm, const char *path, int depth, struct buffer *out)
{
    struct names names = {.names = NULL};
    if (file_system_list(storm->files, path, collect_name, &names))
        storm_fail(storm, -1, "%s cannot be listed", path);
    for (size_t i = 0; i < names.count; i++) {
        struct buffer full, content;
        buffer_init(&full);
        buffer_init(&content);
        buffer_print(&full, "%s/%s", path, names.names[i]);
        if (names.directories[i] && depth > 0)
            dump_directory(storm, buffer_string(&full), depth - 1, out);
        else if (!names.directories[i] &&
                 file_system_read_all(storm->files, buffer_string(&full), SIZE_MAX / 2, &content))
            storm_fail(storm, -1, "%s cannot be read", buffer_string(&full));
        buffer_print(out, "\n%s %zu\n", buffer_string(&full), content.length);
        buffer_append(out, content.data, content.length);
        buffer_release(&full);
        buffer_release(&content);
        free(names.names[i]);
    }
    free(names.names);
    free(names.directories);
}

void storm_dump(struct storm *storm, struct buffer *out)
{
    for (int i = 0; i < STORM_DIRECTORIES; i++)
        dump_directory(storm, storm->directories[i], 1, out);
}
