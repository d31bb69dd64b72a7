/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a broker does with requests: the table of the APIs that are served, and what their handlers work with.
 * The network room calls the request handler that api_handler gives.
 *
 * Threads: handlers run on the reactor's thread that read the request and never block. Everything in
 * struct api_context is either constant or takes its own lock.
 */
#ifndef BROKER_API_API_H
#define BROKER_API_API_H

#include "broker/api/controller_link.h"
#include "broker/api/standing.h"
#include "broker/config/broker_config.h"
#include "broker/net/request.h"
#include "broker/replica/metadata_cache.h"
#include "broker/replica/mover.h"
#include "broker/replica/replica_manager.h"
#include "broker/replica/replication_throttle.h"
#include "common/base.h"
#include "common/log.h"

struct fetch_sessions;
struct producer_ids;
struct topic_creator;

/* Where handlers learn the time; the simulator has its own. */
struct api_clock {
    int64_t (*monotonic_ms)(const struct api_clock *clock);
    int64_t (*wall_ms)(const struct api_clock *clock);
};

/* The system's clocks. */
const struct api_clock *api_clock_system(void);

struct api_context {
    const struct broker_config *config;
    struct metadata_cache *metadata;
    struct replica_manager *replicas;
    struct replication_throttles *throttles; /* NULL: nothing is held up */
    struct mover *mover;                     /* NULL: replicas are not moved between log directories */
    struct controller_link *controller;
    struct logger *logger;
    const struct api_clock *clock;
    struct standing *standing; /* NULL: clients never have to wait */
    int32_t broker_id;

    /* Made by api_new. */
    uint64_t hash_seed; /* for maps whose keys strangers choose */
    struct fetch_sessions *sessions;
    struct producer_ids *producer_ids;
    struct topic_creator *topic_creator;
};

struct api;

/* `context` is copied; what it points to is borrowed and must outlive the api. `seed`: for session ids. */
struct api *api_new(const struct api_context *context, uint64_t seed);
/* When no request is open any more. */
void api_free(struct api *api);
struct request_handler *api_handler(struct api *api);
struct api_context *api_context_of(struct api *api);

/*
 * Carries out a leader-and-isr, update-metadata or stop-replica message: fences it by its epochs, hands it to
 * the replica manager or the metadata cache. On the replica worker's thread. `answer` gets memory of `arena`.
 */
void control_carry_out(struct api_context *context, const struct control_request *request,
                       struct arena *arena, struct control_answer *answer);

#endif
