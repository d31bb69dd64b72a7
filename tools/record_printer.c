/* SPDX-License-Identifier: Apache-2.0 */
/* Writing records as lines, see record_printer.h. */
#include "tools/record_printer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/bytes.h"

static const struct {
    const char *class;
    size_t bytes;
} forms[] = {
    [VALUE_TEXT] = {"StringDeserializer", 0},     [VALUE_SHORT] = {"ShortDeserializer", 2},
    [VALUE_INTEGER] = {"IntegerDeserializer", 4}, [VALUE_LONG] = {"LongDeserializer", 8},
    [VALUE_FLOAT] = {"FloatDeserializer", 4},     [VALUE_DOUBLE] = {"DoubleDeserializer", 8},
};

enum value_form value_form_of_class(const char *name)
{
    const char *last = strrchr(name, '.') ? strrchr(name, '.') + 1 : name;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
        if (strcmp(forms[i].class, last) == 0)
            return (enum value_form)i;
    return VALUE_TEXT;
}

int record_format_read(struct record_format *format, const struct properties *properties,
                       struct buffer *error)
{
    *format = (struct record_format){
        .print_value = true,
        .key_separator = slice_of("\t"),
        .line_separator = slice_of("\n"),
        .headers_separator = slice_of(","),
        .null_literal = slice_of("null"),
    };
    const struct {
        const char *name;
        bool *flag;
        struct slice *text;
        enum value_form *form;
    } known[] = {
        {"print.timestamp", &format->print_timestamp, NULL, NULL},
        {"print.partition", &format->print_partition, NULL, NULL},
        {"print.offset", &format->print_offset, NULL, NULL},
        {"print.headers", &format->print_headers, NULL, NULL},
        {"print.key", &format->print_key, NULL, NULL},
        {"print.value", &format->print_value, NULL, NULL},
        {"key.separator", NULL, &format->key_separator, NULL},
        {"line.separator", NULL, &format->line_separator, NULL},
        {"headers.separator", NULL, &format->headers_separator, NULL},
        {"null.literal", NULL, &format->null_literal, NULL},
        {"key.deserializer", NULL, NULL, &format->key_form},
        {"value.deserializer", NULL, NULL, &format->value_form},
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        const struct property *property = properties_find(properties, known[i].name);
        if (property == NULL)
            continue;
        if (known[i].flag != NULL) {
            bool yes = strcasecmp(property->value, "true") == 0;
            if (!yes && strcasecmp(property->value, "false") != 0) {
                buffer_print(error, "%s=%s: must be true or false", property->key, property->value);
                return -EINVAL;
            }
            *known[i].flag = yes;
        } else if (known[i].text != NULL) {
            *known[i].text = slice_of(property->value);
        } else {
            *known[i].form = value_form_of_class(property->value);
        }
    }
    return 0;
}

static void append_slice(struct slice text, struct buffer *out)
{
    buffer_append(out, text.data, text.length);
}

/* A column begins with the separator unless it is the first. */
static void begin_column(const struct record_format *format, bool *any, struct buffer *out)
{
    if (*any)
        append_slice(format->key_separator, out);
    *any = true;
}

static void print_number(enum value_form form, struct slice bytes, struct buffer *out)
{
    if (form == VALUE_SHORT) {
        buffer_print(out, "%d", (int)(int16_t)load_u16(bytes.data));
    } else if (form == VALUE_INTEGER) {
        buffer_print(out, "%d", (int)(int32_t)load_u32(bytes.data));
    } else if (form == VALUE_LONG) {
        buffer_print(out, "%lld", (long long)(int64_t)load_u64(bytes.data));
    } else if (form == VALUE_FLOAT) {
        uint32_t bits = load_u32(bytes.data);
        float number;
        memcpy(&number, &bits, sizeof(number));
        buffer_print(out, "%.9g", (double)number);
    } else {
        uint64_t bits = load_u64(bytes.data);
        double number;
        memcpy(&number, &bits, sizeof(number));
        buffer_print(out, "%.17g", number);
    }
}

/* Bytes that cannot be a number of that form are shown as they are. */
static void print_bytes(const struct record_format *format, enum value_form form, struct slice bytes,
                        struct buffer *out)
{
    if (slice_is_null(bytes))
        append_slice(format->null_literal, out);
    else if (form != VALUE_TEXT && bytes.length == forms[form].bytes)
        print_number(form, bytes, out);
    else
        append_slice(bytes, out);
}

static void print_headers(const struct record_format *format, const struct record_view *record,
                          struct buffer *out)
{
    if (record->header_count == 0)
        buffer_append_string(out, "NO_HEADERS");
    for (size_t i = 0; i < record->header_count; i++) {
        if (i > 0)
            append_slice(format->headers_separator, out);
        buffer_print(out, "%s:", record->headers[i].name);
        print_bytes(format, VALUE_TEXT, record->headers[i].value, out);
    }
}

void record_print(const struct record_format *format, const struct record_view *record, struct buffer *out)
{
    bool any = false;
    if (format->print_timestamp) {
        begin_column(format, &any, out);
        if (record->timestamp_kind == TIMESTAMP_NONE)
            buffer_append_string(out, "NO_TIMESTAMP");
        else
            buffer_print(out, "%s:%lld",
                         record->timestamp_kind == TIMESTAMP_CREATE ? "CreateTime" : "LogAppendTime",
                         (long long)record->timestamp_ms);
    }
    if (format->print_partition) {
        begin_column(format, &any, out);
        buffer_print(out, "Partition:%d", (int)record->partition);
    }
    if (format->print_offset) {
        begin_column(format, &any, out);
        buffer_print(out, "Offset:%lld", (long long)record->offset);
    }
    if (format->print_headers) {
        begin_column(format, &any, out);
        print_headers(format, record, out);
    }
    if (format->print_key) {
        begin_column(format, &any, out);
        print_bytes(format, format->key_form, record->key, out);
    }
    if (format->print_value) {
        begin_column(format, &any, out);
        print_bytes(format, format->value_form, record->value, out);
    }
    append_slice(format->line_separator, out);
}
