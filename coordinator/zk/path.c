/* SPDX-License-Identifier: Apache-2.0 */
/* Kafka's paths in ZooKeeper: built, parsed, percent-encoded. Pure. */
#include "coordinator/zk/path.h"

#include <errno.h>

#include "common/check.h"

#define TOPIC_NAME_LENGTH_MAX 249
#define NUMBER_LENGTH_MAX 12

const char *const zk_persistent_paths[] = {
    "/consumers",
    "/brokers",
    ZK_PATH_BROKER_IDS,
    ZK_PATH_TOPICS,
    ZK_PATH_BROKER_SEQUENCE,
    ZK_PATH_CONFIG,
    ZK_PATH_CONFIG_CHANGES,
    ZK_PATH_CONFIG_TOPICS,
    ZK_PATH_CONFIG_CLIENTS,
    ZK_PATH_CONFIG_USERS,
    ZK_PATH_CONFIG_BROKERS,
    ZK_PATH_CONFIG_IPS,
    "/admin",
    ZK_PATH_DELETE_TOPICS,
    ZK_PATH_ISR_CHANGES,
    ZK_PATH_PRODUCER_ID_BLOCK,
    ZK_PATH_LOG_DIR_EVENTS,
};
const size_t zk_persistent_path_count = ARRAY_SIZE(zk_persistent_paths);

/* The pieces one after the other, in the arena. */
static const char *join(struct arena *arena, const struct slice *pieces, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += pieces[i].length;
    char *path = arena_allocate(arena, length + 1);
    CHECK(path != NULL);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].length > 0)
            memcpy(path + at, pieces[i].data, pieces[i].length);
        at += pieces[i].length;
    }
    path[at] = '\0';
    return path;
}

static const char *join2(struct arena *arena, const char *prefix, struct slice name)
{
    return join(arena, (struct slice[]){slice_of(prefix), name}, 2);
}

struct number_text {
    char text[NUMBER_LENGTH_MAX];
};

