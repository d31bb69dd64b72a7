/* SPDX-License-Identifier: Apache-2.0 */
/* What an error of the disk says of the directory that it came from. Pure. */
#ifndef BROKER_LOG_DISK_ERROR_H
#define BROKER_LOG_DISK_ERROR_H

#include "common/base.h"

enum disk_error {
    DISK_ERROR_PASSING, /* of this call, this file or this process: the next try may do */
    DISK_ERROR_FULL,    /* no room, no inode, no quota: nothing is lost, and room may come back */
    DISK_ERROR_FAILED,  /* the disk, its file system or the way to it is broken, and whatever else nobody has
                           thought of: the directory goes offline */
};

/* `error`: -errno; 0 is DISK_ERROR_PASSING. A failed sync is always DISK_ERROR_FAILED, whatever it says (I6):
 * that is not asked here.
 */
enum disk_error disk_error_of(int error);

#endif
