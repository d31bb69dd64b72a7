/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: known values, the table, and the instruction against the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "common/crc32c.h"
#include "common/crc32c_table.h"
#include "common/memory.h"
#include "common/prng.h"

#define POLYNOMIAL 0x82f63b78u

static void test_known_values(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "", 0), 0);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
    uint8_t bytes[32] = {0};
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa); /* RFC 3720, B.4 */
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
}

static void test_table_is_the_polynomials(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t remainder = byte;
        for (int k = 0; k < 8; k++) {
            for (int bit = 0; bit < 8; bit++)
                remainder = remainder >> 1 ^ (remainder & 1 ? POLYNOMIAL : 0);
            assert_int_equal(crc32c_table[k][byte], remainder);
        }
    }
}

static void test_hardware_equals_portable(void **state)
{
    (void)state;
    const uint64_t seed = 21;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    const size_t size = 40000;
    uint8_t *bytes = memory_allocate(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)prng_next(&prng);
    for (int i = 0; i < 3000; i++) {
        size_t offset = (size_t)prng_below(&prng, 64);
        size_t length = (size_t)prng_below(&prng, prng_one_in(&prng, 3) ? size - 64 : 1000);
        uint32_t start = (uint32_t)prng_next(&prng);
        uint32_t expected = crc32c_portable(start, bytes + offset, length);
        assert_int_equal(crc32c(start, bytes + offset, length), expected);
        size_t cut = (size_t)prng_below(&prng, length + 1);
        uint32_t first = crc32c(start, bytes + offset, cut);
        assert_int_equal(crc32c(first, bytes + offset + cut, length - cut), expected);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_table_is_the_polynomials),
        cmocka_unit_test(test_hardware_equals_portable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
