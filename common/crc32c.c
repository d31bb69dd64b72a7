/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C two ways: eight bytes a step by table, and the SSE4.2 instruction over three neighbouring lanes at
 * once, since the instruction takes three cycles but a new one can start in each.
 *
 * Joining lanes: the checksum of A followed by n bytes is crc(A) * x^(8n) modulo the polynomial. A carry-less
 * multiplication by x^(8n - 33) and one more crc32 instruction (which multiplies by x^32, and the reflected
 * product carries one x) do that; the constants are below, the unit test proves them.
 */
#include "common/crc32c.h"

#include <string.h>

#include "common/crc32c_table.h"

static uint32_t load_little_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t crc32c_portable(uint32_t seed, const void *data, size_t length)
{
    const uint8_t *at = data;
    uint32_t crc = ~seed;
    for (; length >= 8; length -= 8, at += 8) {
        uint32_t low = crc ^ load_little_u32(at);
        uint32_t high = load_little_u32(at + 4);
        crc = crc32c_table[7][low & 0xff] ^ crc32c_table[6][low >> 8 & 0xff] ^
              crc32c_table[5][low >> 16 & 0xff] ^ crc32c_table[4][low >> 24] ^ crc32c_table[3][high & 0xff] ^
              crc32c_table[2][high >> 8 & 0xff] ^ crc32c_table[1][high >> 16 & 0xff] ^
              crc32c_table[0][high >> 24];
    }
    for (; length > 0; length--, at++)
        crc = crc >> 8 ^ crc32c_table[0][(crc ^ *at) & 0xff];
    return ~crc;
}

#ifdef __x86_64__

#include <nmmintrin.h>
#include <wmmintrin.h>

#define HARDWARE __attribute__((target("sse4.2,pclmul")))

struct lane_size {
    size_t bytes;       /* of each of the three lanes; a multiple of 8 */
    uint32_t shift_one; /* x^(8 * bytes - 33), reflected */
    uint32_t shift_two; /* x^(16 * bytes - 33) */
};

static const struct lane_size lane_sizes[] = {
    {1024, 0x170076fa, 0xa51b6135},
    {128, 0x0d3b6092, 0xb9e02b86},
};

static inline uint64_t load_native_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

HARDWARE static inline uint64_t multiply(uint64_t crc, uint32_t factor)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128((long long)factor), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

HARDWARE static uint64_t update_lanes(uint64_t crc, const uint8_t *at, const struct lane_size *lane)
{
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < lane->bytes; i += 8) {
        crc = _mm_crc32_u64(crc, load_native_u64(at + i));
        second = _mm_crc32_u64(second, load_native_u64(at + lane->bytes + i));
        third = _mm_crc32_u64(third, load_native_u64(at + 2 * lane->bytes + i));
    }
    uint64_t product = multiply(crc, lane->shift_two) ^ multiply(second, lane->shift_one);
    return _mm_crc32_u64(0, product) ^ third;
}

HARDWARE static uint32_t crc32c_hardware(uint32_t seed, const void *data, size_t length)
{
    const uint8_t *at = data;
    uint64_t crc = (uint32_t)~seed;
    for (size_t i = 0; i < ARRAY_SIZE(lane_sizes); i++) {
        size_t bytes = 3 * lane_sizes[i].bytes;
        for (; length >= bytes; length -= bytes, at += bytes)
            crc = update_lanes(crc, at, &lane_sizes[i]);
    }
    for (; length >= 8; length -= 8, at += 8)
        crc = _mm_crc32_u64(crc, load_native_u64(at));
    for (; length > 0; length--, at++)
        crc = _mm_crc32_u8((uint32_t)crc, *at);
    return ~(uint32_t)crc;
}

uint32_t crc32c(uint32_t seed, const void *data, size_t length)
{
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return crc32c_hardware(seed, data, length);
    return crc32c_portable(seed, data, length);
}

#else

uint32_t crc32c(uint32_t seed, const void *data, size_t length)
{
    return crc32c_portable(seed, data, length);
}

#endif
