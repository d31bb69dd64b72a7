/* SPDX-License-Identifier: Apache-2.0 */
/* Taking lines of the console producer apart, see line_reader.h. */
#include "tools/line_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

static bool is_true(const char *text)
{
    return strcasecmp(text, "true") == 0;
}

int line_format_read(struct line_format *format, const struct properties *properties, struct buffer *error)
{
    *format = (struct line_format){
        .key_separator = slice_of("\t"),
        .headers_delimiter = slice_of("\t"),
        .headers_separator = slice_of(","),
        .headers_key_separator = slice_of(":"),
    };
    const struct {
        const char *name;
        struct slice *text;
        bool *flag;
    } known[] = {
        {"parse.key", NULL, &format->parse_key},
        {"parse.headers", NULL, &format->parse_headers},
        {"ignore.error", NULL, &format->ignore_error},
        {"key.separator", &format->key_separator, NULL},
        {"headers.delimiter", &format->headers_delimiter, NULL},
        {"headers.separator", &format->headers_separator, NULL},
        {"headers.key.separator", &format->headers_key_separator, NULL},
        {"null.marker", &format->null_marker, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        const struct property *property = properties_find(properties, known[i].name);
        if (property == NULL)
            continue;
        if (known[i].flag != NULL)
            *known[i].flag = is_true(property->value);
        else
            *known[i].text = slice_of(property->value);
        if (known[i].text != NULL && known[i].text->length == 0) {
            buffer_print(error, "%s must not be empty", known[i].name);
            return -EINVAL;
        }
    }
    if (format->parse_headers && slice_equals(format->headers_delimiter, format->headers_separator)) {
        buffer_append_string(error, "headers.delimiter and headers.separator may not be equal");
        return -EINVAL;
    }
    if (format->parse_headers && slice_equals(format->headers_separator, format->headers_key_separator)) {
        buffer_append_string(error, "headers.separator and headers.key.separator may not be equal");
        return -EINVAL;
    }
    return 0;
}

void line_parts_init(struct line_parts *parts)
{
    *parts = (struct line_parts){0};
}

void line_parts_release(struct line_parts *parts)
{
    free(parts->headers);
    *parts = (struct line_parts){0};
}

/* Cuts *rest at the separator: what is before it goes to *head. False: there is none. */
static bool cut(struct slice *rest, struct slice separator, struct slice *head)
{
    const uint8_t *at =
        rest->length > 0 ? memmem(rest->data, rest->length, separator.data, separator.length) : NULL;
    if (at == NULL)
        return false;
    size_t before = (size_t)(at - rest->data);
    *head = slice_make(rest->data, before);
    *rest = slice_make(at + separator.length, rest->length - before - separator.length);
    return true;
}

static struct slice null_or(const struct line_format *format, struct slice text)
{
    return !slice_is_null(format->null_marker) && slice_equals(text, format->null_marker)
               ? slice_make(NULL, 0)
               : text;
}

static int missing(const char *what, struct slice line, uint64_t line_number, struct buffer *error)
{
    buffer_print(error, "No %s found on line number %llu: '%.*s'", what, (unsigned long long)line_number,
                 SLICE_ARGUMENTS(line));
    return -EINVAL;
}

static int parse_headers(const struct line_format *format, struct slice text, uint64_t line_number,
                         struct line_parts *parts, struct buffer *error)
{
    if (slice_is_null(null_or(format, text)))
        return 0;
    for (bool more = text.length > 0; more;) {
        struct slice pair = text, name = text;
        more = cut(&text, format->headers_separator, &pair);
        struct slice value = pair;
        if (!cut(&value, format->headers_key_separator, &name)) {
            if (format->ignore_error) {
                name = pair;
                value = slice_make(NULL, 0);
            } else {
                buffer_print(error, "No header key separator found in pair '%.*s' on line number %llu",
                             SLICE_ARGUMENTS(pair), (unsigned long long)line_number);
                return -EINVAL;
            }
        }
        parts->headers = memory_grow(parts->headers, parts->header_count, &parts->_header_capacity,
                                     sizeof(*parts->headers));
        parts->headers[parts->header_count++] = (struct line_header){name, null_or(format, value)};
    }
    return 0;
}

int line_parse(const struct line_format *format, struct slice line, uint64_t line_number,
               struct line_parts *parts, struct buffer *error)
{
    struct slice rest = line, head;
    parts->header_count = 0;
    parts->key = slice_make(NULL, 0);
    if (format->parse_headers) {
        if (cut(&rest, format->headers_delimiter, &head)) {
            int rc = parse_headers(format, head, line_number, parts, error);
            if (rc < 0)
                return rc;
        } else if (!format->ignore_error) {
            return missing("headers delimiter", line, line_number, error);
        }
    }
    if (format->parse_key) {
        if (cut(&rest, format->key_separator, &head))
            parts->key = null_or(format, head);
        else if (!format->ignore_error)
            return missing("key separator", line, line_number, error);
    }
    parts->value = null_or(format, rest);
    return 0;
}
