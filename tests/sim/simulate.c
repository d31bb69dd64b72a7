/* SPDX-License-Identifier: Apache-2.0 */
/* simulate: the command line of the simulator. docs/simulator.md explains it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/runner.h"
#include "tests/sim/switches.h"
#include "tests/sim/table.h"

/* In so many seeds everything worth seeing must have been seen. */
#define BLIND_SEEDS 500
/* In so many what is rare. */
#define RARE_SEEDS 5000

static const char usage[] =
    "usage: simulate [--seed N | --seeds COUNT|A..B] [options]\n"
    "\n"
    "Runs simulated clusters of the shipped broker code, one for each seed, and judges them.\n"
    "\n"
    "  --seed N         this seed; prints the hash of all that happened\n"
    "  --seeds COUNT    so many seeds (1000 when nothing is said); --seeds A..B: both included\n"
    "  --start S        the first of COUNT seeds (1)\n"
    "  --jobs N         processes (1)\n"
    "  --fault NAME     switches a rule off, to see that it is found; several times for several (below)\n"
    "  --expect-found   success means that a violation was found\n"
    "  --lossy          brokers lose power too (unsynced writes are lost or torn)\n"
    "  --flush          flush.messages=1 in all seeds: with --lossy any broker loses power, and nothing\n"
    "                   that was acknowledged is lost\n"
    "  --moves          operators move replicas in all seeds\n"
    "  --keep-going     a failure does not end the run; all seeds that failed are listed\n"
    "  --trace          with --seed: tells the whole story\n"
    "  --table          switches off each rule in turn, from several starts (--starts N, 5; --jobs), and\n"
    "                   prints how many seeds found it; fails when one is not found in 60 s of one core\n"
    "  --help           this\n"
    "\n"
    "Rules to switch off:\n";

struct command_line {
    struct run_request request;
    bool single;
    bool expect_found;
    bool table;
    uint64_t starts;
};

static bool set_fault(struct sim_options *options, const char *name)
{
    const struct sim_switch *which = sim_switch_find(name);
    if (which != NULL)
        sim_switch_set(options, which);
    else
        fprintf(stderr, "simulate: no fault named %s; see --help\n", name);
    return which != NULL;
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && text[0] != '-')
        return true;
    fprintf(stderr, "simulate: %s is not a number\n", text);
    return false;
}

/* COUNT or A..B. */
static bool parse_seeds(char *text, struct run_request *request)
{
    char *dots = strstr(text, "..");
    if (dots == NULL)
        return parse_number(text, &request->count);
    uint64_t last;
    *dots = '\0';
    if (!parse_number(text, &request->first) || !parse_number(dots + 2, &last) || last < request->first)
        return false;
    request->count = last - request->first + 1;
    return true;
}

static bool take_option(struct command_line *line, int option, char *value)
{
    struct run_request *request = &line->request;
    uint64_t number;
    switch (option) {
    case 's':
        line->single = true;
        request->count = 1;
        return parse_number(value, &request->first);
    case 'n':
        return parse_seeds(value, request);
    case 'b':
        return parse_number(value, &request->first);
    case 'j':
        if (!parse_number(value, &number) || number < 1 || number > 64)
            return false;
        request->jobs = (int)number;
        return true;
    case 'f':
        return set_fault(&request->options, value);
    case 'e':
        line->expect_found = true;
        return true;
    case 'l':
        request->options.lossy = true;
        return true;
    case 'u':
        request->options.flush = true;
        return true;
    case 'T':
        line->table = true;
        return true;
    case 'S':
        return parse_number(value, &line->starts) && line->starts > 0 && line->starts <= TABLE_STARTS_MAX;
    case 'm':
        request->options.moves = true;
        return true;
    case 'k':
        request->keep_going = true;
        return true;
    case 't':
        request->options.trace = true;
        return true;
    default:
        return false;
    }
}

static void tell_usage(void)
{
    struct buffer names;
    buffer_init(&names);
    sim_switch_tell(&names);
    fputs(usage, stdout);
    fputs(buffer_string(&names), stdout);
    buffer_release(&names);
}

static bool parse_command_line(struct command_line *line, int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"start", required_argument, NULL, 'b'},
        {"jobs", required_argument, NULL, 'j'},
        {"fault", required_argument, NULL, 'f'},
        {"expect-found", no_argument, NULL, 'e'},
        {"lossy", no_argument, NULL, 'l'},
        {"flush", no_argument, NULL, 'u'},
        {"moves", no_argument, NULL, 'm'},
        {"trace", no_argument, NULL, 't'},
        {"table", no_argument, NULL, 'T'},
        {"starts", required_argument, NULL, 'S'},
        {"keep-going", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *line = (struct command_line){.request = {.first = 1, .count = 1000, .jobs = 1}, .starts = 5};
    line->request.progress = isatty(STDERR_FILENO) != 0;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            tell_usage();
            exit(0);
        }
        if (!take_option(line, option, optarg)) {
            fputs("simulate: see --help\n", stderr);
            return false;
        }
    }
    if (optind < argc || (line->request.options.trace && !line->single)) {
        fputs(usage, stderr);
        return false;
    }
    return true;
}

