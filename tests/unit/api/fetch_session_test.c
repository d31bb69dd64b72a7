/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch sessions against the table of KIP-227: what each (id, epoch) means, what is told, who is evicted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/api/fetch_session.h"
#include "broker/api/fetch_sessions.h"
#include "proto/kafka/error.h"

#define PARTITIONS_MAX 8

struct bench {
    struct fetch_session_cache *cache;
    struct arena arena;
    int64_t now_ms;
    struct fetch_context context;
    struct fetch_outcome outcomes[PARTITIONS_MAX];
    bool include[PARTITIONS_MAX];
    int32_t session_id;
};

static void bench_init(struct bench *bench, size_t slots)
{
    *bench = (struct bench){.now_ms = 1000};
    bench->cache = fetch_session_cache_new(slots, 10, 1000, 7);
    arena_init(&bench->arena, ARENA_NO_BUDGET);
}

static void bench_release(struct bench *bench)
{
    fetch_session_cache_free(bench->cache);
    arena_release(&bench->arena);
}

static struct fetch_partition asked(int32_t partition, int64_t offset)
{
    return (struct fetch_partition){.topic = slice_of("t"),
                                    .partition = partition,
                                    .fetch_offset = offset,
                                    .current_leader_epoch = -1,
                                    .last_fetched_epoch = -1,
                                    .max_bytes = 100};
}

static int16_t begin(struct bench *bench, int32_t id, int32_t epoch, const struct fetch_partition *partitions,
                     size_t count)
{
    const struct fetch_session_request request = {
        .session_id = id, .session_epoch = epoch, .partitions = partitions, .partitions_count = count};
    int16_t error =
        fetch_session_begin(bench->cache, &request, bench->now_ms, &bench->arena, &bench->context);
    for (size_t i = 0; i < PARTITIONS_MAX; i++)
        bench->outcomes[i] = (struct fetch_outcome){.high_watermark = 5};
    return error;
}

static int16_t complete(struct bench *bench)
{
    return fetch_session_complete(bench->cache, &bench->context, bench->outcomes, bench->now_ms,
                                  (uint64_t)bench->now_ms, bench->include, &bench->session_id);
}

/* A new session over partitions 0..count-1. */
static int32_t create(struct bench *bench, size_t count)
{
    struct fetch_partition partitions[PARTITIONS_MAX];
    for (size_t i = 0; i < count; i++)
        partitions[i] = asked((int32_t)i, 0);
    assert_int_equal(begin(bench, 0, 0, partitions, count), KAFKA_NONE);
    assert_int_equal(bench->context.kind, FETCH_FULL);
    assert_int_equal(complete(bench), KAFKA_NONE);
    for (size_t i = 0; i < count; i++)
        assert_true(bench->include[i]);
    return bench->session_id;
}

static void without_a_session_all_is_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    const struct fetch_partition partitions[] = {asked(0, 1), asked(1, 2)};
    assert_int_equal(begin(&bench, 0, FETCH_EPOCH_FINAL, partitions, 2), KAFKA_NONE);
    assert_int_equal(bench.context.kind, FETCH_SESSIONLESS);
    assert_int_equal(bench.context.partitions_count, 2);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_true(bench.include[0] && bench.include[1]);
    assert_int_equal(bench.session_id, 0);
    assert_int_equal(fetch_session_cache_size(bench.cache), 0);
    bench_release(&bench);
}

static void only_news_is_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    int32_t id = create(&bench, 5);
    assert_in_range(id, 10, 1000);

    assert_int_equal(begin(&bench, id, 1, NULL, 0), KAFKA_NONE);
    assert_int_equal(bench.context.kind, FETCH_INCREMENTAL);
    assert_int_equal(bench.context.partitions_count, 5);
    bench.outcomes[1].high_watermark = 6;
    bench.outcomes[2].log_start_offset = 1;
    bench.outcomes[3].has_records = true;
    bench.outcomes[4].diverging = true;
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_int_equal(bench.session_id, id);
    assert_false(bench.include[0]);
    for (int i = 1; i < 5; i++)
        assert_true(bench.include[i]);

    /* What gave data goes to the end; what was told is known. */
    assert_int_equal(begin(&bench, id, 2, NULL, 0), KAFKA_NONE);
    const int32_t order[] = {0, 1, 2, 4, 3};
    for (int i = 0; i < 5; i++)
        assert_int_equal(bench.context.partitions[i].partition, order[i]);
    bench.outcomes[1].high_watermark = 6;
    bench.outcomes[2].log_start_offset = 1;
    assert_int_equal(complete(&bench), KAFKA_NONE);
    for (int i = 0; i < 5; i++)
        assert_false(bench.include[i]);
    bench_release(&bench);
}

