/* SPDX-License-Identifier: Apache-2.0 */
/* Java clients' settings in the library's names; each mapped name is one that the library knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "tools/client_properties.h"

static void expect(const char *name, const char *value, enum property_kind kind, const char *mapped_name,
                   const char *mapped_value)
{
    struct buffer name_out, value_out;
    buffer_init(&name_out);
    buffer_init(&value_out);
    assert_int_equal(client_property_map(name, value, &name_out, &value_out), kind);
    assert_string_equal(buffer_string(&name_out), mapped_name);
    assert_string_equal(buffer_string(&value_out), mapped_value);
    if (kind != PROPERTY_IGNORED) {
        rd_kafka_conf_t *settings = rd_kafka_conf_new();
        char text[256];
        assert_int_equal(rd_kafka_conf_set(settings, mapped_name, mapped_value, text, sizeof(text)),
                         RD_KAFKA_CONF_OK);
        rd_kafka_conf_destroy(settings);
    }
    buffer_release(&value_out);
    buffer_release(&name_out);
}

static void test_same_names(void **state)
{
    (void)state;
    expect("acks", "all", PROPERTY_SAME, "acks", "all");
    expect("acks", "-1", PROPERTY_SAME, "acks", "-1");
    expect("compression.type", "zstd", PROPERTY_SAME, "compression.type", "zstd");
    expect("linger.ms", "50", PROPERTY_SAME, "linger.ms", "50");
    expect("batch.size", "16384", PROPERTY_SAME, "batch.size", "16384");
    expect("delivery.timeout.ms", "120000", PROPERTY_SAME, "delivery.timeout.ms", "120000");
    expect("request.timeout.ms", "30000", PROPERTY_SAME, "request.timeout.ms", "30000");
    expect("metadata.max.age.ms", "300000", PROPERTY_SAME, "metadata.max.age.ms", "300000");
    expect("retries", "3", PROPERTY_SAME, "retries", "3");
    expect("max.in.flight.requests.per.connection", "1", PROPERTY_SAME,
           "max.in.flight.requests.per.connection", "1");
    expect("isolation.level", "read_committed", PROPERTY_SAME, "isolation.level", "read_committed");
    expect("auto.offset.reset", "earliest", PROPERTY_SAME, "auto.offset.reset", "earliest");
    expect("max.partition.fetch.bytes", "1048576", PROPERTY_SAME, "max.partition.fetch.bytes", "1048576");
}

static void test_other_names_and_units(void **state)
{
    (void)state;
    expect("max.request.size", "1048576", PROPERTY_CHANGED, "message.max.bytes", "1048576");
    expect("buffer.memory", "33554432", PROPERTY_CHANGED, "queue.buffering.max.kbytes", "32768");
    expect("buffer.memory", "10", PROPERTY_CHANGED, "queue.buffering.max.kbytes", "1");
    expect("send.buffer.bytes", "-1", PROPERTY_CHANGED, "socket.send.buffer.bytes", "0");
    expect("receive.buffer.bytes", "65536", PROPERTY_CHANGED, "socket.receive.buffer.bytes", "65536");
    expect("fetch.max.wait.ms", "500", PROPERTY_CHANGED, "fetch.wait.max.ms", "500");
    expect("max.block.ms", "60000", PROPERTY_CHANGED, "topic.metadata.propagation.max.ms", "60000");
}

static void test_java_only(void **state)
{
    (void)state;
    expect("key.serializer", "org.apache.kafka.common.serialization.StringSerializer", PROPERTY_IGNORED, "",
           "");
    expect("max.poll.records", "500", PROPERTY_IGNORED, "", "");
}

static void test_pairs(void **state)
{
    (void)state;
    struct properties properties;
    struct buffer error;
    properties_init(&properties);
    buffer_init(&error);
    assert_int_equal(properties_add_pair(&properties, "a=b=c", &error), 0);
    assert_string_equal(properties_find(&properties, "a")->value, "b=c");
    assert_int_equal(properties_add_pair(&properties, "a=", &error), 0);
    assert_string_equal(properties_find(&properties, "a")->value, "");
    assert_int_equal(error.length, 0);
    assert_int_equal(properties_add_pair(&properties, "a", &error), -EINVAL);
    assert_string_equal(buffer_string(&error), "Invalid command line properties: a");
    assert_int_equal(properties_add_pair(&properties, "=a", &error), -EINVAL);
    buffer_clear(&error);
    assert_int_equal(properties_load("/nonexistent/file", &properties, &error), -ENOENT);
    assert_non_null(strstr(buffer_string(&error), "/nonexistent/file: "));
    buffer_release(&error);
    properties_release(&properties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_names),
        cmocka_unit_test(test_other_names_and_units),
        cmocka_unit_test(test_java_only),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
