/* SPDX-License-Identifier: Apache-2.0 */
/* The partition's log in another directory takes the place of the one that it was copied from. */
#include "broker/replica/partition_internal.h"
#include "common/check.h"

void partition_put_log(struct partition *partition, struct partition_log *log)
{
    CHECK(!partition->closed && partition_log_end_offset(log) == partition_log_end_offset(partition->log));
    partition->log = log;
    atomic_store(&partition->health, partition_log_health(log));
    partition->flushes_running = 0; /* those that run are of the other log */
}
