/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only callers of the system clock. Cores get the time as an argument; shells ask here. Monotonic time is
 * for deadlines, wall time for timestamps and retention only.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/base.h"

/* Milliseconds, microseconds since some point in the past; never goes back. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
/* Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);

#endif
