/* SPDX-License-Identifier: Apache-2.0 */
/* Golden bytes and random batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/unit/records/fixtures.h"

static int digit_value(int digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit);
    return found == NULL ? -1 : (int)(found - digits);
}

void fixture_load(const char *name, struct buffer *out)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/records/%s.hex", GOLDEN_DIRECTORY, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int high = -1;
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        int value = digit_value(c);
        if (value < 0)
            continue;
        if (high < 0) {
            high = value;
            continue;
        }
        *buffer_extend(out, 1) = (uint8_t)(high << 4 | value);
        high = -1;
    }
    fclose(file);
    assert_true(out->length > 0);
}

void fixture_golden_value(struct buffer *out)
{
    for (int i = 0; i < 40; i++)
        buffer_append_string(out, "barnabas ");
}

static struct slice random_slice(struct prng *prng, bool may_be_null, const uint8_t *bytes, size_t length)
{
    if (may_be_null && prng_one_in(prng, 5))
        return slice_make(NULL, 0);
    return slice_make(bytes, (size_t)prng_below(prng, length + 1));
}

void fixture_random_batch(struct prng *prng, const struct record_batch_parameters *parameters, int count,
                          int64_t now_ms, enum codec codec, struct buffer *out)
{
    uint8_t bytes[300];
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, parameters);
    for (int i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof(bytes); j++)
            bytes[j] = (uint8_t)prng_below(prng, 8);
        struct record_header headers[3];
        size_t header_count = (size_t)prng_below(prng, ARRAY_SIZE(headers) + 1);
        for (size_t j = 0; j < header_count; j++) {
            headers[j].key = random_slice(prng, false, bytes, 20);
            headers[j].value = random_slice(prng, true, bytes, 20);
        }
        struct slice key = random_slice(prng, true, bytes, 30);
        struct slice value = random_slice(prng, true, bytes, sizeof(bytes));
        int64_t timestamp = now_ms + (int64_t)prng_below(prng, 1000);
        record_batch_builder_append(&builder, timestamp, key, value, headers, header_count);
    }
    assert_int_equal(record_batch_builder_finish(&builder, codec, CODEC_DEFAULT_LEVEL, out), 0);
    record_batch_builder_release(&builder);
}
