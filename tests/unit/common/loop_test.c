/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop, its timers and hooks; mailboxes and workers across threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/mailbox.h"
#include "common/prng.h"
#include "common/worker.h"

#define TIMER_COUNT 200
#define DEADLINE_MS 20000 /* no test waits so long unless it fails */

struct timed {
    struct loop_timer timer;
    struct fired *fired;
    int number;
};

struct fired {
    struct loop *loop;
    int numbers[TIMER_COUNT];
    int64_t deadlines[TIMER_COUNT];
    int count;
};

static void note_fired(struct loop_timer *timer)
{
    struct timed *timed = container_of(timer, struct timed, timer);
    struct fired *fired = timed->fired;
    assert_false(loop_timer_is_set(timer));
    assert_true(loop_now_ms(fired->loop) >= timer->deadline_ms);
    fired->numbers[fired->count] = timed->number;
    fired->deadlines[fired->count++] = timer->deadline_ms;
}

static void test_timers_fire_in_order(void **state)
{
    (void)state;
    const uint64_t seed = 81;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    static struct timed timers[TIMER_COUNT];
    struct fired fired = {.loop = loop_new()};
    int64_t now = clock_monotonic_ms();
    memset(timers, 0, sizeof(timers));
    for (int i = 0; i < TIMER_COUNT; i++)
        timers[i] = (struct timed){.timer = {.fire = note_fired}, .fired = &fired, .number = i};
    for (int i = 0; i < TIMER_COUNT * 10; i++) { /* set, moved, cancelled, again and again */
        struct timed *timed = &timers[prng_below(&prng, TIMER_COUNT)];
        if (prng_one_in(&prng, 4))
            loop_timer_cancel(fired.loop, &timed->timer);
        else
            loop_timer_set(fired.loop, &timed->timer, now + prng_between(&prng, -5, 30));
    }
    int expected = 0;
    for (int i = 0; i < TIMER_COUNT; i++)
        expected += loop_timer_is_set(&timers[i].timer);
    while (fired.count < expected && clock_monotonic_ms() < now + DEADLINE_MS)
        loop_run_once(fired.loop, -1);
    assert_int_equal(fired.count, expected);
    for (int i = 1; i < fired.count; i++)
        assert_true(fired.deadlines[i - 1] <= fired.deadlines[i]);
    loop_free(fired.loop);
}

static void test_equal_deadlines_keep_their_order(void **state)
{
    (void)state;
    static struct timed timers[TIMER_COUNT];
    struct fired fired = {.loop = loop_new()};
    int64_t deadline = clock_monotonic_ms() - 1;
    for (int i = 0; i < TIMER_COUNT; i++) {
        timers[i] = (struct timed){.timer = {.fire = note_fired}, .fired = &fired, .number = i};
        loop_timer_set(fired.loop, &timers[i].timer, deadline);
    }
    loop_run_once(fired.loop, 0);
    assert_int_equal(fired.count, TIMER_COUNT);
    for (int i = 0; i < TIMER_COUNT; i++)
        assert_int_equal(fired.numbers[i], i);
    loop_free(fired.loop);
}

struct repeating {
    struct loop_timer timer;
    struct loop *loop;
    int count;
};

static void set_again(struct loop_timer *timer)
{
    struct repeating *repeating = container_of(timer, struct repeating, timer);
    repeating->count++;
    loop_timer_set(repeating->loop, timer, loop_now_ms(repeating->loop));
}

static void test_a_timer_set_for_now_waits_a_turn(void **state)
{
    (void)state;
    struct repeating repeating = {.timer = {.fire = set_again}, .loop = loop_new()};
    loop_timer_set(repeating.loop, &repeating.timer, 0);
    for (int turn = 1; turn <= 5; turn++) {
        loop_run_once(repeating.loop, -1);
        assert_int_equal(repeating.count, turn);
    }
    loop_timer_cancel(repeating.loop, &repeating.timer);
    loop_free(repeating.loop);
}

struct trace {
    struct loop *loop;
    struct loop_watch high, normal;
    struct loop_timer timer;
    struct loop_hook first, second;
    char order[16];
};

static void trace_add(struct trace *trace, char what)
{
    trace->order[strlen(trace->order)] = what;
}

static void on_high(struct loop_watch *watch, unsigned events)
{
    assert_int_equal(events, LOOP_WRITE);
    trace_add(container_of(watch, struct trace, high), 'H');
    loop_watch_release(watch); /* from inside: no more events, no leak */
}

static void on_normal(struct loop_watch *watch, unsigned events)
{
    assert_int_equal(events, LOOP_READ | LOOP_WRITE);
    trace_add(container_of(watch, struct trace, normal), 'N');
    loop_watch_set(watch, 0);
}

static void on_timer(struct loop_timer *timer)
{
    trace_add(container_of(timer, struct trace, timer), 'T');
}

static void on_first_flush(struct loop_hook *hook)
{
    trace_add(container_of(hook, struct trace, first), '1');
    loop_hook_remove(hook);
}

static void on_second_flush(struct loop_hook *hook)
{
    trace_add(container_of(hook, struct trace, second), '2');
}

