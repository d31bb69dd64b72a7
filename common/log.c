/* SPDX-License-Identifier: Apache-2.0 */
/* Writes log lines. The only state that threads share is the level, an atomic that nothing is ordered by. */
#include "common/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/clock.h"
#include "common/memory.h"

struct logger {
    int descriptor;
    atomic_int level; /* relaxed: a line more or less around a change does no harm */
    char *identity;
};

static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

struct logger *logger_new(int descriptor, enum log_level level, const char *identity)
{
    struct logger *logger = memory_allocate_zeroed(1, sizeof(*logger));
    logger->descriptor = descriptor;
    atomic_init(&logger->level, (int)level);
    logger->identity = memory_copy_string(identity);
    return logger;
}

void logger_free(struct logger *logger)
{
    if (logger == NULL)
        return;
    free(logger->identity);
    free(logger);
}

void logger_set_level(struct logger *logger, enum log_level level)
{
    atomic_store_explicit(&logger->level, (int)level, memory_order_relaxed);
}

bool logger_would_log(const struct logger *logger, enum log_level level)
{
    return logger != NULL && (int)level <= atomic_load_explicit(&logger->level, memory_order_relaxed);
}

int log_level_parse(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (strcasecmp(name, level_names[i]) == 0)
            return (int)i;
    }
    return -EINVAL;
}

static void print_prefix(struct buffer *line, const struct logger *logger, enum log_level level,
                         const char *area)
{
    int64_t now_ms = clock_wall_ms();
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    buffer_print(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %-5s ", utc.tm_year + 1900, utc.tm_mon + 1,
                 utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, (int)(now_ms % 1000), level_names[level]);
    if (logger->identity[0] != '\0')
        buffer_print(line, "%s ", logger->identity);
    buffer_print(line, "%s: ", area);
}

void log_line(struct logger *logger, enum log_level level, const char *area, const char *format, ...)
{
    if (!logger_would_log(logger, level))
        return;
    int kept_errno = errno;
    struct buffer line;
    buffer_init(&line);
    print_prefix(&line, logger, level, area);
    va_list arguments;
    va_start(arguments, format);
    buffer_print_list(&line, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < line.length; i++) {
        if (line.data[i] == '\n' || line.data[i] == '\r')
            line.data[i] = ' ';
    }
    buffer_append_string(&line, "\n");
    ssize_t written;
    do
        written = write(logger->descriptor, line.data, line.length);
    while (written < 0 && errno == EINTR);
    buffer_release(&line);
    errno = kept_errno;
}

bool log_limiter_allow(struct log_limiter *limiter, int64_t now_ms, uint64_t *suppressed)
{
    if (now_ms < limiter->next_ms) {
        limiter->suppressed++;
        return false;
    }
    *suppressed = limiter->suppressed;
    limiter->suppressed = 0;
    limiter->next_ms = now_ms + LOG_LIMIT_INTERVAL_MS;
    return true;
}
