/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines that a peer can provoke at will: one a minute for each kind and address, with the number of those
 * that were left out. The table has a fixed size, so that no peer makes it grow; two kinds that fall onto the
 * same entry share its minute. One thread.
 */
#ifndef BROKER_NET_NOTICE_H
#define BROKER_NET_NOTICE_H

#include "common/base.h"
#include "common/log.h"
#include "common/slice.h"

#define NOTICE_ENTRIES 512

struct notice_table {
    struct logger *logger; /* borrowed; NULL: nothing is said */
    struct log_limiter entries[NOTICE_ENTRIES];
};

/* Writes a warning of that kind (a constant text) about what came from `address`, unless one was just
 * written. */
void notice_write(struct notice_table *table, int64_t now_ms, const char *kind, struct slice address,
                  const char *format, ...) PRINTF_LIKE(5, 6);

#endif
