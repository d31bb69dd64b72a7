/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading server.properties: every line against its row of the table, then the typed fields, then the rules
 * that concern several keys together.
 */
#include "broker/config/broker_config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/file.h"
#include "common/memory.h"

#define RACK_AWARE_REPLICA_SELECTOR "org.apache.kafka.common.replica.RackAwareReplicaSelector"
#define FILE_LIMIT_BYTES (4 * 1024 * 1024)

enum bind_kind { BIND_INT16, BIND_INT32, BIND_INT64, BIND_BOOLEAN, BIND_DOUBLE };

struct binding {
    const char *key;
    size_t offset;
    enum bind_kind kind;
};

#define BIND(key, member, kind)                           \
    {                                                     \
        key, offsetof(struct broker_config, member), kind \
    }
#define INT16(key, member) BIND(key, member, BIND_INT16)
#define INT32(key, member) BIND(key, member, BIND_INT32)
#define INT64(key, member) BIND(key, member, BIND_INT64)
#define BOOLEAN(key, member) BIND(key, member, BIND_BOOLEAN)
#define DOUBLE(key, member) BIND(key, member, BIND_DOUBLE)

static const struct binding bindings[] = {
    INT32("broker.id", broker_id),
    INT32("zookeeper.session.timeout.ms", zookeeper_session_timeout_ms),
    INT32("zookeeper.max.in.flight.requests", zookeeper_max_in_flight_requests),
    INT32("num.recovery.threads.per.data.dir", num_recovery_threads_per_data_dir),
    INT64("log.flush.scheduler.interval.ms", log_flush_scheduler_interval_ms),
    INT32("log.flush.offset.checkpoint.interval.ms", log_flush_offset_checkpoint_interval_ms),
    INT32("log.flush.start.offset.checkpoint.interval.ms", log_flush_start_offset_checkpoint_interval_ms),
    INT64("log.initial.task.delay.ms", log_initial_task_delay_ms),
    BOOLEAN("log.cleaner.enable", log_cleaner_enable),
    INT32("log.cleaner.threads", log_cleaner_threads),
    INT64("log.cleaner.backoff.ms", log_cleaner_backoff_ms),
    INT64("log.cleaner.dedupe.buffer.size", log_cleaner_dedupe_buffer_size),
    INT32("log.cleaner.io.buffer.size", log_cleaner_io_buffer_size),
    DOUBLE("log.cleaner.io.buffer.load.factor", log_cleaner_io_buffer_load_factor),
    DOUBLE("log.cleaner.io.max.bytes.per.second", log_cleaner_io_max_bytes_per_second),
    INT64("log.retention.check.interval.ms", log_retention_check_interval_ms),
    INT32("producer.id.expiration.ms", producer_id_expiration_ms),
    INT32("producer.id.expiration.check.interval.ms", producer_id_expiration_check_interval_ms),
    INT32("num.network.threads", num_network_threads),
    INT32("num.io.threads", num_io_threads),
    INT32("num.replica.fetchers", num_replica_fetchers),
    INT32("background.threads", background_threads),
    INT32("socket.send.buffer.bytes", socket_send_buffer_bytes),
    INT32("socket.receive.buffer.bytes", socket_receive_buffer_bytes),
    INT32("socket.listen.backlog.size", socket_listen_backlog_size),
    INT32("socket.request.max.bytes", socket_request_max_bytes),
    INT64("socket.connection.setup.timeout.ms", socket_connection_setup_timeout_ms),
    INT64("socket.connection.setup.timeout.max.ms", socket_connection_setup_timeout_max_ms),
    INT64("queued.max.request.bytes", queued_max_request_bytes),
    INT32("queued.max.requests", queued_max_requests),
    INT32("max.connections", max_connections),
    INT32("max.connections.per.ip", max_connections_per_ip),
    INT64("connections.max.idle.ms", connections_max_idle_ms),
    INT32("request.timeout.ms", request_timeout_ms),
    INT32("num.partitions", num_partitions),
    INT32("default.replication.factor", default_replication_factor),
    BOOLEAN("auto.create.topics.enable", auto_create_topics_enable),
    BOOLEAN("delete.topic.enable", delete_topic_enable),
    INT64("replica.lag.time.max.ms", replica_lag_time_max_ms),
    INT32("replica.fetch.max.bytes", replica_fetch_max_bytes),
    INT32("replica.fetch.min.bytes", replica_fetch_min_bytes),
    INT32("replica.fetch.wait.max.ms", replica_fetch_wait_max_ms),
    INT32("replica.fetch.response.max.bytes", replica_fetch_response_max_bytes),
    INT32("replica.fetch.backoff.ms", replica_fetch_backoff_ms),
    INT32("replica.socket.timeout.ms", replica_socket_timeout_ms),
    INT32("replica.socket.receive.buffer.bytes", replica_socket_receive_buffer_bytes),
    INT32("replication.quota.window.num", replication_quota_window_num),
    INT32("replication.quota.window.size.seconds", replication_quota_window_size_seconds),
    INT64("replica.high.watermark.checkpoint.interval.ms", replica_high_watermark_checkpoint_interval_ms),
    INT64("replica.alter.log.dirs.io.max.bytes.per.second", replica_alter_log_dirs_io_max_bytes_per_second),
    INT32("fetch.max.bytes", fetch_max_bytes),
    INT32("max.incremental.fetch.session.cache.slots", max_incremental_fetch_session_cache_slots),
    BOOLEAN("controlled.shutdown.enable", controlled_shutdown_enable),
    INT32("controlled.shutdown.max.retries", controlled_shutdown_max_retries),
    INT64("controlled.shutdown.retry.backoff.ms", controlled_shutdown_retry_backoff_ms),
    INT32("controller.socket.timeout.ms", controller_socket_timeout_ms),
    BOOLEAN("auto.leader.rebalance.enable", auto_leader_rebalance_enable),
    INT64("leader.imbalance.check.interval.seconds", leader_imbalance_check_interval_seconds),
    INT32("leader.imbalance.per.broker.percentage", leader_imbalance_per_broker_percentage),
    INT32("offsets.topic.num.partitions", offsets_topic_num_partitions),
    INT16("offsets.topic.replication.factor", offsets_topic_replication_factor),
    INT32("offsets.topic.segment.bytes", offsets_topic_segment_bytes),
    INT32("offsets.retention.minutes", offsets_retention_minutes),
    INT32("offset.metadata.max.bytes", offset_metadata_max_bytes),
};

