/* SPDX-License-Identifier: Apache-2.0 */
/* DeleteRecords: what moves, who is waited for, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/delete_records.h"
#include "tests/unit/api/api_bench.h"

#define VERSIONS 3
#define RECORDS 10

struct deletion {
    struct exchange exchange;
    struct delete_records_response response;
    struct delete_records_response_partition_result *result;
};

static void open_bench(struct api_bench *bench, const char *properties)
{
    api_bench_init(bench, properties);
    api_bench_topic(bench, "alone", 1, 0, 1);
    api_bench_topic(bench, "both", 1, 0, 2);
    api_bench_topic(bench, "theirs", 2, 7, 2);
}

static int setup(void **state)
{
    static struct api_bench bench;
    open_bench(&bench, "");
    for (int i = 0; i < RECORDS; i++) {
        api_bench_produce(&bench, "alone", "value");
        api_bench_produce(&bench, "both", "value");
    }
    *state = &bench;
    return 0;
}

static int setup_compacted(void **state)
{
    static struct api_bench bench;
    open_bench(&bench, "log.cleanup.policy=compact\n");
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

static void ask(struct api_bench *bench, struct deletion *deletion, int16_t version, int32_t timeout_ms,
                const char *topic, int32_t number, int64_t offset)
{
    struct delete_records_request body;
    struct delete_records_request_partition partition = {.partition_index = number, .offset = offset};
    struct delete_records_request_topic topics = {
        .name = slice_of(topic), .partitions = &partition, .partitions_count = 1};
    delete_records_request_init(&body);
    body.timeout_ms = timeout_ms;
    body.topics = &topics;
    body.topics_count = 1;
    api_bench_send(bench, &deletion->exchange, KAFKA_API_DELETE_RECORDS, version,
                   &delete_records_request_codec, &body);
}

static int16_t answer_of(struct deletion *deletion)
{
    exchange_decode(&deletion->exchange, &delete_records_response_codec, &deletion->response);
    assert_int_equal(deletion->response.topics_count, 1);
    assert_int_equal(deletion->response.topics[0].partitions_count, 1);
    deletion->result = &deletion->response.topics[0].partitions[0];
    return deletion->result->error_code;
}

static void expect(struct api_bench *bench, const char *topic, int32_t number, int64_t offset, int16_t error,
                   int64_t low_watermark)
{
    for (int16_t version = 0; version < VERSIONS; version++) {
        struct deletion deletion;
        ask(bench, &deletion, version, 1000, topic, number, offset);
        assert_int_equal(answer_of(&deletion), error);
        assert_int_equal(deletion.result->low_watermark, low_watermark);
        exchange_release(&deletion.exchange);
    }
}

/* Broker 2 fetches from `offset`, and says where its log starts. */
static int64_t start_of(struct api_bench *bench, const char *topic)
{
    struct partition_status status;
    struct partition *partition = replica_manager_find(bench->replicas, slice_of(topic), 0);
    partition_status(partition, &status);
    partition_release(partition);
    return status.log_start_offset;
}

static void the_log_start_moves_and_never_falls(void **state)
{
    api_bench_follow(*state, "alone", RECORDS, RECORDS);
    expect(*state, "alone", 0, 4, KAFKA_NONE, 4);
    assert_int_equal(start_of(*state, "alone"), 4);
    expect(*state, "alone", 0, 2, KAFKA_NONE, 4);
    assert_int_equal(start_of(*state, "alone"), 4);
    expect(*state, "alone", 0, -1, KAFKA_NONE, RECORDS);
    assert_int_equal(start_of(*state, "alone"), RECORDS);
}

