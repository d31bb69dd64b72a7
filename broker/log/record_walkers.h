/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record walkers (proto/records/walk.h) that all logs of a broker share. To make one anew for each batch
 * would cost more than a small batch itself, and one in each log too much memory: there are as many as
 * appends go on at a time, and a few are kept.
 *
 * With them goes the budget for batches that are written anew: their records are held whole meanwhile, under
 * the partition's lock, so what all request threads may hold together has a bound (I61).
 */
#ifndef BROKER_LOG_RECORD_WALKERS_H
#define BROKER_LOG_RECORD_WALKERS_H

#include "common/base.h"
#include "proto/records/walk.h"

struct record_walkers;

struct record_walkers *record_walkers_new(void);
/* When all are given back. NULL is fine. */
void record_walkers_free(struct record_walkers *walkers);
/* One to be used and given back; any thread. Never NULL. From NULL it comes new each time. */
struct record_walker *record_walkers_take(struct record_walkers *walkers);
void record_walkers_give_back(struct record_walkers *walkers, struct record_walker *walker);

/* Larger than what the largest batch that is taken to be written anew needs. */
#define RECORD_REBUILD_BUDGET_BYTES ((size_t)256 * 1024 * 1024)
/* Takes so much of the budget; true, or false where that much is not left. To be given back. Any thread. NULL
 * has no bound. */
MUST_CHECK bool record_walkers_reserve(struct record_walkers *walkers, size_t bytes);
void record_walkers_unreserve(struct record_walkers *walkers, size_t bytes);

#endif
