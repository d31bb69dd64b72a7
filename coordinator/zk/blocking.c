/* SPDX-License-Identifier: Apache-2.0 */
/* The synchronous facade: a request is made, the private loop turns until its answer is there. */
#include "coordinator/zk/blocking.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/memory.h"
#include "coordinator/zk/session.h"

#define TURN_MS 50
#define SESSION_TIMEOUT_MS 10000

struct zk_blocking {
    struct loop *loop;
    struct zk_session *session;
    int64_t timeout_ms;
};

/* An answer that is waited for. Lives on the heap, since it may come after the deadline. */
struct pending {
    bool answered;
    bool abandoned;
    enum zk_result result;
    struct zk_stat stat;
    struct buffer data; /* bytes of a get, path of a create */
    struct zk_names names;
    size_t culprit;
};

void zk_names_release(struct zk_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct zk_names){0};
}

static void pending_free(struct pending *pending)
{
    buffer_release(&pending->data);
    zk_names_release(&pending->names);
    free(pending);
}

static struct pending *pending_new(void)
{
    struct pending *pending = memory_allocate_zeroed(1, sizeof(*pending));
    buffer_init(&pending->data);
    pending->culprit = ZK_NO_CULPRIT;
    return pending;
}

static void on_answer(void *context, const struct zk_response *response)
{
    struct pending *pending = context;
    if (pending->abandoned) {
        pending_free(pending);
        return;
    }
    pending->answered = true;
    pending->result = response->result;
    pending->stat = response->stat;
    pending->culprit = response->culprit;
    if (response->path != NULL)
        buffer_append_string(&pending->data, response->path);
    else if (response->data.length > 0)
        buffer_append(&pending->data, response->data.data, response->data.length);
    if (response->child_count == 0)
        return;
    pending->names.names = memory_allocate(response->child_count * sizeof(char *));
    pending->names.count = response->child_count;
    for (size_t i = 0; i < response->child_count; i++)
        pending->names.names[i] = memory_copy_string(response->children[i]);
}

static struct zk_completion completion_of(struct pending *pending)
{
    return zk_completion_make(on_answer, pending);
}

/* Waits until the answer is there or time is up. True: answered, `pending` is the caller's; else it is gone.
 */
static bool await(struct zk_blocking *blocking, struct pending *pending)
{
    int64_t deadline_ms = clock_monotonic_ms() + blocking->timeout_ms;
    while (!pending->answered) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        if (left_ms <= 0) {
            pending->abandoned = true;
            return false;
        }
        loop_run_once(blocking->loop, min_i64(left_ms, TURN_MS));
    }
    return true;
}

static enum zk_result await_result(struct zk_blocking *blocking, struct pending *pending)
{
    if (!await(blocking, pending))
        return ZK_UNKNOWN;
    enum zk_result result = pending->result;
    pending_free(pending);
    return result;
}

int zk_blocking_open(const char *connect, int64_t timeout_ms, struct logger *logger,
                     struct zk_blocking **blocking)
{
    struct zk_blocking *opened = memory_allocate_zeroed(1, sizeof(*opened));
    opened->loop = loop_new();
    opened->timeout_ms = timeout_ms;
    struct zk_session_settings settings = {.connect = connect, .session_timeout_ms = SESSION_TIMEOUT_MS};
    int result = zk_session_new(opened->loop, logger, &settings, &opened->session);
    if (result == 0) {
        zk_session_start(opened->session);
        int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
        while (!zk_client_is_connected(zk_blocking_client(opened)) && clock_monotonic_ms() < deadline_ms)
            loop_run_once(opened->loop, TURN_MS);
        if (!zk_client_is_connected(zk_blocking_client(opened)))
            result = -ETIMEDOUT;
    }
    if (result != 0) {
        zk_blocking_close(opened);
        return result;
    }
    *blocking = opened;
    return 0;
}

void zk_blocking_close(struct zk_blocking *blocking)
{
    if (blocking == NULL)
        return;
    zk_session_free(blocking->session);
    loop_free(blocking->loop);
    free(blocking);
}

struct zk_client *zk_blocking_client(struct zk_blocking *blocking)
{
    return zk_session_client(blocking->session);
}

void zk_blocking_run(struct zk_blocking *blocking, int64_t wait_ms)
{
    loop_run_once(blocking->loop, wait_ms);
}

enum read_kind { READ_GET, READ_EXISTS, READ_CHILDREN };

