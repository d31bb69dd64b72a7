/* SPDX-License-Identifier: Apache-2.0 */
/*
 * barnabasd: reads server.properties, runs the broker until SIGTERM or SIGINT.
 *
 * Exit codes: 0 stopped in order; 1 could not start, or had to give up; 2 wrong usage.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "broker/server.h"
#include "common/file.h"
#include "common/memory.h"

#ifndef BARNABAS_VERSION
#define BARNABAS_VERSION "unknown"
#endif

static const char usage_text[] =
    "Usage: barnabasd [options] server.properties\n"
    "\n"
    "Runs a Barnabas broker with Kafka's configuration file. It logs to standard error and stops in order\n"
    "on SIGTERM or SIGINT.\n"
    "\n"
    "Options:\n"
    "  --override KEY=VALUE   set a key over what the file says; may be given several times\n"
    "  --log-level LEVEL      error, warn, info (default) or debug\n"
    "  --check                read and check the configuration, say what is wrong, and exit\n"
    "  --version              print the version and exit\n"
    "  --help                 print this and exit\n";

struct arguments {
    const char *file;
    struct buffer overrides; /* lines of a properties file */
    enum log_level level;
    bool check_only;
};

/* -1: go on; else the exit code. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"override", required_argument, NULL, 'o'}, {"log-level", required_argument, NULL, 'l'},
        {"check", no_argument, NULL, 'c'},          {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            if (strchr(optarg, '=') == NULL) {
                fprintf(stderr, "barnabasd: --override %s: expected KEY=VALUE\n", optarg);
                return 2;
            }
            buffer_print(&arguments->overrides, "%s\n", optarg);
            break;
        case 'l': {
            int level = log_level_parse(optarg);
            if (level < 0) {
                fprintf(stderr, "barnabasd: --log-level %s: expected error, warn, info or debug\n", optarg);
                return 2;
            }
            arguments->level = (enum log_level)level;
            break;
        }
        case 'c':
            arguments->check_only = true;
            break;
        case 'v':
            puts("barnabasd " BARNABAS_VERSION);
            return 0;
        case 'h':
            fputs(usage_text, stdout);
            return 0;
        default:
            fputs("Try 'barnabasd --help'.\n", stderr);
            return 2;
        }
    }
    if (argc - optind != 1) {
        fputs(usage_text, stderr);
        return 2;
    }
    arguments->file = argv[optind];
    return -1;
}

/* Prints each line of the buffer behind "barnabasd: ". */
static void print_lines(const char *prefix, struct buffer *lines)
{
    char *text = memory_copy_string(buffer_string(lines));
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        if (*line != '\0')
            fprintf(stderr, "barnabasd: %s%s\n", prefix, line);
    free(text);
}

static int read_configuration(const struct arguments *arguments, struct broker_config *config)
{
    struct buffer warnings;
    struct buffer errors;
    buffer_init(&warnings);
    buffer_init(&errors);
    int error =
        broker_config_load(config, arguments->file, buffer_slice(&arguments->overrides), &warnings, &errors);
    print_lines("warning: ", &warnings);
    print_lines("", &errors);
    buffer_release(&warnings);
    buffer_release(&errors);
    return error;
}

/* Any thread: the broker cannot go on. */
static void on_failed(void *context)
{
    (void)context;
    kill(getpid(), SIGTERM);
}

/* Has a signal come that nobody has read yet? */
static bool is_stopping(void *context)
{
    const int *signals = context;
    struct pollfd ready = {.fd = *signals, .events = POLLIN};
    return poll(&ready, 1, 0) > 0;
}

/* Blocks the signals in this thread and all that are started from it. */
static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int run(const struct arguments *arguments, struct broker_config *config)
{
    char identity[32];
    snprintf(identity, sizeof(identity), "broker=%d", config->broker_id);
    struct logger *logger = logger_new(STDERR_FILENO, arguments->level, identity);
    int signals = open_signals();
    struct buffer error;
    buffer_init(&error);
    struct server_options options = {.config = config,
                                     .logger = logger,
                                     .failed = on_failed,
                                     .stopping = is_stopping,
                                     .context = &signals};
    struct server *server;
    int result = server_start(&options, &server, &error);
    if (result == -ECANCELED) {
        log_info(logger, "server", "%s", buffer_string(&error));
        result = 0;
    } else if (result != 0) {
        log_error(logger, "server", "cannot start: %s", buffer_string(&error));
    } else {
        struct signalfd_siginfo signal_info = {0};
        while (read(signals, &signal_info, sizeof(signal_info)) < 0 && errno == EINTR) {
        }
        bool gave_up = signal_info.ssi_pid == (uint32_t)getpid();
        log_info(logger, "server", "stopping");
        result = server_stop(server);
        if (gave_up && result == 0)
            result = -EIO;
        log_info(logger, "server", "stopped");
    }
    buffer_release(&error);
    close(signals);
    logger_free(logger);
    return result == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.level = LOG_INFO};
    buffer_init(&arguments.overrides);
    int code = parse_arguments(argc, argv, &arguments);
    if (code < 0) {
        struct broker_config config;
        broker_config_init(&config);
        code = 1;
        if (read_configuration(&arguments, &config) == 0)
            code = arguments.check_only ? 0 : run(&arguments, &config);
        broker_config_release(&config);
    }
    buffer_release(&arguments.overrides);
    return code;
}
