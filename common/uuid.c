/* SPDX-License-Identifier: Apache-2.0 */
/* Ids as url-safe base64: 16 bytes are 21 characters of six bits and one of two. */
#include "common/uuid.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* The last character's lower four bits belong to no byte and are zero. */
#define PADDING_MASK 0x0f
#define DASH_INDEX 62 /* of '-' in the alphabet */

struct uuid uuid_from_random(const uint8_t random[16])
{
    struct uuid id;
    memcpy(id.bytes, random, sizeof(id.bytes));
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

bool uuid_is_usable(struct uuid id)
{
    static const struct uuid one = {{[15] = 1}};
    return !uuid_is_zero(id) && !uuid_equals(id, one) && id.bytes[0] >> 2 != DASH_INDEX;
}

/* Six bits of the id, zeros behind its end. */
static unsigned bits_at(const struct uuid *id, size_t character)
{
    size_t bit = character * 6;
    unsigned pair = (unsigned)id->bytes[bit / 8] << 8;
    if (bit / 8 + 1 < sizeof(id->bytes))
        pair |= id->bytes[bit / 8 + 1];
    return pair >> (10 - bit % 8) & 63;
}

void uuid_format(struct uuid id, char text[UUID_TEXT_LENGTH + 1])
{
    for (size_t i = 0; i < UUID_TEXT_LENGTH; i++)
        text[i] = alphabet[bits_at(&id, i)];
    text[UUID_TEXT_LENGTH] = '\0';
}

int uuid_parse(struct slice text, struct uuid *id)
{
    if (text.length != UUID_TEXT_LENGTH)
        return -EINVAL;
    uint8_t bytes[sizeof(id->bytes) + 1] = {0};
    for (size_t i = 0; i < UUID_TEXT_LENGTH; i++) {
        const char *found = text.data[i] == '\0' ? NULL : strchr(alphabet, text.data[i]);
        if (found == NULL)
            return -EINVAL;
        unsigned value = (unsigned)(found - alphabet);
        if (i == UUID_TEXT_LENGTH - 1 && (value & PADDING_MASK) != 0)
            return -EINVAL;
        size_t bit = i * 6;
        unsigned pair = value << (10 - bit % 8);
        bytes[bit / 8] |= (uint8_t)(pair >> 8);
        bytes[bit / 8 + 1] |= (uint8_t)pair;
    }
    memcpy(id->bytes, bytes, sizeof(id->bytes));
    return 0;
}
