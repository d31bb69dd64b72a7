/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's compression codecs as one table: gzip (zlib), snappy (xerial framing, and bare on reading), lz4
 * (frame format), zstd. Decompression takes a mandatory cap on its output: a small input may announce or
 * produce a huge one.
 */
#ifndef COMMON_CODEC_H
#define COMMON_CODEC_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

/* The values are those of the attributes of a record batch. */
enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
#define CODEC_COUNT 5
/* Not -1: that is a level of zstd. gzip takes 1-9 (and -1, its default), lz4 1-17, zstd up to 22; none and
 * snappy have no levels and take any. */
#define CODEC_DEFAULT_LEVEL INT32_MIN

/* "none", "gzip", ... */
const char *codec_name(enum codec codec);
/* The codec of a name, or -EINVAL. */
int codec_parse(struct slice name);

/* Appends the compressed form to `out`. 0, or -EINVAL for an unknown codec or level. */
MUST_CHECK int codec_compress(enum codec codec, int level, struct slice input, struct buffer *out);
/*
 * Appends the decompressed form to `out`, never more than `limit` bytes. 0, -EBADMSG (not that codec's data,
 * truncated, trailing bytes), -EMSGSIZE (more than `limit`), -EINVAL (unknown codec). On an error `out` is as
 * it was.
 */
MUST_CHECK int codec_decompress(enum codec codec, struct slice input, size_t limit, struct buffer *out);

#endif