static void what_cannot_be_is_refused(void **state)
{
    expect(*state, "alone", 0, RECORDS + 1, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    expect(*state, "alone", 0, -2, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    /* Not known to be committed: nobody has fetched it. */
    expect(*state, "both", 0, 1, KAFKA_OFFSET_OUT_OF_RANGE, -1);
    expect(*state, "theirs", 0, 0, KAFKA_NOT_LEADER_OR_FOLLOWER, -1);
    expect(*state, "alone", 1, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    expect(*state, "unheard-of", 0, 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1);
    expect(*state, "__consumer_offsets", 0, 0, KAFKA_INVALID_TOPIC_EXCEPTION, -1);
    assert_int_equal(start_of(*state, "alone"), 0);
    assert_int_equal(start_of(*state, "both"), 0);
}

static void compacted_topics_are_refused(void **state)
{
    expect(*state, "alone", 0, 4, KAFKA_POLICY_VIOLATION, -1);
    assert_int_equal(start_of(*state, "alone"), 0);
}

static void the_followers_are_waited_for(void **state)
{
    struct api_bench *bench = *state;
    struct deletion deletion;
    api_bench_follow(bench, "both", RECORDS, 0);
    ask(bench, &deletion, 2, 60000, "both", 0, 4);
    exchange_turn(&deletion.exchange);
    assert_int_equal(deletion.exchange.outcome, EXCHANGE_OPEN);
    assert_int_equal(start_of(bench, "both"), 4);
    api_bench_follow(bench, "both", RECORDS, 3);
    exchange_turn(&deletion.exchange);
    assert_int_equal(deletion.exchange.outcome, EXCHANGE_OPEN);
    assert_true(deletion.exchange.light);
    api_bench_follow(bench, "both", RECORDS, 4);
    assert_int_equal(answer_of(&deletion), KAFKA_NONE);
    assert_true(slice_is(deletion.response.topics[0].name, "both"));
    assert_int_equal(deletion.result->low_watermark, 4);
    exchange_release(&deletion.exchange);
}

static void a_wait_ends_with_the_time_of_the_client(void **state)
{
    struct api_bench *bench = *state;
    struct deletion deletion;
    api_bench_follow(bench, "both", RECORDS, 2);
    ask(bench, &deletion, 2, 0, "both", 0, -1);
    assert_int_equal(answer_of(&deletion), KAFKA_REQUEST_TIMED_OUT);
    assert_int_equal(deletion.result->low_watermark, 2);
    assert_int_equal(start_of(bench, "both"), RECORDS);
    exchange_release(&deletion.exchange);
}

static void a_wait_ends_with_the_leadership(void **state)
{
    struct api_bench *bench = *state;
    struct deletion deletion;
    api_bench_follow(bench, "both", RECORDS, 0);
    ask(bench, &deletion, 2, 60000, "both", 0, 4);
    assert_int_equal(deletion.exchange.outcome, EXCHANGE_OPEN);
    struct partition *partition = replica_manager_find(bench->replicas, slice_of("both"), 0);
    assert_int_equal(partition_stop(partition, -1), KAFKA_NONE);
    partition_release(partition);
    assert_int_equal(answer_of(&deletion), KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(deletion.result->low_watermark, -1);
    exchange_release(&deletion.exchange);
}

static void a_client_that_goes_is_forgotten(void **state)
{
    struct api_bench *bench = *state;
    struct deletion deletion;
    api_bench_follow(bench, "both", RECORDS, 0);
    ask(bench, &deletion, 2, 60000, "both", 0, 4);
    exchange_abandon(&deletion.exchange);
    assert_int_equal(deletion.exchange.outcome, EXCHANGE_NOTHING);
    api_bench_follow(bench, "both", RECORDS, 4);
    exchange_release(&deletion.exchange);
}

/* Of one that is named twice the later offset counts, and it is answered once. */
static void the_later_offset_counts(void **state)
{
    struct deletion deletion;
    struct delete_records_request body;
    struct delete_records_request_partition partitions[] = {{0, 3}, {0, 5}};
    struct delete_records_request_topic topics = {
        .name = slice_of("alone"), .partitions = partitions, .partitions_count = 2};
    delete_records_request_init(&body);
    body.topics = &topics;
    body.topics_count = 1;
    api_bench_follow(*state, "alone", RECORDS, RECORDS);
    api_bench_send(*state, &deletion.exchange, KAFKA_API_DELETE_RECORDS, 2, &delete_records_request_codec,
                   &body);
    assert_int_equal(answer_of(&deletion), KAFKA_NONE);
    assert_int_equal(deletion.result->low_watermark, 5);
    exchange_release(&deletion.exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_log_start_moves_and_never_falls, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(compacted_topics_are_refused, setup_compacted, teardown),
        cmocka_unit_test_setup_teardown(the_followers_are_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_ends_with_the_time_of_the_client, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_ends_with_the_leadership, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_goes_is_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(the_later_offset_counts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
