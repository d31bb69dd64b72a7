/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Zstandard frames. A frame that asks for a window of more than 128 MiB is refused: it costs memory at once.
 * Whether a frame has as much as its header says is seen here: the library looks at it or not, depending on
 * the room that it is given.
 */
#include <stdlib.h>
#include <zstd.h>

#include "common/check.h"
#include "common/codec_parts.h"
#include "common/memory.h"

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

struct zstd_state {
    ZSTD_DCtx *context;
    bool in_frame;
    unsigned long long announced; /* by the frame; ZSTD_CONTENTSIZE_UNKNOWN, _ERROR */
    unsigned long long produced;  /* of the frame */
};

static void *zstd_create(void)
{
    struct zstd_state *zstd = memory_allocate_zeroed(1, sizeof(*zstd));
    zstd->context = ZSTD_createDCtx();
    CHECK(zstd->context != NULL);
    size_t result = ZSTD_DCtx_setParameter(zstd->context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    CHECK(!ZSTD_isError(result));
    return zstd;
}

static void zstd_reset(void *state)
{
    struct zstd_state *zstd = state;
    size_t result = ZSTD_DCtx_reset(zstd->context, ZSTD_reset_session_only);
    CHECK(!ZSTD_isError(result));
    zstd->in_frame = false;
}

static void zstd_free(void *state)
{
    struct zstd_state *zstd = state;
    ZSTD_freeDCtx(zstd->context);
    free(zstd);
}

static size_t zstd_memory(const void *state)
{
    return ZSTD_sizeof_DCtx(((const struct zstd_state *)state)->context);
}

static void begin_frame(struct zstd_state *zstd, struct slice input)
{
    if (zstd->in_frame)
        return;
    zstd->in_frame = true;
    zstd->announced = ZSTD_getFrameContentSize(input.data, input.length);
    zstd->produced = 0;
}

/* The frame is whole. False: it has not what it announced. */
static bool end_frame(struct zstd_state *zstd)
{
    zstd->in_frame = false;
    return zstd->announced == ZSTD_CONTENTSIZE_UNKNOWN || zstd->announced == ZSTD_CONTENTSIZE_ERROR ||
           zstd->announced == zstd->produced;
}

static int zstd_read(void *state, struct slice *input, uint8_t *out, size_t room, size_t *produced)
{
    struct zstd_state *zstd = state;
    ZSTD_outBuffer target = {out, room, 0};
    while (target.pos < target.size) {
        ZSTD_inBuffer source = {input->data, input->length, 0};
        size_t produced_before = target.pos;
        begin_frame(zstd, *input);
        size_t wanted = ZSTD_decompressStream(zstd->context, &target, &source);
        if (ZSTD_isError(wanted))
            return -EBADMSG;
        zstd->produced += target.pos - produced_before;
        codec_consume(input, source.pos);
        *produced = target.pos;
        if (wanted == 0 && !end_frame(zstd))
            return -EBADMSG;
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
