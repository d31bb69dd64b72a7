/* SPDX-License-Identifier: Apache-2.0 */
/* Topic administration: what is sent on to the controller, and what comes of its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "broker/api/auto_create.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/create_partitions.h"
#include "proto/kafka/messages/create_topics.h"
#include "proto/kafka/messages/delete_topics.h"
#include "proto/kafka/messages/metadata.h"
#include "tests/unit/api/api_bench.h"

static int setup(void **state)
{
    static struct api_bench bench;
    api_bench_init(&bench, "num.partitions=4\ndefault.replication.factor=2\n");
    api_bench_topic(&bench, "known", 1, 0, 1);
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

/* Decodes what the oldest call forwards. */
static void forwarded(struct api_bench *bench, struct arena *arena, struct control_request *request)
{
    assert_int_equal(bench->calls_count, 1);
    assert_int_equal(control_request_decode(buffer_slice(&bench->calls[0]->request), arena, request), 0);
    assert_int_equal(request->kind, CONTROL_FORWARD);
}

/* The controller answers with this body. */
static void relay(struct api_bench *bench, int16_t error, const struct message_codec *codec, const void *body,
                  int16_t version)
{
    struct buffer bytes;
    struct wire_writer writer;
    buffer_init(&bytes);
    wire_writer_init(&writer, &bytes);
    if (codec)
        codec->encode(body, &writer, version);
    const struct control_answer answer = {.kind = CONTROL_FORWARD,
                                          .forward = {.error = error, .body = buffer_slice(&bytes)}};
    api_bench_answer(bench, 0, &answer);
    wire_writer_release(&writer);
    buffer_release(&bytes);
}

static void send_create(struct api_bench *bench, struct exchange *exchange, int16_t version)
{
    struct create_topics_request_creatable_topic_config config = {slice_of("retention.ms"), slice_of("5000")};
    struct create_topics_request_creatable_topic topic;
    struct create_topics_request body;
    create_topics_request_init(&body);
    create_topics_request_creatable_topic_init(&topic);
    topic.name = slice_of("fresh");
    topic.num_partitions = 3;
    topic.replication_factor = 2;
    topic.configs = &config;
    topic.configs_count = 1;
    body.topics = &topic;
    body.topics_count = 1;
    body.timeout_ms = 1000;
    api_bench_send(bench, exchange, KAFKA_API_CREATE_TOPICS, version, &create_topics_request_codec, &body);
}

static void a_creation_goes_to_the_controller_as_it_came(void **state)
{
    struct api_bench *bench = *state;
    for (int16_t version = 0; version <= 7; version++) {
        struct exchange exchange;
        struct control_request request;
        struct create_topics_request asked;
        struct byte_reader reader;
        send_create(bench, &exchange, version);
        assert_int_equal(exchange.outcome, EXCHANGE_OPEN);
        forwarded(bench, &exchange.arena, &request);
        assert_int_equal(request.forward.api_key, KAFKA_API_CREATE_TOPICS);
        assert_int_equal(request.forward.api_version, version);
        assert_true(slice_is(request.forward.client_id, "the-client"));
        assert_true(slice_is(request.forward.principal, "User:ANONYMOUS"));
        reader_init(&reader, request.forward.body);
        assert_int_equal(create_topics_request_decode(&asked, &reader, version, &exchange.arena), 0);
        assert_true(slice_is(asked.topics[0].name, "fresh"));

        struct create_topics_response_creatable_topic_result result;
        struct create_topics_response response;
        create_topics_response_init(&response);
        create_topics_response_creatable_topic_result_init(&result);
        result.name = slice_of("fresh");
        result.num_partitions = 3;
        result.replication_factor = 2;
        response.topics = &result;
        response.topics_count = 1;
        relay(bench, KAFKA_NONE, &create_topics_response_codec, &response, version);
        exchange_decode(&exchange, &create_topics_response_codec, &response);
        assert_int_equal(response.topics[0].error_code, KAFKA_NONE);
        assert_int_equal(response.topics[0].num_partitions, version >= 5 ? 3 : -1);
        bool found = false;
        for (size_t i = 0; i < response.topics[0].configs_count; i++) {
            const struct create_topics_response_creatable_topic_configs *config =
                &response.topics[0].configs[i];
            if (!slice_is(config->name, "retention.ms"))
                continue;
            found = true;
            assert_true(slice_is(config->value, "5000"));
            assert_int_equal(config->config_source, CONFIG_SOURCE_TOPIC);
        }
        assert_true(found == (version >= 5));
        exchange_release(&exchange);
    }
}

