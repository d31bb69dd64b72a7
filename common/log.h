/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's log: one line an event, to standard error or a file:
 *
 *   2026-11-20T18:04:14.123Z INFO  broker=1 net: listening on PLAINTEXT 127.0.0.1:9092
 *
 * A logger is created by main and passed to whoever speaks; cores are silent. Lines are written with one
 * write(2), so threads never mix theirs. Text from strangers goes through buffer_append_escaped first.
 * What a peer can provoke at will is logged through log_limited: once a minute per limiter, with the number
 * of lines that were left out.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct logger;

/* A logger that writes lines up to `level` to the descriptor (borrowed), each with `identity` ("broker=1";
 * may be ""). */
struct logger *logger_new(int descriptor, enum log_level level, const char *identity);
void logger_free(struct logger *logger);
/* From any thread, while others log. */
void logger_set_level(struct logger *logger, enum log_level level);
bool logger_would_log(const struct logger *logger, enum log_level level);
/* The level of a name ("error", "WARN", "info", "debug"), or -EINVAL. */
int log_level_parse(const char *name);

/* area: the room that speaks ("net", "log", "zk"). `logger` may be NULL: nothing is said. */
void log_line(struct logger *logger, enum log_level level, const char *area, const char *format, ...)
    PRINTF_LIKE(4, 5);

#define log_error(logger, area, ...) log_line(logger, LOG_ERROR, area, __VA_ARGS__)
#define log_warn(logger, area, ...) log_line(logger, LOG_WARN, area, __VA_ARGS__)
#define log_info(logger, area, ...) log_line(logger, LOG_INFO, area, __VA_ARGS__)
#define log_debug(logger, area, ...) log_line(logger, LOG_DEBUG, area, __VA_ARGS__)

/* Zero-initialised; owned by one thread or guarded by the owner's lock. */
struct log_limiter {
    int64_t next_ms;
    uint64_t suppressed;
};

#define LOG_LIMIT_INTERVAL_MS 60000

/* True when a line may be written now; *suppressed is then how many were left out since the last one. */
MUST_CHECK bool log_limiter_allow(struct log_limiter *limiter, int64_t now_ms, uint64_t *suppressed);

#endif
