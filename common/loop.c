/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop. libevent is asked for descriptors only; timers are a binary heap of our own, ordered by
 * deadline and then by when they were set, and one libevent timer ends the sleep at the first deadline. So
 * the order within a turn is ours: descriptors (libevent, by priority), timers, flush hooks.
 */
#include "common/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/memory.h"

#define PRIORITY_COUNT 2
#define NO_WAKE_UP INT64_MAX

struct timer_entry {
    int64_t deadline_ms;
    uint64_t sequence; /* equal deadlines fire in the order in which they were set */
    struct loop_timer *timer;
};

struct loop {
    struct event_base *base;
    struct event wake_event;
    struct event sleep_event;
    int wake_descriptor;
    int64_t sleep_until_us; /* what sleep_event is set to, or NO_WAKE_UP */
    int64_t now_ms;
    bool turn_begun;
    atomic_bool stopping; /* set by any thread (loop_stop), read by the loop's; the eventfd orders it */
    struct timer_entry *timers;
    size_t timer_count;
    size_t timer_capacity;
    uint64_t timer_sequence;
    struct list hooks;
};

/* The time is read once a turn, by whatever comes first in it. */
static void begin_turn(struct loop *loop)
{
    if (loop->turn_begun)
        return;
    loop->turn_begun = true;
    loop->now_ms = clock_monotonic_ms();
}

static void on_wake(evutil_socket_t descriptor, short events, void *context)
{
    (void)events;
    begin_turn(context);
    uint64_t count;
    ssize_t got = read(descriptor, &count, sizeof(count));
    (void)got; /* nothing there: somebody else's wake-up was taken together with this one */
}

static void on_sleep_end(evutil_socket_t descriptor, short events, void *context)
{
    (void)descriptor;
    (void)events;
    struct loop *loop = context;
    loop->sleep_until_us = NO_WAKE_UP;
    begin_turn(loop);
}

struct loop *loop_new(void)
{
    struct loop *loop = memory_allocate_zeroed(1, sizeof(*loop));
    struct event_config *config = event_config_new();
    CHECK(config != NULL);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER |
                                      EVENT_BASE_FLAG_IGNORE_ENV);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    CHECK(loop->base != NULL);
    event_base_priority_init(loop->base, PRIORITY_COUNT);
    loop->wake_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(loop->wake_descriptor >= 0);
    event_assign(&loop->wake_event, loop->base, loop->wake_descriptor, EV_READ | EV_PERSIST, on_wake, loop);
    event_assign(&loop->sleep_event, loop->base, -1, 0, on_sleep_end, loop);
    event_priority_set(&loop->wake_event, LOOP_PRIORITY_HIGH);
    event_priority_set(&loop->sleep_event, LOOP_PRIORITY_HIGH);
    event_add(&loop->wake_event, NULL);
    loop->sleep_until_us = NO_WAKE_UP;
    loop->now_ms = clock_monotonic_ms();
    atomic_init(&loop->stopping, false);
    list_init(&loop->hooks);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    event_del(&loop->wake_event);
    event_del(&loop->sleep_event);
    event_base_free(loop->base);
    close(loop->wake_descriptor);
    free(loop->timers);
    free(loop);
}

static bool fires_before(const struct timer_entry *a, const struct timer_entry *b)
{
    if (a->deadline_ms != b->deadline_ms)
        return a->deadline_ms < b->deadline_ms;
    return a->sequence < b->sequence;
}

/* Positions count from 1, so that 0 can mean "not set": the children of p are 2p and 2p + 1. */
static void place_entry(struct loop *loop, size_t position, struct timer_entry entry)
{
    loop->timers[position - 1] = entry;
    entry.timer->_position = position;
}

static void sift_up(struct loop *loop, size_t position, struct timer_entry entry)
{
    while (position > 1 && fires_before(&entry, &loop->timers[position / 2 - 1])) {
        place_entry(loop, position, loop->timers[position / 2 - 1]);
        position /= 2;
    }
    place_entry(loop, position, entry);
}

static void sift_down(struct loop *loop, size_t position, struct timer_entry entry)
{
    for (;;) {
        size_t child = position * 2;
        if (child > loop->timer_count)
            break;
        if (child < loop->timer_count && fires_before(&loop->timers[child], &loop->timers[child - 1]))
            child++;
        if (!fires_before(&loop->timers[child - 1], &entry))
            break;
        place_entry(loop, position, loop->timers[child - 1]);
        position = child;
    }
    place_entry(loop, position, entry);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t deadline_ms)
{
    CHECK(timer->fire != NULL);
    loop_timer_cancel(loop, timer);
    loop->timers = memory_grow(loop->timers, loop->timer_count, &loop->timer_capacity, sizeof(*loop->timers));
    timer->deadline_ms = deadline_ms;
    loop->timer_count++;
    sift_up(loop, loop->timer_count, (struct timer_entry){deadline_ms, loop->timer_sequence++, timer});
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    size_t position = timer->_position;
    if (position == 0)
        return;
    CHECK(position <= loop->timer_count && loop->timers[position - 1].timer == timer);
    timer->_position = 0;
    struct timer_entry last = loop->timers[--loop->timer_count];
    if (last.timer == timer)
        return;
    if (position > 1 && fires_before(&last, &loop->timers[position / 2 - 1]))
        sift_up(loop, position, last);
    else
        sift_down(loop, position, last);
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->_position != 0;
}

