/* SPDX-License-Identifier: Apache-2.0 */
/* listeners and its kin: what passes, what is refused and in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "broker/config/listeners.h"

#define DEFAULT_MAP "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"

struct refusal {
    struct listener_texts texts;
    const char *key;
    const char *reason; /* a part of it */
};

static void good_ones_are_parsed(void **state)
{
    (void)state;
    struct listeners listeners;
    struct buffer error;
    const char *key;
    listeners_init(&listeners);
    buffer_init(&error);
    const struct listener_texts texts = {
        .listeners = "internal://:9092, EXTERNAL://[::1]:9094,second://127.0.0.1:9094,free://h:0,free2://h:0",
        .advertised = "INTERNAL://broker-1.example:9092,external://[2001:db8::1]:30001",
        .protocol_map = "Internal:PLAINTEXT,EXTERNAL:plaintext,SECOND:SSL,FREE:PLAINTEXT,FREE2:PLAINTEXT",
        .inter_broker_name = "internal",
    };
    assert_int_equal(listeners_parse(&listeners, &texts, &key, &error), 0);
    assert_int_equal(listeners.bound.count, 5);
    assert_string_equal(listeners.bound.items[0].name, "INTERNAL");
    assert_string_equal(listeners.bound.items[0].host, "");
    assert_int_equal(listeners.bound.items[0].port, 9092);
    assert_string_equal(listeners.bound.items[1].host, "::1");
    assert_int_equal(listeners.bound.items[2].protocol, SECURITY_SSL);
    assert_string_equal(listeners.advertised.items[1].host, "2001:db8::1");
    assert_string_equal(listeners.inter_broker, "INTERNAL");
    assert_ptr_equal(listener_set_find(&listeners.advertised, "external"), &listeners.advertised.items[1]);
    assert_null(listener_set_find(&listeners.advertised, "SECOND"));
    assert_true(listeners_check_served(&listeners, &error) < 0);
    assert_non_null(strstr(buffer_string(&error), "the listener SECOND speaks SSL"));
    listeners_release(&listeners);
    buffer_release(&error);
}

static void advertised_falls_back_and_is_filled(void **state)
{
    (void)state;
    struct listeners listeners;
    struct buffer error;
    const char *key;
    listeners_init(&listeners);
    buffer_init(&error);
    const struct listener_texts texts = {.listeners = "PLAINTEXT://:0", .protocol_map = DEFAULT_MAP};
    assert_int_equal(listeners_parse(&listeners, &texts, &key, &error), 0);
    assert_int_equal(listeners_check_served(&listeners, &error), 0);
    listeners_fill_advertised_host(&listeners, "here.example");
    listeners_set_bound_port(&listeners, "PLAINTEXT", 40123);
    assert_string_equal(listeners.advertised.items[0].host, "here.example");
    assert_int_equal(listeners.advertised.items[0].port, 40123);
    assert_string_equal(listeners.bound.items[0].host, "");
    listeners_release(&listeners);
    buffer_release(&error);
}

static const struct refusal refusals[] = {
    {{.listeners = "PLAINTEXT://h:1", .protocol_map = "PLAINTEXT"},
     "listener.security.protocol.map",
     "pairs"},
    {{.listeners = "PLAINTEXT://h:1", .protocol_map = "A:TLS"},
     "listener.security.protocol.map",
     "no security protocol"},
    {{.listeners = "A://h:1", .protocol_map = "A:SSL,a:PLAINTEXT"},
     "listener.security.protocol.map",
     "comes twice"},
    {{.listeners = "", .protocol_map = DEFAULT_MAP}, "listeners", "at least one"},
    {{.listeners = "h:9092", .protocol_map = DEFAULT_MAP}, "listeners", "NAME://host:port"},
    {{.listeners = "PLAINTEXT://h", .protocol_map = DEFAULT_MAP}, "listeners", "NAME://host:port"},
    {{.listeners = "PLAINTEXT://h:x", .protocol_map = DEFAULT_MAP}, "listeners", "the port"},
    {{.listeners = "PLAINTEXT://h:65536", .protocol_map = DEFAULT_MAP}, "listeners", "the port"},
    {{.listeners = "PLAINTEXT://h/x:1", .protocol_map = DEFAULT_MAP}, "listeners", "the host"},
    {{.listeners = "OTHER://h:1", .protocol_map = DEFAULT_MAP}, "listeners", "OTHER is not in"},
    {{.listeners = "PLAINTEXT://h:1,plaintext://h:2", .protocol_map = DEFAULT_MAP},
     "listeners",
     "PLAINTEXT comes twice"},
    {{.listeners = "PLAINTEXT://a:1,SSL://b:1", .protocol_map = DEFAULT_MAP}, "listeners", "same port 1"},
    {{.listeners = "PLAINTEXT://0.0.0.0:1", .protocol_map = DEFAULT_MAP}, "listeners", "0.0.0.0"},
    {{.listeners = "PLAINTEXT://:1", .advertised = "PLAINTEXT://0.0.0.0:1", .protocol_map = DEFAULT_MAP},
     "advertised.listeners",
     "0.0.0.0"},
    {{.listeners = "PLAINTEXT://:1", .advertised = "SSL://h:1", .protocol_map = DEFAULT_MAP},
     "advertised.listeners",
     "not among listeners"},
    {{.listeners = "SSL://h:1", .protocol_map = DEFAULT_MAP},
     "security.inter.broker.protocol",
     "not advertised"},
    {{.listeners = "PLAINTEXT://h:1", .protocol_map = DEFAULT_MAP, .inter_broker_name = "X"},
     "inter.broker.listener.name",
     "X is not in"},
    {{.listeners = "PLAINTEXT://h:1",
      .protocol_map = DEFAULT_MAP,
      .inter_broker_name = "PLAINTEXT",
      .inter_broker_protocol = "PLAINTEXT"},
     "inter.broker.listener.name",
     "only one of"},
    {{.listeners = "PLAINTEXT://h:1", .protocol_map = DEFAULT_MAP, .control_plane_name = "PLAINTEXT"},
     "control.plane.listener.name",
     "must differ"},
    {{.listeners = "PLAINTEXT://h:1", .protocol_map = DEFAULT_MAP, .control_plane_name = "SSL"},
     "control.plane.listener.name",
     "not advertised"},
};

static void bad_ones_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        struct listeners listeners;
        struct buffer error;
        const char *key = NULL;
        listeners_init(&listeners);
        buffer_init(&error);
        assert_true(listeners_parse(&listeners, &refusals[i].texts, &key, &error) < 0);
        assert_string_equal(key, refusals[i].key);
        if (strstr(buffer_string(&error), refusals[i].reason) == NULL)
            fail_msg("%zu: \"%s\" lacks \"%s\"", i, buffer_string(&error), refusals[i].reason);
        listeners_release(&listeners);
        buffer_release(&error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_are_parsed),
        cmocka_unit_test(advertised_falls_back_and_is_filled),
        cmocka_unit_test(bad_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
