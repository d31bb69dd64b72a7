/* SPDX-License-Identifier: Apache-2.0 */
/* A short stack of walkers under a lock that is held for a push or a pop. */
#include "broker/log/record_walkers.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

/* As many as threads append at a time; each holds less than half a MiB after usual batches. */
#define WALKERS_KEPT 8

struct record_walkers {
    pthread_mutex_t mutex;
    struct record_walker *kept[WALKERS_KEPT];
    size_t count;
    size_t reserved_bytes;
};

struct record_walkers *record_walkers_new(void)
{
    struct record_walkers *walkers = memory_allocate_zeroed(1, sizeof(*walkers));
    pthread_mutex_init(&walkers->mutex, NULL);
    return walkers;
}

static void free_walker(struct record_walker *walker)
{
    record_walker_release(walker);
    free(walker);
}

void record_walkers_free(struct record_walkers *walkers)
{
    if (!walkers)
        return;
    while (walkers->count > 0)
        free_walker(walkers->kept[--walkers->count]);
    pthread_mutex_destroy(&walkers->mutex);
    free(walkers);
}

struct record_walker *record_walkers_take(struct record_walkers *walkers)
{
    struct record_walker *walker = NULL;
    if (walkers) {
        pthread_mutex_lock(&walkers->mutex);
        if (walkers->count > 0)
            walker = walkers->kept[--walkers->count];
        pthread_mutex_unlock(&walkers->mutex);
    }
    if (walker)
        return walker;
    walker = memory_allocate(sizeof(*walker));
    record_walker_init(walker);
    return walker;
}

void record_walkers_give_back(struct record_walkers *walkers, struct record_walker *walker)
{
    if (walkers) {
        pthread_mutex_lock(&walkers->mutex);
        if (walkers->count < WALKERS_KEPT) {
            walkers->kept[walkers->count++] = walker;
            walker = NULL;
        }
        pthread_mutex_unlock(&walkers->mutex);
    }
    if (walker)
        free_walker(walker);
}

bool record_walkers_reserve(struct record_walkers *walkers, size_t bytes)
{
    if (!walkers)
        return true;
    pthread_mutex_lock(&walkers->mutex);
    bool fits = bytes <= RECORD_REBUILD_BUDGET_BYTES - walkers->reserved_bytes;
    walkers->reserved_bytes += fits ? bytes : 0;
    pthread_mutex_unlock(&walkers->mutex);
    return fits;
}

void record_walkers_unreserve(struct record_walkers *walkers, size_t bytes)
{
    if (!walkers)
        return;
    pthread_mutex_lock(&walkers->mutex);
    CHECK(bytes <= walkers->reserved_bytes);
    walkers->reserved_bytes -= bytes;
    pthread_mutex_unlock(&walkers->mutex);
}
