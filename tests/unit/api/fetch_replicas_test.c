/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches between replicas and from them: nearby reads (KIP-392) and throttled followers (KIP-73). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/fetch.h"
#include "tests/unit/api/api_bench.h"
#include "tests/unit/api/fetching.h"

#define FOLLOWER 2
#define FOLLOWER_EPOCH 101
#define LEADER_EPOCH 3
#define VERSION 12 /* the last one that names topics */
#define FOLLOWER_VERSION 16
#define WAIT_MS 5000
#define RECORDS 3

static int setup_with(void **state, const char *properties)
{
    static struct api_bench bench;
    api_bench_init(&bench, properties);
    api_bench_topic(&bench, "alone", 1, LEADER_EPOCH, 1);
    api_bench_topic(&bench, "other", 1, LEADER_EPOCH, 1);
    api_bench_topic(&bench, "shared", 1, LEADER_EPOCH, 2);
    api_bench_topic(&bench, "theirs", 2, LEADER_EPOCH, 2);
    for (int i = 0; i < RECORDS; i++) {
        api_bench_produce(&bench, "alone", "one");
        api_bench_produce(&bench, "other", "two");
        api_bench_produce(&bench, "shared", "three");
    }
    *state = &bench;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, "broker.rack=rack-1\n");
}

static int setup_nearby(void **state)
{
    return setup_with(state,
                      "broker.rack=rack-1\n"
                      "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector\n");
}

static int teardown(void **state)
{
    api_bench_release(*state);
    return 0;
}

static void start_consumer(struct api_bench *bench, struct fetching *fetching, const char *topic,
                           int64_t offset, const char *rack, int16_t version)
{
    fetching_prepare(fetching, topic, offset);
    fetching->body.rack_id = slice_of(rack);
    api_bench_send(bench, &fetching->exchange, KAFKA_API_FETCH, version, &fetch_request_codec,
                   &fetching->body);
}

static void send_follower(struct api_bench *bench, struct fetching *fetching)
{
    fetching->body.replica_state.replica_id = FOLLOWER;
    fetching->body.replica_state.replica_epoch = FOLLOWER_EPOCH;
    for (size_t i = 0; i < 2; i++) {
        fetching->partitions[i].current_leader_epoch = LEADER_EPOCH;
        fetching->partitions[i].log_start_offset = 0;
    }
    fetching->exchange.request.inter_broker = true;
    exchange_start(&fetching->exchange, &bench->reactor, api_handler(bench->api), KAFKA_API_FETCH,
                   FOLLOWER_VERSION, &fetch_request_codec, &fetching->body, slice_of(NULL));
}

static void start_follower(struct api_bench *bench, struct fetching *fetching, const char *topic,
                           int64_t offset)
{
    fetching_prepare(fetching, topic, offset);
    fetching->body.max_wait_ms = WAIT_MS;
    send_follower(bench, fetching);
}

/* The answer for one topic of it; `fetching` is to be released. */
static const struct fetch_response_partition_data *answer_at(struct fetching *fetching, size_t topic)
{
    if (topic == 0)
        exchange_decode(&fetching->exchange, &fetch_response_codec, &fetching->response);
    assert_int_equal(fetching->response.error_code, KAFKA_NONE);
    assert_true(fetching->response.responses_count > topic);
    return &fetching->response.responses[topic].partitions[0];
}

static const struct fetch_response_partition_data *answer_of(struct fetching *fetching)
{
    return answer_at(fetching, 0);
}

static size_t record_bytes(const struct fetch_response_partition_data *partition)
{
    return partition->records.bytes.length;
}

/* The follower has all that the leader has, and the leader knows. */
static void catch_up(struct api_bench *bench, const char *topic, int64_t offset)
{
    struct fetching fetching;
    fetching_prepare(&fetching, topic, offset);
    send_follower(bench, &fetching);
    assert_int_equal(answer_of(&fetching)->error_code, KAFKA_NONE);
    exchange_release(&fetching.exchange);
}

static void expect_preferred(struct api_bench *bench, const char *topic, int64_t offset, const char *rack,
                             int16_t version, int32_t preferred)
{
    struct fetching fetching;
    start_consumer(bench, &fetching, topic, offset, rack, version);
    const struct fetch_response_partition_data *partition = answer_of(&fetching);
    assert_int_equal(partition->error_code, KAFKA_NONE);
    assert_int_equal(partition->preferred_read_replica, preferred);
    if (preferred >= 0)
        assert_int_equal(record_bytes(partition), 0);
    else if (offset < partition->high_watermark)
        assert_true(record_bytes(partition) > 0);
    exchange_release(&fetching.exchange);
}

static void a_consumer_is_sent_to_its_rack(void **state)
{
    struct api_bench *bench = *state;
    expect_preferred(bench, "shared", 0, "rack-2", VERSION, -1); /* the follower has not been seen */
    catch_up(bench, "shared", RECORDS);
    expect_preferred(bench, "shared", 0, "rack-2", VERSION, FOLLOWER);
    expect_preferred(bench, "shared", RECORDS, "rack-2", VERSION, FOLLOWER);
    expect_preferred(bench, "shared", 0, "rack-2", 11, FOLLOWER);
    expect_preferred(bench, "shared", 0, "rack-2", 10, -1);
    expect_preferred(bench, "shared", 0, "rack-1", VERSION, -1);
    expect_preferred(bench, "shared", 0, "rack-3", VERSION, -1);
    expect_preferred(bench, "shared", 0, "", VERSION, -1);
    api_bench_produce(bench, "shared", "four");
    expect_preferred(bench, "shared", RECORDS + 1, "rack-2", VERSION, -1); /* it does not have that offset */
}

