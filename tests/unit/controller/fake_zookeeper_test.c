/* SPDX-License-Identifier: Apache-2.0 */
/* The fake ZooKeeper keeps the rules of coordinator/zk/zk.h that everything above relies on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/prng.h"
#include "tests/support/fake_zookeeper.h"

/* A client that writes down what it hears. */
struct ear {
    struct fake_client *client;
    struct zk_listener listener;
    struct buffer heard;
};

static struct ear *ear_of(struct zk_listener *listener)
{
    return container_of(listener, struct ear, listener);
}

static void on_connected(struct zk_listener *listener, bool new_session)
{
    buffer_append_string(&ear_of(listener)->heard, new_session ? "connected new;" : "connected;");
}

static void on_disconnected(struct zk_listener *listener)
{
    buffer_append_string(&ear_of(listener)->heard, "disconnected;");
}

static void on_session_lost(struct zk_listener *listener)
{
    buffer_append_string(&ear_of(listener)->heard, "lost;");
}

static void on_watch_event(struct zk_listener *listener, enum zk_event event, const char *path)
{
    static const char *const names[] = {"created", "deleted", "changed", "children", "look"};
    buffer_print(&ear_of(listener)->heard, "%s %s;", names[event], path);
}

static void on_done(void *context, const struct zk_response *response)
{
    struct ear *ear = context;
    buffer_print(&ear->heard, "%s;", zk_result_name(response->result));
    if (response->culprit != ZK_NO_CULPRIT)
        buffer_print(&ear->heard, "culprit %zu;", response->culprit);
    if (response->fenced)
        buffer_append_string(&ear->heard, "fenced;");
}

static struct zk_completion done(struct ear *ear)
{
    return zk_completion_make(on_done, ear);
}

static void ear_begin(struct ear *ear, struct fake_zookeeper *zookeeper)
{
    ear->client = fake_client_new(zookeeper, "ear");
    ear->listener = (struct zk_listener){.connected = on_connected,
                                         .disconnected = on_disconnected,
                                         .session_lost = on_session_lost,
                                         .watch_event = on_watch_event};
    buffer_init(&ear->heard);
    zk_client_add_listener(fake_client_zk(ear->client), &ear->listener);
    fake_client_connect(ear->client);
}

static void ear_end(struct ear *ear)
{
    zk_client_remove_listener(fake_client_zk(ear->client), &ear->listener);
    fake_client_free(ear->client);
    buffer_release(&ear->heard);
}

static void expect(struct ear *ear, struct fake_zookeeper *zookeeper, int64_t now_ms, const char *heard)
{
    fake_zookeeper_run(zookeeper, now_ms, 10000);
    assert_string_equal(buffer_string(&ear->heard), heard);
    buffer_clear(&ear->heard);
}

static struct fake_zookeeper *make(int servers)
{
    return fake_zookeeper_new(
        &(struct fake_zookeeper_options){.seed = 1, .servers = servers, .reconnect_ms = -1});
}

static void watches(void **state)
{
    (void)state;
    struct fake_zookeeper *zookeeper = make(1);
    struct ear ear;
    ear_begin(&ear, zookeeper);
    struct zk_client *zk = fake_client_zk(ear.client);
    expect(&ear, zookeeper, 0, "connected new;");
    zk_get(zk, "/a", true, done(&ear)); /* of a missing node: arms none */
    expect(&ear, zookeeper, 0, "no such node;");
    zk_exists(zk, "/a", true, done(&ear));
    zk_create(zk, "/a", slice_of("1"), ZK_PERSISTENT, done(&ear));
    expect(&ear, zookeeper, 0, "no such node;created /a;done;");
    zk_get(zk, "/a", true, done(&ear));
    zk_children(zk, "/a", true, done(&ear));
    zk_set(zk, "/a", slice_of("2"), zk_version_make(0), done(&ear));
    zk_set(zk, "/a", slice_of("3"), zk_version_make(0), done(&ear));
    zk_create(zk, "/a/b", slice_of(NULL), ZK_PERSISTENT, done(&ear));
    zk_create(zk, "/a/c", slice_of(NULL), ZK_PERSISTENT, done(&ear));
    expect(&ear, zookeeper, 0, "done;done;changed /a;done;version has changed;children /a;done;done;");
    ear_end(&ear);
    fake_zookeeper_free(zookeeper);
}

static void multis(void **state)
{
    (void)state;
    struct fake_zookeeper *zookeeper = make(1);
    struct ear ear;
    ear_begin(&ear, zookeeper);
    struct zk_client *zk = fake_client_zk(ear.client);
    fake_zookeeper_put(zookeeper, "/controller_epoch", slice_of("0"));
    struct zk_operation operations[] = {
        zk_operation_create("/x", slice_of("1"), ZK_PERSISTENT),
        zk_operation_create("/x/y", slice_of("1"), ZK_PERSISTENT),
        zk_operation_set("/x", slice_of("2"), zk_version_make(0)),
        zk_operation_delete("/z", zk_version_make(0)),
    };
    zk_multi(zk, operations, 4, done(&ear));
    expect(&ear, zookeeper, 0, "connected new;no such node;culprit 3;");
    assert_false(fake_zookeeper_read(zookeeper, "/x", NULL, NULL));
    zk_fenced_multi(zk, zk_fence_make(zk_version_make(0)), operations, 3, done(&ear));
    zk_fenced_multi(zk, zk_fence_make(zk_version_make(1)), operations, 3, done(&ear));
    expect(&ear, zookeeper, 0, "done;version has changed;fenced;");
    struct zk_stat stat;
    assert_true(fake_zookeeper_read(zookeeper, "/x", NULL, &stat));
    assert_int_equal(stat.version.value, 1);
    assert_int_equal(stat.num_children, 1);
    ear_end(&ear);
    fake_zookeeper_free(zookeeper);
}

