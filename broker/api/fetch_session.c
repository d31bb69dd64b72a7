/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and the cache that bounds them. */
#include "broker/api/fetch_session.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/list.h"
#include "common/map.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

/* A partition as a session remembers it. */
struct cached_partition {
    struct fetch_partition request; /* its topic points to `name` */
    int64_t high_watermark;         /* as last told; -1: to be told again */
    int64_t last_stable_offset;     /* likewise, as the next */
    int64_t log_start_offset;
    uint8_t name[];
};

struct fetch_session {
    int32_t id;
    int32_t epoch; /* expected next */
    bool uses_topic_ids;
    bool follower;
    int64_t created_ms;
    int64_t used_ms;
    struct map *partitions; /* struct cached_partition by key; what has just given data goes to the end */
    struct list node;       /* of cache->by_use, the longest unused first */
};

struct fetch_session_cache {
    size_t slots;
    int32_t first_id;
    int32_t last_id;
    uint64_t seed;
    size_t partitions_count; /* of all sessions */
    struct map *by_id;
    struct list by_use;
};

/* Topic names and ids never meet in one session: it has either. */
struct partition_key {
    size_t length;
    uint8_t bytes[4 + 256 + sizeof(struct uuid)];
    uint8_t *long_bytes; /* for names that are longer than any legal one */
};

static struct slice key_make(struct partition_key *key, struct slice topic, struct uuid topic_id,
                             int32_t partition, bool by_id)
{
    struct slice name = by_id ? slice_make(topic_id.bytes, sizeof(topic_id.bytes)) : topic;
    uint8_t *at = key->bytes;
    key->long_bytes = NULL;
    key->length = name.length + sizeof(partition);
    if (key->length > sizeof(key->bytes))
        at = key->long_bytes = memory_allocate(key->length);
    memcpy(at, &partition, sizeof(partition));
    if (name.length > 0)
        memcpy(at + sizeof(partition), name.data, name.length);
    return slice_make(at, key->length);
}

static void key_release(struct partition_key *key)
{
    free(key->long_bytes);
}

struct fetch_session_cache *fetch_session_cache_new(size_t slots, int32_t first_id, int32_t last_id,
                                                    uint64_t seed)
{
    CHECK(first_id > 0 && first_id <= last_id);
    struct fetch_session_cache *cache = memory_allocate_zeroed(1, sizeof(*cache));
    cache->slots = slots;
    cache->first_id = first_id;
    cache->last_id = last_id;
    cache->seed = seed;
    cache->by_id = map_new(seed);
    list_init(&cache->by_use);
    return cache;
}

static struct slice id_key(const int32_t *id)
{
    return slice_make(id, sizeof(*id));
}

static void remove_session(struct fetch_session_cache *cache, struct fetch_session *session)
{
    size_t position = 0;
    void *partition;
    (void)map_remove(cache->by_id, id_key(&session->id));
    list_remove(&session->node);
    cache->partitions_count -= map_size(session->partitions);
    while (map_next(session->partitions, &position, NULL, &partition))
        free(partition);
    map_free(session->partitions);
    free(session);
}

void fetch_session_cache_free(struct fetch_session_cache *cache)
{
    if (cache == NULL)
        return;
    while (!list_is_empty(&cache->by_use))
        remove_session(cache, container_of(cache->by_use.next, struct fetch_session, node));
    map_free(cache->by_id);
    free(cache);
}

size_t fetch_session_cache_size(const struct fetch_session_cache *cache)
{
    return map_size(cache->by_id);
}

int32_t fetch_session_next_epoch(int32_t epoch)
{
    if (epoch < 0)
        return FETCH_EPOCH_FINAL;
    return epoch == INT32_MAX ? 1 : epoch + 1;
}

static struct cached_partition *cached_new(const struct fetch_partition *request)
{
    struct cached_partition *cached = memory_allocate_zeroed(1, sizeof(*cached) + request->topic.length);
    cached->request = *request;
    if (!slice_is_null(request->topic)) {
        if (request->topic.length > 0)
            memcpy(cached->name, request->topic.data, request->topic.length);
        cached->request.topic = slice_make(cached->name, request->topic.length);
    }
    cached->high_watermark = -1;
    cached->last_stable_offset = -1;
    cached->log_start_offset = -1;
    return cached;
}

