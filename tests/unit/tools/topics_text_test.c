/* SPDX-License-Identifier: Apache-2.0 */
/* What `topics --describe` writes in both layouts, and the values of options: assignments, settings, names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cluster_client.h"
#include "tools/topics_text.h"

static const int32_t replicas[] = {1, 2, 3};

static void expect(const struct topic_view *view, struct topics_filter filter, enum topics_layout layout,
                   const char *text)
{
    struct buffer out;
    buffer_init(&out);
    topic_view_print(view, &filter, layout, &out);
    assert_string_equal(buffer_string(&out), text);
    buffer_release(&out);
}

static void test_layouts(void **state)
{
    (void)state;
    const struct partition_view partitions[] = {
        {.partition = 0,
         .leader = 1,
         .leader_is_alive = true,
         .replicas = replicas,
         .replica_count = 2,
         .isr = replicas,
         .isr_count = 2},
        {.partition = 1,
         .leader = -1,
         .replicas = replicas + 1,
         .replica_count = 2,
         .isr = replicas + 1,
         .isr_count = 1},
    };
    struct topic_view view = {.name = "t",
                              .id = "AAAAAAAAAAAAAAAAAAAAAA",
                              .settings = "k=v,k2=v2",
                              .min_insync_replicas = 2,
                              .partitions = partitions,
                              .partition_count = 2};
    const struct topics_filter all = {0};
    expect(&view, all, TOPICS_LAYOUT_1_0,
           "Topic:t\tPartitionCount:2\tReplicationFactor:2\tConfigs:k=v,k2=v2\n"
           "\tTopic: t\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n"
           "\tTopic: t\tPartition: 1\tLeader: none\tReplicas: 2,3\tIsr: 2\n");
    expect(&view, all, TOPICS_LAYOUT_3_9,
           "Topic: t\tTopicId: AAAAAAAAAAAAAAAAAAAAAA\tPartitionCount: 2\tReplicationFactor: 2\tConfigs: "
           "k=v,k2=v2\n"
           "\tTopic: t\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n"
           "\tTopic: t\tPartition: 1\tLeader: none\tReplicas: 2,3\tIsr: 2\n");
    static const char second[] = "\tTopic: t\tPartition: 1\tLeader: none\tReplicas: 2,3\tIsr: 2\n";
    expect(&view, (struct topics_filter){.under_replicated = true}, TOPICS_LAYOUT_3_9, second);
    expect(&view, (struct topics_filter){.unavailable = true}, TOPICS_LAYOUT_3_9, second);
    expect(&view, (struct topics_filter){.under_min_isr = true}, TOPICS_LAYOUT_3_9, second);
    expect(&view, (struct topics_filter){.at_min_isr = true}, TOPICS_LAYOUT_3_9,
           "\tTopic: t\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1,2\n");
    expect(&view, (struct topics_filter){.with_overrides = true}, TOPICS_LAYOUT_1_0,
           "Topic:t\tPartitionCount:2\tReplicationFactor:2\tConfigs:k=v,k2=v2\n");
    view.settings = "";
    expect(&view, (struct topics_filter){.with_overrides = true}, TOPICS_LAYOUT_1_0, "");
    view.marked_for_deletion = true;
    view.partition_count = 0;
    expect(&view, all, TOPICS_LAYOUT_1_0,
           "Topic:t\tPartitionCount:0\tReplicationFactor:0\tConfigs:\tMarkedForDeletion:true\n");
}

static void test_assignments(void **state)
{
    (void)state;
    struct topics_assignment assignment;
    struct buffer error;
    buffer_init(&error);
    assert_int_equal(topics_assignment_parse("0:1,1:2,2:0", &assignment, &error), 0);
    assert_int_equal(assignment.partition_count, 3);
    assert_int_equal(assignment.replication_factor, 2);
    static const int32_t expected[] = {0, 1, 1, 2, 2, 0};
    assert_memory_equal(assignment.replicas, expected, sizeof(expected));
    free(assignment.replicas);
    static const char *const wrong[] = {"",    "0:",  ",0",     "0:0",  "0:1,2",      "0:1,",
                                        "a:b", "0;1", "0:1:-1", "0: 1", "99999999999"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        buffer_clear(&error);
        assert_int_equal(topics_assignment_parse(wrong[i], &assignment, &error), -EINVAL);
        assert_true(error.length > 0);
        free(assignment.replicas);
    }
    buffer_release(&error);
}

static void expect_setting(const char *text, int rc, const char *sentence)
{
    struct topic_setting setting;
    struct buffer error;
    buffer_init(&error);
    assert_int_equal(topics_setting_parse(text, &setting, &error), rc);
    assert_string_equal(buffer_string(&error), sentence);
    buffer_release(&error);
}

static void test_settings(void **state)
{
    (void)state;
    expect_setting("retention.ms=1000", 0, "");
    expect_setting("cleanup.policy=compact,delete", 0, "");
    expect_setting("retention.ms", -EINVAL,
                   "requirement failed: Invalid topic config: all configs to be added must be in the format "
                   "\"key=val\".");
    expect_setting("foo=1", -EINVAL, "Unknown topic config name: foo");
    expect_setting("retention.ms=abc", -EINVAL,
                   "Invalid value abc for configuration retention.ms: Not a number of type LONG");
}

static bool matches(const char *expression, const char *const *existing, const char *name)
{
    struct topics_pattern *pattern = topics_pattern_new(expression, NULL);
    assert_non_null(pattern);
    for (; *existing != NULL; existing++)
        topics_pattern_add(pattern, *existing);
    bool result = topics_pattern_matches(pattern, name);
    topics_pattern_free(pattern);
    return result;
}

static void test_patterns(void **state)
{
    (void)state;
    const char *const none[] = {NULL};
    const char *const dotted[] = {"a.b", "a-b", NULL};
    assert_true(matches(NULL, none, "anything"));
    assert_true(matches("a.*", none, "abc"));
    assert_false(matches("a", none, "abc"));
    assert_true(matches("a,b", none, "b"));
    assert_true(matches("(orders|items)-[0-9]+", none, "items-17"));
    assert_true(matches("a.b", none, "a-b"));
    /* A topic of this very name is the one that is meant. */
    assert_true(matches("a.b", dotted, "a.b"));
    assert_false(matches("a.b", dotted, "a-b"));
    struct buffer error;
    buffer_init(&error);
    assert_null(topics_pattern_new("(", &error));
    assert_string_equal(buffer_string(&error), "( is an invalid regex.");
    buffer_release(&error);
}

