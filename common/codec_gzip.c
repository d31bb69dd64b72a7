/* SPDX-License-Identifier: Apache-2.0 */
/* gzip by zlib. Members that follow one another are read as one stream, as Java does. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/check.h"
#include "common/codec_parts.h"
#include "common/memory.h"

#define GZIP_WINDOW_BITS (15 + 16) /* the largest window; + 16: gzip header and trailer */
#define GZIP_MEMORY_LEVEL 8        /* zlib's default */

/* zlib counts in unsigned int: input and output go in pieces of at most this many bytes. */
#define GZIP_STEP_BYTES ((size_t)1 << 30)

static void give_input(z_stream *stream, struct slice *input)
{
    if (stream->avail_in > 0 || input->length == 0)
        return;
    size_t step = min_size(input->length, GZIP_STEP_BYTES);
    stream->next_in = (Bytef *)input->data;
    stream->avail_in = (uInt)step;
    codec_consume(input, step);
}

static int gzip_compress(int level, struct slice input, struct buffer *out)
{
    if (level == CODEC_DEFAULT_LEVEL)
        level = Z_DEFAULT_COMPRESSION;
    if (level != Z_DEFAULT_COMPRESSION && (level < Z_BEST_SPEED || level > Z_BEST_COMPRESSION))
        return -EINVAL;
    z_stream stream;
    memset(&stream, 0, sizeof(stream));
    int result = deflateInit2(&stream, level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL, 0);
    CHECK(result == Z_OK);
    do {
        give_input(&stream, &input);
        stream.next_out = buffer_reserve(out, CODEC_STEP_BYTES);
        stream.avail_out = CODEC_STEP_BYTES;
        result = deflate(&stream, input.length == 0 ? Z_FINISH : Z_NO_FLUSH);
        CHECK(result == Z_OK || result == Z_STREAM_END);
        out->length += CODEC_STEP_BYTES - stream.avail_out;
    } while (result != Z_STREAM_END);
    deflateEnd(&stream);
    return 0;
}

static void *gzip_create(void)
{
    z_stream *stream = memory_allocate_zeroed(1, sizeof(*stream));
    int result = inflateInit2(stream, GZIP_WINDOW_BITS);
    CHECK(result == Z_OK);
    return stream;
}

static void gzip_reset(void *state)
{
    z_stream *stream = state;
    stream->avail_in = 0;
    inflateReset(stream);
}

static void gzip_free(void *state)
{
    inflateEnd(state);
    free(state);
}

static int gzip_read(void *state, struct slice *input, uint8_t *out, size_t room, size_t *produced)
{
    z_stream *stream = state;
    size_t step = min_size(room, GZIP_STEP_BYTES);
    stream->next_out = out;
    stream->avail_out = (uInt)step;
    for (;;) {
        give_input(stream, input);
        int result = inflate(stream, Z_NO_FLUSH);
        bool drained = stream->avail_in == 0 && input->length == 0;
        if (result == Z_STREAM_END && !drained)
            inflateReset(stream);
        else if (result != Z_STREAM_END && (result != Z_OK || (drained && stream->avail_out > 0)))
            return -EBADMSG; /* damaged, or its end is missing */
        *produced = step - stream->avail_out;
        if (result == Z_STREAM_END && drained)
            return CODEC_READ_END;
        if (stream->avail_out == 0)
            return 0;
    }
}

const struct codec_functions codec_gzip = {
    .name = "gzip",
    .compress = gzip_compress,
    .create = gzip_create,
    .reset = gzip_reset,
    .read = gzip_read,
    .free = gzip_free,
};
