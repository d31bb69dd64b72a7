/* SPDX-License-Identifier: Apache-2.0 */
/* The codecs of znodes: Kafka's exact text, older versions, hostile and random text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/prng.h"
#include "coordinator/zk/node_admin.h"
#include "coordinator/zk/node_broker.h"
#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/node_config.h"
#include "coordinator/zk/node_controller.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/zk/node_topic.h"

static struct buffer out;
static struct buffer error;

static int set_up(void **state)
{
    (void)state;
    buffer_init(&out);
    buffer_init(&error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buffer_release(&out);
    buffer_release(&error);
    return 0;
}

static void expect(const char *text)
{
    assert_string_equal(buffer_string(&out), text);
    buffer_clear(&out);
}

static void test_controller(void **state)
{
    (void)state;
    const char *golden =
        "{\"version\":2,\"brokerid\":3,\"timestamp\":\"1700000000123\",\"kraftControllerEpoch\":-1}";
    struct node_controller node;
    assert_int_equal(node_controller_decode(slice_of(golden), &node, &error), 0);
    assert_int_equal(node.broker_id, 3);
    assert_int_equal(node.timestamp_ms, 1700000000123);
    node_controller_encode(&node, &out);
    expect(golden);
    assert_int_equal(node_controller_decode(slice_of("{\"version\":1,\"brokerid\":7}"), &node, NULL), 0);
    assert_int_equal(node.broker_id, 7);
    assert_int_equal(node.kraft_controller_epoch, -1);
    assert_int_equal(node_controller_decode(slice_of("{\"brokerid\":\"7\"}"), &node, &error), -EINVAL);
    assert_true(error.length > 0);
    int32_t epoch;
    assert_int_equal(node_controller_epoch_decode(slice_of("7"), &epoch, NULL), 0);
    assert_int_equal(epoch, 7);
    node_controller_epoch_encode(8, &out);
    expect("8");
    static const char *const bad[] = {"", "-1", "x", "1x", "99999999999", "null", " 1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(node_controller_epoch_decode(slice_of(bad[i]), &epoch, NULL), -EINVAL);
}

static void test_broker(void **state)
{
    (void)state;
    const char *golden =
        "{\"version\":5,\"host\":\"b1.lan\",\"port\":9092,\"jmx_port\":-1,\"timestamp\":\"1700000000123\","
        "\"endpoints\":[\"PLAINTEXT://b1.lan:9092\",\"SSL://b1.lan:9093\"],\"rack\":\"r1\","
        "\"listener_security_protocol_map\":{\"PLAINTEXT\":\"PLAINTEXT\",\"SSL\":\"SSL\"},\"features\":{}}";
    struct node_broker node;
    assert_int_equal(node_broker_decode(slice_of(golden), &node, &error), 0);
    assert_int_equal(node.endpoint_count, 2);
    assert_string_equal(node_broker_endpoint(&node, slice_of("SSL"))->host, "b1.lan");
    assert_int_equal(node_broker_endpoint(&node, slice_of("SSL"))->port, 9093);
    assert_null(node_broker_endpoint(&node, slice_of("OTHER")));
    assert_string_equal(node.rack, "r1");
    node_broker_encode(&node, &out);
    expect(golden);
    struct node_broker copy;
    node_broker_copy(&copy, &node);
    copy.intact_since = 77;
    copy.intact_until = 80;
    copy.alive_since = 90;
    node_broker_release(&node);
    node_broker_encode(&copy, &out);
    assert_non_null(strstr(buffer_string(&out),
                           "\"features\":{},\"intact_since\":77,\"intact_until\":80,\"alive_since\":90}"));
    assert_int_equal(node_broker_decode(buffer_slice(&out), &node, NULL), 0);
    assert_int_equal(node.intact_since, 77);
    assert_int_equal(node.intact_until, 80);
    assert_int_equal(node.alive_since, 90);
    node_broker_release(&node);
    node_broker_release(&copy);
    buffer_clear(&out);

    node_broker_init(&node);
    node.timestamp_ms = 5;
    node_broker_add_endpoint(&node, slice_of("IN"), slice_of("SSL"), slice_of("fe80::1"), 1);
    node_broker_encode(&node, &out);
    node_broker_release(&node);
    assert_int_equal(node_broker_decode(buffer_slice(&out), &node, NULL), 0);
    assert_string_equal(node.endpoints[0].host, "fe80::1");
    assert_string_equal(node.endpoints[0].protocol, "SSL");
    node_broker_release(&node);
    expect("{\"version\":5,\"host\":null,\"port\":-1,\"jmx_port\":-1,\"timestamp\":\"5\","
           "\"endpoints\":[\"IN://[fe80::1]:1\"],\"listener_security_protocol_map\":{\"IN\":\"SSL\"},"
           "\"features\":{}}");
}

static void test_old_and_bad_brokers(void **state)
{
    (void)state;
    struct node_broker node;
    assert_int_equal(
        node_broker_decode(slice_of("{\"version\":1,\"host\":\"h\",\"port\":9092,\"jmx_port\":1}"), &node,
                           NULL),
        0);
    assert_string_equal(node.endpoints[0].host, "h");
    assert_string_equal(node.endpoints[0].protocol, "PLAINTEXT");
    node_broker_release(&node);
    assert_int_equal(
        node_broker_decode(slice_of("{\"version\":3,\"endpoints\":[\"SASL_SSL://h:1\"],\"rack\":\"r\"}"),
                           &node, NULL),
        0);
    assert_string_equal(node.endpoints[0].protocol, "SASL_SSL");
    node_broker_release(&node);
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "{}",
        "{\"version\":5}",
        "{\"version\":5,\"endpoints\":[]}",
        "{\"version\":5,\"endpoints\":[1]}",
        "{\"version\":5,\"endpoints\":[\"x\"]}",
        "{\"version\":5,\"endpoints\":[\"PLAINTEXT://h\"]}",
        "{\"version\":5,\"endpoints\":[\"PLAINTEXT://h:\"]}",
        "{\"version\":5,\"endpoints\":[\"PLAINTEXT://h:70000\"]}",
        "{\"version\":5,\"endpoints\":[\"://h:1\"]}",
        "{\"version\":5,\"endpoints\":[\"NOPE://h:1\"]}",
        "{\"version\":5,\"endpoints\":[\"IN://h:1\"],\"listener_security_protocol_map\":{\"IN\":\"ODD\"}}",
        "{\"version\":5,\"endpoints\":[\"IN://h:1\"],\"listener_security_protocol_map\":[]}",
        "{\"version\":\"5\",\"endpoints\":[\"PLAINTEXT://h:1\"]}",
        "{\"version\":1,\"host\":\"h\"}",
        "{\"version\":1,\"host\":\"h\",\"port\":-1}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        buffer_clear(&error);
        assert_int_equal(node_broker_decode(slice_of(bad[i]), &node, &error), -EINVAL);
        assert_true(error.length > 0);
        assert_int_equal(node.endpoint_count, 0);
    }
}

static void test_topic(void **state)
{
    (void)state;
    const char *golden =
        "{\"version\":3,\"topic_id\":\"Jq0zXbVbQmyQyT4tL3kq4w\",\"partitions\":{\"0\":[1,2,3],"
        "\"1\":[2,3,1]},\"adding_replicas\":{\"0\":[3]},\"removing_replicas\":{}}";
    struct node_topic node, copy;
    assert_int_equal(node_topic_decode(slice_of(golden), &node, &error), 0);
    assert_true(node.has_topic_id);
    assert_int_equal(node.partition_count, 2);
    assert_int_equal(node_topic_find(&node, 1)->replicas.ids[2], 1);
    assert_null(node_topic_find(&node, 2));
    node_topic_copy(&copy, &node);
    node_topic_release(&node);
    node_topic_encode(&copy, &out);
    expect(golden);
    node_topic_add_partition(&copy, (const int32_t[]){9}, 1);
    assert_int_equal(node_topic_find(&copy, 2)->replicas.ids[0], 9);
    node_topic_release(&copy);
    /* Version 1, keys in any order, more than nine partitions. */
    assert_int_equal(
        node_topic_decode(slice_of("{\"version\":1,\"partitions\":{\"10\":[1],\"2\":[2],\"0\":[3]}}"), &node,
                          NULL),
        0);
    assert_false(node.has_topic_id);
    assert_int_equal(node.partitions[0].partition, 0);
    assert_int_equal(node.partitions[2].partition, 10);
    node_topic_release(&node);
    static const char *const bad[] = {
        "{\"version\":1}",
        "{\"partitions\":{}}",
        "{\"version\":1,\"partitions\":{\"x\":[1]}}",
        "{\"version\":1,\"partitions\":{\"-1\":[1]}}",
        "{\"version\":1,\"partitions\":{\"2147483647\":[1]}}",
        "{\"version\":1,\"partitions\":{\"0\":[]}}",
        "{\"version\":1,\"partitions\":{\"0\":[1,1]}}",
        "{\"version\":1,\"partitions\":{\"0\":[-1]}}",
        "{\"version\":1,\"partitions\":{\"0\":[\"1\"]}}",
        "{\"version\":1,\"partitions\":{\"0\":[99999999999]}}",
        "{\"version\":1,\"partitions\":{\"0\":[1],\"1\":null}}",
        "{\"version\":3,\"topic_id\":\"short\",\"partitions\":{}}",
        "{\"version\":3,\"partitions\":{\"0\":[1]},\"adding_replicas\":[]}",
        "{\"version\":3,\"partitions\":{\"0\":[1]},\"removing_replicas\":{\"0\":{}}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(node_topic_decode(slice_of(bad[i]), &node, &error), -EINVAL);
        assert_int_equal(node.partition_count, 0);
    }
}