/* A timer that sets itself again for now waits for the next turn: at most as many fire as were set before. */
static void fire_timers(struct loop *loop)
{
    for (size_t left = loop->timer_count; left > 0 && loop->timer_count > 0; left--) {
        struct timer_entry first = loop->timers[0];
        if (first.deadline_ms > loop->now_ms)
            return;
        loop_timer_cancel(loop, first.timer);
        first.timer->fire(first.timer);
    }
}

static void run_hooks(struct loop *loop)
{
    list_for_each_safe(node, after, &loop->hooks)
    {
        struct loop_hook *hook = container_of(node, struct loop_hook, _node);
        hook->flush(hook);
    }
}

/* When the sleep must end, in monotonic microseconds. */
static int64_t wake_up_time(const struct loop *loop, int64_t now_us, int64_t wait_ms)
{
    int64_t until_us = NO_WAKE_UP;
    if (wait_ms >= 0)
        until_us = now_us + wait_ms * 1000;
    if (loop->timer_count > 0 && loop->timers[0].deadline_ms < INT64_MAX / 1000)
        until_us = min_i64(until_us, loop->timers[0].deadline_ms * 1000);
    return until_us;
}

static void set_sleep(struct loop *loop, int64_t now_us, int64_t until_us)
{
    if (loop->sleep_until_us == until_us)
        return;
    loop->sleep_until_us = until_us;
    if (until_us == NO_WAKE_UP) {
        event_del(&loop->sleep_event);
        return;
    }
    int64_t delay_us = until_us - now_us;
    struct timeval delay = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
    event_add(&loop->sleep_event, &delay);
}

void loop_run_once(struct loop *loop, int64_t wait_ms)
{
    int64_t now_us = clock_monotonic_us();
    int64_t until_us = wake_up_time(loop, now_us, wait_ms);
    int flags = EVLOOP_ONCE;
    if (until_us <= now_us)
        flags |= EVLOOP_NONBLOCK;
    else
        set_sleep(loop, now_us, until_us);
    loop->turn_begun = false;
    int result = event_base_loop(loop->base, flags);
    CHECK(result >= 0);
    begin_turn(loop);
    fire_timers(loop);
    run_hooks(loop);
}

void loop_run(struct loop *loop)
{
    while (!atomic_load_explicit(&loop->stopping, memory_order_acquire))
        loop_run_once(loop, -1);
    atomic_store_explicit(&loop->stopping, false, memory_order_relaxed);
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    loop_wake(loop);
}

void loop_wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(loop->wake_descriptor, &one, sizeof(one));
    while (written < 0 && errno == EINTR);
}

int64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

static void on_ready(evutil_socket_t descriptor, short events, void *context)
{
    (void)descriptor;
    struct loop_watch *watch = context;
    begin_turn(watch->_loop);
    unsigned ready = (events & EV_READ ? LOOP_READ : 0) | (events & EV_WRITE ? LOOP_WRITE : 0);
    watch->ready(watch, ready);
}

void loop_watch_init(struct loop_watch *watch, struct loop *loop, int descriptor, enum loop_priority priority,
                     void (*ready)(struct loop_watch *watch, unsigned events))
{
    *watch = (struct loop_watch){
        .ready = ready,
        ._loop = loop,
        ._descriptor = descriptor,
        ._priority = priority,
    };
}

void loop_watch_set(struct loop_watch *watch, unsigned events)
{
    if (events == watch->_events)
        return;
    if (watch->_event == NULL)
        watch->_event = memory_allocate_zeroed(1, sizeof(struct event));
    else if (watch->_events != 0)
        event_del(watch->_event);
    watch->_events = events;
    if (events == 0)
        return;
    short wanted = EV_PERSIST;
    if (events & LOOP_READ)
        wanted |= EV_READ;
    if (events & LOOP_WRITE)
        wanted |= EV_WRITE;
    event_assign(watch->_event, watch->_loop->base, watch->_descriptor, wanted, on_ready, watch);
    event_priority_set(watch->_event, (int)watch->_priority);
    int failed = event_add(watch->_event, NULL);
    CHECK(failed == 0);
}

void loop_watch_release(struct loop_watch *watch)
{
    loop_watch_set(watch, 0);
    free(watch->_event);
    watch->_event = NULL;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    list_push_back(&loop->hooks, &hook->_node);
}

void loop_hook_remove(struct loop_hook *hook)
{
    list_remove(&hook->_node);
}
