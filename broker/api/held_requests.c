/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of requests that wait, one for each reactor, and the mails that let them go on. */
#include "broker/api/held_requests.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/list.h"
#include "common/memory.h"

struct held_line {
    struct held_requests *held;
    _Atomic(struct reactor *) reactor; /* NULL: nobody has waited there yet */
    struct list requests;              /* struct held_request, the first is the oldest */
    struct mail mail;
    atomic_bool posted;
    unsigned dismissals; /* as of the last look */
};

struct held_request {
    struct list node;
    struct request *request;
};

struct held_requests {
    struct standing *standing;
    void (*resume)(void *context, struct request *request);
    void *context;
    size_t count;
    struct held_line lines[];
};

static void wake(struct held_line *line)
{
    struct reactor *reactor = atomic_load(&line->reactor);
    if (reactor != NULL && !atomic_exchange(&line->posted, true))
        mailbox_post(reactor_mailbox(reactor), &line->mail);
}

/* Any thread. */
static void on_opened(void *context)
{
    struct held_requests *held = context;
    for (size_t i = 0; i < held->count; i++)
        wake(&held->lines[i]);
}

static struct request *leave(struct held_request *waiting)
{
    struct request *request = waiting->request;
    list_remove(&waiting->node);
    free(waiting);
    request->state = NULL;
    request->abandoned = NULL;
    return request;
}

/* Those who wait have waited in vain. */
static void dismiss(struct held_line *line)
{
    while (!list_is_empty(&line->requests))
        request_close_connection(leave(container_of(line->requests.next, struct held_request, node)),
                                 "this broker is not in the cluster yet");
}

static void go_on(struct mail *mail)
{
    struct held_line *line = container_of(mail, struct held_line, mail);
    struct held_requests *held = line->held;
    atomic_store(&line->posted, false);
    unsigned dismissals = standing_dismissals(held->standing);
    if (dismissals != line->dismissals && !standing_is_open(held->standing))
        dismiss(line);
    line->dismissals = dismissals;
    while (!list_is_empty(&line->requests) && standing_is_open(held->standing)) {
        struct request *request = leave(container_of(line->requests.next, struct held_request, node));
        if (standing_is_ended(held->standing))
            request_close_connection(request, "the broker stops");
        else
            held->resume(held->context, request);
    }
}

static void on_abandoned(struct request *request)
{
    request_answer_nothing(leave(request->state));
}

struct held_requests *held_requests_new(struct standing *standing, size_t reactors,
                                        void (*resume)(void *context, struct request *request), void *context)
{
    struct held_requests *held = memory_allocate_zeroed(1, sizeof(*held) + reactors * sizeof(held->lines[0]));
    *held =
        (struct held_requests){.standing = standing, .resume = resume, .context = context, .count = reactors};
    for (size_t i = 0; i < reactors; i++) {
        struct held_line *line = &held->lines[i];
        line->held = held;
        line->mail.handle = go_on;
        list_init(&line->requests);
        atomic_init(&line->reactor, NULL);
        atomic_init(&line->posted, false);
    }
    standing_on_opened(standing, on_opened, held);
    return held;
}

void held_requests_free(struct held_requests *held)
{
    free(held);
}

bool held_requests_take(struct held_requests *held, struct request *request, int64_t now_ms)
{
    size_t number = (size_t)reactor_number(request->reactor);
    CHECK(number < held->count);
    struct held_line *line = &held->lines[number];
    bool good = standing_is_good(held->standing, now_ms);
    if (good && list_is_empty(&line->requests))
        return false;
    struct held_request *waiting = memory_allocate(sizeof(*waiting));
    waiting->request = request;
    list_push_back(&line->requests, &waiting->node);
    request->state = waiting;
    request->abandoned = on_abandoned;
    atomic_store(&line->reactor, request->reactor);
    /* It may have been opened since we looked, before we were in the line. */
    if (standing_is_open(held->standing))
        wake(line);
    return true;
}
