/* SPDX-License-Identifier: Apache-2.0 */
/* Leaders' proposals, see catch_up.h. */
#include "tests/unit/controller/catch_up.h"

static void propose(struct world *world, struct world_broker *broker, struct world_replica *replica)
{
    struct isr_member isr[WORLD_BROKERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < replica->replicas_count; i++) {
        int32_t id = replica->replicas[i];
        int64_t epoch = id == broker->id ? broker->epoch : broker->known_epochs[id - 1];
        if (epoch >= 0)
            isr[count++] = (struct isr_member){id, epoch};
    }
    if (count != replica->isr_count)
        world_propose(world, broker, replica, isr, count);
}

void world_catch_up(struct world *world)
{
    for (int b = 0; b < world->broker_count; b++) {
        struct world_broker *broker = &world->brokers[b];
        size_t position = 0;
        void *value;
        while (broker->alive && map_next(broker->replicas, &position, NULL, &value)) {
            struct world_replica *replica = value;
            if (replica->leader == broker->id)
                propose(world, broker, replica);
        }
    }
}
