/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator thread's state: shared by coordinator.c (life, ZooKeeper, controller), coordinator_calls.c
 * (messages), coordinator_directories.c (news of log directories), coordinator_settings.c (settings in
 * ZooKeeper) and coordinator_standing.c (whether clients may be answered) only. */
#ifndef BROKER_COORDINATOR_INTERNAL_H
#define BROKER_COORDINATOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/coordinator.h"
#include "broker/net/client.h"
#include "common/list.h"
#include "common/loop.h"
#include "common/mailbox.h"
#include "common/map.h"
#include "coordinator/controller/controller.h"
#include "coordinator/membership/register.h"
#include "coordinator/zk/session.h"

/*
 * Two connections to a broker: a forwarded request may be parked at the controller for long, and answers of
 * one connection come in order, so nothing else may queue behind it.
 */
struct peer {
    int32_t broker_id;
    struct client *control;
    struct client *forward;
};

/* A node of settings that is read again whenever it changes (coordinator_settings.c). */
struct watched_settings {
    struct coordinator *coordinator;
    char *path;
    struct node_config node;
    bool reading;
    bool stale; /* to be read again */
    bool known; /* it has been read once; what cannot be understood, or is not shown, counts as that */
    int64_t not_before_ms; /* not read by the tick until then: ZooKeeper has refused to show it */
    struct log_limiter unreadable;
};

struct coordinator {
    struct coordinator_options options;
    struct controller_link link;
    struct loop *loop;
    struct mailbox *mailbox;
    pthread_t thread;
    bool started;
    bool stopping;
    struct mail stop_mail;
    struct zk_session *session;
    struct node_broker node;           /* what is registered */
    struct registration *registration; /* NULL: the settings are still to be read */
    struct controller *controller;
    bool controller_started;
    struct loop_timer timer;
    struct loop_hook hook;
    struct map *peers;     /* broker id -> struct peer */
    struct list calls;     /* struct outgoing_call: to the controller */
    struct list sends;     /* struct controller_send: from our controller to brokers */
    struct buffer problem; /* text that check_topic_setting lends */

    struct mail directories_mail;
    atomic_bool directories_posted; /* the mail is on its way */
    bool directories_changed;       /* and nobody has been told yet */
    bool directories_telling;       /* a request is in flight */

    struct zk_listener settings_listener;
    struct watched_settings own_settings;
    struct watched_settings cluster_settings;

    struct zk_listener standing_listener;
    struct mail doubt_mail;
    atomic_bool doubt_posted;
    bool standing_asking;    /* a request is in flight */
    uint64_t standing_asked; /* about this doubt */
};

/* Sets the table and the lists up. */
void coordinator_calls_init(struct coordinator *coordinator);
/* Ends all open calls with -ECANCELED and closes all connections. */
void coordinator_calls_end(struct coordinator *coordinator);

/* The controller's transport. */
void coordinator_transport_send(void *context, const struct control_broker *broker, uint64_t token,
                                const struct control_request *request);
void coordinator_transport_drop(void *context, int32_t broker_id);

/* Tells the cluster that log directories have changed, where that is due and nothing is in flight. */
void coordinator_tell_directories(struct coordinator *coordinator);
/* For coordinator_new. */
void coordinator_directories_init(struct coordinator *coordinator);

/* For coordinator_new, coordinator_start, the tick, coordinator_free. */
void coordinator_settings_init(struct coordinator *coordinator);
void coordinator_settings_begin(struct coordinator *coordinator);
void coordinator_tick_settings(struct coordinator *coordinator);
void coordinator_settings_release(struct coordinator *coordinator);

/* For coordinator_new, coordinator_start, the tick. */
void coordinator_standing_init(struct coordinator *coordinator);
void coordinator_standing_begin(struct coordinator *coordinator);
void coordinator_tick_standing(struct coordinator *coordinator);

/* The settings are known: now the broker may join. */
void coordinator_register(struct coordinator *coordinator);

/* Tells the controller what time it is. */
void coordinator_tick_controller(struct coordinator *coordinator);

#endif
