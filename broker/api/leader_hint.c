/* SPDX-License-Identifier: Apache-2.0 */
/* Looking the leader up: our own replica knows best, else the metadata. */
#include "broker/api/leader_hint.h"

#include <stdlib.h>

#include "common/memory.h"

void leader_hints_init(struct leader_hints *hints)
{
    *hints = (struct leader_hints){0};
}

void leader_hints_release(struct leader_hints *hints)
{
    free(hints->brokers);
    leader_hints_init(hints);
}

static void note_broker(struct leader_hints *hints, const struct metadata_broker *broker)
{
    for (size_t i = 0; i < hints->count; i++)
        if (hints->brokers[i] == broker)
            return;
    hints->brokers = memory_grow(hints->brokers, hints->count, &hints->capacity, sizeof(hints->brokers[0]));
    hints->brokers[hints->count++] = broker;
}

void leader_hints_add(struct leader_hints *hints, const struct metadata_image *image, const char *listener,
                      struct slice topic, int32_t number, struct partition *local, int32_t *leader,
                      int32_t *leader_epoch)
{
    *leader = -1;
    *leader_epoch = -1;
    if (local) {
        struct partition_status status;
        partition_status(local, &status);
        *leader = status.leader;
        *leader_epoch = status.leader_epoch;
    }
    const struct metadata_topic *known = metadata_image_topic(image, topic);
    const struct metadata_partition *partition = known ? metadata_topic_partition(known, number) : NULL;
    if (partition && partition->leader_epoch > *leader_epoch) {
        *leader = partition->leader;
        *leader_epoch = partition->leader_epoch;
    }
    const struct metadata_broker *broker = *leader >= 0 ? metadata_image_broker(image, *leader) : NULL;
    if (broker && metadata_broker_endpoint(broker, listener))
        note_broker(hints, broker);
}