static void silence_of_the_controller_is_an_error_of_each_topic(void **state)
{
    static const struct {
        int status;
        int16_t error;
    } cases[] = {{-ETIMEDOUT, KAFKA_REQUEST_TIMED_OUT},
                 {-ECONNRESET, KAFKA_REQUEST_TIMED_OUT},
                 {-ENOTCONN, KAFKA_NOT_CONTROLLER},
                 {-ECANCELED, KAFKA_NOT_CONTROLLER}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct exchange exchange;
        struct create_topics_response response;
        send_create(*state, &exchange, 7);
        api_bench_answer(*state, cases[i].status, NULL);
        exchange_decode(&exchange, &create_topics_response_codec, &response);
        assert_true(slice_is(response.topics[0].name, "fresh"));
        assert_int_equal(response.topics[0].error_code, cases[i].error);
        exchange_release(&exchange);
    }
    struct exchange exchange;
    struct create_topics_response response;
    send_create(*state, &exchange, 7);
    relay(*state, KAFKA_NOT_CONTROLLER, NULL, NULL, 0);
    exchange_decode(&exchange, &create_topics_response_codec, &response);
    assert_int_equal(response.topics[0].error_code, KAFKA_NOT_CONTROLLER);
    exchange_release(&exchange);
    send_create(*state, &exchange, 7);
    relay(*state, KAFKA_INVALID_REQUEST, NULL, NULL, 0);
    assert_int_equal(exchange_wait(&exchange), EXCHANGE_CLOSED);
    exchange_release(&exchange);
}

static void deletions_are_relayed(void **state)
{
    for (int16_t version = 0; version <= 6; version++) {
        struct delete_topics_request body;
        struct delete_topics_request_delete_topic_state topic = {.name = slice_of("gone")};
        struct slice name = slice_of("gone");
        struct delete_topics_response response;
        struct exchange exchange;
        delete_topics_request_init(&body);
        body.topics = &topic;
        body.topics_count = 1;
        body.topic_names = &name;
        body.topic_names_count = 1;
        api_bench_send(*state, &exchange, KAFKA_API_DELETE_TOPICS, version, &delete_topics_request_codec,
                       &body);
        struct delete_topics_response_deletable_topic_result result;
        delete_topics_response_init(&response);
        delete_topics_response_deletable_topic_result_init(&result);
        result.name = slice_of("gone");
        result.error_code = KAFKA_TOPIC_DELETION_DISABLED;
        response.responses = &result;
        response.responses_count = 1;
        relay(*state, KAFKA_NONE, &delete_topics_response_codec, &response, version);
        exchange_decode(&exchange, &delete_topics_response_codec, &response);
        assert_int_equal(response.responses[0].error_code, KAFKA_TOPIC_DELETION_DISABLED);
        exchange_release(&exchange);

        api_bench_send(*state, &exchange, KAFKA_API_DELETE_TOPICS, version, &delete_topics_request_codec,
                       &body);
        api_bench_answer(*state, -ETIMEDOUT, NULL);
        exchange_decode(&exchange, &delete_topics_response_codec, &response);
        assert_int_equal(response.responses_count, 1);
        assert_true(slice_is(response.responses[0].name, "gone"));
        assert_int_equal(response.responses[0].error_code, KAFKA_REQUEST_TIMED_OUT);
        exchange_release(&exchange);
    }
}

