/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `barnabas`, the operators' command line: `barnabas topics --list ...`. Called by the name of one of Kafka's
 * tools (kafka-topics, kafka-topics.sh) it is that tool.
 */
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

static const struct tool *const tools[] = {&topics_tool, &console_producer_tool, &console_consumer_tool,
                                           &dump_log_tool, &log_dirs_tool};

static const struct tool *tool_find(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
        if (strlen(tools[i]->name) == length && memcmp(tools[i]->name, name, length) == 0)
            return tools[i];
    return NULL;
}

/* The tool that a program's name stands for: /opt/bin/kafka-topics.sh is topics. NULL: none. */
static const struct tool *tool_of_program(const char *path)
{
    static const char prefix[] = "kafka-", suffix[] = ".sh";
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        return NULL;
    name += sizeof(prefix) - 1;
    size_t length = strlen(name), suffix_length = sizeof(suffix) - 1;
    if (length > suffix_length && strcmp(name + length - suffix_length, suffix) == 0)
        length -= suffix_length;
    return tool_find(name, length);
}

static void print_commands(FILE *out)
{
    fputs("barnabas COMMAND [OPTION...]: looks after a cluster of brokers.\n\nCommands:\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
        fprintf(out, "  %-18s %s\n", tools[i]->name, tools[i]->summary);
    fputs("\nbarnabas COMMAND --help lists the options of a command. Each command is there as kafka-COMMAND "
          "and\n"
          "kafka-COMMAND.sh too. barnabas --version tells the version.\n",
          out);
}

static int unknown_command(const char *name)
{
    const char *names[ARRAY_SIZE(tools)];
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
        names[i] = tools[i]->name;
    const char *near = nearest_name(name, names, ARRAY_SIZE(tools));
    fprintf(stderr, "barnabas: there is no command %s.\n", name);
    if (near != NULL)
        fprintf(stderr, "Did you mean barnabas %s?\n", near);
    else
        fputs("barnabas --help lists the commands.\n", stderr);
    return 1;
}

int main(int count, char **arguments)
{
    const struct tool *tool = count > 0 ? tool_of_program(arguments[0]) : NULL;
    if (tool != NULL)
        return tool_main(tool, count - 1, arguments + 1);
    if (count < 2) {
        print_commands(stderr);
        return 1;
    }
    const char *command = arguments[1];
    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0 || strcmp(command, "-h") == 0) {
        print_commands(stdout);
        return 0;
    }
    if (strcmp(command, "--version") == 0) {
        tool_print_version(stdout);
        return 0;
    }
    tool = tool_find(command, strlen(command));
    if (tool == NULL)
        tool = tool_of_program(command);
    return tool != NULL ? tool_main(tool, count - 2, arguments + 2) : unknown_command(command);
}
