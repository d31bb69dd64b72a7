/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a broker may speak for the cluster, and how requests wait until it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/api/held_requests.h"
#include "tests/unit/api/exchange.h"

#define GAP_MS 1000
#define PATIENCE_MS 8000
#define EXCHANGES 4

struct bench {
    struct standing *standing;
    struct held_requests *held;
    struct logger *logger;
    struct reactor reactor;
    struct exchange exchanges[EXCHANGES];
    struct request *resumed[EXCHANGES];
    size_t resumed_count;
    size_t doubts;
    bool registering; /* ZooKeeper is there */
};

static void on_doubted(void *context)
{
    ((struct bench *)context)->doubts++;
}

static void resume(void *context, struct request *request)
{
    struct bench *bench = context;
    bench->resumed[bench->resumed_count++] = request;
}

static int setup(void **state)
{
    static struct bench bench;
    bench = (struct bench){.logger = logger_new(2, LOG_ERROR, "test")};
    struct standing_options options = {.logger = bench.logger,
                                       .gap_max_ms = GAP_MS,
                                       .patience_ms = PATIENCE_MS,
                                       .doubted = on_doubted,
                                       .doubt_context = &bench};
    bench.standing = standing_new(&options, 0);
    bench.held = held_requests_new(bench.standing, 1, resume, &bench);
    reactor_open(&bench.reactor);
    for (size_t i = 0; i < EXCHANGES; i++)
        bench.exchanges[i].request.reactor = &bench.reactor;
    *state = &bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    reactor_close(&bench->reactor);
    held_requests_free(bench->held);
    standing_free(bench->standing);
    logger_free(bench->logger);
    return 0;
}

/* Registered in an epoch and told all. */
static void join(struct bench *bench, int64_t broker_epoch, int64_t now_ms)
{
    standing_registered(bench->standing, broker_epoch, now_ms);
    standing_metadata_told(bench->standing, broker_epoch, false);
    assert_true(standing_is_good(bench->standing, now_ms));
}

/* Time passes while the broker is at work. */
static void work_until(struct bench *bench, int64_t from_ms, int64_t to_ms)
{
    for (int64_t now_ms = from_ms; now_ms <= to_ms; now_ms += 100)
        standing_tick(bench->standing, bench->registering, now_ms);
}

static void a_start_ends_when_everything_was_told(void **state)
{
    struct bench *bench = *state;
    assert_false(standing_is_good(bench->standing, 1));
    standing_registered(bench->standing, 7, 2);
    assert_false(standing_is_good(bench->standing, 2));
    standing_metadata_told(bench->standing, 7, true);
    assert_false(standing_is_good(bench->standing, 3)); /* it leads something and has not heard of it */
    standing_leaders_told(bench->standing, 7);
    assert_true(standing_is_good(bench->standing, 4));
    assert_int_equal(bench->doubts, 0);
}

static void who_leads_nothing_waits_for_no_leaders(void **state)
{
    join(*state, 7, 1);
}

static void a_cluster_without_controller_is_waited_for_in_vain(void **state)
{
    struct bench *bench = *state;
    standing_session_begun(bench->standing, 50000); /* ZooKeeper was away: nothing has begun before */
    work_until(bench, 50000, 50000 + PATIENCE_MS - 100);
    assert_false(standing_is_open(bench->standing));
    work_until(bench, 50000 + PATIENCE_MS, 50000 + PATIENCE_MS);
    assert_true(standing_is_open(bench->standing));
}

/* I37: nothing that was sent to a leader before it stood still is answered before its session is known to
 * have lived. */
static void I37_after_standing_still_the_session_is_asked_first(void **state)
{
    struct bench *bench = *state;
    join(bench, 7, 0);
    assert_true(standing_is_good(bench->standing, GAP_MS));
    assert_false(standing_is_good(bench->standing, 2 * GAP_MS + 1));
    assert_int_equal(bench->doubts, 1);
    assert_false(standing_is_good(bench->standing, 2 * GAP_MS + 2)); /* no second doubt */
    assert_int_equal(bench->doubts, 1);
    standing_session_lives(bench->standing, standing_doubt(bench->standing));
    assert_true(standing_is_good(bench->standing, 2 * GAP_MS + 3));
    assert_int_equal(standing_doubt(bench->standing), 0);
}

static void I37_an_old_answer_does_not_settle_a_new_doubt(void **state)
{
    struct bench *bench = *state;
    join(bench, 7, 0);
    (void)standing_is_good(bench->standing, 5000);
    uint64_t first = standing_doubt(bench->standing);
    (void)standing_is_good(bench->standing, 10000);
    standing_session_lives(bench->standing, first);
    assert_false(standing_is_open(bench->standing));
    standing_session_lives(bench->standing, standing_doubt(bench->standing));
    assert_true(standing_is_open(bench->standing));
}

static void I37_a_new_session_is_told_everything_anew(void **state)
{
    struct bench *bench = *state;
    join(bench, 7, 0);
    standing_session_begun(bench->standing, 10);
    assert_false(standing_is_good(bench->standing, 10));
    standing_registered(bench->standing, 8, 11);
    standing_metadata_told(bench->standing, 7, false); /* late news of the old life */
    assert_false(standing_is_good(bench->standing, 12));
    standing_metadata_told(bench->standing, 8, false);
    assert_true(standing_is_good(bench->standing, 13));
}

static void the_same_epoch_again_needs_no_news(void **state)
{
    struct bench *bench = *state;
    join(bench, 7, 0);
    standing_session_begun(bench->standing, 10);
    standing_registered(bench->standing, 7, 11); /* the server had kept the session */
    assert_true(standing_is_good(bench->standing, 11));
}