static void test_partition_state(void **state)
{
    (void)state;
    const char *golden =
        "{\"version\":1,\"leader\":1,\"leader_epoch\":4,\"controller_epoch\":7,\"isr\":[1,3]}";
    const char *extended =
        "{\"version\":1,\"leader\":3,\"leader_epoch\":5,\"controller_epoch\":7,\"isr\":[3],"
        "\"leader_recovery_state\":1,\"isr_broker_epochs\":[4294967301]}";
    struct node_partition_state read, copy;
    assert_int_equal(node_partition_state_decode(slice_of(golden), &read, &error), 0);
    node_partition_state_encode(&read, &out);
    expect(golden);
    node_partition_state_copy(&copy, &read);
    assert_true(node_partition_state_equals(&copy, &read));
    node_partition_state_set_isr(&copy, (const int32_t[]){3}, (const int64_t[]){4294967301}, 1);
    copy.leader = 3;
    copy.leader_epoch = 5;
    copy.leader_recovery = NODE_LEADER_RECOVERING;
    assert_false(node_partition_state_equals(&copy, &read));
    node_partition_state_encode(&copy, &out);
    expect(extended);
    node_partition_state_release(&read);
    assert_int_equal(node_partition_state_decode(slice_of(extended), &read, &error), 0);
    assert_true(node_partition_state_equals(&copy, &read));
    copy.leader = 1;
    assert_false(node_partition_state_is_legal(&copy));
    node_partition_state_release(&read);
    node_partition_state_release(&copy);
    static const char *const bad[] = {
        "{}",
        "{\"leader\":1,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[]}",
        "{\"leader\":1,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[2]}",
        "{\"leader\":1,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[1,1]}",
        "{\"leader\":-2,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[1]}",
        "{\"leader\":1,\"leader_epoch\":-1,\"controller_epoch\":1,\"isr\":[1]}",
        "{\"leader\":1,\"leader_epoch\":0,\"isr\":[1]}",
        "{\"leader\":1,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[1],\"leader_recovery_state\":2}",
        "{\"leader\":1,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[1],\"leader_recovery_state\":"
        "\"1\"}",
        "{\"leader\":1.5,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[1]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(node_partition_state_decode(slice_of(bad[i]), &read, &error), -EINVAL);
    /* No leader is legal; a list of epochs that does not fit is as good as none. */
    const char *odd = "{\"leader\":-1,\"leader_epoch\":0,\"controller_epoch\":1,\"isr\":[1],"
                      "\"isr_broker_epochs\":[1,2],\"more\":{}}";
    assert_int_equal(node_partition_state_decode(slice_of(odd), &read, &error), 0);
    assert_null(read.isr_broker_epochs);
    node_partition_state_release(&read);
}

/* What Kafka's reader sees is what stands before our own fields, whatever these say. */
static void test_i20_eligible_leaders(void **state)
{
    (void)state;
    const char *golden = "{\"version\":1,\"leader\":1,\"leader_epoch\":4,\"controller_epoch\":7,\"isr\":[1],"
                         "\"isr_broker_epochs\":[11],\"elr\":[3,2],\"elr_broker_epochs\":[4294967301,12]}";
    struct node_partition_state read, copy;
    assert_int_equal(node_partition_state_decode(slice_of(golden), &read, &error), 0);
    assert_int_equal(read.elr_count, 2);
    assert_int_equal(read.elr_broker_epochs[0], 4294967301);
    node_partition_state_encode(&read, &out);
    expect(golden);
    node_partition_state_copy(&copy, &read);
    assert_true(node_partition_state_equals(&copy, &read));
    copy.elr_broker_epochs[1] = 13;
    assert_false(node_partition_state_equals(&copy, &read));
    copy.elr[1] = 1; /* in the ISR */
    assert_false(node_partition_state_is_legal(&copy));
    node_partition_state_release(&copy);
    node_partition_state_release(&read);
    /* what makes no sense is as good as not said */
    static const char *const odd[] = {
        "\"elr\":[2]",
        "\"elr\":[2],\"elr_broker_epochs\":[1,2]",
        "\"elr\":[2,2],\"elr_broker_epochs\":[1,2]",
        "\"elr\":[1],\"elr_broker_epochs\":[1]",
        "\"elr\":[2],\"elr_broker_epochs\":[-1]",
        "\"elr\":{},\"elr_broker_epochs\":[1]",
        "\"elr\":[],\"elr_broker_epochs\":[]",
    };
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        struct buffer text;
        buffer_init(&text);
        buffer_print(&text,
                     "{\"version\":1,\"leader\":1,\"leader_epoch\":4,\"controller_epoch\":7,\"isr\":[1],%s}",
                     odd[i]);
        assert_int_equal(node_partition_state_decode(buffer_slice(&text), &read, &error), 0);
        assert_int_equal(read.elr_count, 0);
        node_partition_state_release(&read);
        buffer_release(&text);
    }
}

