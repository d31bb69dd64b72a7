/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a leader checks in the records that a producer sends for one partition, in Kafka's order, before
 * anything of them is appended; all but the producer's sequence, which needs the partition's state.
 *
 * Records are looked at one by one only where that is cheap or needed: when they are not compressed, when the
 * topic is compacted (keys), or when the topic wants another codec. Compressed records of other topics are
 * taken as they are, by their header: consumers check them anyway, and the broker stays out of their way.
 * Only their count must be one that a batch of the largest size could hold.
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

/* compression.type=producer: whatever codec the producer chose. */
#define RECORD_CODEC_OF_PRODUCER (-1)

/* Uncompressed records may take this many times max_message_bytes: honest data reaches about 100 (B29). */
#define RECORD_DECOMPRESSED_RATIO_MAX 256

/* The smallest record: its length, attributes, two deltas, no key, no value, no headers, a byte each. */
#define RECORD_BYTES_MIN 7

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
     * The largest timestamp as it is to be appended: now for append time; of the records where they were
     * walked, else what the header says. The caller writes it with record_batch_set_append_time or
     * record_batch_set_max_timestamp.
     */
    int64_t max_timestamp;
    /* The first record that has it, as a delta from the base offset; -1: not known, the records were not
     * walked. */
    int32_t max_timestamp_offset_delta;
    bool walked;          /* `records` is set */
    struct slice records; /* uncompressed; in the payload or in the scratch buffer */
    /* The topic wants another codec, or the offset deltas are not 0..n-1: append what record_batch_rebuild
     * makes of batch and records, not the payload, and compare its size to max_message_bytes again. */
    bool must_rebuild;
    enum codec target_codec; /* then */
};

/*
 * Checks the payload of one partition in a Produce request. Returns KAFKA_NONE or the error to answer, with
 * its reason in *result. `scratch` receives uncompressed records; result->records points there, so it must
 * outlive the result. now_ms: wall time.
 */
MUST_CHECK enum kafka_error record_validate(struct slice payload,
                                            const struct record_validation_settings *settings, int64_t now_ms,
                                            struct buffer *scratch, struct record_validation *result);

#endif
