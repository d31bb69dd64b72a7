/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a partition's folder, and the clearing up of what compaction and deletion left there. Used
 * by partition_log_load.c only. */
#ifndef BROKER_LOG_PARTITION_LOG_LEFTOVERS_H
#define BROKER_LOG_PARTITION_LOG_LEFTOVERS_H

#include "broker/log/log_names.h"
#include "broker/log/partition_log_private.h"
#include "common/base.h"

struct log_file_list {
    struct log_file_name *files; /* those with an offset, ascending in it */
    size_t count;
    size_t capacity;
};

/* Lists the folder. 0, or -errno; release in both cases. */
MUST_CHECK int log_file_list_read(struct log_file_list *list, struct partition_log *log);
void log_file_list_release(struct log_file_list *list);

/*
 * Removes .deleted and .cleaned files, brings .swap segments in (everything of the plain segments within
 * their range goes, then the suffix is stripped), and removes indexes that have no segment. 0, or -errno.
 */
MUST_CHECK int partition_log_clear_leftovers(struct partition_log *log);

#endif
