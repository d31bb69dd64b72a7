/* SPDX-License-Identifier: Apache-2.0 */
/* Fetch: reading, limits, waiting, sessions, followers, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/fetch.h"
#include "proto/records/batch.h"
#include "broker/api/fetch_session.h"
#include "tests/unit/api/api_bench.h"
#include "tests/unit/api/fetching.h"

#define BATCH_BYTES_MAX 200

static int setup(void **state)
{
    static struct api_bench bench;
    api_bench_init(&bench, "log.segment.bytes=900\n");
    api_bench_topic(&bench, "a", 1, 3, 1);
    api_bench_topic(&bench, "b", 1, 3, 1);
    api_bench_topic(&bench, "empty", 1, 3, 1);
    api_bench_topic(&bench, "shared", 1, 3, 2);
    api_bench_topic(&bench, "theirs", 2, 7, 2);
    for (int i = 0; i < 3; i++) {
        api_bench_produce(&bench, "a", "one");
        api_bench_produce(&bench, "b", "two");
        api_bench_produce(&bench, "shared", "three");
    }
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

static void start(struct api_bench *bench, struct fetching *fetching, int16_t version)
{
    api_bench_send(bench, &fetching->exchange, KAFKA_API_FETCH, version, &fetch_request_codec,
                   &fetching->body);
}

static int16_t answer_of(struct fetching *fetching)
{
    exchange_decode(&fetching->exchange, &fetch_response_codec, &fetching->response);
    assert_int_equal(fetching->response.error_code, KAFKA_NONE);
    assert_true(fetching->response.responses_count > 0);
    fetching->partition = &fetching->response.responses[0].partitions[0];
    return fetching->partition->error_code;
}

/* The base offset of the last whole batch in an answer, -1 where there is none. */
static int64_t last_offset_in(const struct wire_records *records)
{
    struct slice bytes = records->bytes;
    struct record_batch batch;
    int64_t last = -1;
    while (bytes.length > 0 && record_batch_parse(bytes, &batch) == 0) {
        assert_true(record_batch_check_crc(&batch));
        last = record_batch_last_offset(&batch);
        bytes = slice_make(bytes.data + batch.size_bytes, bytes.length - batch.size_bytes);
    }
    return last;
}

static void every_version_reads_what_was_written(void **state)
{
    for (int16_t version = 4; version <= 17; version++) {
        struct fetching fetching;
        fetching_prepare(&fetching, "a", 0);
        start(*state, &fetching, version);
        assert_int_equal(fetching.exchange.outcome, EXCHANGE_ANSWERED);
        assert_int_equal(answer_of(&fetching), KAFKA_NONE);
        assert_int_equal(fetching.partition->high_watermark, 3);
        assert_int_equal(fetching.partition->last_stable_offset, 3);
        assert_int_equal(fetching.partition->log_start_offset, version >= 5 ? 0 : -1);
        assert_int_equal(last_offset_in(&fetching.partition->records), 2);
        assert_null(fetching.partition->aborted_transactions);
        exchange_release(&fetching.exchange);
    }
}

static void versions_before_4_cannot_be_given_new_batches(void **state)
{
    for (int16_t version = 0; version < 4; version++) {
        struct fetching fetching;
        fetching_prepare(&fetching, "a", 0);
        start(*state, &fetching, version);
        assert_int_equal(answer_of(&fetching), KAFKA_UNSUPPORTED_VERSION);
        assert_int_equal(fetching.partition->records.bytes.length, 0);
        exchange_release(&fetching.exchange);
    }
}

