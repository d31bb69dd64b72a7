/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of `barnabas dump-log`, shared by the dump_log*.c files: what was asked for, where the text
 * goes, and what was found wrong on the way.
 *
 * Every line on standard output is the one that Kafka 3.9's DumpLogSegments prints: scripts read them. What
 * that tool tells by a stack trace is a sentence here, on standard error, and the dump goes on behind the
 * damage where it can. Files are only read, and in pieces: memory does not grow with them.
 *
 * A dump is used by one thread. Functions that read return 0, or -errno where the file cannot be read; damage
 * in a file is not an error of the function, it is noted.
 */
#ifndef TOOLS_DUMP_LOG_H
#define TOOLS_DUMP_LOG_H

#include <stdio.h>

#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"
#include "proto/records/walk.h"

struct dump_request {
    bool deep; /* look at every record */
    bool print_data;
    bool verify_index_only;
    bool index_sanity_check;
    bool skip_record_metadata;
    int64_t max_bytes;         /* of a .log; INT32_MAX: all of it */
    int64_t max_message_bytes; /* within which the batch of an index entry must lie */
};

/* What is listed at the end, in this order, for each file. */
enum dump_finding {
    DUMP_INDEX_MISMATCH,   /* index offset, last offset of the batch there */
    DUMP_TIME_MISMATCH,    /* index timestamp, that of the log */
    DUMP_TIME_ORDER,       /* index timestamp, the one before */
    DUMP_OFFSET_NOT_FOUND, /* index offset, the next one in the log or -1 */
    DUMP_OFFSET_GAP,       /* offset, the one that follows */
    DUMP_FINDING_COUNT
};

/* More pairs of one kind in one file are counted and not listed. */
#define DUMP_PAIRS_MAX ((size_t)100000)

struct dump_pairs {
    int64_t (*pairs)[2];
    size_t count;
    size_t capacity;
    uint64_t left_out;
};

struct dump_findings {
    char *path; /* absolute */
    struct dump_pairs of[DUMP_FINDING_COUNT];
};

struct dump {
    struct dump_request request;
    struct file_system *files;
    FILE *out;
    FILE *err;
    bool show_progress; /* there is a terminal to show it on */
    bool damaged;       /* the exit status */
    size_t known_files; /* paths that named a kind of file that can be dumped */
    struct dump_findings *findings;
    size_t findings_count;
    size_t findings_capacity;
    struct record_walker walker;
    struct buffer line; /* what is on its way to `out` */
    int shown_percent;
};

void dump_init(struct dump *dump, struct file_system *files, FILE *out, FILE *err);
void dump_release(struct dump *dump);
/* Dumps one file, by what its name ends in. Trouble is told and noted. */
void dump_path(struct dump *dump, const char *path);
/* The lists at the end. */
void dump_print_findings(struct dump *dump);
/* Brings all lines out. Where they could not be written, also earlier ones, that is told and noted; so it is
 * where no path named a kind of file that can be dumped. */
void dump_finish(struct dump *dump);

/* ---- what the parts share ---- */

/* One of the files being dumped. */
struct dump_file {
    const char *path;
    const char *name;    /* behind the last slash */
    int64_t base_offset; /* from the name */
    struct file *file;
    int64_t size; /* when it was opened */
};

/* Opens the sister of `of` with this suffix (".log"), or `of` itself. 0, or -errno, of which was told unless
 * it is -ENOENT and `optional`. `path` holds the name. */
MUST_CHECK int dump_open(struct dump *dump, const struct dump_file *of, const char *suffix, bool optional,
                         struct dump_file *opened, struct buffer *path);
void dump_close(struct dump *dump, struct dump_file *file);
/* Reads exactly these bytes. 0, or -errno, which was told; -EIO where the file has become shorter. */
MUST_CHECK int dump_read(struct dump *dump, const struct dump_file *file, void *data, size_t length,
                         int64_t position);

/* Writes the line out and empties it. */
void dump_flush(struct dump *dump);
/* A sentence on standard error, behind what is on its way to standard output; the dump has found damage. */
void dump_complain(struct dump *dump, const char *format, ...) PRINTF_LIKE(2, 3);
void dump_note_pair(struct dump *dump, const char *path, enum dump_finding kind, int64_t first,
                    int64_t second);
/* How far the dump of a large file is. `total` 0: it is over. */
void dump_progress(struct dump *dump, const char *name, int64_t done, int64_t total);

/* Appends bytes as Java makes a string of them and writes it in UTF-8: what is malformed becomes U+FFFD. */
void dump_append_text(struct buffer *out, struct slice bytes);

/* ---- dump_log_batches.c ---- */

/* Larger batches are not looked into: their length is more likely damage. */
#define DUMP_BATCH_BYTES_MAX ((int64_t)256 * 1024 * 1024)

/* Steps over the batches and old messages of a .log file. */
struct dump_batches {
    struct dump *dump;
    struct dump_file *file;
    int64_t position; /* of the next one */
    int64_t end;
    struct buffer window; /* bytes of the file from window_position on */
    int64_t window_position;
    bool headers_only; /* `bytes` need not be whole */
};

struct dump_entry {
    int64_t position;
    int64_t size_bytes;
    int magic;
    int64_t last_offset;
    struct slice bytes; /* valid until the next call */
};

void dump_batches_init(struct dump_batches *batches, struct dump *dump, struct dump_file *file,
                       int64_t position, int64_t end, bool headers_only);
void dump_batches_release(struct dump_batches *batches);
/* 1: *entry is set. 0: the end, or what is left is no whole batch (position stays before it). -EBADMSG: what
 * stands there cannot be one, which was told; -errno, told. */
MUST_CHECK int dump_batches_next(struct dump_batches *batches, struct dump_entry *entry);

void dump_batches_file(struct dump *dump, struct dump_file *file);
/* The greatest timestamp of the records of an entry, -1 where there is none. False: they cannot be read. */
MUST_CHECK bool dump_greatest_timestamp(struct dump *dump, const struct dump_entry *entry,
                                        int64_t *timestamp);

/* ---- dump_log_records.c ---- */

/* What goes on from record to record of a file. */
struct dump_records {
    struct dump *dump;
    struct dump_file *file;
    int64_t last_offset; /* -1: none yet */
};

/* One line a record of the entry. Damage is told; whatever comes before it is printed. */
void dump_records_of(struct dump_records *records, const struct dump_entry *entry);

/* Calls `visit` for the messages of an old entry, of a compressed one for those inside, each with its
 * absolute offset and the timestamp that counts. NULL, or what is wrong. Nothing is visited then. */
struct old_message;
const char *dump_old_messages(struct slice bytes,
                              void (*visit)(void *context, const struct old_message *message), void *context);

/* ---- dump_log_indexes.c ---- */

void dump_offset_index(struct dump *dump, struct dump_file *file);
void dump_time_index(struct dump *dump, struct dump_file *file);
void dump_transaction_index(struct dump *dump, struct dump_file *file);

/* ---- dump_log_snapshot.c ---- */

void dump_producer_snapshot(struct dump *dump, struct dump_file *file);

#endif
