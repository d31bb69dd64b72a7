/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZ4 frames as Kafka writes them: independent blocks of at most 64 KiB, no checksums but the header's, no
 * content size. Any single data frame is read; skippable frames and several frames are not.
 */
#include <lz4frame.h>
#include <lz4hc.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/codec_parts.h"
#include "common/memory.h"

/* Kafka's range; the library's own ends at LZ4HC_CLEVEL_MAX, and it takes higher ones for that. */
#define LZ4_LEVEL_MIN 1
#define LZ4_LEVEL_MAX 17

static const uint8_t lz4_magic[4] = {0x04, 0x22, 0x4d, 0x18};

static int lz4_compress(int level, struct slice input, struct buffer *out)
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

struct lz4_state {
    LZ4F_dctx *context;
    bool begun;
    size_t block_bytes; /* of the largest blocks met: the context keeps room for two of them */
};

static void *lz4_create(void)
{
    struct lz4_state *state = memory_allocate_zeroed(1, sizeof(*state));
    LZ4F_errorCode_t result = LZ4F_createDecompressionContext(&state->context, LZ4F_VERSION);
    CHECK(!LZ4F_isError(result));
    return state;
}

static void lz4_reset(void *state)
{
    struct lz4_state *lz4 = state;
    LZ4F_resetDecompressionContext(lz4->context);
    lz4->begun = false;
}

static void lz4_free(void *state)
{
    struct lz4_state *lz4 = state;
    LZ4F_freeDecompressionContext(lz4->context);
    free(lz4);
}

static size_t lz4_memory(const void *state)
{
    return 2 * ((const struct lz4_state *)state)->block_bytes;
}

/* The frame's header: the magic must be that of a data frame, and its blocks decide about the memory. */
static int begin_frame(struct lz4_state *lz4, struct slice *input)
{
    LZ4F_frameInfo_t info;
    size_t consumed = input->length;
    if (input->length < sizeof(lz4_magic) || memcmp(input->data, lz4_magic, sizeof(lz4_magic)) != 0)
        return -EBADMSG;
    if (LZ4F_isError(LZ4F_getFrameInfo(lz4->context, &info, input->data, &consumed)))
        return -EBADMSG;
    /* 4 is 64 KiB, and each next one four times the one before. */
    unsigned steps = info.blockSizeID <= LZ4F_max64KB ? 0 : (unsigned)(info.blockSizeID - LZ4F_max64KB);
    size_t block_bytes = ((size_t)64 * 1024) << (2 * steps);
    if (block_bytes > lz4->block_bytes)
        lz4->block_bytes = block_bytes;
    codec_consume(input, consumed);
    lz4->begun = true;
    return 0;
}

static int lz4_read(void *state, struct slice *input, uint8_t *out, size_t room, size_t *produced)
{
    struct lz4_state *lz4 = state;
    if (!lz4->begun && begin_frame(lz4, input))
        return -EBADMSG;
    for (*produced = 0; *produced < room;) {
        size_t written = room - *produced;
        size_t consumed = input->length;
        size_t wanted =
            LZ4F_decompress(lz4->context, out + *produced, &written, input->data, &consumed, NULL);
        if (LZ4F_isError(wanted))
            return -EBADMSG;
        *produced += written;
        codec_consume(input, consumed);
        if (wanted == 0)
            return input->length == 0 ? CODEC_READ_END : -EBADMSG;
        if (consumed == 0 && written == 0)
            return -EBADMSG; /* the end is missing */
    }
    return 0;
}

const struct codec_functions codec_lz4 = {
    .name = "lz4",
    .compress = lz4_compress,
    .create = lz4_create,
    .reset = lz4_reset,
    .read = lz4_read,
    .memory = lz4_memory,
    .free = lz4_free,
};
