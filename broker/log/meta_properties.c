/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, judging and writing meta.properties. */
#include "broker/log/meta_properties.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/properties.h"

#define META_BYTES_MAX ((size_t)64 * 1024)
/* What is shown of a value that a stranger wrote. */
#define SHOWN_BYTES_MAX 80

void meta_properties_format(int32_t broker_id, const char *cluster_id, struct buffer *out)
{
    buffer_print(out, "version=0\nbroker.id=%" PRId32 "\n", broker_id);
    properties_write(out, "cluster.id", cluster_id);
    if (out->data[out->length - 1] != '\n')
        buffer_append_string(out, "\n");
}

static void say_value(struct buffer *error, const char *value)
{
    buffer_append_escaped(error, slice_of(value), SHOWN_BYTES_MAX);
}

static int check_version(const struct properties *properties, struct buffer *error)
{
    const struct property *version = properties_find(properties, "version");
    if (version && strcmp(version->value, "0") == 0)
        return 0;
    if (version && strcmp(version->value, "1") == 0) {
        buffer_append_string(error,
                             "says version=1: the directory was formatted for KRaft, and this broker works "
                             "with ZooKeeper; give it a directory of its own in log.dirs");
        return -EINVAL;
    }
    buffer_append_string(error,
                         "has no version=0: it is damaged or not a meta.properties of Kafka; restore it");
    return -EINVAL;
}

static int check_broker(const struct properties *properties, int32_t broker_id, struct buffer *error)
{
    const struct property *broker = properties_find(properties, "broker.id");
    if (!broker)
        return 0;
    if (properties_number(properties, "broker.id") == broker_id)
        return 0;
    buffer_append_string(error, "says broker.id=");
    say_value(error, broker->value);
    buffer_print(error,
                 ", but this broker is %" PRId32
                 ": set broker.id to that number, or give this broker a directory of its own in log.dirs",
                 broker_id);
    return -EINVAL;
}

static int check_cluster(const struct properties *properties, const char *cluster_id, struct buffer *error)
{
    const struct property *cluster = properties_find(properties, "cluster.id");
    if (!cluster || strcmp(cluster->value, cluster_id) == 0)
        return 0;
    buffer_append_string(error, "says cluster.id=");
    say_value(error, cluster->value);
    buffer_append_string(error, ", but ZooKeeper is of cluster ");
    say_value(error, cluster_id);
    buffer_append_string(error,
                         ": check zookeeper.connect, or give this broker an empty directory in log.dirs");
    return -EINVAL;
}

int meta_properties_check(struct slice text, int32_t broker_id, const char *cluster_id, struct buffer *error)
{
    struct properties properties;
    properties_init(&properties);
    int result = 0;
    if (properties_parse(&properties, text, NULL)) {
        buffer_append_string(error, "is no properties file: restore it");
        result = -EINVAL;
    }
    if (!result)
        result = check_version(&properties, error);
    if (!result)
        result = check_broker(&properties, broker_id, error);
    if (!result)
        result = check_cluster(&properties, cluster_id, error);
    properties_release(&properties);
    return result;
}

int meta_properties_ensure(struct file_system *files, const char *directory, int32_t broker_id,
                           const char *cluster_id, struct buffer *error)
{
    struct buffer path, text, reason;
    buffer_init(&path);
    buffer_init(&text);
    buffer_init(&reason);
    buffer_print(&path, "%s/%s", directory, META_PROPERTIES_FILE);
    int result = file_system_read_all(files, buffer_string(&path), META_BYTES_MAX, &text);
    if (result == -ENOENT) {
        meta_properties_format(broker_id, cluster_id, &text);
        result = file_system_replace(files, buffer_string(&path), text.data, text.length);
        if (result)
            buffer_print(&reason, "cannot be written: %s", strerror(-result));
    } else if (result) {
        buffer_print(&reason, "cannot be read: %s", strerror(-result));
    } else {
        result = meta_properties_check(buffer_slice(&text), broker_id, cluster_id, &reason);
    }
    if (result)
        buffer_print(error, "%s %s.", buffer_string(&path), buffer_string(&reason));
    buffer_release(&path);
    buffer_release(&text);
    buffer_release(&reason);
    return result;
}
