/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the storage engine and the world: every file operation of broker/log goes through a
 * struct file_system. file_posix.c is the real one; tests put one in its place that keeps files in memory,
 * loses what was not synced, or makes the n-th call fail.
 *
 * All functions return 0 (or a count) or -errno. Paths are absolute or relative to the process. What a file
 * system says where its own sums are wrong (-EBADMSG, -EUCLEAN on XFS, ext4 and others) comes as -EIO: to us
 * -EBADMSG means that the disk has faithfully brought back something that is not sane.
 * Crash behaviour: what was written is durable after file_sync; a created, renamed or removed name is durable
 * after file_system_sync_directory on its directory.
 */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include <errno.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "common/base.h"

struct file; /* an open file; its content belongs to the implementation */

enum file_mode {
    FILE_READ,   /* must exist */
    FILE_WRITE,  /* read and write; must exist */
    FILE_CREATE, /* read and write; made when missing */
};

struct file_status {
    int64_t size;
    int64_t modified_ms; /* wall clock */
    bool is_directory;
};

struct file_system {
    const struct file_operations *operations;
};

struct file_operations {
    int (*open)(struct file_system *system, const char *path, enum file_mode mode, struct file **file);
    int (*close)(struct file_system *system, struct file *file);
    ssize_t (*read)(struct file_system *system, struct file *file, void *data, size_t length, int64_t offset);
    ssize_t (*write)(struct file_system *system, struct file *file, const struct iovec *parts, int count,
                     int64_t offset);
    int (*truncate)(struct file_system *system, struct file *file, int64_t size);
    int (*sync)(struct file_system *system, struct file *file);
    int (*size)(struct file_system *system, struct file *file, int64_t *size);
    int (*descriptor)(struct file_system *system, struct file *file);
    int (*rename)(struct file_system *system, const char *from, const char *to);
    int (*remove)(struct file_system *system, const char *path);
    int (*make_directory)(struct file_system *system, const char *path);
    int (*remove_directory)(struct file_system *system, const char *path);
    int (*sync_directory)(struct file_system *system, const char *path);
    int (*list)(struct file_system *system, const char *path,
                int (*visit)(void *context, const char *name, bool is_directory), void *context);
    int (*status)(struct file_system *system, const char *path, struct file_status *status);
    int (*lock)(struct file_system *system, const char *path, struct file **file);
    int (*set_modified)(struct file_system *system, const char *path, int64_t modified_ms);
    int (*free_bytes)(struct file_system *system, const char *path, int64_t *bytes);  /* may be NULL */
    int (*total_bytes)(struct file_system *system, const char *path, int64_t *bytes); /* may be NULL */
    void (*forget)(struct file_system *system, struct file *file);                    /* may be NULL */
};

/* The operating system's files. One object for all; stateless. */
struct file_system *file_system_posix(void);

/* Of an operation: a count, 0, or -errno. */
static inline ssize_t file_result(ssize_t result)
{
    return result == -EBADMSG || result == -EUCLEAN ? -EIO : result;
}

MUST_CHECK static inline int file_open(struct file_system *system, const char *path, enum file_mode mode,
                                       struct file **file)
{
    return (int)file_result(system->operations->open(system, path, mode, file));
}

/* The file is gone afterwards, also on error (an error of close is an error of an earlier write). */
static inline int file_close(struct file_system *system, struct file *file)
{
    return (int)file_result(system->operations->close(system, file));
}

/* Reads at `offset`; fewer than `length` bytes only at the end of the file (0: at or behind it). */
MUST_CHECK static inline ssize_t file_read(struct file_system *system, struct file *file, void *data,
                                           size_t length, int64_t offset)
{
    return file_result(system->operations->read(system, file, data, length, offset));
}

/* Writes at `offset`. May be short (disk full half-way): the caller compares, and cuts back what is half; so
 * also after -EIO, which may come half-way too. */
MUST_CHECK static inline ssize_t file_write(struct file_system *system, struct file *file,
                                            const struct iovec *parts, int count, int64_t offset)
{
    return file_result(system->operations->write(system, file, parts, count, offset));
}

MUST_CHECK static inline int file_truncate(struct file_system *system, struct file *file, int64_t size)
{
    return (int)file_result(system->operations->truncate(system, file, size));
}

/* Data and size are durable when this returns 0. After an error nothing may be assumed; never call again to
 * 'retry' (I6). */
MUST_CHECK static inline int file_sync(struct file_system *system, struct file *file)
{
    return (int)file_result(system->operations->sync(system, file));
}

/* Lets go of what is cached of the file and clean: what is read next is what the disk has. After a sync that
 * failed in another process those are two things. What is not written yet stays. */
