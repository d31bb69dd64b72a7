/* SPDX-License-Identifier: Apache-2.0 */
/* Notes in a ring, and the hash over them. */
#include "tests/sim/trace.h"

#include <stdio.h>
#include <string.h>

void trace_init(struct trace *trace, bool print, bool hashed)
{
    memset(trace, 0, sizeof(*trace));
    trace->hash = 0xcbf29ce484222325ULL;
    trace->print = print;
    trace->hashed = hashed;
}

void trace_mix(struct trace *trace, uint64_t value)
{
    if (!trace->hashed)
        return;
    uint64_t hash = (trace->hash ^ value) * 0x9e3779b97f4a7c15ULL;
    trace->hash = hash ^ (hash >> 29);
}

void trace_format(struct buffer *out, const char *format, const int64_t values[TRACE_VALUES])
{
    char line[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(line, sizeof(line), format, (long long)values[0], (long long)values[1], (long long)values[2],
             (long long)values[3], (long long)values[4], (long long)values[5]);
#pragma GCC diagnostic pop
    buffer_append_string(out, line);
}

static void tell_entry(const struct trace_entry *entry, struct buffer *out)
{
    buffer_print(out, "%6lld.%03lld #%llu ", (long long)(entry->time_ms / 1000),
                 (long long)(entry->time_ms % 1000), (unsigned long long)entry->step);
    trace_format(out, entry->format, entry->values);
    buffer_append_string(out, "\n");
}

void trace_note(struct trace *trace, const char *format, const int64_t values[TRACE_VALUES])
{
    struct trace_entry *entry = &trace->entries[trace->count++ % TRACE_KEPT];
    entry->time_ms = trace->time_ms;
    entry->step = trace->step;
    entry->format = format;
    memcpy(entry->values, values, sizeof(entry->values));
    trace_mix(trace, (uint64_t)trace->time_ms);
    for (const char *at = format; trace->hashed && *at != '\0'; at++)
        trace->hash = (trace->hash ^ (uint8_t)*at) * 0x100000001b3ULL;
    for (size_t i = 0; i < TRACE_VALUES; i++)
        trace_mix(trace, (uint64_t)values[i]);
    if (!trace->print)
        return;
    struct buffer text;
    buffer_init(&text);
    tell_entry(entry, &text);
    fputs(buffer_string(&text), stdout);
    fflush(stdout);
    buffer_release(&text);
}

void trace_tell(const struct trace *trace, struct buffer *out)
{
    uint64_t first = trace->count > TRACE_KEPT ? trace->count - TRACE_KEPT : 0;
    for (uint64_t i = first; i < trace->count; i++)
        tell_entry(&trace->entries[i % TRACE_KEPT], out);
}
