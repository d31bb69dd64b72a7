/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java properties files (server.properties, meta.properties): key = value, key: value, comments with # or !,
 * continuation with \ at the end of a line, the escapes \t \n \r \f \\ \uXXXX. A key that comes twice: the
 * last one wins, as in Java, and the reader can tell.
 */
#ifndef COMMON_PROPERTIES_H
#define COMMON_PROPERTIES_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

struct property {
    char *key;
    char *value;
    int line;        /* of the file, from 1 */
    int former_line; /* where the key came before and was overruled; 0: nowhere */
};

struct properties {
    struct property *items; /* in order of their (last) line */
    size_t count;
    size_t capacity;
};

void properties_init(struct properties *properties);
void properties_release(struct properties *properties);
/* 0, or -EBADMSG with the reason and line number in `error` (may be NULL). */
MUST_CHECK int properties_parse(struct properties *properties, struct slice text, struct buffer *error);
/* NULL when the key is not there; valid until the next change. */
const struct property *properties_find(const struct properties *properties, const char *key);
/* The value as a number from 0 on, in digits alone; -1 when the key is not there or its value is anything
 * else. */
int64_t properties_number(const struct properties *properties, const char *key);
/* Adds the property at the end; one with the same key is taken out. */
void properties_set(struct properties *properties, const char *key, const char *value, int line);
/* Appends key=value, escaped so that properties_parse gives it back. */
void properties_write(struct buffer *out, const char *key, const char *value);

#endif
