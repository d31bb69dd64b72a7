/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snappy. Written in xerial's framing, as the Java client does: a header of 16 bytes (magic, int32 version 1,
 * int32 compatible version 1), then blocks of an int32 length and that many bytes of raw snappy, each of at
 * most 32 KiB of input. Read in that framing, where a header may come again between blocks, or bare, as some
 * clients send it.
 */
#include <snappy-c.h>
#include <string.h>

#include "common/bytes.h"
#include "common/check.h"
#include "common/codec_parts.h"

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

int codec_snappy_compress(int level, struct slice input, struct buffer *out)
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

static int decompress_block(struct slice block, struct codec_sink *sink)
{
    size_t length = 0;
    if (block.length == 0 ||
        snappy_uncompressed_length((const char *)block.data, block.length, &length) != SNAPPY_OK ||
        length / SNAPPY_RATIO_MAX > block.length)
        return -EBADMSG;
    if (length > sink->left)
        return -EMSGSIZE;
    uint8_t *at = buffer_reserve(sink->out, length + 1);
    if (snappy_uncompress((const char *)block.data, block.length, (char *)at, &length) != SNAPPY_OK)
        return -EBADMSG;
    return codec_sink_advance(sink, length);
}

static bool at_header(const struct byte_reader *reader)
{
    return reader_left(reader) >= XERIAL_HEADER_BYTES &&
           memcmp(reader->at, xerial_magic, sizeof(xerial_magic)) == 0;
}

int codec_snappy_decompress(struct slice input, struct codec_sink *sink)
{
    struct byte_reader reader;
    reader_init(&reader, input);
    if (!at_header(&reader))
        return decompress_block(input, sink);
    while (reader_left(&reader) > 0) {
        if (at_header(&reader)) {
            reader_take(&reader, XERIAL_HEADER_BYTES);
            continue;
        }
        uint32_t length = reader_u32(&reader);
        struct slice block = reader_slice(&reader, length);
        if (reader_failed(&reader))
            return -EBADMSG;
        int error = decompress_block(block, sink);
        if (error)
            return error;
    }
    return 0;
}
