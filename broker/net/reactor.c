/* SPDX-License-Identifier: Apache-2.0 */
/* One reactor's thread: what happens at the end of a turn, idle connections, shortage of memory, the end. */
#include "broker/net/reactor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/net/connection.h"
#include "common/check.h"
#include "common/memory.h"
#include "common/worker.h"

/* While memory is short, a frame must gain so much in this time, or it is cut off. */
#define PRESSURE_INTERVAL_MS 10000
#define PRESSURE_PROGRESS_BYTES ((uint64_t)64 * 1024)

static void flush_connections(struct reactor *reactor)
{
    /* One round: what comes back into the list has its turn in the next. */
    struct list round;
    list_init(&round);
    list_move_all(&reactor->unflushed, &round);
    struct list *node;
    while ((node = list_pop_front(&round)) != NULL)
        connection_flush(container_of(node, struct connection, unflushed_node));
}

/* Whether one of the frames that were begun may grow although there is no room. */
static bool reserve_may_help(struct reactor *reactor)
{
    return !list_is_empty(&reactor->growing) && request_memory_has_reserve(&reactor->shared->memory) &&
           (reactor->chosen == NULL || !list_is_empty(&reactor->chosen->starved_node));
}

static void feed_starved(struct reactor *reactor)
{
    struct list round;
    list_init(&round);
    bool room = request_memory_has_room(&reactor->shared->memory);
    /* What was begun goes first: it is complete the sooner, and then gives memory back. */
    if (room || reserve_may_help(reactor))
        list_move_all(&reactor->growing, &round);
    if (room)
        list_move_all(&reactor->starved, &round);
    struct list *node;
    while ((node = list_pop_front(&round)) != NULL)
        connection_read(container_of(node, struct connection, starved_node));
}

/* Here or elsewhere: the halves of frames that use it up may be those of another reactor. */
static bool is_memory_short(const struct reactor *reactor)
{
    return !list_is_empty(&reactor->starved) || !list_is_empty(&reactor->growing) ||
           !request_memory_has_room(&reactor->shared->memory);
}

/* How long a frame may stand still while others wait for the memory it holds. */
static int64_t pressure_interval_ms(const struct reactor *reactor)
{
    int64_t idle_ms = reactor->shared->connections_max_idle_ms;
    return idle_ms < 0 ? PRESSURE_INTERVAL_MS : min_i64(PRESSURE_INTERVAL_MS, max_i64(idle_ms / 4, 1));
}

/* Asks to be woken when there is memory; looks once more, as it may have come just now. */
static void wait_for_memory(struct reactor *reactor)
{
    request_memory_wait(&reactor->memory_waiter);
    if (request_memory_has_room(&reactor->shared->memory) || reserve_may_help(reactor))
        loop_timer_set(reactor->loop, &reactor->flush_timer, loop_now_ms(reactor->loop));
}

static void free_buried(struct reactor *reactor)
{
    struct list *node;
    while ((node = list_pop_front(&reactor->graveyard)) != NULL) {
        struct connection *connection = container_of(node, struct connection, graveyard_node);
        list_remove(&connection->unflushed_node);
        connection_free(connection);
    }
}

static void end_turn(struct reactor *reactor)
{
    loop_timer_cancel(reactor->loop, &reactor->flush_timer);
    feed_starved(reactor);
    flush_connections(reactor);
    free_buried(reactor);
    if (!list_is_empty(&reactor->starved) || !list_is_empty(&reactor->growing))
        wait_for_memory(reactor);
    if (is_memory_short(reactor) && !loop_timer_is_set(&reactor->pressure_timer)) {
        reactor->pressure_checked_ms = 0;
        loop_timer_set(reactor->loop, &reactor->pressure_timer,
                       loop_now_ms(reactor->loop) + pressure_interval_ms(reactor));
    }
    if (!list_is_empty(&reactor->unflushed))
        loop_timer_set(reactor->loop, &reactor->flush_timer, loop_now_ms(reactor->loop));
    if (reactor->draining && list_is_empty(&reactor->connections) && reactor->live_requests == 0)
        loop_stop(reactor->loop);
}

static void on_turn_end(struct loop_hook *hook)
{
    end_turn(container_of(hook, struct reactor, flush_hook));
}

/* Only ends the sleep: the hook does the work. */
static void on_flush_timer(struct loop_timer *timer)
{
    (void)timer;
}

