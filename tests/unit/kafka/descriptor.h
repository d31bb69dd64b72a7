/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of all messages as data: msgc.py generates the table from the same schemas as the codecs, so
 * that tests can fill and compare any message without code of its own.
 */
#ifndef TESTS_UNIT_KAFKA_DESCRIPTOR_H
#define TESTS_UNIT_KAFKA_DESCRIPTOR_H

#include "proto/kafka/codec.h"

enum field_type {
    FIELD_INT8,
    FIELD_INT16,
    FIELD_UINT16,
    FIELD_INT32,
    FIELD_INT64,
    FIELD_FLOAT64,
    FIELD_BOOL,
    FIELD_UUID,
    FIELD_STRING,
    FIELD_BYTES,
    FIELD_RECORDS,
    FIELD_STRUCT,
};

struct struct_description;

struct field_description {
    const char *name;
    enum field_type type;
    bool is_array;
    bool is_pointer; /* a structure that may be null */
    size_t offset;
    size_t count_offset; /* of an array's count */
    int16_t minimum_version;
    int16_t maximum_version;
    int16_t nullable_minimum; /* above nullable_maximum: never null */
    int16_t nullable_maximum;
    int tag;                                  /* -1: not tagged */
    const struct struct_description *element; /* of structures and arrays of them */
};

struct struct_description {
    size_t size;
    size_t field_count;
    const struct field_description *fields;
    void (*init)(void *out);
};

struct message_description {
    const struct message_codec *codec;
    const struct struct_description *description;
};

extern const struct message_description message_descriptions[];
extern const size_t message_description_count;

#endif
