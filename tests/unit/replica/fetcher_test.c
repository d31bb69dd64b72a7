/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetcher against a leader that the test plays: with flush.messages=1 its fetches say only what its disk
 * has; a partition that waits for the disk, or that a throttle holds up, holds up none of the others; and its
 * requests are as replica.fetch.* says.
 */
#include "broker/replica/fetcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/arena.h"
#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/header.h"
#include "proto/kafka/messages/fetch.h"
#include "proto/records/builder.h"
#include "tests/support/memory_files.h"

#define SELF 1
#define LEADER 2
#define PARTITIONS 2
#define SLOW 0 /* flush.messages=1, and the test is its disk */
#define FAST 1
#define DEADLINE_SECONDS 30
#define WAIT_MAX_MS 500
#define FRAME_MAX 65536
#define MIN_BYTES 3
#define PARTITION_MAX_BYTES 20000
#define RESPONSE_MAX_BYTES 50000
/* Fetches that are looked at before and after something is expected to have no effect. */
#define LOOKS 5

struct replica {
    struct partition_log *log;
    struct partition *partition;
};

struct fixture {
    struct memory_files *files;
    struct replica replicas[PARTITIONS];
    struct partition_host host;
    struct address_book addresses;
    struct replica_manager *manager;
    struct worker *resolver;
    struct replication_throttles throttles;
    struct fetcher_pool *pool;
    int listener;
    int32_t port;
    int connection;
    struct logger *logger;
    int lines[2]; /* a pipe of what it says */
};

/* A fetch as it arrived. */
struct fetch {
    int32_t correlation_id;
    int32_t max_wait_ms;
    int32_t min_bytes;
    int32_t max_bytes;
    int32_t partition_max_bytes;
    bool asks[PARTITIONS];
    int64_t offsets[PARTITIONS];
    int64_t high_watermark; /* to be answered */
    int16_t error;          /* likewise, for the fast one */
};

static bool find_address(struct address_book *book, int32_t broker_id, char *host, size_t host_size,
                         int32_t *port)
{
    assert_int_equal(broker_id, LEADER);
    snprintf(host, host_size, "127.0.0.1");
    *port = container_of(book, struct fixture, addresses)->port;
    return true;
}

static void ignore_proposal(struct partition_host *host, struct partition *partition)
{
    (void)host;
    (void)partition;
}

static void open_replica(struct fixture *fixture, int32_t number)
{
    struct replica *replica = &fixture->replicas[number];
    char directory[64];
    snprintf(directory, sizeof(directory), "data/topic-%d", number);
    struct partition_log_options log = {
        .files = memory_files_system(fixture->files), .directory = directory, .now_ms = 1000};
    log_settings_init(&log.settings);
    log.settings.flush_messages = number == SLOW ? 1 : INT64_MAX;
    assert_int_equal(partition_log_open(&log, &replica->log), 0);
    struct partition_options options = {.topic = slice_of("topic"),
                                        .topic_id = {{7}},
                                        .partition = number,
                                        .broker_id = SELF,
                                        .log = replica->log,
                                        .min_insync_replicas = 1,
                                        .replica_lag_time_max_ms = 10000,
                                        .host = &fixture->host};
    replica->partition = partition_new(&options);
    struct isr_member isr[] = {{.broker_id = LEADER, .broker_epoch = 1}};
    int32_t assignment[] = {LEADER, SELF};
    struct control_partition state = {.partition = number,
                                      .leader = LEADER,
                                      .leader_epoch = 3,
                                      .isr = isr,
                                      .isr_count = 1,
                                      .replicas = assignment,
                                      .replicas_count = 2};
    enum partition_role role;
    bool follow;
    assert_int_equal(partition_apply_state(replica->partition, &state, 1000, &role, &follow), KAFKA_NONE);
    assert_true(follow);
}

static void listen_as_leader(struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    fixture->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fixture->listener >= 0);
    assert_int_equal(bind(fixture->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fixture->listener, 1), 0);
    assert_int_equal(getsockname(fixture->listener, (struct sockaddr *)&address, &length), 0);
    fixture->port = ntohs(address.sin_port);
    fixture->connection = -1;
}

