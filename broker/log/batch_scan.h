/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking over the batches of a segment file by their headers, without reading what lies between, or, for
 * recovery, with every byte. Knows record batches v2 and the entries of old message sets (v0, v1), which may
 * stand in segments that an older broker wrote.
 *
 * Nothing read is believed: a length below the format's minimum or beyond the end, an unknown magic, or a
 * last offset below the base ends the walk with -EBADMSG at the position of that batch. A disk that refuses
 * is another thing and keeps its -errno (invariant I6).
 */
#ifndef BROKER_LOG_BATCH_SCAN_H
#define BROKER_LOG_BATCH_SCAN_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"
#include "proto/records/batch.h"

struct segment;

/* How much is read at a time: to find a batch behind an index entry; to walk over the headers of a segment
 * (less where batches are large); to read every byte of it. */
#define SCAN_CHUNK_LOOKUP 4096
#define SCAN_CHUNK_HEADERS ((size_t)64 * 1024)
#define SCAN_CHUNK_WHOLE ((size_t)1024 * 1024)
/* From this size of batches on a chunk of headers would be mostly payload. */
#define SCAN_LARGE_BATCH_BYTES ((int64_t)16 * 1024)

struct scanned_batch {
    int64_t position;
    int64_t size_bytes;  /* on disk, all of it */
    int64_t base_offset; /* of an old compressed message: its last */
    int64_t last_offset;
    int64_t max_timestamp; /* -1: none */
    int64_t producer_id;   /* -1: none */
    int32_t base_sequence;
    int32_t leader_epoch; /* -1 in old formats */
    int32_t last_offset_delta;
    int16_t producer_epoch;
    int8_t magic;
    bool transactional;
    bool control;
    bool thinned; /* fewer records than offsets: compaction took some */
};

/*
 * Reads the header at the front of `bytes`, of which `available` are there (all there are, when fewer than
 * RECORD_BATCH_HEADER_BYTES). position is left alone. 0, or -EBADMSG.
 */
MUST_CHECK int scanned_batch_parse(const uint8_t *bytes, size_t available, struct scanned_batch *batch);
/* Whether the CRC of a whole batch is right. */
bool scanned_batch_check_crc(const struct scanned_batch *batch, const uint8_t *bytes);
/* Reads type and coordinator epoch of a transaction marker from the whole batch; false when it is none. */
bool scanned_batch_marker(const struct scanned_batch *batch, const uint8_t *bytes, bool *commit,
                          int32_t *coordinator_epoch);

struct batch_scanner {
    struct segment *segment; /* borrowed, its file open */
    int64_t position;        /* of the next batch */
    int64_t end;
    size_t chunk_bytes;
    int64_t last_size_bytes; /* of the batch given last */
    struct buffer chunk;
    int64_t chunk_position;
};

/* From `position`, where a batch begins, to `end`. The segment's file must be open. */
void batch_scanner_init(struct batch_scanner *scanner, struct segment *segment, int64_t position, int64_t end,
                        size_t chunk_bytes);
void batch_scanner_release(struct batch_scanner *scanner);
/* The next batch: 1; 0 at the end; -EBADMSG; -errno. */
MUST_CHECK int batch_scanner_next(struct batch_scanner *scanner, struct scanned_batch *batch);
/* All bytes of the batch just given, valid until the next call. 0, or -errno. */
MUST_CHECK int batch_scanner_bytes(struct batch_scanner *scanner, const struct scanned_batch *batch,
                                   const uint8_t **bytes);

#endif
