/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZ4 frames as Kafka writes them: independent blocks of at most 64 KiB, no checksums but the header's, no
 * content size. Any single data frame is read; skippable frames and several frames are not.
 */
#include <lz4frame.h>
#include <lz4hc.h>
#include <string.h>

#include "common/check.h"
#include "common/codec_parts.h"

/* Kafka's range; the library's own ends at LZ4HC_CLEVEL_MAX, and it takes higher ones for that. */
#define LZ4_LEVEL_MIN 1
#define LZ4_LEVEL_MAX 17

static const uint8_t lz4_magic[4] = {0x04, 0x22, 0x4d, 0x18};

int codec_lz4_compress(int level, struct slice input, struct buffer *out)
{
    if (level == CODEC_DEFAULT_LEVEL)
        level = LZ4_LEVEL_MIN; /* the fast compressor */
    if (level < LZ4_LEVEL_MIN || level > LZ4_LEVEL_MAX)
        return -EINVAL;
    LZ4F_preferences_t preferences;
    memset(&preferences, 0, sizeof(preferences));
    preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    preferences.compressionLevel = level < LZ4HC_CLEVEL_MAX ? level : LZ4HC_CLEVEL_MAX;
    size_t bound = LZ4F_compressFrameBound(input.length, &preferences);
    uint8_t *at = buffer_reserve(out, bound);
    size_t written = LZ4F_compressFrame(at, bound, input.data, input.length, &preferences);
    CHECK(!LZ4F_isError(written));
    out->length += written;
    return 0;
}

static int decompress_frame(LZ4F_dctx *context, struct slice input, struct codec_sink *sink)
{
    size_t done = 0;
    for (;;) {
        size_t room;
        uint8_t *at = codec_sink_room(sink, &room);
        size_t produced = room;
        size_t consumed = input.length - done;
        size_t wanted = LZ4F_decompress(context, at, &produced, input.data + done, &consumed, NULL);
        if (LZ4F_isError(wanted))
            return -EBADMSG;
        done += consumed;
        int error = codec_sink_advance(sink, produced);
        if (error)
            return error;
        if (wanted == 0)
            return done == input.length ? 0 : -EBADMSG;
        if (consumed == 0 && produced == 0)
            return -EBADMSG; /* the end is missing */
    }
}

int codec_lz4_decompress(struct slice input, struct codec_sink *sink)
{
    if (input.length < sizeof(lz4_magic) || memcmp(input.data, lz4_magic, sizeof(lz4_magic)) != 0)
        return -EBADMSG;
    LZ4F_dctx *context;
    LZ4F_errorCode_t result = LZ4F_createDecompressionContext(&context, LZ4F_VERSION);
    CHECK(!LZ4F_isError(result));
    int error = decompress_frame(context, input, sink);
    LZ4F_freeDecompressionContext(context);
    return error;
}
