/* SPDX-License-Identifier: Apache-2.0 */
/* Making a Metadata answer from an image of the cluster. Pure: no locks, no clock. */
#ifndef BROKER_API_METADATA_ANSWER_H
#define BROKER_API_METADATA_ANSWER_H

#include "broker/api/auto_create.h"
#include "broker/replica/metadata_cache.h"
#include "common/arena.h"
#include "proto/kafka/messages/metadata.h"

struct metadata_asker {
    const struct metadata_image *image;
    const char *listener; /* whose endpoints are told */
    int16_t version;
    const struct metadata_request_topic *topics; /* NULL: all topics */
    size_t topics_count;
    const struct map
        *creating; /* struct auto_created_topic by name: just asked for, with their outcome; or NULL */
    uint64_t seed; /* for hashing names that strangers chose */
};

/* Fills the response; arrays are in `arena` (no budget), texts are the image's and the asker's. A topic that
 * is named twice is answered once. */
void metadata_answer_build(const struct metadata_asker *asker, const char *cluster_id, struct arena *arena,
                           struct metadata_response *response);

#endif