static void one_outside_the_isr_is_not_preferred(void **state)
{
    struct api_bench *bench = *state;
    catch_up(bench, "alone", 0);
    expect_preferred(bench, "alone", 0, "rack-2", VERSION, -1);
}

static void without_a_selector_leaders_are_read(void **state)
{
    struct api_bench *bench = *state;
    catch_up(bench, "shared", RECORDS);
    expect_preferred(bench, "shared", 0, "rack-2", VERSION, -1);
}

/* I18, I22: up to its own high watermark, to those who know of followers. */
static void a_follower_serves_consumers(void **state)
{
    struct fetching fetching;
    start_consumer(*state, &fetching, "theirs", 0, "", 11);
    const struct fetch_response_partition_data *partition = answer_of(&fetching);
    assert_int_equal(partition->error_code, KAFKA_NONE);
    assert_int_equal(partition->high_watermark, 0);
    exchange_release(&fetching.exchange);
    start_consumer(*state, &fetching, "theirs", 0, "", 10);
    assert_int_equal(answer_of(&fetching)->error_code, KAFKA_NOT_LEADER_OR_FOLLOWER);
    exchange_release(&fetching.exchange);
    start_consumer(*state, &fetching, "theirs", 1, "", 11);
    assert_int_equal(answer_of(&fetching)->error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    exchange_release(&fetching.exchange);
}

static void followers_hear_of_the_high_watermark_at_once(void **state)
{
    struct fetching fetching;
    start_follower(*state, &fetching, "shared", RECORDS);
    assert_int_equal(answer_of(&fetching)->high_watermark, RECORDS);
    exchange_release(&fetching.exchange);
    start_follower(*state, &fetching, "shared", RECORDS); /* it knows */
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    exchange_abandon(&fetching.exchange);
    exchange_release(&fetching.exchange);
}

static void without_a_selector_it_comes_with_the_next_answer(void **state)
{
    struct fetching fetching;
    start_follower(*state, &fetching, "shared", RECORDS);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    exchange_abandon(&fetching.exchange);
    exchange_release(&fetching.exchange);
}

static void throttle(struct api_bench *bench, const char *topic)
{
    struct partition *partition = replica_manager_find(bench->replicas, slice_of(topic), 0);
    assert_non_null(partition);
    partition_set_throttled(partition, true, false);
    partition_release(partition);
}

/* The bound is used up for longer than any test takes. */
static void use_up(struct api_bench *bench)
{
    replication_throttle_set_rate(&bench->throttles.leader, 1);
    replication_throttle_count(&bench->throttles.leader, 1000000, bench_now_ms(bench));
}

static void a_throttled_follower_gets_nothing_and_the_others_theirs(void **state)
{
    struct api_bench *bench = *state;
    struct fetching fetching;
    throttle(bench, "alone");
    use_up(bench);
    fetching_prepare(&fetching, "alone", 0);
    fetching.topics[1].topic_id = api_bench_topic_id("other");
    fetching.body.topics_count = 2;
    send_follower(bench, &fetching);
    assert_int_equal(record_bytes(answer_at(&fetching, 0)), 0);
    assert_int_equal(answer_at(&fetching, 0)->error_code, KAFKA_NONE);
    assert_true(record_bytes(answer_at(&fetching, 1)) > 0);
    exchange_release(&fetching.exchange);
}

static void an_in_sync_follower_is_not_held_up(void **state)
{
    struct api_bench *bench = *state;
    struct fetching fetching;
    throttle(bench, "shared");
    use_up(bench);
    start_follower(bench, &fetching, "shared", 0);
    assert_true(record_bytes(answer_of(&fetching)) > 0);
    exchange_release(&fetching.exchange);
}

static void consumers_are_not_held_up(void **state)
{
    struct api_bench *bench = *state;
    throttle(bench, "alone");
    use_up(bench);
    expect_preferred(bench, "alone", 0, "", VERSION, -1);
}

static void a_held_up_fetch_goes_on_when_there_is_room(void **state)
{
    struct api_bench *bench = *state;
    struct fetching fetching;
    throttle(bench, "alone");
    /* What passes counts: the first answer uses the rate up for a little more than a second. */
    replication_throttle_set_rate(&bench->throttles.leader, 200);
    start_follower(bench, &fetching, "alone", 0);
    size_t bytes = record_bytes(answer_of(&fetching));
    assert_true(bytes > 200);
    exchange_release(&fetching.exchange);
    int64_t begin_ms = bench_now_ms(bench);
    start_follower(bench, &fetching, "alone", 0);
    assert_int_equal(fetching.exchange.outcome, EXCHANGE_OPEN);
    assert_true(record_bytes(answer_of(&fetching)) > 0);
    assert_true(bench_now_ms(bench) - begin_ms >= (int64_t)(bytes - 200) * 1000 / 200 - 5);
    exchange_release(&fetching.exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_consumer_is_sent_to_its_rack, setup_nearby, teardown),
        cmocka_unit_test_setup_teardown(one_outside_the_isr_is_not_preferred, setup_nearby, teardown),
        cmocka_unit_test_setup_teardown(without_a_selector_leaders_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_follower_serves_consumers, setup, teardown),
        cmocka_unit_test_setup_teardown(followers_hear_of_the_high_watermark_at_once, setup_nearby, teardown),
        cmocka_unit_test_setup_teardown(without_a_selector_it_comes_with_the_next_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_throttled_follower_gets_nothing_and_the_others_theirs, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_in_sync_follower_is_not_held_up, setup, teardown),
        cmocka_unit_test_setup_teardown(consumers_are_not_held_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_held_up_fetch_goes_on_when_there_is_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
