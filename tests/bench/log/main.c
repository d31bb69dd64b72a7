/* SPDX-License-Identifier: Apache-2.0 */
/* Measures the log: see tests/bench/README.md. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/bench/log/bench.h"

static const struct {
    const char *name;
    void (*measure)(struct bench *bench);
} measurements[] = {
    {"append", bench_append}, {"read", bench_read}, {"open", bench_open}, {"recovery", bench_recovery}};

static int usage(void)
{
    fputs("usage: bench_log --dir <folder> [--only append|read|open|recovery] [--rounds <n>] [--quick]\n"
          "                 [--batch-kib <n>] [--json <file>]\n",
          stderr);
    return 2;
}

/* 5,000 logs may keep as many files open. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void measure_all(struct bench *bench, const char *only)
{
    if (bench->json)
        fputs("[\n", bench->json);
    bench->first_row = true;
    for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
        if (!only || strcmp(only, measurements[i].name) == 0)
            measurements[i].measure(bench);
    if (bench->json)
        fputs("\n]\n", bench->json);
}

int main(int count, char **arguments)
{
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"quick", no_argument, NULL, 'q'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"batch-kib", required_argument, NULL, 'b'},
                                            {NULL, 0, NULL, 0}};
    struct bench bench = {.scale = 1, .rounds = 5};
    const char *parent = NULL, *only = NULL, *json = NULL;
    int option;
    while ((option = getopt_long(count, arguments, "", options, NULL)) != -1) {
        if (option == 'd')
            parent = optarg;
        else if (option == 'o')
            only = optarg;
        else if (option == 'r')
            bench.rounds = (int)strtol(optarg, NULL, 10);
        else if (option == 'q')
            bench.scale = 10;
        else if (option == 'b')
            bench.only_batch_bytes = strtol(optarg, NULL, 10) * KIB;
        else if (option == 'j')
            json = optarg;
        else
            return usage();
    }
    if (!parent || optind != count || bench.rounds < 1 || bench.rounds > BENCH_ROUNDS_MAX)
        return usage();
    raise_descriptors();
    struct buffer path;
    buffer_init(&path);
    buffer_print(&path, "%s/bench-log-XXXXXX", parent);
    buffer_string(&path);
    bench_require(mkdtemp((char *)path.data) != NULL, 0, "no folder can be made in --dir");
    bench.directory = (const char *)path.data;
    if (json) {
        bench.json = fopen(json, "w");
        bench_require(bench.json != NULL, 0, "the file for the JSON cannot be written");
    }
    measure_all(&bench, only);
    if (bench.json)
        fclose(bench.json);
    int error = file_system_remove_tree(file_system_posix(), bench.directory);
    bench_require(error == 0, error, "the folder cannot be removed");
    buffer_release(&path);
    return 0;
}
