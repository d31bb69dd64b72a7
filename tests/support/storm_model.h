/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What 20 partitions may hold after a crash, from a journal of events: each thing that is done to them has an
 * event before it begins and one when it is acknowledged. Events have a fixed size, so that a process may
 * write them to a pipe and be killed at any moment; whoever replays them knows as much as it did.
 *
 * Rules (a storm appends with flush.messages=1: what is acknowledged is durable):
 *
 *   1. A record that was acknowledged is there, unless it lies below a start that was asked for, a later
 * record of its key is there in a partition whose compaction was begun, a truncation that covers it was
 * begun, or the partition's deletion was.
 *   2. What is there was written: byte by byte, at that offset. A batch is there whole, or thinned by
 * compaction.
 *   3. Of a truncation or an append that was under way at the crash a prefix may be there.
 *
 * Contents follow from numbers: record i of batch number n has a key and a value that storm_key and
 * storm_value make anew, so the model keeps no bytes.
 *
 * Not thread-safe.
 */
#ifndef TESTS_SUPPORT_STORM_MODEL_H
#define TESTS_SUPPORT_STORM_MODEL_H

#include "common/base.h"
#include "common/buffer.h"

#define STORM_PARTITIONS 20
#define STORM_KEYS 8 /* of a partition */
#define STORM_VALUE_BYTES_MAX 160

enum storm_event_kind {
    STORM_NOTHING,
    STORM_CREATE,       /* begun */
    STORM_CREATED,      /* done */
    STORM_APPEND,       /* a batch: all fields */
    STORM_APPENDED,     /* the batch is durable */
    STORM_TRUNCATE,     /* everything from `offset` on is to go */
    STORM_TRUNCATED,    /* `offset`: where the log ends now; durable */
    STORM_START,        /* what lies below `offset` may go */
    STORM_STARTED,      /* `offset`: the log start as it is */
    STORM_CHECKPOINTED, /* `offset`: the log start that the checkpoint has now */
    STORM_COMMIT,       /* `offset`: the high watermark */
    STORM_COMPACT,      /* may begin to thin out what lies below `offset` */
    STORM_DELETE,
    STORM_DELETED,
    STORM_FOUND, /* after a crash: the log ends at `offset`; -1: it is not there */
    STORM_EPOCH, /* `leader_epoch` begins */
};

struct storm_event {
    int32_t kind; /* enum storm_event_kind */
    int32_t partition;
    int64_t offset; /* of a batch: its base */
    uint64_t number;
    int64_t timestamp;
    int64_t producer_id; /* -1: none */
    int32_t base_sequence;
    int32_t leader_epoch;
    int32_t record_count;
    int32_t bytes;
};

struct storm_batch {
    int64_t base_offset;
    uint64_t number;
    int64_t timestamp;
    int64_t producer_id;
    int32_t base_sequence;
    int32_t leader_epoch;
    int32_t record_count;
    int32_t bytes;
};

enum storm_existence { STORM_ABSENT, STORM_CREATING, STORM_PRESENT, STORM_DELETING };

struct storm_partition {
    enum storm_existence existence;
    struct storm_batch *batches; /* ascending, without gaps */
    size_t count;
    size_t capacity;
    size_t acknowledged;     /* so many of them are */
    int64_t truncating_to;   /* INT64_MAX: no truncation is under way */
    int64_t start_max;       /* the highest start that may be found */
    int64_t start_ever;      /* the highest that there was: a crash may have brought an older one back */
    int64_t start_min;       /* the start that a checkpoint on disk has */
    int64_t high_watermark;  /* nothing below is truncated, only what is below is compacted */
    int64_t compacted_below; /* 0: never */
    int32_t leader_epoch;
    int64_t producer_id; /* the present idempotent producer */
    int32_t next_sequence;
};

struct storm_model {
    struct storm_partition partitions[STORM_PARTITIONS];
    uint64_t next_number;
    int64_t next_producer_id;
};

void storm_model_init(struct storm_model *model);
void storm_model_release(struct storm_model *model);
void storm_model_apply(struct storm_model *model, const struct storm_event *event);

int64_t storm_batch_last_offset(const struct storm_batch *batch);
/* Where the model's log ends, an append that is under way included; the start where it is empty. */
int64_t storm_partition_end(const struct storm_partition *partition);
/* The batch that covers `offset`, or NULL. */
const struct storm_batch *storm_partition_find(const struct storm_partition *partition, int64_t offset);

/* The key of record `index` of a batch: a number below STORM_KEYS. */
uint32_t storm_key_number(uint64_t number, int32_t index);
/* Appends key and value of that record; false: the value is null. */
void storm_key(uint64_t number, int32_t index, struct buffer *out);
bool storm_value(uint64_t number, int32_t index, struct buffer *out);
int64_t storm_record_timestamp(const struct storm_batch *batch, int32_t index);
/* Appends the batch as a producer sends it. */
void storm_batch_bytes(const struct storm_batch *batch, struct buffer *out);

#endif