static int setup(void **state)
{
    struct fixture *fixture = memory_allocate_zeroed(1, sizeof(*fixture));
    fixture->files = memory_files_new(1);
    assert_int_equal(file_system_make_directory(memory_files_system(fixture->files), "data"), 0);
    fixture->host.proposal_wanted = ignore_proposal;
    fixture->addresses.find = find_address;
    listen_as_leader(fixture);
    for (int32_t number = 0; number < PARTITIONS; number++)
        open_replica(fixture, number);
    struct replica_manager_options manager = {.broker_id = SELF};
    fixture->manager = replica_manager_new(&manager);
    assert_int_equal(worker_new("resolver", 1, &fixture->resolver), 0);
    replication_throttles_init(&fixture->throttles, 11, 1000);
    assert_int_equal(pipe(fixture->lines), 0);
    assert_int_equal(fcntl(fixture->lines[0], F_SETFL, O_NONBLOCK), 0);
    fixture->logger = logger_new(fixture->lines[1], LOG_ERROR, "test");
    struct fetcher_options options = {.count = 1,
                                      .broker_id = SELF,
                                      .manager = fixture->manager,
                                      .addresses = &fixture->addresses,
                                      .resolver = fixture->resolver,
                                      .logger = fixture->logger,
                                      .wait_max_ms = WAIT_MAX_MS,
                                      .min_bytes = MIN_BYTES,
                                      .partition_max_bytes = PARTITION_MAX_BYTES,
                                      .response_max_bytes = RESPONSE_MAX_BYTES,
                                      .backoff_ms = 1000,
                                      .throttles = &fixture->throttles,
                                      .socket_timeout_ms = 30000};
    assert_int_equal(fetcher_pool_new(&options, &fixture->pool), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    fetcher_pool_stop(fixture->pool);
    worker_free(fixture->resolver);
    fetcher_pool_free(fixture->pool);
    replication_throttles_release(&fixture->throttles);
    replica_manager_free(fixture->manager);
    for (int i = 0; i < PARTITIONS; i++) {
        partition_close(fixture->replicas[i].partition);
        partition_release(fixture->replicas[i].partition);
        partition_log_free(fixture->replicas[i].log);
    }
    close(fixture->listener);
    if (fixture->connection >= 0)
        close(fixture->connection);
    logger_free(fixture->logger);
    close(fixture->lines[0]);
    close(fixture->lines[1]);
    memory_files_free(fixture->files);
    free(fixture);
    return 0;
}

/* ---- the leader's side ---- */

static void receive(struct fixture *fixture, uint8_t *bytes, size_t length)
{
    if (fixture->connection < 0) {
        fixture->connection = accept(fixture->listener, NULL, NULL);
        assert_true(fixture->connection >= 0);
        struct timeval patience = {.tv_sec = DEADLINE_SECONDS};
        setsockopt(fixture->connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    }
    for (size_t got = 0; got < length;) {
        ssize_t more = recv(fixture->connection, bytes + got, length - got, 0);
        if (more <= 0)
            fail_msg("no fetch came");
        got += (size_t)more;
    }
}

static void receive_fetch(struct fixture *fixture, struct fetch *fetch)
{
    uint8_t frame[FRAME_MAX];
    receive(fixture, frame, 4);
    size_t length = ((size_t)frame[0] << 24) | ((size_t)frame[1] << 16) | ((size_t)frame[2] << 8) | frame[3];
    assert_true(length <= sizeof(frame));
    receive(fixture, frame, length);
    struct byte_reader reader;
    struct request_header header;
    struct fetch_request request;
    struct arena arena;
    reader_init(&reader, slice_make(frame, length));
    assert_int_equal(request_header_decode(&header, &reader), 0);
    arena_init(&arena, 1 << 20);
    assert_int_equal(fetch_request_decode(&request, &reader, FOLLOWER_FETCH_VERSION, &arena), 0);
    *fetch = (struct fetch){.correlation_id = header.correlation_id,
                            .max_wait_ms = request.max_wait_ms,
                            .min_bytes = request.min_bytes,
                            .max_bytes = request.max_bytes};
    for (size_t t = 0; t < request.topics_count; t++) {
        for (size_t p = 0; p < request.topics[t].partitions_count; p++) {
            const struct fetch_request_partition *asked = &request.topics[t].partitions[p];
            assert_true(asked->partition >= 0 && asked->partition < PARTITIONS);
            fetch->asks[asked->partition] = true;
            fetch->offsets[asked->partition] = asked->fetch_offset;
            fetch->partition_max_bytes = asked->partition_max_bytes;
        }
    }
    arena_release(&arena);
}

static void make_batch(struct buffer *batch, int64_t offset)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    buffer_init(batch);
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, 1000, slice_of(NULL), slice_of("value"), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, batch), 0);
    record_batch_builder_release(&builder);
    record_batch_set_base_offset(batch->data, offset);
    record_batch_set_leader_epoch(batch->data, 3);
}

