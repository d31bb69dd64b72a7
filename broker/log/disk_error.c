/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting the errors of the disk. What is not known to pass is a failure: a disk has many ways to say that it
 * is broken, and going on with a broken one costs data. What does pass:
 *
 * - this process or the machine lacks something this moment: descriptors, memory, time; a limit on file sizes
 * - the name is not what was expected: it is there, it is not (a folder may have been renamed under who works
 *   on it without a lock; that a whole directory is gone, the log manager's probe finds), somebody uses it,
 *   it is too long, or there is still something in the folder
 * - what we say ourselves of content and of work that was given up, none of which comes from the disk
 *   (file.h): EBADMSG, ENOBUFS, ECANCELED
 */
#include "broker/log/disk_error.h"

#include <errno.h>

enum disk_error disk_error_of(int error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
        return DISK_ERROR_FULL;
    case 0:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EINTR:
    case EAGAIN:
    case EFBIG:
    case ENOENT:
    case EEXIST:
    case EBUSY:
    case ENAMETOOLONG:
    case ENOTEMPTY:
    case EBADMSG:
    case ENOBUFS:
    case ECANCELED:
        return DISK_ERROR_PASSING;
    default:
        return DISK_ERROR_FAILED;
    }
}
