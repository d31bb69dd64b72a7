/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that many handlers share. */
#include "broker/api/answering.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/check.h"
#include "proto/kafka/error.h"

#define TOPIC_NAME_GREATEST 249

void request_refuse_malformed(struct request *request, int rc)
{
    if (rc == -ENOMEM)
        request_close_connection(request, "decoding the body would take more memory than its size allows");
    else
        request_close_connection(request, "the body is malformed");
}

void *answer_array(struct arena *arena, size_t count, size_t size)
{
    void *array = arena_allocate_array(arena, count, size);
    CHECK(array != NULL);
    return array;
}

struct slice answer_text(struct arena *arena, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0)
        return slice_of("");
    return arena_copy_slice(arena, slice_make(text, min_size((size_t)length, sizeof(text) - 1)));
}

struct partition *find_partition(struct api_context *context, const struct metadata_image *image,
                                 struct slice topic, int32_t number, int16_t *error)
{
    struct partition *partition = replica_manager_find(context->replicas, topic, number);
    *error = KAFKA_NONE;
    if (partition)
        return partition;
    const struct metadata_topic *known = metadata_image_topic(image, topic);
    bool elsewhere = known && metadata_topic_partition(known, number);
    *error = elsewhere ? KAFKA_NOT_LEADER_OR_FOLLOWER : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (elsewhere && replica_manager_is_offline(context->replicas, topic, number))
        *error = KAFKA_KAFKA_STORAGE_ERROR;
    return NULL;
}

bool topic_name_is_legal(struct slice name)
{
    if (name.length == 0 || name.length > TOPIC_NAME_GREATEST || slice_is(name, ".") || slice_is(name, ".."))
        return false;
    for (size_t i = 0; i < name.length; i++) {
        uint8_t byte = name.data[i];
        if (!(isascii(byte) && isalnum(byte)) && byte != '.' && byte != '_' && byte != '-')
            return false;
    }
    return true;
}
