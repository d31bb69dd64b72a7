/* SPDX-License-Identifier: Apache-2.0 */
/* server.properties: every key set alone, typed fields, warnings and errors with their lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "broker/config/broker_config.h"

#define BASE "broker.id=1\nzookeeper.connect=127.0.0.1:2181\n"

struct outcome {
    struct broker_config config;
    struct buffer warnings;
    struct buffer errors;
    int rc;
};

static void parse(struct outcome *outcome, const char *text)
{
    broker_config_init(&outcome->config);
    buffer_init(&outcome->warnings);
    buffer_init(&outcome->errors);
    outcome->rc = broker_config_parse(&outcome->config, slice_of(text), "server.properties",
                                      &outcome->warnings, &outcome->errors);
}

static void release(struct outcome *outcome)
{
    broker_config_release(&outcome->config);
    buffer_release(&outcome->warnings);
    buffer_release(&outcome->errors);
}

static void defaults_are_kafkas(void **state)
{
    (void)state;
    struct outcome outcome;
    parse(&outcome, BASE);
    const struct broker_config *config = &outcome.config;
    assert_int_equal(outcome.rc, 0);
    assert_string_equal(buffer_string(&outcome.warnings), "");
    assert_int_equal(config->broker_id, 1);
    assert_int_equal(config->num_network_threads, 3);
    assert_int_equal(config->zookeeper_session_timeout_ms, 18000);
    assert_int_equal(config->zookeeper_connection_timeout_ms, 18000);
    assert_int_equal(config->socket_request_max_bytes, 104857600);
    assert_int_equal(config->connections_max_idle_ms, 600000);
    assert_int_equal(config->replica_lag_time_max_ms, 30000);
    assert_int_equal(config->fetch_max_bytes, 57671680);
    assert_int_equal(config->offsets_topic_replication_factor, 3);
    assert_true(config->auto_create_topics_enable);
    assert_true(config->delete_topic_enable);
    assert_null(config->rack);
    assert_int_equal(config->log_dirs_count, 1);
    assert_string_equal(config->log_dirs[0], "/tmp/kafka-logs");
    assert_string_equal(config->listeners.inter_broker, "PLAINTEXT");
    assert_int_equal(config->listeners.bound.items[0].port, 9092);
    assert_int_equal(config->topic_defaults.segment_bytes, 1073741824);
    assert_int_equal(config->topic_defaults.min_insync_replicas, 1);
    assert_int_equal(config->topic_defaults.retention_ms, 604800000);
    assert_int_equal(config->topic_defaults.compression, COMPRESSION_PRODUCER);
    release(&outcome);
}

/* Each key with its default as text is read back; a wrong value of it is an error in its line. */
static void every_key_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < broker_key_count(); i++) {
        const struct config_key *key = broker_key_at(i);
        if (key->default_text == NULL || key->default_text[0] == 0 || (key->flags & CONFIG_DYNAMIC_ONLY) ||
            strcmp(key->name, "broker.id") == 0 || strcmp(key->name, "node.id") == 0)
            continue;
        struct buffer text;
        buffer_init(&text);
        buffer_print(&text, BASE "%s=%s\n", key->name, key->default_text);
        struct outcome outcome;
        parse(&outcome, buffer_string(&text));
        if (outcome.rc < 0)
            fail_msg("%s: %s", key->name, buffer_string(&outcome.errors));
        assert_string_equal(broker_config_given(&outcome.config, key->name), key->default_text);
        assert_true((strstr(buffer_string(&outcome.warnings), "has no effect") != NULL) ==
                    !(key->flags & CONFIG_ACTS));
        release(&outcome);
        bool number = key->type != CONFIG_STRING && key->type != CONFIG_LIST && key->type != CONFIG_CLASS &&
                      key->type != CONFIG_PASSWORD;
        if (number) {
            buffer_clear(&text);
            buffer_print(&text, BASE "%s=wrong\n", key->name);
            parse(&outcome, buffer_string(&text));
            assert_int_equal(outcome.rc, -EINVAL);
            assert_non_null(strstr(buffer_string(&outcome.errors), "server.properties:3: "));
            release(&outcome);
        }
        buffer_release(&text);
    }
}