static void doubt_has_an_end(void **state)
{
    struct bench *bench = *state;
    join(bench, 7, 0);
    work_until(bench, 5000, 5000 + PATIENCE_MS - 100);
    assert_int_equal(bench->doubts, 1);
    assert_false(standing_is_open(bench->standing));
    work_until(bench, 5000 + PATIENCE_MS, 5000 + PATIENCE_MS);
    assert_true(standing_is_open(bench->standing));
}

/* I37: what was sent before a second pause waits for the answer about that one, too. */
static void i37_time_that_stood_still_is_not_of_the_patience(void **state)
{
    struct bench *bench = *state;
    join(bench, 7, 0);
    int64_t now_ms = 0;
    for (size_t i = 1; i <= 2; i++) {
        now_ms += 2 * PATIENCE_MS;
        work_until(bench, now_ms, now_ms);
        assert_int_equal(bench->doubts, i);
        assert_false(standing_is_open(bench->standing));
    }
    work_until(bench, now_ms, now_ms + PATIENCE_MS - 100);
    assert_false(standing_is_open(bench->standing));
}

static void i37_a_pause_before_the_registration_is_not_of_the_patience(void **state)
{
    struct bench *bench = *state;
    work_until(bench, 2 * PATIENCE_MS, 3 * PATIENCE_MS - 100);
    assert_false(standing_is_open(bench->standing));
    work_until(bench, 3 * PATIENCE_MS, 3 * PATIENCE_MS);
    assert_true(standing_is_open(bench->standing));
}

/* Its old registration outlives the patience: it knows nothing that is worth telling. */
static void who_waits_for_its_registration_sends_clients_away(void **state)
{
    struct bench *bench = *state;
    bench->registering = true;
    assert_true(held_requests_take(bench->held, &bench->exchanges[0].request, 1));
    work_until(bench, 100, PATIENCE_MS);
    loop_run_once(bench->reactor.loop, 0);
    assert_int_equal(bench->exchanges[0].outcome, EXCHANGE_CLOSED);
    assert_false(standing_is_open(bench->standing));
    /* Who comes then waits as long. */
    assert_true(held_requests_take(bench->held, &bench->exchanges[1].request, PATIENCE_MS + 1));
    work_until(bench, PATIENCE_MS + 100, 2 * PATIENCE_MS - 100);
    loop_run_once(bench->reactor.loop, 0);
    assert_int_equal(bench->exchanges[1].outcome, EXCHANGE_OPEN);
    join(bench, 7, 2 * PATIENCE_MS - 50);
    loop_run_once(bench->reactor.loop, 0);
    assert_int_equal(bench->resumed_count, 1);
    assert_ptr_equal(bench->resumed[0], &bench->exchanges[1].request);
}

static void requests_wait_in_their_order(void **state)
{
    struct bench *bench = *state;
    assert_true(held_requests_take(bench->held, &bench->exchanges[0].request, 1));
    assert_true(held_requests_take(bench->held, &bench->exchanges[1].request, 2));
    join(bench, 7, 3);
    /* Its turn comes behind the others, although nothing keeps it waiting any more. */
    assert_true(held_requests_take(bench->held, &bench->exchanges[2].request, 4));
    assert_int_equal(bench->resumed_count, 0);
    loop_run_once(bench->reactor.loop, 0);
    assert_int_equal(bench->resumed_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(bench->resumed[i], &bench->exchanges[i].request);
    assert_false(held_requests_take(bench->held, &bench->exchanges[3].request, 5));
}

static void who_has_left_is_forgotten(void **state)
{
    struct bench *bench = *state;
    assert_true(held_requests_take(bench->held, &bench->exchanges[0].request, 1));
    assert_true(held_requests_take(bench->held, &bench->exchanges[1].request, 1));
    bench->exchanges[0].request.abandoned(&bench->exchanges[0].request);
    assert_int_equal(bench->exchanges[0].outcome, EXCHANGE_NOTHING);
    join(bench, 7, 2);
    loop_run_once(bench->reactor.loop, 0);
    assert_int_equal(bench->resumed_count, 1);
    assert_ptr_equal(bench->resumed[0], &bench->exchanges[1].request);
}

static void a_stop_closes_who_waits(void **state)
{
    struct bench *bench = *state;
    assert_true(held_requests_take(bench->held, &bench->exchanges[0].request, 1));
    standing_end(bench->standing);
    loop_run_once(bench->reactor.loop, 0);
    assert_int_equal(bench->resumed_count, 0);
    assert_int_equal(bench->exchanges[0].outcome, EXCHANGE_CLOSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_ends_when_everything_was_told),
        TEST(who_leads_nothing_waits_for_no_leaders),
        TEST(a_cluster_without_controller_is_waited_for_in_vain),
        TEST(I37_after_standing_still_the_session_is_asked_first),
        TEST(I37_an_old_answer_does_not_settle_a_new_doubt),
        TEST(I37_a_new_session_is_told_everything_anew),
        TEST(the_same_epoch_again_needs_no_news),
        TEST(doubt_has_an_end),
        TEST(i37_time_that_stood_still_is_not_of_the_patience),
        TEST(i37_a_pause_before_the_registration_is_not_of_the_patience),
        TEST(who_waits_for_its_registration_sends_clients_away),
        TEST(requests_wait_in_their_order),
        TEST(who_has_left_is_forgotten),
        TEST(a_stop_closes_who_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
