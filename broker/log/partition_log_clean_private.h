/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a cleaning, shared by partition_log_clean.c and partition_log_clean_commit.c. */
#ifndef BROKER_LOG_PARTITION_LOG_CLEAN_PRIVATE_H
#define BROKER_LOG_PARTITION_LOG_CLEAN_PRIVATE_H

#include "broker/log/partition_log_clean.h"
#include "broker/log/partition_log_private.h"

struct log_clean_segment {
    struct segment *segment; /* a reference: its address is not used again */
    int64_t base_offset;
    int64_t size_bytes;
    int64_t modified_ms; /* of the file; known from its group's writing on */
};

struct log_clean {
    struct file_system *files;
    struct logger *logger;
    char *directory;
    struct clean_host host;
    struct clean_plan plan;
    struct log_settings settings;
    uint64_t truncations; /* of the log, at the beginning */
    struct log_clean_segment *segments;
    size_t segments_count;
    struct aborted_transaction *aborted; /* those that touch the segments */
    size_t aborted_count;
    size_t aborted_capacity;
    struct clean_producer *producers;
    size_t producers_count;
    struct clean_map *map;
    struct clean_transactions transactions;
    bool group_begun; /* and these hold: the walk and the counts before the group, which may be begun again */
    struct clean_transactions transactions_before;
    int64_t records_seen_before;
    int64_t records_kept_before;
    int64_t records_without_key_before;
    struct clean_filter filter;
    struct clean_reader reader;
    struct clean_output output;
    int64_t end_offset; /* the map has all below; -1: not filled yet */
    bool old_tombstones_known;
    int64_t old_tombstones_until_ms;
    size_t next;        /* the first segment that is in no group yet */
    size_t group_first; /* the group that is written */
    size_t group_count; /* 0: none is ready */
    int64_t group_modified_ms;
    size_t reading; /* number of the segment that is, or was, read */
    bool names_synced;
    struct log_clean_counts counts;
};

/* The group that is written, or was, is not to be: all is as before it. */
void log_clean_undo_group(struct log_clean *clean);
/* It was committed. */
void log_clean_end_group(struct log_clean *clean);

#endif
