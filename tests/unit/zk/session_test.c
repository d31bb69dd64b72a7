/* SPDX-License-Identifier: Apache-2.0 */
/* The session against a real ZooKeeper: requests, multis, watches, ephemerals, expiry, lost connections. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/memory.h"
#include "coordinator/zk/blocking.h"
#include "coordinator/zk/session.h"
#include "takeover.h"
#include "zookeeper_fixture.h"

#define DEADLINE_MS 20000
#define TIMEOUT_MS 2000

static struct zookeeper_fixture *server;

/* A session that writes down what it is told. */
struct peer {
    struct zk_listener listener;
    struct loop *loop;
    struct zk_session *session;
    struct zk_client *client;
    int connected;
    int new_sessions;
    int disconnected;
    int lost;
    int events;
    enum zk_event event;
    char event_path[200];
    /* The answer to the last request. */
    int answers;
    enum zk_result result;
    struct zk_stat stat;
    char data[2000];
    size_t data_length;
    bool data_null;
    char children[500];
    char path[200];
    size_t culprit;
    bool fenced;
    struct zk_operation_outcome outcomes[4];
    size_t outcome_count;
    /* All answers so far, by result. */
    int results[ZK_ERROR + 1];
};

static struct peer *peer_of(struct zk_listener *listener)
{
    return container_of(listener, struct peer, listener);
}

static void on_connected(struct zk_listener *listener, bool new_session)
{
    peer_of(listener)->connected++;
    peer_of(listener)->new_sessions += new_session;
}

static void on_disconnected(struct zk_listener *listener)
{
    peer_of(listener)->disconnected++;
}

static void on_lost(struct zk_listener *listener)
{
    peer_of(listener)->lost++;
}

static void copy_text(char *to, size_t room, const char *from)
{
    size_t length = min_size(strlen(from), room - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

static void on_event(struct zk_listener *listener, enum zk_event event, const char *path)
{
    struct peer *peer = peer_of(listener);
    peer->events++;
    peer->event = event;
    copy_text(peer->event_path, sizeof(peer->event_path), path);
}

static void on_answer(void *context, const struct zk_response *response)
{
    struct peer *peer = context;
    peer->answers++;
    peer->results[response->result]++;
    peer->result = response->result;
    peer->stat = response->stat;
    peer->culprit = response->culprit;
    peer->fenced = response->fenced;
    peer->data_length = min_size(response->data.length, sizeof(peer->data));
    peer->data_null = slice_is_null(response->data);
    if (peer->data_length > 0)
        memcpy(peer->data, response->data.data, peer->data_length);
    copy_text(peer->path, sizeof(peer->path), response->path ? response->path : "");
    peer->children[0] = '\0';
    for (size_t i = 0; i < response->child_count; i++) {
        size_t at = strlen(peer->children);
        copy_text(peer->children + at, sizeof(peer->children) - at, response->children[i]);
        at = strlen(peer->children);
        copy_text(peer->children + at, sizeof(peer->children) - at, " ");
    }
    peer->outcome_count = response->outcome_count;
    for (size_t i = 0; i < min_size(response->outcome_count, ARRAY_SIZE(peer->outcomes)); i++)
        peer->outcomes[i] = response->outcomes[i];
}

static struct zk_completion answer_to(struct peer *peer)
{
    return zk_completion_make(on_answer, peer);
}

/* Turns the loop until the counter reaches `count`. */
static void await(struct peer *peer, const int *counter, int count)
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (*counter < count) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        loop_run_once(peer->loop, 20);
    }
}

static enum zk_result await_answer(struct peer *peer)
{
    await(peer, &peer->answers, 1);
    peer->answers = 0;
    return peer->result;
}

