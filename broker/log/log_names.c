/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and making names of files and folders. */
#include "broker/log/log_names.h"

#include <inttypes.h>
#include <string.h>

#define OFFSET_DIGITS 20
#define UNIQUE_DIGITS 32
#define NAME_BYTES_MAX 255

static bool take_suffix(struct slice *name, const char *suffix)
{
    size_t length = strlen(suffix);
    if (name->length < length || memcmp(name->data + name->length - length, suffix, length) != 0)
        return false;
    name->length -= length;
    return true;
}

/* The number that the digits say; -1 where they are none or too many. */
static int64_t parse_digits(const uint8_t *digits, size_t count, int64_t high)
{
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return -1;
        int digit = digits[i] - '0';
        if (value > (high - digit) / 10)
            return -1;
        value = value * 10 + digit;
    }
    return count > 0 ? value : -1;
}

static enum log_file_state take_state(struct slice *name)
{
    if (take_suffix(name, ".deleted"))
        return LOG_FILE_DELETED;
    if (take_suffix(name, ".cleaned"))
        return LOG_FILE_CLEANED;
    return take_suffix(name, ".swap") ? LOG_FILE_SWAP : LOG_FILE_LIVE;
}

static enum log_file_kind take_kind(struct slice *name)
{
    static const struct {
        const char *suffix;
        enum log_file_kind kind;
    } kinds[] = {
        {".log", LOG_FILE_LOG},
        {".index", LOG_FILE_OFFSET_INDEX},
        {".timeindex", LOG_FILE_TIME_INDEX},
        {".txnindex", LOG_FILE_TRANSACTION_INDEX},
        {".snapshot", LOG_FILE_SNAPSHOT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (take_suffix(name, kinds[i].suffix))
            return kinds[i].kind;
    return LOG_FILE_OTHER;
}

struct log_file_name log_file_name_parse(const char *name)
{
    struct slice rest = slice_of(name);
    struct log_file_name parsed;
    parsed.state = take_state(&rest);
    parsed.kind = take_kind(&rest);
    parsed.offset = rest.length == OFFSET_DIGITS ? parse_digits(rest.data, rest.length, INT64_MAX) : -1;
    if (parsed.kind == LOG_FILE_OTHER || parsed.offset < 0) {
        parsed.kind = LOG_FILE_OTHER;
        parsed.offset = -1;
    }
    return parsed;
}

void log_file_name_format(struct buffer *out, struct log_file_name name)
{
    static const char *const kinds[] = {
        [LOG_FILE_OTHER] = "",
        [LOG_FILE_LOG] = ".log",
        [LOG_FILE_OFFSET_INDEX] = ".index",
        [LOG_FILE_TIME_INDEX] = ".timeindex",
        [LOG_FILE_TRANSACTION_INDEX] = ".txnindex",
        [LOG_FILE_SNAPSHOT] = ".snapshot",
    };
    static const char *const states[] = {
        [LOG_FILE_LIVE] = "",
        [LOG_FILE_DELETED] = ".deleted",
        [LOG_FILE_CLEANED] = ".cleaned",
        [LOG_FILE_SWAP] = ".swap",
    };
    buffer_print(out, "%0*" PRId64 "%s%s", OFFSET_DIGITS, name.offset, kinds[name.kind], states[name.state]);
}

/* Takes ".<32 hex>" from the end. */
static bool take_unique(struct slice *name)
{
    if (name->length < UNIQUE_DIGITS + 1)
        return false;
    const uint8_t *at = name->data + name->length - UNIQUE_DIGITS;
    for (size_t i = 0; i < UNIQUE_DIGITS; i++)
        if (!((at[i] >= '0' && at[i] <= '9') || (at[i] >= 'a' && at[i] <= 'f')))
            return false;
    if (at[-1] != '.')
        return false;
    name->length -= UNIQUE_DIGITS + 1;
    return true;
}

struct log_folder_name log_folder_name_parse(const char *name)
{
    const struct log_folder_name other = {LOG_FOLDER_OTHER, {NULL, 0}, -1};
    struct slice rest = slice_of(name);
    struct log_folder_name parsed = {LOG_FOLDER_LIVE, {NULL, 0}, -1};
    if (take_suffix(&rest, "-delete"))
        parsed.kind = LOG_FOLDER_DELETE;
    else if (take_suffix(&rest, "-future"))
        parsed.kind = LOG_FOLDER_FUTURE;
    else if (take_suffix(&rest, "-stray"))
        parsed.kind = LOG_FOLDER_STRAY;
    if (parsed.kind != LOG_FOLDER_LIVE && !take_unique(&rest))
        return other;
    const uint8_t *dash = rest.length > 0 ? memrchr(rest.data, '-', rest.length) : NULL;
    if (!dash || dash == rest.data)
        return other;
    size_t topic_length = (size_t)(dash - rest.data);
    int64_t partition = parse_digits(dash + 1, rest.length - topic_length - 1, INT32_MAX);
    if (partition < 0)
        return other;
    parsed.topic = slice_make(rest.data, topic_length);
    parsed.partition = (int32_t)partition;
    return parsed;
}

void log_folder_name_format(struct buffer *out, struct slice topic, int32_t partition)
{
    buffer_append(out, topic.data, topic.length);
    buffer_print(out, "-%" PRId32, partition);
}

static void format_unique(struct buffer *out, struct slice topic, int32_t partition, const uint8_t unique[16],
                          const char *suffix)
{
    struct buffer tail;
    buffer_init(&tail);
    buffer_print(&tail, "-%" PRId32 ".", partition);
    for (int i = 0; i < 16; i++)
        buffer_print(&tail, "%02x", unique[i]);
    buffer_append_string(&tail, suffix);
    buffer_append(out, topic.data, min_size(topic.length, NAME_BYTES_MAX - tail.length));
    buffer_append(out, tail.data, tail.length);
    buffer_release(&tail);
}

void log_folder_name_format_delete(struct buffer *out, struct slice topic, int32_t partition,
                                   const uint8_t unique[16])
{
    format_unique(out, topic, partition, unique, "-delete");
}

void log_folder_name_format_future(struct buffer *out, struct slice topic, int32_t partition,
                                   const uint8_t unique[16])
{
    format_unique(out, topic, partition, unique, "-future");
}

void log_folder_name_format_stray(struct buffer *out, struct slice topic, int32_t partition,
                                  const uint8_t unique[16])
{
    format_unique(out, topic, partition, unique, "-stray");
}
