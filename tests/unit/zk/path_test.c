/* SPDX-License-Identifier: Apache-2.0 */
/* Paths as Kafka lays them, taken apart again; percent-encoding; the planner of multis. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/prng.h"
#include "coordinator/zk/path.h"
#include "coordinator/zk/zk.h"

static void test_builders(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    struct slice topic = slice_of("orders");
    assert_string_equal(zk_path_broker(&arena, 12), "/brokers/ids/12");
    assert_string_equal(zk_path_broker(&arena, 0), "/brokers/ids/0");
    assert_string_equal(zk_path_broker(&arena, INT32_MAX), "/brokers/ids/2147483647");
    assert_string_equal(zk_path_topic(&arena, topic), "/brokers/topics/orders");
    assert_string_equal(zk_path_topic_partitions(&arena, topic), "/brokers/topics/orders/partitions");
    assert_string_equal(zk_path_partition(&arena, topic, 7), "/brokers/topics/orders/partitions/7");
    assert_string_equal(zk_path_partition_state(&arena, topic, 10),
                        "/brokers/topics/orders/partitions/10/state");
    assert_string_equal(zk_path_delete_topic(&arena, topic), "/admin/delete_topics/orders");
    assert_string_equal(zk_path_config_topic(&arena, topic), "/config/topics/orders");
    assert_string_equal(zk_path_config_broker(&arena, 3), "/config/brokers/3");
    assert_string_equal(zk_path_config_broker(&arena, -1), "/config/brokers/<default>");
    assert_string_equal(zk_path_config_client(&arena, slice_of("<default>")), "/config/clients/<default>");
    assert_string_equal(zk_path_config_ip(&arena, slice_of("10.0.0.1")), "/config/ips/10.0.0.1");
    assert_string_equal(zk_path_config_user(&arena, slice_of("al*ce x")), "/config/users/al%2Ace%20x");
    assert_string_equal(zk_path_config_user_client(&arena, slice_of("<default>"), slice_of("~")),
                        "/config/users/<default>/clients/%7E");
    assert_string_equal(zk_path_config_change(&arena, slice_of("config_change_0000000001")),
                        "/config/changes/config_change_0000000001");
    assert_string_equal(zk_path_consumer_offset(&arena, slice_of("a/b"), topic, 2),
                        "/consumers/a%2Fb/offsets/orders/2");
    assert_string_equal(zk_path_child(&arena, "/", slice_of("x")), "/x");
    assert_string_equal(zk_path_child(&arena, "/a", slice_of("x")), "/a/x");
    arena_release(&arena);
}

static enum zk_path_kind kind_of(const char *path)
{
    struct zk_path_parts parts;
    return zk_path_parse(path, &parts);
}

static void test_parse(void **state)
{
    (void)state;
    struct zk_path_parts parts;
    assert_int_equal(zk_path_parse("/brokers/topics/a.b/partitions/12/state", &parts),
                     ZK_PATH_KIND_PARTITION_STATE);
    assert_true(slice_is(parts.topic, "a.b"));
    assert_int_equal(parts.partition, 12);
    assert_int_equal(zk_path_parse("/brokers/ids/1001", &parts), ZK_PATH_KIND_BROKER);
    assert_int_equal(parts.broker_id, 1001);
    assert_int_equal(zk_path_parse("/config/users/u/clients/c", &parts), ZK_PATH_KIND_CONFIG_ENTITY);
    assert_true(slice_is(parts.entity, "users/u/clients/c"));
    assert_int_equal(zk_path_parse("/config/changes/config_change_0000000042", &parts),
                     ZK_PATH_KIND_CONFIG_CHANGE);
    assert_int_equal(parts.sequence, 42);
    assert_int_equal(zk_path_parse("/admin/delete_topics/t", &parts), ZK_PATH_KIND_DELETE_TOPIC);
    assert_true(slice_is(parts.topic, "t"));
    assert_int_equal(kind_of("/controller"), ZK_PATH_KIND_CONTROLLER);
    assert_int_equal(kind_of("/brokers/ids"), ZK_PATH_KIND_BROKER_IDS);
    assert_int_equal(kind_of("/brokers/topics"), ZK_PATH_KIND_TOPICS);
    assert_int_equal(kind_of("/brokers/topics/t"), ZK_PATH_KIND_TOPIC);
    assert_int_equal(kind_of("/brokers/topics/t/partitions"), ZK_PATH_KIND_TOPIC_PARTITIONS);
    assert_int_equal(kind_of("/brokers/topics/t/partitions/0"), ZK_PATH_KIND_PARTITION);
    assert_int_equal(kind_of("/isr_change_notification/isr_change_0000000000"), ZK_PATH_KIND_ISR_CHANGE);
    assert_int_equal(kind_of("/log_dir_event_notification"), ZK_PATH_KIND_LOG_DIR_EVENTS);
    static const char *const others[] = {
        "",
        "/",
        "/brokers",
        "/brokers/ids/",
        "/brokers/ids/01",
        "/brokers/ids/-1",
        "/brokers/ids/99999999999",
        "/brokers/ids/2147483648",
        "/brokers/topics/",
        "/brokers/topics/..",
        "/brokers/topics/a b",
        "/brokers/topics/t/partition",
        "/brokers/topics/t/partitions/",
        "/brokers/topics/t/partitions/x",
        "/brokers/topics/t/partitions/1/",
        "/brokers/topics/t/partitions/1/states",
        "/config/changes/x",
        "/config/changes/config_change_1",
        "/config/changes/config_change_9999999999",
        "/config/topics",
        "/config/topics/",
    };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_int_equal(kind_of(others[i]), ZK_PATH_KIND_OTHER);
}

static void test_percent_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 20240501;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    struct buffer name, text, back;
    buffer_init(&name);
    buffer_init(&text);
    buffer_init(&back);
    for (int i = 0; i < 2000; i++) {
        buffer_clear(&name);
        buffer_clear(&text);
        buffer_clear(&back);
        for (size_t length = prng_below(&prng, 40); length > 0; length--) {
            uint8_t byte = (uint8_t)prng_next(&prng);
            buffer_append(&name, &byte, 1);
        }
        zk_percent_encode(buffer_slice(&name), &text);
        for (size_t j = 0; j < text.length; j++)
            assert_non_null(
                strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_%", text.data[j]));
        assert_int_equal(zk_percent_decode(buffer_slice(&text), &back), 0);
        assert_int_equal(back.length, name.length);
        if (name.length > 0)
            assert_memory_equal(back.data, name.data, name.length);
    }
    buffer_clear(&back);
    assert_int_equal(zk_percent_decode(slice_of("a+b%2a"), &back), 0);
    assert_string_equal(buffer_string(&back), "a b*");
    assert_int_equal(zk_percent_decode(slice_of("%4"), &back), -EINVAL);
    assert_int_equal(zk_percent_decode(slice_of("%"), &back), -EINVAL);
    assert_int_equal(zk_percent_decode(slice_of("%zz"), &back), -EINVAL);
    buffer_release(&name);
    buffer_release(&text);
    buffer_release(&back);
}

static void test_persistent_paths_name_parents_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < zk_persistent_path_count; i++) {
        const char *slash = strrchr(zk_persistent_paths[i], '/');
        size_t parent = (size_t)(slash - zk_persistent_paths[i]);
        bool found = parent == 0;
        for (size_t j = 0; j < i; j++)
            found = found || (strlen(zk_persistent_paths[j]) == parent &&
                              memcmp(zk_persistent_paths[j], zk_persistent_paths[i], parent) == 0);
        assert_true(found);
    }
}

static void test_i39_multi_planner(void **state)
{
    (void)state;
    assert_int_equal(zk_multi_fit(NULL, 0), 0);
    struct zk_operation many[1200];
    for (size_t i = 0; i < ARRAY_SIZE(many); i++)
        many[i] = zk_operation_create("/x", slice_of("y"), ZK_PERSISTENT);
    assert_int_equal(zk_multi_fit(many, 1200), 500);
    assert_int_equal(zk_multi_fit(many, 499), 499);
    /* One value larger than a chunk goes alone, first or later. */
    char *big = memory_allocate_zeroed(ZK_DATA_BYTES_MAX, 1);
    many[0] = zk_operation_create("/big", slice_make(big, ZK_DATA_BYTES_MAX), ZK_PERSISTENT);
    assert_int_equal(zk_multi_fit(many, 1200), 1);
    many[3] = many[0];
    assert_int_equal(zk_multi_fit(many + 1, 1199), 2);
    /* Random sizes: all are sent, and no chunk with company is too large. */
    struct prng prng;
    prng_init(&prng, 7);
    for (int round = 0; round < 200; round++) {
        size_t count = prng_below(&prng, ARRAY_SIZE(many)) + 1;
        for (size_t i = 0; i < count; i++)
            many[i] = zk_operation_set_any_version("/x", slice_make(big, prng_below(&prng, 20000)));
        for (size_t sent = 0; sent < count;) {
            size_t fit = zk_multi_fit(many + sent, count - sent);
            assert_in_range(fit, 1, ZK_MULTI_OPERATIONS_MAX);
            size_t bytes = 0;
            for (size_t i = sent; i < sent + fit; i++)
                bytes += zk_operation_bytes(&many[i]);
            assert_true(fit == 1 || bytes <= ZK_MULTI_BYTES_MAX);
            sent += fit;
            assert_true(sent <= count);
        }
    }
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builders),           cmocka_unit_test(test_parse),
        cmocka_unit_test(test_percent_round_trip), cmocka_unit_test(test_persistent_paths_name_parents_first),
        cmocka_unit_test(test_i39_multi_planner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
