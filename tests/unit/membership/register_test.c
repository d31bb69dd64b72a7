/* SPDX-License-Identifier: Apache-2.0 */
/* Registration, cluster id and paths against a real ZooKeeper: conflicts, leftovers, expiry, deletion by
 * hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "common/prng.h"
#include "coordinator/membership/cluster_id.h"
#include "coordinator/membership/ensure_paths.h"
#include "coordinator/membership/register.h"
#include "coordinator/zk/blocking.h"
#include "coordinator/zk/session.h"
#include "takeover.h"
#include "zookeeper_fixture.h"

#define DEADLINE_MS 20000
#define TIMEOUT_MS 1500
/* Twice the tick of the private server: the machine may be busy. */
#define TICK_MS 1000

static struct zookeeper_fixture *server;

/* A broker as far as membership goes. */
struct broker {
    struct loop *loop;
    struct zk_session *session;
    struct zk_client *client;
    struct registration *registration;
    int registered;
    int failed;
    int64_t epoch;
    char problem[300];
    int done;
    enum zk_result result;
    struct node_cluster_id cluster_id;
};

static void copy_text(char *to, size_t room, const char *from)
{
    size_t length = min_size(strlen(from), room - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

static void on_registered(void *context, int64_t epoch)
{
    struct broker *broker = context;
    broker->registered++;
    broker->epoch = epoch;
}

static void on_failed(void *context, const char *problem)
{
    struct broker *broker = context;
    broker->failed++;
    copy_text(broker->problem, sizeof(broker->problem), problem);
}

static void on_done(void *context, enum zk_result result)
{
    struct broker *broker = context;
    broker->done++;
    broker->result = result;
}

static void on_cluster_id(void *context, enum zk_result result, const struct node_cluster_id *cluster_id,
                          const char *problem)
{
    struct broker *broker = context;
    broker->done++;
    broker->result = result;
    if (cluster_id != NULL)
        broker->cluster_id = *cluster_id;
    copy_text(broker->problem, sizeof(broker->problem), problem ? problem : "");
}

static void turn(struct broker *broker)
{
    if (broker->registration != NULL)
        registration_tick(broker->registration, clock_monotonic_ms());
    loop_run_once(broker->loop, 10);
}

static void await(struct broker *broker, const int *counter, int count)
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (*counter < count) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        turn(broker);
    }
}

static struct broker *broker_new(const char *chroot)
{
    struct broker *broker = memory_allocate_zeroed(1, sizeof(*broker));
    broker->loop = loop_new();
    broker->session = zookeeper_fixture_session(server, broker->loop, chroot, TIMEOUT_MS);
    broker->client = zk_session_client(broker->session);
    zk_session_start(broker->session);
    membership_ensure_paths(broker->client, on_done, broker);
    await(broker, &broker->done, 1);
    assert_int_equal(broker->result, ZK_OK);
    broker->done = 0;
    return broker;
}

static void broker_register(struct broker *broker, int32_t id, int32_t port)
{
    struct node_broker node;
    node_broker_init(&node);
    node.timestamp_ms = 1;
    node_broker_add_endpoint(&node, slice_of("PLAINTEXT"), slice_of("PLAINTEXT"), slice_of("localhost"),
                             port);
    struct registration_settings settings = {
        .broker_id = id, .node = &node, .tick_ms = TICK_MS, .jitter_ms = 20, .seed = 1};
    struct registration_callbacks callbacks = {on_registered, on_failed, broker};
    broker->registration = registration_new(broker->client, NULL, &settings, callbacks, clock_monotonic_ms());
    node_broker_release(&node);
}

static void broker_free(struct broker *broker)
{
    registration_free(broker->registration);
    zk_session_free(broker->session);
    loop_free(broker->loop);
    free(broker);
}

static int set_up(void **state)
{
    (void)state;
    if (server == NULL)
        server = zookeeper_fixture_new();
    if (server == NULL)
        skip();
    return 0;
}

static int tear_down_group(void **state)
{
    (void)state;
    zookeeper_fixture_free(server);
    return 0;
}

static struct zk_blocking *open_tool(const char *chroot)
{
    struct buffer connect;
    buffer_init(&connect);
    buffer_print(&connect, "%s%s", zookeeper_fixture_address(server), chroot);
    struct zk_blocking *tool = NULL;
    assert_int_equal(zk_blocking_open(buffer_string(&connect), DEADLINE_MS, NULL, &tool), 0);
    buffer_release(&connect);
    return tool;
}