/* Adds the partition or takes its new parameters over. */
static struct cached_partition *put_partition(struct fetch_session_cache *cache,
                                              struct fetch_session *session,
                                              const struct fetch_partition *request)
{
    struct partition_key key;
    struct slice bytes =
        key_make(&key, request->topic, request->topic_id, request->partition, session->uses_topic_ids);
    struct cached_partition *cached = map_get(session->partitions, bytes);
    if (cached == NULL) {
        cached = cached_new(request);
        (void)map_put(session->partitions, bytes, cached);
        cache->partitions_count++;
    } else {
        struct slice name = cached->request.topic;
        cached->request = *request;
        cached->request.topic = name;
    }
    key_release(&key);
    return cached;
}

static struct cached_partition *find_cached(struct fetch_session *session,
                                            const struct fetch_partition *partition)
{
    struct partition_key key;
    struct slice bytes =
        key_make(&key, partition->topic, partition->topic_id, partition->partition, session->uses_topic_ids);
    struct cached_partition *cached = map_get(session->partitions, bytes);
    key_release(&key);
    return cached;
}

static void forget_partition(struct fetch_session_cache *cache, struct fetch_session *session,
                             const struct forgotten_partition *forgotten)
{
    struct partition_key key;
    struct slice bytes =
        key_make(&key, forgotten->topic, forgotten->topic_id, forgotten->partition, session->uses_topic_ids);
    struct cached_partition *cached = map_remove(session->partitions, bytes);
    cache->partitions_count -= cached ? 1 : 0;
    free(cached);
    key_release(&key);
}

/* The partition goes to the end of the order, so that the others are read first next time. */
static void move_to_end(struct fetch_session *session, struct cached_partition *cached)
{
    struct partition_key key;
    struct slice bytes = key_make(&key, cached->request.topic, cached->request.topic_id,
                                  cached->request.partition, session->uses_topic_ids);
    (void)map_remove(session->partitions, bytes);
    (void)map_put(session->partitions, bytes, cached);
    key_release(&key);
}

static void *take_array(struct arena *arena, size_t count, size_t size)
{
    void *array = arena_allocate_array(arena, count, size);
    CHECK(array != NULL);
    return array;
}

static void use_request(struct fetch_context *context, const struct fetch_session_request *request,
                        struct arena *arena)
{
    size_t count = request->partitions_count;
    context->partitions = take_array(arena, count, sizeof(context->partitions[0]));
    context->partitions_count = count;
    if (count > 0)
        memcpy(context->partitions, request->partitions, count * sizeof(context->partitions[0]));
}

static void use_session(struct fetch_context *context, const struct fetch_session *session,
                        struct arena *arena)
{
    size_t position = 0;
    void *value;
    context->partitions = take_array(arena, map_size(session->partitions), sizeof(context->partitions[0]));
    while (map_next(session->partitions, &position, NULL, &value)) {
        const struct cached_partition *cached = value;
        struct fetch_partition *out = &context->partitions[context->partitions_count++];
        *out = cached->request;
        out->topic = arena_copy_slice(arena, cached->request.topic);
    }
}

static struct fetch_session *find_session(const struct fetch_session_cache *cache, int32_t id)
{
    return map_get(cache->by_id, id_key(&id));
}

static bool names_are_short(const struct fetch_partition *partitions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (partitions[i].topic.length > FETCH_SESSION_NAME_MAX)
            return false;
    return true;
}

