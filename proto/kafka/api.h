/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The APIs of the client protocol as of Kafka 3.9: one row each, generated from messages/. What a broker of
 * ours serves of them is the business of broker/api. Const tables: any thread.
 */
#ifndef PROTO_KAFKA_API_H
#define PROTO_KAFKA_API_H

#include "proto/kafka/codec.h"
#include "proto/kafka/messages/apis.h"

struct kafka_api {
    int16_t key;      /* enum kafka_api_key */
    const char *name; /* "Fetch" */
    int16_t minimum_version;
    int16_t maximum_version;
    int16_t flexible_since; /* KAFKA_NEVER_FLEXIBLE for none */
    const struct message_codec *request;
    const struct message_codec *response;
};

/* All rows, by ascending key, for iteration. */
extern const struct kafka_api kafka_api_table[];
extern const size_t kafka_api_table_size;

/* The row of a key that a peer sent; NULL when there is none. */
const struct kafka_api *kafka_api_find(int16_t key);

/* "Fetch"; "Unknown" for a key without row. */
const char *kafka_api_name(int16_t key);

/* Whether a version of an API uses compact lengths and tagged fields; false for a key without row. */
bool kafka_api_is_flexible(int16_t key, int16_t version);

#endif
