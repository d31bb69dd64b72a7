/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event loop, owned by one thread; a thin wrapper of libevent (its own base per thread, no locking,
 * precise timers, environment ignored). All functions but loop_wake and loop_stop belong to the loop's thread
 * (before loop_run: to whoever sets it up).
 *
 * A turn of the loop: descriptors that are ready, timers that are due, then the flush hooks, then sleep.
 * External events only enqueue; flush hooks do what is worth doing once a turn (collected wake-ups, writes).
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/base.h"
#include "common/list.h"

struct loop;

#define LOOP_READ 1u
#define LOOP_WRITE 2u

/* Higher goes first within a turn; ZooKeeper's descriptor is LOOP_PRIORITY_HIGH. */
enum loop_priority { LOOP_PRIORITY_HIGH, LOOP_PRIORITY_NORMAL };

struct loop *loop_new(void);
/* Watches and timers must be removed before. */
void loop_free(struct loop *loop);
/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* Runs one turn, waiting at most `wait_ms` (0: not at all, negative: until something happens). */
void loop_run_once(struct loop *loop, int64_t wait_ms);
/* From any thread: loop_run returns after the turn it is in; at once when it has not begun yet. */
void loop_stop(struct loop *loop);
/* From any thread: ends the sleep of the loop. */
void loop_wake(struct loop *loop);
/* Monotonic milliseconds as of the begin of this turn; cheap. */
int64_t loop_now_ms(const struct loop *loop);

/* A descriptor that is watched. Memory is the caller's; loop_watch_init first. */
struct loop_watch {
    void (*ready)(struct loop_watch *watch, unsigned events);
    struct loop *_loop;
    void *_event;
    int _descriptor;
    unsigned _events;
    enum loop_priority _priority;
};

void loop_watch_init(struct loop_watch *watch, struct loop *loop, int descriptor, enum loop_priority priority,
                     void (*ready)(struct loop_watch *watch, unsigned events));
/* Watches for `events` (LOOP_READ | LOOP_WRITE; 0: for nothing) from now on. */
void loop_watch_set(struct loop_watch *watch, unsigned events);
/* Ends the watch and frees what it holds; also from inside `ready`. The descriptor stays open. */
void loop_watch_release(struct loop_watch *watch);

/* A deadline. Memory is the caller's; zero-initialise, set `fire`, then loop_timer_set. */
struct loop_timer {
    void (*fire)(struct loop_timer *timer);
    int64_t deadline_ms;
    size_t _position; /* in the heap, from 1; 0: not set */
};

/* Fires once at deadline_ms (monotonic); setting a set timer moves it. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t deadline_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);

/* Called at the end of every turn, in order of adding. A hook may remove itself from inside, no other. Memory
 * is the caller's. */
struct loop_hook {
    void (*flush)(struct loop_hook *hook);
    struct list _node;
};

void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop_hook *hook);

#endif