static void test_config(void **state)
{
    (void)state;
    const char *golden =
        "{\"version\":1,\"config\":{\"retention.ms\":\"60000\",\"cleanup.policy\":\"delete\"}}";
    struct node_config node;
    assert_int_equal(node_config_decode(slice_of(golden), &node, &error), 0);
    assert_string_equal(node_config_get(&node, "cleanup.policy"), "delete");
    assert_null(node_config_get(&node, "none"));
    node_config_encode(&node, &out);
    expect(golden);
    node_config_set(&node, slice_of("retention.ms"), slice_of(NULL));
    node_config_set(&node, slice_of("cleanup.policy"), slice_of("compact"));
    node_config_set(&node, slice_of("x"), slice_of("a\"b\n\xff"));
    node_config_encode(&node, &out);
    expect("{\"version\":1,\"config\":{\"cleanup.policy\":\"compact\",\"x\":\"a\\\"b\\\\x0a\\\\xff\"}}");
    node_config_release(&node);
    node_config_encode(&node, &out);
    expect("{\"version\":1,\"config\":{}}");
    assert_int_equal(node_config_decode(slice_of(""), &node, NULL), 0);
    assert_int_equal(node.count, 0);
    assert_int_equal(node_config_decode(slice_of("{\"version\":1}"), &node, &error), -EINVAL);
    for (int i = 0; i <= NODE_CONFIG_ENTRIES_MAX; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%d", i);
        node_config_set(&node, slice_of(key), slice_of("1"));
    }
    struct buffer many;
    buffer_init(&many);
    node_config_encode(&node, &many);
    node_config_release(&node);
    assert_int_equal(node_config_decode(buffer_slice(&many), &node, &error), -EINVAL);
    buffer_release(&many);
    assert_int_equal(node_config_decode(slice_of("{\"config\":{\"a\":\"b\",\"c\":1}}"), &node, &error),
                     -EINVAL);
    node_config_change_encode(slice_of("topics/orders"), &out);
    expect("{\"version\":2,\"entity_path\":\"topics/orders\"}");
    assert_int_equal(node_config_change_decode(
                         slice_of("{\"version\":2,\"entity_path\":\"brokers/<default>\"}"), &out, NULL),
                     0);
    expect("brokers/<default>");
    assert_int_equal(
        node_config_change_decode(
            slice_of("{\"version\":1,\"entity_type\":\"topics\",\"entity_name\":\"orders\"}"), &out, NULL),
        0);
    expect("topics/orders");
    assert_int_equal(
        node_config_change_decode(slice_of("{\"version\":1,\"entity_type\":\"x\",\"entity_name\":\"y\"}"),
                                  &out, &error),
        -EINVAL);
}