static void new_partitions_are_relayed(void **state)
{
    for (int16_t version = 0; version <= 3; version++) {
        struct create_partitions_request body;
        struct create_partitions_request_topic topic;
        struct create_partitions_response response;
        struct create_partitions_response_topic_result result = {slice_of("known"), KAFKA_INVALID_PARTITIONS,
                                                                 slice_of("no")};
        struct exchange exchange;
        create_partitions_request_init(&body);
        create_partitions_request_topic_init(&topic);
        topic.name = slice_of("known");
        topic.count = 9;
        body.topics = &topic;
        body.topics_count = 1;
        api_bench_send(*state, &exchange, KAFKA_API_CREATE_PARTITIONS, version,
                       &create_partitions_request_codec, &body);
        create_partitions_response_init(&response);
        response.results = &result;
        response.results_count = 1;
        relay(*state, KAFKA_NONE, &create_partitions_response_codec, &response, version);
        exchange_decode(&exchange, &create_partitions_response_codec, &response);
        assert_int_equal(response.results[0].error_code, KAFKA_INVALID_PARTITIONS);
        exchange_release(&exchange);

        api_bench_send(*state, &exchange, KAFKA_API_CREATE_PARTITIONS, version,
                       &create_partitions_request_codec, &body);
        api_bench_answer(*state, -ENOTCONN, NULL);
        exchange_decode(&exchange, &create_partitions_response_codec, &response);
        assert_int_equal(response.results[0].error_code, KAFKA_NOT_CONTROLLER);
        exchange_release(&exchange);
    }
}

static void ask_metadata(struct api_bench *bench, struct exchange *exchange, const char *name, bool create)
{
    struct metadata_request_topic topic = {.name = slice_of(name)};
    struct metadata_request body;
    metadata_request_init(&body);
    body.topics = &topic;
    body.topics_count = 1;
    body.allow_auto_topic_creation = create;
    api_bench_send(bench, exchange, KAFKA_API_METADATA, 9, &metadata_request_codec, &body);
}

static int16_t metadata_error(struct exchange *exchange)
{
    struct metadata_response response;
    exchange_decode(exchange, &metadata_response_codec, &response);
    assert_int_equal(response.topics_count, 1);
    return response.topics[0].error_code;
}

static void created(struct api_bench *bench, const char *name, int16_t error)
{
    struct create_topics_response_creatable_topic_result result;
    struct create_topics_response response;
    create_topics_response_init(&response);
    create_topics_response_creatable_topic_result_init(&result);
    result.name = slice_of(name);
    result.error_code = error;
    response.topics = &result;
    response.topics_count = 1;
    relay(bench, KAFKA_NONE, &create_topics_response_codec, &response, 7);
}

static void a_topic_that_is_asked_for_is_created(void **state)
{
    struct api_bench *bench = *state;
    struct exchange exchange;
    struct exchange other;
    struct control_request request;
    struct create_topics_request asked;
    struct byte_reader reader;
    ask_metadata(bench, &exchange, "wanted", true);
    assert_int_equal(exchange.outcome, EXCHANGE_OPEN);
    forwarded(bench, &exchange.arena, &request);
    reader_init(&reader, request.forward.body);
    assert_int_equal(
        create_topics_request_decode(&asked, &reader, request.forward.api_version, &exchange.arena), 0);
    assert_true(slice_is(asked.topics[0].name, "wanted"));
    assert_int_equal(asked.topics[0].num_partitions, 4);
    assert_int_equal(asked.topics[0].replication_factor, 2);
    /* Who asks meanwhile does not ask the controller again. */
    ask_metadata(bench, &other, "wanted", true);
    assert_int_equal(bench->calls_count, 1);
    assert_int_equal(metadata_error(&other), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    exchange_release(&other);
    /* The news of the topic comes before the controller's answer: the client has it at once. */
    api_bench_topic(bench, "wanted", 1, 0, 1);
    created(bench, "wanted", KAFKA_NONE);
    assert_int_equal(metadata_error(&exchange), KAFKA_NONE);
    exchange_release(&exchange);
}

static void what_creation_says_is_passed_on(void **state)
{
    static const struct {
        int16_t said;
        int16_t told;
    } cases[] = {{KAFKA_NONE, KAFKA_LEADER_NOT_AVAILABLE},
                 {KAFKA_TOPIC_ALREADY_EXISTS, KAFKA_LEADER_NOT_AVAILABLE},
                 {KAFKA_REQUEST_TIMED_OUT, KAFKA_LEADER_NOT_AVAILABLE},
                 {KAFKA_INVALID_REPLICATION_FACTOR, KAFKA_INVALID_REPLICATION_FACTOR}};
    struct exchange exchange;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ask_metadata(*state, &exchange, "never", true);
        created(*state, "never", cases[i].said);
        assert_int_equal(metadata_error(&exchange), cases[i].told);
        exchange_release(&exchange);
    }
    ask_metadata(*state, &exchange, "never", true);
    api_bench_answer(*state, -ETIMEDOUT, NULL);
    assert_int_equal(metadata_error(&exchange), KAFKA_LEADER_NOT_AVAILABLE);
    exchange_release(&exchange);
}