/* Decimal text of a number; written here since a pure file has no printf. */
static struct slice number_format(int32_t number, struct number_text *text)
{
    uint32_t rest = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;
    size_t at = sizeof(text->text);
    do {
        text->text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        text->text[--at] = '-';
    return slice_make(text->text + at, sizeof(text->text) - at);
}

const char *zk_path_child(struct arena *arena, const char *parent, struct slice child)
{
    struct slice start = slice_is(slice_of(parent), "/") ? slice_of("") : slice_of(parent);
    return join(arena, (struct slice[]){start, slice_of("/"), child}, 3);
}

const char *zk_path_broker(struct arena *arena, int32_t broker_id)
{
    struct number_text text;
    return join2(arena, ZK_PATH_BROKER_IDS "/", number_format(broker_id, &text));
}

const char *zk_path_topic(struct arena *arena, struct slice topic)
{
    return join2(arena, ZK_PATH_TOPICS "/", topic);
}

const char *zk_path_topic_partitions(struct arena *arena, struct slice topic)
{
    return join(arena, (struct slice[]){slice_of(ZK_PATH_TOPICS "/"), topic, slice_of("/partitions")}, 3);
}

const char *zk_path_partition(struct arena *arena, struct slice topic, int32_t partition)
{
    struct number_text text;
    return join(arena,
                (struct slice[]){slice_of(ZK_PATH_TOPICS "/"), topic, slice_of("/partitions/"),
                                 number_format(partition, &text)},
                4);
}

const char *zk_path_partition_state(struct arena *arena, struct slice topic, int32_t partition)
{
    struct number_text text;
    return join(arena,
                (struct slice[]){slice_of(ZK_PATH_TOPICS "/"), topic, slice_of("/partitions/"),
                                 number_format(partition, &text), slice_of("/state")},
                5);
}

const char *zk_path_delete_topic(struct arena *arena, struct slice topic)
{
    return join2(arena, ZK_PATH_DELETE_TOPICS "/", topic);
}

const char *zk_path_config_topic(struct arena *arena, struct slice topic)
{
    return join2(arena, ZK_PATH_CONFIG_TOPICS "/", topic);
}

const char *zk_path_config_broker(struct arena *arena, int32_t broker_id)
{
    struct number_text text;
    return join2(arena, ZK_PATH_CONFIG_BROKERS "/",
                 broker_id < 0 ? slice_of(ZK_PATH_DEFAULT_ENTITY) : number_format(broker_id, &text));
}

/* An entity's name as it stands in a path; "<default>" stays as it is. */
static void entity_encode(struct slice name, struct buffer *out)
{
    if (slice_is(name, ZK_PATH_DEFAULT_ENTITY))
        buffer_append(out, name.data, name.length);
    else
        zk_percent_encode(name, out);
}

static const char *entity_path(struct arena *arena, const char *prefix, struct slice name)
{
    struct buffer encoded;
    buffer_init(&encoded);
    entity_encode(name, &encoded);
    const char *path = join2(arena, prefix, buffer_slice(&encoded));
    buffer_release(&encoded);
    return path;
}

const char *zk_path_config_client(struct arena *arena, struct slice client)
{
    return entity_path(arena, ZK_PATH_CONFIG_CLIENTS "/", client);
}

const char *zk_path_config_ip(struct arena *arena, struct slice ip)
{
    return entity_path(arena, ZK_PATH_CONFIG_IPS "/", ip);
}

const char *zk_path_config_user(struct arena *arena, struct slice user)
{
    return entity_path(arena, ZK_PATH_CONFIG_USERS "/", user);
}

const char *zk_path_config_user_client(struct arena *arena, struct slice user, struct slice client)
{
    struct buffer encoded;
    buffer_init(&encoded);
    entity_encode(user, &encoded);
    buffer_append_string(&encoded, "/clients/");
    entity_encode(client, &encoded);
    const char *path = join2(arena, ZK_PATH_CONFIG_USERS "/", buffer_slice(&encoded));
    buffer_release(&encoded);
    return path;
}

const char *zk_path_config_change(struct arena *arena, struct slice child)
{
    return join2(arena, ZK_PATH_CONFIG_CHANGES "/", child);
}

const char *zk_path_isr_change(struct arena *arena, struct slice child)
{
    return join2(arena, ZK_PATH_ISR_CHANGES "/", child);
}

const char *zk_path_log_dir_event(struct arena *arena, struct slice child)
{
    return join2(arena, ZK_PATH_LOG_DIR_EVENTS "/", child);
}

const char *zk_path_consumer_offset(struct arena *arena, struct slice group, struct slice topic,
                                    int32_t partition)
{
    struct number_text text;
    struct buffer encoded;
    buffer_init(&encoded);
    zk_percent_encode(group, &encoded);
    const char *path =
        join(arena,
             (struct slice[]){slice_of(ZK_PATH_CONSUMERS "/"), buffer_slice(&encoded), slice_of("/offsets/"),
                              topic, slice_of("/"), number_format(partition, &text)},
             6);
    buffer_release(&encoded);
    return path;
}

bool zk_parse_id(struct slice text, int32_t *id)
{
    if (text.length == 0 || text.length > 10 || (text.length > 1 && text.data[0] == '0'))
        return false;
    int64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    if (value > INT32_MAX)
        return false;
    *id = (int32_t)value;
    return true;
}

/* What follows `prefix`; false when the text begins otherwise. */
static bool strip_prefix(struct slice text, const char *prefix, struct slice *rest)
{
    size_t length = strlen(prefix);
    if (text.length < length || memcmp(text.data, prefix, length) != 0)
        return false;
    *rest = slice_make(text.data + length, text.length - length);
    return true;
}

bool zk_parse_sequence(struct slice name, const char *prefix, int32_t *sequence)
{
    struct slice digits;
    if (!strip_prefix(name, prefix, &digits) || digits.length != 10)
        return false;
    while (digits.length > 1 && digits.data[0] == '0')
        digits = slice_make(digits.data + 1, digits.length - 1);
    return zk_parse_id(digits, sequence);
}

static bool is_unreserved(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '.' || byte == '-' || byte == '_';
}

void zk_percent_encode(struct slice name, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < name.length; i++) {
        uint8_t byte = name.data[i];
        if (is_unreserved(byte)) {
            buffer_append(out, &byte, 1);
        } else {
            char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
            buffer_append(out, escape, sizeof(escape));
        }
    }
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return -1;
}

int zk_percent_decode(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%') {
            if (text.length - i < 3)
                return -EINVAL;
            int high = hex_value(text.data[i + 1]);
            int low = hex_value(text.data[i + 2]);
            if (high < 0 || low < 0)
                return -EINVAL;
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        buffer_append(out, &byte, 1);
    }
    return 0;
}

bool zk_topic_name_is_valid(struct slice name)
{
    if (name.length == 0 || name.length > TOPIC_NAME_LENGTH_MAX || slice_is(name, ".") ||
        slice_is(name, ".."))
        return false;
    for (size_t i = 0; i < name.length; i++)
        if (!is_unreserved(name.data[i]))
            return false;
    return true;
}

/* Paths without a variable part. */
static const struct {
    const char *path;
    enum zk_path_kind kind;
} fixed_paths[] = {
    {ZK_PATH_CONTROLLER, ZK_PATH_KIND_CONTROLLER},
    {ZK_PATH_CONTROLLER_EPOCH, ZK_PATH_KIND_CONTROLLER_EPOCH},
    {ZK_PATH_BROKER_IDS, ZK_PATH_KIND_BROKER_IDS},
    {ZK_PATH_TOPICS, ZK_PATH_KIND_TOPICS},
    {ZK_PATH_CLUSTER_ID, ZK_PATH_KIND_CLUSTER_ID},
    {ZK_PATH_CONFIG_CHANGES, ZK_PATH_KIND_CONFIG_CHANGES},
    {ZK_PATH_DELETE_TOPICS, ZK_PATH_KIND_DELETE_TOPICS},
    {ZK_PATH_REASSIGN_PARTITIONS, ZK_PATH_KIND_REASSIGN_PARTITIONS},
    {ZK_PATH_PREFERRED_REPLICA_ELECTION, ZK_PATH_KIND_PREFERRED_REPLICA_ELECTION},
    {ZK_PATH_ISR_CHANGES, ZK_PATH_KIND_ISR_CHANGES},
    {ZK_PATH_LOG_DIR_EVENTS, ZK_PATH_KIND_LOG_DIR_EVENTS},
    {ZK_PATH_PRODUCER_ID_BLOCK, ZK_PATH_KIND_PRODUCER_ID_BLOCK},
    {ZK_PATH_FEATURE, ZK_PATH_KIND_FEATURE},
};

