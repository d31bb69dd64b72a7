/* SPDX-License-Identifier: Apache-2.0 */
/* What the dispatcher refuses, and what ApiVersions tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "broker/api/table.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/api_versions.h"
#include "proto/kafka/messages/init_producer_id.h"
#include "proto/kafka/messages/metadata.h"
#include "tests/unit/api/api_bench.h"

static int setup(void **state)
{
    static struct api_bench bench;
    api_bench_init(&bench, "");
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

static void send_bytes(struct api_bench *bench, struct exchange *exchange, int16_t key, int16_t version,
                       struct slice bytes)
{
    exchange->request.inter_broker = false;
    exchange_start(exchange, &bench->reactor, api_handler(bench->api), key, version, NULL, NULL, bytes);
}

static void every_row_is_within_the_protocol(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_rows_count; i++) {
        const struct kafka_api *api = kafka_api_find(api_rows[i].key);
        if (i > 0)
            assert_true(api_rows[i - 1].key < api_rows[i].key);
        if (api == NULL) {
            assert_true(api_rows[i].inter_broker);
            continue;
        }
        assert_int_equal(api_rows[i].minimum_version, api->minimum_version);
        assert_int_equal(api_rows[i].maximum_version, api->maximum_version);
    }
}

static void api_versions_lists_what_clients_may_use(void **state)
{
    struct api_versions_request body;
    api_versions_request_init(&body);
    body.client_software_name = slice_of("test-client");
    body.client_software_version = slice_of("1.0");
    for (int16_t version = 0; version <= 4; version++) {
        struct exchange exchange;
        struct api_versions_response response;
        api_bench_send(*state, &exchange, KAFKA_API_API_VERSIONS, version, &api_versions_request_codec,
                       &body);
        exchange_decode(&exchange, &api_versions_response_codec, &response);
        assert_int_equal(response.error_code, KAFKA_NONE);
        assert_int_equal(response.api_keys_count, api_rows_count - 1);
        for (size_t i = 0; i < response.api_keys_count; i++)
            assert_int_not_equal(response.api_keys[i].api_key, CONTROL_API_KEY);
        exchange_release(&exchange);
    }
}

static void a_strange_software_name_is_refused(void **state)
{
    static const char *const names[] = {"", "-x", "x-", "a b", "a\n"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct api_versions_request body;
        struct api_versions_response response;
        struct exchange exchange;
        api_versions_request_init(&body);
        body.client_software_name = slice_of(names[i]);
        body.client_software_version = slice_of("1");
        api_bench_send(*state, &exchange, KAFKA_API_API_VERSIONS, 3, &api_versions_request_codec, &body);
        exchange_decode(&exchange, &api_versions_response_codec, &response);
        assert_int_equal(response.error_code, KAFKA_INVALID_REQUEST);
        exchange_release(&exchange);
    }
}

/* A client of the future reads version 0 and finds a version in common. */
static void an_unknown_version_is_answered_in_version_0(void **state)
{
    struct exchange exchange;
    struct api_versions_response response;
    send_bytes(*state, &exchange, KAFKA_API_API_VERSIONS, 99, slice_of("whatever"));
    assert_int_equal(exchange_wait(&exchange), EXCHANGE_ANSWERED);
    struct byte_reader reader;
    reader_init(&reader, buffer_slice(&exchange.whole));
    (void)reader_i32(&reader);
    assert_int_equal(api_versions_response_decode(&response, &reader, 0, &exchange.arena), 0);
    assert_int_equal(response.error_code, KAFKA_UNSUPPORTED_VERSION);
    assert_int_equal(response.api_keys_count, api_rows_count - 1);
    exchange_release(&exchange);
}

