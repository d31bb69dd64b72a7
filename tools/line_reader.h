/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of the console producer taken apart: headers, key, value, in this order, as the reader properties of
 * Kafka's tool say (parse.key, key.separator, parse.headers...). Pure but for memory.
 */
#ifndef TOOLS_LINE_READER_H
#define TOOLS_LINE_READER_H

#include "common/buffer.h"
#include "common/properties.h"
#include "common/slice.h"

struct line_format {
    bool parse_key;
    bool parse_headers;
    bool ignore_error;                  /* a line without separators is a value */
    struct slice key_separator;         /* "\t" */
    struct slice headers_delimiter;     /* "\t": behind all headers */
    struct slice headers_separator;     /* ",": between two */
    struct slice headers_key_separator; /* ":": between name and value */
    struct slice null_marker;           /* what stands for null; the null slice: nothing does */
};

struct line_header {
    struct slice name;
    struct slice value; /* null slice: null */
};

/* Points into the line. */
struct line_parts {
    struct slice key; /* null slice: no key */
    struct slice value;
    struct line_header *headers;
    size_t header_count;
    size_t _header_capacity;
};

/* Kafka's defaults with the given reader properties laid over; texts are borrowed. -EINVAL with the sentence.
 */
MUST_CHECK int line_format_read(struct line_format *format, const struct properties *properties,
                                struct buffer *error);

void line_parts_init(struct line_parts *parts);
void line_parts_release(struct line_parts *parts);

/* Takes a line apart; `parts` may be used again and again. line_number counts from 1. 0, or -EINVAL with
 * Kafka's sentence: "No key separator found on line number 3: 'orders'". */
MUST_CHECK int line_parse(const struct line_format *format, struct slice line, uint64_t line_number,
                          struct line_parts *parts, struct buffer *error);

#endif
