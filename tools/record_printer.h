/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the console consumer writes of a record: the columns that the formatter's properties ask for, in the
 * order timestamp, partition, offset, headers, key, value. Only formats.
 */
#ifndef TOOLS_RECORD_PRINTER_H
#define TOOLS_RECORD_PRINTER_H

#include "common/buffer.h"
#include "common/properties.h"
#include "common/slice.h"

enum value_form { VALUE_TEXT, VALUE_SHORT, VALUE_INTEGER, VALUE_LONG, VALUE_FLOAT, VALUE_DOUBLE };

struct record_format {
    bool print_timestamp;
    bool print_partition;
    bool print_offset;
    bool print_headers;
    bool print_key;
    bool print_value;
    struct slice key_separator;     /* between columns: "\t" */
    struct slice line_separator;    /* "\n" */
    struct slice headers_separator; /* "," */
    struct slice null_literal;      /* "null" */
    enum value_form key_form;
    enum value_form value_form;
};

enum timestamp_kind { TIMESTAMP_NONE, TIMESTAMP_CREATE, TIMESTAMP_LOG_APPEND };

struct record_header {
    const char *name;
    struct slice value; /* null slice: null */
};

struct record_view {
    enum timestamp_kind timestamp_kind;
    int64_t timestamp_ms;
    int32_t partition;
    int64_t offset;
    const struct record_header *headers;
    size_t header_count;
    struct slice key; /* null slice: null */
    struct slice value;
};

/* Kafka's defaults with the given formatter properties laid over; texts are borrowed. -EINVAL with the
 * sentence. */
MUST_CHECK int record_format_read(struct record_format *format, const struct properties *properties,
                                  struct buffer *error);

/* Which form a deserializer's class name stands for; text for all that are not known. */
enum value_form value_form_of_class(const char *name);

/* Appends the line of a record. */
void record_print(const struct record_format *format, const struct record_view *record, struct buffer *out);

#endif
