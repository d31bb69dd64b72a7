/* SPDX-License-Identifier: Apache-2.0 */
/* Makes, at broker start, the persistent nodes that the rest counts on (zk_persistent_paths). */
#ifndef COORDINATOR_MEMBERSHIP_ENSURE_PATHS_H
#define COORDINATOR_MEMBERSHIP_ENSURE_PATHS_H

#include "coordinator/zk/zk.h"

/*
 * Creates what is missing, then calls done(context, result) once: ZK_OK, or the first result that stops it.
 * ZK_UNKNOWN and ZK_EXPIRED: call again when connected. The client outlives the call.
 */
void membership_ensure_paths(struct zk_client *client, void (*done)(void *context, enum zk_result result),
                             void *context);

/* The same for one path and its parents. */
void membership_ensure_path(struct zk_client *client, const char *path,
                            void (*done)(void *context, enum zk_result result), void *context);

#endif
