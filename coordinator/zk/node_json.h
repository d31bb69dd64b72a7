/* SPDX-License-Identifier: Apache-2.0 */
/* What the znode codecs of this room share. Private to node_*.c. */
#ifndef COORDINATOR_ZK_NODE_JSON_H
#define COORDINATOR_ZK_NODE_JSON_H

#include "common/json.h"
#include "coordinator/zk/node_topic.h"

/* Appends the reason to `error` unless that is NULL; returns -EINVAL. */
int node_fail(struct buffer *error, const char *format, ...) PRINTF_LIKE(2, 3);
/* A number that tools write bare, Kafka in quotes, or the other way round. */
MUST_CHECK bool node_get_loose_integer(const json_t *object, const char *field, int64_t *value);
/* "version" of the document; false when it is missing, no integer, or below 1. */
MUST_CHECK bool node_get_version(const json_t *object, int32_t *version);

/* Bytes that are not UTF-8 are escaped, so that writing cannot fail. */
json_t *node_string(struct slice text);
void node_set_string(json_t *object, const char *field, struct slice text);
void node_set_integer(json_t *object, const char *field, int64_t value);
/* A number in quotes. */
void node_set_quoted_integer(json_t *object, const char *field, int64_t value);
json_t *node_int32_array(const int32_t *values, size_t count);
/* Appends the compact document and gives it back. */
void node_write(json_t *object, struct buffer *out);

/* An array of distinct broker ids, none negative. -EINVAL with the reason. */
MUST_CHECK int node_replicas_decode(const json_t *array, struct node_replicas *replicas,
                                    struct buffer *error);
void node_replicas_release(struct node_replicas *replicas);

#endif
