/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operating system's files behind struct file_system. Calls that a signal interrupted are repeated; a
 * failed fsync never is, since the kernel may have dropped the pages it could not write (I6).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

#define FILE_PERMISSIONS 0644
#define DIRECTORY_PERMISSIONS 0755
#define PARTS_PER_CALL 64 /* of one pwritev; more are written by further calls */

struct file {
    int descriptor;
};

static int open_retrying(const char *path, int flags)
{
    int descriptor;
    do
        descriptor = open(path, flags | O_CLOEXEC, FILE_PERMISSIONS);
    while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

static struct file *wrap(int descriptor)
{
    struct file *file = memory_allocate(sizeof(*file));
    file->descriptor = descriptor;
    return file;
}

static int posix_open(struct file_system *system, const char *path, enum file_mode mode, struct file **file)
{
    (void)system;
    int flags = mode == FILE_READ ? O_RDONLY : mode == FILE_WRITE ? O_RDWR : O_RDWR | O_CREAT;
    int descriptor = open_retrying(path, flags);
    if (descriptor < 0)
        return descriptor;
    *file = wrap(descriptor);
    return 0;
}

static int posix_close(struct file_system *system, struct file *file)
{
    (void)system;
    int descriptor = file->descriptor;
    free(file);
    /* Linux has released the descriptor even when it reports EINTR. */
    return close(descriptor) < 0 && errno != EINTR ? -errno : 0;
}

static ssize_t posix_read(struct file_system *system, struct file *file, void *data, size_t length,
                          int64_t offset)
{
    (void)system;
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(file->descriptor, (uint8_t *)data + done, length - done, offset + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* The parts behind the first `skip` bytes, as many as one call takes. */
static int remaining_parts(const struct iovec *parts, int count, size_t skip, struct iovec *rest)
{
    int filled = 0;
    for (int i = 0; i < count && filled < PARTS_PER_CALL; i++) {
        if (skip >= parts[i].iov_len) {
            skip -= parts[i].iov_len;
            continue;
        }
        rest[filled].iov_base = (uint8_t *)parts[i].iov_base + skip;
        rest[filled].iov_len = parts[i].iov_len - skip;
        filled++;
        skip = 0;
    }
    return filled;
}

static ssize_t posix_write(struct file_system *system, struct file *file, const struct iovec *parts,
                           int count, int64_t offset)
{
    (void)system;
    size_t done = 0;
    for (;;) {
        struct iovec rest[PARTS_PER_CALL];
        int filled = remaining_parts(parts, count, done, rest);
        if (filled == 0)
            return (ssize_t)done;
        ssize_t written = pwritev(file->descriptor, rest, filled, offset + (int64_t)done);
        if (written < 0 && errno == EINTR)
            continue;
        /* A disk that fails must not pass for a full one (I6). */
        if (written < 0 && (done == 0 || file_result(-errno) == -EIO))
            return -errno;
        if (written <= 0)
            return (ssize_t)done;
        done += (size_t)written;
    }
}

static int posix_truncate(struct file_system *system, struct file *file, int64_t size)
{
    (void)system;
    int failed;
    do
        failed = ftruncate(file->descriptor, size);
    while (failed && errno == EINTR);
    return failed ? -errno : 0;
}

static int posix_sync(struct file_system *system, struct file *file)
{
    (void)system;
    return fdatasync(file->descriptor) ? -errno : 0;
}

static int posix_size(struct file_system *system, struct file *file, int64_t *size)
{
    (void)system;
    struct stat status;
    if (fstat(file->descriptor, &status))
        return -errno;
    *size = status.st_size;
    return 0;
}

static int posix_descriptor(struct file_system *system, struct file *file)
{
    (void)system;
    return file->descriptor;
}

static int posix_rename(struct file_system *system, const char *from, const char *to)
{
    (void)system;
    return rename(from, to) ? -errno : 0;
}

static int posix_remove(struct file_system *system, const char *path)
{
    (void)system;
    return unlink(path) ? -errno : 0;
}

static int posix_make_directory(struct file_system *system, const char *path)
{
    (void)system;
    return mkdir(path, DIRECTORY_PERMISSIONS) ? -errno : 0;
}

static int posix_remove_directory(struct file_system *system, const char *path)
{
    (void)system;
    return rmdir(path) ? -errno : 0;
}

static int posix_sync_directory(struct file_system *system, const char *path)
{
    (void)system;
    int descriptor = open_retrying(path, O_RDONLY | O_DIRECTORY);
    if (descriptor < 0)
        return descriptor;
    int error = fsync(descriptor) ? -errno : 0;
    close(descriptor);
    return error;
}

static bool entry_is_directory(DIR *directory, const struct dirent *entry)
{
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    /* Links are followed: a partition's folder may lie on another disk. */
    struct stat status;
    return fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

static int posix_list(struct file_system *system, const char *path,
                      int (*visit)(void *context, const char *name, bool is_directory), void *context)
{
    (void)system;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -errno;
    int result = 0;
    while (result == 0) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        result = visit(context, entry->d_name, entry_is_directory(directory, entry));
    }
    closedir(directory);
    return result;
}

static int posix_status(struct file_system *system, const char *path, struct file_status *status)
{
    (void)system;
    struct stat found;
    if (stat(path, &found))
        return -errno;
    *status = (struct file_status){
        .size = found.st_size,
        .modified_ms = (int64_t)found.st_mtim.tv_sec * 1000 + found.st_mtim.tv_nsec / 1000000,
        .is_directory = S_ISDIR(found.st_mode),
    };
    return 0;
}

static int posix_set_modified(struct file_system *system, const char *path, int64_t modified_ms)
{
    (void)system;
    int64_t seconds = modified_ms / 1000, rest_ms = modified_ms % 1000;
    if (rest_ms < 0) {
        seconds--;
        rest_ms += 1000;
    }
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = seconds, .tv_nsec = (long)rest_ms * 1000000}};
    return utimensat(AT_FDCWD, path, times, 0) ? -errno : 0;
}

/*
 * A lock of the open file description: it also keeps out a second opener in the same process, and conflicts
 * with the POSIX record lock that a JVM broker takes on the same file.
 */
static int posix_lock(struct file_system *system, const char *path, struct file **file)
{
    (void)system;
    int descriptor = open_retrying(path, O_RDWR | O_CREAT);
    if (descriptor < 0)
        return descriptor;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_OFD_SETLK, &whole)) {
        int error = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
        close(descriptor);
        return error;
    }
    *file = wrap(descriptor);
    return 0;
}

