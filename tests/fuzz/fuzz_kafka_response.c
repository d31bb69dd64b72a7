/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer as a broker's client gets it: two bytes choose API and version of the request that it answers,
 * then come the header and the body.
 */
#include "tests/fuzz/driver.h"

#include "proto/kafka/api.h"
#include "proto/kafka/header.h"
#include "tests/fuzz/kafka_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct kafka_api *api = &kafka_api_table[data[0] % kafka_api_table_size];
    int16_t versions = (int16_t)(api->maximum_version - api->minimum_version + 1);
    int16_t version = (int16_t)(api->minimum_version + data[1] % versions);
    struct byte_reader reader;
    int32_t correlation_id;
    reader_init(&reader, slice_make(data + 2, size - 2));
    if (response_header_decode(&reader, api->key, version, &correlation_id) == 0)
        message_live(api->response, &reader, version);
    return 0;
}