/* Answers what was asked for; with a batch for each of the partitions in `records`. */
static void answer(struct fixture *fixture, const struct fetch *fetch, const bool records[PARTITIONS])
{
    struct fetch_response response;
    struct fetch_response_fetchable_topic_response topic;
    struct fetch_response_partition_data partitions[PARTITIONS];
    struct buffer batches[PARTITIONS];
    fetch_response_init(&response);
    fetch_response_fetchable_topic_response_init(&topic);
    topic.topic_id = (struct uuid){{7}};
    topic.partitions = partitions;
    for (int32_t number = 0; number < PARTITIONS; number++) {
        make_batch(&batches[number], fetch->offsets[number]);
        if (!fetch->asks[number])
            continue;
        struct fetch_response_partition_data *data = &partitions[topic.partitions_count++];
        fetch_response_partition_data_init(data);
        data->partition_index = number;
        data->log_start_offset = 0;
        data->error_code = number == FAST ? fetch->error : KAFKA_NONE;
        data->high_watermark = fetch->high_watermark;
        data->records.bytes = records[number] ? buffer_slice(&batches[number]) : slice_of("");
    }
    response.responses = &topic;
    response.responses_count = 1;
    struct buffer frame;
    struct wire_writer writer;
    buffer_init(&frame);
    buffer_append(&frame, "\0\0\0\0", 4);
    wire_writer_init(&writer, &frame);
    response_header_encode(&writer, KAFKA_API_FETCH, FOLLOWER_FETCH_VERSION, fetch->correlation_id);
    fetch_response_encode(&response, &writer, FOLLOWER_FETCH_VERSION);
    wire_writer_release(&writer);
    for (int i = 0; i < 4; i++)
        frame.data[i] = (uint8_t)((frame.length - 4) >> (24 - 8 * i));
    assert_int_equal(send(fixture->connection, frame.data, frame.length, MSG_NOSIGNAL), frame.length);
    buffer_release(&frame);
    for (int32_t number = 0; number < PARTITIONS; number++)
        buffer_release(&batches[number]);
}

static const bool nothing[PARTITIONS] = {false, false};

/* The next fetch that asks for the partition; those before are answered with nothing. */
static void await_fetch_of(struct fixture *fixture, int32_t number, struct fetch *fetch)
{
    for (;;) {
        receive_fetch(fixture, fetch);
        if (fetch->asks[number])
            return;
        answer(fixture, fetch, nothing);
    }
}

static void follow_both(struct fixture *fixture)
{
    for (int32_t number = 0; number < PARTITIONS; number++)
        fetcher_pool_follow(fixture->pool, fixture->replicas[number].partition, LEADER);
}

/* Both have taken a batch; the slow one's is not on disk. */
static void copy_a_batch(struct fixture *fixture)
{
    struct fetch fetch;
    follow_both(fixture);
    await_fetch_of(fixture, FAST, &fetch);
    if (!fetch.asks[SLOW]) {
        answer(fixture, &fetch, nothing);
        await_fetch_of(fixture, SLOW, &fetch);
    }
    assert_int_equal(fetch.max_wait_ms, WAIT_MAX_MS);
    answer(fixture, &fetch, (const bool[]){true, true});
}