static int16_t begin_incremental(struct fetch_session_cache *cache,
                                 const struct fetch_session_request *request, int64_t now_ms,
                                 struct arena *arena, struct fetch_context *context)
{
    struct fetch_session *session = find_session(cache, request->session_id);
    if (session == NULL)
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (session->epoch != request->session_epoch)
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    if (session->uses_topic_ids != request->uses_topic_ids)
        return KAFKA_FETCH_SESSION_TOPIC_ID_ERROR;
    bool bounded = names_are_short(request->partitions, request->partitions_count);
    for (size_t i = 0; bounded && i < request->partitions_count; i++)
        (void)put_partition(cache, session, &request->partitions[i]);
    for (size_t i = 0; i < request->forgotten_count; i++)
        forget_partition(cache, session, &request->forgotten[i]);
    /* The client begins anew, and then learns that it gets no session for so much. */
    if (!bounded || map_size(session->partitions) > FETCH_PARTITIONS_MAX ||
        cache->partitions_count > FETCH_SESSIONS_PARTITIONS_MAX) {
        remove_session(cache, session);
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    }
    if (map_size(session->partitions) == 0) {
        remove_session(cache, session);
        context->kind = FETCH_SESSIONLESS;
        use_request(context, request, arena);
        context->partitions_count = 0;
        return KAFKA_NONE;
    }
    session->used_ms = now_ms;
    list_remove(&session->node);
    list_push_back(&cache->by_use, &session->node);
    session->epoch = fetch_session_next_epoch(session->epoch);
    context->kind = FETCH_INCREMENTAL;
    context->session_id = session->id;
    context->session_epoch = session->epoch;
    use_session(context, session, arena);
    return KAFKA_NONE;
}

int16_t fetch_session_begin(struct fetch_session_cache *cache, const struct fetch_session_request *request,
                            int64_t now_ms, struct arena *arena, struct fetch_context *context)
{
    *context =
        (struct fetch_context){.uses_topic_ids = request->uses_topic_ids, .follower = request->follower};
    if (request->session_epoch != FETCH_EPOCH_INITIAL && request->session_epoch != FETCH_EPOCH_FINAL)
        return begin_incremental(cache, request, now_ms, arena, context);
    struct fetch_session *session = find_session(cache, request->session_id);
    if (session)
        remove_session(cache, session);
    context->kind = request->session_epoch == FETCH_EPOCH_FINAL ? FETCH_SESSIONLESS : FETCH_FULL;
    use_request(context, request, arena);
    return KAFKA_NONE;
}

/*
 * Makes room for a newcomer: the longest unused goes when it is idle; else the smallest of those that are no
 * follower's and not young any more, if the newcomer is a follower's or larger.
 */
static bool make_room(struct fetch_session_cache *cache, bool follower, size_t size, int64_t now_ms)
{
    if (map_size(cache->by_id) < cache->slots)
        return true;
    if (cache->slots == 0)
        return false;
    struct fetch_session *oldest = container_of(cache->by_use.next, struct fetch_session, node);
    if (now_ms - oldest->used_ms > FETCH_SESSION_EVICTION_MS) {
        remove_session(cache, oldest);
        return true;
    }
    struct fetch_session *smallest = NULL;
    list_for_each(node, &cache->by_use)
    {
        struct fetch_session *session = container_of(node, struct fetch_session, node);
        if (session->follower || now_ms - session->created_ms <= FETCH_SESSION_EVICTION_MS)
            continue;
        if (smallest == NULL || map_size(session->partitions) < map_size(smallest->partitions))
            smallest = session;
    }
    if (smallest == NULL || (!follower && map_size(smallest->partitions) >= size))
        return false;
    remove_session(cache, smallest);
    return true;
}

/* The same for the partitions in all sessions: those that are idle go. */
static bool make_room_for_partitions(struct fetch_session_cache *cache, size_t count, int64_t now_ms)
{
    if (count > FETCH_PARTITIONS_MAX)
        return false;
    while (cache->partitions_count + count > FETCH_SESSIONS_PARTITIONS_MAX) {
        struct fetch_session *oldest = container_of(cache->by_use.next, struct fetch_session, node);
        if (now_ms - oldest->used_ms <= FETCH_SESSION_EVICTION_MS)
            return false;
        remove_session(cache, oldest);
    }
    return true;
}

