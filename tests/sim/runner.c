/* SPDX-License-Identifier: Apache-2.0 */
/* Workers are child processes; what they have to say stands in memory that they share with their parent. */
#include "tests/sim/runner.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define JOBS_MAX 64
#define REPORT_MAX 32768
#define PROGRESS_MS 500
#define HEAP_KEPT_BYTES (512 << 20)
#define HEAP_GROWTH_BYTES (16 << 20)

/* What a worker shares. */
struct shared_worker {
    volatile uint64_t seed; /* under way */
    volatile uint64_t done;
    volatile int64_t processor_ms;
    volatile uint64_t next; /* place of the seed that comes then */
    bool found;
    size_t failed_count; /* with keep_going: the seeds that failed */
    uint64_t failed[FAILED_SEEDS_MAX];
    struct sim_counters counters;
    size_t report_length;
    char report[REPORT_MAX];
};

static void add_counters(struct sim_counters *sum, const struct sim_counters *counters)
{
    sum->acknowledged += counters->acknowledged;
    sum->observed += counters->observed;
    sum->deletions += counters->deletions;
    sum->truncations += counters->truncations;
    sum->elections += counters->elections;
    sum->isr_changes += counters->isr_changes;
    sum->crashes += counters->crashes;
    sum->pauses += counters->pauses;
    sum->expiries += counters->expiries;
    sum->power_cuts += counters->power_cuts;
    sum->orderly_stops += counters->orderly_stops;
    sum->topics_deleted += counters->topics_deleted;
    sum->healed += counters->healed;
    sum->deposed += counters->deposed;
    sum->late_proposals += counters->late_proposals;
    sum->moves_asked += counters->moves_asked;
    sum->moves_cancelled += counters->moves_cancelled;
    sum->moves_ended += counters->moves_ended;
    sum->elections_asked += counters->elections_asked;
    sum->unclean_elections += counters->unclean_elections;
    sum->partitions_grown += counters->partitions_grown;
    sum->settings_changed += counters->settings_changed;
    sum->quorum_losses += counters->quorum_losses;
    sum->directories_full += counters->directories_full;
    sum->disks_failed += counters->disks_failed;
    sum->disks_replaced += counters->disks_replaced;
}

static void tell_failure(struct world *world, struct buffer *report)
{
    for (int b = 0; b < world->swarm.brokers; b++) {
        const struct sim_broker *broker = &world->brokers[b];
        if (!broker->alive || !controller_is_in_office(broker->controller))
            continue;
        buffer_print(report, "the controller, broker %d:\n", broker->id);
        controller_dump(broker->controller, report);
    }
    buffer_append_string(report, "the last events:\n");
    trace_tell(&world->trace, report);
    swarm_tell(&world->swarm, report);
    buffer_print(report,
                 "seed %llu, step %llu, %lld.%03lld s: %s violated: ", (unsigned long long)world->swarm.seed,
                 (unsigned long long)world->steps, (long long)(world->now_ms / 1000),
                 (long long)(world->now_ms % 1000), world->violation.rule);
    trace_format(report, world->violation.format, world->violation.values);
    buffer_append_string(report, "\n");
}

uint64_t run_seed(uint64_t seed, const struct sim_options *options, bool *found, struct buffer *report,
                  struct sim_counters *counters)
{
    struct world *world = world_new(seed, options);
    *found = !world_run(world);
    trace_mix(&world->trace, world->steps);
    uint64_t hash = world->trace.hash;
    add_counters(counters, &world->counters);
    if (*found)
        tell_failure(world, report);
    world_free(world);
    return hash;
}

static int64_t processor_ms(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

static void note_failed(struct shared_worker *shared, uint64_t seed)
{
    if (shared->failed_count < FAILED_SEEDS_MAX)
        shared->failed[shared->failed_count++] = seed;
}

static _Noreturn void work(const struct run_request *request, struct shared_worker *shared)
{
    struct buffer report;
    buffer_init(&report);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no worker outlives the run */
    /* What one seed has freed the next one takes: nothing is given back to the kernel. */
    mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, HEAP_KEPT_BYTES);
    mallopt(M_TOP_PAD, HEAP_GROWTH_BYTES);
    struct sim_options options = request->options;
    options.unhashed = true;
    while (shared->next < request->count && (request->keep_going || !shared->found)) {
        uint64_t i = shared->next;
        bool found;
        shared->processor_ms = processor_ms();
        if (request->at_most_ms > 0 && shared->processor_ms >= request->at_most_ms / request->jobs)
            break;
        shared->seed = request->first + i;
        shared->next = i + (uint64_t)request->jobs;
        run_seed(request->first + i, &options, &found, &report, &shared->counters);
        if (found)
            note_failed(shared, shared->seed);
        if (found && !shared->found) {
            shared->report_length = min_size(report.length, REPORT_MAX);
            memcpy(shared->report, report.data, shared->report_length);
            shared->found = true;
        }
        buffer_clear(&report);
        shared->done++;
    }
    shared->processor_ms = processor_ms();
    buffer_release(&report);
    fflush(stdout);
    _exit(shared->found ? 1 : 0);
}

