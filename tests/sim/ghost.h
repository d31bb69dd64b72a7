/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients were promised of one partition: each offset that was acknowledged to a producer (acks=all) or
 * served to a consumer, with the bytes of its batch (I1). It lives beside the cluster and helps nobody.
 */
#ifndef TESTS_SIM_GHOST_H
#define TESTS_SIM_GHOST_H

#include "tests/sim/log_scan.h"

struct ghost_record {
    bool known;
    bool acknowledged;
    int32_t leader_epoch;
    uint64_t hash; /* of its batch */
};

struct ghost {
    struct ghost_record *records; /* by offset */
    size_t count;
    size_t capacity;
};

void ghost_release(struct ghost *ghost);
/* Notes a batch; the first offset that was promised with other bytes, -1: none. */
int64_t ghost_note(struct ghost *ghost, const struct scanned_batch *batch, bool acknowledged);
/* The first offset at or above `start` that was promised and that the log does not hold so; -1: none. */
int64_t ghost_compare(const struct ghost *ghost, const struct log_scan *scan, int64_t start);

#endif
