/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replica thread. ISR proposals of many partitions ride in one alter-partition request; one is in flight
 * at a time, and what is wanted meanwhile goes with the next.
 */
#include "broker/replica_thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/map.h"
#include "common/memory.h"
#include "common/worker.h"
#include "proto/kafka/error.h"

/* How often ISRs are looked at and proposals repeated. */
#define REPLICA_TICK_MS 250
/* An ISR proposal without answer by then is in doubt and repeated. */
#define PROPOSAL_TIMEOUT_MS 5000
/* In one request, and what its answer may take. */
#define PROPOSALS_MAX 500
#define PROPOSAL_ANSWER_BYTES ((size_t)16 << 20)

/* The ISR proposals of one request, with what they need to be answered. */
struct proposals {
    struct controller_call call;
    struct partition *partitions[PROPOSALS_MAX];
    int32_t leader_epochs[PROPOSALS_MAX];
    struct isr_set isrs[PROPOSALS_MAX];
    struct alter_partition_item items[PROPOSALS_MAX];
    size_t count;
    bool in_flight;
};

struct replica_thread {
    struct api_context *context;
    bool stopping;
    struct loop *loop;
    struct mailbox *mailbox;
    pthread_t thread;
    bool started;
    struct mail stop_mail;
    struct loop_timer tick_timer;

    pthread_mutex_t lock; /* guards the three below; nothing else is locked inside it */
    struct map *wanted;   /* partition address -> partition, a reference each */
    struct mail wanted_mail;
    bool wanted_posted;

    struct proposals proposals; /* the thread's own */
};

/* ---- ISR proposals ---- */

static void send_proposals(struct replica_thread *thread);

static const struct alter_partition_result *find_result(const struct alter_partition_response *response,
                                                        const struct partition *partition)
{
    for (size_t i = 0; i < response->partitions_count; i++)
        if (response->partitions[i].partition == partition_number(partition) &&
            slice_equals(response->partitions[i].topic, partition_topic(partition)))
            return &response->partitions[i];
    return NULL;
}

static void on_proposals_answered(struct controller_call *call)
{
    struct proposals *proposals = container_of(call, struct proposals, call);
    struct replica_thread *thread = container_of(proposals, struct replica_thread, proposals);
    struct arena arena;
    arena_init(&arena, PROPOSAL_ANSWER_BYTES);
    struct control_answer answer;
    struct alter_partition_result failed = {.error = KAFKA_REQUEST_TIMED_OUT, .leader = NO_LEADER};
    bool answered = controller_call_answer(call, &arena, &answer) == 0;
    if (answered && answer.alter_partition.error != KAFKA_NONE)
        failed.error = answer.alter_partition.error;
    int64_t now_ms = clock_monotonic_ms();
    for (size_t i = 0; i < proposals->count; i++) {
        const struct alter_partition_result *result = NULL;
        if (answered)
            result = find_result(&answer.alter_partition, proposals->partitions[i]);
        partition_on_proposal_answer(proposals->partitions[i], proposals->leader_epochs[i],
                                     result ? result : &failed, now_ms);
        partition_release(proposals->partitions[i]);
    }
    arena_release(&arena);
    controller_call_release(call);
    proposals->count = 0;
    proposals->in_flight = false;
    send_proposals(thread);
}

/* Takes up to PROPOSALS_MAX partitions out of `wanted`. */
static void collect_proposals(struct replica_thread *thread, int64_t now_ms)
{
    struct proposals *proposals = &thread->proposals;
    pthread_mutex_lock(&thread->lock);
    size_t position = 0;
    struct slice key;
    void *value;
    struct partition *taken[PROPOSALS_MAX];
    size_t taken_count = 0;
    while (taken_count < PROPOSALS_MAX && map_next(thread->wanted, &position, &key, &value)) {
        taken[taken_count++] = value;
        map_remove(thread->wanted, key);
    }
    pthread_mutex_unlock(&thread->lock);
    for (size_t i = 0; i < taken_count; i++) {
        size_t at = proposals->count;
        if (!partition_take_proposal(taken[i], now_ms, &proposals->isrs[at], &proposals->items[at])) {
            partition_release(taken[i]);
            continue;
        }
        proposals->partitions[at] = taken[i];
        proposals->leader_epochs[at] = proposals->items[at].leader_epoch;
        proposals->count++;
    }
}

