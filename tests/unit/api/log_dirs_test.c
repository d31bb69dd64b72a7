/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeLogDirs and AlterReplicaLogDirs over a broker with three log directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/replica/mover.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/alter_replica_log_dirs.h"
#include "proto/kafka/messages/describe_log_dirs.h"
#include "tests/unit/api/api_bench.h"

#define DESCRIBE_LATEST 4
#define ALTER_LATEST 2

static int setup(void **state)
{
    static struct api_bench bench;
    api_bench_init(&bench, "log.dirs=/a,/b,/c\n");
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

/* Asks for one topic's partition 0, or (NULL) for all. */
static void describe(struct api_bench *bench, struct exchange *exchange, int16_t version, const char *topic,
                     struct describe_log_dirs_response *response)
{
    int32_t numbers[] = {0, 5, 0};
    struct describe_log_dirs_request_describable_log_dir_topic topics = {
        .topic = slice_of(topic), .partitions = numbers, .partitions_count = 3};
    struct describe_log_dirs_request body;
    describe_log_dirs_request_init(&body);
    body.topics = topic ? &topics : NULL;
    body.topics_count = topic ? 1 : 0;
    api_bench_send(bench, exchange, KAFKA_API_DESCRIBE_LOG_DIRS, version, &describe_log_dirs_request_codec,
                   &body);
    exchange_decode(exchange, &describe_log_dirs_response_codec, response);
}

/* Orders partition `number` of a topic to a directory and gives its error code. */
static int16_t alter(struct api_bench *bench, int16_t version, const char *topic, int32_t number,
                     const char *path)
{
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic topics = {
        .name = slice_of(topic), .partitions = &number, .partitions_count = 1};
    struct alter_replica_log_dirs_request_alter_replica_log_dir directory = {
        .path = slice_of(path), .topics = &topics, .topics_count = 1};
    struct alter_replica_log_dirs_request body = {.dirs = &directory, .dirs_count = 1};
    struct alter_replica_log_dirs_response response;
    struct exchange exchange;
    api_bench_send(bench, &exchange, KAFKA_API_ALTER_REPLICA_LOG_DIRS, version,
                   &alter_replica_log_dirs_request_codec, &body);
    exchange_decode(&exchange, &alter_replica_log_dirs_response_codec, &response);
    assert_int_equal(response.results_count, 1);
    assert_true(slice_is(response.results[0].topic_name, topic));
    assert_int_equal(response.results[0].partitions_count, 1);
    assert_int_equal(response.results[0].partitions[0].partition_index, number);
    int16_t error = response.results[0].partitions[0].error_code;
    exchange_release(&exchange);
    return error;
}

static void all_directories_are_told(void **state)
{
    struct api_bench *bench = *state;
    api_bench_topic(bench, "here", 1, 0, 1);
    api_bench_topic(bench, "there", 1, 0, 2);
    api_bench_produce(bench, "here", "value");
    api_bench_produce(bench, "there", "not replicated");
    for (int16_t version = 0; version <= DESCRIBE_LATEST; version++) {
        struct exchange exchange;
        struct describe_log_dirs_response response;
        describe(bench, &exchange, version, NULL, &response);
        assert_int_equal(response.error_code, KAFKA_NONE);
        assert_int_equal(response.results_count, 3);
        for (size_t i = 0; i < 3; i++) {
            const struct describe_log_dirs_response_result *result = &response.results[i];
            static const char *const paths[] = {"/a", "/b", "/c"};
            assert_true(slice_is(result->log_dir, paths[i]));
            assert_int_equal(result->error_code, KAFKA_NONE);
            assert_int_equal(result->topics_count, i < 2 ? 1 : 0);
            if (i == 2)
                continue;
            assert_true(slice_is(result->topics[0].name, i == 0 ? "here" : "there"));
            assert_int_equal(result->topics[0].partitions_count, 1);
            assert_true(result->topics[0].partitions[0].partition_size > 60);
            assert_int_equal(result->topics[0].partitions[0].offset_lag, 0);
            assert_false(result->topics[0].partitions[0].is_future_key);
        }
        exchange_release(&exchange);
    }
}

static void a_filter_names_partitions(void **state)
{
    struct api_bench *bench = *state;
    struct exchange exchange;
    struct describe_log_dirs_response response;
    api_bench_topic(bench, "here", 1, 0, 1);
    api_bench_topic(bench, "there", 1, 0, 1);
    describe(bench, &exchange, DESCRIBE_LATEST, "there", &response);
    assert_int_equal(response.results[0].topics_count, 0);
    assert_int_equal(response.results[1].topics_count, 1);
    assert_int_equal(response.results[1].topics[0].partitions_count, 1);
    exchange_release(&exchange);
    describe(bench, &exchange, DESCRIBE_LATEST, "unknown", &response);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(response.results[i].topics_count, 0);
    exchange_release(&exchange);
}

static void an_offline_directory_is_an_error_of_its_own(void **state)
{
    struct api_bench *bench = *state;
    struct exchange exchange;
    struct describe_log_dirs_response response;
    const struct memory_files_fault fault = {.operations = MEMORY_FILES_ALL_OPERATIONS,
                                             .error = -5,
                                             .short_bytes = -1,
                                             .repeat = true,
                                             .path_part = "/b"};
    api_bench_topic(bench, "here", 1, 0, 1);
    memory_files_set_fault(bench->files, &fault);
    log_manager_probe(bench->logs);
    describe(bench, &exchange, DESCRIBE_LATEST, NULL, &response);
    assert_int_equal(response.results[0].error_code, KAFKA_NONE);
    assert_int_equal(response.results[1].error_code, KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(response.results[1].total_bytes, -1);
    assert_int_equal(response.results[2].error_code, KAFKA_NONE);
    exchange_release(&exchange);
    assert_int_equal(alter(bench, ALTER_LATEST, "here", 0, "/b"), KAFKA_KAFKA_STORAGE_ERROR);
    /* A future log of an earlier order may lie there. */
    assert_int_equal(alter(bench, ALTER_LATEST, "here", 0, "/c"), KAFKA_KAFKA_STORAGE_ERROR);
    assert_int_equal(alter(bench, ALTER_LATEST, "here", 0, "/a"), KAFKA_NONE);
}

static void a_replica_is_moved(void **state)
{
    struct api_bench *bench = *state;
    struct exchange exchange;
    struct describe_log_dirs_response response;
    api_bench_topic(bench, "here", 1, 0, 1);
    for (int i = 0; i < 5; i++)
        api_bench_produce(bench, "here", "value");
    for (int16_t version = 0; version <= ALTER_LATEST; version++)
        assert_int_equal(alter(bench, version, "here", 0, "/c"), KAFKA_NONE);
    describe(bench, &exchange, DESCRIBE_LATEST, NULL, &response);
    assert_int_equal(response.results[0].topics_count, 1);
    assert_int_equal(response.results[2].topics_count, 1);
    assert_true(response.results[2].topics[0].partitions[0].is_future_key);
    assert_int_equal(response.results[2].topics[0].partitions[0].offset_lag, 5);
    assert_int_equal(response.results[2].topics[0].partitions[0].partition_size, 0);
    exchange_release(&exchange);
    while (mover_run(bench->mover))
        continue;
    describe(bench, &exchange, DESCRIBE_LATEST, "here", &response);
    assert_int_equal(response.results[0].topics_count, 0);
    assert_int_equal(response.results[2].topics_count, 1);
    assert_false(response.results[2].topics[0].partitions[0].is_future_key);
    assert_true(response.results[2].topics[0].partitions[0].partition_size > 300);
    exchange_release(&exchange);
    api_bench_produce(bench, "here", "value");
}

static void what_cannot_be_moved_is_refused(void **state)
{
    struct api_bench *bench = *state;
    api_bench_topic(bench, "here", 1, 0, 1);
    assert_int_equal(alter(bench, ALTER_LATEST, "here", 0, "/d"), KAFKA_LOG_DIR_NOT_FOUND);
    assert_int_equal(alter(bench, ALTER_LATEST, "here", 0, ""), KAFKA_LOG_DIR_NOT_FOUND);
    assert_int_equal(alter(bench, ALTER_LATEST, "here", 1, "/b"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(alter(bench, ALTER_LATEST, "here", -1, "/b"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    char name[250] = {0};
    for (size_t i = 0; i < 249; i++)
        name[i] = 'n';
    assert_int_equal(alter(bench, ALTER_LATEST, name, 0, "/b"), KAFKA_INVALID_TOPIC_EXCEPTION);
    /* What is made later is made where it was wanted. */
    assert_int_equal(alter(bench, ALTER_LATEST, "later", 0, "/c"), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    api_bench_topic(bench, "later", 1, 0, 1);
    assert_int_equal(log_manager_directory_of(bench->logs, slice_of("later"), 0), 2);
}

/* In two directories: the last one counts, and it is answered once. */
static void a_partition_that_comes_twice_goes_to_the_last(void **state)
{
    struct api_bench *bench = *state;
    int32_t number = 0;
    api_bench_topic(bench, "here", 1, 0, 1);
    struct alter_replica_log_dirs_request_alter_replica_log_dir_topic topic = {
        .name = slice_of("here"), .partitions = &number, .partitions_count = 1};
    struct alter_replica_log_dirs_request_alter_replica_log_dir directories[] = {
        {.path = slice_of("/b"), .topics = &topic, .topics_count = 1},
        {.path = slice_of("/c"), .topics = &topic, .topics_count = 1}};
    struct alter_replica_log_dirs_request body = {.dirs = directories, .dirs_count = 2};
    struct alter_replica_log_dirs_response response;
    struct exchange exchange;
    api_bench_send(bench, &exchange, KAFKA_API_ALTER_REPLICA_LOG_DIRS, ALTER_LATEST,
                   &alter_replica_log_dirs_request_codec, &body);
    exchange_decode(&exchange, &alter_replica_log_dirs_response_codec, &response);
    assert_int_equal(response.results_count, 1);
    assert_int_equal(response.results[0].partitions_count, 1);
    assert_int_equal(response.results[0].partitions[0].error_code, KAFKA_NONE);
    exchange_release(&exchange);
    while (mover_run(bench->mover))
        continue;
    assert_int_equal(log_manager_directory_of(bench->logs, slice_of("here"), 0), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_directories_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_filter_names_partitions, setup, teardown),
        cmocka_unit_test_setup_teardown(an_offline_directory_is_an_error_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_replica_is_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_moved_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_partition_that_comes_twice_goes_to_the_last, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
