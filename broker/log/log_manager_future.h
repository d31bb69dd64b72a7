/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a log to another directory while it serves (KIP-113): a copy, the future log, in a folder
 * <topic>-<partition>.<32 hex>-future of the other directory, which takes the live log's place when it has
 * all.
 *
 * How the places are changed, under the lock of the partition, with the future log closed and durable:
 *
 *   1. the future folder gets the plain name; its directory is synced
 *   2. the log is opened under that name; the checkpoints of its directory, which got its lines before
 * anybody waited, are written again where they say something else
 *   3. the live folder gets its -delete name; its directory is synced
 *   4. the live log's lines leave the checkpoints of the directory where it was
 *
 * Whatever fails up to the renaming of step 3 is undone, and the live log stays what it is; unless it is the
 * live log's directory that fails there: nobody knows then which name the folder has, and the copy takes its
 * place. A crash between 1 and 3 leaves two folders of the same name. At that moment both hold all there is,
 * so the rule for a start that finds two is: the one with the newer last leader epoch is the log, then the
 * one that ends higher, then the one in the directory that comes first. The same rule is right where the
 * undoing failed, or where step 3 was not durable and power was lost: the folder that did not go on is what
 * the log once was. The other gets a -delete name, but only where it is proved that the log holds all of it:
 * same topic, epochs that agree, its last batch in the log too (partition_log_kinship); its log start and
 * high watermark are believed only then. Two folders may also come of a directory that was missing for a
 * while, or of a backup: what is not proved to be a copy is set aside as -stray, with an error in the
 * broker's log, and nobody removes it but a person. Of two topics (by the id in partition.metadata) the
 * younger is the log.
 *
 * A segment of a future log is durable before the next one begins. So its gaps are meant, and after a crash
 * it is recovered without a recovery point of its own: no checkpoint tells of future logs.
 *
 * Threads: any for the functions here; but a future log itself, its creation and its end belong to the one
 * thread that moves it.
 */
#ifndef BROKER_LOG_LOG_MANAGER_FUTURE_H
#define BROKER_LOG_LOG_MANAGER_FUTURE_H

#include "broker/log/log_manager.h"

/* The number of a directory of log.dirs by its path; -1 where there is none. */
int log_manager_directory_number(const struct log_manager *manager, struct slice path);

/*
 * The next log of this partition that is made (log_manager_obtain) is made in that directory, if it is online
 * then. Forgotten when the broker ends. At most LOG_PREFERENCES_MAX are kept, the rest is left out.
 */
#define LOG_PREFERENCES_MAX 100000
void log_manager_prefer(struct log_manager *manager, struct slice topic, int32_t partition, size_t directory);

/* Whether the name of the folder fits into a file name. */
bool log_future_name_fits(struct slice topic, int32_t partition);

/*
 * Takes over the -future folders that were found at start. Of several of one partition the first stays, the
 * others are removed. The cleaning of their live logs pauses. Once, before the functions below and before
 * there are partitions. Blocks for the disk.
 */
void log_manager_adopt_futures(struct log_manager *manager);

/* Calls visit for each future log, under the lock of the map. */
void log_manager_each_future_log(struct log_manager *manager,
                                 void (*visit)(void *context, struct slice topic, int32_t partition,
                                               size_t directory),
                                 void *context);

/*
 * The future log in `directory`, opened where it is not open, made (empty, at `start_offset`) where there is
 * none. 0; -EXDEV: it is in another directory; -ENOENT: there is no live log; -EIO: the directory is offline;
 * or -errno.
 */
MUST_CHECK int log_manager_open_future(struct log_manager *manager, struct slice topic, int32_t partition,
                                       size_t directory, const struct log_settings *settings,
                                       int64_t start_offset, struct partition_log **log);
/* Closes and removes it: renamed to -delete, then unlinked. 0 (also where there is none), or -errno: then its
 * folder is left, and the future log is forgotten. */
int log_manager_remove_future(struct log_manager *manager, struct slice topic, int32_t partition);
/* Forgets it and leaves its folder to the next start: its directory is offline. */
void log_manager_abandon_future(struct log_manager *manager, struct slice topic, int32_t partition);

/*
 * The exchange of the two. The manager's lock comes before the partition's:
 *
 *     log_manager_prepare_swap(...);
 *     log_manager_hold(manager);
 *     lock the partition; see that the future log has all, flush and log start included;
 *     log_manager_swap(...); the partition uses the new log; unlock the partition;
 *     log_manager_let_go(manager);
 *     log_manager_retire(...); or, where it was not done, log_manager_give_up_swap(...);
 *
 * What can be written before or after the locks is. The renames, the closing and the opening between them are
 * not: an append between the copy's end and its new name would be lost, and who looked for the log meanwhile
 * would find none, or the one that goes.
 */
struct retired_log;
/* Not held: writes the lines of the successor into the checkpoints of its directory, before anybody waits;
 * `high_watermark` and `first_dirty_offset` are those of the live log. 0, or -errno; to be given up then,
 * too. */
MUST_CHECK int log_manager_prepare_swap(struct log_manager *manager, struct slice topic, int32_t partition,
                                        int64_t high_watermark, int64_t first_dirty_offset);
/* Not held: there was no swap. */
void log_manager_give_up_swap(struct log_manager *manager, struct slice topic, int32_t partition);
void log_manager_hold(struct log_manager *manager);
void log_manager_let_go(struct log_manager *manager);
/*
 * Held: the steps 1 to 3 above. `settings` and `high_watermark` are the partition's. 0 with the log that is
 * live now and the one that was; or -errno, and the live log is what it was (the future log has to be opened
 * again).
 */
MUST_CHECK int log_manager_swap(struct log_manager *manager, struct slice topic, int32_t partition,
                                const struct log_settings *settings, int64_t high_watermark,
                                struct partition_log **log, struct retired_log **retired);
/* Not held, no partition locked: step 4; frees the log and removes its folder. */
void log_manager_retire(struct log_manager *manager, struct retired_log *retired);

#endif
