/* SPDX-License-Identifier: Apache-2.0 */
/* Zstandard frames. A frame that asks for a window of more than 128 MiB is refused: it costs memory at once.
 */
#include <zstd.h>

#include "common/check.h"
#include "common/codec_parts.h"

#define ZSTD_WINDOW_LOG_MAX 27
#define ZSTD_LEVEL_DEFAULT 3

int codec_zstd_compress(int level, struct slice input, struct buffer *out)
{
    if (level == CODEC_DEFAULT_LEVEL)
        level = ZSTD_LEVEL_DEFAULT;
    if (level < ZSTD_minCLevel() || level > ZSTD_maxCLevel())
        return -EINVAL;
    size_t bound = ZSTD_compressBound(input.length);
    uint8_t *at = buffer_reserve(out, bound);
    size_t written = ZSTD_compress(at, bound, input.data, input.length, level);
    CHECK(!ZSTD_isError(written));
    out->length += written;
    return 0;
}

static int decompress_frames(ZSTD_DCtx *context, struct slice input, struct codec_sink *sink)
{
    ZSTD_inBuffer source = {input.data, input.length, 0};
    for (;;) {
        size_t room;
        uint8_t *at = codec_sink_room(sink, &room);
        ZSTD_outBuffer target = {at, room, 0};
        size_t consumed_before = source.pos;
        size_t wanted = ZSTD_decompressStream(context, &target, &source);
        if (ZSTD_isError(wanted))
            return -EBADMSG;
        int error = codec_sink_advance(sink, target.pos);
        if (error)
            return error;
        if (wanted == 0 && source.pos == source.size)
            return 0;
        if (source.pos == consumed_before && target.pos == 0)
            return -EBADMSG; /* the end is missing */
    }
}

int codec_zstd_decompress(struct slice input, struct codec_sink *sink)
{
    if (input.length == 0)
        return -EBADMSG;
    ZSTD_DCtx *context = ZSTD_createDCtx();
    CHECK(context != NULL);
    size_t result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    CHECK(!ZSTD_isError(result));
    int error = decompress_frames(context, input, sink);
    ZSTD_freeDCtx(context);
    return error;
}
