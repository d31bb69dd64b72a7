/* SPDX-License-Identifier: Apache-2.0 */
/* Zstandard frames. A frame that asks for a window of more than 128 MiB is refused: it costs memory at once.
 */
#include <zstd.h>

#include "common/check.h"
#include "common/codec_parts.h"

#define ZSTD_WINDOW_LOG_MAX 27
#define ZSTD_LEVEL_DEFAULT 3

static int zstd_compress(int level, struct slice input, struct buffer *out)
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

static void *zstd_create(void)
{
    ZSTD_DCtx *context = ZSTD_createDCtx();
    CHECK(context != NULL);
    size_t result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    CHECK(!ZSTD_isError(result));
    return context;
}

static void zstd_reset(void *state)
{
    size_t result = ZSTD_DCtx_reset(state, ZSTD_reset_session_only);
    CHECK(!ZSTD_isError(result));
}

static void zstd_free(void *state)
{
    ZSTD_freeDCtx(state);
}

static size_t zstd_memory(const void *state)
{
    return ZSTD_sizeof_DCtx(state);
}

static int zstd_read(void *state, struct slice *input, uint8_t *out, size_t room, size_t *produced)
{
    ZSTD_outBuffer target = {out, room, 0};
    while (target.pos < target.size) {
        ZSTD_inBuffer source = {input->data, input->length, 0};
        size_t produced_before = target.pos;
        size_t wanted = ZSTD_decompressStream(state, &target, &source);
        if (ZSTD_isError(wanted))
            return -EBADMSG;
        codec_consume(input, source.pos);
        *produced = target.pos;
        if (wanted == 0 && input->length == 0)
            return CODEC_READ_END;
        if (source.pos == 0 && target.pos == produced_before)
            return -EBADMSG; /* the end is missing */
    }
    return 0;
}

const struct codec_functions codec_zstd = {
    .name = "zstd",
    .compress = zstd_compress,
    .create = zstd_create,
    .reset = zstd_reset,
    .read = zstd_read,
    .memory = zstd_memory,
    .free = zstd_free,
};