static bool has_slash(struct slice text)
{
    return text.length > 0 && memchr(text.data, '/', text.length) != NULL;
}

/* <topic>[/partitions[/<p>[/state]]] */
static enum zk_path_kind parse_topic(struct slice rest, struct zk_path_parts *parts)
{
    const uint8_t *slash = rest.length > 0 ? memchr(rest.data, '/', rest.length) : NULL;
    struct slice topic = slash ? slice_make(rest.data, (size_t)(slash - rest.data)) : rest;
    if (!zk_topic_name_is_valid(topic))
        return ZK_PATH_KIND_OTHER;
    parts->topic = topic;
    if (slash == NULL)
        return ZK_PATH_KIND_TOPIC;
    rest = slice_make(slash + 1, rest.length - topic.length - 1);
    if (slice_is(rest, "partitions"))
        return ZK_PATH_KIND_TOPIC_PARTITIONS;
    if (!strip_prefix(rest, "partitions/", &rest))
        return ZK_PATH_KIND_OTHER;
    slash = rest.length > 0 ? memchr(rest.data, '/', rest.length) : NULL;
    struct slice number = slash ? slice_make(rest.data, (size_t)(slash - rest.data)) : rest;
    if (!zk_parse_id(number, &parts->partition))
        return ZK_PATH_KIND_OTHER;
    if (slash == NULL)
        return ZK_PATH_KIND_PARTITION;
    rest = slice_make(slash, rest.length - number.length);
    return slice_is(rest, "/state") ? ZK_PATH_KIND_PARTITION_STATE : ZK_PATH_KIND_OTHER;
}

/* topics/<t>, brokers/<id>, users/<u>/clients/<c>...; what the entity is, is the business of its reader. */
static enum zk_path_kind parse_config(struct slice rest, struct zk_path_parts *parts)
{
    if (!has_slash(rest) || rest.data[rest.length - 1] == '/')
        return ZK_PATH_KIND_OTHER;
    parts->entity = rest;
    return ZK_PATH_KIND_CONFIG_ENTITY;
}

static enum zk_path_kind parse_sequence(struct slice text, const char *prefix, enum zk_path_kind kind,
                                        struct zk_path_parts *parts)
{
    return zk_parse_sequence(text, prefix, &parts->sequence) ? kind : ZK_PATH_KIND_OTHER;
}

enum zk_path_kind zk_path_parse(const char *path, struct zk_path_parts *parts)
{
    *parts = (struct zk_path_parts){.partition = -1, .broker_id = -1, .sequence = -1};
    struct slice text = slice_of(path);
    for (size_t i = 0; i < ARRAY_SIZE(fixed_paths); i++)
        if (slice_is(text, fixed_paths[i].path))
            return fixed_paths[i].kind;
    struct slice rest;
    if (strip_prefix(text, ZK_PATH_TOPICS "/", &rest))
        return parse_topic(rest, parts);
    if (strip_prefix(text, ZK_PATH_BROKER_IDS "/", &rest))
        return zk_parse_id(rest, &parts->broker_id) ? ZK_PATH_KIND_BROKER : ZK_PATH_KIND_OTHER;
    if (strip_prefix(text, ZK_PATH_DELETE_TOPICS "/", &rest)) {
        if (!zk_topic_name_is_valid(rest))
            return ZK_PATH_KIND_OTHER;
        parts->topic = rest;
        return ZK_PATH_KIND_DELETE_TOPIC;
    }
    if (strip_prefix(text, ZK_PATH_CONFIG_CHANGES "/", &rest))
        return parse_sequence(text, ZK_PATH_CONFIG_CHANGE_PREFIX, ZK_PATH_KIND_CONFIG_CHANGE, parts);
    if (strip_prefix(text, ZK_PATH_CONFIG "/", &rest))
        return parse_config(rest, parts);
    if (strip_prefix(text, ZK_PATH_ISR_CHANGES "/", &rest))
        return parse_sequence(text, ZK_PATH_ISR_CHANGE_PREFIX, ZK_PATH_KIND_ISR_CHANGE, parts);
    if (strip_prefix(text, ZK_PATH_LOG_DIR_EVENTS "/", &rest))
        return parse_sequence(text, ZK_PATH_LOG_DIR_EVENT_PREFIX, ZK_PATH_KIND_LOG_DIR_EVENT, parts);
    return ZK_PATH_KIND_OTHER;
}
