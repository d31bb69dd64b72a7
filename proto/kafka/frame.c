/* SPDX-License-Identifier: Apache-2.0 */
/* Counting of frames: see frame.h. */
#include "proto/kafka/frame.h"

#include "common/bytes.h"
#include "common/check.h"

void frame_decoder_init(struct frame_decoder *decoder, size_t minimum, size_t limit)
{
    *decoder = (struct frame_decoder){.minimum = minimum, .limit = limit};
}

void frame_decoder_next(struct frame_decoder *decoder)
{
    CHECK(frame_decoder_has_size(decoder) && decoder->arrived == decoder->size);
    frame_decoder_init(decoder, decoder->minimum, decoder->limit);
}

static enum frame_state frame_broken(struct frame_decoder *decoder, const char *reason)
{
    decoder->reason = reason;
    return FRAME_BROKEN;
}

static enum frame_state accept_size(struct frame_decoder *decoder)
{
    uint32_t size = load_u32(decoder->prefix);
    if (size > INT32_MAX)
        return frame_broken(decoder, "the frame's length is negative");
    if (size < decoder->minimum)
        return frame_broken(decoder, "the frame is too short for a header");
    if (size > decoder->limit)
        return frame_broken(decoder, "the frame is longer than the limit");
    decoder->size = size;
    return FRAME_NEED_MORE;
}

enum frame_state frame_decoder_feed(struct frame_decoder *decoder, struct slice bytes, size_t *used)
{
    *used = 0;
    if (decoder->reason)
        return FRAME_BROKEN;
    if (decoder->prefix_length < FRAME_PREFIX_SIZE) {
        size_t taken = min_size(bytes.length, FRAME_PREFIX_SIZE - decoder->prefix_length);
        for (size_t i = 0; i < taken; i++)
            decoder->prefix[decoder->prefix_length++] = bytes.data[i];
        *used = taken;
        if (decoder->prefix_length < FRAME_PREFIX_SIZE)
            return FRAME_NEED_MORE;
        if (accept_size(decoder) == FRAME_BROKEN)
            return FRAME_BROKEN;
    }
    size_t taken = min_size(bytes.length - *used, decoder->size - decoder->arrived);
    decoder->arrived += taken;
    *used += taken;
    return decoder->arrived == decoder->size ? FRAME_READY : FRAME_NEED_MORE;
}

bool frame_decoder_has_size(const struct frame_decoder *decoder)
{
    return decoder->prefix_length == FRAME_PREFIX_SIZE && !decoder->reason;
}

size_t frame_decoder_size(const struct frame_decoder *decoder)
{
    return decoder->size;
}

size_t frame_decoder_wanted(const struct frame_decoder *decoder)
{
    if (decoder->reason)
        return 0;
    if (decoder->prefix_length < FRAME_PREFIX_SIZE)
        return FRAME_PREFIX_SIZE - decoder->prefix_length;
    return decoder->size - decoder->arrived;
}

const char *frame_decoder_reason(const struct frame_decoder *decoder)
{
    return decoder->reason ? decoder->reason : "the frame is in order";
}
