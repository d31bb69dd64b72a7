/* SPDX-License-Identifier: Apache-2.0 */
/* Finds rows of the generated table of APIs (messages/apis.c in the build folder). */
#include "proto/kafka/api.h"

const struct kafka_api *kafka_api_find(int16_t key)
{
    size_t low = 0, high = kafka_api_table_size;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kafka_api_table[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == kafka_api_table_size || kafka_api_table[low].key != key)
        return NULL;
    return &kafka_api_table[low];
}

const char *kafka_api_name(int16_t key)
{
    const struct kafka_api *api = kafka_api_find(key);
    return api ? api->name : "Unknown";
}

bool kafka_api_is_flexible(int16_t key, int16_t version)
{
    const struct kafka_api *api = kafka_api_find(key);
    return api && version >= api->flexible_since;
}
