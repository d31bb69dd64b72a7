/* SPDX-License-Identifier: Apache-2.0 */
/* How values of the client protocol look in a log line: see wire.h. */
#include <inttypes.h>

#include "proto/kafka/wire.h"

void wire_print_string(struct buffer *out, struct slice text)
{
    if (slice_is_null(text)) {
        buffer_append_string(out, "null");
        return;
    }
    buffer_append_string(out, "\"");
    buffer_append_escaped(out, text, WIRE_PRINT_STRING_LIMIT);
    buffer_append_string(out, "\"");
}

void wire_print_bytes(struct buffer *out, struct slice bytes)
{
    if (slice_is_null(bytes))
        buffer_append_string(out, "null");
    else
        buffer_print(out, "<%zu bytes>", bytes.length);
}

void wire_print_records(struct buffer *out, const struct wire_records *records)
{
    if (records->external)
        buffer_print(out, "<%" PRId64 " bytes outside>", records->external_length);
    else
        wire_print_bytes(out, records->bytes);
}

void wire_print_uuid(struct buffer *out, struct uuid id)
{
    char text[UUID_TEXT_LENGTH + 1];
    uuid_format(id, text);
    buffer_append_string(out, text);
}

void wire_print_secret(struct buffer *out, struct slice secret)
{
    buffer_append_string(out, slice_is_null(secret) ? "null" : "<secret>");
}

size_t wire_print_array_begin(struct buffer *out, const void *array, size_t count)
{
    if (!array) {
        buffer_append_string(out, "null");
        return 0;
    }
    buffer_append_string(out, "[");
    return min_size(count, WIRE_PRINT_ELEMENTS);
}

void wire_print_array_end(struct buffer *out, const void *array, size_t count)
{
    if (!array)
        return;
    if (count > WIRE_PRINT_ELEMENTS)
        buffer_print(out, " and %zu more", count - WIRE_PRINT_ELEMENTS);
    buffer_append_string(out, "]");
}

static const char *separator(size_t index)
{
    return index == 0 ? "" : ", ";
}

void wire_print_int8_array(struct buffer *out, const int8_t *array, size_t count)
{
    size_t shown = wire_print_array_begin(out, array, count);
    for (size_t i = 0; i < shown; i++)
        buffer_print(out, "%s%d", separator(i), array[i]);
    wire_print_array_end(out, array, count);
}

void wire_print_int32_array(struct buffer *out, const int32_t *array, size_t count)
{
    size_t shown = wire_print_array_begin(out, array, count);
    for (size_t i = 0; i < shown; i++)
        buffer_print(out, "%s%" PRId32, separator(i), array[i]);
    wire_print_array_end(out, array, count);
}

void wire_print_int64_array(struct buffer *out, const int64_t *array, size_t count)
{
    size_t shown = wire_print_array_begin(out, array, count);
    for (size_t i = 0; i < shown; i++)
        buffer_print(out, "%s%" PRId64, separator(i), array[i]);
    wire_print_array_end(out, array, count);
}

void wire_print_string_array(struct buffer *out, const struct slice *array, size_t count)
{
    size_t shown = wire_print_array_begin(out, array, count);
    for (size_t i = 0; i < shown; i++) {
        buffer_append_string(out, separator(i));
        wire_print_string(out, array[i]);
    }
    wire_print_array_end(out, array, count);
}
