/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata answers by version: errors of topics and partitions, listeners, topics by id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/api/metadata_answer.h"
#include "broker/config/broker_config.h"
#include "proto/kafka/error.h"

struct bench {
    struct broker_config config;
    struct metadata_cache *cache;
    const struct metadata_image *image;
    struct arena arena;
    struct metadata_response response;
};

static const struct uuid topic_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* Broker 1 has both listeners, broker 2 only PLAINTEXT; broker 3 is down. */
static void fill(struct metadata_cache *cache)
{
    struct control_endpoint both[] = {
        {.listener = slice_of("PLAINTEXT"), .host = slice_of("one"), .port = 9092},
        {.listener = slice_of("OUTSIDE"), .host = slice_of("one.example"), .port = 19092}};
    struct control_endpoint one[] = {
        {.listener = slice_of("PLAINTEXT"), .host = slice_of("two"), .port = 9093}};
    struct control_broker brokers[] = {
        {.id = 1, .rack = slice_of("r"), .endpoints = both, .endpoints_count = 2},
        {.id = 2, .endpoints = one, .endpoints_count = 1}};
    int32_t replicas[] = {1, 2, 3};
    struct isr_member isr[] = {{1, 1}, {2, 2}};
    struct control_partition partitions[3];
    const int32_t leaders[] = {1, 2, 3};
    for (int32_t i = 0; i < 3; i++)
        partitions[i] = (struct control_partition){.partition = i,
                                                   .leader = leaders[i],
                                                   .leader_epoch = 40 + i,
                                                   .isr = isr,
                                                   .isr_count = 2,
                                                   .replicas = replicas,
                                                   .replicas_count = 3};
    /* the log directory of broker 2 does not serve this one */
    partitions[1].offline_replicas = &replicas[1];
    partitions[1].offline_replicas_count = 1;
    struct control_topic topics[] = {
        {.name = slice_of("t"), .topic_id = topic_id, .partitions = partitions, .partitions_count = 3},
        {.name = slice_of("__consumer_offsets"), .partitions = partitions, .partitions_count = 1}};
    const struct update_metadata_request update = {.controller_id = 2,
                                                   .full = true,
                                                   .brokers = brokers,
                                                   .brokers_count = 2,
                                                   .topics = topics,
                                                   .topics_count = 2};
    metadata_cache_update(cache, &update);
}

static int setup(void **state)
{
    static struct bench bench;
    struct buffer said;
    buffer_init(&said);
    broker_config_init(&bench.config);
    assert_int_equal(broker_config_parse(&bench.config, slice_of("broker.id=1\nzookeeper.connect=z:1\n"),
                                         "server.properties", &said, &said),
                     0);
    buffer_release(&said);
    bench.cache = metadata_cache_new(&bench.config, "the-cluster");
    fill(bench.cache);
    bench.image = metadata_cache_acquire(bench.cache);
    arena_init(&bench.arena, ARENA_NO_BUDGET);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    arena_release(&bench->arena);
    metadata_image_release(bench->image);
    metadata_cache_free(bench->cache);
    broker_config_release(&bench->config);
    return 0;
}

static void ask(struct bench *bench, int16_t version, const char *listener,
                const struct metadata_request_topic *topics, size_t count)
{
    const struct metadata_asker asker = {.image = bench->image,
                                         .listener = listener,
                                         .version = version,
                                         .topics = topics,
                                         .topics_count = count};
    metadata_answer_build(&asker, metadata_cache_cluster_id(bench->cache), &bench->arena, &bench->response);
}

static void brokers_are_those_of_the_listener(void **state)
{
    struct bench *bench = *state;
    ask(bench, 12, "PLAINTEXT", NULL, 0);
    assert_int_equal(bench->response.brokers_count, 2);
    assert_true(slice_is(bench->response.brokers[0].host, "one"));
    assert_true(slice_is(bench->response.brokers[0].rack, "r"));
    assert_int_equal(bench->response.brokers[1].port, 9093);
    assert_int_equal(bench->response.controller_id, 2);
    assert_true(slice_is(bench->response.cluster_id, "the-cluster"));
    assert_int_equal(bench->response.cluster_authorized_operations, INT32_MIN);
    assert_int_equal(bench->response.topics_count, 2);
    ask(bench, 12, "OUTSIDE", NULL, 0);
    assert_int_equal(bench->response.brokers_count, 1);
    assert_true(slice_is(bench->response.brokers[0].host, "one.example"));
}

