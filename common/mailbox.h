/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How threads talk: a queue of mails, many senders, one receiver, who is woken only when the queue was empty.
 * The receiver takes all mails at once and handles them outside the lock, in order of arrival. A mail is
 * embedded in the sender's structure; whoever handles it owns that structure from then on.
 */
#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include "common/base.h"
#include "common/loop.h"

struct mail {
    void (*handle)(struct mail *mail);
    struct mail *_next;
};

struct mailbox;

/* A mailbox whose mails are handled on the loop's thread. Create and free it on that thread or while it is
 * not running. */
struct mailbox *mailbox_new(struct loop *loop);
/* Handles what is left, then frees. */
void mailbox_free(struct mailbox *mailbox);
/* From any thread. `mail->handle` is set; the mail is not in a queue already. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

#endif
