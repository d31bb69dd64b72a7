/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts by themselves: chunks and what they are charged, request memory, counts, notices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/net/client_resolve.h"
#include "broker/net/connection_limits.h"
#include "broker/net/frame_pool.h"
#include "broker/net/notice.h"
#include "broker/net/request_memory.h"

static void test_chunks(void **state)
{
    (void)state;
    struct request_memory memory;
    struct frame_pool pool;
    request_memory_init(&memory, 0);
    frame_pool_init(&pool, &memory);
    struct frame_chunk *chunk = frame_pool_take(&pool, 1);
    assert_int_equal(chunk->capacity, FRAME_CHUNK_BYTES);
    assert_int_equal(atomic_load(&memory.used), 0);
    frame_chunk_charge(&pool, chunk, false);
    assert_int_equal(atomic_load(&memory.used), FRAME_CHUNK_BYTES);
    memset(chunk->data, 7, chunk->capacity);
    chunk = frame_chunk_grow(&pool, chunk, 100000);
    assert_int_equal(chunk->data[FRAME_CHUNK_BYTES - 1], 7);
    assert_int_equal(atomic_load(&memory.used), 100000);
    assert_int_equal(atomic_load(&memory.pending), 0);
    frame_chunk_charge(&pool, chunk, true);
    frame_chunk_charge(&pool, chunk, true);
    assert_int_equal(atomic_load(&memory.pending), 100000);
    chunk->references++;
    frame_chunk_drop(&pool, chunk);
    assert_int_equal(atomic_load(&memory.used), 100000);
    frame_chunk_drop(&pool, chunk);
    assert_int_equal(atomic_load(&memory.used), 0);
    assert_int_equal(atomic_load(&memory.pending), 0);
    assert_int_equal(pool.free_bytes, 0); /* of no size that is kept */
    /* A kept chunk comes back; the pool keeps so much and no more. */
    struct frame_chunk *chunks[100];
    for (size_t i = 0; i < 100; i++)
        chunks[i] = frame_pool_take(&pool, FRAME_CHUNK_BYTES);
    for (size_t i = 0; i < 100; i++)
        frame_chunk_drop(&pool, chunks[i]);
    assert_int_equal(pool.free_bytes, 4 * 1024 * 1024);
    chunk = frame_pool_take(&pool, 100);
    assert_ptr_equal(chunk, chunks[63]);
    frame_chunk_drop(&pool, chunk);
    chunk = frame_pool_take(&pool, SIZE_MAX);
    assert_int_equal(chunk->capacity, FRAME_CHUNK_BYTES_MAX);
    frame_chunk_drop(&pool, chunk);
    frame_pool_release(&pool);
    request_memory_release(&memory);
}

static void test_request_memory(void **state)
{
    (void)state;
    struct request_memory memory;
    struct loop *loop = loop_new();
    struct request_memory_waiter waiter = {.loop = loop};
    atomic_init(&waiter.waiting, false);
    request_memory_init(&memory, 1000);
    request_memory_add_waiter(&memory, &waiter);
    request_memory_take(&memory, 999);
    assert_true(request_memory_has_room(&memory));
    request_memory_take(&memory, 201);
    assert_false(request_memory_has_room(&memory));
    assert_true(request_memory_has_reserve(&memory));
    request_memory_complete(&memory, 600);
    assert_false(request_memory_has_reserve(&memory));
    request_memory_wait(&waiter);
    /* 1100 left, 600 of them complete; then 1000 and 500: nothing to wake for; then 499 complete; then room.
     */
    request_memory_give(&memory, 100, 0);
    request_memory_give(&memory, 100, 100);
    assert_true(atomic_load(&waiter.waiting));
    request_memory_take(&memory, 1);
    request_memory_give(&memory, 1, 1);
    assert_false(atomic_load(&waiter.waiting));
    request_memory_wait(&waiter);
    request_memory_give(&memory, 1, 0);
    assert_false(atomic_load(&waiter.waiting));
    assert_true(request_memory_has_room(&memory));
    request_memory_release(&memory);
    loop_free(loop);
}

static void test_limits(void **state)
{
    (void)state;
    struct connection_limits *limits = connection_limits_new(3, 2);
    struct in6_addr a = IN6ADDR_LOOPBACK_INIT, b = IN6ADDR_ANY_INIT;
    assert_int_equal(connection_limits_enter(limits, &a), CONNECTION_ADMITTED);
    assert_int_equal(connection_limits_enter(limits, &a), CONNECTION_ADMITTED);
    assert_int_equal(connection_limits_enter(limits, &a), CONNECTION_TOO_MANY_FROM_ADDRESS);
    assert_int_equal(connection_limits_enter(limits, &b), CONNECTION_ADMITTED);
    assert_int_equal(connection_limits_enter(limits, &b), CONNECTION_TOO_MANY);
    connection_limits_leave(limits, &a);
    assert_int_equal(connection_limits_enter(limits, &b), CONNECTION_ADMITTED);
    assert_int_equal(connection_limits_count(limits), 3);
    connection_limits_free(limits);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        const char *text;
    } numeric[] = {
        {"127.0.0.1", "127.0.0.1:9092"},
        {"::1", "[::1]:9092"},
        {"[::1]", "[::1]:9092"},
        {"::ffff:10.1.2.3", "10.1.2.3:9092"},
    };
    struct resolved_addresses addresses;
    for (size_t i = 0; i < ARRAY_SIZE(numeric); i++) {
        assert_int_equal(resolve_numeric(numeric[i].host, 9092, &addresses), 0);
        char text[SOCKET_ADDRESS_TEXT_BYTES];
        socket_address_print(&addresses.addresses[0], text, sizeof(text));
        assert_string_equal(text, numeric[i].text);
    }
    assert_true(resolve_numeric("localhost", 9092, &addresses) < 0);
    assert_true(resolve_numeric("", 9092, &addresses) < 0);
}

/* One line a minute for each kind and address; then one that tells how many there were. */
static void test_notices(void **state)
{
    (void)state;
    static struct notice_table table;
    int descriptor = memfd_create("log", MFD_CLOEXEC);
    memset(&table, 0, sizeof(table));
    table.logger = logger_new(descriptor, LOG_INFO, "");
    for (int i = 0; i < 5; i++) {
        notice_write(&table, 1000 + i, "kind", slice_of("a"), "first %d", i);
        notice_write(&table, 1000 + i, "kind", slice_of("b"), "second %d", i);
    }
    notice_write(&table, 1000 + LOG_LIMIT_INTERVAL_MS, "kind", slice_of("a"), "third");
    char log[4096] = "";
    ssize_t got = pread(descriptor, log, sizeof(log) - 1, 0);
    assert_true(got > 0);
    assert_non_null(strstr(log, "first 0"));
    assert_null(strstr(log, "first 1"));
    assert_non_null(strstr(log, "second 0"));
    assert_non_null(strstr(log, "third (4 more of this kind were not logged)"));
    logger_free(table.logger);
    close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks),  cmocka_unit_test(test_request_memory),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_notices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
