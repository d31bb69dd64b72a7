/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leader checks in the records that a producer sends for one partition, in Kafka's order, before
 * anything of them is appended; all but the producer's sequence, which needs the partition's state.
 *
 * As Kafka does, it looks at every record, also inside compressed batches: that there are as many as the
 * batch says and nothing behind them, their timestamps, their keys where the topic is compacted, and their
 * offset deltas. Compressed records are uncompressed a piece at a time and forgotten again (see walk.h). What
 * a small batch may unfold to has a bound, for the time that it takes and for its consumers; where it must be
 * written anew (the topic wants another codec, or the deltas have gaps) the bound is lower, for then its
 * records will be held whole, and the result says how much that is, so that the caller may wait or refuse.
 *
 * Pure: the time is an argument.
 */
#ifndef PROTO_RECORDS_VALIDATE_H
#define PROTO_RECORDS_VALIDATE_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"
#include "proto/kafka/error.h"
#include "proto/records/batch.h"
#include "proto/records/walk.h"

/* compression.type=producer: whatever codec the producer chose. */
#define RECORD_CODEC_OF_PRODUCER (-1)

/* Uncompressed records may take this many times max_message_bytes: honest data reaches about 100 (B29). */
#define RECORD_DECOMPRESSED_RATIO_MAX 256
/* ... and never more than this: as a whole, and where the broker must hold them whole to write them anew. */
#define RECORD_DECOMPRESSED_BYTES_MAX ((int64_t)1024 * 1024 * 1024)
#define RECORD_REBUILT_BYTES_MAX ((int64_t)64 * 1024 * 1024)

/* What holds for the request and the topic. */
struct record_validation_settings {
    int16_t produce_version; /* of the request */
    bool compacted;          /* cleanup.policy has compact */
    bool append_time;        /* message.timestamp.type=LogAppendTime */
    int32_t max_message_bytes;
    int64_t timestamp_before_max_ms; /* message.timestamp.before.max.ms */
    int64_t timestamp_after_max_ms;  /* message.timestamp.after.max.ms */
    int codec;                       /* compression.type: an enum codec, or RECORD_CODEC_OF_PRODUCER */
};

/* A record that was refused, for the record errors of Produce v8+. */
struct record_error {
    int32_t index; /* in the batch, from 0 */
    const char *reason;
};

/* More are not told; as many as a person reads. */
#define RECORD_ERRORS_MAX 10

struct record_validation {
    struct record_batch batch; /* all of the payload; valid when there is no error */
    const char *reason;        /* of the error, for a person; a constant. NULL: no error */
    struct record_error errors[RECORD_ERRORS_MAX];
    size_t error_count; /* 0: the batch as a whole is at fault */
    int32_t record_count;
    /*
     * The largest timestamp as it is to be appended: now for append time, else of the records. The caller
     * writes it with record_batch_set_append_time or record_batch_set_max_timestamp.
     */
    int64_t max_timestamp;
    /* The first record that has it, as a delta from the base offset; with append time the last record, by
     * which time indexes know a batch. */
    int32_t max_timestamp_offset_delta;
    size_t uncompressed_bytes; /* of the records */
    /* The topic wants another codec, or the offset deltas are not 0..n-1: append what record_batch_rebuild
     * makes of the batch, not the payload, and compare its size to max_message_bytes again. */
    bool must_rebuild;
    enum codec target_codec; /* then */
};

/*
 * Checks the payload of one partition in a Produce request. Returns KAFKA_NONE or the error to answer, with
 * its reason in *result. `walker`: any, for its memory. now_ms: wall time.
 */
MUST_CHECK enum kafka_error record_validate(struct slice payload,
                                            const struct record_validation_settings *settings, int64_t now_ms,
                                            struct record_walker *walker, struct record_validation *result);

#endif
