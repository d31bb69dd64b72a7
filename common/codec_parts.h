/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four codecs as codec.c's table sees them; each file is the only one that includes its library.
 *
 * compress appends to `out`: 0 or -EINVAL (level). decompress appends to the sink: 0, -EBADMSG or -EMSGSIZE.
 * What was appended before an error, codec.c takes back.
 */
#ifndef COMMON_CODEC_PARTS_H
#define COMMON_CODEC_PARTS_H

#include <errno.h>

#include "common/buffer.h"
#include "common/codec.h"

/* Output with a cap. */
struct codec_sink {
    struct buffer *out;
    size_t left; /* bytes that may still be appended */
};

/* A step of decompression never reserves more than this at once: memory follows what really comes out. */
#define CODEC_STEP_BYTES (64 * 1024)

/*
 * Room for the next piece of output and its size in *room, never 0: when the cap is reached it is one byte,
 * by which a codec shows that it has more.
 */
static inline uint8_t *codec_sink_room(struct codec_sink *sink, size_t *room)
{
    *room = sink->left == 0 ? 1 : min_size(sink->left, CODEC_STEP_BYTES);
    return buffer_reserve(sink->out, *room);
}

/* `produced` bytes were written there: 0, or -EMSGSIZE when they do not fit under the cap. */
MUST_CHECK static inline int codec_sink_advance(struct codec_sink *sink, size_t produced)
{
    if (produced > sink->left)
        return -EMSGSIZE;
    sink->out->length += produced;
    sink->left -= produced;
    return 0;
}

int codec_gzip_compress(int level, struct slice input, struct buffer *out);
int codec_gzip_decompress(struct slice input, struct codec_sink *sink);
int codec_snappy_compress(int level, struct slice input, struct buffer *out);
int codec_snappy_decompress(struct slice input, struct codec_sink *sink);
int codec_lz4_compress(int level, struct slice input, struct buffer *out);
int codec_lz4_decompress(struct slice input, struct codec_sink *sink);
int codec_zstd_compress(int level, struct slice input, struct buffer *out);
int codec_zstd_decompress(struct slice input, struct codec_sink *sink);

#endif
