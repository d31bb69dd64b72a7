/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator thread: the ZooKeeper session, this broker's registration, its controller (in office or
 * not), and the control connections to other brokers. Its loop gives ZooKeeper the first word in every turn.
 *
 * Life: coordinator_new, coordinator_prepare (on the caller's thread, nothing runs yet), coordinator_start,
 * coordinator_stop, coordinator_free.
 */
#ifndef BROKER_COORDINATOR_H
#define BROKER_COORDINATOR_H

#include "broker/api/controller_link.h"
#include "broker/api/standing.h"
#include "broker/config/broker_config.h"
#include "broker/replica/fetcher.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/log.h"
#include "common/worker.h"
#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/node_config.h"

struct coordinator;

/* What the rest of the broker hears; on the coordinator's thread. */
struct coordinator_callbacks {
    void *context;
    /* The broker is in the cluster, in this epoch; again after every lost session. */
    void (*registered)(void *context, int64_t broker_epoch);
    /* It cannot be in the cluster: the process is to end. */
    void (*failed)(void *context, const char *problem);
    /* The settings of this broker in ZooKeeper, and those of all brokers, which give way to them; at the
     * start and after every change. Borrowed for the call. NULL: nobody asks. */
    void (*settings_changed)(void *context, const struct node_config *own,
                             const struct node_config *cluster_wide);
};

struct coordinator_options {
    const struct broker_config *config;
    struct logger *logger;
    struct worker *resolver;
    struct address_book *addresses;
    struct coordinator_callbacks callbacks;
    /* Carries out leader-and-isr, metadata updates and stop-replica (replica_thread_deliver); any thread. */
    void (*deliver_to_replicas)(void *context, struct control_delivery *delivery);
    void *replicas;
    struct standing *standing; /* NULL: nobody asks; told of sessions and of time */
    /* Asked in coordinator_prepare, by its thread: is the waiting for ZooKeeper to end? NULL: never. */
    bool (*stopping)(void *context);
    void *stopping_context;
};

/* 0; -EINVAL with a sentence in `error`. */
MUST_CHECK int coordinator_new(const struct coordinator_options *options, struct coordinator **coordinator,
                               struct buffer *error);
/*
 * Connects to ZooKeeper, makes the paths that Kafka's layout has, reads or makes the cluster id. 0, or -errno
 * with a sentence in `error`. Where ZooKeeper is not there it is waited for, with a warning every
 * zookeeper.connection.timeout.ms; -ECANCELED when options.stopping says so.
 */
MUST_CHECK int coordinator_prepare(struct coordinator *coordinator, struct node_cluster_id *cluster_id,
                                   struct buffer *error);
/* Starts the thread: reads this broker's settings in ZooKeeper, registers, then competes for the controller's
 * office. `intact_since` and `intact_until`:
 * the logs have lost nothing of what they held in these lives; -1 where nobody knows. 0 or -errno. */
MUST_CHECK int coordinator_start(struct coordinator *coordinator, int64_t intact_since, int64_t intact_until);
/* Leaves office, closes the session (the registration vanishes at once), ends the thread. Open calls end with
 * -ECANCELED. */
void coordinator_stop(struct coordinator *coordinator);
void coordinator_free(struct coordinator *coordinator);

/* From any thread: a log directory has failed, or is well again; the controller is to ask what is served. */
void coordinator_directories_changed(struct coordinator *coordinator);

/* From any thread: ZooKeeper is to be asked whether the session lives (standing_options.doubted). */
void coordinator_doubted(struct coordinator *coordinator);

/* Of its thread: for answers to calls that its callbacks make. */
struct mailbox *coordinator_mailbox(struct coordinator *coordinator);
/* The table for handlers; valid as long as the coordinator. */
struct controller_link *coordinator_link(struct coordinator *coordinator);

#endif