static void test_lists(void **state)
{
    (void)state;
    const char *golden =
        "{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0,\"replicas\":[2,3]}]}";
    struct node_partition_list list;
    assert_int_equal(node_reassignment_decode(slice_of(golden), &list, &error), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].replicas.ids[1], 3);
    node_reassignment_encode(&list, &out);
    expect(golden);
    node_preferred_election_encode(&list, &out);
    expect("{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}");
    node_isr_change_encode(&list, &out);
    expect("{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}");
    node_partition_list_remove(&list, 0);
    assert_int_equal(list.count, 0);
    node_partition_list_release(&list);
    const char *mixed =
        "{\"partitions\":[{\"topic\":\"a\",\"partition\":-1},{\"topic\":\"b\",\"partition\":1},"
        "7,{\"topic\":\"b/c\",\"partition\":1}]}";
    assert_int_equal(node_preferred_election_decode(slice_of(mixed), &list, &error), 0);
    assert_int_equal(list.count, 1);
    assert_string_equal(buffer_string(&error),
                        "item 0 is not understood, item 2 is not understood, item 3 is not understood");
    node_partition_list_release(&list);
    assert_int_equal(node_reassignment_decode(slice_of("{\"version\":1}"), &list, &error), -EINVAL);
}

static void test_cluster(void **state)
{
    (void)state;
    struct node_cluster_id id;
    const char *golden = "{\"version\":\"1\",\"id\":\"u4zk1ZkqSX2n1uS0vQp2bw\"}";
    assert_int_equal(node_cluster_id_decode(slice_of(golden), &id, &error), 0);
    node_cluster_id_encode(&id, &out);
    expect(golden);
    assert_int_equal(node_cluster_id_decode(slice_of("{\"id\":\"\"}"), &id, &error), -EINVAL);
    assert_int_equal(node_cluster_id_decode(slice_of("{\"id\":\"a b\"}"), &id, &error), -EINVAL);

    struct node_producer_id_block block;
    assert_int_equal(node_producer_id_block_next(slice_of(""), 1, &block, &error), 0);
    node_producer_id_block_encode(&block, &out);
    assert_string_equal(buffer_string(&out),
                        "{\"version\":1,\"broker\":1,\"block_start\":\"0\",\"block_end\":\"999\"}");
    assert_int_equal(node_producer_id_block_next(buffer_slice(&out), 2, &block, &error), 0);
    assert_int_equal(block.broker_id, 2);
    assert_int_equal(block.block_start, 1000);
    assert_int_equal(block.block_end, 1999);
    buffer_clear(&out);
    assert_int_equal(
        node_producer_id_block_next(
            slice_of("{\"broker\":1,\"block_start\":\"0\",\"block_end\":\"9223372036854775807\"}"), 1, &block,
            &error),
        -ERANGE);
    assert_int_equal(
        node_producer_id_block_decode(slice_of("{\"broker\":1,\"block_start\":\"5\",\"block_end\":\"4\"}"),
                                      &block, &error),
        -EINVAL);

    struct node_log_dir_event event;
    const char *lost = "{\"version\":1,\"broker\":1,\"event\":1}";
    assert_int_equal(node_log_dir_event_decode(slice_of(lost), &event, &error), 0);
    node_log_dir_event_encode(&event, &out);
    expect(lost);
    struct node_feature feature;
    const char *features = "{\"version\":2,\"status\":1,\"features\":{}}";
    assert_int_equal(node_feature_decode(slice_of(features), &feature, &error), 0);
    node_feature_encode(&feature, &out);
    expect(features);
}

