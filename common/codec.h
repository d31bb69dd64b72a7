/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka's compression codecs as one table: gzip (zlib), snappy (xerial framing, and bare on reading), lz4
 * (frame format), zstd. Decompression takes a mandatory cap on its output: a small input may announce or
 * produce a huge one; or it is done a piece at a time, by a reader, and its caller stops when it has enough.
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

/*
 * Decompresses one input after the other, of any codecs, a piece at a time into the caller's memory. What a
 * codec needs for it (its tables, its window) is made when it is first met and kept for the next input, so a
 * reader that is used again costs no allocation. Besides that it holds nothing but, of snappy, one block, of
 * at most block_bytes_max. One thread at a time.
 */
struct codec_reader {
    enum codec codec;
    struct slice input; /* not consumed yet */
    bool ended;
    size_t block_bytes_max;    /* more than that is not unpacked at once; the user's, SIZE_MAX at first */
    void *states[CODEC_COUNT]; /* NULL: not met yet */
};

void codec_reader_init(struct codec_reader *reader);
void codec_reader_release(struct codec_reader *reader);
/* Begins with an input, which must stay until it is read; the former one is forgotten. 0, or -EINVAL. */
MUST_CHECK int codec_reader_start(struct codec_reader *reader, enum codec codec, struct slice input);
/*
 * Writes the next bytes, at most `room` (not 0), to `out`. 0 with *produced: 0 of them means the end, and
 * that the input was whole. -EBADMSG as codec_decompress, -EMSGSIZE: a block of more than block_bytes_max;
 * *produced is 0 then.
 */
MUST_CHECK int codec_reader_read(struct codec_reader *reader, uint8_t *out, size_t room, size_t *produced);
/* Gives back what is kept beyond a usual amount: after inputs with a large window or large blocks. */
void codec_reader_trim(struct codec_reader *reader);

#endif
