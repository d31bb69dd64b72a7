/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: made and freed on the reactor's thread, fired from any. */
#include "broker/api/parking.h"

#include <stdlib.h>

#include "common/memory.h"

struct parked_watch {
    struct partition_watcher watcher;
    struct mail mail;
    struct mailbox *mailbox;
    struct partition *partition;
    struct parking *parking; /* NULL: nobody waits any more */
    size_t tag;
    struct list node; /* of parking->watches */
};

static void free_watch(struct parked_watch *watch)
{
    list_remove(&watch->node);
    partition_release(watch->partition);
    free(watch);
}

/* Any thread. */
static void watch_fired(struct partition_watcher *watcher)
{
    struct parked_watch *watch = container_of(watcher, struct parked_watch, watcher);
    mailbox_post(watch->mailbox, &watch->mail);
}

static void watch_mail(struct mail *mail)
{
    struct parked_watch *watch = container_of(mail, struct parked_watch, mail);
    struct parking *parking = watch->parking;
    size_t tag = watch->tag;
    free_watch(watch);
    if (parking)
        parking->wake(parking, tag);
}

static void timer_fired(struct loop_timer *timer)
{
    struct parking *parking = container_of(timer, struct parking, timer);
    parking->expired(parking);
}

static void request_abandoned(struct request *request)
{
    struct parking *parking = request->state;
    parking->abandoned(parking);
}

void parking_init(struct parking *parking, struct request *request,
                  void (*wake)(struct parking *parking, size_t tag), void (*expired)(struct parking *parking),
                  void (*abandoned)(struct parking *parking))
{
    *parking = (struct parking){.request = request, .wake = wake, .expired = expired, .abandoned = abandoned};
    list_init(&parking->watches);
    parking->timer.fire = timer_fired;
    request->state = parking;
    request->abandoned = request_abandoned;
}

void parking_unwatch_all(struct parking *parking)
{
    struct list *node;
    while ((node = list_pop_front(&parking->watches)) != NULL) {
        struct parked_watch *watch = container_of(node, struct parked_watch, node);
        watch->parking = NULL;
        if (partition_unwatch(watch->partition, &watch->watcher))
            free_watch(watch);
    }
}

void parking_release(struct parking *parking)
{
    parking_unwatch_all(parking);
    loop_timer_cancel(reactor_loop(parking->request->reactor), &parking->timer);
    parking->request->state = NULL;
    parking->request->abandoned = NULL;
    parking->request->hurried = NULL;
}

int64_t parking_deadline_ms(const struct request *request, int32_t wait_ms)
{
    return request->received_ms + min_i64(max_i64(wait_ms, 0), PARKING_MS_MAX);
}

void parking_set_deadline(struct parking *parking, int64_t deadline_ms)
{
    loop_timer_set(reactor_loop(parking->request->reactor), &parking->timer, deadline_ms);
}

bool parking_watch(struct parking *parking, struct partition *partition, enum watch_kind kind, int64_t offset,
                   int32_t leader_epoch, size_t tag)
{
    struct parked_watch *watch = memory_allocate_zeroed(1, sizeof(*watch));
    watch->watcher.fire = watch_fired;
    watch->mail.handle = watch_mail;
    watch->mailbox = reactor_mailbox(parking->request->reactor);
    watch->partition = partition_acquire(partition);
    watch->parking = parking;
    watch->tag = tag;
    list_push_back(&parking->watches, &watch->node);
    if (partition_watch(partition, &watch->watcher, kind, offset, leader_epoch))
        return true;
    free_watch(watch);
    return false;
}

/* ---- a request of parts ---- */

static void finish_parts(struct parked_parts *parts)
{
    parking_release(&parts->parking);
    parts->handler->answer(parts);
}

static void parts_wake(struct parking *parking, size_t tag)
{
    struct parked_parts *parts = container_of(parking, struct parked_parts, parking);
    parts->handler->check(parts, tag);
    if (parts->pending == 0)
        finish_parts(parts);
}

static void parts_expired(struct parking *parking)
{
    struct parked_parts *parts = container_of(parking, struct parked_parts, parking);
    for (size_t i = 0; i < parts->count; i++)
        if (parts->handler->is_pending(parts, i))
            parts->handler->time_out(parts, i);
    finish_parts(parts);
}

static void parts_abandoned(struct parking *parking)
{
    struct parked_parts *parts = container_of(parking, struct parked_parts, parking);
    struct request *request = parking->request;
    parking_release(parking);
    parts->handler->forget(parts);
    request_answer_nothing(request);
}

void parked_parts_await(struct parked_parts *parts, struct request *request, int32_t wait_ms)
{
    parking_init(&parts->parking, request, parts_wake, parts_expired, parts_abandoned);
    for (size_t i = 0; i < parts->count; i++)
        if (parts->handler->is_pending(parts, i))
            parts->handler->check(parts, i);
    if (parts->pending == 0) {
        finish_parts(parts);
        return;
    }
    parts->handler->release_frame(parts);
    parking_set_deadline(&parts->parking, parking_deadline_ms(request, wait_ms));
}