/* What the reading carries along. */
struct reading {
    struct broker_config *config;
    const char *name;
    struct buffer *warnings;
    struct buffer *errors;
    bool failed;
};

void broker_config_init(struct broker_config *config)
{
    *config = (struct broker_config){.broker_id = -1};
    properties_init(&config->properties);
    listeners_init(&config->listeners);
    config->texts = memory_allocate_zeroed(broker_key_count(), sizeof(config->texts[0]));
}

void broker_config_release(struct broker_config *config)
{
    for (size_t i = 0; i < broker_key_count(); i++)
        free(config->texts[i].text);
    free(config->texts);
    for (size_t i = 0; i < config->log_dirs_count; i++)
        free(config->log_dirs[i]);
    free(config->log_dirs);
    free(config->rack);
    free(config->zookeeper_connect);
    listeners_release(&config->listeners);
    properties_release(&config->properties);
    *config = (struct broker_config){0};
}

static const struct config_text *given(const struct broker_config *config, const char *key)
{
    int index = broker_key_find(key);
    CHECK(index >= 0);
    return &config->texts[index];
}

const char *broker_config_given(const struct broker_config *config, const char *key)
{
    return given(config, key)->text;
}

const char *broker_config_text(const struct broker_config *config, const char *key)
{
    const char *text = broker_config_given(config, key);
    return text ? text : broker_key_at((size_t)broker_key_find(key))->default_text;
}

