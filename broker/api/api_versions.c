/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ApiVersions: the table as an answer. A version that we do not know is answered in version 0 with
 * UNSUPPORTED_VERSION and the whole list, so that any client can find a version in common (KIP-511).
 */
#include <ctype.h>

#include "broker/api/answering.h"
#include "broker/api/table.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/api_versions.h"

#define FIRST_VERSION_WITH_SOFTWARE_NAME 3

/* Letters and digits, and between them also '-' and '.'. */
static bool is_software_text(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i];
        bool inside = i > 0 && i + 1 < text.length;
        if (!(isascii(byte) && isalnum(byte)) && !(inside && (byte == '-' || byte == '.')))
            return false;
    }
    return text.length > 0;
}

static void answer_table(struct request *request, int16_t version, int16_t error)
{
    struct api_versions_response response;
    struct api_versions_response_api_version *keys =
        arena_allocate_array(&request->arena, api_rows_count, sizeof(keys[0]));
    if (keys == NULL) {
        request_close_connection(request, "no memory for the answer");
        return;
    }
    api_versions_response_init(&response);
    response.error_code = error;
    response.api_keys = keys;
    for (size_t i = 0; i < api_rows_count; i++)
        if (!api_rows[i].inter_broker)
            keys[response.api_keys_count++] = (struct api_versions_response_api_version){
                api_rows[i].key, api_rows[i].minimum_version, api_rows[i].maximum_version};
    api_versions_response_encode(&response, request_begin_answer(request), version);
    request_answer(request);
}

void handle_api_versions(struct api_context *context, struct request *request)
{
    (void)context;
    int16_t version = request->header.api_version;
    const struct api_row *row = api_row_find(request->header.api_key);
    if (version < row->minimum_version || version > row->maximum_version) {
        answer_table(request, 0, KAFKA_UNSUPPORTED_VERSION);
        return;
    }
    struct api_versions_request body;
    int rc = api_versions_request_decode(&body, &request->body, version, &request->arena);
    if (rc < 0) {
        request_refuse_malformed(request, rc);
        return;
    }
    int16_t error = KAFKA_NONE;
    if (version >= FIRST_VERSION_WITH_SOFTWARE_NAME &&
        (!is_software_text(body.client_software_name) || !is_software_text(body.client_software_version)))
        error = KAFKA_INVALID_REQUEST;
    answer_table(request, version, error);
}