static inline void file_forget(struct file_system *system, struct file *file)
{
    if (system->operations->forget)
        system->operations->forget(system, file);
}

MUST_CHECK static inline int file_size(struct file_system *system, struct file *file, int64_t *size)
{
    return (int)file_result(system->operations->size(system, file, size));
}

/* The descriptor for sendfile, or -1 where there is none (simulation). Stays the file's. */
static inline int file_descriptor(struct file_system *system, struct file *file)
{
    return system->operations->descriptor(system, file);
}

MUST_CHECK static inline int file_system_rename(struct file_system *system, const char *from, const char *to)
{
    return (int)file_result(system->operations->rename(system, from, to));
}

MUST_CHECK static inline int file_system_remove(struct file_system *system, const char *path)
{
    return (int)file_result(system->operations->remove(system, path));
}

/* One level; -EEXIST when it is there. */
MUST_CHECK static inline int file_system_make_directory(struct file_system *system, const char *path)
{
    return (int)file_result(system->operations->make_directory(system, path));
}

/* An empty one. */
MUST_CHECK static inline int file_system_remove_directory(struct file_system *system, const char *path)
{
    return (int)file_result(system->operations->remove_directory(system, path));
}

MUST_CHECK static inline int file_system_sync_directory(struct file_system *system, const char *path)
{
    return (int)file_result(system->operations->sync_directory(system, path));
}

/*
 * Calls visit for every name in the directory but "." and "..", in no particular order; stops when visit
 * returns non-zero and returns that. is_directory: also for a link to one.
 */
MUST_CHECK static inline int
file_system_list(struct file_system *system, const char *path,
                 int (*visit)(void *context, const char *name, bool is_directory), void *context)
{
    return (int)file_result(system->operations->list(system, path, visit, context));
}

MUST_CHECK static inline int file_system_status(struct file_system *system, const char *path,
                                                struct file_status *status)
{
    return (int)file_result(system->operations->status(system, path, status));
}

/* The room that is left for us on the file system that holds `path`; INT64_MAX where nobody can tell. A quota
 * may leave less. */
MUST_CHECK static inline int file_system_free_bytes(struct file_system *system, const char *path,
                                                    int64_t *bytes)
{
    *bytes = INT64_MAX;
    return system->operations->free_bytes
               ? (int)file_result(system->operations->free_bytes(system, path, bytes))
               : 0;
}

/* The size of the file system that holds `path`; -ENOSYS where nobody can tell. */
MUST_CHECK static inline int file_system_total_bytes(struct file_system *system, const char *path,
                                                     int64_t *bytes)
{
    return system->operations->total_bytes
               ? (int)file_result(system->operations->total_bytes(system, path, bytes))
               : -ENOSYS;
}

/* Creates the file if needed and locks it against other processes; -EBUSY when one holds it. Closing unlocks.
 */
MUST_CHECK static inline int file_system_lock(struct file_system *system, const char *path,
                                              struct file **file)
{
    return (int)file_result(system->operations->lock(system, path, file));
}

/* Sets the time that file_system_status tells, until the file is written to again. Durable when it pleases.
 */
MUST_CHECK static inline int file_system_set_modified(struct file_system *system, const char *path,
                                                      int64_t modified_ms)
{
    return (int)file_result(system->operations->set_modified(system, path, modified_ms));
}

/*
 * Writes all parts or fails: a short write becomes -ENOSPC and the file is cut back to `offset` (-EIO when
 * that fails, too: what is behind `offset` is then unknown, as after any -EIO).
 */
MUST_CHECK int file_write_all(struct file_system *system, struct file *file, const struct iovec *parts,
                              int count, int64_t offset);

/* Removes a directory with everything in it. Links in it are removed, not followed; where `path` itself is a
 * link, it and what is in the directory go, and the directory stays. */
MUST_CHECK int file_system_remove_tree(struct file_system *system, const char *path);

/*
 * Replaces the file `path` with `length` bytes so that a crash leaves the old or the new content: writes
 * `path`.tmp, syncs, renames, syncs the directory.
 */
MUST_CHECK int file_system_replace(struct file_system *system, const char *path, const void *data,
                                   size_t length);

/* Raises the number of descriptors that this process may have open as far as it is allowed to. What it is
 * then; 0 where that is not known. */
size_t file_raise_descriptor_limit(void);

struct buffer;
/* Appends the content to `out`; -EFBIG when it is longer than `limit`. */
MUST_CHECK int file_system_read_all(struct file_system *system, const char *path, size_t limit,
                                    struct buffer *out);

#endif
