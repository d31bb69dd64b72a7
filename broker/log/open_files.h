/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many segments' files all logs of a broker hold open, and how many they should: a log closes, under its
 * owner's lock, what it has not used for a while, the sooner the more are open (partition_log_tick). What
 * anybody else holds (a range on its way to a socket, a flush) is never closed, nor what is not durable: an
 * error of writing it back might be told to nobody after a new opening (I6).
 *
 * All functions may be called from any thread. Counted references: logs, segments and the log manager hold
 * it.
 */
#ifndef BROKER_LOG_OPEN_FILES_H
#define BROKER_LOG_OPEN_FILES_H

#include "common/base.h"

struct open_files;

/* Nothing is too long unused. */
#define OPEN_FILES_KEEP INT64_MAX

/* One reference. `limit`: as many files may be open, and half as many more for a short while; 0: any number.
 */
struct open_files *open_files_new(size_t limit);
/* NULL is fine, here and below: nothing is counted. */
struct open_files *open_files_acquire(struct open_files *files);
void open_files_release(struct open_files *files);

/* A file was opened (+1) or closed (-1). */
void open_files_add(struct open_files *files, int change);
size_t open_files_count(const struct open_files *files);
/* Whether so many are open that also those should go which a flush must make durable before. */
bool open_files_is_pressed(const struct open_files *files);

/* Whether none may be opened now: what is left of the descriptors is for the flush that lets files be closed.
 */
bool open_files_is_exhausted(const struct open_files *files);

/* The time as of the last tick, in ms of a clock that does not go back; what uses of files are dated with. */
int64_t open_files_now(const struct open_files *files);
/* Sets it. How long a file may be unused now: from OPEN_FILES_KEEP with few open down to 0 at the limit. */
int64_t open_files_tick(struct open_files *files, int64_t now_ms);

#endif
