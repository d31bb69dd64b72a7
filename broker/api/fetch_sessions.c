/* SPDX-License-Identifier: Apache-2.0 */
/* Which cache a request belongs to: by its session's id; a new session goes to one at random. */
#include "broker/api/fetch_sessions.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/prng.h"

#define SHARDS_MAX 8

struct shard {
    pthread_mutex_t mutex;
    struct fetch_session_cache *cache;
    struct prng prng;
};

struct fetch_sessions {
    struct shard shards[SHARDS_MAX];
    size_t count;
    int32_t ids_per_shard;
};

struct fetch_sessions *fetch_sessions_new(size_t slots, uint64_t seed)
{
    struct fetch_sessions *sessions = memory_allocate_zeroed(1, sizeof(*sessions));
    struct prng prng;
    prng_init(&prng, seed);
    sessions->count = slots < SHARDS_MAX ? 1 : SHARDS_MAX;
    sessions->ids_per_shard = (int32_t)(INT32_MAX / sessions->count);
    for (size_t i = 0; i < sessions->count; i++) {
        struct shard *shard = &sessions->shards[i];
        int32_t first = 1 + (int32_t)i * sessions->ids_per_shard;
        size_t share = slots / sessions->count + (i < slots % sessions->count ? 1 : 0);
        pthread_mutex_init(&shard->mutex, NULL);
        shard->cache =
            fetch_session_cache_new(share, first, first + (sessions->ids_per_shard - 1), prng_next(&prng));
        prng_init(&shard->prng, prng_next(&prng));
    }
    return sessions;
}

void fetch_sessions_free(struct fetch_sessions *sessions)
{
    if (sessions == NULL)
        return;
    for (size_t i = 0; i < sessions->count; i++) {
        fetch_session_cache_free(sessions->shards[i].cache);
        pthread_mutex_destroy(&sessions->shards[i].mutex);
    }
    free(sessions);
}

static struct shard *shard_of_id(struct fetch_sessions *sessions, int32_t id)
{
    size_t number = id > 0 ? (size_t)(id - 1) / (size_t)sessions->ids_per_shard : 0;
    return &sessions->shards[min_size(number, sessions->count - 1)];
}

/* New sessions are spread evenly. */
static struct shard *shard_for_new(struct fetch_sessions *sessions)
{
    struct shard *first = &sessions->shards[0];
    pthread_mutex_lock(&first->mutex);
    size_t number = (size_t)prng_below(&first->prng, sessions->count);
    pthread_mutex_unlock(&first->mutex);
    return &sessions->shards[number];
}

int16_t fetch_sessions_begin(struct fetch_sessions *sessions, const struct fetch_session_request *request,
                             int64_t now_ms, struct arena *arena, struct fetch_context *context)
{
    struct shard *shard = shard_of_id(sessions, request->session_id);
    pthread_mutex_lock(&shard->mutex);
    int16_t error = fetch_session_begin(shard->cache, request, now_ms, arena, context);
    pthread_mutex_unlock(&shard->mutex);
    return error;
}

int16_t fetch_sessions_complete(struct fetch_sessions *sessions, const struct fetch_context *context,
                                const struct fetch_outcome *outcomes, int64_t now_ms, bool *include,
                                int32_t *session_id)
{
    struct shard *shard =
        context->kind == FETCH_FULL ? shard_for_new(sessions) : shard_of_id(sessions, context->session_id);
    pthread_mutex_lock(&shard->mutex);
    int16_t error = fetch_session_complete(shard->cache, context, outcomes, now_ms, prng_next(&shard->prng),
                                           include, session_id);
    pthread_mutex_unlock(&shard->mutex);
    return error;
}
