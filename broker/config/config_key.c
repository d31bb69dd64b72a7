/* SPDX-License-Identifier: Apache-2.0 */
/* Looking keys up, and checking a value against its row. */
#include "broker/config/config_key.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "common/check.h"

size_t broker_key_count(void)
{
    return broker_keys_a_to_k_count + broker_keys_l_to_q_count + broker_keys_r_to_z_count;
}

const struct config_key *broker_key_at(size_t index)
{
    CHECK(index < broker_key_count());
    if (index < broker_keys_a_to_k_count)
        return &broker_keys_a_to_k[index];
    index -= broker_keys_a_to_k_count;
    if (index < broker_keys_l_to_q_count)
        return &broker_keys_l_to_q[index];
    return &broker_keys_r_to_z[index - broker_keys_l_to_q_count];
}

size_t topic_key_count(void)
{
    return topic_keys_count;
}

const struct config_key *topic_key_at(size_t index)
{
    CHECK(index < topic_keys_count);
    return &topic_keys[index];
}

/* The tables are in order of their names. */
static int find_key(struct slice name, size_t count, const struct config_key *(*at)(size_t index))
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = slice_compare(name, slice_of(at(middle)->name));
        if (order == 0)
            return (int)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

int broker_key_find(const char *name)
{
    return find_key(slice_of(name), broker_key_count(), broker_key_at);
}

int topic_key_find(struct slice name)
{
    return find_key(name, topic_key_count(), topic_key_at);
}

const char *config_type_name(enum config_type type)
{
    static const char *const names[] = {"",     "boolean", "string", "int",   "short",
                                        "long", "double",  "list",   "class", "password"};
    return names[type];
}

static struct slice trim(struct slice text)
{
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        text.length--;
    return text;
}

bool config_list_next(const char *text, size_t *position, struct slice *element)
{
    size_t length = text ? strlen(text) : 0;
    while (*position < length) {
        size_t end = *position + strcspn(text + *position, ",");
        *element = trim(slice_make(text + *position, end - *position));
        *position = end + 1;
        if (element->length > 0)
            return true;
    }
    return false;
}

static void say(struct buffer *error, const char *reason)
{
    if (error)
        buffer_append_string(error, reason);
}

static bool slice_is_any_case(struct slice text, const char *other, size_t other_length)
{
    return text.length == other_length && strncasecmp((const char *)text.data, other, other_length) == 0;
}

/* Whether `text` is one of "a|b|c". */
static bool is_one_of(struct slice text, const char *values, bool any_case)
{
    while (*values) {
        size_t length = strcspn(values, "|");
        struct slice value = slice_make(values, length);
        if (any_case ? slice_is_any_case(text, values, length) : slice_equals(text, value))
            return true;
        values += length + (values[length] == '|');
    }
    return false;
}

static int check_values(const struct config_key *key, struct slice text, struct buffer *error)
{
    if (key->values == NULL || is_one_of(text, key->values, (key->flags & CONFIG_ANY_CASE) != 0))
        return 0;
    if (error) {
        buffer_append_string(error, "must be one of ");
        for (const char *at = key->values; *at; at++) {
            if (*at == '|')
                buffer_append_string(error, ", ");
            else
                buffer_append(error, at, 1);
        }
    }
    return -EINVAL;
}

/* "3.9", "3.9-IV0", "0.10.2", "0.10.2-IV1", "3.9.1": digits and dots, and perhaps -IV and digits. */
static bool is_release(struct slice text)
{
    size_t at = 0;
    int dots = 0;
    while (at < text.length && ((text.data[at] >= '0' && text.data[at] <= '9') || text.data[at] == '.')) {
        if (text.data[at] == '.' && (at == 0 || at + 1 == text.length || text.data[at + 1] == '.'))
            return false;
        dots += text.data[at] == '.';
        at++;
    }
    if (dots < 1 || dots > 3)
        return false;
    if (at == text.length)
        return true;
    if (text.length - at < 4 || memcmp(text.data + at, "-IV", 3) != 0)
        return false;
    for (at += 3; at < text.length; at++)
        if (text.data[at] < '0' || text.data[at] > '9')
            return false;
    return true;
}

/* partition:broker, both decimal. */
static bool is_replica(struct slice text)
{
    size_t colon = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == ':' && colon == 0 && i > 0)
            colon = i;
        else if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return colon > 0 && colon + 1 < text.length;
}

