/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request as it comes off a socket: header, then the body of the API and version that the header names.
 * What decodes is printed, encoded and decoded again; an arena with the broker's budget holds it.
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
    codec->print(message, version, &encoded);
    buffer_clear(&encoded);
    codec->encode(message, &writer, version);
    reader_init(&reader, buffer_slice(&encoded));
    int error = codec->decode(again, &reader, version, &arena);
    CHECK(error == 0 && reader_left(&reader) == 0);
    wire_writer_release(&writer);
    arena_release(&arena);
    buffer_release(&encoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request_header header;
    struct byte_reader reader;
    reader_init(&reader, slice_make(data, size));
    if (request_header_decode(&header, &reader) != 0)
        return 0;
    const struct kafka_api *api = kafka_api_find(header.api_key);
    if (!api)
        return 0;

    struct arena arena;
    void *message = memory_allocate_zeroed(2, api->request->size);
    arena_init(&arena, 4 * size + 64 * 1024);
    if (api->request->decode(message, &reader, header.api_version, &arena) == 0)
        encode_and_decode_again(api->request, message, (char *)message + api->request->size,
                                header.api_version);
    CHECK(arena.allocated <= arena.budget);
    arena_release(&arena);
    free(message);
    return 0;
}
