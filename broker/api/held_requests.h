/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of clients that wait until this broker may speak for the cluster (standing.h). Each reactor has a
 * line of its own, which only its thread touches; while anybody stands in it, whoever comes later goes to the
 * end of it, so that requests of one connection are handled in their order.
 */
#ifndef BROKER_API_HELD_REQUESTS_H
#define BROKER_API_HELD_REQUESTS_H

#include "broker/api/standing.h"
#include "broker/net/request.h"

struct held_requests;

/* `resume` is called for each request that may go on, on its reactor's thread. At most `reactors` of them. */
struct held_requests *held_requests_new(struct standing *standing, size_t reactors,
                                        void (*resume)(void *context, struct request *request),
                                        void *context);
/* When no request is open any more, and the reactors' mailboxes are empty. */
void held_requests_free(struct held_requests *held);

/* On the request's reactor: true when it has to wait now, and was taken; it goes on later, or is closed when
 * the broker stops or sends away who waits (standing.h). */
bool held_requests_take(struct held_requests *held, struct request *request, int64_t now_ms);

#endif