static int check_list(const struct config_key *key, const char *text, struct buffer *error)
{
    size_t position = 0;
    struct slice element;
    bool replicas = (key->flags & CONFIG_REPLICA_LIST) != 0;
    if (replicas && slice_is(trim(slice_of(text)), "*"))
        return 0;
    while (config_list_next(text, &position, &element)) {
        if (replicas && !is_replica(element)) {
            say(error, "must be * or a list of partition:broker pairs");
            return -EINVAL;
        }
        if (check_values(key, element, error) < 0)
            return -EINVAL;
    }
    return 0;
}

static int check_range(const struct config_key *key, double value, struct buffer *error)
{
    if ((key->flags & CONFIG_OR_MINUS_ONE) && value == -1)
        return 0;
    const char *or_minus_one = key->flags & CONFIG_OR_MINUS_ONE ? ", or -1" : "";
    bool has_maximum = key->range.maximum < CONFIG_NO_MAXIMUM;
    if (value < key->range.minimum || value > key->range.maximum) {
        if (error && has_maximum)
            buffer_print(error, "must be between %g and %g%s", key->range.minimum, key->range.maximum,
                         or_minus_one);
        else if (error)
            buffer_print(error, "must be at least %g%s", key->range.minimum, or_minus_one);
        return -EINVAL;
    }
    return 0;
}

static int check_integer(const struct config_key *key, struct slice text, struct buffer *error)
{
    int64_t least = key->type == CONFIG_SHORT ? INT16_MIN : key->type == CONFIG_INT ? INT32_MIN : INT64_MIN;
    int64_t greatest = key->type == CONFIG_SHORT ? INT16_MAX
                       : key->type == CONFIG_INT ? INT32_MAX
                                                 : INT64_MAX;
    char digits[32];
    char *end = digits;
    long long value = 0;
    bool fits = text.length > 0 && text.length < sizeof(digits);
    if (fits) {
        memcpy(digits, text.data, text.length);
        digits[text.length] = 0;
        errno = 0;
        value = strtoll(digits, &end, 10);
        fits = errno == 0 && *end == 0 && end != digits && digits[0] != ' ';
    }
    if (!fits || value < least || value > greatest) {
        if (error)
            buffer_print(error, "is not a number of type %s", config_type_name(key->type));
        return -EINVAL;
    }
    return check_range(key, (double)value, error);
}

static int check_double(const struct config_key *key, struct slice text, struct buffer *error)
{
    char digits[64];
    if (text.length > 0 && text.length < sizeof(digits)) {
        memcpy(digits, text.data, text.length);
        digits[text.length] = 0;
        char *end;
        double value = strtod(digits, &end);
        if (*end == 0 && end != digits && value == value)
            return check_range(key, value, error);
    }
    say(error, "is not a number");
    return -EINVAL;
}

int config_value_check(const struct config_key *key, const char *text, struct buffer *error)
{
    struct slice trimmed = trim(slice_of(text));
    if ((key->flags & CONFIG_NOT_EMPTY) && trimmed.length == 0) {
        say(error, "must not be empty");
        return -EINVAL;
    }
    switch (key->type) {
    case CONFIG_BOOLEAN:
        if (slice_is_any_case(trimmed, "true", 4) || slice_is_any_case(trimmed, "false", 5))
            return 0;
        say(error, "must be true or false");
        return -EINVAL;
    case CONFIG_INT:
    case CONFIG_SHORT:
    case CONFIG_LONG:
        return check_integer(key, trimmed, error);
    case CONFIG_DOUBLE:
        return check_double(key, trimmed, error);
    case CONFIG_LIST:
        return check_list(key, text, error);
    case CONFIG_STRING:
        if ((key->flags & CONFIG_RELEASE) && !is_release(trimmed)) {
            say(error, "must be a Kafka release such as 3.9 or 3.9-IV0");
            return -EINVAL;
        }
        return check_values(key, trimmed, error);
    case CONFIG_CLASS:
    case CONFIG_PASSWORD:
        return 0;
    }
    UNREACHABLE();
}

bool config_value_boolean(const char *text)
{
    struct slice trimmed = trim(slice_of(text));
    return slice_is_any_case(trimmed, "true", 4);
}

int64_t config_value_integer(const char *text)
{
    return strtoll(text, NULL, 10);
}

double config_value_double(const char *text)
{
    return strtod(text, NULL);
}
