/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed pointer and a length. A slice owns nothing; whoever hands one out says how long it lives.
 * data == NULL is the null string of the wire formats, different from an empty one.
 */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <string.h>

#include "common/base.h"

struct slice {
    const uint8_t *data;
    size_t length;
};

static inline struct slice slice_make(const void *data, size_t length)
{
    return (struct slice){(const uint8_t *)data, length};
}

/* The slice of a C string without its NUL; NULL gives the null slice. */
static inline struct slice slice_of(const char *string)
{
    return (struct slice){(const uint8_t *)string, string ? strlen(string) : 0};
}

static inline bool slice_is_null(struct slice slice)
{
    return slice.data == NULL;
}

/* Equal bytes; a null slice equals only a null slice. */
static inline bool slice_equals(struct slice a, struct slice b)
{
    return a.length == b.length && (a.data == NULL) == (b.data == NULL) &&
           (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool slice_is(struct slice slice, const char *string)
{
    return slice_equals(slice, slice_of(string));
}

/* Order of the bytes, the shorter first where one is the other's prefix. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t shorter = min_size(a.length, b.length);
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    if (order != 0)
        return order;
    return a.length < b.length ? -1 : a.length > b.length;
}

/* For printf's "%.*s": SLICE_ARGUMENTS(s). The text is printed as it is: escape what clients sent first. */
#define SLICE_ARGUMENTS(slice) (int)(slice).length, (const char *)(slice).data

#endif
