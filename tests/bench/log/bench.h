/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the measurements of the log share: settings of the run, clocks, prepared batches, rows of the report.
 * One thread; whatever goes wrong ends the program with a sentence (bench_require).
 */
#ifndef TESTS_BENCH_LOG_BENCH_H
#define TESTS_BENCH_LOG_BENCH_H

#include <stdio.h>

#include "broker/log/log_manager.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"

#define BENCH_ROUNDS_MAX 25
#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)

struct bench {
    const char *directory; /* of this run, empty at first */
    int64_t scale;         /* amounts are divided by it */
    int rounds;
    int64_t only_batch_bytes; /* appends of this size alone; 0: of all */
    bool first_row;
    FILE *json; /* NULL: none wanted */
};

/* ---- report.c ---- */

/* Ends the program unless `condition`; `error`: a -errno to explain, or 0. */
void bench_require(bool condition, int error, const char *what);
double bench_seconds(void);     /* monotonic */
double bench_cpu_seconds(void); /* of this process */
/* Sorts the values. */
double bench_median(double *values, int count);
/* Memory for so many bytes of page cache is with this machine afterwards, and free. */
void bench_warm_memory(const struct bench *bench, int64_t bytes);
/* <directory>/<name>; free() it. */
char *bench_path(const struct bench *bench, const char *name);
/* Appends a batch of exactly `bytes` bytes, of records of about 1 KiB, as a producer sends it. */
void bench_make_batch(int64_t bytes, struct buffer *out);
/* Appends the batch, as if it came from a producer. */
void bench_append_batch(struct partition_log *log, struct buffer *batch);
void bench_settings(struct log_settings *settings);
/* Options of a log manager in one directory, `path`. */
struct log_manager_options bench_manager_options(struct file_system *files, const char *const *path);
/* A line of the table and a row of the JSON: the name, the text, and fields as `"a": 1, "b": 2`. */
void bench_row(struct bench *bench, const char *name, const char *fields, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* ---- the measurements ---- */

void bench_append(struct bench *bench);
void bench_read(struct bench *bench);
void bench_open(struct bench *bench);
void bench_recovery(struct bench *bench);

#endif
