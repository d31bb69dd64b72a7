/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting the errors of the disk. ENOENT is no failure: a folder may have been renamed under who works on it
 * without a lock; that a whole directory is gone, the log manager's probe finds.
 */
#include "broker/log/disk_error.h"

#include <errno.h>

enum disk_error disk_error_of(int error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
        return DISK_ERROR_FULL;
    case EIO:
    case EROFS:
    case ENODEV:
    case ENXIO:
    case ESTALE:
    case EUCLEAN:
    case ENOTDIR:
    case EACCES:
    case EPERM:
        return DISK_ERROR_FAILED;
    default:
        return DISK_ERROR_PASSING;
    }
}