static void an_error_is_told_and_what_follows_it(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    int32_t id = create(&bench, 1);
    for (int32_t epoch = 1; epoch < 3; epoch++) {
        assert_int_equal(begin(&bench, id, epoch, NULL, 0), KAFKA_NONE);
        bench.outcomes[0] =
            (struct fetch_outcome){.error = KAFKA_NOT_LEADER_OR_FOLLOWER, .high_watermark = -1};
        assert_int_equal(complete(&bench), KAFKA_NONE);
        assert_true(bench.include[0]);
    }
    assert_int_equal(begin(&bench, id, 3, NULL, 0), KAFKA_NONE);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_true(bench.include[0]);
    assert_int_equal(begin(&bench, id, 4, NULL, 0), KAFKA_NONE);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_false(bench.include[0]);
    bench_release(&bench);
}

static void partitions_change_join_and_leave(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    int32_t id = create(&bench, 2);
    const struct fetch_partition changes[] = {asked(1, 77), asked(6, 3)};
    assert_int_equal(begin(&bench, id, 1, changes, 2), KAFKA_NONE);
    assert_int_equal(bench.context.partitions_count, 3);
    assert_int_equal(bench.context.partitions[1].fetch_offset, 77);
    assert_int_equal(bench.context.partitions[2].partition, 6);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_true(bench.include[2]); /* nothing is known of it yet */

    const struct forgotten_partition forgotten[] = {{.topic = slice_of("t"), .partition = 0},
                                                    {.topic = slice_of("t"), .partition = 1},
                                                    {.topic = slice_of("t"), .partition = 6}};
    struct fetch_session_request request = {
        .session_id = id, .session_epoch = 2, .forgotten = forgotten, .forgotten_count = 2};
    assert_int_equal(fetch_session_begin(bench.cache, &request, bench.now_ms, &bench.arena, &bench.context),
                     KAFKA_NONE);
    assert_int_equal(bench.context.partitions_count, 1);
    assert_int_equal(complete(&bench), KAFKA_NONE);

    /* An emptied session is gone, and the answer says so with id 0. */
    request.session_epoch = 3;
    request.forgotten_count = 3;
    assert_int_equal(fetch_session_begin(bench.cache, &request, bench.now_ms, &bench.arena, &bench.context),
                     KAFKA_NONE);
    assert_int_equal(bench.context.kind, FETCH_SESSIONLESS);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_int_equal(bench.session_id, 0);
    assert_int_equal(fetch_session_cache_size(bench.cache), 0);
    bench_release(&bench);
}