static struct peer *peer_start(const char *chroot)
{
    struct peer *peer = memory_allocate_zeroed(1, sizeof(*peer));
    peer->loop = loop_new();
    peer->session = zookeeper_fixture_session(server, peer->loop, chroot, TIMEOUT_MS);
    peer->client = zk_session_client(peer->session);
    peer->listener = (struct zk_listener){on_connected, on_disconnected, on_lost, on_event, {NULL, NULL}};
    zk_client_add_listener(peer->client, &peer->listener);
    zk_session_start(peer->session);
    return peer;
}

static struct peer *peer_new(const char *chroot)
{
    struct peer *peer = peer_start(chroot);
    await(peer, &peer->connected, 1);
    return peer;
}

static void peer_free(struct peer *peer)
{
    zk_session_free(peer->session);
    loop_free(peer->loop);
    free(peer);
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

static enum zk_result create(struct peer *peer, const char *path, const char *data, enum zk_create_mode mode)
{
    zk_create(peer->client, path, slice_of(data), mode, answer_to(peer));
    return await_answer(peer);
}

static enum zk_result exists(struct peer *peer, const char *path)
{
    zk_exists(peer->client, path, false, answer_to(peer));
    return await_answer(peer);
}

static void test_basic_requests(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/basic/deep/root");
    assert_int_equal(peer->new_sessions, 1);
    assert_int_equal(create(peer, "/a", "one", ZK_PERSISTENT), ZK_OK);
    assert_string_equal(peer->path, "/a");
    assert_int_equal(create(peer, "/a", "one", ZK_PERSISTENT), ZK_NODE_EXISTS);
    assert_int_equal(create(peer, "/none/b", "one", ZK_PERSISTENT), ZK_NO_NODE);
    assert_int_equal(create(peer, "/a/null", NULL, ZK_PERSISTENT), ZK_OK);
    assert_int_equal(create(peer, "/a/empty", "", ZK_PERSISTENT), ZK_OK);
    assert_int_equal(create(peer, "/a/seq_", "x", ZK_PERSISTENT_SEQUENTIAL), ZK_OK);
    assert_string_equal(peer->path, "/a/seq_0000000002");
    zk_get(peer->client, "/a", false, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_memory_equal(peer->data, "one", 3);
    assert_int_equal(peer->stat.version.value, 0);
    assert_int_equal(peer->stat.num_children, 3);
    zk_get(peer->client, "/a/null", false, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_true(peer->data_null);
    zk_get(peer->client, "/a/empty", false, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_int_equal(peer->data_length, 0);
    zk_children(peer->client, "/a", false, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_string_equal(peer->children, "empty null seq_0000000002 ");
    zk_children(peer->client, "/", false, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_string_equal(peer->children, "a ");
    zk_set(peer->client, "/a", slice_of("two"), zk_version_make(0), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_int_equal(peer->stat.version.value, 1);
    zk_set(peer->client, "/a", slice_of("three"), zk_version_make(0), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_BAD_VERSION);
    zk_set_any_version(peer->client, "/a", slice_of("three"), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    zk_delete(peer->client, "/a", zk_version_make(2), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_NOT_EMPTY);
    zk_delete(peer->client, "/a/null", zk_version_make(7), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_BAD_VERSION);
    zk_delete_any_version(peer->client, "/a/null", answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_int_equal(exists(peer, "/a/null"), ZK_NO_NODE);
    peer_free(peer);
    struct peer *outside = peer_new("");
    assert_int_equal(exists(outside, "/basic/deep/root/a"), ZK_OK);
    peer_free(outside);
}

static void test_i39_limits(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/limits");
    size_t length = ZK_DATA_BYTES_MAX + 1;
    char *bytes = memory_allocate_zeroed(length, 1);
    zk_create(peer->client, "/big", slice_make(bytes, length), ZK_PERSISTENT, answer_to(peer));
    assert_int_equal(peer->answers, 0);
    assert_int_equal(await_answer(peer), ZK_TOO_BIG);
    zk_create(peer->client, "/big", slice_make(bytes, length - 1), ZK_PERSISTENT, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    zk_multi(peer->client, NULL, 0, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    free(bytes);
    peer_free(peer);
}

/* Watches of topics beyond the packet of a reconnect are refused; they leave room for all others. */
static void test_i39_watch_limits(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/limits");
    char path[] =
        "/brokers/topics/"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0000";
    size_t end = strlen(path), room = ZK_WATCHED_BYTES_MAX / 4 * 3;
    size_t fit = room / (strlen("d/limits") + end);
    for (size_t i = 0; i < fit + 3; i++) {
        path[end - 4] = (char)('0' + i / 1000);
        path[end - 3] = (char)('0' + i / 100 % 10);
        path[end - 2] = (char)('0' + i / 10 % 10);
        path[end - 1] = (char)('0' + i % 10);
        zk_exists(peer->client, path, true, answer_to(peer));
        assert_int_equal(await_answer(peer), i < fit ? ZK_NO_NODE : ZK_TOO_BIG);
    }
    assert_true(zk_session_read_gauges(peer->session).watched_bytes <= room);
    zk_exists(peer->client, "/brokers/ids/1", true, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_NO_NODE);
    zk_children(peer->client, "/", true, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    peer_free(peer);
}

static void test_multi(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/multi");
    struct zk_operation make[] = {zk_operation_create("/m", slice_of("x"), ZK_EPHEMERAL),
                                  zk_operation_set("/m", slice_of("y"), zk_version_make(0)),
                                  zk_operation_create("/s_", slice_of("z"), ZK_PERSISTENT_SEQUENTIAL)};
    zk_multi(peer->client, make, ARRAY_SIZE(make), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_int_equal(peer->outcome_count, 3);
    assert_int_equal(peer->outcomes[1].stat.version.value, 1);
    int64_t czxid = peer->outcomes[1].stat.czxid;
    zk_get(peer->client, "/m", false, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_int_equal(peer->stat.czxid, czxid);
    assert_int_equal(peer->stat.ephemeral_owner, zk_client_session_id(peer->client));
    assert_int_equal(exists(peer, "/s_0000000001"), ZK_OK);

    struct zk_operation fail[] = {zk_operation_set_any_version("/m", slice_of("1")),
                                  zk_operation_create("/n", slice_of("2"), ZK_PERSISTENT),
                                  zk_operation_check("/m", zk_version_make(77)),
                                  zk_operation_delete_any_version("/m")};
    zk_multi(peer->client, fail, ARRAY_SIZE(fail), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_BAD_VERSION);
    assert_int_equal(peer->culprit, 2);
    assert_int_equal(exists(peer, "/n"), ZK_NO_NODE);
    peer_free(peer);
}

static void test_i29_fence(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/fence");
    assert_int_equal(create(peer, "/controller_epoch", "0", ZK_PERSISTENT), ZK_OK);
    struct zk_fence fence = zk_fence_make(zk_version_make(0));
    struct zk_operation write[] = {zk_operation_create("/p", slice_of("1"), ZK_PERSISTENT),
                                   zk_operation_set("/p", slice_of("2"), zk_version_make(0))};
    zk_fenced_multi(peer->client, fence, write, ARRAY_SIZE(write), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_int_equal(peer->outcome_count, 2);
    assert_int_equal(peer->outcomes[1].stat.version.value, 1);
    zk_fenced_multi(peer->client, fence, write, ARRAY_SIZE(write), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_NODE_EXISTS);
    assert_int_equal(peer->culprit, 0);
    assert_false(peer->fenced);
    zk_set_any_version(peer->client, "/controller_epoch", slice_of("1"), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    zk_fenced_multi(peer->client, fence, write, ARRAY_SIZE(write), answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_BAD_VERSION);
    assert_true(peer->fenced);
    assert_true(peer->culprit == ZK_NO_CULPRIT);
    peer_free(peer);
}

static void test_watches(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/watch");
    struct peer *other = peer_new("/watch");
    zk_exists(peer->client, "/w", true, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_NO_NODE);
    zk_children(peer->client, "/", true, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_true(zk_session_read_gauges(peer->session).watched_bytes > 0);
    assert_int_equal(create(other, "/w", "1", ZK_PERSISTENT), ZK_OK);
    await(peer, &peer->events, 2);
    assert_int_equal(zk_session_read_gauges(peer->session).watched_bytes, 0);
    zk_get(peer->client, "/w", true, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_OK);
    zk_set_any_version(other->client, "/w", slice_of("2"), answer_to(other));
    assert_int_equal(await_answer(other), ZK_OK);
    await(peer, &peer->events, 3);
    assert_int_equal(peer->event, ZK_EVENT_CHANGED);
    assert_string_equal(peer->event_path, "/w");
    /* get of a missing node arms nothing */
    zk_get(peer->client, "/none", true, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_NO_NODE);
    assert_int_equal(zk_session_read_gauges(peer->session).watched_bytes, 0);
    peer_free(other);
    peer_free(peer);
}

static void test_orderly_close_removes_ephemerals_at_once(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/close");
    struct peer *other = peer_new("/close");
    assert_int_equal(create(peer, "/e", "1", ZK_EPHEMERAL), ZK_OK);
    assert_int_equal(exists(other, "/e"), ZK_OK);
    zk_get(peer->client, "/e", false, answer_to(peer));
    zk_session_stop(peer->session);
    assert_int_equal(peer->answers, 1);
    assert_int_equal(peer->result, ZK_UNKNOWN);
    int64_t begin_ms = clock_monotonic_ms();
    while (exists(other, "/e") == ZK_OK)
        assert_true(clock_monotonic_ms() - begin_ms < 1000);
    peer_free(peer);
    peer_free(other);
}

static void test_i37_expiry(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/expiry");
    assert_int_equal(create(peer, "/e", "1", ZK_EPHEMERAL), ZK_OK);
    int64_t first_session = zk_client_session_id(peer->client);
    assert_true(session_expire(zookeeper_fixture_address(server), peer->session));
    await(peer, &peer->lost, 1);
    await(peer, &peer->connected, 2);
    assert_int_equal(peer->lost, 1);
    assert_int_equal(peer->new_sessions, 2);
    assert_true(zk_client_session_id(peer->client) != first_session);
    assert_int_equal(exists(peer, "/e"), ZK_NO_NODE);
    peer_free(peer);
}

static void test_i38_requests_in_flight_at_expiry_are_completed_once(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/expiry2");
    assert_true(session_expire(zookeeper_fixture_address(server), peer->session));
    for (int i = 0; i < 100; i++)
        zk_create(peer->client, "/c_", slice_of("1"), ZK_PERSISTENT_SEQUENTIAL, answer_to(peer));
    await(peer, &peer->connected, 2);
    await(peer, &peer->answers, 100);
    for (int i = 0; i < 20; i++)
        loop_run_once(peer->loop, 5);
    assert_int_equal(peer->answers, 100);
    assert_int_equal(peer->results[ZK_OK], 0);
    assert_int_equal(peer->results[ZK_UNKNOWN] + peer->results[ZK_EXPIRED], 100);
    peer_free(peer);
}

static void test_restart_of_the_server_keeps_the_session(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/restart");
    assert_int_equal(create(peer, "/e", "1", ZK_EPHEMERAL), ZK_OK);
    zk_exists(peer->client, "/later", true, answer_to(peer));
    assert_int_equal(await_answer(peer), ZK_NO_NODE);
    int64_t session = zk_client_session_id(peer->client);
    zookeeper_fixture_command(server, "kill");
    await(peer, &peer->disconnected, 1);
    /* Waits in our queue, and goes out after the reconnect unless the session was taken for lost. */
    zk_exists(peer->client, "/e", false, answer_to(peer));
    zookeeper_fixture_command(server, "start");
    await(peer, &peer->connected, 2);
    await(peer, &peer->answers, 1);
    assert_true(peer->result == ZK_OK || (peer->result == ZK_EXPIRED && peer->lost == 1));
    peer->answers = 0;
    if (zk_client_session_id(peer->client) == session) {
        assert_int_equal(peer->new_sessions, 1);
        assert_int_equal(create(peer, "/later", "1", ZK_PERSISTENT), ZK_OK);
        await(peer, &peer->events, 1);
        assert_string_equal(peer->event_path, "/later");
    }
    peer_free(peer);
}

static void test_frozen_server(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/frozen");
    zookeeper_fixture_command(server, "pause");
    zk_create(peer->client, "/unknown", slice_of("1"), ZK_PERSISTENT, answer_to(peer));
    int64_t begin_ms = clock_monotonic_ms();
    await(peer, &peer->lost, 1);
    int64_t took_ms = clock_monotonic_ms() - begin_ms;
    assert_in_range(took_ms, zk_client_session_timeout_ms(peer->client) / 2,
                    zk_client_session_timeout_ms(peer->client) + 3000);
    assert_int_equal(peer->disconnected, 1);
    assert_int_equal(peer->answers, 1);
    assert_int_equal(peer->result, ZK_UNKNOWN);
    /* A pause as long again: made while lost, carried out afterwards. */
    zk_exists(peer->client, "/", false, answer_to(peer));
    zookeeper_fixture_command(server, "resume");
    await(peer, &peer->connected, 2);
    await(peer, &peer->answers, 2);
    assert_int_equal(peer->result, ZK_OK);
    assert_int_equal(peer->lost, 1);
    peer_free(peer);
}

/* This process stands still for longer than the session lives; others see its ephemeral node vanish. */
static void test_i37_paused_process(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/paused");
    struct peer *other = peer_new("/paused");
    assert_int_equal(create(peer, "/e", "1", ZK_EPHEMERAL), ZK_OK);
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (exists(other, "/e") == ZK_OK)
        assert_true(clock_monotonic_ms() < deadline_ms);
    zk_create(peer->client, "/after", slice_of("1"), ZK_PERSISTENT, answer_to(peer));
    await(peer, &peer->lost, 1);
    await(peer, &peer->connected, 2);
    await(peer, &peer->answers, 1);
    assert_true(peer->result == ZK_UNKNOWN || peer->result == ZK_EXPIRED);
    assert_int_equal(peer->lost, 1);
    assert_int_equal(peer->new_sessions, 2);
    peer_free(other);
    peer_free(peer);
}

/* Server and process stand still together, as on a machine that is suspended. */
static void test_suspended_machine(void **state)
{
    (void)state;
    struct peer *peer = peer_new("/suspended");
    zookeeper_fixture_command(server, "pause");
    usleep(1000 * (TIMEOUT_MS + 500));
    zookeeper_fixture_command(server, "resume");
    await(peer, &peer->lost, 1);
    /* Whatever happens to session and connection: in the end it is told to be usable. */
    await(peer, &peer->connected, 2);
    assert_int_equal(exists(peer, "/"), ZK_OK);
    peer_free(peer);
}

static void test_server_that_comes_later(void **state)
{
    (void)state;
    zookeeper_fixture_command(server, "kill");
    struct peer *peer = peer_start("/later");
    zk_create(peer->client, "/x", slice_of("1"), ZK_PERSISTENT, answer_to(peer));
    for (int i = 0; i < 10; i++)
        loop_run_once(peer->loop, 10);
    assert_int_equal(peer->connected, 0);
    zookeeper_fixture_command(server, "start");
    await(peer, &peer->connected, 1);
    assert_int_equal(await_answer(peer), ZK_OK);
    assert_int_equal(peer->lost, 0);
    peer_free(peer);
}

static void test_host_name_is_resolved(void **state)
{
    (void)state;
    const char *port = strchr(zookeeper_fixture_address(server), ':');
    struct buffer connect;
    buffer_init(&connect);
    buffer_print(&connect, "no-such-host.invalid:1,localhost%s/names", port);
    struct zk_blocking *blocking = NULL;
    assert_int_equal(zk_blocking_open(buffer_string(&connect), DEADLINE_MS, NULL, &blocking), 0);
    buffer_release(&connect);
    assert_int_equal(zk_blocking_exists(blocking, "/", NULL), ZK_OK);
    zk_blocking_close(blocking);
}

static void test_blocking(void **state)
{
    (void)state;
    struct zk_blocking *blocking = NULL;
    struct buffer data;
    buffer_init(&data);
    buffer_print(&data, "%s/blocking", zookeeper_fixture_address(server));
    assert_int_equal(zk_blocking_open("127.0.0.1:x", 100, NULL, &blocking), -EINVAL);
    assert_int_equal(zk_blocking_open("127.0.0.1:1", 200, NULL, &blocking), -ETIMEDOUT);
    assert_int_equal(zk_blocking_open(buffer_string(&data), DEADLINE_MS, NULL, &blocking), 0);
    assert_int_equal(zk_blocking_create_parents(blocking, "/a/b/c"), ZK_OK);
    assert_int_equal(zk_blocking_create_parents(blocking, "/a/b/c"), ZK_NODE_EXISTS);
    assert_int_equal(zk_blocking_set_any_version(blocking, "/a/b", slice_of("hello")), ZK_OK);
    struct zk_stat stat;
    buffer_clear(&data);
    assert_int_equal(zk_blocking_get(blocking, "/a/b", &data, &stat), ZK_OK);
    assert_string_equal(buffer_string(&data), "hello");
    assert_int_equal(zk_blocking_set(blocking, "/a/b", slice_of("x"), zk_version_make(9)), ZK_BAD_VERSION);
    struct zk_names names;
    assert_int_equal(zk_blocking_children(blocking, "/a", &names), ZK_OK);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.names[0], "b");
    zk_names_release(&names);
    size_t culprit = 0;
    struct zk_operation operations[] = {zk_operation_delete("/a/b/c", zk_version_make(0)),
                                        zk_operation_delete("/a", zk_version_make(0))};
    assert_int_equal(zk_blocking_multi(blocking, operations, 2, &culprit), ZK_NOT_EMPTY);
    assert_int_equal(culprit, 1);
    assert_int_equal(zk_blocking_delete(blocking, "/a/b/c", zk_version_make(0)), ZK_OK);
    buffer_release(&data);
    zk_blocking_close(blocking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_basic_requests, set_up),
        cmocka_unit_test_setup(test_i39_limits, set_up),
        cmocka_unit_test_setup(test_i39_watch_limits, set_up),
        cmocka_unit_test_setup(test_multi, set_up),
        cmocka_unit_test_setup(test_i29_fence, set_up),
        cmocka_unit_test_setup(test_watches, set_up),
        cmocka_unit_test_setup(test_orderly_close_removes_ephemerals_at_once, set_up),
        cmocka_unit_test_setup(test_i37_expiry, set_up),
        cmocka_unit_test_setup(test_i38_requests_in_flight_at_expiry_are_completed_once, set_up),
        cmocka_unit_test_setup(test_restart_of_the_server_keeps_the_session, set_up),
        cmocka_unit_test_setup(test_frozen_server, set_up),
        cmocka_unit_test_setup(test_i37_paused_process, set_up),
        cmocka_unit_test_setup(test_suspended_machine, set_up),
        cmocka_unit_test_setup(test_server_that_comes_later, set_up),
        cmocka_unit_test_setup(test_host_name_is_resolved, set_up),
        cmocka_unit_test_setup(test_blocking, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down_group);
}
