/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How compaction reads segments and writes new ones, outside of every lock: on files of its own, whole
 * batches at a time, in buffers of a fixed size that grow only for a batch that is larger, throttled, and
 * with an end when somebody wants it.
 *
 * A new segment is made under names that end in .cleaned, which the next opening removes; when clean_output
 * is finished all of it is durable but for the names.
 */
#ifndef BROKER_LOG_CLEAN_IO_H
#define BROKER_LOG_CLEAN_IO_H

#include "broker/log/clean_filter.h"
#include "broker/log/offset_index.h"
#include "broker/log/time_index.h"
#include "broker/log/transaction_index.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"

/* What a cleaning asks of whoever runs it; either may be NULL. */
struct clean_host {
    void *context;
    /* Whether to stop: the cleaning ends with -ECANCELED, and nothing is lost. */
    bool (*stopped)(void *context);
    /* So many bytes were read or written; may sleep. */
    void (*throttle)(void *context, size_t bytes);
};

/* A segment's file ends before the size that the log knows of. A private error: no -errno is as large. It was
 * cut meanwhile, or is damaged; of the disk it says nothing. */
#define CLEAN_ERROR_SHORT (-5001)

struct clean_reader {
    struct file_system *files;
    const struct clean_host *host;
    size_t chunk_bytes;
    struct file *file; /* NULL: none is open */
    int64_t position;  /* of the batch that comes next */
    int64_t end;
    struct buffer chunk;
    size_t used; /* bytes of the chunk that were given out */
};

void clean_reader_init(struct clean_reader *reader, struct file_system *files, const struct clean_host *host,
                       size_t chunk_bytes);
void clean_reader_release(struct clean_reader *reader);
/* Opens a segment's file of so many bytes. 0, or -errno. */
MUST_CHECK int clean_reader_open(struct clean_reader *reader, const char *path, int64_t size_bytes);
void clean_reader_close(struct clean_reader *reader);
/*
 * The next batch or old message, valid until the next call: 1; 0 at the end; -EBADMSG where none can begin;
 * CLEAN_ERROR_SHORT; -ECANCELED: the host wants to stop; -errno.
 */
MUST_CHECK int clean_reader_next(struct clean_reader *reader, struct slice *bytes);

struct clean_output {
    struct file_system *files;
    const struct clean_host *host;
    char *directory;
    int64_t base_offset;
    int64_t index_interval_bytes;
    size_t chunk_bytes;
    struct file *file; /* NULL: not open */
    bool made;         /* there may be files of it */
    int64_t size_bytes;
    struct buffer pending; /* the end of it, not written yet */
    struct offset_index offsets;
    struct time_index times;
    int64_t bytes_since_index_entry;
    int64_t max_timestamp;
    int64_t max_timestamp_offset;
    bool has_transactions; /* there is a file of them */
};

void clean_output_init(struct clean_output *output, struct file_system *files, const struct clean_host *host,
                       const char *directory, int64_t index_interval_bytes, size_t chunk_bytes);
/* Removes what was made and not taken over. */
void clean_output_release(struct clean_output *output);
/* Begins the segment of this base. 0, or -errno. */
MUST_CHECK int clean_output_begin(struct clean_output *output, int64_t base_offset);
/* A batch was appended to `pending`. 0, or -errno. */
MUST_CHECK int clean_output_took(struct clean_output *output, const struct clean_result *batch);
/* Writes the rest, the indexes and the aborted transactions, and syncs all of it. 0, or -errno. */
MUST_CHECK int clean_output_finish(struct clean_output *output, const struct aborted_transaction *aborted,
                                   size_t aborted_count, int64_t modified_ms);
/* The files are somebody else's now. */
void clean_output_handed_over(struct clean_output *output);
/* Removes them. 0, or the first -errno. */
int clean_output_abandon(struct clean_output *output);

#endif
