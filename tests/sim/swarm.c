/* SPDX-License-Identifier: Apache-2.0 */
/* Draws and prints the swarm. */
#include "tests/sim/swarm.h"

#include <string.h>

#include "common/prng.h"

/* The shortest pause of a follower that has everything. */
#define REST_MIN_MS 40

/* One seed in so many is aimed at something. */
#define AIMED_ONE_IN 20

/* Half of the time 0, else a number in the range. */
static int64_t maybe(struct prng *prng, int64_t low, int64_t high)
{
    int64_t drawn = prng_between(prng, low, high);
    return prng_one_in(prng, 2) ? 0 : drawn;
}

static void draw_cluster(struct swarm *swarm, struct prng *prng)
{
    static const int brokers[] = {3, 3, 3, 3, 3, 2, 4, 5};
    swarm->brokers = brokers[prng_below(prng, ARRAY_SIZE(brokers))];
    swarm->topics = prng_one_in(prng, 4) ? 2 : 1;
    swarm->partitions_each = prng_one_in(prng, 4) ? 2 : 1;
    swarm->replication_factor = swarm->brokers == 2 || prng_one_in(prng, 4) ? 2 : 3;
    swarm->min_insync_replicas = prng_one_in(prng, 2) ? 1 : 2;
    swarm->zookeeper_servers = prng_one_in(prng, 2) ? 1 : 3;
    swarm->topics_without_id = prng_one_in(prng, 8);
    swarm->segment_bytes = prng_one_in(prng, 2) ? 1 << 20 : prng_between(prng, 600, 4000);
    swarm->producers = (int)prng_between(prng, 1, 3);
}

static void draw_times(struct swarm *swarm, struct prng *prng)
{
    swarm->safety_ms = prng_between(prng, 2000, 7000);
    swarm->session_timeout_ms = prng_between(prng, 400, 1200);
    swarm->replica_lag_time_max_ms = prng_between(prng, 200, 1000);
    swarm->fetch_idle_ms = prng_between(prng, 100, 500);
    swarm->fetch_timeout_ms = prng_between(prng, 200, 700);
    swarm->proposal_timeout_ms = prng_between(prng, 200, 1500);
    swarm->control_timeout_ms = prng_between(prng, 200, 1500);
    swarm->delay_low_ms = prng_between(prng, 0, 3);
    swarm->delay_high_ms = swarm->delay_low_ms + (prng_one_in(prng, 4) ? prng_between(prng, 10, 100) : 5);
    swarm->zookeeper_delay_ms = prng_one_in(prng, 4) ? prng_between(prng, 5, 60) : 4;
    swarm->tick_ms = prng_between(prng, 50, 250);
    swarm->checkpoint_ms = prng_between(prng, 200, 3000);
    swarm->controller_retry_ms = prng_between(prng, 10, 150);
    swarm->controller_compare_ms = prng_one_in(prng, 5) ? prng_between(prng, 300, 3000) : 600000;
    swarm->produce_ms = prng_between(prng, 20, 250);
    swarm->consume_ms = prng_between(prng, 60, 400);
}

static void draw_faults(struct swarm *swarm, struct prng *prng, bool lossy)
{
    swarm->crash_every_ms = maybe(prng, 300, 3000);
    int64_t power_cut = maybe(prng, 500, 3000);
    int victim = (int)prng_below(prng, (uint64_t)swarm->brokers);
    if (lossy) {
        swarm->power_cut_every_ms = power_cut;
        swarm->power_victim = victim;
        swarm->min_insync_replicas = 2;
    }
    swarm->orderly_stop_every_ms = maybe(prng, 1000, 4000);
    swarm->pause_every_ms = maybe(prng, 500, 3000);
    swarm->expire_every_ms = maybe(prng, 500, 4000);
    swarm->clog_every_ms = maybe(prng, 300, 3000);
    swarm->cut_every_ms = maybe(prng, 300, 3000);
    swarm->down_ms = prng_between(prng, 50, 3000);
    swarm->lose_one_in = (uint32_t)maybe(prng, 5, 100);
    swarm->duplicate_one_in = (uint32_t)maybe(prng, 5, 100);
    swarm->straggle_one_in = (uint32_t)maybe(prng, 5, 100);
    swarm->straggle_ms = prng_between(prng, 50, 1500);
    swarm->lose_answer_one_in = (uint32_t)maybe(prng, 10, 200);
    swarm->cut_one_in = (uint32_t)maybe(prng, 20, 400);
    swarm->crash_in_write = prng_one_in(prng, 2);
    swarm->tells_intact = prng_one_in(prng, 2) || lossy;
}

