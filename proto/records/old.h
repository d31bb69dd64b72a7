/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the formats before record batches (magic 0 and 1), as far as a broker needs to recognise them,
 * step over them, and tell a good one from a damaged one:
 *
 *    0  int64 offset               16  int8 magic
 *    8  int32 size behind it       17  int8 attributes: bits 0-2 codec, 3 timestamp type (magic 1)
 *   12  uint32 CRC-32 of 16..      18  int64 timestamp (magic 1 only)
 *   then int32 key length and key, int32 value length and value (-1: null)
 *
 * The value of a compressed message is a set of messages, which is not looked into here. Pure.
 */
#ifndef PROTO_RECORDS_OLD_H
#define PROTO_RECORDS_OLD_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/codec.h"
#include "common/slice.h"

struct old_message {
    int64_t offset; /* of a compressed message: of the last one inside */
    size_t size_bytes;
    int magic;
    uint32_t crc;
    enum codec codec; /* 4-7 are possible and mean nothing in these formats */
    bool append_time;
    int64_t timestamp; /* -1 in magic 0 */
    struct slice key;
    struct slice value;
    struct slice bytes;
};

/*
 * Parses the message at the start of `bytes`. 0; -ENODATA: it is not complete; -EBADMSG: not magic 0 or 1, or
 * lengths that do not fit its size. Slices borrow from `bytes`.
 */
MUST_CHECK int old_message_parse(struct slice bytes, struct old_message *message);
MUST_CHECK bool old_message_check_crc(const struct old_message *message);
/* Appends the message: offset, magic, codec, timestamps, key and value as they are (a compressed value too),
 * size and CRC computed. 0; -EMSGSIZE: too long for the format, and `out` is as it was. */
MUST_CHECK int old_message_append(const struct old_message *message, struct buffer *out);

#endif
