/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZooKeeper for command line tools: one call, one answer, with a deadline; over a private loop and session.
 * For one thread. Every call waits at most the timeout given at opening; what has no answer by then is
 * ZK_UNKNOWN. Reads are repeated once when the connection was lost, writes never.
 */
#ifndef COORDINATOR_ZK_BLOCKING_H
#define COORDINATOR_ZK_BLOCKING_H

#include "common/buffer.h"
#include "common/log.h"
#include "coordinator/zk/zk.h"

struct zk_blocking;

/* Names of children; release frees. */
struct zk_names {
    char **names;
    size_t count;
};
void zk_names_release(struct zk_names *names);

/* Connects. 0; -EINVAL: `connect` is not understood; -ETIMEDOUT: no server has answered within timeout_ms.
 * logger may be NULL. */
MUST_CHECK int zk_blocking_open(const char *connect, int64_t timeout_ms, struct logger *logger,
                                struct zk_blocking **blocking);
/* Closes the session in order. NULL is fine. */
void zk_blocking_close(struct zk_blocking *blocking);

/* The underlying client, for what is not here; zk_blocking_run turns its loop for at most wait_ms. */
struct zk_client *zk_blocking_client(struct zk_blocking *blocking);
void zk_blocking_run(struct zk_blocking *blocking, int64_t wait_ms);

/* data: appended; data and stat may be NULL. */
MUST_CHECK enum zk_result zk_blocking_get(struct zk_blocking *blocking, const char *path, struct buffer *data,
                                          struct zk_stat *stat);
MUST_CHECK enum zk_result zk_blocking_exists(struct zk_blocking *blocking, const char *path,
                                             struct zk_stat *stat);
/* Sorted. *names is released by the caller when ZK_OK. */
MUST_CHECK enum zk_result zk_blocking_children(struct zk_blocking *blocking, const char *path,
                                               struct zk_names *names);
/* made (may be NULL) gets the path made. */
MUST_CHECK enum zk_result zk_blocking_create(struct zk_blocking *blocking, const char *path,
                                             struct slice data, enum zk_create_mode mode,
                                             struct buffer *made);
/* The same, with the parents that are missing (persistent, no data). */
MUST_CHECK enum zk_result zk_blocking_create_parents(struct zk_blocking *blocking, const char *path);
MUST_CHECK enum zk_result zk_blocking_set(struct zk_blocking *blocking, const char *path, struct slice data,
                                          struct zk_version version);
MUST_CHECK enum zk_result zk_blocking_set_any_version(struct zk_blocking *blocking, const char *path,
                                                      struct slice data);
MUST_CHECK enum zk_result zk_blocking_delete(struct zk_blocking *blocking, const char *path,
                                             struct zk_version version);
/* culprit (may be NULL): see zk_response. */
MUST_CHECK enum zk_result zk_blocking_multi(struct zk_blocking *blocking,
                                            const struct zk_operation *operations, size_t count,
                                            size_t *culprit);

#endif