/* Decodes as everything; what is accepted is encoded again. */
static void decode_as_everything(struct slice text)
{
    struct node_controller controller;
    struct node_broker broker;
    struct node_topic topic;
    struct node_partition_state partition;
    struct node_config config;
    struct node_partition_list list;
    struct node_cluster_id cluster;
    struct node_producer_id_block block;
    buffer_clear(&out);
    buffer_clear(&error);
    if (node_controller_decode(text, &controller, &error) == 0)
        node_controller_encode(&controller, &out);
    if (node_broker_decode(text, &broker, &error) == 0)
        node_broker_encode(&broker, &out);
    node_broker_release(&broker);
    if (node_topic_decode(text, &topic, &error) == 0)
        node_topic_encode(&topic, &out);
    node_topic_release(&topic);
    if (node_partition_state_decode(text, &partition, &error) == 0)
        node_partition_state_encode(&partition, &out);
    node_partition_state_release(&partition);
    if (node_config_decode(text, &config, &error) == 0)
        node_config_encode(&config, &out);
    node_config_release(&config);
    if (node_reassignment_decode(text, &list, &error) == 0)
        node_reassignment_encode(&list, &out);
    node_partition_list_release(&list);
    if (node_cluster_id_decode(text, &cluster, &error) == 0)
        node_cluster_id_encode(&cluster, &out);
    if (node_producer_id_block_decode(text, &block, &error) == 0)
        node_producer_id_block_encode(&block, &out);
}

