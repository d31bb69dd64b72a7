/* SPDX-License-Identifier: Apache-2.0 */
/* Produce: the three kinds of acks, waiting, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/produce.h"
#include "proto/records/builder.h"
#include "tests/unit/api/api_bench.h"

struct sending {
    struct exchange exchange;
    struct produce_response response;
    struct produce_response_partition_produce_response *partition;
};

static int setup(void **state)
{
    static struct api_bench bench;
    api_bench_init(&bench, "min.insync.replicas=2\n");
    api_bench_topic(&bench, "both", 1, 0, 2);
    api_bench_topic(&bench, "alone", 1, 0, 1);
    api_bench_topic(&bench, "theirs", 2, 7, 2);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

/* Sends one batch. */
static void send(struct api_bench *bench, struct sending *sending, int16_t version, int16_t acks,
                 int32_t timeout_ms, const char *topic, int32_t number, struct slice batch)
{
    struct produce_request body;
    struct produce_request_partition_produce_data data = {.index = number, .records = {.bytes = batch}};
    struct produce_request_topic_produce_data topics = {
        .name = slice_of(topic), .partition_data = &data, .partition_data_count = 1};
    produce_request_init(&body);
    body.acks = acks;
    body.timeout_ms = timeout_ms;
    body.topic_data = &topics;
    body.topic_data_count = 1;
    api_bench_send(bench, &sending->exchange, KAFKA_API_PRODUCE, version, &produce_request_codec, &body);
}

static void send_value(struct api_bench *bench, struct sending *sending, int16_t version, int16_t acks,
                       int32_t timeout_ms, const char *topic, int32_t number)
{
    struct buffer batch;
    buffer_init(&batch);
    api_bench_batch(&batch, "value");
    send(bench, sending, version, acks, timeout_ms, topic, number, buffer_slice(&batch));
    buffer_release(&batch);
}

static int16_t answer_of(struct sending *sending)
{
    exchange_decode(&sending->exchange, &produce_response_codec, &sending->response);
    assert_int_equal(sending->response.responses_count, 1);
    assert_int_equal(sending->response.responses[0].partition_responses_count, 1);
    sending->partition = &sending->response.responses[0].partition_responses[0];
    return sending->partition->error_code;
}

/* Broker 2 fetches up to `offset` of topic "both". */
static int64_t end_of(struct api_bench *bench, const char *topic)
{
    struct partition_status status;
    struct partition *partition = replica_manager_find(bench->replicas, slice_of(topic), 0);
    partition_status(partition, &status);
    partition_release(partition);
    return status.log_end_offset;
}

static void acks_1_is_answered_at_once(void **state)
{
    for (int16_t version = 3; version <= 11; version++) {
        struct sending sending;
        int64_t end = end_of(*state, "both");
        send_value(*state, &sending, version, 1, 1000, "both", 0);
        assert_int_equal(sending.exchange.outcome, EXCHANGE_ANSWERED);
        assert_int_equal(answer_of(&sending), KAFKA_NONE);
        assert_int_equal(sending.partition->base_offset, end);
        assert_int_equal(sending.partition->log_append_time_ms, -1);
        assert_int_equal(sending.partition->log_start_offset, version >= 5 ? 0 : -1);
        exchange_release(&sending.exchange);
    }
}

static void acks_all_waits_for_the_replicas(void **state)
{
    struct api_bench *bench = *state;
    struct sending first;
    struct sending second;
    send_value(bench, &first, 9, -1, 5000, "both", 0);
    send_value(bench, &second, 9, -1, 5000, "both", 0);
    exchange_turn(&first.exchange);
    assert_int_equal(first.exchange.outcome, EXCHANGE_OPEN);
    int64_t end = end_of(bench, "both");
    api_bench_follow(bench, "both", end - 1, 0);
    exchange_turn(&first.exchange);
    assert_int_equal(first.exchange.outcome, EXCHANGE_ANSWERED);
    assert_int_equal(second.exchange.outcome, EXCHANGE_OPEN);
    assert_int_equal(answer_of(&first), KAFKA_NONE);
    assert_int_equal(first.partition->base_offset, end - 2);
    api_bench_follow(bench, "both", end, 0);
    assert_int_equal(answer_of(&second), KAFKA_NONE);
    exchange_release(&first.exchange);
    exchange_release(&second.exchange);
}

/* While it waits the frame is gone, and the answer has its names all the same. */
static void a_wait_needs_no_frame(void **state)
{
    struct api_bench *bench = *state;
    struct sending sending;
    send_value(bench, &sending, 9, -1, INT32_MAX, "both", 0);
    assert_int_equal(sending.exchange.outcome, EXCHANGE_OPEN);
    assert_true(sending.exchange.light);
    api_bench_follow(bench, "both", end_of(bench, "both"), 0);
    assert_int_equal(answer_of(&sending), KAFKA_NONE);
    assert_true(slice_is(sending.response.responses[0].name, "both"));
    exchange_release(&sending.exchange);
}

