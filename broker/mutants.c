/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the rules that the fault tests switch off: see mutants.h. */
#include "broker/mutants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mutants_set(struct partition_faults *partition, struct controller_faults *controller,
                 bool *ignore_sequences)
{
    struct partition_faults no_partition;
    struct controller_faults no_controller;
    bool no_sequences;
    struct partition_faults *replica = partition != NULL ? partition : &no_partition;
    struct controller_faults *office = controller != NULL ? controller : &no_controller;
    const struct {
        const char *name;
        bool *fault;
    } mutants[] = {
        {"acks-before-replication", &replica->acknowledge_early},
        {"high-watermark-too-high", &replica->high_watermark_too_high},
        {"no-truncation", &replica->no_truncation},
        {"unconfirmed-isr", &replica->count_unconfirmed_isr},
        {"serve-uncommitted", &replica->serve_uncommitted},
        {"unclean-election", &office->unclean_always},
        {"isr-by-id", &office->isr_by_id},
        {"no-sequences", ignore_sequences != NULL ? ignore_sequences : &no_sequences},
    };
    const char *wanted = getenv("BARNABAS_MUTANT");
    if (wanted == NULL || wanted[0] == '\0')
        return;
    for (size_t i = 0; i < ARRAY_SIZE(mutants); i++) {
        if (strcmp(wanted, mutants[i].name) == 0) {
            *mutants[i].fault = true;
            return;
        }
    }
    fprintf(stderr, "barnabasd: no rule is named '%s' (BARNABAS_MUTANT)\n", wanted);
    exit(2);
}
