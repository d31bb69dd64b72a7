/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Fetch from its arrival to its answer, shared by the three files that carry it: fetch.c (arrival,
 * waiting), fetch_read.c (reading the partitions), fetch_answer.c (the answer).
 *
 * Reading is planning: each read takes bounds and a range of a file under the partition's lock, and no byte
 * is touched. When there is too little, the ranges are given back, the request parks on its partitions, and
 * when something moved all is read again.
 */
#ifndef BROKER_API_FETCH_OPERATION_H
#define BROKER_API_FETCH_OPERATION_H

#include "broker/api/api.h"
#include "broker/api/fetch_session.h"
#include "broker/api/parking.h"
#include "proto/kafka/messages/fetch.h"

#define FETCH_FIRST_VERSION_AT_LEAST_ONE 3 /* the first batch comes whole, whatever the limits (KIP-74) */
#define FETCH_FIRST_VERSION_NEW_FORMAT 4
#define FETCH_LAST_VERSION_WITHOUT_STORAGE_ERROR 5
#define FETCH_FIRST_VERSION_SESSIONS 7
#define FETCH_FIRST_VERSION_ZSTD 10
#define FETCH_FIRST_VERSION_FROM_FOLLOWERS 11
#define FETCH_FIRST_VERSION_TOPIC_IDS 13
#define FETCH_FIRST_VERSION_REPLICA_STATE 15
#define FETCH_FIRST_VERSION_LEADER_HINTS 16

#define FETCH_READ_COMMITTED 1 /* isolation_level */

/* What was found in one partition of the context. */
struct fetch_read {
    struct slice topic;          /* its name; null where the id is unknown */
    struct partition *partition; /* a reference, or NULL */
    int16_t error;
    int32_t preferred_replica;  /* where a consumer should read instead (KIP-392), or -1 */
    struct fetch_result result; /* its range is ours until the answer takes it; released with the rest */
};

struct fetch_operation {
    struct parking parking;
    struct api_context *context;
    struct request *request;
    struct fetch_request body;
    int16_t version;
    int32_t replica_id; /* -1: a consumer */
    int64_t replica_epoch;
    int64_t min_bytes;
    int64_t max_bytes;
    int64_t deadline_ms;
    struct arena arena; /* no budget: bounded by what was decoded and by the session */
    struct fetch_context fetch;
    struct fetch_read *reads; /* one for each of fetch.partitions */
    bool light;               /* parked without its frame */
    bool moved;  /* the deadline is not the client's: a partition moved while it was to be watched */
    int retries; /* because of that */

    /* Of the last reading. */
    int64_t bytes;
    bool must_answer; /* an error, a divergence, or nothing can be added to what was found */
    int64_t
        held_up_ms; /* a follower may have more after so long (replication_throttle.h); 0: none is held up */
};

/* Reads all partitions. Names that it finds are copied into the arena. */
void fetch_operation_read(struct fetch_operation *operation);
/* Gives ranges and partitions back. */
void fetch_operation_forget(struct fetch_operation *operation);

/* Whether this is a follower's fetch, and followers serve consumers: they hear of the high watermark at once.
 */
bool fetch_operation_tells_high_watermark(const struct fetch_operation *operation);

/* Answers with what was read; the request is gone afterwards. */
void fetch_operation_answer(struct fetch_operation *operation);
/* Answers with an error of the whole and no partitions. */
void fetch_answer_error(struct request *request, int16_t error);

#endif
