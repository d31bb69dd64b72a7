/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's fetch sessions for many threads: eight caches, each with a mutex and its own range of ids and
 * share of the slots.
 */
#ifndef BROKER_API_FETCH_SESSIONS_H
#define BROKER_API_FETCH_SESSIONS_H

#include "broker/api/fetch_session.h"

struct fetch_sessions;

/* slots 0: there are no sessions. */
struct fetch_sessions *fetch_sessions_new(size_t slots, uint64_t seed);
void fetch_sessions_free(struct fetch_sessions *sessions);

/* As fetch_session_begin and fetch_session_complete, from any thread. */
int16_t fetch_sessions_begin(struct fetch_sessions *sessions, const struct fetch_session_request *request,
                             int64_t now_ms, struct arena *arena, struct fetch_context *context);
int16_t fetch_sessions_complete(struct fetch_sessions *sessions, const struct fetch_context *context,
                                const struct fetch_outcome *outcomes, int64_t now_ms, bool *include,
                                int32_t *session_id);

#endif