static void test_order_within_a_turn(void **state)
{
    (void)state;
    int normal[2], high[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, normal), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, high), 0);
    assert_int_equal(write(normal[1], "x", 1), 1);
    struct trace trace = {.loop = loop_new(), .timer = {.fire = on_timer}};
    loop_watch_init(&trace.normal, trace.loop, normal[0], LOOP_PRIORITY_NORMAL, on_normal);
    loop_watch_init(&trace.high, trace.loop, high[0], LOOP_PRIORITY_HIGH, on_high);
    loop_watch_set(&trace.normal, LOOP_READ | LOOP_WRITE);
    loop_watch_set(&trace.high, LOOP_WRITE);
    loop_timer_set(trace.loop, &trace.timer, 0);
    trace.first.flush = on_first_flush;
    trace.second.flush = on_second_flush;
    loop_hook_add(trace.loop, &trace.first);
    loop_hook_add(trace.loop, &trace.second);
    loop_run_once(trace.loop, 0);
    assert_string_equal(trace.order, "HNT12");
    loop_run_once(trace.loop, 0);
    assert_string_equal(trace.order, "HNT122");
    loop_hook_remove(&trace.second);
    loop_watch_release(&trace.normal);
    loop_free(trace.loop);
    for (int i = 0; i < 2; i++) {
        close(normal[i]);
        close(high[i]);
    }
}

#define SENDERS 4
#define MAILS_EACH 5000

struct post_office {
    struct loop *loop;
    struct mailbox *mailbox;
    int last[SENDERS]; /* number of the last mail of each sender */
    int received;
    int wrong;
};

struct letter {
    struct mail mail;
    struct post_office *office;
    int sender;
    int number;
};

static struct letter letters[SENDERS][MAILS_EACH];

static void read_letter(struct mail *mail)
{
    struct letter *letter = container_of(mail, struct letter, mail);
    struct post_office *office = letter->office;
    if (office->last[letter->sender] + 1 != letter->number)
        office->wrong++;
    office->last[letter->sender] = letter->number;
    if (++office->received == SENDERS * MAILS_EACH)
        loop_stop(office->loop);
}

static void *send_letters(void *argument)
{
    struct letter *mine = argument;
    for (int i = 0; i < MAILS_EACH; i++)
        mailbox_post(mine[i].office->mailbox, &mine[i].mail);
    return NULL;
}

static void test_mailbox_across_threads(void **state)
{
    (void)state;
    struct post_office office = {.loop = loop_new()};
    office.mailbox = mailbox_new(office.loop);
    pthread_t threads[SENDERS];
    for (int sender = 0; sender < SENDERS; sender++) {
        office.last[sender] = -1;
        for (int i = 0; i < MAILS_EACH; i++)
            letters[sender][i] = (struct letter){{.handle = read_letter}, &office, sender, i};
        assert_int_equal(
            thread_start(&threads[sender], "a sender with a long name", send_letters, letters[sender]), 0);
    }
    loop_run(office.loop);
    for (int sender = 0; sender < SENDERS; sender++)
        pthread_join(threads[sender], NULL);
    assert_int_equal(office.received, SENDERS * MAILS_EACH);
    assert_int_equal(office.wrong, 0);
    mailbox_free(office.mailbox);
    loop_free(office.loop);
}

static void test_mailbox_handles_the_rest_at_its_end(void **state)
{
    (void)state;
    struct post_office office = {.loop = loop_new(), .last = {-1, -1, -1, -1}};
    office.mailbox = mailbox_new(office.loop);
    for (int i = 0; i < 3; i++) {
        letters[0][i] = (struct letter){{.handle = read_letter}, &office, 0, i};
        mailbox_post(office.mailbox, &letters[0][i].mail);
    }
    mailbox_free(office.mailbox);
    assert_int_equal(office.received, 3);
    assert_int_equal(office.wrong, 0);
    loop_free(office.loop);
}

struct job {
    struct mail mail;
    struct mailbox *reply_to;
    atomic_int *handled;
    int *replies;
    struct loop *loop;
    int expected;
};

static void take_reply(struct mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);
    if (++*job->replies == job->expected)
        loop_stop(job->loop);
}

static void do_job(struct mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);
    atomic_fetch_add(job->handled, 1);
    job->mail.handle = take_reply;
    mailbox_post(job->reply_to, &job->mail);
}

static void test_workers_answer(void **state)
{
    (void)state;
    static struct job jobs[1000];
    struct loop *loop = loop_new();
    struct mailbox *mailbox = mailbox_new(loop);
    struct worker *worker;
    atomic_int handled = 0;
    int replies = 0;
    assert_int_equal(worker_new("storage", 3, &worker), 0);
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        jobs[i] = (struct job){{.handle = do_job}, mailbox, &handled, &replies, loop, ARRAY_SIZE(jobs)};
        worker_post(worker, &jobs[i].mail);
    }
    loop_run(loop);
    assert_int_equal(replies, ARRAY_SIZE(jobs));
    for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
        jobs[i].mail.handle = do_job;
        worker_post(worker, &jobs[i].mail);
    }
    worker_free(worker); /* finishes what is queued */
    assert_int_equal(atomic_load(&handled), 2 * ARRAY_SIZE(jobs));
    mailbox_free(mailbox);
    loop_free(loop);
}

static void *stop_from_outside(void *argument)
{
    loop_stop(argument);
    return NULL;
}

static void test_stop_from_another_thread(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        assert_int_equal(thread_start(&thread, "stopper", stop_from_outside, loop), 0);
        loop_run(loop);
        pthread_join(thread, NULL);
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order),
        cmocka_unit_test(test_equal_deadlines_keep_their_order),
        cmocka_unit_test(test_a_timer_set_for_now_waits_a_turn),
        cmocka_unit_test(test_order_within_a_turn),
        cmocka_unit_test(test_mailbox_across_threads),
        cmocka_unit_test(test_mailbox_handles_the_rest_at_its_end),
        cmocka_unit_test(test_workers_answer),
        cmocka_unit_test(test_stop_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
