/* SPDX-License-Identifier: Apache-2.0 */
/* What a broker tells of the cluster, of settings, and of where things are in logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/describe_cluster.h"
#include "proto/kafka/messages/describe_configs.h"
#include "proto/kafka/messages/list_offsets.h"
#include "proto/kafka/messages/offset_for_leader_epoch.h"
#include "tests/unit/api/api_bench.h"

#define BATCH_TIMESTAMP 1700000000000

static int setup(void **state)
{
    static struct api_bench bench;
    api_bench_init(&bench,
                   "log.retention.hours=1\nssl.key.password=hush\nodd.key=odd\nnum.network.threads=2\n");
    api_bench_topic(&bench, "t", 1, 5, 1);
    api_bench_produce(&bench, "t", "one");
    api_bench_produce(&bench, "t", "two");
    api_bench_topic(&bench, "theirs", 2, 5, 2);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

static void the_cluster_is_described(void **state)
{
    static const struct {
        int16_t version;
        int8_t type;
        int16_t error;
    } cases[] = {{0, 1, KAFKA_NONE},
                 {1, 1, KAFKA_NONE},
                 {1, 2, KAFKA_MISMATCHED_ENDPOINT_TYPE},
                 {1, 9, KAFKA_UNSUPPORTED_ENDPOINT_TYPE}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct describe_cluster_request body;
        struct describe_cluster_response response;
        struct exchange exchange;
        describe_cluster_request_init(&body);
        body.endpoint_type = cases[i].type;
        api_bench_send(*state, &exchange, KAFKA_API_DESCRIBE_CLUSTER, cases[i].version,
                       &describe_cluster_request_codec, &body);
        exchange_decode(&exchange, &describe_cluster_response_codec, &response);
        assert_int_equal(response.error_code, cases[i].error);
        assert_true(slice_is(response.cluster_id, "cluster"));
        if (cases[i].error == KAFKA_NONE) {
            assert_int_equal(response.controller_id, 2);
            assert_int_equal(response.brokers_count, 2);
            assert_int_equal(response.brokers[1].port, 9093);
        }
        exchange_release(&exchange);
    }
}

struct describing {
    struct exchange exchange;
    struct describe_configs_request body;
    struct describe_configs_request_resource resource;
    struct describe_configs_response response;
};

static const struct describe_configs_response_result *describe(struct api_bench *bench,
                                                               struct describing *describing, int16_t version,
                                                               int8_t type, const char *name)
{
    describing->body.resources = &describing->resource;
    describing->body.resources_count = 1;
    describing->resource.resource_type = type;
    describing->resource.resource_name = slice_of(name);
    api_bench_send(bench, &describing->exchange, KAFKA_API_DESCRIBE_CONFIGS, version,
                   &describe_configs_request_codec, &describing->body);
    exchange_decode(&describing->exchange, &describe_configs_response_codec, &describing->response);
    assert_int_equal(describing->response.results_count, 1);
    assert_true(slice_is(describing->response.results[0].resource_name, name));
    return &describing->response.results[0];
}

static const struct describe_configs_response_resource_result *
find(const struct describe_configs_response_result *result, const char *name)
{
    for (size_t i = 0; i < result->configs_count; i++)
        if (slice_is(result->configs[i].name, name))
            return &result->configs[i];
    return NULL;
}

static void a_topics_settings_name_their_source(void **state)
{
    struct describing describing = {.body = {.include_synonyms = true, .include_documentation = true}};
    const struct describe_configs_response_result *result = describe(*state, &describing, 4, 2, "t");
    assert_int_equal(result->error_code, KAFKA_NONE);
    assert_int_equal(result->configs_count, topic_key_count());
    const struct describe_configs_response_resource_result *retention = find(result, "retention.ms");
    assert_true(slice_is(retention->value, "3600000"));
    assert_int_equal(retention->config_source, CONFIG_SOURCE_STATIC_BROKER);
    assert_int_equal(retention->config_type, CONFIG_LONG);
    assert_false(retention->read_only);
    assert_int_equal(retention->synonyms_count, 2);
    assert_true(slice_is(retention->synonyms[0].name, "log.retention.hours"));
    assert_true(slice_is(retention->synonyms[0].value, "1"));
    assert_int_equal(retention->synonyms[1].source, CONFIG_SOURCE_DEFAULT);
    const struct describe_configs_response_resource_result *bytes = find(result, "segment.bytes");
    assert_true(slice_is(bytes->value, "1073741824"));
    assert_int_equal(bytes->config_source, CONFIG_SOURCE_DEFAULT);
    assert_true(bytes->documentation.length > 0);
    exchange_release(&describing.exchange);
}

static void a_brokers_settings_keep_secrets(void **state)
{
    for (int16_t version = 0; version <= 4; version++) {
        struct describing describing = {.body = {.include_synonyms = true}};
        const struct describe_configs_response_result *result =
            describe(*state, &describing, version, 4, "1");
        assert_int_equal(result->error_code, KAFKA_NONE);
        const struct describe_configs_response_resource_result *threads = find(result, "num.network.threads");
        assert_true(slice_is(threads->value, "2"));
        if (version > 0)
            assert_int_equal(threads->config_source, CONFIG_SOURCE_STATIC_BROKER);
        else
            assert_false(threads->is_default);
        const struct describe_configs_response_resource_result *secret = find(result, "ssl.key.password");
        assert_true(secret->is_sensitive);
        assert_true(slice_is_null(secret->value));
        const struct describe_configs_response_resource_result *odd = find(result, "odd.key");
        assert_true(odd->is_sensitive);
        assert_true(slice_is_null(odd->value));
        assert_null(find(result, "log.initial.task.delay.ms"));
        assert_true(find(result, "broker.id")->read_only);
        exchange_release(&describing.exchange);
    }
}

static void only_what_is_asked_for_is_told(void **state)
{
    struct slice keys[] = {slice_of("cleanup.policy"), slice_of("no.such.key")};
    struct describing describing = {.resource = {.configuration_keys = keys, .configuration_keys_count = 2}};
    const struct describe_configs_response_result *result = describe(*state, &describing, 2, 2, "t");
    assert_int_equal(result->configs_count, 1);
    assert_true(slice_is(result->configs[0].value, "delete"));
    assert_int_equal(result->configs[0].synonyms_count, 0);
    exchange_release(&describing.exchange);
}

static void unknown_resources_have_their_errors(void **state)
{
    static const struct {
        int8_t type;
        const char *name;
        int16_t error;
    } cases[] = {{2, "nobody", KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
                 {2, "a/b", KAFKA_INVALID_TOPIC_EXCEPTION},
                 {4, "2", KAFKA_INVALID_REQUEST},
                 {4, "x", KAFKA_INVALID_REQUEST},
                 {4, "", KAFKA_NONE},
                 {8, "1", KAFKA_INVALID_REQUEST},
                 {0, "1", KAFKA_INVALID_REQUEST}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct describing describing = {.body = {.include_synonyms = false}};
        const struct describe_configs_response_result *result =
            describe(*state, &describing, 4, cases[i].type, cases[i].name);
        assert_int_equal(result->error_code, cases[i].error);
        assert_int_equal(result->configs_count, 0);
        exchange_release(&describing.exchange);
    }
}

static void offsets_are_listed(void **state)
{
    static const struct {
        const char *topic;
        int64_t timestamp;
        int32_t epoch;
        int16_t version;
        int16_t error;
        int64_t offset;
    } cases[] = {
        {"t", -1, -1, 1, KAFKA_NONE, 2},
        {"t", -2, -1, 9, KAFKA_NONE, 0},
        {"t", -3, -1, 7, KAFKA_NONE, 0},
        {"t", -3, -1, 6, KAFKA_UNSUPPORTED_VERSION, -1},
        {"t", -4, -1, 7, KAFKA_UNSUPPORTED_VERSION, -1},
        {"t", -4, -1, 8, KAFKA_NONE, 0},
        {"t", -5, -1, 8, KAFKA_UNSUPPORTED_VERSION, -1},
        {"t", -6, -1, 9, KAFKA_UNSUPPORTED_VERSION, -1},
        {"t", BATCH_TIMESTAMP, -1, 5, KAFKA_NONE, 0},
        {"t", BATCH_TIMESTAMP + 1, -1, 5, KAFKA_NONE, -1},
        {"t", -1, 4, 5, KAFKA_FENCED_LEADER_EPOCH, -1},
        {"t", -1, 6, 5, KAFKA_UNKNOWN_LEADER_EPOCH, -1},
        {"theirs", -1, -1, 5, KAFKA_NOT_LEADER_OR_FOLLOWER, -1},
        {"nobody", -1, -1, 5, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct list_offsets_request_partition partition;
        struct list_offsets_request_topic topic = {slice_of(cases[i].topic), &partition, 1};
        struct list_offsets_request body;
        struct list_offsets_response response;
        struct exchange exchange;
        list_offsets_request_init(&body);
        list_offsets_request_partition_init(&partition);
        body.replica_id = -1;
        body.topics = &topic;
        body.topics_count = 1;
        partition.timestamp = cases[i].timestamp;
        partition.current_leader_epoch = cases[i].epoch;
        api_bench_send(*state, &exchange, KAFKA_API_LIST_OFFSETS, cases[i].version,
                       &list_offsets_request_codec, &body);
        exchange_decode(&exchange, &list_offsets_response_codec, &response);
        const struct list_offsets_response_partition_response *answer = &response.topics[0].partitions[0];
        if (answer->error_code != cases[i].error || answer->offset != cases[i].offset)
            fail_msg("case %zu: %s, offset %ld", i, kafka_error_name(answer->error_code),
                     (long)answer->offset);
        exchange_release(&exchange);
    }
}

static void a_partition_that_is_named_twice_has_no_offset(void **state)
{
    struct list_offsets_request_partition partitions[2];
    struct list_offsets_request_topic topics[2] = {{slice_of("t"), &partitions[0], 1},
                                                   {slice_of("t"), &partitions[1], 1}};
    struct list_offsets_request body;
    struct list_offsets_response response;
    struct exchange exchange;
    list_offsets_request_init(&body);
    body.replica_id = -1;
    body.topics = topics;
    body.topics_count = 2;
    for (size_t i = 0; i < 2; i++) {
        list_offsets_request_partition_init(&partitions[i]);
        partitions[i].timestamp = -1;
    }
    api_bench_send(*state, &exchange, KAFKA_API_LIST_OFFSETS, 5, &list_offsets_request_codec, &body);
    exchange_decode(&exchange, &list_offsets_response_codec, &response);
    assert_int_equal(response.topics_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(response.topics[i].partitions[0].error_code, KAFKA_INVALID_REQUEST);
        assert_int_equal(response.topics[i].partitions[0].offset, -1);
    }
    exchange_release(&exchange);
}

static void the_oldest_version_lists_offsets_its_own_way(void **state)
{
    struct list_offsets_request_partition partition = {.timestamp = -1, .max_num_offsets = 5};
    struct list_offsets_request_topic topic = {slice_of("t"), &partition, 1};
    struct list_offsets_request body;
    struct list_offsets_response response;
    struct exchange exchange;
    list_offsets_request_init(&body);
    body.replica_id = -1;
    body.topics = &topic;
    body.topics_count = 1;
    api_bench_send(*state, &exchange, KAFKA_API_LIST_OFFSETS, 0, &list_offsets_request_codec, &body);
    exchange_decode(&exchange, &list_offsets_response_codec, &response);
    assert_int_equal(response.topics[0].partitions[0].old_style_offsets_count, 2);
    assert_int_equal(response.topics[0].partitions[0].old_style_offsets[0], 2);
    assert_int_equal(response.topics[0].partitions[0].old_style_offsets[1], 0);
    exchange_release(&exchange);
}

static void ends_of_epochs_are_told(void **state)
{
    static const struct {
        const char *topic;
        int32_t current;
        int32_t epoch;
        int16_t error;
        int32_t found;
        int64_t end;
    } cases[] = {
        {"t", -1, 5, KAFKA_NONE, 5, 2},
        {"t", 5, 5, KAFKA_NONE, 5, 2},
        {"t", 4, 5, KAFKA_FENCED_LEADER_EPOCH, -1, -1},
        {"t", 6, 5, KAFKA_UNKNOWN_LEADER_EPOCH, -1, -1},
        {"nobody", -1, 5, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, -1, -1},
        {"theirs", -1, 5, KAFKA_NOT_LEADER_OR_FOLLOWER, -1, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct offset_for_leader_epoch_request_offset_for_leader_partition partition = {
            .current_leader_epoch = cases[i].current, .leader_epoch = cases[i].epoch};
        struct offset_for_leader_epoch_request_offset_for_leader_topic topic = {slice_of(cases[i].topic),
                                                                                &partition, 1};
        struct offset_for_leader_epoch_request body;
        struct offset_for_leader_epoch_response response;
        struct exchange exchange;
        offset_for_leader_epoch_request_init(&body);
        body.topics = &topic;
        body.topics_count = 1;
        api_bench_send(*state, &exchange, KAFKA_API_OFFSET_FOR_LEADER_EPOCH, 4,
                       &offset_for_leader_epoch_request_codec, &body);
        exchange_decode(&exchange, &offset_for_leader_epoch_response_codec, &response);
        const struct offset_for_leader_epoch_response_epoch_end_offset *answer =
            &response.topics[0].partitions[0];
        if (answer->error_code != cases[i].error || answer->leader_epoch != cases[i].found ||
            answer->end_offset != cases[i].end)
            fail_msg("case %zu: %s, epoch %d, end %ld", i, kafka_error_name(answer->error_code),
                     (int)answer->leader_epoch, (long)answer->end_offset);
        exchange_release(&exchange);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cluster_is_described),
        cmocka_unit_test(a_topics_settings_name_their_source),
        cmocka_unit_test(a_brokers_settings_keep_secrets),
        cmocka_unit_test(only_what_is_asked_for_is_told),
        cmocka_unit_test(unknown_resources_have_their_errors),
        cmocka_unit_test(offsets_are_listed),
        cmocka_unit_test(a_partition_that_is_named_twice_has_no_offset),
        cmocka_unit_test(the_oldest_version_lists_offsets_its_own_way),
        cmocka_unit_test(ends_of_epochs_are_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