static int64_t bytes_of_blocks(const struct statvfs *status, uint64_t blocks)
{
    uint64_t unit = status->f_frsize ? status->f_frsize : status->f_bsize;
    return unit > 0 && blocks > INT64_MAX / unit ? INT64_MAX : (int64_t)(blocks * unit);
}

static int posix_free_bytes(struct file_system *system, const char *path, int64_t *bytes)
{
    (void)system;
    struct statvfs status;
    if (statvfs(path, &status))
        return -errno;
    *bytes = bytes_of_blocks(&status, status.f_bavail);
    return 0;
}

static int posix_total_bytes(struct file_system *system, const char *path, int64_t *bytes)
{
    (void)system;
    struct statvfs status;
    if (statvfs(path, &status))
        return -errno;
    *bytes = bytes_of_blocks(&status, status.f_blocks);
    return 0;
}

/* Advice: where it is not followed, nothing can be done. */
static void posix_forget(struct file_system *system, struct file *file)
{
    (void)posix_fadvise(posix_descriptor(system, file), 0, 0, POSIX_FADV_DONTNEED);
}

static const struct file_operations posix_operations = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .truncate = posix_truncate,
    .sync = posix_sync,
    .size = posix_size,
    .descriptor = posix_descriptor,
    .rename = posix_rename,
    .remove = posix_remove,
    .make_directory = posix_make_directory,
    .remove_directory = posix_remove_directory,
    .sync_directory = posix_sync_directory,
    .list = posix_list,
    .status = posix_status,
    .lock = posix_lock,
    .set_modified = posix_set_modified,
    .free_bytes = posix_free_bytes,
    .total_bytes = posix_total_bytes,
    .forget = posix_forget,
};

static const struct file_system posix_system = {&posix_operations};

struct file_system *file_system_posix(void)
{
    /* Nobody writes through it: the operations take it only to pass it on. */
    return (struct file_system *)&posix_system;
}

size_t file_raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return 0;
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        limit = raised;
    return limit.rlim_cur == RLIM_INFINITY ? 0 : (size_t)limit.rlim_cur;
}
