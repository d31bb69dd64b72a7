/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snappy. Written in xerial's framing, as the Java client does: a header of 16 bytes (magic, int32 version 1,
 * int32 compatible version 1), then blocks of an int32 length and that many bytes of raw snappy, each of at
 * most 32 KiB of input. Read in that framing, where a header may come again between blocks, or bare, as some
 * clients send it.
 */
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/codec_parts.h"
#include "common/memory.h"

#define XERIAL_MAGIC_BYTES 8
#define XERIAL_HEADER_BYTES 16
#define XERIAL_BLOCK_BYTES (32 * 1024)
#define XERIAL_VERSION 1

/*
 * The best that snappy's format can do is a copy of 64 bytes in an element of 3: a block that announces more
 * than this many times its size is wrong, and no memory is reserved for it.
 */
#define SNAPPY_RATIO_MAX 22

static const uint8_t xerial_magic[XERIAL_MAGIC_BYTES] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

static int xerial_compress(int level, struct slice input, struct buffer *out)
{
    (void)level;
    buffer_append(out, xerial_magic, sizeof(xerial_magic));
    writer_u32(out, XERIAL_VERSION);
    writer_u32(out, XERIAL_VERSION);
    for (size_t done = 0; done < input.length;) {
        size_t step = min_size(input.length - done, XERIAL_BLOCK_BYTES);
        size_t compressed = snappy_max_compressed_length(step);
        uint8_t *at = buffer_reserve(out, 4 + compressed);
        snappy_status status =
            snappy_compress((const char *)input.data + done, step, (char *)at + 4, &compressed);
        CHECK(status == SNAPPY_OK);
        store_u32(at, (uint32_t)compressed);
        out->length += 4 + compressed;
        done += step;
    }
    return 0;
}

/* Bytes of a block that did not fit into the room that was left wait here. */
struct snappy_state {
    bool begun;
    bool bare;
    size_t block_bytes_max;
    struct buffer block;
    size_t given; /* of it */
};

static void *xerial_create(void)
{
    struct snappy_state *state = memory_allocate_zeroed(1, sizeof(*state));
    buffer_init(&state->block);
    return state;
}

static void xerial_reset(void *state)
{
    struct snappy_state *snappy = state;
    snappy->begun = false;
    buffer_clear(&snappy->block);
    snappy->given = 0;
}

static void xerial_limit_block(void *state, size_t bytes_max)
{
    ((struct snappy_state *)state)->block_bytes_max = bytes_max;
}

static void xerial_free(void *state)
{
    struct snappy_state *snappy = state;
    buffer_release(&snappy->block);
    free(snappy);
}

static size_t xerial_memory(const void *state)
{
    return ((const struct snappy_state *)state)->block.capacity;
}

static bool at_header(struct slice input)
{
    return input.length >= XERIAL_HEADER_BYTES && memcmp(input.data, xerial_magic, XERIAL_MAGIC_BYTES) == 0;
}

/* The next block's bytes off the front of the input; none at the end. */
static int next_block(struct snappy_state *snappy, struct slice *input, struct slice *block)
{
    if (!snappy->begun)
        snappy->bare = !at_header(*input);
    *block = slice_make(NULL, 0);
    if (snappy->bare) {
        if (!snappy->begun)
            *block = *input;
        codec_consume(input, block->length);
        if (!snappy->begun && block->length == 0)
            return -EBADMSG;
        snappy->begun = true;
        return 0;
    }
    snappy->begun = true;
    while (at_header(*input))
        codec_consume(input, XERIAL_HEADER_BYTES);
    if (input->length == 0)
        return 0;
    struct byte_reader reader;
    reader_init(&reader, *input);
    uint32_t length = reader_u32(&reader);
    *block = reader_slice(&reader, length);
    if (reader_failed(&reader) || length == 0)
        return -EBADMSG;
    codec_consume(input, 4 + (size_t)length);
    return 0;
}

static int decompress_block(struct slice block, uint8_t *out, size_t length)
{
    return snappy_uncompress((const char *)block.data, block.length, (char *)out, &length) == SNAPPY_OK
               ? 0
               : -EBADMSG;
}

static void give_rest(struct snappy_state *snappy, uint8_t *out, size_t room, size_t *produced)
{
    size_t step = min_size(room - *produced, snappy->block.length - snappy->given);
    if (step > 0)
        memcpy(out + *produced, snappy->block.data + snappy->given, step);
    snappy->given += step;
    *produced += step;
}

static int xerial_read(void *state, struct slice *input, uint8_t *out, size_t room, size_t *produced)
{
    struct snappy_state *snappy = state;
    *produced = 0;
    give_rest(snappy, out, room, produced);
    while (*produced < room) {
        struct slice block;
        size_t length = 0;
        if (next_block(snappy, input, &block))
            return -EBADMSG;
        if (block.length == 0)
            return CODEC_READ_END;
        if (snappy_uncompressed_length((const char *)block.data, block.length, &length) != SNAPPY_OK ||
            length / SNAPPY_RATIO_MAX > block.length)
            return -EBADMSG;
        if (length > snappy->block_bytes_max)
            return -EMSGSIZE;
        bool fits = length <= room - *produced;
        buffer_clear(&snappy->block);
        snappy->given = 0;
        uint8_t *at = fits ? out + *produced : buffer_reserve(&snappy->block, length + 1);
        if (decompress_block(block, at, length))
            return -EBADMSG;
        if (fits)
            *produced += length;
        else
            snappy->block.length = length;
        give_rest(snappy, out, room, produced);
    }
    return 0;
}

const struct codec_functions codec_snappy = {
    .name = "snappy",
    .compress = xerial_compress,
    .create = xerial_create,
    .reset = xerial_reset,
    .limit_block = xerial_limit_block,
    .read = xerial_read,
    .memory = xerial_memory,
    .free = xerial_free,
};
