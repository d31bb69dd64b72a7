/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words every other file uses: sized integers, attributes, and small arithmetic that cannot overflow
 * silently. Pure: nothing here touches the world.
 */
#ifndef COMMON_BASE_H
#define COMMON_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))
/* printf-like: argument number of the format, number of the first value. */
#define PRINTF_LIKE(format, first) __attribute__((__format__(__printf__, format, first)))

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* The structure of `type` whose member `member` is at `pointer`. */
#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* *sum = a + b; false when that does not fit. */
MUST_CHECK static inline bool add_size(size_t a, size_t b, size_t *sum)
{
    return !__builtin_add_overflow(a, b, sum);
}

/* *product = a * b; false when that does not fit. */
MUST_CHECK static inline bool multiply_size(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

#endif
