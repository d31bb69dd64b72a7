/* SPDX-License-Identifier: Apache-2.0 */
/* Writes that no caller may make (I29): each of them ends the process, as a CHECK does. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/zk/zk.h"

/* A client that carries nothing out: a write that comes through to it was let through. */
static void take_write(struct zk_client *client, const struct zk_operation *operations, size_t count,
                       bool alone, bool fenced, struct zk_completion completion)
{
    (void)client;
    (void)operations;
    (void)count;
    (void)alone;
    (void)fenced;
    (void)completion;
}

static const struct zk_client_operations table = {.write = take_write};

static void set_any_version_by_number(struct zk_client *client)
{
    zk_set(client, "/a", slice_of("1"), zk_version_make(-1), (struct zk_completion){0});
}

static void set_version_of_a_missing_node(struct zk_client *client)
{
    zk_set(client, "/a", slice_of("1"), (struct zk_version){-1}, (struct zk_completion){0});
}

static void multi_with_any_version(struct zk_client *client)
{
    const struct zk_operation operations[] = {
        zk_operation_set("/a", slice_of("1"), zk_version_make(3)),
        zk_operation_delete("/b", (struct zk_version){-1}),
    };
    zk_multi(client, operations, 2, (struct zk_completion){0});
}

static void fence_by_number(struct zk_client *client)
{
    const struct zk_operation operation = zk_operation_set("/a", slice_of("1"), zk_version_make(3));
    zk_fenced_multi(client, (struct zk_fence){.controller_epoch_version = {0}}, &operation, 1,
                    (struct zk_completion){0});
}

static void fence_of_any_version(struct zk_client *client)
{
    const struct zk_operation operation = zk_operation_set("/a", slice_of("1"), zk_version_make(3));
    zk_fenced_multi(client, zk_fence_make((struct zk_version){-1}), &operation, 1, (struct zk_completion){0});
}

static void good_write(struct zk_client *client)
{
    const struct zk_operation operation = zk_operation_set("/a", slice_of("1"), zk_version_make(3));
    zk_fenced_multi(client, zk_fence_make(zk_version_make(0)), &operation, 1, (struct zk_completion){0});
}

/* The signal that ended a process which made the write; 0: it was let through. */
static int signal_of(void (*write_it)(struct zk_client *client))
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct zk_client client;
        close(STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        zk_client_init(&client, &table);
        write_it(&client);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void i29_any_version_and_a_made_up_fence_are_refused(void **state)
{
    (void)state;
    assert_int_equal(signal_of(set_any_version_by_number), SIGABRT);
    assert_int_equal(signal_of(set_version_of_a_missing_node), SIGABRT);
    assert_int_equal(signal_of(multi_with_any_version), SIGABRT);
    assert_int_equal(signal_of(fence_by_number), SIGABRT);
    assert_int_equal(signal_of(fence_of_any_version), SIGABRT);
    assert_int_equal(signal_of(good_write), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(i29_any_version_and_a_made_up_fence_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
