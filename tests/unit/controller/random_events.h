/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen to a cluster of controllers. A run draws a mix of kinds and of faults from its seed (some
 * kinds are left out, so that others are seen alone), then events one by one.
 */
#ifndef TESTS_UNIT_CONTROLLER_RANDOM_EVENTS_H
#define TESTS_UNIT_CONTROLLER_RANDOM_EVENTS_H

#include "tests/unit/controller/world.h"

struct random_run {
    struct world *world;
    uint32_t left_out; /* a bit for each kind of event */
    uint64_t event_one_in, kill_writer_one_in /* 0: never */, bad_disk_one_in;
    size_t steps;
    bool tells;                                    /* prints each event */
    uint32_t stopping_life[WORLD_BROKERS_MAX + 1]; /* that has announced its stop; 0: none */
    bool disk_is_bad[WORLD_BROKERS_MAX + 1];       /* for half of its partitions */
    uint32_t directory_events;
};

/* The mix of a seed: *options as the world is to be made with, then the rest once it is there. */
void random_run_draw(struct random_run *run, uint64_t seed, struct world_options *options);
/* All brokers start, and the events of the run happen. */
void random_run_play(struct random_run *run, struct world *world);
/* All faults end: disks are well, everybody is alive, connected, and stays. */
void random_run_heal(struct random_run *run);

#endif
