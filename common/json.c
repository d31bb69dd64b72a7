/* SPDX-License-Identifier: Apache-2.0 */
/* JSON through jansson; the limits of what is accepted are jansson's (UTF-8, no NUL in strings, bounded
 * depth). */
#include "common/json.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

#define ERROR_TEXT_BYTES_MAX 200

json_t *json_parse_object(struct slice text, struct buffer *error)
{
    json_error_t problem;
    /* An empty document may have no address at all. */
    const char *data = text.length > 0 ? (const char *)text.data : "";
    json_t *json = json_loadb(data, text.length, 0, &problem);
    if (json == NULL) {
        if (error != NULL) {
            buffer_print(error, "line %d: ", problem.line);
            buffer_append_escaped(error, slice_of(problem.text), ERROR_TEXT_BYTES_MAX);
        }
        return NULL;
    }
    if (!json_is_object(json)) {
        if (error != NULL)
            buffer_append_string(error, "not a JSON object");
        json_decref(json);
        return NULL;
    }
    return json;
}

static int append_output(const char *data, size_t length, void *context)
{
    buffer_append(context, data, length);
    return 0;
}

void json_write_compact(const json_t *json, struct buffer *out)
{
    int failed = json_dump_callback(json, append_output, out, JSON_COMPACT | JSON_ENCODE_ANY);
    CHECK(failed == 0);
}

bool json_get_integer(const json_t *object, const char *field, int64_t *value)
{
    const json_t *found = json_object_get(object, field);
    if (!json_is_integer(found))
        return false;
    *value = json_integer_value(found);
    return true;
}

bool json_get_string(const json_t *object, const char *field, struct slice *value)
{
    const json_t *found = json_object_get(object, field);
    if (!json_is_string(found))
        return false;
    *value = slice_make(json_string_value(found), json_string_length(found));
    return true;
}

bool json_get_boolean(const json_t *object, const char *field, bool *value)
{
    const json_t *found = json_object_get(object, field);
    if (!json_is_boolean(found))
        return false;
    *value = json_is_true(found);
    return true;
}

static bool to_int32(const json_t *json, int32_t *value)
{
    if (!json_is_integer(json))
        return false;
    json_int_t wide = json_integer_value(json);
    if (wide < INT32_MIN || wide > INT32_MAX)
        return false;
    *value = (int32_t)wide;
    return true;
}

bool json_get_int32(const json_t *object, const char *field, int32_t *value)
{
    return to_int32(json_object_get(object, field), value);
}

bool json_get_int32_array(const json_t *object, const char *field, int32_t **values, size_t *count)
{
    const json_t *array = json_object_get(object, field);
    if (!json_is_array(array))
        return false;
    size_t size = json_array_size(array);
    int32_t *found = memory_allocate(size * sizeof(*found));
    for (size_t i = 0; i < size; i++) {
        if (!to_int32(json_array_get(array, i), &found[i])) {
            free(found);
            return false;
        }
    }
    *values = found;
    *count = size;
    return true;
}