static void partitions_have_their_errors(void **state)
{
    struct bench *bench = *state;
    const struct metadata_request_topic topic = {.name = slice_of("t")};
    ask(bench, 9, "PLAINTEXT", &topic, 1);
    const struct metadata_response_topic *answer = &bench->response.topics[0];
    assert_int_equal(answer->error_code, KAFKA_NONE);
    assert_false(answer->is_internal);
    assert_int_equal(answer->partitions_count, 3);
    assert_int_equal(answer->partitions[0].error_code, KAFKA_NONE);
    assert_int_equal(answer->partitions[0].leader_id, 1);
    assert_int_equal(answer->partitions[0].replica_nodes_count, 3);
    assert_int_equal(answer->partitions[0].isr_nodes_count, 2);
    assert_int_equal(answer->partitions[0].offline_replicas_count, 1);
    assert_int_equal(answer->partitions[0].offline_replicas[0], 3);
    assert_int_equal(answer->partitions[1].offline_replicas_count, 2);
    assert_int_equal(answer->partitions[1].offline_replicas[0], 2);
    assert_int_equal(answer->partitions[2].error_code, KAFKA_LEADER_NOT_AVAILABLE);
    assert_int_equal(answer->partitions[2].leader_id, -1);
    assert_int_equal(answer->partitions[2].leader_epoch, 42);
    /* The leader lacks the listener: told apart from version 6 on. */
    ask(bench, 6, "OUTSIDE", &topic, 1);
    assert_int_equal(bench->response.topics[0].partitions[1].error_code, KAFKA_LISTENER_NOT_FOUND);
    ask(bench, 5, "OUTSIDE", &topic, 1);
    assert_int_equal(bench->response.topics[0].partitions[1].error_code, KAFKA_LEADER_NOT_AVAILABLE);
    /* Version 0 cannot say which replicas are offline: it leaves them out. */
    ask(bench, 0, "PLAINTEXT", &topic, 1);
    assert_int_equal(bench->response.topics[0].partitions[0].error_code, KAFKA_REPLICA_NOT_AVAILABLE);
    assert_int_equal(bench->response.topics[0].partitions[0].replica_nodes_count, 2);
}

static void topics_have_their_errors(void **state)
{
    struct bench *bench = *state;
    const struct uuid unknown = {{9}};
    const struct metadata_request_topic topics[] = {
        {.name = slice_of("nobody")}, {.name = slice_of("bad/name")},
        {.name = slice_of("..")},     {.name = slice_of("t")},
        {.name = slice_of("t")},      {.topic_id = unknown},
        {.topic_id = topic_id},       {.name = slice_of("__consumer_offsets")},
    };
    ask(bench, 12, "PLAINTEXT", topics, ARRAY_SIZE(topics));
    const struct metadata_response_topic *answers = bench->response.topics;
    assert_int_equal(bench->response.topics_count, ARRAY_SIZE(topics) - 1);
    assert_int_equal(answers[0].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_true(slice_is(answers[0].name, "nobody"));
    assert_int_equal(answers[1].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(answers[2].error_code, KAFKA_INVALID_TOPIC_EXCEPTION);
    assert_int_equal(answers[3].error_code, KAFKA_NONE);
    assert_int_equal(answers[4].error_code, KAFKA_UNKNOWN_TOPIC_ID);
    assert_true(slice_is_null(answers[4].name));
    assert_int_equal(answers[5].error_code, KAFKA_NONE);
    assert_true(slice_is(answers[5].name, "t"));
    assert_true(answers[6].is_internal);
    assert_int_equal(answers[6].topic_authorized_operations, INT32_MIN);
}

/* A broker that no controller has told anything says nothing of a topic: a client would believe it. */
static void a_broker_that_knows_nothing_speaks_of_no_topic(void **state)
{
    struct bench *bench = *state;
    struct metadata_cache *empty = metadata_cache_new(&bench->config, "the-cluster");
    const struct metadata_request_topic topic = {.name = slice_of("t")};
    const struct metadata_asker asker = {.image = metadata_cache_acquire(empty),
                                         .listener = "PLAINTEXT",
                                         .version = 12,
                                         .topics = &topic,
                                         .topics_count = 1};
    metadata_answer_build(&asker, "the-cluster", &bench->arena, &bench->response);
    assert_int_equal(bench->response.brokers_count, 0);
    assert_int_equal(bench->response.topics_count, 0);
    metadata_image_release(asker.image);
    metadata_cache_free(empty);
}

/* Every version takes the same answer. */
static void every_version_encodes(void **state)
{
    struct bench *bench = *state;
    for (int16_t version = 0; version <= 12; version++) {
        struct buffer bytes;
        struct wire_writer writer;
        struct byte_reader reader;
        struct metadata_response decoded;
        ask(bench, version, "PLAINTEXT", NULL, 0);
        buffer_init(&bytes);
        wire_writer_init(&writer, &bytes);
        metadata_response_encode(&bench->response, &writer, version);
        reader_init(&reader, buffer_slice(&bytes));
        assert_int_equal(metadata_response_decode(&decoded, &reader, version, &bench->arena), 0);
        assert_int_equal(reader_left(&reader), 0);
        assert_int_equal(decoded.topics_count, 2);
        assert_int_equal(decoded.controller_id, version >= 1 ? 2 : -1);
        wire_writer_release(&writer);
        buffer_release(&bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(brokers_are_those_of_the_listener),
        cmocka_unit_test(partitions_have_their_errors),
        cmocka_unit_test(topics_have_their_errors),
        cmocka_unit_test(a_broker_that_knows_nothing_speaks_of_no_topic),
        cmocka_unit_test(every_version_encodes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
