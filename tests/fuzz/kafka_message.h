/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets of requests and responses share: the life of a message once its codec is known. */
#ifndef TESTS_FUZZ_KAFKA_MESSAGE_H
#define TESTS_FUZZ_KAFKA_MESSAGE_H

#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/codec.h"

/* Prints the message, encodes it, and decodes that again, which must succeed. */
static inline void message_relive(const struct message_codec *codec, const void *message, int16_t version)
{
    void *again = memory_allocate_zeroed(1, codec->size);
    struct wire_writer writer;
    struct byte_reader reader;
    struct buffer encoded, text;
    struct arena arena;

    buffer_init(&encoded);
    buffer_init(&text);
    arena_init(&arena, ARENA_NO_BUDGET);
    wire_writer_init(&writer, &encoded);
    codec->print(message, version, &text);
    codec->encode(message, &writer, version);
    reader_init(&reader, buffer_slice(&encoded));
    int error = codec->decode(again, &reader, version, &arena);
    CHECK(error == 0 && reader_left(&reader) == 0);
    codec->print(again, version, &text);
    wire_writer_release(&writer);
    arena_release(&arena);
    buffer_release(&encoded);
    buffer_release(&text);
    free(again);
}

/* Decodes a body within the budget that a broker gives it; what decodes is relived. */
static inline void message_live(const struct message_codec *codec, struct byte_reader *reader,
                                int16_t version)
{
    void *message = memory_allocate_zeroed(1, codec->size);
    struct arena arena;

    arena_init(&arena, 4 * reader_left(reader) + 64 * 1024);
    if (codec->decode(message, reader, version, &arena) == 0)
        message_relive(codec, message, version);
    CHECK(arena.allocated <= arena.budget);
    arena_release(&arena);
    free(message);
}

#endif
