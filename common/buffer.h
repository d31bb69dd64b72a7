/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that grow. init / release / clear: nothing owned / memory given back / emptied, memory kept. */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include <stdarg.h>

#include "common/base.h"
#include "common/slice.h"

struct buffer {
    uint8_t *data;
    size_t length;
    size_t capacity;
};

void buffer_init(struct buffer *buffer);
void buffer_release(struct buffer *buffer);
void buffer_clear(struct buffer *buffer);

/* Makes room for `extra` more bytes and returns where they go; the length stays. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t extra);
/* As buffer_reserve, and the length grows by `extra`. */
uint8_t *buffer_extend(struct buffer *buffer, size_t extra);
void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_append_string(struct buffer *buffer, const char *string);
void buffer_print(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_print_list(struct buffer *buffer, const char *format, va_list arguments) PRINTF_LIKE(2, 0);
/*
 * Appends text that a stranger chose so that it is safe in a log line: printable ASCII as it is, everything
 * else (and the backslash) as \xHH, at most `limit` bytes of input, then "...".
 */
void buffer_append_escaped(struct buffer *buffer, struct slice text, size_t limit);
/* The content as a C string (a NUL is kept behind the length); valid until the next change. */
const char *buffer_string(struct buffer *buffer);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_make(buffer->data, buffer->length);
}

/* Hands the bytes over: the caller frees them, the buffer is empty and initialised again. */
uint8_t *buffer_detach(struct buffer *buffer, size_t *length);

#endif