/* Behind all else, so that seeds of old tell the same story as far as they do not flush. */
static void draw_flush(struct swarm *swarm, struct prng *prng, bool always)
{
    static const int64_t counts[] = {INT64_MAX, INT64_MAX, INT64_MAX, 1, 1, 3};
    swarm->flush_messages = counts[prng_below(prng, ARRAY_SIZE(counts))];
    swarm->sync_ms = prng_between(prng, 0, 40);
    if (always)
        swarm->flush_messages = 1;
    if (swarm->flush_messages == 1)
        swarm->power_victim = -1;
}

/* Likewise: what goes from the front of the logs. */
static void draw_deletion(struct swarm *swarm, struct prng *prng)
{
    swarm->delete_ms = maybe(prng, 100, 1500);
    swarm->retention_bytes = prng_one_in(prng, 3) ? prng_between(prng, 500, 8000) : -1;
    int64_t delete_topic_ms = prng_between(prng, 500, 4000);
    if (prng_one_in(prng, 4) && !swarm->topics_without_id)
        swarm->delete_topic_ms = delete_topic_ms;
}

/*
 * The cluster, the rhythm and the faults that the aim needs, and hardly any other: what it waits for has to
 * come, and nothing may come between.
 */
static void take_aim(struct swarm *swarm, struct prng *prng)
{
    swarm->brokers = 3;
    swarm->replication_factor = 3;
    swarm->min_insync_replicas = 1;
    swarm->safety_ms = 9000;
    swarm->produce_ms = prng_between(prng, 20, 80);
    swarm->replica_lag_time_max_ms =
        max_i64(prng_between(prng, 200, 400), swarm_append_way_ms(swarm) + REST_MIN_MS);
    swarm->session_timeout_ms = prng_between(prng, 800, 1200);
    swarm->tick_ms = 50;
    swarm->orderly_stop_every_ms = swarm->expire_every_ms = swarm->pause_every_ms = 0;
    swarm->crash_every_ms = 0;
    swarm->delete_topic_ms = 0;
    swarm->delete_ms = 0;
    swarm->retention_bytes = -1;
    swarm->lose_one_in = swarm->straggle_one_in = 0;
    swarm->lose_answer_one_in = swarm->cut_one_in = 0;
    swarm->cut_every_ms = prng_between(prng, 300, 1000);
    swarm->move_every_ms = swarm->elect_every_ms = swarm->grow_every_ms = swarm->configure_every_ms = 0;
    swarm->quorum_loss_every_ms = swarm->depose_every_ms = 0;
    if (swarm->aim == AIM_LATE_PROPOSAL)
        swarm->duplicate_one_in = 0; /* nothing comes a second time after its answer */
    if (swarm->aim == AIM_LATE_PROPOSAL)
        swarm->proposal_timeout_ms = prng_between(prng, 200, 400);
}

/* Behind all else again: what operators do, and what befalls ZooKeeper. */
static void draw_operators(struct swarm *swarm, struct prng *prng, bool all_move)
{
    int64_t moves = prng_between(prng, 200, 2000), elections = prng_between(prng, 200, 2000);
    int64_t growth = prng_between(prng, 500, 3000), settings = prng_between(prng, 300, 2000);
    int64_t quorum = prng_between(prng, 1000, 5000), depose = prng_between(prng, 500, 4000);
    if ((prng_one_in(prng, 4) || all_move) && !swarm->topics_without_id)
        swarm->move_every_ms = moves;
    if (prng_one_in(prng, 4))
        swarm->elect_every_ms = elections;
    if (prng_one_in(prng, 6) && swarm->topics * (swarm->partitions_each + 1) <= SIM_PARTITIONS_MAX)
        swarm->grow_every_ms = growth;
    if (prng_one_in(prng, 5))
        swarm->configure_every_ms = settings;
    swarm->unclean = prng_one_in(prng, 4);
    if (prng_one_in(prng, 6))
        swarm->quorum_loss_every_ms = quorum;
    if (prng_one_in(prng, 6))
        swarm->depose_every_ms = depose;
}

