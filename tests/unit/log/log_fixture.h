/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the log share: batches from a seed, a log on a disk in memory, and a model of what it
 * must hold, to compare with after anything was done to it.
 */
#ifndef TESTS_UNIT_LOG_LOG_FIXTURE_H
#define TESTS_UNIT_LOG_LOG_FIXTURE_H

#include "broker/log/partition_log.h"
#include "common/buffer.h"
#include "common/prng.h"
#include "tests/support/memory_files.h"

#define FIXTURE_DIRECTORY "/data/orders-0"

struct model_record {
    int64_t offset;
    int64_t timestamp;
};

/* One batch as it must stand in the log. */
struct model_batch {
    struct buffer bytes; /* patched */
    int64_t base_offset;
    int64_t last_offset;
    int32_t leader_epoch;
    int64_t producer_id;
};

struct log_fixture {
    struct memory_files *disk;
    struct prng prng;
    struct partition_log_options options;
    struct partition_log *log;
    int64_t now_ms;
    int32_t leader_epoch;
    struct model_batch *batches;
    size_t batches_count;
    size_t batches_capacity;
    int64_t checkpointed_recovery_point;
    struct buffer in_flight; /* the batch of the last append that the disk refused: it may be in the log */
    int64_t next_producer_id;
    int32_t next_sequence; /* of that producer */
};

/* What a batch is made of. */
struct batch_plan {
    int record_count;
    size_t value_bytes; /* at most */
    int64_t timestamp;
    int64_t timestamp_spread; /* records differ by up to so much */
    int64_t producer_id;      /* -1: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    int codec;
};

struct batch_plan batch_plan_plain(int record_count, int64_t timestamp);
/* Appends the batch, as a producer sends it, to `out`. */
void make_batch(struct prng *prng, const struct batch_plan *plan, struct buffer *out);
/* Appends one of epoch 1 that begins at `offset`, as a follower does. */
int16_t follow_batch(struct partition_log *log, struct prng *prng, const struct batch_plan *plan,
                     int64_t offset, int64_t now_ms);

/* A disk with /data on it, small segments and sparse indexes to get many of both; opens no log. */
void log_fixture_init(struct log_fixture *fixture, uint64_t seed);
void log_fixture_release(struct log_fixture *fixture);
/* Opens the log; clean or not. Returns what partition_log_open does. */
int log_fixture_open(struct log_fixture *fixture, bool clean);
/* A clean stop: closes the log, checkpoints its recovery point, frees it. */
void log_fixture_stop(struct log_fixture *fixture);
/* Frees the log without closing it. */
void log_fixture_drop(struct log_fixture *fixture);
/* Drops, crashes the disk, opens again; asserts that this works. */
void log_fixture_crash(struct log_fixture *fixture, enum memory_files_crash crash);

/* Appends as a leader; on success the model has it too. The Kafka error. */
int16_t log_fixture_append_plan(struct log_fixture *fixture, const struct batch_plan *plan);
/* The same with a plain batch of random size. */
int16_t log_fixture_append(struct log_fixture *fixture);
/* A batch of the present idempotent producer. */
int16_t log_fixture_append_idempotent(struct log_fixture *fixture);
/* Takes a whole batch, with its offset and epoch, as a follower; on success the model has it too. */
int16_t log_fixture_follow(struct log_fixture *fixture, const struct buffer *batch);
int16_t log_fixture_truncate(struct log_fixture *fixture, int64_t offset);
/* The model forgets everything at and above `offset`. */
void log_fixture_model_truncate(struct log_fixture *fixture, int64_t offset);

/* The log holds exactly the model's batches from its start on: read from every batch's base and in large
 * pieces. */
void log_fixture_check(struct log_fixture *fixture);
/* The model becomes what these batches are. */
void log_fixture_model_from(struct log_fixture *fixture, struct slice batches);
/* Appends the model's batches. */
void log_fixture_model_bytes(const struct log_fixture *fixture, struct buffer *out);
/* Epochs, producer state and indexes of aborted transactions are what the batches of the log say. */
void log_fixture_check_derived(struct log_fixture *fixture);
/* Everything in the log's folder as one text, to compare. */
void log_fixture_dump(struct log_fixture *fixture, struct buffer *out);
/* Reads the whole log, from its start. */
void log_fixture_read_all(struct log_fixture *fixture, struct buffer *out);
/* Another start, after a crash of the process, changes no file; and a power cut takes nothing of it back. */
void log_fixture_check_second_start(struct log_fixture *fixture);

#endif
