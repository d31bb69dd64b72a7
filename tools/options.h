/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a command as Kafka's own tools take them: long names only, `--topic orders` or `--topic=orders`,
 * no abbreviations; one dash before a long name does as well as two. A tool describes its options in a const
 * table, parses once, and asks by name. The texts of errors are those that scripts know. One thread.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdio.h>

#include "common/base.h"
#include "common/buffer.h"

enum option_kind {
    OPTION_FLAG,
    OPTION_VALUE,          /* needs a value, at most one */
    OPTION_VALUES,         /* needs a value, may come more than once */
    OPTION_OPTIONAL_VALUE, /* a value may follow */
};

struct option_row {
    const char *name; /* without dashes */
    enum option_kind kind;
    const char *value_name; /* for the usage: "Integer: # of partitions"; NULL for flags */
    const char *help;
};

struct option_use {
    const struct option_row *row;
    const char *value; /* borrowed from the arguments; NULL: none was given */
};

struct options {
    const struct option_row *rows;
    size_t row_count;
    struct option_use *uses;
    size_t use_count;
    size_t _capacity;
};

/* The table is borrowed; so are the arguments that options_parse gets. */
void options_init(struct options *options, const struct option_row *rows, size_t row_count);
void options_release(struct options *options);

/*
 * Reads the arguments behind the command's name. 0, or -EINVAL with the sentence in `error`: "foo is not a
 * recognized option", and on a second line the nearest name if there is one. Words that belong to no option
 * are left out, each with a line in `notes` (may be NULL).
 */
MUST_CHECK int options_parse(struct options *options, int count, char *const *arguments, struct buffer *error,
                             struct buffer *notes);

/* Asking for a name that is not in the table is a programmer's mistake (CHECK). */
bool options_has(const struct options *options, const char *name);
/* The value, NULL where the option is absent or came without one. */
const char *options_value(const struct options *options, const char *name);
/* The values of an option that may come more than once, in order; `position` starts at 0. NULL at the end. */
const char *options_next_value(const struct options *options, const char *name, size_t *position);
/* *value stays as it is where the option is absent. -EINVAL, with the sentence: not a number that fits. */
MUST_CHECK int options_integer(const struct options *options, const char *name, int64_t low, int64_t high,
                               int64_t *value, struct buffer *error);

/* Both give -EINVAL and the sentence Kafka's tools have: `Missing required argument "[topic]"`; `Option
 * "[list]" can't be used with option "[topic]"`. Names in `others` are separated by blanks. */
MUST_CHECK int options_require(const struct options *options, const char *names, struct buffer *error);
MUST_CHECK int options_refuse(const struct options *options, const char *name, const char *others,
                              struct buffer *error);

/* The table of options with their explanations, in lines of at most 80 columns where that can be. */
void options_usage(const struct option_row *rows, size_t row_count, struct buffer *out);

/* The name in a list that is nearest to a misspelt one; NULL when none is near. */
const char *nearest_name(const char *wrong, const char *const *names, size_t count);

#endif