/*
 * Behind that: disks. Not with power cuts in the same seed: there may be one broker that cannot say it has
 * lost nothing.
 */
static void draw_disks(struct swarm *swarm, struct prng *prng)
{
    int64_t full = prng_between(prng, 500, 4000), failure = prng_between(prng, 500, 5000);
    int victim = (int)prng_below(prng, (uint64_t)swarm->brokers);
    bool fills = prng_one_in(prng, 4), fails = prng_one_in(prng, 4), two = prng_one_in(prng, 2);
    fills = fills && swarm->aim == AIM_NONE;
    fails = fails && swarm->aim == AIM_NONE && swarm->power_cut_every_ms == 0;
    swarm->two_directories = two && (fills || fails);
    if (fills)
        swarm->disk_full_every_ms = full;
    if (!fails)
        return;
    swarm->disk_failure_every_ms = failure;
    swarm->disk_victim = victim;
    swarm->min_insync_replicas = 2;
    swarm->tells_intact = true;
}

bool swarm_damages(const struct swarm *swarm)
{
    return swarm->power_cut_every_ms > 0 || swarm->disk_failure_every_ms > 0;
}

static void draw_aim(struct swarm *swarm, struct prng *prng, bool lossy)
{
    static const enum sim_aim aims[] = {AIM_LATE_PROPOSAL, AIM_DEPOSED_CONTROLLER};
    uint64_t drawn = prng_below(prng, AIMED_ONE_IN * ARRAY_SIZE(aims));
    if (lossy || drawn >= ARRAY_SIZE(aims))
        return;
    swarm->aim = aims[drawn];
}

int64_t swarm_append_way_ms(const struct swarm *swarm)
{
    return 4 * swarm->delay_high_ms + swarm->sync_ms + 10;
}

void swarm_draw(struct swarm *swarm, uint64_t seed, const struct sim_options *options)
{
    memset(swarm, 0, sizeof(*swarm));
    struct prng prng;
    prng_init(&prng, seed * 4);
    swarm->seed = seed;
    draw_cluster(swarm, &prng);
    draw_times(swarm, &prng);
    int32_t min_insync_replicas = swarm->min_insync_replicas;
    draw_faults(swarm, &prng, options->lossy);
    draw_flush(swarm, &prng, options->flush);
    draw_deletion(swarm, &prng);
    if (swarm->flush_messages == 1)
        swarm->min_insync_replicas = min_insync_replicas;
    draw_aim(swarm, &prng, options->lossy);
    draw_operators(swarm, &prng, options->moves);
    draw_disks(swarm, &prng);
    if (swarm->aim != AIM_NONE)
        take_aim(swarm, &prng);
    swarm->slots_each = swarm->partitions_each + (swarm->grow_every_ms > 0);
    swarm->replica_lag_time_max_ms =
        max_i64(swarm->replica_lag_time_max_ms, swarm_append_way_ms(swarm) + REST_MIN_MS);
}

static void tell_time(struct buffer *out, const char *name, int64_t value)
{
    if (value > 0)
        buffer_print(out, " %s=%lld", name, (long long)value);
}

