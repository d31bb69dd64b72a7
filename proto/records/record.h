/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records inside a batch, once they are uncompressed. Each is
 *
 *   varint length of what follows, int8 attributes (0), varlong timestamp delta, varint offset delta,
 *   varint key length and key, varint value length and value (-1: null),
 *   varint header count, then for each header: varint key length and key, varint value length and value
 *
 * The iterator never reads past the end of what it is given, allocates nothing, and believes no count. Pure.
 */
#ifndef PROTO_RECORDS_RECORD_H
#define PROTO_RECORDS_RECORD_H

#include "common/base.h"
#include "common/bytes.h"
#include "common/slice.h"
#include "proto/records/batch.h"

/* One record. Slices borrow from the records iterated over; null ones are the nulls of the format. */
struct record {
    int64_t offset;
    int64_t timestamp; /* the batch's append time, where it has one */
    int32_t offset_delta;
    int64_t timestamp_delta;
    struct slice key;
    struct slice value;
    int32_t header_count;
    struct slice headers; /* encoded; well-formed: see record_header_next */
};

struct record_header {
    struct slice key; /* never null */
    struct slice value;
};

struct record_iterator {
    struct byte_reader reader;
    int64_t base_offset;
    int64_t base_timestamp;
    bool has_append_time; /* else each record has its own timestamp */
    int64_t append_time;
    int32_t left; /* records that the header of the batch promises */
};

/* `records`: what record_batch_decompress gave; must outlive the iterator. */
void record_iterator_init(struct record_iterator *iterator, const struct record_batch *batch,
                          struct slice records);
/*
 * 1: *record is the next one. 0: as many records as the batch says have come, and nothing is left over.
 * -EBADMSG: damaged, fewer, or more. After 0 or an error the iterator is at its end.
 */
MUST_CHECK int record_iterator_next(struct record_iterator *iterator, struct record *record);
/*
 * Parses what follows a record's length: `body` is exactly that. False: damaged. Of the iterator only what
 * the batch says is used (its offset and timestamps), not its place.
 */
MUST_CHECK bool record_parse_body(const struct record_iterator *iterator, struct slice body,
                                  struct record *record);

/* reader_init(&reader, record.headers), then true as often as record.header_count says. */
bool record_header_next(struct byte_reader *reader, struct record_header *header);

#endif
