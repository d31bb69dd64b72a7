/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as text the way Java reads UTF-8: each run of bytes that begins like a character and does not become
 * one is replaced by one U+FFFD. How long such a run is decides how many come out, and so is part of the
 * format: a surrogate's three bytes make one, what is overlong makes one a byte.
 */
#include "tools/dump_log.h"

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Whether the second byte can stand behind the first of a character of three or four bytes. */
static bool second_fits(uint8_t first, uint8_t second)
{
    if (!is_continuation(second) || first > 0xf4)
        return false;
    if (first == 0xe0)
        return second >= 0xa0;
    if (first == 0xf0)
        return second >= 0x90;
    return first != 0xf4 || second < 0x90;
}

/* How many bytes the character at the front takes, or the run that is not one (*good is false then). */
static size_t character_bytes(struct slice bytes, bool *good)
{
    uint8_t first = bytes.data[0];
    *good = first < 0x80;
    if (*good || first < 0xc2 || first > 0xf4)
        return 1;
    size_t wanted = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (wanted == 2) {
        *good = bytes.length > 1 && is_continuation(bytes.data[1]);
        return *good ? 2 : 1;
    }
    if (bytes.length < 2 || !second_fits(first, bytes.data[1]))
        return 1;
    for (size_t i = 2; i < wanted; i++)
        if (i >= bytes.length || !is_continuation(bytes.data[i]))
            return i;
    *good = first != 0xed || bytes.data[1] < 0xa0; /* surrogates are no characters */
    return wanted;
}

void dump_append_text(struct buffer *out, struct slice bytes)
{
    size_t plain = 0; /* good bytes that were not appended yet */
    while (plain < bytes.length) {
        bool good;
        size_t length = character_bytes(slice_make(bytes.data + plain, bytes.length - plain), &good);
        if (good) {
            plain += length;
            continue;
        }
        buffer_append(out, bytes.data, plain);
        buffer_append_string(out, "\xef\xbf\xbd");
        bytes = slice_make(bytes.data + plain + length, bytes.length - plain - length);
        plain = 0;
    }
    buffer_append(out, bytes.data, plain);
}
