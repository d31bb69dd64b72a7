/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sync of a log's files at a time. The system tells of a failed writeback once for each open file: of two
 * flushes that sync the same file at once, one hears of it and the other is told that all is well. So all
 * flushes of a log, those that the log does itself included, go through this gate, and an error stays in it:
 * who comes later gets that error and syncs nothing (I6).
 *
 * Threads: any. Held while the disk is waited for; the last lock but that of an epoch file.
 */
#ifndef BROKER_LOG_FLUSH_GATE_H
#define BROKER_LOG_FLUSH_GATE_H

#include "common/base.h"

struct flush_gate;

/* One reference, the caller's. */
struct flush_gate *flush_gate_new(void);
struct flush_gate *flush_gate_acquire(struct flush_gate *gate);
/* NULL is fine. */
void flush_gate_release(struct flush_gate *gate);

/* Waits until nobody else is inside. 0; or the -errno of a sync that has failed: nothing may be synced any
 * more. To be left in both cases. */
MUST_CHECK int flush_gate_enter(struct flush_gate *gate);
/* lost: 0, or the -errno of a sync that failed, which stays for good. */
void flush_gate_leave(struct flush_gate *gate, int lost);

#endif
