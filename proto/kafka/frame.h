/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where frames begin and end in a stream: a big-endian int32 length, then so many bytes of body. The decoder
 * only counts; the bytes stay with the caller, who can therefore read a body straight into its final place:
 *
 *     read at most frame_decoder_wanted() bytes; frame_decoder_feed() them;
 *     once frame_decoder_size() is known, take a buffer of that size for the body;
 *     FRAME_READY: handle the body, frame_decoder_next().
 *
 * The announced length is checked before anybody allocates by it. Pure; one thread at a time.
 */
#ifndef PROTO_KAFKA_FRAME_H
#define PROTO_KAFKA_FRAME_H

#include "common/base.h"
#include "common/slice.h"

#define FRAME_PREFIX_SIZE 4
/* No request is shorter than header v0, no response than a correlation id. */
#define FRAME_REQUEST_MINIMUM 8
#define FRAME_RESPONSE_MINIMUM 4

enum frame_state {
    FRAME_NEED_MORE,
    FRAME_READY,  /* the last byte of the body has been fed */
    FRAME_BROKEN, /* see frame_decoder_reason; the stream cannot be read on */
};

struct frame_decoder {
    size_t minimum;
    size_t limit;
    uint8_t prefix[FRAME_PREFIX_SIZE];
    size_t prefix_length; /* bytes of the prefix that have arrived */
    size_t size;          /* of the body, once the prefix is complete */
    size_t arrived;       /* bytes of the body */
    const char *reason;   /* NULL unless broken */
};

/* Bodies of `minimum` to `limit` bytes are accepted; limit is socket.request.max.bytes, say. */
void frame_decoder_init(struct frame_decoder *decoder, size_t minimum, size_t limit);

/*
 * Takes notice of bytes from the stream. *used is how many of them belong to the present frame; the rest, if
 * any, belongs to the next one and is fed again after frame_decoder_next.
 */
enum frame_state frame_decoder_feed(struct frame_decoder *decoder, struct slice bytes, size_t *used);

/* True when the body's size is known and accepted. */
bool frame_decoder_has_size(const struct frame_decoder *decoder);
/* The body's size; 0 until known. */
size_t frame_decoder_size(const struct frame_decoder *decoder);
/* Bytes that the prefix, or once it is there the body, still lacks; 0 when ready or broken. */
size_t frame_decoder_wanted(const struct frame_decoder *decoder);
/* Why the stream is broken, for the log: a constant text without what the peer sent. */
const char *frame_decoder_reason(const struct frame_decoder *decoder);

/* After FRAME_READY: waits for the next frame. */
void frame_decoder_next(struct frame_decoder *decoder);

#endif
