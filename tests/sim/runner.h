/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs seeds: one in this process, or a range of them in several processes, so that a seed that ends its
 * process (a CHECK of the shipped code) is named and reported like any other failure.
 */
#ifndef TESTS_SIM_RUNNER_H
#define TESTS_SIM_RUNNER_H

#include "tests/sim/swarm.h"
#include "tests/sim/world.h"

struct run_request {
    struct sim_options options;
    uint64_t first;
    uint64_t count;
    int jobs;
    bool keep_going; /* after a failure too */
    bool progress;   /* a line that is rewritten, for a terminal */
    int64_t
        at_most_ms; /* of processor time, shared among the processes: no seed is begun later; 0: no limit */
};

/* More are not listed. */
#define FAILED_SEEDS_MAX 1000

struct run_result {
    uint64_t seeds; /* that were run */
    bool found;
    uint64_t seed; /* the lowest one known to fail; its report: */
    struct buffer report;
    size_t failed_count; /* seeds known to fail, ascending */
    uint64_t failed[FAILED_SEEDS_MAX];
    double seconds;
    double processor_seconds;     /* of all processes together */
    struct sim_counters counters; /* of all seeds that were run to their end */
};

/* One seed here. Returns the hash of all that happened; *found and the report (appended) as in run_result. */
uint64_t run_seed(uint64_t seed, const struct sim_options *options, bool *found, struct buffer *report,
                  struct sim_counters *counters);
/* Until the first failure (unless it keeps going) or the end. 0, or -errno when processes cannot be made. */
MUST_CHECK int run_seeds(const struct run_request *request, struct run_result *result);

#endif