static void test_names(void **state)
{
    (void)state;
    struct buffer error;
    buffer_init(&error);
    assert_int_equal(topic_name_check("Orders_1.x-y", &error), 0);
    assert_int_equal(topic_name_check("a b", &error), -EINVAL);
    assert_string_equal(buffer_string(&error),
                        "Topic name is invalid: 'a b' contains one or more characters other than ASCII "
                        "alphanumerics, '.', '_' and '-'");
    assert_int_equal(topic_name_check("..", &error), -EINVAL);
    assert_int_equal(topic_name_check("", &error), -EINVAL);
    assert_null(topic_collision_warning("plain-name"));
    assert_non_null(topic_collision_warning("under_score"));
    assert_true(topic_is_internal("__consumer_offsets"));
    assert_false(topic_is_internal("__other"));
    buffer_release(&error);
}

static void expect_address(const char *list, const char *host, int port)
{
    char *got = NULL;
    int32_t got_port = 0;
    assert_int_equal(bootstrap_next(&list, &got, &got_port), 0);
    assert_string_equal(got, host);
    assert_int_equal(got_port, port);
    free(got);
}

static void test_addresses(void **state)
{
    (void)state;
    expect_address("localhost:9092", "localhost", 9092);
    expect_address(" , kafka-1.example:19092,b:1", "kafka-1.example", 19092);
    expect_address("[::1]:9092", "::1", 9092);
    expect_address("PLAINTEXT://127.0.0.1:9092", "127.0.0.1", 9092);
    static const char *const wrong[] = {"localhost", "localhost:", ":9092", "a:0", "a:65536", "a:b", "a:1x"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        const char *list = wrong[i];
        char *host = NULL;
        int32_t port = 0;
        assert_int_equal(bootstrap_next(&list, &host, &port), -EINVAL);
    }
    const char *end = " ,";
    char *host = NULL;
    int32_t port = 0;
    assert_int_equal(bootstrap_next(&end, &host, &port), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),  cmocka_unit_test(test_assignments), cmocka_unit_test(test_settings),
        cmocka_unit_test(test_patterns), cmocka_unit_test(test_names),       cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