static void expire_connection(struct reactor *reactor, struct connection *connection)
{
    if (connection->answers.count > 0) {
        connection_refuse(connection, "answers not read", "its answers were not read for %" PRId64 " ms",
                          reactor->shared->connections_max_idle_ms);
    } else if (connection->chunk != NULL || connection->prefix_length > 0) {
        connection_refuse(connection, "slow frame", "no request was completed for %" PRId64 " ms",
                          reactor->shared->connections_max_idle_ms);
    } else {
        log_debug(reactor->shared->logger, "net", "closed the idle connection of %s on %s",
                  connection->address_text, connection->listener);
        connection_close(connection);
    }
}

static void on_idle_timer(struct loop_timer *timer)
{
    struct reactor *reactor = container_of(timer, struct reactor, idle_timer);
    int64_t now_ms = loop_now_ms(reactor->loop);
    int64_t allowed_ms = reactor->shared->connections_max_idle_ms;
    while (!list_is_empty(&reactor->connections)) {
        struct connection *connection = container_of(reactor->connections.next, struct connection, node);
        int64_t due_ms = connection->active_ms + allowed_ms;
        if (due_ms > now_ms) {
            loop_timer_set(reactor->loop, timer, due_ms);
            return;
        }
        if (connection_may_expire(connection))
            expire_connection(reactor, connection);
        else
            reactor_note_activity(reactor, connection);
    }
}

/*
 * Memory is short: frames that have hardly moved since the last look, although they were free to, are closed.
 * A connection that completed a request meanwhile is none of them.
 */
static void on_pressure_timer(struct loop_timer *timer)
{
    struct reactor *reactor = container_of(timer, struct reactor, pressure_timer);
    if (!is_memory_short(reactor))
        return;
    bool first = reactor->pressure_checked_ms == 0;
    if (first)
        request_memory_wake_all(&reactor->shared->memory);
    list_for_each_safe(node, after, &reactor->connections)
    {
        struct connection *connection = container_of(node, struct connection, node);
        bool held_up = connection->stalled || !list_is_empty(&connection->starved_node);
        bool moved = connection->received - connection->received_at_check >= PRESSURE_PROGRESS_BYTES ||
                     connection->active_ms >= reactor->pressure_checked_ms;
        connection->received_at_check = connection->received;
        if (!first && connection->chunk != NULL && !held_up && !moved)
            connection_refuse(connection, "slow frame, memory short",
                              "its request arrives too slowly while queued.max.request.bytes is used up");
    }
    reactor->pressure_checked_ms = loop_now_ms(reactor->loop);
    loop_timer_set(reactor->loop, timer, loop_now_ms(reactor->loop) + pressure_interval_ms(reactor));
}

static void on_drain_deadline(struct loop_timer *timer)
{
    struct reactor *reactor = container_of(timer, struct reactor, drain_timer);
    while (!list_is_empty(&reactor->connections))
        connection_close(container_of(reactor->connections.next, struct connection, node));
    if (reactor->live_requests > 0)
        log_warn(reactor->shared->logger, "net", "stopping with %zu requests that were not answered in time",
                 reactor->live_requests);
    loop_stop(reactor->loop);
}

static void on_drain(struct mail *mail)
{
    struct reactor *reactor = container_of(mail, struct reactor, drain_mail);
    reactor->draining = true;
    list_for_each_safe(node, after, &reactor->connections)
        connection_drain(container_of(node, struct connection, node));
    loop_timer_set(reactor->loop, &reactor->drain_timer,
                   loop_now_ms(reactor->loop) + reactor->drain_timeout_ms);
}

struct reactor *reactor_new(int number, struct reactor_shared *shared)
{
    struct reactor *reactor = memory_allocate_zeroed(1, sizeof(*reactor));
    reactor->number = number;
    reactor->shared = shared;
    reactor->loop = loop_new();
    reactor->mailbox = mailbox_new(reactor->loop);
    frame_pool_init(&reactor->pool, &shared->memory);
    reactor->notices.logger = shared->logger;
    atomic_init(&reactor->connection_count, 0);
    list_init(&reactor->connections);
    list_init(&reactor->unflushed);
    list_init(&reactor->starved);
    list_init(&reactor->growing);
    list_init(&reactor->graveyard);
    reactor->flush_hook.flush = on_turn_end;
    loop_hook_add(reactor->loop, &reactor->flush_hook);
    reactor->flush_timer.fire = on_flush_timer;
    reactor->idle_timer.fire = on_idle_timer;
    reactor->pressure_timer.fire = on_pressure_timer;
    reactor->drain_timer.fire = on_drain_deadline;
    reactor->drain_mail.handle = on_drain;
    reactor->memory_waiter.loop = reactor->loop;
    atomic_init(&reactor->memory_waiter.waiting, false);
    request_memory_add_waiter(&shared->memory, &reactor->memory_waiter);
    reactor->range_scratch = memory_allocate(REACTOR_RANGE_SCRATCH_BYTES);
    return reactor;
}

