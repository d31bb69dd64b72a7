/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint texts: strict to read, replaced as a whole. */
#include "broker/log/checkpoint_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* The next line of the text, its '\n' taken too; false at the end. */
static bool take_line(struct slice *rest, struct slice *line)
{
    if (rest->length == 0)
        return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->length);
    size_t length = end ? (size_t)(end - rest->data) : rest->length;
    *line = slice_make(rest->data, length);
    size_t taken = end ? length + 1 : length;
    *rest = slice_make(rest->data + taken, rest->length - taken);
    return true;
}

int checkpoint_take_number(struct slice *line, int64_t low, int64_t high, int64_t *number)
{
    size_t at = 0;
    bool negative = line->length > 0 && line->data[0] == '-';
    if (negative)
        at++;
    size_t first_digit = at;
    uint64_t value = 0;
    for (; at < line->length && line->data[at] >= '0' && line->data[at] <= '9'; at++) {
        if (value > (uint64_t)INT64_MAX / 10 - 1)
            return -EBADMSG;
        value = value * 10 + (uint64_t)(line->data[at] - '0');
    }
    if (at == first_digit || (at < line->length && line->data[at] != ' '))
        return -EBADMSG;
    *number = negative ? -(int64_t)value : (int64_t)value;
    if (*number < low || *number > high)
        return -EBADMSG;
    if (at < line->length)
        at++;
    *line = slice_make(line->data + at, line->length - at);
    return 0;
}

/* A line that is one number and nothing else. */
static int take_number_line(struct slice *rest, int64_t high, int64_t *number)
{
    struct slice line;
    if (!take_line(rest, &line))
        return -EBADMSG;
    int error = checkpoint_take_number(&line, 0, high, number);
    return error ? error : line.length > 0 ? -EBADMSG : 0;
}

int checkpoint_reader_init(struct checkpoint_reader *reader, struct slice text)
{
    int64_t version;
    reader->rest = text;
    reader->left = 0;
    int error = take_number_line(&reader->rest, 0, &version);
    return error ? error : take_number_line(&reader->rest, INT32_MAX, &reader->left);
}

int checkpoint_reader_next(struct checkpoint_reader *reader, struct slice *line)
{
    if (reader->left == 0)
        return reader->rest.length > 0 ? -EBADMSG : 0;
    if (!take_line(&reader->rest, line))
        return -EBADMSG;
    reader->left--;
    return 1;
}

void checkpoint_init(struct checkpoint *checkpoint)
{
    *checkpoint = (struct checkpoint){0};
}

void checkpoint_clear(struct checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->count; i++)
        free(checkpoint->entries[i].topic);
    checkpoint->count = 0;
}

void checkpoint_release(struct checkpoint *checkpoint)
{
    checkpoint_clear(checkpoint);
    free(checkpoint->entries);
    checkpoint_init(checkpoint);
}

void checkpoint_add(struct checkpoint *checkpoint, struct slice topic, int32_t partition, int64_t offset)
{
    checkpoint->entries = memory_grow(checkpoint->entries, checkpoint->count, &checkpoint->capacity,
                                      sizeof(*checkpoint->entries));
    checkpoint->entries[checkpoint->count++] =
        (struct checkpoint_entry){memory_copy_bytes(topic.data, topic.length), partition, offset};
}

void checkpoint_format(const struct checkpoint *checkpoint, struct buffer *out)
{
    buffer_print(out, "0\n%zu\n", checkpoint->count);
    for (size_t i = 0; i < checkpoint->count; i++) {
        const struct checkpoint_entry *entry = &checkpoint->entries[i];
        buffer_print(out, "%s %" PRId32 " %" PRId64 "\n", entry->topic, entry->partition, entry->offset);
    }
}

static int parse_entry(struct checkpoint *checkpoint, struct slice line)
{
    const uint8_t *space = line.length > 0 ? memchr(line.data, ' ', line.length) : NULL;
    if (!space || space == line.data)
        return -EBADMSG;
    struct slice topic = slice_make(line.data, (size_t)(space - line.data));
    if (memchr(topic.data, '\0', topic.length))
        return -EBADMSG;
    line = slice_make(space + 1, line.length - topic.length - 1);
    int64_t partition, offset;
    if (checkpoint_take_number(&line, 0, INT32_MAX, &partition) || line.length == 0 ||
        checkpoint_take_number(&line, 0, INT64_MAX, &offset) || line.length > 0)
        return -EBADMSG;
    checkpoint_add(checkpoint, topic, (int32_t)partition, offset);
    return 0;
}

int checkpoint_parse(struct checkpoint *checkpoint, struct slice text)
{
    size_t before = checkpoint->count;
    struct checkpoint_reader reader;
    struct slice line;
    int result = checkpoint_reader_init(&reader, text);
    while (result >= 0 && (result = checkpoint_reader_next(&reader, &line)) > 0)
        result = parse_entry(checkpoint, line);
    while (result < 0 && checkpoint->count > before)
        free(checkpoint->entries[--checkpoint->count].topic);
    return result;
}

int checkpoint_read(struct file_system *files, struct logger *logger, const char *directory, const char *name,
                    struct checkpoint *checkpoint)
{
    struct buffer path, text;
    buffer_init(&path);
    buffer_init(&text);
    buffer_print(&path, "%s/%s", directory, name);
    int error = file_system_read_all(files, buffer_string(&path), CHECKPOINT_FILE_BYTES_MAX, &text);
    /* Kafka makes some of them empty. */
    if (!error && text.length > 0 && checkpoint_parse(checkpoint, buffer_slice(&text)))
        log_warn(logger, "log",
                 "%s is not a checkpoint file: it is taken as empty, and logs are recovered in full",
                 buffer_string(&path));
    buffer_release(&path);
    buffer_release(&text);
    return error == -ENOENT ? 0 : error;
}

int checkpoint_write(struct file_system *files, const char *directory, const char *name,
                     const struct checkpoint *checkpoint)
{
    struct buffer path, text;
    buffer_init(&path);
    buffer_init(&text);
    buffer_print(&path, "%s/%s", directory, name);
    checkpoint_format(checkpoint, &text);
    int error = file_system_replace(files, buffer_string(&path), text.data, text.length);
    buffer_release(&path);
    buffer_release(&text);
    return error;
}
