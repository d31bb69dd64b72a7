/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story of a run: what happened when, kept for the last events only, written out when a judge has found
 * something (or at once, with --trace). The hash goes over all of it, so two runs with the same hash told the
 * same story.
 *
 * A note is a constant format with `%lld` for each value; text is made only when it is wanted.
 */
#ifndef TESTS_SIM_TRACE_H
#define TESTS_SIM_TRACE_H

#include "common/base.h"
#include "common/buffer.h"

#define TRACE_VALUES 6
#define TRACE_KEPT 100

/* Up to TRACE_VALUES values of a note. */
#define TRACE_OF(...) ((const int64_t[TRACE_VALUES]){__VA_ARGS__})

struct trace_entry {
    int64_t time_ms;
    uint64_t step;
    const char *format;
    int64_t values[TRACE_VALUES];
};

struct trace {
    struct trace_entry entries[TRACE_KEPT]; /* a ring */
    uint64_t count;                         /* notes so far */
    uint64_t step;                          /* set by the world */
    int64_t time_ms;                        /* likewise */
    uint64_t hash;
    bool hashed;
    bool print; /* each note to standard output */
};

/* Without `hashed` the hash stays what it is, and costs nothing. */
void trace_init(struct trace *trace, bool print, bool hashed);
void trace_note(struct trace *trace, const char *format, const int64_t values[TRACE_VALUES]);
/* Mixes a number into the hash, without a note. */
void trace_mix(struct trace *trace, uint64_t value);
/* Appends the notes that are kept, one a line, oldest first. */
void trace_tell(const struct trace *trace, struct buffer *out);
/* Appends one note's text without time and step. */
void trace_format(struct buffer *out, const char *format, const int64_t values[TRACE_VALUES]);

#endif