/* The "line" of what the command line says over the file. */
#define OVERRIDE_LINE (-1)

/* "server.properties:12: ", "--override "; line 0: the key is not in the file. */
static void print_place(const struct reading *reading, struct buffer *out, int line)
{
    if (line == OVERRIDE_LINE)
        buffer_append_string(out, "--override ");
    else if (line > 0)
        buffer_print(out, "%s:%d: ", reading->name, line);
    else
        buffer_print(out, "%s: ", reading->name);
}

/* "server.properties:12: key=value: reason" */
static void report(struct reading *reading, const char *key, int line, const char *value, const char *reason)
{
    struct buffer *out = reading->errors;
    reading->failed = true;
    print_place(reading, out, line);
    buffer_append_escaped(out, slice_of(key), 200);
    if (value) {
        buffer_append_string(out, "=");
        buffer_append_escaped(out, slice_of(value), 200);
    }
    buffer_print(out, ": %s\n", reason);
}

static void report_key(struct reading *reading, const char *key, const char *reason)
{
    const struct config_text *text = given(reading->config, key);
    report(reading, key, text->line, text->text, reason);
}

static void warn(struct reading *reading, const struct property *property, const char *what)
{
    print_place(reading, reading->warnings, property->line);
    buffer_append_escaped(reading->warnings, slice_of(property->key), 200);
    buffer_print(reading->warnings, ": %s\n", what);
}

/* The key behind "listener.name.<listener>." in a listener-scoped setting; NULL: not of that form. */
static const char *listener_scoped_key(const char *key)
{
    static const char prefix[] = "listener.name.";
    if (strncmp(key, prefix, sizeof(prefix) - 1) != 0)
        return NULL;
    const char *dot = strchr(key + sizeof(prefix) - 1, '.');
    return dot ? dot + 1 : NULL;
}

static void read_property(struct reading *reading, const struct property *property)
{
    const char *scoped = listener_scoped_key(property->key);
    int index = broker_key_find(scoped ? scoped : property->key);
    if (property->former_line > 0 && property->line != OVERRIDE_LINE) { /* to override is what it is for */
        print_place(reading, reading->warnings, property->line);
        buffer_append_escaped(reading->warnings, slice_of(property->key), 200);
        buffer_print(reading->warnings, ": stands in line %d too; this line counts\n", property->former_line);
    }
    if (index < 0) {
        if (!scoped)
            warn(reading, property, "is not a setting that brokers know; it has no effect");
        return;
    }
    const struct config_key *key = broker_key_at((size_t)index);
    if (key->flags & CONFIG_DYNAMIC_ONLY) {
        warn(reading, property, "can be set in ZooKeeper only; here it has no effect");
        return;
    }
    struct buffer reason;
    buffer_init(&reason);
    if (config_value_check(key, property->value, &reason) < 0)
        report(reading, property->key, property->line,
               key->flags & CONFIG_SENSITIVE ? "[hidden]" : property->value, buffer_string(&reason));
    buffer_release(&reason);
    if (scoped) {
        warn(reading, property, "settings of single listeners have no effect in this release");
        return;
    }
    if (!(key->flags & CONFIG_ACTS) && strcmp(key->name, "process.roles") != 0)
        warn(reading, property, "has no effect in this release");
    struct config_text *text = &reading->config->texts[index];
    text->text = memory_copy_string(property->value);
    text->line = property->line;
}

