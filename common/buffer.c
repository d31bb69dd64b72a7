/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow: capacity doubles, so that appending costs the same however long the buffer is. */
#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"

#define BUFFER_FIRST_CAPACITY 64

void buffer_init(struct buffer *buffer)
{
    *buffer = (struct buffer){NULL, 0, 0};
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t needed = 0;
    bool fits = add_size(buffer->length, extra, &needed);
    CHECK(fits);
    if (buffer->data == NULL || needed > buffer->capacity) {
        size_t doubled = buffer->capacity <= SIZE_MAX / 2 ? buffer->capacity * 2 : needed;
        size_t capacity = max_size(max_size(needed, doubled), BUFFER_FIRST_CAPACITY);
        buffer->data = memory_resize(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

uint8_t *buffer_extend(struct buffer *buffer, size_t extra)
{
    uint8_t *at = buffer_reserve(buffer, extra);
    buffer->length += extra;
    return at;
}

void buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    if (length > 0)
        memcpy(buffer_extend(buffer, length), data, length);
}

void buffer_append_string(struct buffer *buffer, const char *string)
{
    buffer_append(buffer, string, strlen(string));
}

void buffer_print(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    buffer_print_list(buffer, format, arguments);
    va_end(arguments);
}

void buffer_print_list(struct buffer *buffer, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    buffer_reserve(buffer, BUFFER_FIRST_CAPACITY);
    size_t room = buffer->capacity - buffer->length;
    int length = vsnprintf((char *)buffer->data + buffer->length, room, format, arguments);
    CHECK(length >= 0);
    if ((size_t)length >= room) {
        char *at = (char *)buffer_reserve(buffer, (size_t)length + 1);
        vsnprintf(at, (size_t)length + 1, format, again);
    }
    va_end(again);
    buffer->length += (size_t)length;
}

void buffer_append_escaped(struct buffer *buffer, struct slice text, size_t limit)
{
    static const char digits[16] = "0123456789abcdef";
    size_t shown = min_size(text.length, limit);
    for (size_t i = 0; i < shown; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '\\') {
            buffer_append(buffer, &byte, 1);
            continue;
        }
        char escaped[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
        buffer_append(buffer, escaped, sizeof(escaped));
    }
    if (shown < text.length)
        buffer_append_string(buffer, "...");
}

const char *buffer_string(struct buffer *buffer)
{
    *buffer_reserve(buffer, 1) = '\0';
    return (const char *)buffer->data;
}

uint8_t *buffer_detach(struct buffer *buffer, size_t *length)
{
    uint8_t *data = buffer->data;
    if (data == NULL)
        data = memory_allocate(0);
    *length = buffer->length;
    buffer_init(buffer);
    return data;
}
