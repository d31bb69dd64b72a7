/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of faults that chance alone hardly ever makes; a small share of the seeds aims at one of them. Each
 * link may happen in any cluster; what is aimed is only that one comes after the other.
 *
 * A late proposal (I19). The leader proposes a joining follower, and the request stays in a connection that
 * has broken. Before it is sent again, the follower announces its stop, so the repeat is refused; then the
 * follower is cut off from the leader, and the controller is elected anew and knows of no stop any more. Now
 * the first request arrives: if anything could still seat the follower, it sits where it holds less than what
 * is committed.
 *
 * A deposed controller (I29). A write of the controller is on its way when a tool removes its node and its
 * process is frozen, for less than its session lives. Another one takes office; then the write goes on.
 */
#include "proto/kafka/error.h"
#include "tests/sim/world.h"

/* From the refusal until the first request arrives: by then no joining replica is waited for, and something
 * has been committed. */
#define LATE_MIN_MS 1300
#define LATE_MAX_MS 2200
/* How long a refusal may take, and how long the other brokers leave the election to the present controller.
 */
#define REFUSAL_MS 600
#define ELECTION_MS 250
/* What an expiry of ours may add to the session's life is not counted. */
#define THAW_MIN_MS 60
#define DEPOSE_PAUSE_MS 500

static struct sim_broker *find_controller(struct world *world)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        struct sim_broker *broker = &world->brokers[b];
        if (broker_acts(broker) && !broker->paused && controller_is_in_office(broker->controller))
            return broker;
    }
    return NULL;
}

/* ---- a late proposal ---- */

static bool is_in_office(const struct world *world, int32_t index)
{
    const struct sim_broker *broker = &world->brokers[index];
    return broker->alive && !broker->paused && controller_is_in_office(broker->controller);
}

int64_t aimed_delay(struct world *world, int32_t index, int32_t controller, const struct message *message)
{
    struct aimed *aimed = &world->aimed;
    if (world->swarm.aim != AIM_LATE_PROPOSAL || aimed->stage != AIMED_WAITING || !world->safety ||
        message->joiner < 0 || message->joiner == index || controller == index ||
        !is_in_office(world, controller) || !broker_acts(&world->brokers[message->joiner]))
        return -1;
    int64_t late_ms = world->swarm.proposal_timeout_ms + REFUSAL_MS +
                      prng_between(&world->faults, LATE_MIN_MS, LATE_MAX_MS);
    *aimed = (struct aimed){.stage = AIMED_PROPOSED,
                            .leader = index,
                            .controller = controller,
                            .joiner = message->joiner,
                            .partition = message->joiner_joins,
                            .until_ms = world->now_ms + late_ms + 100};
    world_note(world, "the proposal of broker %lld is %lld ms late; broker %lld announces a stop meanwhile",
               TRACE_OF(index + 1, late_ms, message->joiner + 1));
    control_announce_stop(world, message->joiner);
    return late_ms;
}

void aimed_on_verdict(struct world *world, int32_t index, int32_t partition, int16_t error)
{
    struct aimed *aimed = &world->aimed;
    if (aimed->stage != AIMED_PROPOSED || index != aimed->leader || partition != aimed->partition ||
        error != KAFKA_INELIGIBLE_REPLICA || !is_in_office(world, aimed->controller))
        return;
    aimed->stage = AIMED_REFUSED;
    world->counters.late_proposals++;
    world_note(world, "brokers %lld and %lld do not hear each other", TRACE_OF(index + 1, aimed->joiner + 1));
    world->cut_until_ms[index][aimed->joiner] = aimed->until_ms;
    world->cut_until_ms[aimed->joiner][index] = aimed->until_ms;
    for (int32_t b = 0; b < world->swarm.brokers; b++)
        if (b != aimed->controller && broker_acts(&world->brokers[b]) && !world->brokers[b].paused)
            broker_pause(world, b, ELECTION_MS);
    faults_depose(world);
}

/* The stop that was announced happens after all. */
static void end_late_proposal(struct world *world)
{
    struct aimed *aimed = &world->aimed;
    aimed->stage = AIMED_WAITING;
    struct sim_broker *joiner = &world->brokers[aimed->joiner];
    if (broker_acts(joiner) && !joiner->paused)
        broker_stop(world, aimed->joiner);
}

/* ---- a deposed controller ---- */

static void depose_writer(struct world *world)
{
    struct aimed *aimed = &world->aimed;
    struct sim_broker *controller = find_controller(world);
    if (controller == NULL || !fake_client_is_writing(controller->client))
        return;
    aimed->until_ms = world->now_ms + prng_between(&world->faults, 500, 1500);
    if (prng_one_in(&world->faults, 3))
        return;
    faults_depose(world);
    broker_pause(world, controller->index, prng_between(&world->faults, THAW_MIN_MS, DEPOSE_PAUSE_MS));
}

void aimed_step(struct world *world)
{
    if (!world->safety && world->aimed.stage == AIMED_WAITING)
        return;
    bool is_time = world->now_ms >= world->aimed.until_ms;
    if (world->swarm.aim == AIM_DEPOSED_CONTROLLER && is_time && world->safety)
        depose_writer(world);
    if (world->swarm.aim == AIM_LATE_PROPOSAL && world->aimed.stage != AIMED_WAITING && is_time)
        end_late_proposal(world);
}