static void wrong_ids_and_epochs_are_refused(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    int32_t id = create(&bench, 1);
    assert_int_equal(begin(&bench, id + 1, 1, NULL, 0), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(begin(&bench, id, 2, NULL, 0), KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_int_equal(begin(&bench, id, -7, NULL, 0), KAFKA_INVALID_FETCH_SESSION_EPOCH);
    const struct fetch_session_request by_id = {.session_id = id, .session_epoch = 1, .uses_topic_ids = true};
    assert_int_equal(fetch_session_begin(bench.cache, &by_id, bench.now_ms, &bench.arena, &bench.context),
                     KAFKA_FETCH_SESSION_TOPIC_ID_ERROR);
    /* Refusals change nothing. */
    assert_int_equal(begin(&bench, id, 1, NULL, 0), KAFKA_NONE);
    /* The session moves on before the first fetch has ended: that one is told nothing. */
    struct fetch_context slow = bench.context;
    assert_int_equal(begin(&bench, id, 2, NULL, 0), KAFKA_NONE);
    struct fetch_context fast = bench.context;
    bench.context = slow;
    assert_int_equal(complete(&bench), KAFKA_INVALID_FETCH_SESSION_EPOCH);
    assert_false(bench.include[0]);
    bench.context = fast;
    assert_int_equal(complete(&bench), KAFKA_NONE);
    bench_release(&bench);
}

static void sessions_end_by_epochs_0_and_minus_1(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 4);
    int32_t id = create(&bench, 1);
    const struct fetch_partition partition = asked(0, 0);
    assert_int_equal(begin(&bench, id, FETCH_EPOCH_FINAL, &partition, 1), KAFKA_NONE);
    assert_int_equal(fetch_session_cache_size(bench.cache), 0);
    id = create(&bench, 1);
    bench.now_ms++;
    assert_int_equal(begin(&bench, id, FETCH_EPOCH_INITIAL, &partition, 1), KAFKA_NONE);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_int_not_equal(bench.session_id, id);
    assert_int_not_equal(bench.session_id, 0);
    assert_int_equal(fetch_session_cache_size(bench.cache), 1);
    bench_release(&bench);
}

static void epochs_go_round(void **state)
{
    (void)state;
    assert_int_equal(fetch_session_next_epoch(0), 1);
    assert_int_equal(fetch_session_next_epoch(41), 42);
    assert_int_equal(fetch_session_next_epoch(INT32_MAX), 1);
    assert_int_equal(fetch_session_next_epoch(FETCH_EPOCH_FINAL), FETCH_EPOCH_FINAL);
}

static void the_cache_is_bounded(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 2);
    int32_t first = create(&bench, 1);
    bench.now_ms++;
    int32_t second = create(&bench, 3);
    /* Both are young: a third one gets none. */
    bench.now_ms++;
    assert_int_equal(create(&bench, 4), 0);
    /* Used but old: the smaller of them gives way to a larger newcomer only. */
    bench.now_ms += FETCH_SESSION_EVICTION_MS;
    assert_int_equal(begin(&bench, first, 1, NULL, 0), KAFKA_NONE);
    assert_int_equal(begin(&bench, second, 1, NULL, 0), KAFKA_NONE);
    bench.now_ms += 10;
    assert_int_equal(create(&bench, 1), 0);
    int32_t third = create(&bench, 2);
    assert_int_not_equal(third, 0);
    assert_int_equal(begin(&bench, first, 2, NULL, 0), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    /* What is idle for long goes, whatever its size. */
    bench.now_ms += FETCH_SESSION_EVICTION_MS + 1;
    assert_int_not_equal(create(&bench, 1), 0);
    assert_int_equal(fetch_session_cache_size(bench.cache), 2);
    assert_int_equal(begin(&bench, second, 2, NULL, 0), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    bench_release(&bench);

    bench_init(&bench, 0);
    assert_int_equal(create(&bench, 1), 0);
    bench_release(&bench);
}

static void followers_take_precedence(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1);
    int32_t consumer = create(&bench, 4);
    bench.now_ms += FETCH_SESSION_EVICTION_MS + 1;
    assert_int_equal(begin(&bench, consumer, 1, NULL, 0), KAFKA_NONE);
    const struct fetch_partition partition = asked(0, 0);
    const struct fetch_session_request follower = {
        .session_epoch = 0, .follower = true, .partitions = &partition, .partitions_count = 1};
    assert_int_equal(fetch_session_begin(bench.cache, &follower, bench.now_ms, &bench.arena, &bench.context),
                     KAFKA_NONE);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    int32_t id = bench.session_id;
    assert_int_not_equal(id, 0);
    /* And keeps its place. */
    bench.now_ms += FETCH_SESSION_EVICTION_MS - 1;
    assert_int_equal(begin(&bench, id, 1, NULL, 0), KAFKA_NONE);
    bench.now_ms += 100;
    assert_int_equal(create(&bench, 5), 0);
    bench_release(&bench);
}

static void shards_find_their_sessions(void **state)
{
    (void)state;
    struct arena arena;
    struct fetch_context context;
    arena_init(&arena, ARENA_NO_BUDGET);
    struct fetch_sessions *sessions = fetch_sessions_new(800, 42);
    const struct fetch_partition partition = asked(0, 0);
    const struct fetch_outcome outcome = {.high_watermark = 5};
    bool include;
    int32_t ids[200];
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        const struct fetch_session_request request = {.partitions = &partition, .partitions_count = 1};
        assert_int_equal(fetch_sessions_begin(sessions, &request, 1, &arena, &context), KAFKA_NONE);
        assert_int_equal(fetch_sessions_complete(sessions, &context, &outcome, 1, &include, &ids[i]),
                         KAFKA_NONE);
        assert_true(ids[i] > 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        const struct fetch_session_request request = {.session_id = ids[i], .session_epoch = 1};
        int32_t id;
        assert_int_equal(fetch_sessions_begin(sessions, &request, 1, &arena, &context), KAFKA_NONE);
        assert_int_equal(fetch_sessions_complete(sessions, &context, &outcome, 1, &include, &id), KAFKA_NONE);
        assert_int_equal(id, ids[i]);
        assert_false(include);
    }
    fetch_sessions_free(sessions);
    arena_release(&arena);
}

/* A session of `count` partitions; its id, or 0. */
static int32_t create_large(struct bench *bench, size_t count)
{
    struct fetch_partition *partitions = arena_allocate_array(&bench->arena, count, sizeof(partitions[0]));
    struct fetch_outcome *outcomes = arena_allocate_array(&bench->arena, count, sizeof(outcomes[0]));
    bool *include = arena_allocate_array(&bench->arena, count, sizeof(include[0]));
    for (size_t i = 0; i < count; i++)
        partitions[i] = asked((int32_t)i, 0);
    assert_int_equal(begin(bench, 0, 0, partitions, count), KAFKA_NONE);
    assert_int_equal(fetch_session_complete(bench->cache, &bench->context, outcomes, bench->now_ms, 1,
                                            include, &bench->session_id),
                     KAFKA_NONE);
    assert_true(include[0] && include[count - 1]);
    return bench->session_id;
}

static void partitions_are_bounded(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 10);
    assert_int_equal(create_large(&bench, FETCH_PARTITIONS_MAX + 1), 0);
    int32_t first = create_large(&bench, FETCH_PARTITIONS_MAX);
    assert_int_not_equal(first, 0);
    /* What it has may be named again; one more ends it. */
    struct fetch_partition more = asked(7, 9);
    assert_int_equal(begin(&bench, first, 1, &more, 1), KAFKA_NONE);
    more.partition = FETCH_PARTITIONS_MAX;
    assert_int_equal(begin(&bench, first, 2, &more, 1), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(fetch_session_cache_size(bench.cache), 0);
    /* In all sessions together; the idle ones make room. */
    assert_int_not_equal(create_large(&bench, FETCH_PARTITIONS_MAX), 0);
    assert_int_not_equal(create_large(&bench, FETCH_SESSIONS_PARTITIONS_MAX - FETCH_PARTITIONS_MAX), 0);
    assert_int_equal(create(&bench, 1), 0);
    bench.now_ms += FETCH_SESSION_EVICTION_MS + 1;
    assert_int_not_equal(create(&bench, 1), 0);
    assert_int_equal(fetch_session_cache_size(bench.cache), 2);
    bench_release(&bench);
}

static void no_name_is_remembered_that_no_topic_has(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 10);
    int32_t id = create(&bench, 1);
    static const char name[FETCH_SESSION_NAME_MAX + 1];
    struct fetch_partition partition = asked(0, 0);
    partition.topic = slice_make(name, sizeof(name));
    assert_int_equal(begin(&bench, id, 1, &partition, 1), KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    assert_int_equal(begin(&bench, 0, 0, &partition, 1), KAFKA_NONE);
    assert_int_equal(complete(&bench), KAFKA_NONE);
    assert_int_equal(bench.session_id, 0);
    bench_release(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(partitions_are_bounded),
        cmocka_unit_test(no_name_is_remembered_that_no_topic_has),
        cmocka_unit_test(without_a_session_all_is_told),
        cmocka_unit_test(only_news_is_told),
        cmocka_unit_test(an_error_is_told_and_what_follows_it),
        cmocka_unit_test(partitions_change_join_and_leave),
        cmocka_unit_test(wrong_ids_and_epochs_are_refused),
        cmocka_unit_test(sessions_end_by_epochs_0_and_minus_1),
        cmocka_unit_test(epochs_go_round),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(followers_take_precedence),
        cmocka_unit_test(shards_find_their_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
