/* SPDX-License-Identifier: Apache-2.0 */
/* The table of docs/simulator.md: how many seeds find each rule that is switched off. */
#ifndef TESTS_SIM_TABLE_H
#define TESTS_SIM_TABLE_H

#include "common/base.h"

#define TABLE_STARTS_MAX 100

/* Runs every switch from `starts` different first seeds and prints a line for each. false: one was not found
 * within 60 s of one core from one of them. */
MUST_CHECK bool tell_table(int starts, int jobs);

#endif
