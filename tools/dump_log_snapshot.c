/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `.snapshot` files, the producers' state (format in broker/log/producer_state.h): checked as a whole first,
 * then a line a producer. Read twice, in pieces, so that a snapshot of many producers takes no memory.
 */
#include <inttypes.h>

#include "common/bytes.h"
#include "common/crc32c.h"
#include "proto/records/batch.h"
#include "tools/dump_log.h"

#define SNAPSHOT_VERSION 1
#define HEADER_BYTES 10
#define ENTRY_BYTES 46
#define CRC_AT 2
#define COVERED_FROM 6
#define CHUNK_BYTES 16384

static void print_producer(struct dump *dump, const uint8_t *bytes)
{
    struct byte_reader reader;
    reader_init(&reader, slice_make(bytes, ENTRY_BYTES));
    int64_t producer_id = reader_i64(&reader);
    int16_t epoch = reader_i16(&reader);
    int32_t last_sequence = reader_i32(&reader);
    int64_t last_offset = reader_i64(&reader);
    int32_t offset_delta = reader_i32(&reader);
    int64_t timestamp = reader_i64(&reader);
    int32_t coordinator_epoch = reader_i32(&reader);
    int64_t first_offset = reader_i64(&reader);
    buffer_print(&dump->line,
                 "producerId: %" PRId64 " producerEpoch: %d coordinatorEpoch: %" PRId32
                 " currentTxnFirstOffset: ",
                 producer_id, epoch, coordinator_epoch);
    if (first_offset >= 0)
        buffer_print(&dump->line, "OptionalLong[%" PRId64 "]", first_offset);
    else
        buffer_append_string(&dump->line, "OptionalLong.empty");
    buffer_print(&dump->line, " lastTimestamp: %" PRId64 " ", timestamp);
    if (last_offset >= 0) {
        /* Back from the last one, past 0 to the end of the range. */
        int32_t first_sequence = (int32_t)(((uint32_t)last_sequence - (uint32_t)offset_delta) & INT32_MAX);
        buffer_print(&dump->line,
                     "firstSequence: %" PRId32 " lastSequence: %" PRId32 " lastOffset: %" PRId64
                     " offsetDelta: %" PRId32 " timestamp: %" PRId64,
                     first_sequence, last_sequence, last_offset, offset_delta, timestamp);
    }
    writer_u8(&dump->line, '\n');
    dump_flush(dump);
}

/* The CRC of what it covers. 0, or -errno. */
static int compute_crc(struct dump *dump, const struct dump_file *file, uint32_t *crc)
{
    uint8_t chunk[CHUNK_BYTES];
    *crc = 0;
    for (int64_t position = COVERED_FROM; position < file->size;) {
        size_t step = (size_t)min_i64((int64_t)sizeof(chunk), file->size - position);
        int error = dump_read(dump, file, chunk, step, position);
        if (error)
            return error;
        *crc = crc32c(*crc, chunk, step);
        position += (int64_t)step;
    }
    return 0;
}

void dump_producer_snapshot(struct dump *dump, struct dump_file *file)
{
    uint8_t header[HEADER_BYTES], entry[ENTRY_BYTES];
    uint32_t crc;
    if (file->size < HEADER_BYTES) {
        dump_complain(dump, "Snapshot failed schema validation: %s has only %" PRId64 " bytes", file->path,
                      file->size);
        return;
    }
    if (dump_read(dump, file, header, sizeof(header), 0))
        return;
    int16_t version = (int16_t)load_u16(header);
    uint32_t stored = load_u32(header + CRC_AT);
    int32_t count = (int32_t)load_u32(header + COVERED_FROM);
    if (count < 0 || count > (file->size - HEADER_BYTES) / ENTRY_BYTES) {
        dump_complain(dump,
                      "Snapshot failed schema validation: %s says that it has %" PRId32
                      " producers, in %" PRId64 " bytes",
                      file->path, count, file->size);
        return;
    }
    if (version != SNAPSHOT_VERSION) {
        dump_complain(dump, "Snapshot contained an unknown file version %d", version);
        return;
    }
    if (compute_crc(dump, file, &crc))
        return;
    if (crc != stored) {
        dump_complain(dump,
                      "Snapshot is corrupt (CRC is no longer valid). Stored crc: %" PRIu32
                      ". Computed crc: %" PRIu32,
                      stored, crc);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        if (dump_read(dump, file, entry, sizeof(entry), HEADER_BYTES + (int64_t)i * ENTRY_BYTES))
            return;
        print_producer(dump, entry);
    }
}
