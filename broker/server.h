/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker: the one place that knows all rooms and connects them.
 *
 * Start: bind the listeners (a port in use is found at once), connect to ZooKeeper, cluster id, open the
 * logs, listen to the controller, register; clients are answered when the controller has told what is to be
 * known (broker/api/standing.h). Stop, in order: ask the controller to move our leaderships, stop serving,
 * leave the cluster, close the logs with the clean-shutdown marker.
 */
#ifndef BROKER_SERVER_H
#define BROKER_SERVER_H

#include "broker/config/broker_config.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/log.h"

struct server;

struct server_options {
    struct broker_config *config; /* outlives the server; port 0 in it becomes the port bound */
    struct logger *logger;
    /* Called from any thread when the broker cannot go on; main then stops it. */
    void (*failed)(void *context);
    /* Asked by server_start while it waits for ZooKeeper: is the broker to stop? NULL: never. */
    bool (*stopping)(void *context);
    void *context;
};

/* 0, or -errno with a sentence for the operator in `error` (nothing runs then); -ECANCELED: it was to stop.
 */
MUST_CHECK int server_start(const struct server_options *options, struct server **server,
                            struct buffer *error);
/* The orderly stop; frees. 0, or the -errno that kept the logs from being closed cleanly. */
int server_stop(struct server *server);

#endif
