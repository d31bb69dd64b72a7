/* SPDX-License-Identifier: Apache-2.0 */
/* The two lines of partition.metadata. */
#include "broker/log/partition_metadata.h"

#include <errno.h>
#include <string.h>

#define METADATA_BYTES_MAX 4096

void partition_metadata_format(struct uuid topic_id, struct buffer *out)
{
    char text[UUID_TEXT_LENGTH + 1];
    uuid_format(topic_id, text);
    buffer_print(out, "version: 0\ntopic_id: %s", text);
}

/* Takes `prefix` from the front of the text; false where it does not stand there. */
static bool take_prefix(struct slice *text, const char *prefix)
{
    size_t length = strlen(prefix);
    if (text->length < length || memcmp(text->data, prefix, length) != 0)
        return false;
    *text = slice_make(text->data + length, text->length - length);
    return true;
}

int partition_metadata_parse(struct slice text, struct uuid *topic_id)
{
    if (!take_prefix(&text, "version: 0\n") || !take_prefix(&text, "topic_id: "))
        return -EBADMSG;
    while (text.length > 0 && (text.data[text.length - 1] == '\n' || text.data[text.length - 1] == '\r'))
        text.length--;
    return uuid_parse(text, topic_id) ? -EBADMSG : 0;
}

int partition_metadata_read(struct file_system *files, const char *path, struct uuid *topic_id)
{
    struct buffer text;
    buffer_init(&text);
    *topic_id = (struct uuid){{0}};
    int error = file_system_read_all(files, path, METADATA_BYTES_MAX, &text);
    if (!error)
        error = partition_metadata_parse(buffer_slice(&text), topic_id);
    else if (error == -ENOENT)
        error = 0;
    buffer_release(&text);
    return error;
}

int partition_metadata_write(struct file_system *files, const char *path, struct uuid topic_id)
{
    struct buffer text;
    buffer_init(&text);
    partition_metadata_format(topic_id, &text);
    int error = file_system_replace(files, path, text.data, text.length);
    buffer_release(&text);
    return error;
}
