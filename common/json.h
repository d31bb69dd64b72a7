/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing the small JSON documents that live in znodes; over jansson. Readers ignore fields
 * they do not know and tell a missing one from a wrong type.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include <jansson.h>

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

/* Parses a document whose top is an object. NULL when it is not one; `error` (may be NULL) gets why. The
 * caller calls json_decref. */
MUST_CHECK json_t *json_parse_object(struct slice text, struct buffer *error);
/* Appends the compact form (no spaces, fields in order of insertion). */
void json_write_compact(const json_t *json, struct buffer *out);

/* Fields of an object: true and *value when it is there with that type. Strings are borrowed from `object`.
 */
bool json_get_integer(const json_t *object, const char *field, int64_t *value);
bool json_get_string(const json_t *object, const char *field, struct slice *value);
bool json_get_boolean(const json_t *object, const char *field, bool *value);
/* An integer that fits an int32. */
bool json_get_int32(const json_t *object, const char *field, int32_t *value);
/* An array of int32: *values is allocated (free it), *count its length. false: missing, not an array, or an
 * element that is not an int32. */
MUST_CHECK bool json_get_int32_array(const json_t *object, const char *field, int32_t **values,
                                     size_t *count);

#endif
