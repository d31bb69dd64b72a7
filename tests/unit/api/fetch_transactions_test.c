/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read_committed: Fetch and ListOffsets end at the last stable offset, aborted transactions are listed, and a
 * session tells of a last stable offset that moved. What a transaction coordinator will write some day is put
 * into the log by the test, as it comes to a follower.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "broker/replica/replica_manager.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/fetch.h"
#include "proto/kafka/messages/list_offsets.h"
#include "proto/records/batch.h"
#include "proto/records/builder.h"
#include "tests/unit/api/api_bench.h"

#define TIMESTAMP 1700000000000
#define READ_COMMITTED 1

struct fetching {
    struct exchange exchange;
    struct fetch_request body;
    struct fetch_request_topic topic;
    struct fetch_request_partition partition;
    struct fetch_response response;
};

static int setup(void **state)
{
    static struct api_bench bench;
    api_bench_init(&bench, "");
    api_bench_topic(&bench, "a", 1, 3, 1);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

/* Appends to topic "a": data of one record, or with `marker` 0 (abort) or 1 (commit) the end of a
 * transaction. */
static void append(struct api_bench *bench, int64_t producer_id, int marker)
{
    struct partition *partition = replica_manager_find(bench->replicas, slice_of("a"), 0);
    struct partition_log *log = partition_enter_log(partition);
    assert_non_null(log);
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    parameters.base_offset = partition_log_end_offset(log);
    parameters.leader_epoch = 3;
    parameters.producer_id = producer_id;
    parameters.producer_epoch = 0;
    parameters.base_sequence = marker < 0 ? 0 : RECORD_NO_SEQUENCE;
    parameters.transactional = true;
    parameters.control = marker >= 0;
    struct record_batch_builder builder;
    struct buffer bytes;
    const uint8_t key[4] = {0, 0, 0, (uint8_t)(marker > 0)}, value[6] = {0};
    buffer_init(&bytes);
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, TIMESTAMP + parameters.base_offset, slice_make(key, sizeof(key)),
                                slice_make(value, sizeof(value)), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &bytes), 0);
    assert_int_equal(partition_log_append_as_follower(log, bytes.data, bytes.length, TIMESTAMP, NULL),
                     KAFKA_NONE);
    record_batch_builder_release(&builder);
    buffer_release(&bytes);
    partition_leave_log(partition, 0);
    partition_release(partition);
}

static void prepare(struct fetching *fetching, int8_t isolation_level, int64_t offset)
{
    memset(fetching, 0, sizeof(*fetching));
    fetch_request_init(&fetching->body);
    fetch_request_topic_init(&fetching->topic);
    fetch_request_partition_init(&fetching->partition);
    fetching->body.topics = &fetching->topic;
    fetching->body.topics_count = 1;
    fetching->body.isolation_level = isolation_level;
    fetching->topic.topic = slice_of("a");
    fetching->topic.topic_id = api_bench_topic_id("a");
    fetching->topic.partitions = &fetching->partition;
    fetching->topic.partitions_count = 1;
    fetching->partition.partition_max_bytes = 1000000;
    fetching->partition.fetch_offset = offset;
}

/* Sends it and gives the partition of the answer; NULL where it was left out. */
static const struct fetch_response_partition_data *answer_of(struct api_bench *bench,
                                                             struct fetching *fetching, int16_t version)
{
    api_bench_send(bench, &fetching->exchange, KAFKA_API_FETCH, version, &fetch_request_codec,
                   &fetching->body);
    assert_int_equal(fetching->exchange.outcome, EXCHANGE_ANSWERED);
    exchange_decode(&fetching->exchange, &fetch_response_codec, &fetching->response);
    assert_int_equal(fetching->response.error_code, KAFKA_NONE);
    if (fetching->response.responses_count == 0)
        return NULL;
    const struct fetch_response_partition_data *data = &fetching->response.responses[0].partitions[0];
    assert_int_equal(data->error_code, KAFKA_NONE);
    return data;
}

static int64_t end_of(const struct wire_records *records)
{
    struct slice bytes = records->bytes;
    struct record_batch batch;
    int64_t end = -1;
    while (bytes.length > 0 && record_batch_parse(bytes, &batch) == 0) {
        end = record_batch_last_offset(&batch) + 1;
        bytes = slice_make(bytes.data + batch.size_bytes, bytes.length - batch.size_bytes);
    }
    return end;
}

static int64_t list_offset(struct api_bench *bench, int8_t isolation_level, int64_t timestamp)
{
    struct list_offsets_request body;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition partition;
    struct list_offsets_response response;
    struct exchange exchange;
    list_offsets_request_init(&body);
    list_offsets_request_topic_init(&topic);
    list_offsets_request_partition_init(&partition);
    body.isolation_level = isolation_level;
    body.topics = &topic;
    body.topics_count = 1;
    topic.name = slice_of("a");
    topic.partitions = &partition;
    topic.partitions_count = 1;
    partition.timestamp = timestamp;
    api_bench_send(bench, &exchange, KAFKA_API_LIST_OFFSETS, 7, &list_offsets_request_codec, &body);
    exchange_decode(&exchange, &list_offsets_response_codec, &response);
    assert_int_equal(response.topics[0].partitions[0].error_code, KAFKA_NONE);
    int64_t offset = response.topics[0].partitions[0].offset;
    exchange_release(&exchange);
    return offset;
}

