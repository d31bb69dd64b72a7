/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bug switches: every rule of the cores that the simulator judges can be switched off by name, to see
 * that it is found. The table says which invariant breaks, and with which faults of disks it can be seen at
 * all.
 */
#ifndef TESTS_SIM_SWITCHES_H
#define TESTS_SIM_SWITCHES_H

#include "common/buffer.h"
#include "tests/sim/swarm.h"

struct sim_switch {
    const char *name;      /* as --fault has it */
    const char *invariant; /* I-numbers */
    const char *rule;      /* what is left out, in words */
    bool lossy;            /* needs power cuts: --lossy */
    bool flush;            /* and flush.messages=1: --flush */
};

size_t sim_switch_count(void);
const struct sim_switch *sim_switch_at(size_t index);
/* NULL: no switch has that name. */
const struct sim_switch *sim_switch_find(const char *name);
/* Breaks the rule in these options; the faults of disks that it needs are not switched on with it. */
void sim_switch_set(struct sim_options *options, const struct sim_switch *which);
/* All names, ten lines at most, indented. */
void sim_switch_tell(struct buffer *out);

#endif
