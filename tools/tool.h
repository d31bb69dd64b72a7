/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every command of `barnabas` shares: its entry, the standard streams, and how it speaks of wrong use.
 * A command is a function over its arguments; its result is the exit status: 0 done, 1 not done.
 */
#ifndef TOOLS_TOOL_H
#define TOOLS_TOOL_H

#include "tools/options.h"

struct tool {
    const char *name;    /* "topics" */
    const char *summary; /* one line for `barnabas --help` */
    const char *purpose; /* what Kafka's tool says of itself when called without arguments */
    const struct option_row *rows;
    size_t row_count;
    int (*run)(const struct options *options);
};

extern const struct tool topics_tool;
extern const struct tool console_producer_tool;
extern const struct tool console_consumer_tool;
extern const struct tool dump_log_tool;
extern const struct tool log_dirs_tool;

/*
 * Parses the arguments behind the command's name and runs it. --help: usage on standard output, 0. --version:
 * two lines, 0. No arguments: purpose and usage on standard error, 1. Wrong options: the sentence on standard
 * error, 1.
 */
int tool_main(const struct tool *tool, int count, char *const *arguments);

/* Wrong use: the sentence on standard error, and where to look; all the options would hide it. Always 1. */
int tool_wrong_use(const char *sentence);

/* The property file that --command-config names: this release connects in plaintext only. 0, or -errno with
 * the sentence. */
MUST_CHECK int tool_read_command_config(const struct options *options, struct buffer *sentence);

/* A line on standard error that says what to do about an error that was just told. */
void tool_hint(const char *format, ...) PRINTF_LIKE(1, 2);

/* Product and the level of Kafka that the tools speak, two lines. */
void tool_print_version(FILE *out);

#endif