static void sessions(void **state)
{
    (void)state;
    struct fake_zookeeper *zookeeper = make(3);
    struct ear ear;
    ear_begin(&ear, zookeeper);
    struct zk_client *zk = fake_client_zk(ear.client);
    zk_create(zk, "/e", slice_of(NULL), ZK_EPHEMERAL, done(&ear));
    zk_exists(zk, "/e", true, done(&ear));
    expect(&ear, zookeeper, 0, "connected new;done;done;");
    /* a short cut: the session and its watches live on */
    fake_client_disconnect(ear.client);
    expect(&ear, zookeeper, 10, "disconnected;");
    fake_client_connect(ear.client);
    expect(&ear, zookeeper, 20, "connected;");
    /* roles end by the client's own timer, its node somewhat later, and it is told at the next connection */
    fake_client_disconnect(ear.client);
    expect(&ear, zookeeper, 6019, "disconnected;");
    assert_true(fake_zookeeper_read(zookeeper, "/e", NULL, NULL));
    expect(&ear, zookeeper, 6020, "lost;");
    expect(&ear, zookeeper, 8000, "");
    assert_false(fake_zookeeper_read(zookeeper, "/e", NULL, NULL));
    zk_exists(zk, "/e", false, done(&ear)); /* waits for the next session */
    fake_client_connect(ear.client);
    expect(&ear, zookeeper, 8001, "connected new;no such node;");
    fake_client_expire(ear.client);
    fake_client_connect(ear.client);
    expect(&ear, zookeeper, 8002, "disconnected;lost;connected new;");
    ear_end(&ear);
    fake_zookeeper_free(zookeeper);
}

/* However often the connection breaks: after the last change of a node, a watcher has looked again. */
struct watcher {
    struct ear ear;
    struct fake_zookeeper *zookeeper;
    int32_t seen;
    bool looking, again;
};

static void watcher_look(struct watcher *watcher);

static void watcher_seen(void *context, const struct zk_response *response)
{
    struct watcher *watcher = context;
    bool again = watcher->again || (response->result != ZK_OK);
    watcher->looking = watcher->again = false;
    if (response->result == ZK_OK)
        watcher->seen = response->stat.version.value;
    if (again && zk_client_is_connected(fake_client_zk(watcher->ear.client)))
        watcher_look(watcher);
}

static void watcher_look(struct watcher *watcher)
{
    watcher->again = watcher->looking;
    if (watcher->looking)
        return;
    watcher->looking = true;
    zk_get(fake_client_zk(watcher->ear.client), "/w", true, zk_completion_make(watcher_seen, watcher));
}

static void watcher_event(struct zk_listener *listener, enum zk_event event, const char *path)
{
    (void)event;
    (void)path;
    watcher_look(container_of(ear_of(listener), struct watcher, ear));
}

static void watcher_connected(struct zk_listener *listener, bool new_session)
{
    struct watcher *watcher = container_of(ear_of(listener), struct watcher, ear);
    (void)new_session;
    if (!watcher->looking || new_session)
        watcher_look(watcher);
}

static void no_change_is_missed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct watcher watcher = {.seen = -1};
        watcher.zookeeper = fake_zookeeper_new(
            &(struct fake_zookeeper_options){.seed = seed, .servers = 3, .reconnect_ms = 5, .cut_one_in = 4});
        fake_zookeeper_put(watcher.zookeeper, "/w", slice_of("0"));
        ear_begin(&watcher.ear, watcher.zookeeper);
        watcher.ear.listener.watch_event = watcher_event;
        watcher.ear.listener.connected = watcher_connected;
        int64_t now_ms = 0;
        for (int i = 0; i < 100; i++) {
            if (prng_one_in(&prng, 3))
                fake_zookeeper_put(watcher.zookeeper, "/w", slice_of("1"));
            fake_zookeeper_step(watcher.zookeeper, now_ms += (int64_t)prng_below(&prng, 3));
        }
        fake_zookeeper_set_faults(watcher.zookeeper, 0, 0);
        fake_client_connect(watcher.ear.client);
        fake_zookeeper_run(watcher.zookeeper, now_ms, 10000);
        struct zk_stat stat;
        assert_true(fake_zookeeper_read(watcher.zookeeper, "/w", NULL, &stat));
        if (watcher.seen != stat.version.value)
            printf("seed %d\n", (int)seed);
        assert_int_equal(watcher.seen, stat.version.value);
        ear_end(&watcher.ear);
        fake_zookeeper_free(watcher.zookeeper);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(watches), cmocka_unit_test(multis),
                                       cmocka_unit_test(sessions), cmocka_unit_test(no_change_is_missed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