void swarm_tell(const struct swarm *swarm, struct buffer *out)
{
    buffer_print(out, "seed %llu: %d brokers, %d topics of %d partitions, replication factor %d",
                 (unsigned long long)swarm->seed, swarm->brokers, swarm->topics, swarm->partitions_each,
                 swarm->replication_factor);
    buffer_print(out, ", min.insync.replicas %d, %d ZooKeeper servers, %d producers%s\n ",
                 swarm->min_insync_replicas, swarm->zookeeper_servers, swarm->producers,
                 swarm->topics_without_id ? ", topics without id" : "");
    tell_time(out, "segment_bytes", swarm->segment_bytes);
    if (swarm->flush_messages != INT64_MAX)
        tell_time(out, "flush_messages", swarm->flush_messages);
    tell_time(out, "sync_ms", swarm->sync_ms);
    tell_time(out, "safety_ms", swarm->safety_ms);
    tell_time(out, "session_timeout_ms", swarm->session_timeout_ms);
    tell_time(out, "replica_lag_time_max_ms", swarm->replica_lag_time_max_ms);
    tell_time(out, "fetch_idle_ms", swarm->fetch_idle_ms);
    tell_time(out, "fetch_timeout_ms", swarm->fetch_timeout_ms);
    tell_time(out, "proposal_timeout_ms", swarm->proposal_timeout_ms);
    tell_time(out, "control_timeout_ms", swarm->control_timeout_ms);
    buffer_print(out, " delay_ms=%lld..%lld", (long long)swarm->delay_low_ms,
                 (long long)swarm->delay_high_ms);
    tell_time(out, "zookeeper_delay_ms", swarm->zookeeper_delay_ms);
    tell_time(out, "tick_ms", swarm->tick_ms);
    tell_time(out, "checkpoint_ms", swarm->checkpoint_ms);
    tell_time(out, "controller_retry_ms", swarm->controller_retry_ms);
    tell_time(out, "controller_compare_ms", swarm->controller_compare_ms);
    tell_time(out, "produce_ms", swarm->produce_ms);
    tell_time(out, "consume_ms", swarm->consume_ms);
    tell_time(out, "delete_ms", swarm->delete_ms);
    tell_time(out, "retention_bytes", swarm->retention_bytes);
    tell_time(out, "move_every_ms", swarm->move_every_ms);
    tell_time(out, "elect_every_ms", swarm->elect_every_ms);
    tell_time(out, "grow_every_ms", swarm->grow_every_ms);
    tell_time(out, "configure_every_ms", swarm->configure_every_ms);
    buffer_append_string(out, swarm->two_directories ? " two_directories" : "");
    buffer_append_string(out, swarm->unclean ? " unclean" : "");
    buffer_append_string(out, "\n  faults:");
    tell_time(out, "crash_every_ms", swarm->crash_every_ms);
    tell_time(out, "power_cut_every_ms", swarm->power_cut_every_ms);
    if (swarm->power_cut_every_ms > 0 && swarm->power_victim >= 0)
        buffer_print(out, " of broker %d", swarm->power_victim + 1);
    tell_time(out, "disk_full_every_ms", swarm->disk_full_every_ms);
    tell_time(out, "disk_failure_every_ms", swarm->disk_failure_every_ms);
    if (swarm->disk_failure_every_ms > 0)
        buffer_print(out, " of broker %d", swarm->disk_victim + 1);
    tell_time(out, "orderly_stop_every_ms", swarm->orderly_stop_every_ms);
    tell_time(out, "pause_every_ms", swarm->pause_every_ms);
    tell_time(out, "expire_every_ms", swarm->expire_every_ms);
    tell_time(out, "depose_every_ms", swarm->depose_every_ms);
    tell_time(out, "quorum_loss_every_ms", swarm->quorum_loss_every_ms);
    tell_time(out, "clog_every_ms", swarm->clog_every_ms);
    tell_time(out, "cut_every_ms", swarm->cut_every_ms);
    tell_time(out, "down_ms", swarm->down_ms);
    tell_time(out, "lose_one_in", swarm->lose_one_in);
    tell_time(out, "duplicate_one_in", swarm->duplicate_one_in);
    tell_time(out, "delete_topic_ms", swarm->delete_topic_ms);
    tell_time(out, "straggle_one_in", swarm->straggle_one_in);
    tell_time(out, "straggle_ms", swarm->straggle_ms);
    tell_time(out, "lose_answer_one_in", swarm->lose_answer_one_in);
    tell_time(out, "cut_one_in", swarm->cut_one_in);
    buffer_print(out, "%s%s\n", swarm->crash_in_write ? " crash_in_write" : "",
                 swarm->tells_intact ? " tells_intact" : "");
    if (swarm->aim != AIM_NONE)
        buffer_print(out, "  aimed at %s\n",
                     swarm->aim == AIM_LATE_PROPOSAL ? "a late ISR proposal"
                                                     : "a deposed controller's writes");
}
