/* SPDX-License-Identifier: Apache-2.0 */
/* What many handlers need: refusing what cannot be decoded, and finding partitions. */
#ifndef BROKER_API_ANSWERING_H
#define BROKER_API_ANSWERING_H

#include "broker/api/api.h"

/* Closes the connection for a body that could not be decoded (`rc` of its decoder). */
void request_refuse_malformed(struct request *request, int rc);

/*
 * An array of `count` zeroed elements in an arena without a budget: for answers, whose size follows from what
 * was decoded or from the cluster's state.
 */
void *answer_array(struct arena *arena, size_t count, size_t size);
/* printf into the arena. */
struct slice answer_text(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * The partition on this broker, with a reference for the caller; or NULL and *error:
 * KAFKA_NOT_LEADER_OR_FOLLOWER when the cluster has it elsewhere, else KAFKA_UNKNOWN_TOPIC_OR_PARTITION.
 */
struct partition *find_partition(struct api_context *context, const struct metadata_image *image,
                                 struct slice topic, int32_t number, int16_t *error);

/* 1 to 249 of the bytes [a-zA-Z0-9._-], and neither "." nor "..". */
bool topic_name_is_legal(struct slice name);

#endif
