/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands in front of every request and response, in the versions of the protocol:
 *
 *   request v0   api key int16, api version int16, correlation id int32
 *   request v1   and client id: nullable string with int16 length
 *   request v2   and tagged fields (the client id stays as it is)
 *   response v0  correlation id int32
 *   response v1  and tagged fields
 *
 * Flexible versions of an API use request v2 and response v1, the others request v1 and response v0.
 * ControlledShutdown v0 has request v0. Answers to ApiVersions always have response v0, so that a client that
 * asked in a version we do not know can read what we know (KIP-511). Pure.
 */
#ifndef PROTO_KAFKA_HEADER_H
#define PROTO_KAFKA_HEADER_H

#include "proto/kafka/wire.h"

struct request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct slice client_id; /* borrowed from the input; may be null */
};

/* 0, 1 or 2. Keys that are not in the table of APIs count as inflexible. */
int request_header_version(int16_t api_key, int16_t api_version);
/* 0 or 1. */
int response_header_version(int16_t api_key, int16_t api_version);

/*
 * Reads the header in the version that its own first fields call for; the reader is then at the body. 0, or
 * -EBADMSG. Whether the key and the version are served is not looked at: a version beyond those of the table
 * is read like the highest.
 */
MUST_CHECK int request_header_decode(struct request_header *header, struct byte_reader *bytes);
void request_header_encode(const struct request_header *header, struct wire_writer *writer);

/* api_key and api_version are those of the request that is answered. */
void response_header_encode(struct wire_writer *writer, int16_t api_key, int16_t api_version,
                            int32_t correlation_id);
/* 0, or -EBADMSG. */
MUST_CHECK int response_header_decode(struct byte_reader *bytes, int16_t api_key, int16_t api_version,
                                      int32_t *correlation_id);

#endif
