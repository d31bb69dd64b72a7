/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker's registration: the ephemeral node /brokers/ids/<id>, whose czxid is the broker epoch. Registers
 * at the first connection of every session, and again with a new epoch after an expiry. It knows only the
 * client and the time it is given, so the simulator runs it as it is. On the client's thread.
 */
#ifndef COORDINATOR_MEMBERSHIP_REGISTER_H
#define COORDINATOR_MEMBERSHIP_REGISTER_H

#include "common/log.h"
#include "coordinator/zk/node_broker.h"
#include "coordinator/zk/zk.h"

struct registration;

struct registration_callbacks {
    /* The node is ours. Called again after the session was lost: with a new epoch, or with the same one when
     * the server had kept the session after all. */
    void (*registered)(void *context, int64_t broker_epoch);
    /*
     * It cannot be: the id, or the host and port, belong to another living broker, or the data is refused.
     * `problem` is for the operator. The registration does nothing more; the process should end.
     */
    void (*failed)(void *context, const char *problem);
    void *context;
};

struct registration_settings {
    int32_t broker_id;
    /* Copied. After an expiry its alive_since is the first epoch of this process, since a process that lives
     * has lost nothing; what intact_since and intact_until say of former lives holds as before. */
    const struct node_broker *node;
    int64_t tick_ms;   /* the ensemble's tick, for how long a leftover node is waited out; 0: 2000 */
    int64_t jitter_ms; /* a registration after an expiry waits a random part of this; 0: not at all */
    uint64_t seed;     /* for the jitter */
};

/* A registration that begins when the client is connected, now or later. */
struct registration *registration_new(struct zk_client *client, struct logger *logger,
                                      const struct registration_settings *settings,
                                      struct registration_callbacks callbacks, int64_t now_ms);
/* Ends it; the node stays until the session ends. Answers still to come are forgotten, but they do come: free
 * the client later. NULL is fine. */
void registration_free(struct registration *registration);

/* Time passes; call it every 100 ms or so, and before the client's callbacks of a turn if possible. */
void registration_tick(struct registration *registration, int64_t now_ms);

/* The epoch in force; -1 while not registered (no session, or not yet). */
int64_t registration_epoch(const struct registration *registration);

#endif
