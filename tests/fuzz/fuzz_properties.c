/* SPDX-License-Identifier: Apache-2.0 */
/* Properties files: what is parsed is written and parsed again, and is the same. */
#include <string.h>

#include "common/check.h"
#include "common/properties.h"
#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct properties properties, again;
    struct buffer text;
    properties_init(&properties);
    properties_init(&again);
    buffer_init(&text);
    int error = properties_parse(&properties, slice_make(data, size), &text);
    CHECK((error != 0) == (text.length > 0));
    buffer_clear(&text);
    for (size_t i = 0; i < properties.count; i++)
        properties_write(&text, properties.items[i].key, properties.items[i].value);
    error = properties_parse(&again, buffer_slice(&text), NULL);
    CHECK(error == 0);
    CHECK(again.count == properties.count);
    for (size_t i = 0; i < again.count; i++) {
        CHECK(strcmp(again.items[i].key, properties.items[i].key) == 0);
        CHECK(strcmp(again.items[i].value, properties.items[i].value) == 0);
    }
    properties_release(&properties);
    properties_release(&again);
    buffer_release(&text);
    return 0;
}