static void bind_fields(struct broker_config *config)
{
    for (size_t i = 0; i < ARRAY_SIZE(bindings); i++) {
        const char *text = broker_config_text(config, bindings[i].key);
        CHECK(text != NULL);
        char *at = (char *)config + bindings[i].offset;
        if (bindings[i].kind == BIND_BOOLEAN)
            *(bool *)(void *)at = config_value_boolean(text);
        else if (bindings[i].kind == BIND_DOUBLE)
            *(double *)(void *)at = config_value_double(text);
        else if (bindings[i].kind == BIND_INT16)
            *(int16_t *)(void *)at = (int16_t)config_value_integer(text);
        else if (bindings[i].kind == BIND_INT32)
            *(int32_t *)(void *)at = (int32_t)config_value_integer(text);
        else
            *(int64_t *)(void *)at = config_value_integer(text);
    }
    const char *connection_timeout = broker_config_text(config, "zookeeper.connection.timeout.ms");
    config->zookeeper_connection_timeout_ms = connection_timeout
                                                  ? (int32_t)config_value_integer(connection_timeout)
                                                  : config->zookeeper_session_timeout_ms;
    config->max_connections_per_ip_overrides = broker_config_text(config, "max.connections.per.ip.overrides");
    const char *rack = broker_config_text(config, "broker.rack");
    config->rack = rack && rack[0] ? memory_copy_string(rack) : NULL;
    const char *selector = broker_config_text(config, "replica.selector.class");
    config->reads_from_nearby_replicas = selector && strcmp(selector, RACK_AWARE_REPLICA_SELECTOR) == 0;
    const char *connect = broker_config_text(config, "zookeeper.connect");
    config->zookeeper_connect = connect ? memory_copy_string(connect) : NULL;
}

/* The path without what changes nothing: "//", "/./", a "/" or "/." at the end. */
static void plain_path(const char *path, struct buffer *out)
{
    buffer_init(out);
    while (*path) {
        size_t slashes = strspn(path, "/"), length = strcspn(path + slashes, "/");
        bool says_nothing = length == 0 || (length == 1 && path[slashes] == '.');
        if (!says_nothing && (slashes > 0 || out->length > 0))
            buffer_append_string(out, "/");
        if (!says_nothing)
            buffer_append(out, path + slashes, length);
        path += slashes + length;
    }
}

static void check_directories_differ(struct reading *reading, const char *key, const char *one,
                                     const char *other)
{
    struct buffer plain, other_plain, reason;
    struct stat status, other_status;
    buffer_init(&reason);
    plain_path(one, &plain);
    plain_path(other, &other_plain);
    if (strcmp(buffer_string(&plain), buffer_string(&other_plain)) == 0)
        buffer_print(&reason, "%s is named twice in %s", buffer_string(&plain), key);
    else if (stat(one, &status) == 0 && stat(other, &other_status) == 0 &&
             status.st_dev == other_status.st_dev && status.st_ino == other_status.st_ino)
        buffer_print(&reason, "%s and %s are one directory under two names", one, other);
    if (reason.length > 0)
        report_key(reading, key, buffer_string(&reason));
    buffer_release(&plain);
    buffer_release(&other_plain);
    buffer_release(&reason);
}

static void read_log_dirs(struct reading *reading)
{
    struct broker_config *config = reading->config;
    const char *key = broker_config_given(config, "log.dirs") ? "log.dirs" : "log.dir";
    size_t position = 0;
    size_t capacity = 0;
    struct slice element;
    while (config_list_next(broker_config_text(config, key), &position, &element)) {
        config->log_dirs =
            memory_grow(config->log_dirs, config->log_dirs_count, &capacity, sizeof(config->log_dirs[0]));
        char *path = memory_copy_bytes(element.data, element.length);
        for (size_t i = 0; i < config->log_dirs_count; i++)
            check_directories_differ(reading, key, config->log_dirs[i], path);
        config->log_dirs[config->log_dirs_count++] = path;
    }
    if (config->log_dirs_count == 0)
        report_key(reading, key, "must name at least one directory");
    const char *threads = broker_config_text(config, "num.replica.alter.log.dirs.threads");
    config->num_replica_alter_log_dirs_threads =
        threads ? (int32_t)config_value_integer(threads) : (int32_t)config->log_dirs_count;
}

