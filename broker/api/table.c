/* SPDX-License-Identifier: Apache-2.0 */
/* The rows; a new API is one line here. */
#include "broker/api/table.h"

#include "proto/control/control.h"
#include "proto/kafka/api.h"

/* By ascending key: ApiVersions lists them so. */
const struct api_row api_rows[] = {
    {KAFKA_API_PRODUCE, 0, 11, false, handle_produce, false},
    {KAFKA_API_FETCH, 0, 17, false, handle_fetch, false},
    {KAFKA_API_LIST_OFFSETS, 0, 9, false, handle_list_offsets, false},
    {KAFKA_API_METADATA, 0, 12, false, handle_metadata, true},
    {KAFKA_API_API_VERSIONS, 0, 4, false, handle_api_versions, false},
    {KAFKA_API_CREATE_TOPICS, 0, 7, false, handle_create_topics, false},
    {KAFKA_API_DELETE_TOPICS, 0, 6, false, handle_delete_topics, false},
    {KAFKA_API_DELETE_RECORDS, 0, 2, false, handle_delete_records, false},
    {KAFKA_API_INIT_PRODUCER_ID, 0, 5, false, handle_init_producer_id, false},
    {KAFKA_API_OFFSET_FOR_LEADER_EPOCH, 0, 4, false, handle_offset_for_leader_epoch, false},
    {KAFKA_API_DESCRIBE_CONFIGS, 0, 4, false, handle_describe_configs, false},
    {KAFKA_API_ALTER_REPLICA_LOG_DIRS, 0, 2, false, handle_alter_replica_log_dirs, false},
    {KAFKA_API_DESCRIBE_LOG_DIRS, 0, 4, false, handle_describe_log_dirs, false},
    {KAFKA_API_CREATE_PARTITIONS, 0, 3, false, handle_create_partitions, false},
    {KAFKA_API_ELECT_LEADERS, 0, 2, false, handle_elect_leaders, false},
    {KAFKA_API_ALTER_PARTITION_REASSIGNMENTS, 0, 0, false, handle_alter_partition_reassignments, false},
    {KAFKA_API_LIST_PARTITION_REASSIGNMENTS, 0, 0, false, handle_list_partition_reassignments, false},
    {KAFKA_API_DESCRIBE_CLUSTER, 0, 1, false, handle_describe_cluster, true},
    {CONTROL_API_KEY, CONTROL_API_VERSION, CONTROL_API_VERSION, true, handle_control, false},
};

const size_t api_rows_count = ARRAY_SIZE(api_rows);

const struct api_row *api_row_find(int16_t key)
{
    for (size_t i = 0; i < api_rows_count; i++)
        if (api_rows[i].key == key)
            return &api_rows[i];
    return NULL;
}
