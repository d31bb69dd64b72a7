/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules switched off by name, so that the fault tests can show that they would notice. Only in builds with
 * BARNABAS_MUTANTS (the preset `mutants`); no other binary holds any of it.
 */
#ifndef BROKER_MUTANTS_H
#define BROKER_MUTANTS_H

#ifdef BARNABAS_MUTANTS

#include "broker/replica/partition_core.h"
#include "coordinator/controller/controller.h"

/* The rule that the environment's BARNABAS_MUTANT names is off in what is set here; the others stay. NULL for
 * what the caller does not set. An unknown name ends the process: a test would else test nothing. */
void mutants_set(struct partition_faults *partition, struct controller_faults *controller,
                 bool *ignore_sequences);

#endif
#endif