static void check_identity(struct reading *reading)
{
    struct broker_config *config = reading->config;
    const char *roles = broker_config_given(config, "process.roles");
    if (roles && roles[0])
        report_key(reading, "process.roles",
                   "brokers of this kind are coordinated by ZooKeeper; take the line out");
    const char *node = broker_config_given(config, "node.id");
    if (node && broker_config_given(config, "broker.id") == NULL)
        config->broker_id = (int32_t)config_value_integer(node);
    else if (node && config_value_integer(node) != config->broker_id)
        report_key(reading, "node.id", "differs from broker.id; they are one setting under two names");
    int64_t reserved = config_value_integer(broker_config_text(config, "reserved.broker.max.id"));
    bool generation = config_value_boolean(broker_config_text(config, "broker.id.generation.enable"));
    const char *key = node && broker_config_given(config, "broker.id") == NULL ? "node.id" : "broker.id";
    if (config->broker_id == -1)
        report_key(reading, key,
                   "must be set to a number that no other broker of the cluster has; generated ids are not "
                   "served by this release");
    else if (config->broker_id < 0)
        report_key(reading, key, "must be at least 0");
    else if (generation && config->broker_id > reserved)
        report_key(reading, key,
                   "is above reserved.broker.max.id; set broker.id.generation.enable=false to allow it");
    if (config->zookeeper_connect == NULL || config->zookeeper_connect[0] == 0)
        report_key(reading, "zookeeper.connect",
                   "must be set, as host:port[,host:port...][/path]: the cluster lives in ZooKeeper");
}

static void check_listeners(struct reading *reading)
{
    struct broker_config *config = reading->config;
    struct buffer reason;
    buffer_init(&reason);
    const struct listener_texts texts = {
        .listeners = broker_config_text(config, "listeners"),
        .advertised = broker_config_given(config, "advertised.listeners"),
        .protocol_map = broker_config_text(config, "listener.security.protocol.map"),
        .inter_broker_name = broker_config_given(config, "inter.broker.listener.name"),
        .inter_broker_protocol = broker_config_given(config, "security.inter.broker.protocol"),
        .control_plane_name = broker_config_given(config, "control.plane.listener.name"),
    };
    const char *key;
    int rc = listeners_parse(&config->listeners, &texts, &key, &reason);
    if (rc == 0) {
        key = "listeners";
        rc = listeners_check_served(&config->listeners, &reason);
    }
    if (rc < 0)
        report_key(reading, key, buffer_string(&reason));
    buffer_release(&reason);
}

/* Overrides are host:count pairs. */
static void check_overrides(struct reading *reading)
{
    const char *key = "max.connections.per.ip.overrides";
    const char *text = broker_config_text(reading->config, key);
    size_t position = 0;
    struct slice pair;
    while (config_list_next(text, &position, &pair)) {
        const uint8_t *colon = memrchr(pair.data, ':', pair.length);
        size_t digits = colon ? (size_t)(pair.data + pair.length - colon - 1) : 0;
        bool good = colon && colon != pair.data && digits > 0 && digits < 10;
        for (size_t i = 0; good && i < digits; i++)
            good = colon[1 + i] >= '0' && colon[1 + i] <= '9';
        if (!good) {
            report_key(reading, key, "must be a list of host:number pairs");
            return;
        }
    }
    if (reading->config->max_connections_per_ip == 0 && text[0] == 0)
        report_key(reading, "max.connections.per.ip",
                   "may be 0 only together with max.connections.per.ip.overrides");
}

