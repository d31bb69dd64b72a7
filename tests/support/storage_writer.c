/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storm on real files, to be killed at any moment (tests/cluster/test_storage_kill.py):
 *
 *   storage_writer <folder> <seed> <journal> [check]
 *
 * Replays the journal of former lives, opens the logs in the folder, holds what is there against the journal,
 * opens them a second time and compares; then goes on with the storm until it is killed. Every event goes to
 * standard output before the thing it announces is begun, or after the thing it acknowledges is done: whoever
 * appends that to the journal knows what this process knew. An event of kind STORM_NOTHING says that all was
 * found well. With `check` it stops cleanly there.
 *
 * Ends with a sentence and a status other than 0 when something is lost, or the disk refuses.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/storm.h"

static _Noreturn void give_up(const char *what, int error)
{
    fprintf(stderr, "storage_writer: %s: %s\n", what, strerror(-error));
    exit(1);
}

/* Less than PIPE_BUF: written whole or not at all. */
static void write_event(void *context, const struct storm_event *event)
{
    (void)context;
    ssize_t written = write(STDOUT_FILENO, event, sizeof(*event));
    if (written != (ssize_t)sizeof(*event))
        give_up("nobody reads the events", written < 0 ? -errno : -EIO);
}

static void replay(struct storm *storm, const char *path)
{
    struct storm_event event;
    FILE *journal = fopen(path, "rb");
    if (!journal)
        give_up(path, -errno);
    while (fread(&event, sizeof(event), 1, journal) == 1) {
        storm_model_apply(&storm->model, &event);
        storm->now_ms = max_i64(storm->now_ms, event.timestamp + 1);
    }
    fclose(journal);
}

static void open_logs(struct storm *storm)
{
    int error = storm_open(storm);
    if (error)
        give_up(buffer_string(&storm->error), error);
}

/* Opens and verifies, twice: as a crash leaves it, and as that left it. */
static void verify_twice(struct storm *storm)
{
    uint64_t first, second;
    open_logs(storm);
    storm_verify(storm, &first);
    storm_drop(storm);
    open_logs(storm);
    storm_verify(storm, &second);
    if (first != second)
        storm_fail(storm, -1, "a second restart finds something else");
}

int main(int count, char **arguments)
{
    if (count < 4 || count > 5) {
        fputs("usage: storage_writer <folder> <seed> <journal> [check]\n", stderr);
        return 2;
    }
    struct storm storm;
    storm_init(&storm, file_system_posix(), arguments[1], strtoull(arguments[2], NULL, 10));
    buffer_print(&storm.label, "killed");
    replay(&storm, arguments[3]);
    storm.record = write_event;
    verify_twice(&storm);
    const struct storm_event well = {.kind = STORM_NOTHING};
    write_event(NULL, &well);
    if (count == 5) {
        int error = log_manager_close(storm.manager);
        if (error)
            give_up("no clean stop", error);
        storm_release(&storm);
        return 0;
    }
    while (storm_step(&storm))
        continue;
    give_up("the disk refuses", -EIO);
}
