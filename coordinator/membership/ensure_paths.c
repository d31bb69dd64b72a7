/* SPDX-License-Identifier: Apache-2.0 */
/* Creates a list of paths at once; answers come in order, so the last one ends it. */
#include "coordinator/membership/ensure_paths.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "coordinator/zk/path.h"

struct ensure {
    size_t waiting;
    enum zk_result result; /* the first bad one */
    void (*done)(void *context, enum zk_result result);
    void *context;
};

static void on_created(void *context, const struct zk_response *response)
{
    struct ensure *ensure = context;
    if (response->result != ZK_OK && response->result != ZK_NODE_EXISTS && ensure->result == ZK_OK)
        ensure->result = response->result;
    if (--ensure->waiting > 0)
        return;
    ensure->done(ensure->context, ensure->result);
    free(ensure);
}

static struct ensure *ensure_new(size_t count, void (*done)(void *context, enum zk_result result),
                                 void *context)
{
    struct ensure *ensure = memory_allocate(sizeof(*ensure));
    *ensure = (struct ensure){.waiting = count, .result = ZK_OK, .done = done, .context = context};
    return ensure;
}

void membership_ensure_paths(struct zk_client *client, void (*done)(void *context, enum zk_result result),
                             void *context)
{
    struct ensure *ensure = ensure_new(zk_persistent_path_count, done, context);
    for (size_t i = 0; i < zk_persistent_path_count; i++)
        zk_create(client, zk_persistent_paths[i], slice_make(NULL, 0), ZK_PERSISTENT,
                  zk_completion_make(on_created, ensure));
}

void membership_ensure_path(struct zk_client *client, const char *path,
                            void (*done)(void *context, enum zk_result result), void *context)
{
    size_t count = 0;
    for (const char *at = path; *at != '\0'; at++)
        count += *at == '/';
    struct ensure *ensure = ensure_new(count, done, context);
    char *prefix = memory_copy_string(path);
    char *slash = prefix;
    for (size_t i = 0; i < count; i++) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL)
            *slash = '\0';
        zk_create(client, prefix, slice_make(NULL, 0), ZK_PERSISTENT, zk_completion_make(on_created, ensure));
        if (slash != NULL)
            *slash = '/';
    }
    free(prefix);
}