static int32_t draw_id(const struct fetch_session_cache *cache, uint64_t random)
{
    uint64_t range = (uint64_t)cache->last_id - (uint64_t)cache->first_id + 1;
    int32_t id = cache->first_id + (int32_t)(random % range);
    while (find_session(cache, id) != NULL)
        id = id == cache->last_id ? cache->first_id : id + 1;
    return id;
}

static void remember_outcome(struct cached_partition *cached, const struct fetch_outcome *outcome)
{
    cached->high_watermark = outcome->error == KAFKA_NONE ? outcome->high_watermark : -1;
    cached->last_stable_offset = outcome->last_stable_offset;
    cached->log_start_offset = outcome->log_start_offset;
}

static int32_t create_session(struct fetch_session_cache *cache, const struct fetch_context *context,
                              const struct fetch_outcome *outcomes, int64_t now_ms, uint64_t random)
{
    uint64_t ids = (uint64_t)cache->last_id - (uint64_t)cache->first_id + 1;
    if (context->partitions_count == 0 || map_size(cache->by_id) >= ids ||
        !names_are_short(context->partitions, context->partitions_count) ||
        !make_room_for_partitions(cache, context->partitions_count, now_ms) ||
        !make_room(cache, context->follower, context->partitions_count, now_ms))
        return FETCH_SESSION_NONE;
    struct fetch_session *session = memory_allocate_zeroed(1, sizeof(*session));
    session->id = draw_id(cache, random);
    session->epoch = fetch_session_next_epoch(FETCH_EPOCH_INITIAL);
    session->uses_topic_ids = context->uses_topic_ids;
    session->follower = context->follower;
    session->created_ms = now_ms;
    session->used_ms = now_ms;
    session->partitions = map_new(cache->seed ^ (uint64_t)session->id);
    for (size_t i = 0; i < context->partitions_count; i++)
        remember_outcome(put_partition(cache, session, &context->partitions[i]), &outcomes[i]);
    (void)map_put(cache->by_id, id_key(&session->id), session);
    list_push_back(&cache->by_use, &session->node);
    return session->id;
}

/* Whether the client has to be told; and what it then knows is remembered. */
static bool has_news(struct cached_partition *cached, const struct fetch_outcome *outcome)
{
    bool news = outcome->has_records || outcome->diverging || outcome->preferred_replica ||
                outcome->error != KAFKA_NONE || cached->high_watermark != outcome->high_watermark ||
                cached->last_stable_offset != outcome->last_stable_offset ||
                cached->log_start_offset != outcome->log_start_offset;
    remember_outcome(cached, outcome);
    return news;
}

static int16_t complete_incremental(struct fetch_session_cache *cache, const struct fetch_context *context,
                                    const struct fetch_outcome *outcomes, bool *include)
{
    struct fetch_session *session = find_session(cache, context->session_id);
    if (session == NULL)
        return KAFKA_FETCH_SESSION_ID_NOT_FOUND;
    if (session->epoch != context->session_epoch)
        return KAFKA_INVALID_FETCH_SESSION_EPOCH;
    for (size_t i = 0; i < context->partitions_count; i++) {
        struct cached_partition *cached = find_cached(session, &context->partitions[i]);
        if (cached == NULL)
            continue;
        include[i] = has_news(cached, &outcomes[i]);
        if (outcomes[i].has_records)
            move_to_end(session, cached);
    }
    return KAFKA_NONE;
}

int16_t fetch_session_complete(struct fetch_session_cache *cache, const struct fetch_context *context,
                               const struct fetch_outcome *outcomes, int64_t now_ms, uint64_t random,
                               bool *include, int32_t *session_id)
{
    *session_id = FETCH_SESSION_NONE;
    for (size_t i = 0; i < context->partitions_count; i++)
        include[i] = context->kind != FETCH_INCREMENTAL;
    if (context->kind == FETCH_FULL)
        *session_id = create_session(cache, context, outcomes, now_ms, random);
    if (context->kind != FETCH_INCREMENTAL)
        return KAFKA_NONE;
    *session_id = context->session_id;
    return complete_incremental(cache, context, outcomes, include);
}
