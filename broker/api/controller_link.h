/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How request handlers reach the controller, wherever it sits, and how control messages that came in by the
 * network reach the threads that carry them out. The server fills the table in; nothing here blocks.
 */
#ifndef BROKER_API_CONTROLLER_LINK_H
#define BROKER_API_CONTROLLER_LINK_H

#include "common/arena.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/mailbox.h"
#include "proto/control/control.h"

/*
 * One request to the controller. Memory is the caller's and stays until `done` was called, which may free it
 * (controller_call_release first).
 */
struct controller_call {
    enum control_kind kind;
    struct buffer request;   /* control_request_encode's bytes */
    int64_t deadline_ms;     /* monotonic */
    struct mailbox *mailbox; /* `done` is called there, never from within forward */
    void (*done)(struct controller_call *call);

    /* The outcome: 0, or -ETIMEDOUT, -ENOTCONN (no controller known until the deadline), -ECONNRESET (it may
     * have been carried out), -ECANCELED (we stop). */
    int status;
    struct buffer answer; /* status 0: control_answer_encode's bytes */

    struct mail mail; /* for the link: posted to `mailbox` when the outcome is there */
    void *link_state; /* for the link */
};

/* Encodes the request, which is not needed any more afterwards. */
void controller_call_init(struct controller_call *call, const struct control_request *request,
                          struct mailbox *mailbox, int64_t deadline_ms,
                          void (*done)(struct controller_call *call));
void controller_call_release(struct controller_call *call);
/* For the link: notes the outcome and posts `done`; from any thread. answer: may be NULL; copied. */
void controller_call_finish(struct controller_call *call, int status, const struct buffer *answer);
/*
 * The answer, decoded into `arena`: 0; the call's status; -EBADMSG when the bytes are no answer to that kind
 * of request.
 */
MUST_CHECK int controller_call_answer(const struct controller_call *call, struct arena *arena,
                                      struct control_answer *answer);

/*
 * One control message from another broker, on its way to the thread that carries it out and back. Memory is
 * the handler's; `request` points into the frame and into `arena`, and all of it stays until `done`.
 */
struct control_delivery {
    struct control_request request;
    struct arena arena;           /* also for what the answer points to */
    struct control_answer answer; /* filled in by who carries it out */
    struct mailbox *mailbox;
    void (*done)(struct control_delivery *delivery);
    struct mail mail; /* for the link: to the worker, and back (control_delivery_finish) */
    void *link_state; /* for the link */
};

/* For the link: the answer is complete; posts `done` to the delivery's mailbox. From any thread. */
void control_delivery_finish(struct control_delivery *delivery);

struct controller_link {
    /*
     * Sends the call to the controller: looks for it until the deadline, tries again where it has moved
     * (NOT_CONTROLLER answers come back to the caller only if no other controller is found in time). From any
     * thread.
     */
    void (*forward)(struct controller_link *link, struct controller_call *call);
    /*
     * Hands the message to the thread that it is for: leader-and-isr, update metadata and stop replica to the
     * replica worker (which calls control_carry_out), the others to the coordinator, which answers
     * NOT_CONTROLLER where this broker is none. From any thread.
     */
    void (*deliver)(struct controller_link *link, struct control_delivery *delivery);
};

#endif
