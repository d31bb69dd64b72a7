/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four codecs as codec.c's table sees them; each file is the only one that includes its library.
 *
 * `compress` appends to `out`: 0 or -EINVAL (level); what it appended before an error, codec.c takes back.
 *
 * For reading each has a state: `create` makes one (never NULL), `reset` readies it for a new input whatever
 * became of the last, `read` fills `room` bytes of `out` unless the input ends first, and takes what it
 * consumed off the front of *input. It returns 0 (full), CODEC_READ_END (all is read, to the last byte),
 * -EBADMSG or -EMSGSIZE; *produced is set unless it is one of those. An empty input is none of any codec.
 */
#ifndef COMMON_CODEC_PARTS_H
#define COMMON_CODEC_PARTS_H

#include <errno.h>

#include "common/buffer.h"
#include "common/codec.h"

/* A step of whole decompression never reserves more than this at once: memory follows what really comes out.
 */
#define CODEC_STEP_BYTES ((size_t)64 * 1024)
/* A state that holds more than this is not kept for the next input. */
#define CODEC_STATE_KEPT_BYTES ((size_t)4 * 1024 * 1024)

#define CODEC_READ_END 1

static inline void codec_consume(struct slice *input, size_t length)
{
    *input = slice_make(input->data + length, input->length - length);
}

/* What one codec can do. A const table of them is in codec.c. */
struct codec_functions {
    const char *name;
    int (*compress)(int level, struct slice input, struct buffer *out);
    void *(*create)(void); /* NULL, as the rest: nothing to decompress */
    void (*reset)(void *state);
    void (*limit_block)(void *state, size_t bytes_max); /* of the next input; NULL: has no blocks */
    int (*read)(void *state, struct slice *input, uint8_t *out, size_t room, size_t *produced);
    size_t (*memory)(const void *state); /* bytes that it holds; NULL: always little */
    void (*free)(void *state);
};

extern const struct codec_functions codec_gzip;
extern const struct codec_functions codec_snappy;
extern const struct codec_functions codec_lz4;
extern const struct codec_functions codec_zstd;

#endif