static void test_register(void **state)
{
    (void)state;
    struct broker *broker = broker_new("/register");
    broker_register(broker, 7, 9092);
    assert_int_equal(registration_epoch(broker->registration), -1);
    await(broker, &broker->registered, 1);
    struct zk_blocking *tool = open_tool("/register");
    struct buffer data;
    buffer_init(&data);
    struct zk_stat stat;
    assert_int_equal(zk_blocking_get(tool, "/brokers/ids/7", &data, &stat), ZK_OK);
    assert_int_equal(stat.czxid, broker->epoch);
    assert_int_equal(stat.ephemeral_owner, zk_client_session_id(broker->client));
    struct node_broker node;
    assert_int_equal(node_broker_decode(buffer_slice(&data), &node, NULL), 0);
    assert_int_equal(node.endpoints[0].port, 9092);
    assert_int_equal(node.intact_since, -1);
    node_broker_release(&node);
    buffer_release(&data);
    broker_free(broker);
    /* At once, that is: as soon as the server has read the farewell. */
    int64_t deadline_ms = clock_monotonic_ms() + TIMEOUT_MS / 2;
    while (zk_blocking_exists(tool, "/brokers/ids/7", NULL) != ZK_NO_NODE)
        assert_true(clock_monotonic_ms() < deadline_ms);
    zk_blocking_close(tool);
}

static void test_duplicate_id_is_refused_after_waiting(void **state)
{
    (void)state;
    struct broker *first = broker_new("/duplicate");
    struct broker *second = broker_new("/duplicate");
    broker_register(first, 1, 9092);
    await(first, &first->registered, 1);
    int64_t begin_ms = clock_monotonic_ms();
    broker_register(second, 1, 9093);
    int64_t deadline_ms = begin_ms + DEADLINE_MS;
    while (second->failed == 0 && clock_monotonic_ms() < deadline_ms) {
        turn(second);
        turn(first);
    }
    assert_int_equal(second->failed, 1);
    assert_int_equal(second->registered, 0);
    int64_t took_ms = clock_monotonic_ms() - begin_ms;
    assert_in_range(took_ms, TIMEOUT_MS, DEADLINE_MS);
    assert_non_null(
        strstr(second->problem, "broker.id 1 is already registered by localhost:9092, session 0x"));
    broker_free(first);
    broker_free(second);
}

static void test_address_of_another_broker_is_refused(void **state)
{
    (void)state;
    struct broker *first = broker_new("/address");
    struct broker *second = broker_new("/address");
    broker_register(first, 1, 9092);
    await(first, &first->registered, 1);
    broker_register(second, 2, 9092);
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (second->failed == 0 && clock_monotonic_ms() < deadline_ms) {
        turn(second);
        turn(first);
    }
    assert_non_null(strstr(second->problem, "already registered by broker 1: localhost:9092"));
    broker_free(first);
    broker_free(second);
}

static void test_leftover_of_a_crash_is_waited_out(void **state)
{
    (void)state;
    struct broker *crashed = broker_new("/leftover");
    broker_register(crashed, 1, 9092);
    await(crashed, &crashed->registered, 1);
    /* From here on nobody serves its session: as if the process were gone. */
    struct broker *next = broker_new("/leftover");
    broker_register(next, 1, 9092);
    await(next, &next->registered, 1);
    assert_int_equal(next->failed, 0);
    assert_true(next->epoch > crashed->epoch);
    broker_free(next);
    broker_free(crashed);
}

static void test_expiry_gives_a_new_epoch(void **state)
{
    (void)state;
    struct broker *broker = broker_new("/expired");
    broker_register(broker, 1, 9092);
    await(broker, &broker->registered, 1);
    int64_t first_epoch = broker->epoch;
    assert_true(session_expire(zookeeper_fixture_address(server), broker->session));
    await(broker, &broker->registered, 2);
    assert_true(broker->epoch > first_epoch);
    assert_int_equal(registration_epoch(broker->registration), broker->epoch);
    struct zk_blocking *tool = open_tool("/expired");
    struct buffer data;
    buffer_init(&data);
    assert_int_equal(zk_blocking_get(tool, "/brokers/ids/1", &data, NULL), ZK_OK);
    struct node_broker node;
    assert_int_equal(node_broker_decode(buffer_slice(&data), &node, NULL), 0);
    assert_int_equal(node.alive_since, first_epoch);
    assert_int_equal(node.intact_since, -1);
    node_broker_release(&node);
    buffer_release(&data);
    zk_blocking_close(tool);
    broker_free(broker);
}

