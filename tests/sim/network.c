/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: delayed, late, doubled, lost; links that are cut or clogged one way. */
#include <stdlib.h>

#include "common/memory.h"
#include "tests/sim/world.h"

struct message *message_new(int32_t from)
{
    struct message *message = memory_allocate_zeroed(1, sizeof(*message));
    message->references = 1;
    message->from = from;
    message->partition = -1;
    message->joiner = -1;
    buffer_init(&message->bytes);
    for (int p = 0; p < SIM_PARTITIONS_MAX; p++)
        message->proposed_epochs[p] = -1;
    return message;
}

struct message *message_acquire(struct message *message)
{
    message->references++;
    return message;
}

void message_release(void *data)
{
    struct message *message = data;
    if (message == NULL || --message->references > 0)
        return;
    message_release(message->request);
    buffer_release(&message->bytes);
    free(message);
}

static bool strikes(struct world *world, uint32_t one_in)
{
    return world->safety && one_in > 0 && prng_one_in(&world->faults, one_in);
}

static int64_t draw_delay(struct world *world, int32_t from, int32_t to)
{
    int64_t delay = prng_between(&world->schedule, world->swarm.delay_low_ms, world->swarm.delay_high_ms);
    if (strikes(world, world->swarm.straggle_one_in))
        delay += prng_between(&world->faults, 1, world->swarm.straggle_ms);
    if (from >= 0 && to >= 0 && world->clog_until_ms[from][to] > world->now_ms)
        delay += prng_between(&world->faults, 0, world->clog_until_ms[from][to] - world->now_ms);
    world->messages_until_ms = max_i64(world->messages_until_ms, world->now_ms + delay);
    return delay;
}

bool network_send(struct world *world, int32_t from, int32_t to,
                  void (*arrive)(struct world *world, int32_t broker, void *data), struct message *message)
{
    bool lost = (from >= 0 && !broker_acts(&world->brokers[from])) || (to >= 0 && !world->brokers[to].alive);
    if (from >= 0 && to >= 0 && from != to)
        lost =
            lost || world->cut_until_ms[from][to] > world->now_ms || strikes(world, world->swarm.lose_one_in);
    if (lost) {
        message_release(message);
        return false;
    }
    if (from == to) {
        world_later(world, to, 0, arrive, message_release, message);
        return true;
    }
    if (strikes(world, world->swarm.duplicate_one_in))
        world_later(world, to, draw_delay(world, from, to), arrive, message_release,
                    message_acquire(message));
    world_later(world, to, draw_delay(world, from, to), arrive, message_release, message);
    return true;
}