static void tell_counters(const struct sim_counters *counters)
{
    printf("acknowledged %llu, observed %llu, deletions %llu, truncations %llu, elections %llu, states "
           "written %llu,\n",
           (unsigned long long)counters->acknowledged, (unsigned long long)counters->observed,
           (unsigned long long)counters->deletions, (unsigned long long)counters->truncations,
           (unsigned long long)counters->elections, (unsigned long long)counters->isr_changes);
    printf("crashes %llu, power cuts %llu, orderly stops %llu, pauses %llu, expiries %llu, topics "
           "deleted %llu, healed %llu,\n",
           (unsigned long long)counters->crashes, (unsigned long long)counters->power_cuts,
           (unsigned long long)counters->orderly_stops, (unsigned long long)counters->pauses,
           (unsigned long long)counters->expiries, (unsigned long long)counters->topics_deleted,
           (unsigned long long)counters->healed);
    printf("moves asked for %llu, cancelled %llu, ended %llu, elections asked for %llu, unclean %llu, "
           "partitions added %llu,\n"
           "settings changed %llu, quorums lost %llu, ",
           (unsigned long long)counters->moves_asked, (unsigned long long)counters->moves_cancelled,
           (unsigned long long)counters->moves_ended, (unsigned long long)counters->elections_asked,
           (unsigned long long)counters->unclean_elections, (unsigned long long)counters->partitions_grown,
           (unsigned long long)counters->settings_changed, (unsigned long long)counters->quorum_losses);
    printf("directories full %llu, disks failed %llu, replaced %llu,\n",
           (unsigned long long)counters->directories_full, (unsigned long long)counters->disks_failed,
           (unsigned long long)counters->disks_replaced);
    printf("controllers deposed %llu, late proposals %llu\n", (unsigned long long)counters->deposed,
           (unsigned long long)counters->late_proposals);
}

/* What never happened in many seeds: then nothing was proved by finding nothing. */
static const char *blind_spot(const struct run_request *request, const struct sim_counters *counters)
{
    const struct {
        const char *name;
        uint64_t count;
    } seen[] = {
        {"acknowledgement", counters->acknowledged},
        {"observation", counters->observed},
        {"truncation", counters->truncations},
        {"deletion", counters->deletions},
        {"election", counters->elections},
        {"crash", counters->crashes},
        {"orderly stop", counters->orderly_stops},
        {"pause", counters->pauses},
        {"expired session", counters->expiries},
        {"deleted topic", counters->topics_deleted},
        {"controller deposed by a tool", counters->deposed},
        {"election that was asked for", counters->elections_asked},
        {"partition that was added", counters->partitions_grown},
        {"change of settings", counters->settings_changed},
        {"loss of quorum", counters->quorum_losses},
        {"directory without room", counters->directories_full},
        {"disk that fails", counters->disks_failed},
        {"disk that was exchanged", counters->disks_replaced},
    };
    for (size_t i = 0; request->count >= BLIND_SEEDS && i < ARRAY_SIZE(seen); i++)
        if (seen[i].count == 0)
            return seen[i].name;
    if (request->count >= RARE_SEEDS && counters->unclean_elections == 0)
        return "unclean election";
    if (request->count >= RARE_SEEDS && (counters->moves_ended == 0 || counters->moves_cancelled == 0))
        return "end or cancellation of a move";
    return NULL;
}

static void tell_repeat(const struct command_line *line, int argc, char **argv, uint64_t seed)
{
    printf("repeat it with: simulate --seed %llu --trace", (unsigned long long)seed);
    if (line->request.options.lossy)
        printf(" --lossy");
    if (line->request.options.moves)
        printf(" --moves");
    if (line->request.options.flush)
        printf(" --flush");
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--fault") == 0)
            printf(" --fault %s", argv[i + 1]);
    printf("\n");
}

/* Exit code. */
static int run_one(const struct command_line *line)
{
    struct buffer report;
    struct sim_counters counters = {0};
    bool found;
    buffer_init(&report);
    uint64_t hash = run_seed(line->request.first, &line->request.options, &found, &report, &counters);
    if (found)
        fputs(buffer_string(&report), stdout);
    tell_counters(&counters);
    printf("seed %llu %s, hash %016llx\n", (unsigned long long)line->request.first,
           found ? "fails" : "is clean", (unsigned long long)hash);
    buffer_release(&report);
    return found == line->expect_found ? 0 : 1;
}

static void tell_failed(const struct run_result *result)
{
    printf("%zu%s of %llu seeds failed:", result->failed_count,
           result->failed_count == FAILED_SEEDS_MAX ? " or more" : "", (unsigned long long)result->seeds);
    for (size_t i = 0; i < result->failed_count; i++)
        printf(" %llu", (unsigned long long)result->failed[i]);
    printf("\n");
}

static int run_many(const struct command_line *line, int argc, char **argv)
{
    struct run_result result;
    int error = run_seeds(&line->request, &result);
    if (error != 0) {
        fprintf(stderr, "simulate: cannot start processes: %s\n", strerror(-error));
        return 2;
    }
    double rate = result.seconds > 0 ? (double)result.seeds / result.seconds : 0;
    if (result.found) {
        fputs(buffer_string(&result.report), stdout);
        tell_repeat(line, argc, argv, result.seed);
        if (line->request.keep_going)
            tell_failed(&result);
        printf("found by seed %llu, after %llu seeds, %.0f seeds/s\n", (unsigned long long)result.seed,
               (unsigned long long)(result.seed - line->request.first + 1), rate);
    } else {
        tell_counters(&result.counters);
        const char *unseen = blind_spot(&line->request, &result.counters);
        if (unseen != NULL) {
            printf("the simulator is blind: no %s in %llu seeds\n", unseen, (unsigned long long)result.seeds);
            return 1;
        }
        printf("%llu seeds clean, %.0f seeds/s\n", (unsigned long long)result.seeds, rate);
    }
    buffer_release(&result.report);
    return result.found == line->expect_found ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct command_line line;
    if (!parse_command_line(&line, argc, argv))
        return 2;
    if (line.table)
        return tell_table((int)line.starts, line.request.jobs) ? 0 : 1;
    return line.single ? run_one(&line) : run_many(&line, argc, argv);
}