static void test_a_follower_says_what_its_disk_has(void **state)
{
    struct fixture *fixture = *state;
    struct fetch fetch;
    int32_t waited_ms = 0;
    copy_a_batch(fixture);
    for (int i = 0; i < LOOKS - 1; i++) {
        receive_fetch(fixture, &fetch);
        assert_true(fetch.asks[FAST]);
        assert_int_equal(fetch.offsets[FAST], 1);
        assert_false(fetch.asks[SLOW]);
        /* It is to be back soon. */
        assert_true(fetch.max_wait_ms < WAIT_MAX_MS / 10);
        assert_true(i == 0 || fetch.max_wait_ms > waited_ms);
        waited_ms = fetch.max_wait_ms;
        answer(fixture, &fetch, nothing);
    }
    struct partition *slow = fixture->replicas[SLOW].partition;
    assert_int_equal(partition_flush(slow, 2000), 0);
    await_fetch_of(fixture, SLOW, &fetch);
    assert_int_equal(fetch.offsets[SLOW], 1);
    answer(fixture, &fetch, nothing);
    receive_fetch(fixture, &fetch);
    assert_true(fetch.asks[SLOW] && fetch.asks[FAST]);
    assert_int_equal(fetch.max_wait_ms, WAIT_MAX_MS);
}

/* A disk that hangs: the leader is soon asked no more often than if nobody waited; and the next wait begins
 * anew. */
static void test_a_long_wait_for_the_disk_is_a_calm_one(void **state)
{
    struct fixture *fixture = *state;
    struct fetch fetch;
    int fetches = 0;
    copy_a_batch(fixture);
    for (receive_fetch(fixture, &fetch); fetch.max_wait_ms < WAIT_MAX_MS; fetches++) {
        assert_false(fetch.asks[SLOW]);
        assert_true(fetches < 10);
        answer(fixture, &fetch, nothing);
        receive_fetch(fixture, &fetch);
    }
    assert_false(fetch.asks[SLOW]);
    assert_int_equal(partition_flush(fixture->replicas[SLOW].partition, 2000), 0);
    answer(fixture, &fetch, nothing);
    await_fetch_of(fixture, SLOW, &fetch);
    answer(fixture, &fetch, (const bool[]){true, false});
    receive_fetch(fixture, &fetch);
    assert_false(fetch.asks[SLOW]);
    assert_true(fetch.max_wait_ms < WAIT_MAX_MS / 10);
}

/* It is followed no more, or the threads end, while a partition waits for the disk. */
static void test_a_wait_for_the_disk_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    struct fetch fetch;
    copy_a_batch(fixture);
    struct partition *slow = fixture->replicas[SLOW].partition;
    receive_fetch(fixture, &fetch);
    fetcher_pool_unfollow(fixture->pool, slow);
    for (int i = 0; i < LOOKS; i++) {
        answer(fixture, &fetch, nothing);
        receive_fetch(fixture, &fetch);
    }
    assert_int_equal(partition_flush(slow, 2000), 0);
    for (int i = 0; i < LOOKS; i++) {
        assert_false(fetch.asks[SLOW]);
        answer(fixture, &fetch, nothing);
        receive_fetch(fixture, &fetch);
    }
    fetcher_pool_follow(fixture->pool, slow, LEADER);
    answer(fixture, &fetch, nothing);
    await_fetch_of(fixture, SLOW, &fetch);
    answer(fixture, &fetch, (const bool[]){true, false});
    receive_fetch(fixture, &fetch);
    assert_false(fetch.asks[SLOW]);
}

static void test_requests_are_as_the_settings_say(void **state)
{
    struct fixture *fixture = *state;
    struct fetch fetch;
    follow_both(fixture);
    receive_fetch(fixture, &fetch);
    assert_int_equal(fetch.max_wait_ms, WAIT_MAX_MS);
    assert_int_equal(fetch.min_bytes, MIN_BYTES);
    assert_int_equal(fetch.max_bytes, RESPONSE_MAX_BYTES);
    assert_int_equal(fetch.partition_max_bytes, PARTITION_MAX_BYTES);
}

