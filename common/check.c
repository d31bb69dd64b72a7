/* SPDX-License-Identifier: Apache-2.0 */
/* What happens when a CHECK fails: one line to standard error, then the end of the process. */
#include "common/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "CHECK failed: %s in %s (%s:%d)\n", condition, function, file, line);
    fflush(stderr);
    abort();
}
