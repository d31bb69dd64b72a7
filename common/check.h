/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK(condition) states what the programmer knows to be true. It stays on in release builds: a broker that
 * has lost track of its own state stops rather than serve or write wrong data. It is never used on what came
 * from the network, a file or another process; that gets an error. The condition has no side effects.
 */
#ifndef COMMON_CHECK_H
#define COMMON_CHECK_H

#include "common/base.h"

/* Prints what failed and where to standard error, then aborts. */
_Noreturn void check_failed(const char *condition, const char *file, int line, const char *function);

#define CHECK(condition) \
    (__builtin_expect(!!(condition), 1) ? (void)0 : check_failed(#condition, __FILE__, __LINE__, __func__))

/* A place that cannot be reached. */
#define UNREACHABLE() check_failed("unreachable", __FILE__, __LINE__, __func__)

#endif