static void *reactor_run(void *argument)
{
    struct reactor *reactor = argument;
    /* Behind the hooks of others, which finish requests. */
    loop_hook_remove(&reactor->flush_hook);
    loop_hook_add(reactor->loop, &reactor->flush_hook);
    loop_run(reactor->loop);
    return NULL;
}

int reactor_start(struct reactor *reactor)
{
    char name[16];
    snprintf(name, sizeof(name), "net-%d", reactor->number);
    int error = thread_start(&reactor->thread, name, reactor_run, reactor);
    reactor->started = error == 0;
    return error;
}

void reactor_drain(struct reactor *reactor, int64_t timeout_ms)
{
    reactor->drain_timeout_ms = timeout_ms;
    mailbox_post(reactor->mailbox, &reactor->drain_mail);
}

void reactor_join(struct reactor *reactor)
{
    if (!reactor->started)
        return;
    pthread_join(reactor->thread, NULL);
    reactor->started = false;
}

void reactor_free(struct reactor *reactor)
{
    CHECK(!reactor->started);
    reactor->draining = true;
    mailbox_free(reactor->mailbox);
    while (!list_is_empty(&reactor->connections))
        connection_close(container_of(reactor->connections.next, struct connection, node));
    end_turn(reactor);
    loop_timer_cancel(reactor->loop, &reactor->flush_timer);
    loop_timer_cancel(reactor->loop, &reactor->idle_timer);
    loop_timer_cancel(reactor->loop, &reactor->pressure_timer);
    loop_timer_cancel(reactor->loop, &reactor->drain_timer);
    loop_hook_remove(&reactor->flush_hook);
    frame_pool_release(&reactor->pool);
    loop_free(reactor->loop);
    free(reactor->range_scratch);
    free(reactor);
}

void reactor_give(struct reactor *reactor, struct connection *connection)
{
    connection->reactor = reactor;
    mailbox_post(reactor->mailbox, &connection->arrival);
}

void reactor_want_flush(struct reactor *reactor, struct connection *connection)
{
    if (!list_is_empty(&connection->unflushed_node))
        return;
    list_push_back(&reactor->unflushed, &connection->unflushed_node);
    if (!loop_timer_is_set(&reactor->flush_timer))
        loop_timer_set(reactor->loop, &reactor->flush_timer, loop_now_ms(reactor->loop));
}

void reactor_starve(struct reactor *reactor, struct connection *connection)
{
    if (list_is_empty(&connection->starved_node))
        list_push_back(connection->chunk != NULL ? &reactor->growing : &reactor->starved,
                       &connection->starved_node);
}

bool reactor_choose(struct reactor *reactor, struct connection *connection)
{
    if (!request_memory_has_reserve(&reactor->shared->memory))
        return false;
    if (reactor->chosen == NULL)
        reactor->chosen = connection;
    return reactor->chosen == connection;
}

void reactor_unchoose(struct reactor *reactor, struct connection *connection)
{
    if (reactor->chosen == connection)
        reactor->chosen = NULL;
}

void reactor_note_activity(struct reactor *reactor, struct connection *connection)
{
    connection->active_ms = loop_now_ms(reactor->loop);
    if (connection->closed)
        return;
    list_remove(&connection->node);
    list_push_back(&reactor->connections, &connection->node);
    int64_t allowed_ms = reactor->shared->connections_max_idle_ms;
    if (allowed_ms >= 0 && !loop_timer_is_set(&reactor->idle_timer))
        loop_timer_set(reactor->loop, &reactor->idle_timer, connection->active_ms + allowed_ms);
}

void reactor_note_closed(struct reactor *reactor, struct connection *connection)
{
    reactor_unchoose(reactor, connection);
    list_remove(&connection->node);
    list_remove(&connection->starved_node);
    list_remove(&connection->unflushed_node);
    reactor->open_connections--;
    atomic_fetch_sub(&reactor->connection_count, 1);
    connection_limits_leave(reactor->shared->limits, &connection->address);
}

void reactor_bury(struct reactor *reactor, struct connection *connection)
{
    CHECK(connection->closed && list_is_empty(&connection->requests));
    if (list_is_empty(&connection->graveyard_node))
        list_push_back(&reactor->graveyard, &connection->graveyard_node);
}
