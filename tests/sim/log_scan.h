/* SPDX-License-Identifier: Apache-2.0 */
/* A partition's log as the judges see it: its batches with a hash of all their bytes. Reading changes
 * nothing. */
#ifndef TESTS_SIM_LOG_SCAN_H
#define TESTS_SIM_LOG_SCAN_H

#include "broker/log/partition_log.h"
#include "common/base.h"
#include "common/buffer.h"

struct scanned_batch {
    int64_t base_offset;
    int64_t last_offset;
    int32_t leader_epoch;
    int64_t producer_id;
    int32_t base_sequence;
    uint64_t hash;
    uint32_t checksum; /* over what its producer made: the same wherever the batch lies */
};

struct log_scan {
    struct scanned_batch *batches;
    size_t count;
    size_t capacity;
    struct buffer bytes; /* scratch */
};

void log_scan_init(struct log_scan *scan);
void log_scan_release(struct log_scan *scan);
/* What the bytes of a batch say of themselves. */
uint32_t log_scan_checksum(struct slice batch);
/* Replaces the content by the batches in `bytes`; the last one may be there in part. false: damaged. */
MUST_CHECK bool log_scan_bytes(struct log_scan *scan, struct slice bytes);
/* ... by the batches of the log from the one that holds `offset` on; at most `limit` bytes are looked at. */
MUST_CHECK bool log_scan_log(struct log_scan *scan, struct partition_log *log, int64_t offset, int64_t limit);
/* The batch that holds `offset`, NULL: none. */
const struct scanned_batch *log_scan_find(const struct log_scan *scan, int64_t offset);

#endif
