/* SPDX-License-Identifier: Apache-2.0 */
/* A request as it comes off a socket: header, then the body of the API and version that the header names. */
#include "tests/fuzz/driver.h"

#include "proto/kafka/api.h"
#include "proto/kafka/header.h"
#include "tests/fuzz/kafka_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request_header header;
    struct byte_reader reader;
    reader_init(&reader, slice_make(data, size));
    if (request_header_decode(&header, &reader) != 0)
        return 0;
    const struct kafka_api *api = kafka_api_find(header.api_key);
    if (api)
        message_live(api->request, &reader, header.api_version);
    return 0;
}