/* Offsets 0 and 1: aborted by 2; 3: open; 4: of another producer, aborted by 5; 6: plain. */
static void fill(struct api_bench *bench)
{
    append(bench, 100, -1);
    append(bench, 100, -1);
    append(bench, 100, 0);
    append(bench, 200, -1);
    append(bench, 300, -1);
    append(bench, 300, 0);
    api_bench_produce(bench, "a", "plain");
}

static void readers_of_committed_records_stop_at_what_is_open(void **state)
{
    fill(*state);
    for (int16_t version = 4; version <= 17; version++) {
        struct fetching fetching;
        prepare(&fetching, READ_COMMITTED, 0);
        const struct fetch_response_partition_data *data = answer_of(*state, &fetching, version);
        assert_int_equal(data->high_watermark, 7);
        assert_int_equal(data->last_stable_offset, 3);
        assert_int_equal(end_of(&data->records), 3);
        assert_int_equal(data->aborted_transactions_count, 1);
        assert_int_equal(data->aborted_transactions[0].producer_id, 100);
        assert_int_equal(data->aborted_transactions[0].first_offset, 0);
        exchange_release(&fetching.exchange);

        prepare(&fetching, READ_COMMITTED, 3);
        data = answer_of(*state, &fetching, version);
        assert_int_equal(data->records.bytes.length, 0);
        assert_non_null(data->aborted_transactions);
        assert_int_equal(data->aborted_transactions_count, 0);
        exchange_release(&fetching.exchange);

        prepare(&fetching, 0, 0);
        data = answer_of(*state, &fetching, version);
        assert_int_equal(end_of(&data->records), 7);
        assert_int_equal(data->last_stable_offset, 3);
        assert_null(data->aborted_transactions);
        exchange_release(&fetching.exchange);
    }
}

static void the_end_of_the_transaction_gives_the_rest(void **state)
{
    fill(*state);
    append(*state, 200, 1);
    struct fetching fetching;
    prepare(&fetching, READ_COMMITTED, 1);
    const struct fetch_response_partition_data *data = answer_of(*state, &fetching, 12);
    assert_int_equal(data->last_stable_offset, 8);
    assert_int_equal(end_of(&data->records), 8);
    assert_int_equal(data->aborted_transactions_count, 2);
    assert_int_equal(data->aborted_transactions[1].producer_id, 300);
    assert_int_equal(data->aborted_transactions[1].first_offset, 4);
    exchange_release(&fetching.exchange);
}

static void offsets_are_listed_below_what_is_open(void **state)
{
    fill(*state);
    assert_int_equal(list_offset(*state, 0, -1), 7);
    assert_int_equal(list_offset(*state, READ_COMMITTED, -1), 3);
    assert_int_equal(list_offset(*state, 0, TIMESTAMP + 4), 4);
    assert_int_equal(list_offset(*state, READ_COMMITTED, TIMESTAMP + 4), -1);
    assert_int_equal(list_offset(*state, READ_COMMITTED, TIMESTAMP + 1), 1);
    assert_int_equal(list_offset(*state, READ_COMMITTED, -2), 0);
}

static void a_session_tells_of_a_last_stable_offset_that_moved(void **state)
{
    fill(*state);
    struct fetching fetching;
    prepare(&fetching, READ_COMMITTED, 3);
    fetching.body.session_epoch = 0;
    assert_non_null(answer_of(*state, &fetching, 13));
    int32_t id = fetching.response.session_id;
    exchange_release(&fetching.exchange);

    prepare(&fetching, READ_COMMITTED, 3);
    fetching.body.session_id = id;
    fetching.body.session_epoch = 1;
    fetching.body.topics_count = 0;
    assert_null(answer_of(*state, &fetching, 13));
    exchange_release(&fetching.exchange);

    append(*state, 200, 0);
    fetching.body.session_epoch = 2;
    const struct fetch_response_partition_data *data = answer_of(*state, &fetching, 13);
    assert_non_null(data);
    assert_int_equal(data->last_stable_offset, 8);
    assert_int_equal(data->aborted_transactions_count, 2);
    exchange_release(&fetching.exchange);
}

/* A reader who waits at the last stable offset wakes when the transaction ends. */
static void the_end_of_the_transaction_ends_the_wait(void **state)
{
    fill(*state);
    struct fetching fetching;
    prepare(&fetching, READ_COMMITTED, 3);
    fetching.body.min_bytes = 1;
    fetching.body.max_wait_ms = 60000;
    api_bench_send(*state, &fetching.exchange, KAFKA_API_FETCH, 12, &fetch_request_codec, &fetching.body);
    exchange_turn(&fetching.exchange);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    append(*state, 200, 1);
    exchange_turn(&fetching.exchange);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_ANSWERED);
    exchange_decode(&fetching.exchange, &fetch_response_codec, &fetching.response);
    assert_int_equal(end_of(&fetching.response.responses[0].partitions[0].records), 8);
    exchange_release(&fetching.exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_of_committed_records_stop_at_what_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_the_transaction_gives_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(offsets_are_listed_below_what_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_tells_of_a_last_stable_offset_that_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_the_transaction_ends_the_wait, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
