/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness of the kernel; the seeded generator is all in the header. */
#include "common/prng.h"

#include <errno.h>
#include <sys/random.h>

#include "common/check.h"

void random_bytes(void *bytes, size_t length)
{
    uint8_t *at = bytes;
    while (length > 0) {
        ssize_t got = getrandom(at, length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        CHECK(got > 0);
        at += got;
        length -= (size_t)got;
    }
}

uint64_t random_u64(void)
{
    uint64_t value = 0;
    random_bytes(&value, sizeof(value));
    return value;
}
