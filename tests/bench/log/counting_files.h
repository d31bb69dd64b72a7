/* SPDX-License-Identifier: Apache-2.0 */
/* The operating system's files, counted: how many segments (.log files) were opened, how much was read. */
#ifndef TESTS_BENCH_LOG_COUNTING_FILES_H
#define TESTS_BENCH_LOG_COUNTING_FILES_H

#include <stdatomic.h>

#include "common/file.h"

struct counting_files {
    struct file_system system;
    struct file_operations operations;
    atomic_int_least64_t opened;
    atomic_int_least64_t segments_opened;
    atomic_int_least64_t reads;
    atomic_int_least64_t bytes_read;
};

/* Counters at zero. */
void counting_files_init(struct counting_files *counting);

#endif
