/* SPDX-License-Identifier: Apache-2.0 */
/* Talks with `zookeeper.py serve` over two pipes. The server ends when the pipe to it closes, so also when
 * the test dies. */
#include "zookeeper_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/session.h"

#define NOT_INSTALLED 77
#define LINE_BYTES 256

struct zookeeper_fixture {
    pid_t pid;
    FILE *commands;
    FILE *answers;
    char line[LINE_BYTES];
    char address[LINE_BYTES];
};

static void run_child(int input, int output)
{
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    closefrom(STDERR_FILENO + 1);
    execl("/usr/bin/python3", "python3", ZOOKEEPER_SCRIPT, "serve", (char *)NULL);
    _exit(127);
}

static bool read_line(struct zookeeper_fixture *fixture)
{
    if (fgets(fixture->line, sizeof(fixture->line), fixture->answers) == NULL)
        return false;
    fixture->line[strcspn(fixture->line, "\n")] = '\0';
    return true;
}

struct zookeeper_fixture *zookeeper_fixture_new(void)
{
    int to_child[2], from_child[2];
    int made = pipe(to_child) == 0 && pipe(from_child) == 0;
    CHECK(made);
    struct zookeeper_fixture *fixture = memory_allocate_zeroed(1, sizeof(*fixture));
    fixture->pid = fork();
    CHECK(fixture->pid >= 0);
    if (fixture->pid == 0)
        run_child(to_child[0], from_child[1]);
    close(to_child[0]);
    close(from_child[1]);
    fixture->commands = fdopen(to_child[1], "w");
    fixture->answers = fdopen(from_child[0], "r");
    if (read_line(fixture) && strncmp(fixture->line, "ready ", 6) == 0) {
        memcpy(fixture->address, fixture->line + 6, strlen(fixture->line + 6) + 1);
        return fixture;
    }
    int status = 0;
    waitpid(fixture->pid, &status, 0);
    fixture->pid = 0;
    zookeeper_fixture_free(fixture);
    bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED;
    CHECK(skipped);
    return NULL;
}

void zookeeper_fixture_free(struct zookeeper_fixture *fixture)
{
    if (fixture == NULL)
        return;
    fclose(fixture->commands);
    if (fixture->pid > 0)
        waitpid(fixture->pid, NULL, 0);
    fclose(fixture->answers);
    free(fixture);
}

const char *zookeeper_fixture_address(const struct zookeeper_fixture *fixture)
{
    return fixture->address;
}

void zookeeper_fixture_command(struct zookeeper_fixture *fixture, const char *command)
{
    fprintf(fixture->commands, "%s\n", command);
    fflush(fixture->commands);
    bool done = read_line(fixture) && strcmp(fixture->line, "ok") == 0;
    CHECK(done);
}

struct zk_session *zookeeper_fixture_session(const struct zookeeper_fixture *fixture, struct loop *loop,
                                             const char *chroot, int64_t timeout_ms)
{
    struct buffer connect;
    struct zk_session *session = NULL;
    buffer_init(&connect);
    buffer_print(&connect, "%s%s", fixture->address, chroot);
    const struct zk_session_settings settings = {buffer_string(&connect), timeout_ms};
    int error = zk_session_new(loop, NULL, &settings, &session);
    CHECK(error == 0);
    buffer_release(&connect);
    return session;
}