/* Answers as a leader that has 100 records more, for as many fetches as it takes to have both asked for. */
static void fall_behind(struct fixture *fixture)
{
    struct fetch fetch;
    follow_both(fixture);
    do {
        receive_fetch(fixture, &fetch);
        fetch.high_watermark = 100;
        answer(fixture, &fetch, nothing);
    } while (!fetch.asks[SLOW] || !fetch.asks[FAST]);
    receive_fetch(fixture, &fetch);
    fetch.high_watermark = 100;
    answer(fixture, &fetch, nothing);
}

/* Longer than the test takes. */
static void use_rate_up(struct fixture *fixture)
{
    replication_throttle_set_rate(&fixture->throttles.follower, 1);
    replication_throttle_count(&fixture->throttles.follower, 1000000, clock_monotonic_ms());
}

static void test_a_throttle_holds_up_its_partition_alone(void **state)
{
    struct fixture *fixture = *state;
    struct fetch fetch;
    partition_set_throttled(fixture->replicas[SLOW].partition, false, true);
    fall_behind(fixture);
    use_rate_up(fixture);
    receive_fetch(fixture, &fetch); /* on its way before, perhaps */
    fetch.high_watermark = 100;
    answer(fixture, &fetch, nothing);
    for (int i = 0; i < LOOKS; i++) {
        receive_fetch(fixture, &fetch);
        assert_true(fetch.asks[FAST]);
        assert_false(fetch.asks[SLOW]);
        answer(fixture, &fetch, nothing);
    }
    replication_throttle_set_rate(&fixture->throttles.follower, RATE_UNBOUNDED);
    await_fetch_of(fixture, SLOW, &fetch);
    answer(fixture, &fetch, nothing);
}

/* One that is in sync is fetched, or it would drop out of the ISR; and what it fetches counts. */
static void test_a_replica_that_is_in_sync_is_not_held_up(void **state)
{
    struct fixture *fixture = *state;
    struct fetch fetch;
    partition_set_throttled(fixture->replicas[FAST].partition, false, true);
    replication_throttle_set_rate(&fixture->throttles.follower, 1);
    follow_both(fixture);
    await_fetch_of(fixture, FAST, &fetch);
    answer(fixture, &fetch, (const bool[]){false, true}); /* and nothing is committed */
    for (int i = 0; i < LOOKS; i++) {
        await_fetch_of(fixture, FAST, &fetch);
        assert_true(i == 0 || fetch.offsets[FAST] == 1);
        answer(fixture, &fetch, nothing);
    }
    assert_true(replication_throttle_wait_ms(&fixture->throttles.follower, clock_monotonic_ms()) > 0);
}

/* Lines that were said since the last call. */
static int take_lines(struct fixture *fixture)
{
    char text[4096];
    int lines = 0;
    ssize_t got;
    while ((got = read(fixture->lines[0], text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < got; i++)
            lines += text[i] == '\n';
    return lines;
}

/* The leader calls what the fast one asks for damaged; comes back with its next fetch. */
static void refuse_as_damaged(struct fixture *fixture, struct fetch *fetch)
{
    fetch->error = KAFKA_CORRUPT_MESSAGE;
    answer(fixture, fetch, nothing);
    await_fetch_of(fixture, FAST, fetch);
}

/* Once may be a flip on the way; that it is damage is said the second time, and not again. */
static void test_damage_is_told_of_once_when_it_stays(void **state)
{
    struct fixture *fixture = *state;
    struct fetch fetch;
    follow_both(fixture);
    await_fetch_of(fixture, FAST, &fetch);
    for (int round = 0; round < 2; round++) {
        refuse_as_damaged(fixture, &fetch);
        assert_int_equal(take_lines(fixture), 0);
        refuse_as_damaged(fixture, &fetch);
        assert_int_equal(take_lines(fixture), 1);
        refuse_as_damaged(fixture, &fetch);
        assert_int_equal(take_lines(fixture), 0);
        answer(fixture, &fetch, (const bool[]){false, true}); /* it goes on */
        await_fetch_of(fixture, FAST, &fetch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_follower_says_what_its_disk_has, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_wait_for_the_disk_is_a_calm_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_for_the_disk_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requests_are_as_the_settings_say, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_throttle_holds_up_its_partition_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_replica_that_is_in_sync_is_not_held_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_told_of_once_when_it_stays, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
