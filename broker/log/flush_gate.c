/* SPDX-License-Identifier: Apache-2.0 */
/* A mutex around the syncs of one log, and the error that none of them may forget. */
#include "broker/log/flush_gate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/memory.h"

struct flush_gate {
    atomic_int references;
    pthread_mutex_t mutex; /* guards error; held while somebody is inside */
    int error;
};

struct flush_gate *flush_gate_new(void)
{
    struct flush_gate *gate = memory_allocate_zeroed(1, sizeof(*gate));
    atomic_init(&gate->references, 1);
    pthread_mutex_init(&gate->mutex, NULL);
    return gate;
}

struct flush_gate *flush_gate_acquire(struct flush_gate *gate)
{
    atomic_fetch_add_explicit(&gate->references, 1, memory_order_relaxed);
    return gate;
}

void flush_gate_release(struct flush_gate *gate)
{
    if (gate == NULL || atomic_fetch_sub_explicit(&gate->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

int flush_gate_enter(struct flush_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    return gate->error;
}

void flush_gate_leave(struct flush_gate *gate, int lost)
{
    if (gate->error == 0)
        gate->error = lost;
    pthread_mutex_unlock(&gate->mutex);
}