static void each_refusal_has_its_error(void **state)
{
    static const struct {
        const char *topic;
        int32_t partition;
        int32_t epoch;
        int64_t offset;
        int16_t version;
        int16_t error;
    } cases[] = {
        {"nobody", 0, -1, 0, 12, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {"nobody", 0, -1, 0, 13, KAFKA_UNKNOWN_TOPIC_ID},
        {"a", 5, -1, 0, 12, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {"a", 0, -1, 4, 12, KAFKA_OFFSET_OUT_OF_RANGE},
        {"a", 0, -1, -3, 12, KAFKA_OFFSET_OUT_OF_RANGE},
        {"a", 0, 2, 0, 12, KAFKA_FENCED_LEADER_EPOCH},
        {"a", 0, 4, 0, 12, KAFKA_UNKNOWN_LEADER_EPOCH},
        {"a", 0, 3, 0, 12, KAFKA_NONE},
        {"theirs", 0, -1, 0, 10, KAFKA_NOT_LEADER_OR_FOLLOWER},
        {"theirs", 0, -1, 0, 11, KAFKA_NONE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fetching fetching;
        fetching_prepare(&fetching, cases[i].topic, 0);
        fetching.partitions[0].partition = cases[i].partition;
        fetching.partitions[0].current_leader_epoch = cases[i].epoch;
        fetching.partitions[0].fetch_offset = cases[i].offset;
        start(*state, &fetching, cases[i].version);
        if (answer_of(&fetching) != cases[i].error)
            fail_msg("case %zu: %s", i, kafka_error_name(fetching.partition->error_code));
        if (cases[i].error != KAFKA_NONE)
            assert_int_equal(fetching.partition->high_watermark, -1);
        exchange_release(&fetching.exchange);
    }
}

static void the_new_leader_is_hinted_from_version_16_on(void **state)
{
    for (int16_t version = 15; version <= 16; version++) {
        struct fetching fetching;
        fetching_prepare(&fetching, "theirs", 0);
        fetching.partitions[0].current_leader_epoch = 6;
        start(*state, &fetching, version);
        assert_int_equal(answer_of(&fetching), KAFKA_FENCED_LEADER_EPOCH);
        bool hinted = version >= 16;
        assert_int_equal(fetching.partition->current_leader.leader_id, hinted ? 2 : -1);
        assert_int_equal(fetching.partition->current_leader.leader_epoch, hinted ? 7 : -1);
        assert_int_equal(fetching.response.node_endpoints_count, hinted ? 1 : 0);
        if (hinted)
            assert_true(slice_is(fetching.response.node_endpoints[0].host, "two.example"));
        exchange_release(&fetching.exchange);
    }
}

static void the_first_batch_comes_whole_and_the_rest_obeys(void **state)
{
    struct fetching fetching;
    fetching_prepare(&fetching, "a", 0);
    fetching.body.topics_count = 2;
    fetching.topics[1].topic = slice_of("b");
    fetching.body.max_bytes = 1;
    start(*state, &fetching, 12);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(last_offset_in(&fetching.partition->records), 0);
    assert_int_equal(fetching.response.responses_count, 2);
    assert_int_equal(fetching.response.responses[1].partitions[0].records.bytes.length, 0);
    assert_int_equal(fetching.response.responses[1].partitions[0].error_code, KAFKA_NONE);
    exchange_release(&fetching.exchange);
    /* The partition's own limit. */
    fetching_prepare(&fetching, "a", 0);
    fetching.partitions[0].partition_max_bytes = BATCH_BYTES_MAX;
    start(*state, &fetching, 12);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_in_range(fetching.partition->records.bytes.length, 1, BATCH_BYTES_MAX);
    exchange_release(&fetching.exchange);
}

static void a_partition_that_is_named_twice_counts_once(void **state)
{
    struct fetching fetching;
    fetching_prepare(&fetching, "a", 0);
    fetching.body.topics_count = 2;
    fetching.partitions[1].fetch_offset = 1;
    start(*state, &fetching, 12);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(fetching.response.responses_count, 1);
    assert_int_equal(fetching.response.responses[0].partitions_count, 1);
    exchange_release(&fetching.exchange);
}

static void an_empty_partition_is_waited_for(void **state)
{
    struct fetching fetching;
    fetching_prepare(&fetching, "empty", 0);
    fetching.body.max_wait_ms = 5000;
    start(*state, &fetching, 12);
    exchange_turn(&fetching.exchange);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    api_bench_produce(*state, "empty", "x");
    exchange_turn(&fetching.exchange);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_ANSWERED);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(last_offset_in(&fetching.partition->records), 0);
    exchange_release(&fetching.exchange);
}

static void min_bytes_is_waited_for_and_time_ends_it(void **state)
{
    struct fetching fetching;
    fetching_prepare(&fetching, "a", 0);
    fetching.body.min_bytes = 100000;
    fetching.body.max_wait_ms = 30;
    start(*state, &fetching, 12);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(last_offset_in(&fetching.partition->records), 2);
    exchange_release(&fetching.exchange);
}

/* A new segment begins behind what was asked for: more would not come, however long one waited. */
static void the_end_of_a_segment_ends_the_wait(void **state)
{
    struct api_bench *bench = *state;
    struct fetching fetching;
    api_bench_topic(bench, "rolled", 1, 3, 1);
    char value[700];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (int i = 0; i < 4; i++)
        api_bench_produce(bench, "rolled", value);
    fetching_prepare(&fetching, "rolled", 0);
    fetching.body.min_bytes = 100000;
    fetching.body.max_wait_ms = 60000;
    start(bench, &fetching, 12);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_ANSWERED);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(last_offset_in(&fetching.partition->records), 0);
    exchange_release(&fetching.exchange);
    /* In the last segment more may come. */
    fetching.partitions[0].fetch_offset = 3;
    start(bench, &fetching, 12);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    exchange_hurry(&fetching.exchange);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(last_offset_in(&fetching.partition->records), 3);
    exchange_release(&fetching.exchange);
}

/* The frame is gone while one waits; what was asked for is remembered. */
static void a_wait_needs_no_frame(void **state)
{
    for (int16_t version = 12; version <= 13; version++) {
        struct fetching fetching;
        fetching_prepare(&fetching, "empty", 0);
        fetching.body.topics_count = 2;
        fetching.topics[1].topic_id = api_bench_topic_id("b");
        fetching.topics[1].topic = slice_of("b");
        fetching.partitions[1].fetch_offset = 3;
        fetching.partitions[0].fetch_offset = 1;
        fetching.body.max_wait_ms = INT32_MAX;
        start(*state, &fetching, version);
        assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
        assert_true(fetching.exchange.light);
        exchange_turn(&fetching.exchange);
        exchange_hurry(&fetching.exchange);
        assert_int_equal(answer_of(&fetching), KAFKA_NONE);
        assert_int_equal(fetching.response.responses_count, 2);
        if (version == 12)
            assert_true(slice_is(fetching.response.responses[1].topic, "b"));
        exchange_release(&fetching.exchange);
    }
}

/* Partitions beyond the bound cost the connection before they cost memory. */
static void a_fetch_of_too_many_partitions_is_refused(void **state)
{
    enum { COUNT = FETCH_PARTITIONS_MAX + 1 };
    static struct fetch_request_partition partitions[COUNT];
    struct fetching fetching;
    fetching_prepare(&fetching, "nobody", 0);
    for (size_t i = 0; i < COUNT; i++)
        partitions[i] = fetching.partitions[0];
    fetching.topics[0].partitions = partitions;
    fetching.topics[0].partitions_count = COUNT;
    start(*state, &fetching, 4);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_CLOSED);
    exchange_release(&fetching.exchange);
    fetching.topics[0].partitions_count = COUNT - 1;
    start(*state, &fetching, 4);
    assert_int_equal(answer_of(&fetching), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    exchange_release(&fetching.exchange);
}

static void a_lost_connection_ends_the_wait(void **state)
{
    struct fetching fetching;
    fetching_prepare(&fetching, "b", 0);
    fetching.partitions[0].fetch_offset = 3;
    fetching.body.max_wait_ms = 5000;
    start(*state, &fetching, 12);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    exchange_abandon(&fetching.exchange);
    exchange_release(&fetching.exchange);
}

static void a_new_leader_ends_the_wait(void **state)
{
    struct fetching fetching;
    api_bench_topic(*state, "moving", 1, 0, 2);
    fetching_prepare(&fetching, "moving", 0);
    fetching.partitions[0].current_leader_epoch = 0;
    fetching.body.max_wait_ms = 5000;
    start(*state, &fetching, 17);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    api_bench_topic(*state, "moving", 2, 1, 2);
    assert_int_equal(answer_of(&fetching), KAFKA_FENCED_LEADER_EPOCH);
    assert_int_equal(fetching.partition->current_leader.leader_id, 2);
    exchange_release(&fetching.exchange);
}

/* What is above the high watermark is for followers only. */
static void followers_read_to_the_end(void **state)
{
    struct api_bench *bench = *state;
    struct fetching fetching;
    fetching_prepare(&fetching, "shared", 0);
    start(bench, &fetching, 16);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(fetching.partition->records.bytes.length, 0);
    assert_int_equal(fetching.partition->high_watermark, 0);
    exchange_release(&fetching.exchange);

    fetching_prepare(&fetching, "shared", 0);
    fetching.body.replica_state.replica_id = 2;
    fetching.body.replica_state.replica_epoch = 101;
    fetching.partitions[0].current_leader_epoch = 3;
    start(bench, &fetching, 16);
    assert_int_equal(answer_of(&fetching), KAFKA_TOPIC_AUTHORIZATION_FAILED);
    exchange_release(&fetching.exchange);

    fetching.exchange.request.inter_broker = true;
    exchange_start(&fetching.exchange, &bench->reactor, api_handler(bench->api), KAFKA_API_FETCH, 16,
                   &fetch_request_codec, &fetching.body, slice_of(NULL));
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(last_offset_in(&fetching.partition->records), 2);
    exchange_release(&fetching.exchange);

    /* The next fetch tells how far it is; the high watermark follows. */
    fetching.partitions[0].fetch_offset = 3;
    fetching.partitions[0].last_fetched_epoch = 3;
    fetching.exchange.request.inter_broker = true;
    exchange_start(&fetching.exchange, &bench->reactor, api_handler(bench->api), KAFKA_API_FETCH, 16,
                   &fetch_request_codec, &fetching.body, slice_of(NULL));
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    exchange_release(&fetching.exchange);
    fetching_prepare(&fetching, "shared", 0);
    start(bench, &fetching, 16);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(fetching.partition->high_watermark, 3);
    exchange_release(&fetching.exchange);
}

static void a_diverging_epoch_is_told(void **state)
{
    struct fetching fetching;
    fetching_prepare(&fetching, "a", 0);
    fetching.partitions[0].fetch_offset = 9;
    fetching.partitions[0].last_fetched_epoch = 3;
    start(*state, &fetching, 12);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(fetching.partition->diverging_epoch.epoch, 3);
    assert_int_equal(fetching.partition->diverging_epoch.end_offset, 3);
    assert_int_equal(fetching.partition->records.bytes.length, 0);
    exchange_release(&fetching.exchange);
}

static void sessions_tell_only_news(void **state)
{
    struct fetching fetching;
    fetching_prepare(&fetching, "a", 0);
    fetching.body.session_epoch = 0;
    fetching.partitions[0].fetch_offset = 3;
    start(*state, &fetching, 13);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    int32_t id = fetching.response.session_id;
    assert_int_not_equal(id, 0);
    exchange_release(&fetching.exchange);

    fetching_prepare(&fetching, "a", 0);
    fetching.body.session_id = id;
    fetching.body.session_epoch = 1;
    fetching.body.topics_count = 0;
    start(*state, &fetching, 13);
    exchange_decode(&fetching.exchange, &fetch_response_codec, &fetching.response);
    assert_int_equal(fetching.response.error_code, KAFKA_NONE);
    assert_int_equal(fetching.response.session_id, id);
    assert_int_equal(fetching.response.responses_count, 0);
    exchange_release(&fetching.exchange);

    api_bench_produce(*state, "a", "four");
    fetching.body.session_epoch = 2;
    start(*state, &fetching, 13);
    assert_int_equal(answer_of(&fetching), KAFKA_NONE);
    assert_int_equal(last_offset_in(&fetching.partition->records), 3);
    exchange_release(&fetching.exchange);

    fetching.body.session_epoch = 7;
    start(*state, &fetching, 13);
    exchange_decode(&fetching.exchange, &fetch_response_codec, &fetching.response);
    assert_int_equal(fetching.response.error_code, KAFKA_INVALID_FETCH_SESSION_EPOCH);
    exchange_release(&fetching.exchange);
    fetching.body.session_id = id == 1 ? 2 : id - 1;
    start(*state, &fetching, 13);
    exchange_decode(&fetching.exchange, &fetch_response_codec, &fetching.response);
    assert_int_equal(fetching.response.error_code, KAFKA_FETCH_SESSION_ID_NOT_FOUND);
    exchange_release(&fetching.exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_reads_what_was_written),
        cmocka_unit_test(versions_before_4_cannot_be_given_new_batches),
        cmocka_unit_test(each_refusal_has_its_error),
        cmocka_unit_test(the_new_leader_is_hinted_from_version_16_on),
        cmocka_unit_test(the_first_batch_comes_whole_and_the_rest_obeys),
        cmocka_unit_test(a_partition_that_is_named_twice_counts_once),
        cmocka_unit_test(an_empty_partition_is_waited_for),
        cmocka_unit_test(min_bytes_is_waited_for_and_time_ends_it),
        cmocka_unit_test(the_end_of_a_segment_ends_the_wait),
        cmocka_unit_test(a_wait_needs_no_frame),
        cmocka_unit_test(a_fetch_of_too_many_partitions_is_refused),
        cmocka_unit_test(a_lost_connection_ends_the_wait),
        cmocka_unit_test(a_new_leader_ends_the_wait),
        cmocka_unit_test(followers_read_to_the_end),
        cmocka_unit_test(a_diverging_epoch_is_told),
        cmocka_unit_test(sessions_tell_only_news),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
