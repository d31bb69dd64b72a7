/* SPDX-License-Identifier: Apache-2.0 */
/* What every command shares, see tool.h. */
#include "tools/tool.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "common/properties.h"
#include "tools/client_properties.h"

#define KAFKA_LEVEL "3.9"

void tool_print_version(FILE *out)
{
    fprintf(out, "barnabas %s\nKafka %s\n", BARNABAS_VERSION, KAFKA_LEVEL);
}

static void print_usage(const struct tool *tool, FILE *out)
{
    struct buffer usage;
    buffer_init(&usage);
    options_usage(tool->rows, tool->row_count, &usage);
    fputs(buffer_string(&usage), out);
    buffer_release(&usage);
}

int tool_wrong_use(const char *sentence)
{
    fprintf(stderr, "%s\nTry --help for the list of options.\n", sentence);
    return 1;
}

void tool_hint(const char *format, ...)
{
    fflush(stdout); /* the sentence first */
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

int tool_read_command_config(const struct options *options, struct buffer *sentence)
{
    const char *path = options_value(options, "command-config");
    if (path == NULL)
        return 0;
    struct properties properties;
    properties_init(&properties);
    int rc = properties_load(path, &properties, sentence);
    const struct property *protocol = rc == 0 ? properties_find(&properties, "security.protocol") : NULL;
    if (protocol != NULL && strcmp(protocol->value, "PLAINTEXT") != 0) {
        buffer_print(sentence, "security.protocol=%s: this release connects in PLAINTEXT only",
                     protocol->value);
        rc = -EINVAL;
    }
    properties_release(&properties);
    return rc;
}

int tool_main(const struct tool *tool, int count, char *const *arguments)
{
    struct options options;
    struct buffer error, notes;
    buffer_init(&error);
    buffer_init(&notes);
    options_init(&options, tool->rows, tool->row_count);
    int status = 0;
    if (count == 0) {
        fprintf(stderr, "%s\n", tool->purpose);
        print_usage(tool, stderr);
        status = 1;
    } else if (options_parse(&options, count, arguments, &error, &notes) < 0) {
        status = tool_wrong_use(buffer_string(&error));
    } else if (options_has(&options, "help")) {
        printf("%s\n", tool->purpose);
        print_usage(tool, stdout);
    } else if (options_has(&options, "version")) {
        tool_print_version(stdout);
    } else {
        fputs(buffer_string(&notes), stderr);
        status = tool->run(&options);
    }
    options_release(&options);
    buffer_release(&notes);
    buffer_release(&error);
    return fflush(stdout) == 0 ? status : 1;
}
