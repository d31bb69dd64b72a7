/* SPDX-License-Identifier: Apache-2.0 */
/* 16-byte ids as Kafka writes them: url-safe base64 without padding, 22 characters. */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <string.h>

#include "common/base.h"
#include "common/slice.h"

struct uuid {
    uint8_t bytes[16];
};

#define UUID_TEXT_LENGTH 22

static inline bool uuid_equals(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static inline bool uuid_is_zero(struct uuid id)
{
    return uuid_equals(id, (struct uuid){{0}});
}

/* From 16 random bytes: version 4, variant 1. */
struct uuid uuid_from_random(const uint8_t random[16]);
/* False for ids that Kafka reserves (zero, one) or whose text starts with '-': draw again. */
bool uuid_is_usable(struct uuid id);
/* Writes 22 characters and a NUL. */
void uuid_format(struct uuid id, char text[UUID_TEXT_LENGTH + 1]);
/* 0, or -EINVAL. */
MUST_CHECK int uuid_parse(struct slice text, struct uuid *id);

#endif
