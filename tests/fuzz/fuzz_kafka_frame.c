/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of frames, fed in pieces: the first byte is the size of the pieces. Counting must never go astray.
 */
#include "tests/fuzz/driver.h"

#include "common/bytes.h"
#include "common/check.h"
#include "proto/kafka/frame.h"

#define LIMIT 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t piece = 1 + data[0], at = 1, start = 1;
    struct frame_decoder decoder;
    frame_decoder_init(&decoder, FRAME_REQUEST_MINIMUM, LIMIT);
    while (at < size) {
        size_t used;
        enum frame_state state =
            frame_decoder_feed(&decoder, slice_make(data + at, min_size(piece, size - at)), &used);
        at += used;
        CHECK(at <= size);
        if (state == FRAME_BROKEN)
            break;
        CHECK(frame_decoder_size(&decoder) <= LIMIT);
        if (state == FRAME_READY) {
            CHECK(at - start == FRAME_PREFIX_SIZE + load_u32(data + start));
            frame_decoder_next(&decoder);
            start = at;
        } else {
            CHECK(used > 0 && frame_decoder_wanted(&decoder) > 0);
        }
    }
    return 0;
}
