/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the table of switches, as Markdown. */
#include "tests/sim/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/runner.h"
#include "tests/sim/switches.h"

/* Of one core. */
#define AT_MOST_MS 60000
/* Between the first seeds of two starts. */
#define START_DISTANCE UINT64_C(1000000)

/* Of the starts of one switch. */
struct outcome {
    int found;
    uint64_t seeds[TABLE_STARTS_MAX];
    double longest_seconds;
};

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool run_start(const struct sim_switch *which, int start, int jobs, struct outcome *outcome)
{
    struct run_request request = {.first = (uint64_t)start * START_DISTANCE + 1,
                                  .count = START_DISTANCE,
                                  .jobs = jobs,
                                  .at_most_ms = AT_MOST_MS};
    struct run_result result;
    request.options.lossy = which->lossy;
    request.options.flush = which->flush;
    sim_switch_set(&request.options, which);
    if (run_seeds(&request, &result) != 0)
        return false;
    if (result.found)
        outcome->seeds[outcome->found++] = result.seed - request.first + 1;
    if (result.processor_seconds > outcome->longest_seconds)
        outcome->longest_seconds = result.processor_seconds;
    buffer_release(&result.report);
    return true;
}

static void tell_outcome(const struct sim_switch *which, int starts, struct outcome *outcome)
{
    qsort(outcome->seeds, (size_t)outcome->found, sizeof(outcome->seeds[0]), compare);
    printf("| `%s%s%s` | %s | %s | ", which->name, which->lossy ? " --lossy" : "",
           which->flush ? " --flush" : "", which->invariant, which->rule);
    if (outcome->found < starts)
        printf("**not found** from %d of %d starts | | %.1f |\n", starts - outcome->found, starts,
               outcome->longest_seconds);
    else
        printf("%llu | %llu | %.1f |\n", (unsigned long long)outcome->seeds[(starts - 1) / 2],
               (unsigned long long)outcome->seeds[starts - 1], outcome->longest_seconds);
    fflush(stdout);
}

bool tell_table(int starts, int jobs)
{
    bool all = true;
    printf("| `--fault` | breaks | the rule that is left out | seeds, median | most | seconds of one core, "
           "most |\n"
           "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < sim_switch_count(); i++) {
        const struct sim_switch *which = sim_switch_at(i);
        struct outcome outcome = {0};
        for (int start = 0; start < starts; start++)
            if (!run_start(which, start, jobs, &outcome))
                return false;
        tell_outcome(which, starts, &outcome);
        all = all && outcome.found == starts;
    }
    return all;
}
