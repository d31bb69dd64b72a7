/* SPDX-License-Identifier: Apache-2.0 */
/* gzip by zlib. Members that follow one another are read as one stream, as Java does. */
#include <string.h>
#include <zlib.h>

#include "common/check.h"
#include "common/codec_parts.h"

#define GZIP_WINDOW_BITS (15 + 16) /* the largest window; + 16: gzip header and trailer */
#define GZIP_MEMORY_LEVEL 8        /* zlib's default */

/* zlib counts in unsigned int: input goes in pieces of at most this many bytes. */
#define GZIP_INPUT_STEP_BYTES ((size_t)1 << 30)

static void give_input(z_stream *stream, struct slice *input)
{
    if (stream->avail_in > 0 || input->length == 0)
        return;
    size_t step = min_size(input->length, GZIP_INPUT_STEP_BYTES);
    stream->next_in = (Bytef *)input->data;
    stream->avail_in = (uInt)step;
    *input = slice_make(input->data + step, input->length - step);
}

int codec_gzip_compress(int level, struct slice input, struct buffer *out)
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

static int inflate_members(z_stream *stream, struct slice input, struct codec_sink *sink)
{
    for (;;) {
        give_input(stream, &input);
        size_t room;
        stream->next_out = codec_sink_room(sink, &room);
        stream->avail_out = (uInt)room;
        int result = inflate(stream, Z_NO_FLUSH);
        int error = codec_sink_advance(sink, room - stream->avail_out);
        if (error)
            return error;
        bool drained = stream->avail_in == 0 && input.length == 0;
        if (result == Z_STREAM_END) {
            if (drained)
                return 0;
            inflateReset(stream);
        } else if (result != Z_OK || (drained && stream->avail_out > 0)) {
            return -EBADMSG; /* damaged, or its end is missing */
        }
    }
}

int codec_gzip_decompress(struct slice input, struct codec_sink *sink)
{
    if (input.length == 0)
        return -EBADMSG;
    z_stream stream;
    memset(&stream, 0, sizeof(stream));
    int result = inflateInit2(&stream, GZIP_WINDOW_BITS);
    CHECK(result == Z_OK);
    int error = inflate_members(&stream, input, sink);
    inflateEnd(&stream);
    return error;
}
