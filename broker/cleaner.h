/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cleaner's threads: log.cleaner.threads of them, each looking for the filthiest compacted log of this
 * broker, leader or follower alike, and cleaning it; after a round without anything to do it sleeps for
 * log.cleaner.backoff.ms. With log.cleaner.enable=false there are none.
 */
#ifndef BROKER_CLEANER_H
#define BROKER_CLEANER_H

#include "broker/config/broker_config.h"
#include "broker/log/log_cleaner.h"
#include "broker/replica/replica_manager.h"
#include "common/base.h"
#include "common/log.h"

struct cleaner;

/* Starts the threads. 0 with *cleaner (NULL where it is not enabled), or -errno. */
MUST_CHECK int cleaner_start(const struct broker_config *config, struct logger *logger,
                             struct replica_manager *replicas, struct cleaner **cleaner);
/* Ends them: a cleaning under way is given up within moments, and nothing of it is left. Before the
 * partitions and the logs go. NULL is fine. */
void cleaner_stop(struct cleaner *cleaner);
void cleaner_free(struct cleaner *cleaner);
void cleaner_statistics(struct cleaner *cleaner, struct log_cleaner_statistics *statistics);

#endif
