/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Incremental fetch sessions, the broker's side (KIP-227).
 *
 * A client that fetches from many partitions names them once; the broker remembers them and what it last said
 * of each. From then on the client sends what changed, and gets an answer only for partitions that have
 * something new.
 *
 *   (id 0, epoch -1)   no session: the answer holds all
 *   (id 0, epoch 0)    a new session, if there is room; the answer holds all and names the session
 *   (id n, epoch 0)    ends n, then as above
 *   (id n, epoch -1)   ends n, then no session
 *   (id n, epoch e>0)  the next fetch of session n: changes, and forgotten partitions; e counts 1, 2, 3...
 *                      and after INT32_MAX comes 1 again
 *
 * A fetch has two ends: fetch_session_begin finds out what to read, fetch_session_complete what to tell. In
 * between a cache may be used by others: what begin hands out is a copy.
 *
 * Pure: time and random numbers are arguments, no locks (see fetch_sessions.h).
 */
#ifndef BROKER_API_FETCH_SESSION_H
#define BROKER_API_FETCH_SESSION_H

#include "common/arena.h"
#include "common/base.h"
#include "common/slice.h"
#include "common/uuid.h"

#define FETCH_SESSION_NONE 0
#define FETCH_EPOCH_INITIAL 0
#define FETCH_EPOCH_FINAL (-1)

/* A session that was not used for so long may go; one that is younger than that stays. */
#define FETCH_SESSION_EVICTION_MS 120000

/* More partitions are neither taken in one request nor remembered in one session. */
#define FETCH_PARTITIONS_MAX 50000
/* Partitions in all sessions of a cache. */
#define FETCH_SESSIONS_PARTITIONS_MAX (2 * FETCH_PARTITIONS_MAX)
/* Longer than any topic's name: no session remembers one that is longer. */
#define FETCH_SESSION_NAME_MAX 249

/* What to read from one partition. */
struct fetch_partition {
    struct slice topic;   /* null in requests by id */
    struct uuid topic_id; /* zero in requests by name */
    int32_t partition;
    int32_t current_leader_epoch;
    int32_t last_fetched_epoch;
    int64_t fetch_offset;
    int64_t log_start_offset; /* a follower's; -1 */
    int32_t max_bytes;
};

struct forgotten_partition {
    struct slice topic;
    struct uuid topic_id;
    int32_t partition;
};

struct fetch_session_request {
    int32_t session_id;
    int32_t session_epoch;
    bool uses_topic_ids; /* v13+ */
    bool follower;
    const struct fetch_partition *partitions;
    size_t partitions_count;
    const struct forgotten_partition *forgotten;
    size_t forgotten_count;
};

enum fetch_context_kind {
    FETCH_SESSIONLESS,
    FETCH_FULL,        /* a session is to be made of it */
    FETCH_INCREMENTAL, /* of a session */
};

/* One fetch under way. */
struct fetch_context {
    enum fetch_context_kind kind;
    int32_t session_id;    /* FETCH_INCREMENTAL */
    int32_t session_epoch; /* the one that the client sends next */
    bool uses_topic_ids;
    bool follower;
    struct fetch_partition *partitions; /* in the order to read them */
    size_t partitions_count;
};

/* What was read from one partition, in the order of the context's. */
struct fetch_outcome {
    int16_t error;
    int64_t high_watermark;
    int64_t last_stable_offset;
    int64_t log_start_offset;
    bool has_records;
    bool diverging;
    bool preferred_replica;
};

struct fetch_session_cache;

/*
 * A cache for up to `slots` sessions whose ids lie in [first_id, last_id]. `seed` is random: the keys in
 * sessions are chosen by strangers.
 */
struct fetch_session_cache *fetch_session_cache_new(size_t slots, int32_t first_id, int32_t last_id,
                                                    uint64_t seed);
void fetch_session_cache_free(struct fetch_session_cache *cache);
size_t fetch_session_cache_size(const struct fetch_session_cache *cache);

/*
 * Begins a fetch. KAFKA_NONE and *context filled, its array and names in `arena`; or
 * KAFKA_FETCH_SESSION_ID_NOT_FOUND, KAFKA_INVALID_FETCH_SESSION_EPOCH, KAFKA_FETCH_SESSION_TOPIC_ID_ERROR.
 */
int16_t fetch_session_begin(struct fetch_session_cache *cache, const struct fetch_session_request *request,
                            int64_t now_ms, struct arena *arena, struct fetch_context *context);

/*
 * Ends it: include[i] tells whether partition i belongs into the answer; *session_id is the answer's.
 * `random` is drawn anew for each call. KAFKA_NONE, or KAFKA_INVALID_FETCH_SESSION_EPOCH /
 * KAFKA_FETCH_SESSION_ID_NOT_FOUND when the session has moved on or gone meanwhile: then nothing is included.
 */
int16_t fetch_session_complete(struct fetch_session_cache *cache, const struct fetch_context *context,
                               const struct fetch_outcome *outcomes, int64_t now_ms, uint64_t random,
                               bool *include, int32_t *session_id);

/* The epoch after `epoch`. */
int32_t fetch_session_next_epoch(int32_t epoch);

#endif
