/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: of the files in a partition's folder, and of the folders in a log directory.
 *
 *   00000000000000001204.log      (.index, .timeindex, .txnindex, .snapshot; + .deleted, .cleaned, .swap)
 *   orders-0                      live
 *   orders-0.<32 hex>-delete      being deleted
 *   orders-0.<32 hex>-future      a copy on its way between directories
 *   orders-0.<32 hex>-stray       not assigned here
 *
 * Pure.
 */
#ifndef BROKER_LOG_LOG_NAMES_H
#define BROKER_LOG_LOG_NAMES_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"

enum log_file_kind {
    LOG_FILE_OTHER,
    LOG_FILE_LOG,
    LOG_FILE_OFFSET_INDEX,
    LOG_FILE_TIME_INDEX,
    LOG_FILE_TRANSACTION_INDEX,
    LOG_FILE_SNAPSHOT,
};

enum log_file_state {
    LOG_FILE_LIVE,
    LOG_FILE_DELETED, /* .deleted: remove it */
    LOG_FILE_CLEANED, /* .cleaned: an unfinished compaction; remove it */
    LOG_FILE_SWAP,    /* .swap: a finished one; bring it in */
};

struct log_file_name {
    enum log_file_kind kind;
    enum log_file_state state;
    int64_t offset; /* -1 with LOG_FILE_OTHER */
};

struct log_file_name log_file_name_parse(const char *name);
/* Appends the name; of any kind but LOG_FILE_OTHER. */
void log_file_name_format(struct buffer *out, struct log_file_name name);

enum log_folder_kind {
    LOG_FOLDER_OTHER, /* not a partition's */
    LOG_FOLDER_LIVE,
    LOG_FOLDER_DELETE,
    LOG_FOLDER_FUTURE,
    LOG_FOLDER_STRAY,
};

struct log_folder_name {
    enum log_folder_kind kind;
    struct slice topic; /* borrowed from the name */
    int32_t partition;
};

struct log_folder_name log_folder_name_parse(const char *name);
/* Appends <topic>-<partition>. */
void log_folder_name_format(struct buffer *out, struct slice topic, int32_t partition);
/* Appends <topic>-<partition>.<32 hex>-delete, the topic cut so that the name fits in 255 bytes. */
void log_folder_name_format_delete(struct buffer *out, struct slice topic, int32_t partition,
                                   const uint8_t unique[16]);
/* Likewise, ending in -future and -stray. */
void log_folder_name_format_future(struct buffer *out, struct slice topic, int32_t partition,
                                   const uint8_t unique[16]);
void log_folder_name_format_stray(struct buffer *out, struct slice topic, int32_t partition,
                                  const uint8_t unique[16]);

#endif
