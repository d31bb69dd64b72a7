/* SPDX-License-Identifier: Apache-2.0 */
/* The table of codecs. */
#include "common/codec.h"

#include <string.h>

#include "common/codec_parts.h"

static int none_compress(int level, struct slice input, struct buffer *out)
{
    (void)level;
    buffer_append(out, input.data, input.length);
    return 0;
}

static int none_decompress(struct slice input, struct codec_sink *sink)
{
    if (input.length > sink->left)
        return -EMSGSIZE;
    buffer_append(sink->out, input.data, input.length);
    return 0;
}

static const struct codec_entry {
    const char *name;
    int (*compress)(int level, struct slice input, struct buffer *out);
    int (*decompress)(struct slice input, struct codec_sink *sink);
} codecs[CODEC_COUNT] = {
    [CODEC_NONE] = {"none", none_compress, none_decompress},
    [CODEC_GZIP] = {"gzip", codec_gzip_compress, codec_gzip_decompress},
    [CODEC_SNAPPY] = {"snappy", codec_snappy_compress, codec_snappy_decompress},
    [CODEC_LZ4] = {"lz4", codec_lz4_compress, codec_lz4_decompress},
    [CODEC_ZSTD] = {"zstd", codec_zstd_compress, codec_zstd_decompress},
};

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_COUNT ? codecs[codec].name : "unknown";
}

int codec_parse(struct slice name)
{
    for (int i = 0; i < CODEC_COUNT; i++) {
        if (slice_is(name, codecs[i].name))
            return i;
    }
    return -EINVAL;
}

int codec_compress(enum codec codec, int level, struct slice input, struct buffer *out)
{
    if ((unsigned)codec >= CODEC_COUNT)
        return -EINVAL;
    size_t before = out->length;
    int error = codecs[codec].compress(level, input, out);
    if (error)
        out->length = before;
    return error;
}

int codec_decompress(enum codec codec, struct slice input, size_t limit, struct buffer *out)
{
    if ((unsigned)codec >= CODEC_COUNT)
        return -EINVAL;
    size_t before = out->length;
    struct codec_sink sink = {out, limit};
    int error = codecs[codec].decompress(input, &sink);
    if (error)
        out->length = before;
    return error;
}
