/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of Kafka's Java clients, as they stand in --producer-property, --consumer.config and the like, in
 * the names and units of the client library that the console tools use.
 */
#ifndef TOOLS_CLIENT_PROPERTIES_H
#define TOOLS_CLIENT_PROPERTIES_H

#include "common/buffer.h"
#include "common/properties.h"

enum property_kind {
    PROPERTY_SAME,    /* taken as it is */
    PROPERTY_CHANGED, /* another name, or another unit */
    PROPERTY_IGNORED, /* means something to the Java clients only: serializers, metrics... */
};

/* The library's name and value for a Java setting; both buffers are appended to unless it is ignored. */
enum property_kind client_property_map(const char *name, const char *value, struct buffer *mapped_name,
                                       struct buffer *mapped_value);

/* Reads a properties file. 0, or -errno with the sentence in `error`. `properties` is initialised. */
MUST_CHECK int properties_load(const char *path, struct properties *properties, struct buffer *error);

/* Adds "key=value" (the first '=' separates; nothing behind it is the empty value). -EINVAL with the
 * sentence. */
MUST_CHECK int properties_add_pair(struct properties *properties, const char *pair, struct buffer *error);

#endif
