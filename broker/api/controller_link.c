/* SPDX-License-Identifier: Apache-2.0 */
/* The bookkeeping of calls and deliveries that is the same whoever carries them. */
#include "broker/api/controller_link.h"

#include <errno.h>

#include "common/check.h"

static void handle_call(struct mail *mail)
{
    struct controller_call *call = container_of(mail, struct controller_call, mail);
    call->done(call);
}

static void handle_delivery(struct mail *mail)
{
    struct control_delivery *delivery = container_of(mail, struct control_delivery, mail);
    delivery->done(delivery);
}

void controller_call_init(struct controller_call *call, const struct control_request *request,
                          struct mailbox *mailbox, int64_t deadline_ms,
                          void (*done)(struct controller_call *call))
{
    *call = (struct controller_call){
        .kind = request->kind, .deadline_ms = deadline_ms, .mailbox = mailbox, .done = done};
    buffer_init(&call->request);
    buffer_init(&call->answer);
    control_request_encode(request, &call->request);
}

void controller_call_release(struct controller_call *call)
{
    buffer_release(&call->request);
    buffer_release(&call->answer);
}

void controller_call_finish(struct controller_call *call, int status, const struct buffer *answer)
{
    call->status = status;
    buffer_clear(&call->answer);
    if (answer)
        buffer_append(&call->answer, answer->data, answer->length);
    call->mail.handle = handle_call;
    mailbox_post(call->mailbox, &call->mail);
}

int controller_call_answer(const struct controller_call *call, struct arena *arena,
                           struct control_answer *answer)
{
    CHECK(call->status <= 0);
    if (call->status < 0)
        return call->status;
    int rc = control_answer_decode(buffer_slice(&call->answer), arena, answer);
    if (rc == 0 && answer->kind != call->kind)
        rc = -EBADMSG;
    return rc;
}

void control_delivery_finish(struct control_delivery *delivery)
{
    delivery->mail.handle = handle_delivery;
    mailbox_post(delivery->mailbox, &delivery->mail);
}
