/* SPDX-License-Identifier: Apache-2.0 */
/* A fetch by hand, its request in the test's memory, for the tests of the fetch handlers. */
#ifndef TESTS_UNIT_API_FETCHING_H
#define TESTS_UNIT_API_FETCHING_H

#include "proto/kafka/messages/fetch.h"
#include "tests/unit/api/exchange.h"

struct fetching {
    struct exchange exchange;
    struct fetch_request body;
    struct fetch_request_topic topics[2]; /* one partition each */
    struct fetch_request_partition partitions[2];
    struct fetch_response response;
    struct fetch_response_partition_data *partition; /* the first one of the answer */
};

/* A sessionless consumer's fetch of partition 0 of the topic from `offset` on, not waiting; the test changes
 * what it likes. */
void fetching_prepare(struct fetching *fetching, const char *topic, int64_t offset);

#endif
