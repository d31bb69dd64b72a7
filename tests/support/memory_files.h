/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory behind struct file_system: fast, deterministic, and as treacherous as a real one.
 *
 * What is on the platter and what is only in the page cache are kept apart. A file has durable bytes and a
 * list of changes since its last sync; a directory likewise. A crash of the process keeps everything. A power
 * cut decides from the seed, change by change: an unsynced write is kept, lost, or torn at 512 bytes; a
 * truncation that is lost takes all later changes of that file with it (file systems keep that order); of the
 * unsynced changes of names in a directory a prefix is kept. A sync that fails drops the dirty pages: they
 * are readable until the power goes or the cache is let go of (file_forget), and no later sync makes them
 * durable.
 *
 * One object is the disk of one process. All calls are safe from several threads. Open files of before a
 * crash stay closable; everything else on them says -EBADF.
 *
 * Paths are taken as they are, split at '/', with or without one in front; "." and ".." mean nothing here.
 */
#ifndef TESTS_SUPPORT_MEMORY_FILES_H
#define TESTS_SUPPORT_MEMORY_FILES_H

#include "common/base.h"
#include "common/file.h"

struct memory_files;

enum memory_files_operation {
    MEMORY_FILES_OPEN,
    MEMORY_FILES_READ,
    MEMORY_FILES_WRITE,
    MEMORY_FILES_TRUNCATE,
    MEMORY_FILES_SYNC,
    MEMORY_FILES_SIZE,
    MEMORY_FILES_RENAME,
    MEMORY_FILES_REMOVE,
    MEMORY_FILES_MAKE_DIRECTORY,
    MEMORY_FILES_REMOVE_DIRECTORY,
    MEMORY_FILES_SYNC_DIRECTORY,
    MEMORY_FILES_LIST,
    MEMORY_FILES_STATUS,
    MEMORY_FILES_LOCK,
    MEMORY_FILES_FREE_BYTES,
    MEMORY_FILES_SET_MODIFIED,
    MEMORY_FILES_OPERATION_COUNT,
};

#define MEMORY_FILES_BIT(operation) (1u << (operation))
#define MEMORY_FILES_ALL_OPERATIONS ((1u << MEMORY_FILES_OPERATION_COUNT) - 1)
/* Those that change something: the instants at which a crash can leave something new. */
#define MEMORY_FILES_CHANGING_OPERATIONS                                                               \
    (MEMORY_FILES_BIT(MEMORY_FILES_OPEN) | MEMORY_FILES_BIT(MEMORY_FILES_WRITE) |                      \
     MEMORY_FILES_BIT(MEMORY_FILES_TRUNCATE) | MEMORY_FILES_BIT(MEMORY_FILES_SYNC) |                   \
     MEMORY_FILES_BIT(MEMORY_FILES_RENAME) | MEMORY_FILES_BIT(MEMORY_FILES_REMOVE) |                   \
     MEMORY_FILES_BIT(MEMORY_FILES_MAKE_DIRECTORY) | MEMORY_FILES_BIT(MEMORY_FILES_REMOVE_DIRECTORY) | \
     MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY))

enum memory_files_crash {
    MEMORY_FILES_PROCESS_CRASH, /* the page cache survives */
    MEMORY_FILES_POWER_CUT,     /* it does not */
};

/* An empty disk; `seed` decides what power cuts and stops tear. */
struct memory_files *memory_files_new(uint64_t seed);
/* All files opened must have been closed. NULL is fine. */
void memory_files_free(struct memory_files *files);
/* The table to hand to the code under test; lives as long as `files`. */
struct file_system *memory_files_system(struct memory_files *files);
/* As new: no files, no faults, counters at zero. Open files become stale. */
void memory_files_reset(struct memory_files *files, uint64_t seed);

/* The wall clock that modification times are taken from. */
void memory_files_set_time(struct memory_files *files, int64_t now_ms);
/* Bytes that all files together may hold; a write that does not fit is short, or -ENOSPC. SIZE_MAX: no
 * limit. */
void memory_files_set_capacity(struct memory_files *files, size_t bytes);
size_t memory_files_used_bytes(struct memory_files *files);

/*
 * One fault. It strikes at the matching operation after `after` of them have passed; `repeat`: and at every
 * one from then on. A write struck with short_bytes >= 0 writes at most so many bytes and says so (the
 * classic full disk); every other operation returns `error` and does nothing, but a sync loses its dirty
 * pages.
 */
struct memory_files_fault {
    uint32_t operations; /* set of MEMORY_FILES_BIT */
    uint64_t after;
    int error; /* -errno */
    int64_t short_bytes;
    bool repeat;
    const char *path_part; /* only paths that contain this; NULL: all. Borrowed. */
};

/* Replaces the fault there was; NULL: none. */
void memory_files_set_fault(struct memory_files *files, const struct memory_files_fault *fault);
/* How often the fault has struck. */
uint64_t memory_files_fault_count(struct memory_files *files);

/*
 * Called before every operation (closing excepted) under the lock of `files`: 0, or the -errno that the
 * operation is to fail with. For faults drawn at random. Must not call back into `files`.
 */
typedef int memory_files_hook(void *context, enum memory_files_operation operation, const char *path);
void memory_files_set_hook(struct memory_files *files, memory_files_hook *hook, void *context);

/*
 * The process dies at the changing operation after `after` of them: that one is done not at all, or (a write)
 * in part, and from then on every operation says -EIO and does nothing, until memory_files_crash.
 */
void memory_files_stop_after(struct memory_files *files, uint64_t after);
bool memory_files_is_stopped(struct memory_files *files);
/* Operations of the set `operations` that were done since new or reset. */
uint64_t memory_files_operations(struct memory_files *files, uint32_t operations);

/* The crash itself: locks are free again, open files stale, faults and stops gone, unsynced changes as
 * `crash` has it. */
void memory_files_crash(struct memory_files *files, enum memory_files_crash crash);

/* Open files, those gone stale included. */
size_t memory_files_open_count(struct memory_files *files);

/* XORs the byte at `offset` of a file with `mask`, in cache and on the platter. 0, or -errno. */
MUST_CHECK int memory_files_flip(struct memory_files *files, const char *path, int64_t offset, uint8_t mask);

#endif
