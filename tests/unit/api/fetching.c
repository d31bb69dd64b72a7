/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the tests of the fetch handlers. */
#include "tests/unit/api/fetching.h"

#include <string.h>

#include "tests/unit/api/api_bench.h"

void fetching_prepare(struct fetching *fetching, const char *topic, int64_t offset)
{
    memset(fetching, 0, sizeof(*fetching));
    fetch_request_init(&fetching->body);
    fetching->body.topics = fetching->topics;
    fetching->body.topics_count = 1;
    fetching->body.min_bytes = 1;
    for (size_t i = 0; i < 2; i++) {
        fetch_request_topic_init(&fetching->topics[i]);
        fetch_request_partition_init(&fetching->partitions[i]);
        fetching->topics[i].partitions = &fetching->partitions[i];
        fetching->topics[i].partitions_count = 1;
        fetching->topics[i].topic = slice_of(topic);
        fetching->topics[i].topic_id = api_bench_topic_id(topic);
        fetching->partitions[i].partition_max_bytes = 1000000;
        fetching->partitions[i].fetch_offset = offset;
    }
}
