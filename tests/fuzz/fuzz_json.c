/* SPDX-License-Identifier: Apache-2.0 */
/* JSON documents: what is parsed is written and parsed again, and is the same. */
#include <stdlib.h>

#include "common/check.h"
#include "common/json.h"
#include "tests/fuzz/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer text;
    buffer_init(&text);
    json_t *json = json_parse_object(slice_make(data, size), &text);
    if (json == NULL) {
        CHECK(text.length > 0); /* it says why */
        buffer_release(&text);
        return 0;
    }
    int64_t integer;
    int32_t *values = NULL;
    size_t count = 0;
    struct slice string;
    json_get_integer(json, "version", &integer);
    json_get_string(json, "host", &string);
    if (json_get_int32_array(json, "isr", &values, &count))
        free(values);
    json_write_compact(json, &text);
    json_t *again = json_parse_object(buffer_slice(&text), NULL);
    CHECK(again != NULL);
    int equal = json_equal(json, again);
    CHECK(equal);
    json_decref(again);
    json_decref(json);
    buffer_release(&text);
    return 0;
}