/* As with Kafka the later batch of a partition that is named twice counts, and it is answered once. */
static void the_later_batch_counts(void **state)
{
    struct sending sending;
    struct produce_request body;
    struct buffer first, second;
    buffer_init(&first);
    buffer_init(&second);
    api_bench_batch(&first, "x");
    api_bench_batch(&second, "y");
    first.data[first.length - 1] ^= 1; /* would be refused */
    struct produce_request_partition_produce_data data[] = {
        {.index = 0, .records = {.bytes = buffer_slice(&first)}},
        {.index = 0, .records = {.bytes = buffer_slice(&second)}},
    };
    struct produce_request_topic_produce_data topics[] = {
        {.name = slice_of("both"), .partition_data = &data[0], .partition_data_count = 1},
        {.name = slice_of("both"), .partition_data = &data[1], .partition_data_count = 1},
    };
    int64_t end = end_of(*state, "both");
    produce_request_init(&body);
    body.acks = 1;
    body.topic_data = topics;
    body.topic_data_count = 2;
    api_bench_send(*state, &sending.exchange, KAFKA_API_PRODUCE, 9, &produce_request_codec, &body);
    assert_int_equal(answer_of(&sending), KAFKA_NONE);
    assert_int_equal(end_of(*state, "both"), end + 1);
    exchange_release(&sending.exchange);
    buffer_release(&first);
    buffer_release(&second);
}

static void acks_all_times_out(void **state)
{
    struct sending sending;
    send_value(*state, &sending, 9, -1, 20, "both", 0);
    assert_int_equal(sending.exchange.outcome, EXCHANGE_OPEN);
    assert_int_equal(answer_of(&sending), KAFKA_REQUEST_TIMED_OUT);
    exchange_release(&sending.exchange);
    send_value(*state, &sending, 9, -1, -5, "both", 0);
    assert_int_equal(answer_of(&sending), KAFKA_REQUEST_TIMED_OUT);
    exchange_release(&sending.exchange);
    api_bench_follow(*state, "both", end_of(*state, "both"), 0);
}

static void a_lost_connection_ends_the_wait(void **state)
{
    struct sending sending;
    send_value(*state, &sending, 9, -1, 5000, "both", 0);
    assert_int_equal(sending.exchange.outcome, EXCHANGE_OPEN);
    exchange_abandon(&sending.exchange);
    exchange_release(&sending.exchange);
    /* The watch that fires now finds nobody. */
    api_bench_follow(*state, "both", end_of(*state, "both"), 0);
}

static void a_lost_leadership_ends_the_wait(void **state)
{
    struct api_bench *bench = *state;
    struct sending sending;
    api_bench_topic(bench, "moving", 1, 0, 2);
    send_value(bench, &sending, 10, -1, 5000, "moving", 0);
    assert_int_equal(sending.exchange.outcome, EXCHANGE_OPEN);
    api_bench_topic(bench, "moving", 2, 1, 2);
    assert_int_equal(answer_of(&sending), KAFKA_NOT_LEADER_OR_FOLLOWER);
    assert_int_equal(sending.partition->current_leader.leader_id, 2);
    assert_int_equal(sending.partition->current_leader.leader_epoch, 1);
    exchange_release(&sending.exchange);
}

static void acks_0_is_not_answered(void **state)
{
    struct sending sending;
    int64_t end = end_of(*state, "both");
    send_value(*state, &sending, 9, 0, 0, "both", 0);
    assert_int_equal(sending.exchange.outcome, EXCHANGE_NOTHING);
    assert_int_equal(end_of(*state, "both"), end + 1);
    exchange_release(&sending.exchange);
    send_value(*state, &sending, 9, 0, 0, "nobody", 0);
    assert_int_equal(sending.exchange.outcome, EXCHANGE_CLOSED);
    assert_string_equal(sending.exchange.notice, "UNKNOWN_TOPIC_OR_PARTITION");
    exchange_release(&sending.exchange);
}