static void not_every_topic_is_created(void **state)
{
    static const struct {
        const char *name;
        bool create;
        int16_t error;
    } cases[] = {{"known", true, KAFKA_NONE},
                 {"never", false, KAFKA_UNKNOWN_TOPIC_OR_PARTITION},
                 {"not/legal", true, KAFKA_INVALID_TOPIC_EXCEPTION},
                 {"__consumer_offsets", true, KAFKA_UNKNOWN_TOPIC_OR_PARTITION}};
    struct api_bench *bench = *state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct exchange exchange;
        ask_metadata(bench, &exchange, cases[i].name, cases[i].create);
        assert_int_equal(bench->calls_count, 0);
        assert_int_equal(metadata_error(&exchange), cases[i].error);
        exchange_release(&exchange);
    }
}

/* A request full of names makes no more topics than the bound allows, and does not take long. */
static void creations_of_one_request_are_bounded(void **state)
{
    enum { COUNT = 40000 };
    struct api_bench *bench = *state;
    struct exchange exchange;
    struct control_request request;
    struct create_topics_request asked;
    struct byte_reader reader;
    struct metadata_request body;
    struct metadata_response response;
    static struct metadata_request_topic topics[COUNT];
    static char names[COUNT][16];
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "many-%d", i);
        topics[i].name = slice_of(names[i]);
    }
    metadata_request_init(&body);
    body.topics = topics;
    body.topics_count = COUNT;
    body.allow_auto_topic_creation = true;
    api_bench_send(bench, &exchange, KAFKA_API_METADATA, 9, &metadata_request_codec, &body);
    assert_int_equal(exchange.outcome, EXCHANGE_OPEN);
    forwarded(bench, &exchange.arena, &request);
    reader_init(&reader, request.forward.body);
    assert_int_equal(
        create_topics_request_decode(&asked, &reader, request.forward.api_version, &exchange.arena), 0);
    assert_int_equal(asked.topics_count, AUTO_CREATE_TOPICS_MAX);
    created(bench, "many-7", KAFKA_INVALID_REPLICATION_FACTOR);
    exchange_decode(&exchange, &metadata_response_codec, &response);
    assert_int_equal(response.topics_count, COUNT);
    assert_int_equal(response.topics[7].error_code, KAFKA_INVALID_REPLICATION_FACTOR);
    assert_int_equal(response.topics[8].error_code, KAFKA_LEADER_NOT_AVAILABLE);
    assert_int_equal(response.topics[COUNT - 1].error_code, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    exchange_release(&exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_creation_goes_to_the_controller_as_it_came),
        cmocka_unit_test(silence_of_the_controller_is_an_error_of_each_topic),
        cmocka_unit_test(deletions_are_relayed),
        cmocka_unit_test(new_partitions_are_relayed),
        cmocka_unit_test(a_topic_that_is_asked_for_is_created),
        cmocka_unit_test(what_creation_says_is_passed_on),
        cmocka_unit_test(not_every_topic_is_created),
        cmocka_unit_test(creations_of_one_request_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
