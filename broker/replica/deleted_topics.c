/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of topic ids. */
#include "broker/replica/deleted_topics.h"

#include <stdlib.h>

#include "common/memory.h"

void deleted_topics_release(struct deleted_topics *deleted)
{
    free(deleted->topics);
    *deleted = (struct deleted_topics){.topics = NULL};
}

void deleted_topics_add(struct deleted_topics *deleted, struct uuid topic_id, int64_t now_ms)
{
    if (uuid_is_zero(topic_id))
        return;
    if (deleted->topics == NULL)
        deleted->topics = memory_allocate_zeroed(DELETED_TOPICS_MAX, sizeof(*deleted->topics));
    for (size_t i = 0; i < DELETED_TOPICS_MAX; i++) {
        if (uuid_equals(deleted->topics[i].topic_id, topic_id)) {
            deleted->topics[i].until_ms = now_ms + DELETED_TOPICS_KEPT_MS;
            return;
        }
    }
    deleted->topics[deleted->next] = (struct deleted_topic){topic_id, now_ms + DELETED_TOPICS_KEPT_MS};
    deleted->next = (deleted->next + 1) % DELETED_TOPICS_MAX;
}

bool deleted_topics_contains(const struct deleted_topics *deleted, struct uuid topic_id, int64_t now_ms)
{
    for (size_t i = 0; deleted->topics != NULL && !uuid_is_zero(topic_id) && i < DELETED_TOPICS_MAX; i++)
        if (uuid_equals(deleted->topics[i].topic_id, topic_id))
            return now_ms < deleted->topics[i].until_ms;
    return false;
}