static void send_proposals(struct replica_thread *thread)
{
    struct proposals *proposals = &thread->proposals;
    if (proposals->in_flight || thread->stopping)
        return;
    int64_t now_ms = clock_monotonic_ms();
    collect_proposals(thread, now_ms);
    if (proposals->count == 0)
        return;
    struct control_request request = {
        .kind = CONTROL_ALTER_PARTITION,
        .alter_partition = {.broker_id = thread->context->broker_id,
                            .broker_epoch = replica_manager_broker_epoch(thread->context->replicas),
                            .partitions = proposals->items,
                            .partitions_count = proposals->count}};
    controller_call_init(&proposals->call, &request, thread->mailbox, now_ms + PROPOSAL_TIMEOUT_MS,
                         on_proposals_answered);
    proposals->in_flight = true;
    thread->context->controller->forward(thread->context->controller, &proposals->call);
}

static void handle_wanted(struct mail *mail)
{
    struct replica_thread *thread = container_of(mail, struct replica_thread, wanted_mail);
    pthread_mutex_lock(&thread->lock);
    thread->wanted_posted = false;
    pthread_mutex_unlock(&thread->lock);
    if (thread->context != NULL)
        send_proposals(thread);
}

void replica_thread_propose(struct replica_thread *thread, struct partition *partition)
{
    uint64_t key = (uint64_t)(uintptr_t)partition;
    pthread_mutex_lock(&thread->lock);
    if (map_get(thread->wanted, map_integer_key(&key)) == NULL)
        map_put(thread->wanted, map_integer_key(&key), partition_acquire(partition));
    bool post = !thread->wanted_posted;
    thread->wanted_posted = true;
    pthread_mutex_unlock(&thread->lock);
    if (post)
        mailbox_post(thread->mailbox, &thread->wanted_mail);
}

/* ---- the controller's messages ---- */

static void handle_delivery(struct mail *mail)
{
    struct control_delivery *delivery = container_of(mail, struct control_delivery, mail);
    struct replica_thread *thread = delivery->link_state;
    control_carry_out(thread->context, &delivery->request, &delivery->arena, &delivery->answer);
    control_delivery_finish(delivery);
}

void replica_thread_deliver(struct replica_thread *thread, struct control_delivery *delivery)
{
    delivery->link_state = thread;
    delivery->mail.handle = handle_delivery;
    mailbox_post(thread->mailbox, &delivery->mail);
}

/* ---- periodic work ---- */

static void on_tick(struct loop_timer *timer)
{
    struct replica_thread *thread = container_of(timer, struct replica_thread, tick_timer);
    int64_t now_ms = clock_monotonic_ms();
    replica_manager_tick(thread->context->replicas, now_ms);
    loop_timer_set(thread->loop, timer, now_ms + REPLICA_TICK_MS);
}

/* ---- life ---- */

struct replica_thread *replica_thread_new(void)
{
    struct replica_thread *thread = memory_allocate_zeroed(1, sizeof(*thread));
    thread->loop = loop_new();
    thread->mailbox = mailbox_new(thread->loop);
    thread->wanted = map_new(0);
    thread->wanted_mail.handle = handle_wanted;
    thread->tick_timer.fire = on_tick;
    pthread_mutex_init(&thread->lock, NULL);
    return thread;
}

static void *run_replica_thread(void *argument)
{
    struct replica_thread *thread = argument;
    loop_run(thread->loop);
    return NULL;
}

int replica_thread_start(struct replica_thread *thread, struct api_context *context)
{
    int64_t now_ms = clock_monotonic_ms();
    thread->context = context;
    loop_timer_set(thread->loop, &thread->tick_timer, now_ms + REPLICA_TICK_MS);
    int error = thread_start(&thread->thread, "replicas", run_replica_thread, thread);
    thread->started = error == 0;
    return error;
}

static void handle_stop(struct mail *mail)
{
    struct replica_thread *thread = container_of(mail, struct replica_thread, stop_mail);
    thread->stopping = true;
    loop_timer_cancel(thread->loop, &thread->tick_timer);
    loop_stop(thread->loop);
}

void replica_thread_stop(struct replica_thread *thread)
{
    if (!thread->started)
        return;
    thread->started = false;
    thread->stop_mail.handle = handle_stop;
    mailbox_post(thread->mailbox, &thread->stop_mail);
    pthread_join(thread->thread, NULL);
}

void replica_thread_free(struct replica_thread *thread)
{
    if (thread == NULL)
        return;
    replica_thread_stop(thread);
    mailbox_free(thread->mailbox);
    size_t position = 0;
    void *value;
    while (map_next(thread->wanted, &position, NULL, &value))
        partition_release(value);
    map_free(thread->wanted);
    pthread_mutex_destroy(&thread->lock);
    loop_free(thread->loop);
    free(thread);
}
