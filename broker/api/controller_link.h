/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the API handlers (and the ISR proposals) reach the controller, and how control messages that come in
 * over the network reach those who carry them out. The server fills in the table; handlers see nothing else
 * of the coordinator.
 *
 * A call is one control message and its answer. Its memory is the caller's and stays until done was called.
 * done runs on the thread of the mailbox `reply_to`, exactly once.
 */
#ifndef BROKER_API_CONTROLLER_LINK_H
#define BROKER_API_CONTROLLER_LINK_H

#include "common/arena.h"
#include "common/base.h"
#include "common/mailbox.h"
#include "proto/control/control.h"

struct control_call {
    struct control_request request; /* what it points to stays until done */
    int64_t deadline_ms;            /* monotonic */
    struct mailbox *reply_to;
    void (*done)(struct control_call *call);

    /*
     * When done: 0, or -ETIMEDOUT (nobody answered in time), -EAGAIN (no controller is known, or this broker
     * is not one), -ECANCELED (this broker stops). On an error other than -EAGAIN the request may have been
     * carried out.
     */
    int status;
    struct control_answer answer; /* status 0; lies in `arena` */
    struct arena arena;           /* control_call_init .. control_call_release */

    struct mail _mail;
    void *_state;
};

/* Sets up an empty call. */
static inline void control_call_init(struct control_call *call)
{
    *call = (struct control_call){.status = 0};
    arena_init(&call->arena, (size_t)64 << 20);
}

static inline void control_call_release(struct control_call *call)
{
    arena_release(&call->arena);
}

struct controller_link {
    /* From any thread: asks the controller, be it this broker or another. */
    void (*call)(struct controller_link *link, struct control_call *call);
    /*
     * From any thread: carries the message out here. Leader-and-isr, metadata updates and stop-replica go to
     * this broker's replicas, in the order of their arrival; the others to this broker's controller.
     */
    void (*deliver)(struct controller_link *link, struct control_call *call);
};

#endif
