/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of the tables of settings: in order, its default passes its own check, wrong values do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "broker/config/config_key.h"

static void check_row(const struct config_key *key)
{
    struct buffer error;
    buffer_init(&error);
    if (key->default_text && config_value_check(key, key->default_text, &error) < 0)
        fail_msg("%s: default %s %s", key->name, key->default_text, buffer_string(&error));
    assert_true((key->documentation != NULL) == ((key->flags & CONFIG_ACTS) != 0));
    assert_true((key->type == CONFIG_PASSWORD) == ((key->flags & CONFIG_SENSITIVE) != 0));
    if (key->type == CONFIG_BOOLEAN) {
        assert_int_equal(config_value_check(key, " TRUE ", NULL), 0);
        assert_true(config_value_boolean(" TRUE "));
        assert_true(config_value_check(key, "yes", NULL) < 0);
    }
    if (key->type == CONFIG_INT || key->type == CONFIG_LONG || key->type == CONFIG_SHORT ||
        key->type == CONFIG_DOUBLE) {
        assert_true(config_value_check(key, "", NULL) < 0);
        assert_true(config_value_check(key, "1x", NULL) < 0);
    }
    if (key->type == CONFIG_INT)
        assert_true(config_value_check(key, "2147483648", NULL) < 0);
    if (key->type == CONFIG_SHORT)
        assert_true(config_value_check(key, "32768", NULL) < 0);
    if (key->type == CONFIG_LONG)
        assert_true(config_value_check(key, "9223372036854775808", NULL) < 0);
    if (key->values)
        assert_true(config_value_check(key, "no-such-value", NULL) < 0);
    if (key->range.minimum > -1e300) {
        char below[64];
        snprintf(below, sizeof(below), "%.0f", key->range.minimum - 3);
        assert_true(config_value_check(key, below, NULL) < 0);
    }
    if (key->range.maximum < 1e300) {
        char above[64];
        snprintf(above, sizeof(above), "%.0f", key->range.maximum + 1);
        assert_true(config_value_check(key, above, NULL) < 0);
    }
    buffer_release(&error);
}

static void every_broker_key_obeys_its_row(void **state)
{
    (void)state;
    assert_true(broker_key_count() > 250);
    for (size_t i = 0; i < broker_key_count(); i++) {
        const struct config_key *key = broker_key_at(i);
        if (i > 0)
            assert_true(slice_compare(slice_of(broker_key_at(i - 1)->name), slice_of(key->name)) < 0);
        assert_int_equal(broker_key_find(key->name), (int)i);
        check_row(key);
    }
    assert_int_equal(broker_key_find("no.such.key"), -1);
    assert_int_equal(broker_key_find(""), -1);
}

static void every_topic_key_obeys_its_row(void **state)
{
    (void)state;
    assert_true(topic_key_count() > 30);
    for (size_t i = 0; i < topic_key_count(); i++) {
        const struct config_key *key = topic_key_at(i);
        if (i > 0)
            assert_true(slice_compare(slice_of(topic_key_at(i - 1)->name), slice_of(key->name)) < 0);
        assert_int_equal(topic_key_find(slice_of(key->name)), (int)i);
        check_row(key);
        for (const char *at = key->server_keys; at && *at;) {
            char name[128];
            size_t length = strcspn(at, "|");
            snprintf(name, sizeof(name), "%.*s", (int)length, at);
            assert_true(broker_key_find(name) >= 0);
            at += length + (at[length] == '|');
        }
    }
}

static void expect(const char *name, const char *text, const char *reason)
{
    struct buffer error;
    buffer_init(&error);
    int rc = config_value_check(broker_key_at((size_t)broker_key_find(name)), text, &error);
    assert_true((rc == 0) == (reason == NULL));
    assert_string_equal(buffer_string(&error), reason ? reason : "");
    buffer_release(&error);
}

/* Settings of the log are not said to have no effect. */
static void what_the_log_acts_on_is_told(void **state)
{
    (void)state;
    static const char *const brokers[] = {
        "compression.gzip.level",      "compression.lz4.level", "compression.zstd.level",
        "log.segment.delete.delay.ms", "log.retention.bytes",   "log.retention.hours",
        "log.retention.minutes",       "log.retention.ms",      "log.initial.task.delay.ms",
    };
    static const char *const topics[] = {
        "compression.gzip.level", "compression.lz4.level", "compression.zstd.level",
        "file.delete.delay.ms",   "retention.bytes",       "retention.ms",
    };
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_SIZE(brokers); i++)
        for (size_t at = 0; at < broker_key_count(); at++)
            if (strcmp(broker_key_at(at)->name, brokers[i]) == 0)
                found += (broker_key_at(at)->flags & CONFIG_ACTS) != 0;
    assert_int_equal(found, ARRAY_SIZE(brokers));
    found = 0;
    for (size_t i = 0; i < ARRAY_SIZE(topics); i++)
        for (size_t at = 0; at < topic_keys_count; at++)
            if (strcmp(topic_keys[at].name, topics[i]) == 0)
                found += (topic_keys[at].flags & CONFIG_ACTS) != 0;
    assert_int_equal(found, ARRAY_SIZE(topics));
}

static void reasons_are_exact(void **state)
{
    (void)state;
    expect("num.network.threads", "0", "must be at least 1");
    expect("num.network.threads", "many", "is not a number of type int");
    expect("compression.lz4.level", "18", "must be between 1 and 17");
    expect("compression.gzip.level", "0", "must be between 1 and 9, or -1");
    expect("compression.gzip.level", "-1", NULL);
    expect("compression.type", "brotli", "must be one of uncompressed, zstd, lz4, snappy, gzip, producer");
    expect("auto.create.topics.enable", "maybe", "must be true or false");
    expect("log.cleanup.policy", "compact, delete", NULL);
    expect("log.cleanup.policy", "compact,keep", "must be one of compact, delete");
    expect("log.cleaner.min.cleanable.ratio", "1.5", "must be between 0 and 1");
    expect("log.cleaner.min.cleanable.ratio", "half", "is not a number");
    expect("inter.broker.protocol.version", "3.9-IV0", NULL);
    expect("inter.broker.protocol.version", "0.10.2", NULL);
    expect("inter.broker.protocol.version", "latest", "must be a Kafka release such as 3.9 or 3.9-IV0");
    expect("group.consumer.migration.policy", "Upgrade", NULL);
}

static void lists_are_cut_at_commas(void **state)
{
    (void)state;
    size_t position = 0;
    struct slice element;
    assert_true(config_list_next(" a , b,,c", &position, &element) && slice_is(element, "a"));
    assert_true(config_list_next(" a , b,,c", &position, &element) && slice_is(element, "b"));
    assert_true(config_list_next(" a , b,,c", &position, &element) && slice_is(element, "c"));
    assert_false(config_list_next(" a , b,,c", &position, &element));
    position = 0;
    assert_false(config_list_next(NULL, &position, &element));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_broker_key_obeys_its_row), cmocka_unit_test(every_topic_key_obeys_its_row),
        cmocka_unit_test(what_the_log_acts_on_is_told),   cmocka_unit_test(reasons_are_exact),
        cmocka_unit_test(lists_are_cut_at_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
