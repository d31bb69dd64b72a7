/* SPDX-License-Identifier: Apache-2.0 */
/* Request and response headers: see header.h. */
#include "proto/kafka/header.h"

#include "proto/kafka/api.h"

int request_header_version(int16_t api_key, int16_t api_version)
{
    if (api_key == KAFKA_API_CONTROLLED_SHUTDOWN && api_version == 0)
        return 0;
    return kafka_api_is_flexible(api_key, api_version) ? 2 : 1;
}

int response_header_version(int16_t api_key, int16_t api_version)
{
    if (api_key == KAFKA_API_API_VERSIONS)
        return 0;
    return kafka_api_is_flexible(api_key, api_version) ? 1 : 0;
}

int request_header_decode(struct request_header *header, struct byte_reader *bytes)
{
    struct wire_reader reader;
    wire_reader_init(&reader, bytes, NULL, 0, false);
    *header = (struct request_header){0};
    header->api_key = reader_i16(bytes);
    header->api_version = reader_i16(bytes);
    header->correlation_id = reader_i32(bytes);
    int version = request_header_version(header->api_key, header->api_version);
    if (version >= 1)
        header->client_id = wire_read_string(&reader, true);
    if (version >= 2)
        wire_skip_all_tags(&reader);
    return wire_reader_error(&reader);
}

void request_header_encode(const struct request_header *header, struct wire_writer *writer)
{
    int version = request_header_version(header->api_key, header->api_version);
    wire_write_int16(writer, header->api_key);
    wire_write_int16(writer, header->api_version);
    wire_write_int32(writer, header->correlation_id);
    if (version >= 1)
        wire_write_string(writer, header->client_id, false, true);
    if (version >= 2)
        wire_write_tag_count(writer, 0);
}

void response_header_encode(struct wire_writer *writer, int16_t api_key, int16_t api_version,
                            int32_t correlation_id)
{
    wire_write_int32(writer, correlation_id);
    if (response_header_version(api_key, api_version) >= 1)
        wire_write_tag_count(writer, 0);
}

int response_header_decode(struct byte_reader *bytes, int16_t api_key, int16_t api_version,
                           int32_t *correlation_id)
{
    struct wire_reader reader;
    wire_reader_init(&reader, bytes, NULL, 0, false);
    *correlation_id = reader_i32(bytes);
    if (response_header_version(api_key, api_version) >= 1)
        wire_skip_all_tags(&reader);
    return wire_reader_error(&reader);
}