static void errors_name_the_line(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {BASE "num.network.threads=0\n", "server.properties:3: num.network.threads=0: must be at least 1\n"},
        {BASE "replication.quota.window.num=3601\n",
         "server.properties:3: replication.quota.window.num=3601: must be between 1 and 3600\n"},
        {BASE "process.roles=broker\n",
         "server.properties:3: process.roles=broker: brokers of this kind are coordinated by ZooKeeper; take "
         "the line out\n"},
        {"zookeeper.connect=z:1\n",
         "server.properties: broker.id: must be set to a number that no other broker of the cluster has; "
         "generated ids are not served by this release\n"},
        {"broker.id=1001\nzookeeper.connect=z:1\n",
         "server.properties:1: broker.id=1001: is above reserved.broker.max.id; set "
         "broker.id.generation.enable=false to allow it\n"},
        {BASE "node.id=2\n",
         "server.properties:3: node.id=2: differs from broker.id; they are one setting under two names\n"},
        {"broker.id=3\n",
         "server.properties: zookeeper.connect: must be set, as host:port[,host:port...][/path]: "
         "the cluster lives in ZooKeeper\n"},
        {BASE "log.retention.hours=0\n",
         "server.properties:3: log.retention.hours=0: must be above 0, or -1 for no bound\n"},
        {BASE "replica.fetch.wait.max.ms=40000\n",
         "server.properties:3: replica.fetch.wait.max.ms=40000: must not be above replica.socket.timeout.ms\n"
         "server.properties:3: replica.fetch.wait.max.ms=40000: must not be above replica.lag.time.max.ms\n"},
        {BASE "queued.max.request.bytes=5\n",
         "server.properties:3: queued.max.request.bytes=5: must be 0 or less (no bound), or at least "
         "socket.request.max.bytes\n"},
        {BASE "max.connections.per.ip=0\n",
         "server.properties:3: max.connections.per.ip=0: may be 0 only together with "
         "max.connections.per.ip.overrides\n"},
        {BASE "max.connections.per.ip.overrides=a:b\n",
         "server.properties:3: max.connections.per.ip.overrides=a:b: must be a list of host:number pairs\n"},
        {BASE "log.dirs=/a,/b,/a\n",
         "server.properties:3: log.dirs=/a,/b,/a: /a is named twice in log.dirs\n"},
        {BASE "log.dirs=/a/b/,//a/./b/.\n",
         "server.properties:3: log.dirs=/a/b/,//a/./b/.: /a/b is named twice in log.dirs\n"},
        {BASE "log.dirs=/,/proc/../\n",
         "server.properties:3: log.dirs=/,/proc/../: / and /proc/../ are one directory under two names\n"},
        {BASE "ssl.key.password=secret\nlisteners=SSL://h:1\nsecurity.inter.broker.protocol=SSL\n",
         "server.properties:4: listeners=SSL://h:1: the listener SSL speaks SSL, which this release does not "
         "serve; only PLAINTEXT listeners work\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct outcome outcome;
        parse(&outcome, cases[i].text);
        assert_int_equal(outcome.rc, -EINVAL);
        assert_string_equal(buffer_string(&outcome.errors), cases[i].error);
        release(&outcome);
    }
}

static void odd_lines_are_warned_of(void **state)
{
    (void)state;
    struct outcome outcome;
    parse(&outcome, BASE "num.partitions=3\nhost.name=x\nnum.partitions=4\n"
                         "listener.name.plaintext.max.connections=5\nleader.replication.throttled.rate=1\n");
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.config.num_partitions, 4);
    const char *warnings = buffer_string(&outcome.warnings);
    assert_non_null(strstr(warnings, "server.properties:4: host.name: is not a setting that brokers know"));
    assert_non_null(strstr(warnings, "server.properties:5: num.partitions: stands in line 3 too"));
    assert_non_null(strstr(warnings, "server.properties:6: listener.name.plaintext.max.connections: "));
    assert_non_null(strstr(warnings, "server.properties:7: leader.replication.throttled.rate: "));
    assert_non_null(properties_find(&outcome.config.properties, "host.name"));
    release(&outcome);
}

static void parse_with(struct outcome *outcome, const char *text, const char *overrides)
{
    broker_config_init(&outcome->config);
    buffer_init(&outcome->warnings);
    buffer_init(&outcome->errors);
    outcome->rc = broker_config_parse_with(&outcome->config, slice_of(text), slice_of(overrides),
                                           "server.properties", &outcome->warnings, &outcome->errors);
}

static void what_is_said_of_overrides_names_them(void **state)
{
    (void)state;
    struct outcome outcome;
    parse_with(&outcome, BASE "num.partitions=3\n", "num.partitions=4\nlog.dirs=/a\nlog.dirs=/b");
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.config.num_partitions, 4);
    assert_string_equal(outcome.config.log_dirs[0], "/b");
    assert_string_equal(buffer_string(&outcome.warnings), "");
    release(&outcome);
    parse_with(&outcome, BASE "log.dirs=/a\n", "log.dirs=/c,/c/\nhost.name=x\n");
    assert_int_equal(outcome.rc, -EINVAL);
    assert_string_equal(buffer_string(&outcome.errors),
                        "--override log.dirs=/c,/c/: /c is named twice in log.dirs\n");
    assert_non_null(strstr(buffer_string(&outcome.warnings), "--override host.name: is not a setting"));
    release(&outcome);
    parse_with(&outcome, BASE, "num.partitions=x\n");
    assert_int_equal(outcome.rc, -EINVAL);
    assert_non_null(strstr(buffer_string(&outcome.errors), "--override num.partitions=x: "));
    release(&outcome);
}

static void ids_rack_and_directories(void **state)
{
    (void)state;
    struct outcome outcome;
    parse(&outcome, "node.id=7\nzookeeper.connect=a:1,b:2/chroot\nbroker.rack=r1\nlog.dirs=/x , /y\n"
                    "log.dir=/z\nzookeeper.connection.timeout.ms=5\nzookeeper.session.timeout.ms=6000\n");
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.config.broker_id, 7);
    assert_string_equal(outcome.config.rack, "r1");
    assert_string_equal(outcome.config.zookeeper_connect, "a:1,b:2/chroot");
    assert_int_equal(outcome.config.zookeeper_connection_timeout_ms, 5);
    assert_int_equal(outcome.config.log_dirs_count, 2);
    assert_string_equal(outcome.config.log_dirs[1], "/y");
    release(&outcome);
}

static void a_missing_file_is_told(void **state)
{
    (void)state;
    struct outcome outcome;
    broker_config_init(&outcome.config);
    buffer_init(&outcome.warnings);
    buffer_init(&outcome.errors);
    assert_int_equal(broker_config_load(&outcome.config, "/nonexistent/server.properties", slice_of(""),
                                        &outcome.warnings, &outcome.errors),
                     -ENOENT);
    assert_non_null(strstr(buffer_string(&outcome.errors), "/nonexistent/server.properties: cannot be read"));
    release(&outcome);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_kafkas),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(errors_name_the_line),
        cmocka_unit_test(odd_lines_are_warned_of),
        cmocka_unit_test(what_is_said_of_overrides_names_them),
        cmocka_unit_test(ids_rack_and_directories),
        cmocka_unit_test(a_missing_file_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