static void test_node_deleted_by_hand_comes_back(void **state)
{
    (void)state;
    struct broker *broker = broker_new("/by-hand");
    broker_register(broker, 1, 9092);
    await(broker, &broker->registered, 1);
    for (int i = 0; i < 10; i++)
        turn(broker);
    struct zk_blocking *tool = open_tool("/by-hand");
    assert_int_equal(zk_blocking_delete(tool, "/brokers/ids/1", zk_version_make(1)), ZK_OK);
    await(broker, &broker->registered, 2);
    assert_int_equal(zk_blocking_exists(tool, "/brokers/ids/1", NULL), ZK_OK);
    zk_blocking_close(tool);
    broker_free(broker);
}

static void test_restart_of_the_server(void **state)
{
    (void)state;
    struct broker *broker = broker_new("/restart");
    broker_register(broker, 1, 9092);
    await(broker, &broker->registered, 1);
    zookeeper_fixture_command(server, "kill");
    zookeeper_fixture_command(server, "start");
    /* The session lived on or not: in the end the node is there, with the epoch that we believe in. */
    struct zk_blocking *tool = open_tool("/restart");
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    struct zk_stat stat = {0};
    do {
        assert_true(clock_monotonic_ms() < deadline_ms);
        turn(broker);
        if (!zk_client_is_connected(broker->client))
            continue;
        if (zk_blocking_exists(tool, "/brokers/ids/1", &stat) != ZK_OK)
            stat.czxid = 0;
    } while (stat.czxid == 0 || stat.czxid != registration_epoch(broker->registration) ||
             stat.ephemeral_owner != zk_client_session_id(broker->client));
    assert_int_equal(broker->failed, 0);
    zk_blocking_close(tool);
    broker_free(broker);
}

static void test_cluster_id(void **state)
{
    (void)state;
    struct broker *first = broker_new("/cluster-id");
    struct broker *second = broker_new("/cluster-id");
    uint8_t random[16];
    random_bytes(random, sizeof(random));
    membership_cluster_id(first->client, uuid_from_random(random), on_cluster_id, first);
    await(first, &first->done, 1);
    assert_int_equal(first->result, ZK_OK);
    assert_int_equal(strlen(first->cluster_id.text), UUID_TEXT_LENGTH);
    random_bytes(random, sizeof(random));
    membership_cluster_id(second->client, uuid_from_random(random), on_cluster_id, second);
    await(second, &second->done, 1);
    assert_string_equal(first->cluster_id.text, second->cluster_id.text);
    struct zk_blocking *tool = open_tool("/cluster-id");
    assert_int_equal(zk_blocking_set_any_version(tool, "/cluster/id", slice_of("garbage")), ZK_OK);
    zk_blocking_close(tool);
    membership_cluster_id(second->client, uuid_from_random(random), on_cluster_id, second);
    await(second, &second->done, 2);
    assert_int_equal(second->result, ZK_ERROR);
    assert_true(second->problem[0] != '\0');
    broker_free(first);
    broker_free(second);
}

static void test_ensure_path(void **state)
{
    (void)state;
    struct broker *broker = broker_new("/ensure");
    membership_ensure_path(broker->client, "/barnabas/groups/g", on_done, broker);
    await(broker, &broker->done, 1);
    assert_int_equal(broker->result, ZK_OK);
    struct zk_blocking *tool = open_tool("/ensure");
    assert_int_equal(zk_blocking_exists(tool, "/barnabas/groups/g", NULL), ZK_OK);
    zk_blocking_close(tool);
    broker_free(broker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_register, set_up),
        cmocka_unit_test_setup(test_duplicate_id_is_refused_after_waiting, set_up),
        cmocka_unit_test_setup(test_address_of_another_broker_is_refused, set_up),
        cmocka_unit_test_setup(test_leftover_of_a_crash_is_waited_out, set_up),
        cmocka_unit_test_setup(test_expiry_gives_a_new_epoch, set_up),
        cmocka_unit_test_setup(test_node_deleted_by_hand_comes_back, set_up),
        cmocka_unit_test_setup(test_restart_of_the_server, set_up),
        cmocka_unit_test_setup(test_cluster_id, set_up),
        cmocka_unit_test_setup(test_ensure_path, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down_group);
}