static void test_garbage(void **state)
{
    (void)state;
    uint64_t seed = 4711;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    static const char *const words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        ":",
                                        ",",
                                        "\"0\"",
                                        "\"version\"",
                                        "1",
                                        "-1",
                                        "2147483648",
                                        "null",
                                        "true",
                                        "\"leader\"",
                                        "\"isr\"",
                                        "\"leader_epoch\"",
                                        "1e400",
                                        "1.5",
                                        "\"x\"",
                                        "\"config\"",
                                        "\"partitions\"",
                                        "\"topic\"",
                                        "\"endpoints\"",
                                        "\"controller_epoch\"",
                                        "\"PLAINTEXT://h:1\"",
                                        "\"\\u0000\"",
                                        "\xff",
                                        "99999999999999999999"};
    struct buffer text;
    buffer_init(&text);
    for (int i = 0; i < 20000; i++) {
        buffer_clear(&text);
        buffer_append_string(&text, "{");
        for (size_t count = prng_below(&prng, 24); count > 0; count--)
            buffer_append_string(&text, words[prng_below(&prng, ARRAY_SIZE(words))]);
        if (prng_one_in(&prng, 2))
            buffer_append_string(&text, "}");
        decode_as_everything(buffer_slice(&text));
    }
    buffer_clear(&text);
    for (int i = 0; i < 100000; i++)
        buffer_append_string(&text, "[");
    decode_as_everything(buffer_slice(&text));
    decode_as_everything(slice_make(NULL, 0));
    buffer_release(&text);
}

static void test_partition_state_round_trip(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 99);
    for (int i = 0; i < 2000; i++) {
        struct node_partition_state written, read;
        node_partition_state_init(&written);
        int32_t isr[8];
        int64_t epochs[8];
        size_t count = prng_below(&prng, 8) + 1;
        for (size_t j = 0; j < count; j++) {
            isr[j] = (int32_t)(j * 1000 + prng_below(&prng, 1000));
            epochs[j] = prng_between(&prng, -1, INT64_MAX - 1);
        }
        node_partition_state_set_isr(&written, isr, prng_one_in(&prng, 2) ? epochs : NULL, count);
        written.leader = prng_one_in(&prng, 4) ? NODE_NO_LEADER : isr[prng_below(&prng, count)];
        written.leader_epoch = (int32_t)prng_below(&prng, INT32_MAX);
        written.controller_epoch = (int32_t)prng_below(&prng, INT32_MAX);
        written.leader_recovery = prng_one_in(&prng, 5) ? NODE_LEADER_RECOVERING : NODE_LEADER_RECOVERED;
        buffer_clear(&out);
        node_partition_state_encode(&written, &out);
        assert_int_equal(node_partition_state_decode(buffer_slice(&out), &read, NULL), 0);
        assert_true(node_partition_state_equals(&written, &read));
        node_partition_state_release(&written);
        node_partition_state_release(&read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_controller, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_old_and_bad_brokers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_partition_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_i20_eligible_leaders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_config, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cluster, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_partition_state_round_trip, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
