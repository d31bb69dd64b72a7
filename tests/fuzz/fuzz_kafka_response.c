/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer as a broker's client gets it: two bytes choose API and version of the request that it answers,
 * then the header and the body. What decodes is encoded and decoded again.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "proto/kafka/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode_and_decode_again(const struct message_codec *codec, const void *message, void *again,
                                    int16_t version)
{
    struct wire_writer writer;
    struct byte_reader reader;
    struct buffer encoded;
    struct arena arena;

    buffer_init(&encoded);
    arena_init(&arena, ARENA_NO_BUDGET);
    wire_writer_init(&writer, &encoded);
    codec->encode(message, &writer, version);
    reader_init(&reader, buffer_slice(&encoded));
    int error = codec->decode(again, &reader, version, &arena);
    CHECK(error == 0 && reader_left(&reader) == 0);
    buffer_clear(&encoded);
    codec->print(again, version, &encoded);
    wire_writer_release(&writer);
    arena_release(&arena);
    buffer_release(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct kafka_api *api = &kafka_api_table[data[0] % kafka_api_table_size];
    int16_t versions = (int16_t)(api->maximum_version - api->minimum_version + 1);
    int16_t version = (int16_t)(api->minimum_version + data[1] % versions);
    struct byte_reader reader;
    int32_t correlation_id;
    reader_init(&reader, slice_make(data + 2, size - 2));
    if (response_header_decode(&reader, api->key, version, &correlation_id) != 0)
        return 0;

    struct arena arena;
    void *message = memory_allocate_zeroed(2, api->response->size);
    arena_init(&arena, 4 * size + 64 * 1024);
    if (api->response->decode(message, &reader, version, &arena) == 0)
        encode_and_decode_again(api->response, message, (char *)message + api->response->size, version);
    CHECK(arena.allocated <= arena.budget);
    arena_release(&arena);
    free(message);
    return 0;
}
