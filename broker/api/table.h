/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which APIs are served, in which versions, by whom. ApiVersions answers with this table; what is not in it
 * does not exist for clients.
 */
#ifndef BROKER_API_TABLE_H
#define BROKER_API_TABLE_H

#include "broker/api/api.h"

struct api_row {
    int16_t key;
    int16_t minimum_version;
    int16_t maximum_version;
    bool inter_broker; /* for brokers only: not told to clients, refused on other listeners */
    void (*handle)(struct api_context *context, struct request *request);
    bool
        in_turn; /* handled when all answers before it have left: it tells news, and must not tell old ones */
};

extern const struct api_row api_rows[];
extern const size_t api_rows_count;

/* NULL: not served. */
const struct api_row *api_row_find(int16_t key);

/* The handlers, one or a few in each file. */
void handle_api_versions(struct api_context *context, struct request *request);
void handle_metadata(struct api_context *context, struct request *request);
void handle_describe_cluster(struct api_context *context, struct request *request);
void handle_produce(struct api_context *context, struct request *request);
void handle_fetch(struct api_context *context, struct request *request);
void handle_list_offsets(struct api_context *context, struct request *request);
void handle_offset_for_leader_epoch(struct api_context *context, struct request *request);
void handle_init_producer_id(struct api_context *context, struct request *request);
void handle_create_topics(struct api_context *context, struct request *request);
void handle_delete_topics(struct api_context *context, struct request *request);
void handle_delete_records(struct api_context *context, struct request *request);
void handle_create_partitions(struct api_context *context, struct request *request);
void handle_elect_leaders(struct api_context *context, struct request *request);
void handle_alter_partition_reassignments(struct api_context *context, struct request *request);
void handle_list_partition_reassignments(struct api_context *context, struct request *request);
void handle_alter_replica_log_dirs(struct api_context *context, struct request *request);
void handle_describe_log_dirs(struct api_context *context, struct request *request);
void handle_describe_configs(struct api_context *context, struct request *request);
void handle_control(struct api_context *context, struct request *request);

#endif
