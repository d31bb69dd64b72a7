/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the znode codecs. */
#include "coordinator/zk/node_json.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

#define QUOTED_DIGITS_MAX 19

int node_fail(struct buffer *error, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        buffer_print_list(error, format, arguments);
        va_end(arguments);
    }
    return -EINVAL;
}

static bool parse_integer(struct slice text, int64_t *value)
{
    bool negative = text.length > 0 && text.data[0] == '-';
    size_t at = negative ? 1 : 0;
    if (text.length == at || text.length - at > QUOTED_DIGITS_MAX)
        return false;
    int64_t number = 0;
    for (; at < text.length; at++) {
        int digit = text.data[at] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *value = negative ? -number : number;
    return true;
}

bool node_get_loose_integer(const json_t *object, const char *field, int64_t *value)
{
    struct slice text;
    if (json_get_integer(object, field, value))
        return true;
    return json_get_string(object, field, &text) && parse_integer(text, value);
}

bool node_get_version(const json_t *object, int32_t *version)
{
    return json_get_int32(object, "version", version) && *version >= 1;
}

json_t *node_string(struct slice text)
{
    const char *data = text.length > 0 ? (const char *)text.data : "";
    json_t *string = json_stringn(data, text.length);
    if (string == NULL) {
        struct buffer escaped;
        buffer_init(&escaped);
        buffer_append_escaped(&escaped, text, text.length);
        string = json_string(buffer_string(&escaped));
        buffer_release(&escaped);
    }
    CHECK(string != NULL);
    return string;
}

static void set(json_t *object, const char *field, json_t *value)
{
    int failed = json_object_set_new(object, field, value);
    CHECK(failed == 0);
}

void node_set_string(json_t *object, const char *field, struct slice text)
{
    set(object, field, node_string(text));
}

void node_set_integer(json_t *object, const char *field, int64_t value)
{
    set(object, field, json_integer(value));
}

void node_set_quoted_integer(json_t *object, const char *field, int64_t value)
{
    struct buffer text;
    buffer_init(&text);
    buffer_print(&text, "%lld", (long long)value);
    node_set_string(object, field, buffer_slice(&text));
    buffer_release(&text);
}

json_t *node_int32_array(const int32_t *values, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        int failed = json_array_append_new(array, json_integer(values[i]));
        CHECK(failed == 0);
    }
    return array;
}

void node_write(json_t *object, struct buffer *out)
{
    json_write_compact(object, out);
    json_decref(object);
}

int node_replicas_decode(const json_t *array, struct node_replicas *replicas, struct buffer *error)
{
    *replicas = (struct node_replicas){0};
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > NODE_REPLICAS_MAX)
        return node_fail(error, "a list of broker ids is missing or too long");
    if (count == 0)
        return 0;
    int32_t *ids = memory_allocate(count * sizeof(*ids));
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        bool good = id >= 0 && id <= INT32_MAX;
        for (size_t j = 0; good && j < i; j++)
            good = ids[j] != (int32_t)id;
        if (!good) {
            free(ids);
            return node_fail(error, "a list of broker ids holds something else, or one twice");
        }
        ids[i] = (int32_t)id;
    }
    *replicas = (struct node_replicas){ids, count};
    return 0;
}

void node_replicas_release(struct node_replicas *replicas)
{
    free(replicas->ids);
    *replicas = (struct node_replicas){0};
}

void node_replicas_set(struct node_replicas *replicas, const int32_t *ids, size_t count)
{
    int32_t *copy = NULL;
    if (count > 0) {
        copy = memory_allocate(count * sizeof(*copy));
        memcpy(copy, ids, count * sizeof(*copy));
    }
    free(replicas->ids);
    *replicas = (struct node_replicas){copy, count};
}