static void what_is_not_served_costs_the_connection(void **state)
{
    static const struct {
        int16_t key;
        int16_t version;
        const char *reason;
    } cases[] = {
        {KAFKA_API_JOIN_GROUP, 0, "not served"},      {12345, 0, "not served"},
        {KAFKA_API_METADATA, 13, "version"},          {KAFKA_API_METADATA, -1, "version"},
        {CONTROL_API_KEY, 0, "brokers only"},         {KAFKA_API_METADATA, 9, "malformed"},
        {KAFKA_API_PRODUCE, 9, "malformed"},          {KAFKA_API_FETCH, 12, "malformed"},
        {KAFKA_API_LIST_OFFSETS, 6, "malformed"},     {KAFKA_API_OFFSET_FOR_LEADER_EPOCH, 4, "malformed"},
        {KAFKA_API_INIT_PRODUCER_ID, 4, "malformed"}, {KAFKA_API_CREATE_TOPICS, 7, "malformed"},
        {KAFKA_API_DELETE_TOPICS, 6, "malformed"},    {KAFKA_API_CREATE_PARTITIONS, 3, "malformed"},
        {KAFKA_API_DESCRIBE_CONFIGS, 4, "malformed"}, {KAFKA_API_DESCRIBE_CLUSTER, 1, "malformed"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct exchange exchange;
        send_bytes(*state, &exchange, cases[i].key, cases[i].version, slice_of(NULL));
        assert_int_equal(exchange.outcome, EXCHANGE_CLOSED);
        if (strstr(exchange.reason, cases[i].reason) == NULL)
            fail_msg("%zu: %s", i, exchange.reason);
        exchange_release(&exchange);
    }
}

static void a_broken_control_message_costs_the_connection(void **state)
{
    struct api_bench *bench = *state;
    struct exchange exchange = {.request.inter_broker = true};
    exchange_start(&exchange, &bench->reactor, api_handler(bench->api), CONTROL_API_KEY, CONTROL_API_VERSION,
                   NULL, NULL, slice_of("\xff\xff\xff"));
    assert_int_equal(exchange.outcome, EXCHANGE_CLOSED);
    exchange_release(&exchange);
}

/* A count that the frame cannot hold, and one that it could, but not in memory. */
static void announced_arrays_are_not_believed(void **state)
{
    static const uint8_t huge[] = {0x7f, 0xff, 0xff, 0xff};
    struct exchange exchange;
    send_bytes(*state, &exchange, KAFKA_API_METADATA, 1, slice_make(huge, sizeof(huge)));
    assert_int_equal(exchange.outcome, EXCHANGE_CLOSED);
    exchange_release(&exchange);
}

static void producer_ids_come_in_blocks(void **state)
{
    struct api_bench *bench = *state;
    struct init_producer_id_request body;
    struct init_producer_id_response response;
    init_producer_id_request_init(&body);
    body.transactional_id = slice_of(NULL);
    for (int64_t i = -1; i < 25; i++) {
        struct exchange exchange;
        api_bench_send(bench, &exchange, KAFKA_API_INIT_PRODUCER_ID, (int16_t)(i < 0 ? 0 : i % 6),
                       &init_producer_id_request_codec, &body);
        exchange_decode(&exchange, &init_producer_id_response_codec, &response);
        exchange_release(&exchange);
        if (bench->calls_count > 0) {
            /* The first time nothing is there; later the next block is ordered before it is needed. */
            assert_int_equal(bench->calls[0]->kind, CONTROL_ALLOCATE_PRODUCER_IDS);
            const struct control_answer answer = {
                .kind = CONTROL_ALLOCATE_PRODUCER_IDS,
                .allocate_producer_ids = {.first = i < 0 ? 1000 : 1000 + (i / 10 + 1) * 10, .count = 10}};
            api_bench_answer(bench, 0, &answer);
        }
        assert_int_equal(response.error_code, i < 0 ? KAFKA_COORDINATOR_LOAD_IN_PROGRESS : KAFKA_NONE);
        assert_int_equal(response.producer_id, i < 0 ? -1 : 1000 + i);
        assert_int_equal(response.producer_epoch, i < 0 ? -1 : 0);
    }
}

static void transactional_producers_are_refused(void **state)
{
    struct init_producer_id_request body;
    struct init_producer_id_response response;
    struct exchange exchange;
    init_producer_id_request_init(&body);
    body.transactional_id = slice_of("tx");
    api_bench_send(*state, &exchange, KAFKA_API_INIT_PRODUCER_ID, 4, &init_producer_id_request_codec, &body);
    exchange_decode(&exchange, &init_producer_id_response_codec, &response);
    assert_int_equal(response.error_code, KAFKA_INVALID_REQUEST);
    exchange_release(&exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_within_the_protocol),
        cmocka_unit_test(api_versions_lists_what_clients_may_use),
        cmocka_unit_test(a_strange_software_name_is_refused),
        cmocka_unit_test(an_unknown_version_is_answered_in_version_0),
        cmocka_unit_test(what_is_not_served_costs_the_connection),
        cmocka_unit_test(a_broken_control_message_costs_the_connection),
        cmocka_unit_test(announced_arrays_are_not_believed),
        cmocka_unit_test(producer_ids_come_in_blocks),
        cmocka_unit_test(transactional_producers_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