static void check_together(struct reading *reading)
{
    const struct broker_config *config = reading->config;
    if (config->replica_fetch_wait_max_ms > config->replica_socket_timeout_ms)
        report_key(reading, "replica.fetch.wait.max.ms", "must not be above replica.socket.timeout.ms");
    if (config->replica_fetch_wait_max_ms > config->replica_lag_time_max_ms)
        report_key(reading, "replica.fetch.wait.max.ms", "must not be above replica.lag.time.max.ms");
    if (config->queued_max_request_bytes > 0 &&
        config->queued_max_request_bytes < config->socket_request_max_bytes)
        report_key(reading, "queued.max.request.bytes",
                   "must be 0 or less (no bound), or at least socket.request.max.bytes");
    if (config_value_integer(broker_config_text(config, "connection.failed.authentication.delay.ms")) >=
        config->connections_max_idle_ms)
        report_key(reading, "connections.max.idle.ms",
                   "must be above connection.failed.authentication.delay.ms");
    static const char *const retention[] = {"log.retention.ms", "log.retention.minutes",
                                            "log.retention.hours"};
    for (size_t i = 0; i < ARRAY_SIZE(retention); i++) {
        const char *text = broker_config_given(config, retention[i]);
        if (text && config_value_integer(text) == 0)
            report_key(reading, retention[i], "must be above 0, or -1 for no bound");
    }
    if (config->zookeeper_session_timeout_ms <= 0)
        report_key(reading, "zookeeper.session.timeout.ms", "must be at least 1");
}

/* Puts the overrides over what the file says. 0, or -EBADMSG with a line. */
static int apply_overrides(struct properties *properties, struct slice text, struct buffer *errors)
{
    struct properties overrides;
    struct buffer reason;
    properties_init(&overrides);
    buffer_init(&reason);
    int rc = properties_parse(&overrides, text, &reason);
    if (rc < 0)
        buffer_print(errors, "--override: %s\n", buffer_string(&reason));
    for (size_t i = 0; rc == 0 && i < overrides.count; i++)
        properties_set(properties, overrides.items[i].key, overrides.items[i].value, OVERRIDE_LINE);
    buffer_release(&reason);
    properties_release(&overrides);
    return rc;
}

int broker_config_parse(struct broker_config *config, struct slice text, const char *name,
                        struct buffer *warnings, struct buffer *errors)
{
    return broker_config_parse_with(config, text, slice_of(""), name, warnings, errors);
}

int broker_config_parse_with(struct broker_config *config, struct slice text, struct slice overrides,
                             const char *name, struct buffer *warnings, struct buffer *errors)
{
    struct reading reading = {config, name, warnings, errors, false};
    struct buffer reason;
    buffer_init(&reason);
    if (properties_parse(&config->properties, text, &reason) < 0) {
        buffer_print(errors, "%s: %s\n", name, buffer_string(&reason));
        buffer_release(&reason);
        return -EINVAL;
    }
    buffer_release(&reason);
    if (apply_overrides(&config->properties, overrides, errors) < 0)
        return -EINVAL;
    for (size_t i = 0; i < config->properties.count; i++)
        read_property(&reading, &config->properties.items[i]);
    if (reading.failed)
        return -EINVAL;
    bind_fields(config);
    read_log_dirs(&reading);
    check_identity(&reading);
    check_listeners(&reading);
    check_overrides(&reading);
    check_together(&reading);
    topic_settings_init(&config->topic_defaults, config);
    return reading.failed ? -EINVAL : 0;
}

int broker_config_load(struct broker_config *config, const char *path, struct slice overrides,
                       struct buffer *warnings, struct buffer *errors)
{
    struct buffer text;
    buffer_init(&text);
    int rc = file_system_read_all(file_system_posix(), path, FILE_LIMIT_BYTES, &text);
    if (rc < 0) {
        buffer_print(errors, "%s: cannot be read: %s\n", path, strerror(-rc));
    } else {
        const char *slash = strrchr(path, '/');
        rc = broker_config_parse_with(config, buffer_slice(&text), overrides, slash ? slash + 1 : path,
                                      warnings, errors);
    }
    buffer_release(&text);
    return rc;
}