/* A read, made once more if its answer was lost. NULL: no answer in time. */
static struct pending *read_node(struct zk_blocking *blocking, enum read_kind kind, const char *path)
{
    struct zk_client *client = zk_blocking_client(blocking);
    for (int attempt = 0;; attempt++) {
        struct pending *pending = pending_new();
        if (kind == READ_GET)
            zk_get(client, path, false, completion_of(pending));
        else if (kind == READ_EXISTS)
            zk_exists(client, path, false, completion_of(pending));
        else
            zk_children(client, path, false, completion_of(pending));
        if (!await(blocking, pending))
            return NULL;
        if (attempt > 0 || (pending->result != ZK_UNKNOWN && pending->result != ZK_EXPIRED))
            return pending;
        pending_free(pending);
    }
}

enum zk_result zk_blocking_get(struct zk_blocking *blocking, const char *path, struct buffer *data,
                               struct zk_stat *stat)
{
    struct pending *pending = read_node(blocking, READ_GET, path);
    if (pending == NULL)
        return ZK_UNKNOWN;
    enum zk_result result = pending->result;
    if (result == ZK_OK && data != NULL)
        buffer_append(data, pending->data.data, pending->data.length);
    if (result == ZK_OK && stat != NULL)
        *stat = pending->stat;
    pending_free(pending);
    return result;
}

enum zk_result zk_blocking_exists(struct zk_blocking *blocking, const char *path, struct zk_stat *stat)
{
    struct pending *pending = read_node(blocking, READ_EXISTS, path);
    if (pending == NULL)
        return ZK_UNKNOWN;
    enum zk_result result = pending->result;
    if (result == ZK_OK && stat != NULL)
        *stat = pending->stat;
    pending_free(pending);
    return result;
}

enum zk_result zk_blocking_children(struct zk_blocking *blocking, const char *path, struct zk_names *names)
{
    *names = (struct zk_names){0};
    struct pending *pending = read_node(blocking, READ_CHILDREN, path);
    if (pending == NULL)
        return ZK_UNKNOWN;
    enum zk_result result = pending->result;
    if (result == ZK_OK) {
        *names = pending->names;
        pending->names = (struct zk_names){0};
    }
    pending_free(pending);
    return result;
}

enum zk_result zk_blocking_create(struct zk_blocking *blocking, const char *path, struct slice data,
                                  enum zk_create_mode mode, struct buffer *made)
{
    struct pending *pending = pending_new();
    zk_create(zk_blocking_client(blocking), path, data, mode, completion_of(pending));
    if (!await(blocking, pending))
        return ZK_UNKNOWN;
    enum zk_result result = pending->result;
    if (result == ZK_OK && made != NULL)
        buffer_append(made, pending->data.data, pending->data.length);
    pending_free(pending);
    return result;
}

enum zk_result zk_blocking_create_parents(struct zk_blocking *blocking, const char *path)
{
    enum zk_result result = ZK_OK;
    char *prefix = memory_copy_string(path);
    char *slash = prefix;
    bool more = true;
    while (more && (result == ZK_OK || result == ZK_NODE_EXISTS)) {
        slash = strchr(slash + 1, '/');
        more = slash != NULL;
        if (more)
            *slash = '\0';
        result = zk_blocking_create(blocking, prefix, slice_make(NULL, 0), ZK_PERSISTENT, NULL);
        if (more)
            *slash = '/';
    }
    free(prefix);
    return result;
}

enum zk_result zk_blocking_set(struct zk_blocking *blocking, const char *path, struct slice data,
                               struct zk_version version)
{
    struct pending *pending = pending_new();
    zk_set(zk_blocking_client(blocking), path, data, version, completion_of(pending));
    return await_result(blocking, pending);
}

enum zk_result zk_blocking_set_any_version(struct zk_blocking *blocking, const char *path, struct slice data)
{
    struct pending *pending = pending_new();
    zk_set_any_version(zk_blocking_client(blocking), path, data, completion_of(pending));
    return await_result(blocking, pending);
}

enum zk_result zk_blocking_delete(struct zk_blocking *blocking, const char *path, struct zk_version version)
{
    struct pending *pending = pending_new();
    zk_delete(zk_blocking_client(blocking), path, version, completion_of(pending));
    return await_result(blocking, pending);
}

enum zk_result zk_blocking_multi(struct zk_blocking *blocking, const struct zk_operation *operations,
                                 size_t count, size_t *culprit)
{
    struct pending *pending = pending_new();
    zk_multi(zk_blocking_client(blocking), operations, count, completion_of(pending));
    if (!await(blocking, pending))
        return ZK_UNKNOWN;
    enum zk_result result = pending->result;
    if (culprit != NULL)
        *culprit = pending->culprit;
    pending_free(pending);
    return result;
}