/* Takes a failure over, if it is the one with the lowest seed so far; `ended`: the seed ended its process. */
static void take_failure(struct run_result *result, const struct shared_worker *shared, bool ended,
                         int status)
{
    uint64_t seed = ended ? shared->seed : shared->failed[0];
    if (result->found && result->seed < seed)
        return;
    result->found = true;
    result->seed = seed;
    buffer_clear(&result->report);
    if (!ended)
        buffer_append(&result->report, shared->report, shared->report_length);
    else
        buffer_print(&result->report, "seed %llu ended its process (%s %d): see what it printed above\n",
                     (unsigned long long)seed, WIFSIGNALED(status) ? "signal" : "exit code",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static void show_progress(const struct shared_worker *shared, int jobs, double seconds, uint64_t count)
{
    uint64_t done = 0;
    for (int w = 0; w < jobs; w++)
        done += shared[w].done;
    fprintf(stderr, "\r%llu of %llu seeds, %.0f seeds/s ", (unsigned long long)done,
            (unsigned long long)count, seconds > 0 ? (double)done / seconds : 0.0);
    fflush(stderr);
}

/* A seed has ended its process: another one goes on behind it. */
static pid_t go_on(const struct run_request *request, struct shared_worker *shared)
{
    note_failed(shared, shared->seed);
    shared->done++;
    pid_t pid = fork();
    if (pid == 0)
        work(request, shared);
    return pid;
}

/* Waits for the workers; after a failure those that are left are ended. */
static void wait_for_workers(const struct run_request *request, struct shared_worker *shared, pid_t *pids,
                             int64_t started_ms, struct run_result *result)
{
    int left = request->jobs;
    while (left > 0) {
        for (int w = 0; w < request->jobs; w++) {
            int status;
            if (pids[w] <= 0 || waitpid(pids[w], &status, WNOHANG) != pids[w])
                continue;
            pids[w] = 0;
            bool stopped = result->found && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
            bool ended = WIFSIGNALED(status) || (status != 0 && !shared[w].found);
            if (shared[w].found && !stopped)
                take_failure(result, &shared[w], false, status);
            if (ended && !stopped)
                take_failure(result, &shared[w], true, status);
            if (request->keep_going && ended)
                pids[w] = go_on(request, &shared[w]);
            left -= pids[w] <= 0;
        }
        for (int w = 0; result->found && !request->keep_going && w < request->jobs; w++)
            if (pids[w] > 0)
                kill(pids[w], SIGTERM);
        double seconds = (double)(clock_monotonic_ms() - started_ms) / 1000.0;
        if (request->progress)
            show_progress(shared, request->jobs, seconds, request->count);
        struct timespec pause = {.tv_nsec = (request->progress ? PROGRESS_MS : 20) * 1000000L};
        if (left > 0)
            nanosleep(&pause, NULL);
    }
    if (request->progress)
        fprintf(stderr, "\n");
}

static int compare_seeds(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int run_seeds(const struct run_request *request, struct run_result *result)
{
    memset(result, 0, sizeof(*result));
    buffer_init(&result->report);
    if (request->jobs < 1 || request->jobs > JOBS_MAX)
        return -EINVAL;
    size_t size = sizeof(struct shared_worker) * (size_t)request->jobs;
    struct shared_worker *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;
    pid_t pids[JOBS_MAX];
    int64_t started_ms = clock_monotonic_ms();
    fflush(stdout);
    for (int w = 0; w < request->jobs; w++)
        shared[w].next = (uint64_t)w;
    for (int w = 0; w < request->jobs; w++) {
        pids[w] = fork();
        if (pids[w] == 0)
            work(request, &shared[w]);
        if (pids[w] < 0) {
            int error = -errno;
            while (w-- > 0) {
                kill(pids[w], SIGKILL);
                waitpid(pids[w], NULL, 0);
            }
            munmap(shared, size);
            return error;
        }
    }
    wait_for_workers(request, shared, pids, started_ms, result);
    result->seconds = (double)(clock_monotonic_ms() - started_ms) / 1000.0;
    for (int w = 0; w < request->jobs; w++) {
        result->seeds += shared[w].done;
        for (size_t i = 0; i < shared[w].failed_count && result->failed_count < FAILED_SEEDS_MAX; i++)
            result->failed[result->failed_count++] = shared[w].failed[i];
        result->processor_seconds += (double)shared[w].processor_ms / 1000.0;
        add_counters(&result->counters, &shared[w].counters);
    }
    qsort(result->failed, result->failed_count, sizeof(*result->failed), compare_seeds);
    munmap(shared, size);
    return 0;
}
