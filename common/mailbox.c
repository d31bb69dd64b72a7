/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox: a singly linked queue under a mutex and an eventfd in the receiver's loop. The eventfd is
 * read *before* the queue is taken: a mail that arrives in between is taken with the rest, one that arrives
 * later finds the queue empty and wakes again, so none is left lying.
 */
#include "common/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/memory.h"

struct mailbox {
    pthread_mutex_t mutex;
    struct mail *first; /* guarded by mutex */
    struct mail **last; /* where the next mail is linked in; guarded by mutex */
    int descriptor;
    struct loop_watch watch;
};

/* Handles what is there now. False when there was nothing. */
static bool handle_all(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    struct mail *mail = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->mutex);
    if (mail == NULL)
        return false;
    while (mail != NULL) {
        struct mail *next = mail->_next; /* the handler may free the mail */
        mail->_next = NULL;
        mail->handle(mail);
        mail = next;
    }
    return true;
}

static void on_ready(struct loop_watch *watch, unsigned events)
{
    (void)events;
    struct mailbox *mailbox = container_of(watch, struct mailbox, watch);
    uint64_t count;
    ssize_t got = read(mailbox->descriptor, &count, sizeof(count));
    (void)got;
    handle_all(mailbox);
}

struct mailbox *mailbox_new(struct loop *loop)
{
    struct mailbox *mailbox = memory_allocate_zeroed(1, sizeof(*mailbox));
    pthread_mutex_init(&mailbox->mutex, NULL);
    mailbox->last = &mailbox->first;
    mailbox->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(mailbox->descriptor >= 0);
    loop_watch_init(&mailbox->watch, loop, mailbox->descriptor, LOOP_PRIORITY_NORMAL, on_ready);
    loop_watch_set(&mailbox->watch, LOOP_READ);
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    while (handle_all(mailbox))
        ;
    loop_watch_release(&mailbox->watch);
    close(mailbox->descriptor);
    pthread_mutex_destroy(&mailbox->mutex);
    free(mailbox);
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
    mail->_next = NULL;
    pthread_mutex_lock(&mailbox->mutex);
    bool was_empty = mailbox->first == NULL;
    *mailbox->last = mail;
    mailbox->last = &mail->_next;
    pthread_mutex_unlock(&mailbox->mutex);
    if (!was_empty)
        return;
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(mailbox->descriptor, &one, sizeof(one));
    while (written < 0 && errno == EINTR);
}