static void each_refusal_has_its_error(void **state)
{
    static const struct {
        int16_t acks;
        const char *topic;
        int32_t partition;
        int16_t error;
    } cases[] = {
        {2, "both", 0, KAFKA_INVALID_REQUIRED_ACKS},
        {-2, "both", 0, KAFKA_INVALID_REQUIRED_ACKS},
        {-1, "alone", 0, KAFKA_NOT_ENOUGH_REPLICAS},
        {1, "alone", 0, KAFKA_NONE},
        {1, "nobody", 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {1, "both", 1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {1, "both", -1, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
        {1, "theirs", 0, KAFKA_NOT_LEADER_OR_FOLLOWER},
        {1, "__consumer_offsets", 0, KAFKA_INVALID_TOPIC_EXCEPTION},
        {1, "__transaction_state", 0, KAFKA_INVALID_TOPIC_EXCEPTION},
        {1, "", 0, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sending sending;
        send_value(*state, &sending, 8, cases[i].acks, 1000, cases[i].topic, cases[i].partition);
        if (answer_of(&sending) != cases[i].error)
            fail_msg("case %zu: %s", i, kafka_error_name(answer_of(&sending)));
        exchange_release(&sending.exchange);
    }
}

static void leaders_are_hinted_from_version_10_on(void **state)
{
    for (int16_t version = 9; version <= 10; version++) {
        struct sending sending;
        send_value(*state, &sending, version, 1, 1000, "theirs", 0);
        assert_int_equal(answer_of(&sending), KAFKA_NOT_LEADER_OR_FOLLOWER);
        bool hinted = version >= 10;
        assert_int_equal(sending.partition->current_leader.leader_id, hinted ? 2 : -1);
        assert_int_equal(sending.partition->current_leader.leader_epoch, hinted ? 7 : -1);
        assert_int_equal(sending.response.node_endpoints_count, hinted ? 1 : 0);
        if (hinted) {
            assert_int_equal(sending.response.node_endpoints[0].node_id, 2);
            assert_true(slice_is(sending.response.node_endpoints[0].host, "two.example"));
            assert_int_equal(sending.response.node_endpoints[0].port, 9093);
        }
        exchange_release(&sending.exchange);
    }
}

static void bad_batches_are_refused(void **state)
{
    struct sending sending;
    struct buffer batch;
    int64_t end = end_of(*state, "both");
    buffer_init(&batch);
    send(*state, &sending, 9, 1, 1000, "both", 0, slice_of(NULL));
    assert_int_equal(answer_of(&sending), KAFKA_INVALID_RECORD);
    assert_true(sending.partition->error_message.length > 0);
    exchange_release(&sending.exchange);

    api_bench_batch(&batch, "value");
    batch.data[batch.length - 1] ^= 1;
    send(*state, &sending, 9, 1, 1000, "both", 0, buffer_slice(&batch));
    assert_int_equal(answer_of(&sending), KAFKA_CORRUPT_MESSAGE);
    assert_string_equal(sending.exchange.notice, "CORRUPT_MESSAGE");
    exchange_release(&sending.exchange);

    for (size_t length = 1; length < batch.length; length += 7) {
        send(*state, &sending, 9, 1, 1000, "both", 0, slice_make(batch.data, length));
        assert_int_not_equal(answer_of(&sending), KAFKA_NONE);
        exchange_release(&sending.exchange);
    }

    buffer_clear(&batch);
    api_bench_batch(&batch, "value");
    batch.data[22] |= 0x10; /* transactional */
    send(*state, &sending, 9, 1, 1000, "both", 0, buffer_slice(&batch));
    assert_int_equal(answer_of(&sending), KAFKA_INVALID_TXN_STATE);
    exchange_release(&sending.exchange);
    buffer_release(&batch);
    assert_int_equal(end_of(*state, "both"), end);
}

/* From version 8 on the client hears which records of its batch are to blame, inside a compressed one too. */
static void records_to_blame_are_named(void **state)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct buffer batch;
    buffer_init(&batch);
    parameters.append_time = true; /* which is the broker's to say, and then with a time */
    parameters.append_time_ms = RECORD_NO_TIMESTAMP;
    record_batch_builder_init(&builder, &parameters);
    for (int i = 0; i < 3; i++)
        record_batch_builder_append(&builder, 0, slice_of("key"), slice_of("value"), NULL, 0);
    int error = record_batch_builder_finish(&builder, CODEC_ZSTD, CODEC_DEFAULT_LEVEL, &batch);
    assert_int_equal(error, 0);
    record_batch_builder_release(&builder);
    for (int16_t version = 7; version <= 11; version++) {
        struct sending sending;
        send(*state, &sending, version, 1, 1000, "both", 0, buffer_slice(&batch));
        assert_int_equal(answer_of(&sending), KAFKA_INVALID_TIMESTAMP);
        assert_int_equal(sending.partition->record_errors_count, version >= 8 ? 3 : 0);
        assert_int_equal(sending.partition->error_message.length > 0, version >= 8);
        for (size_t i = 0; i < sending.partition->record_errors_count; i++) {
            assert_int_equal(sending.partition->record_errors[i].batch_index, i);
            assert_true(sending.partition->record_errors[i].batch_index_error_message.length > 0);
        }
        exchange_release(&sending.exchange);
    }
    buffer_release(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acks_1_is_answered_at_once),
        cmocka_unit_test(acks_all_waits_for_the_replicas),
        cmocka_unit_test(a_wait_needs_no_frame),
        cmocka_unit_test(the_later_batch_counts),
        cmocka_unit_test(acks_all_times_out),
        cmocka_unit_test(a_lost_connection_ends_the_wait),
        cmocka_unit_test(a_lost_leadership_ends_the_wait),
        cmocka_unit_test(acks_0_is_not_answered),
        cmocka_unit_test(each_refusal_has_its_error),
        cmocka_unit_test(leaders_are_hinted_from_version_10_on),
        cmocka_unit_test(bad_batches_are_refused),
        cmocka_unit_test(records_to_blame_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
