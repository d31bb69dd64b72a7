/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One leader's connection of a fetcher: builds the fetch, takes the answer, sends the next.
 *
 *     idle --kick, something to ask--> in flight --answer--> each partition takes its part --> idle, kick
 *       |                                  '--no answer-----> pause (doubling up to the backoff) --> kick
 *       '--everything pauses--> timer --> kick
 *
 * A partition whose last records our disk does not have yet, as flush.messages demands, is left out of the
 * request; the end of its flush kicks the link. A request that is under way then has asked the leader for a
 * short wait only, a longer one each time that the disk was still not done.
 *
 * What was asked is remembered with the answer's request: an answer is taken only by a partition that still
 * stands where it stood when it was asked (I14; partition_follow looks).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/fetcher_internal.h"
#include "common/arena.h"
#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/fetch.h"

/* Connection attempts to a leader that is going away take no longer than this. */
#define FETCHER_CONNECT_TIMEOUT_MS 5000
/* What an answer may take beside its records. */
#define FETCHER_ANSWER_OVERHEAD_BYTES (16u << 20)

static void on_timer(struct loop_timer *timer)
{
    leader_link_kick(container_of(timer, struct leader_link, timer));
}

struct leader_link *leader_link_new(struct fetcher *fetcher, int32_t leader)
{
    struct leader_link *link = memory_allocate_zeroed(1, sizeof(*link));
    link->fetcher = fetcher;
    link->leader = leader;
    link->pause_ms = FETCHER_PAUSE_MIN_MS;
    link->timer.fire = on_timer;
    list_init(&link->follows);
    return link;
}

static void forget_asked(struct leader_link *link)
{
    for (size_t i = 0; i < link->asked_count; i++)
        partition_release(link->asked[i].partition);
    link->asked_count = 0;
}

void leader_link_free(struct leader_link *link)
{
    loop_timer_cancel(link->fetcher->loop, &link->timer);
    link->fetcher = NULL; /* the request's end sends no other */
    if (link->client != NULL)
        client_free(link->client);
    forget_asked(link);
    list_for_each_safe(node, after, &link->follows)
    {
        list_remove(node);
    }
    free(link->asked);
    free(link);
}

/* The pause after one of `pause_ms`: twice as long, up to the backoff; one of 0 would never let go. */
static int64_t next_pause_ms(const struct fetcher *fetcher, int64_t pause_ms)
{
    return min_i64(pause_ms * 2, max_i64(fetcher->options->backoff_ms, FETCHER_PAUSE_MIN_MS));
}

static void pause_link(struct leader_link *link)
{
    struct fetcher *fetcher = link->fetcher;
    loop_timer_set(fetcher->loop, &link->timer, clock_monotonic_ms() + link->pause_ms);
    link->pause_ms = next_pause_ms(fetcher, link->pause_ms);
}

/* Finds out where the leader is and has a client for it; false: not known now. */
static bool prepare_client(struct leader_link *link)
{
    struct fetcher *fetcher = link->fetcher;
    char host[256];
    int32_t port;
    struct address_book *book = fetcher->options->addresses;
    if (!book->find(book, link->leader, host, sizeof(host), &port))
        return false;
    if (link->client != NULL) {
        client_set_address(link->client, host, port);
        return true;
    }
    struct client_options options = {
        .loop = fetcher->loop,
        .mailbox = fetcher->mailbox,
        .resolver = fetcher->options->resolver,
        .logger = fetcher->options->logger,
        .client_id = "replica-fetcher",
        .host = host,
        .port = port,
        .response_limit_bytes = (size_t)fetcher->options->response_max_bytes + FETCHER_ANSWER_OVERHEAD_BYTES,
        .connect_timeout_ms = FETCHER_CONNECT_TIMEOUT_MS,
        .reconnect_backoff_ms = FETCHER_PAUSE_MIN_MS,
        .receive_buffer_bytes = fetcher->options->receive_buffer_bytes,
    };
    link->client = client_new(&options);
    return true;
}

/* Where the partition is to be asked for; false: not now. */
static bool find_position(struct leader_link *link, struct follow *follow, struct follow_position *position)
{
    while (!follow->awaits_disk) {
        if (!partition_follow_position(follow->partition, position) || position->leader != link->leader)
            return false; /* a mail about it is on its way */
        if (position->durable)
            return true;
        if (fetcher_await_disk(follow, position->fetch_offset, position->leader_epoch))
            return false;
    }
    return false;
}

/* The request leaves this one out until the disk has it, and is to be back soon. */
static void expect_disk(struct leader_link *link, struct follow *follow)
{
    int32_t limit_ms = link->fetcher->options->wait_max_ms;
    if (follow->disk_wait_ms < link->answer_wait_ms)
        link->answer_wait_ms = follow->disk_wait_ms;
    follow->disk_wait_ms = follow->disk_wait_ms < limit_ms / 2 ? follow->disk_wait_ms * 2 : limit_ms;
}

/* How long the throttle holds a partition up that is behind; 0: not at all. */
static int64_t held_up_ms(const struct leader_link *link, const struct follow *follow,
                          const struct follow_position *position, int64_t now_ms)
{
    struct replication_throttles *throttles = link->fetcher->options->throttles;
    bool behind = position->fetch_offset < follow->leader_high_watermark || follow->leader_high_watermark < 0;
    if (throttles == NULL || !behind || !partition_is_throttled_as_follower(follow->partition))
        return 0;
    return replication_throttle_wait_ms(&throttles->follower, now_ms);
}

/* The request leaves this one out until then; where there is a request, it is to be back in time. */
static void expect_room(struct leader_link *link, int64_t wait_ms, int64_t now_ms, int64_t *next_ms)
{
    *next_ms = min_i64(*next_ms, now_ms + wait_ms);
    link->answer_wait_ms = (int32_t)min_i64(link->answer_wait_ms, wait_ms);
}

/* Collects what is to be asked now; *next_ms: when a pausing partition may be asked again. */
static void collect_asked(struct leader_link *link, int64_t now_ms, int64_t *next_ms)
{
    *next_ms = INT64_MAX;
    link->answer_wait_ms = link->fetcher->options->wait_max_ms;
    list_for_each(node, &link->follows)
    {
        struct follow *follow = container_of(node, struct follow, node);
        if (follow->not_before_ms > now_ms) {
            *next_ms = min_i64(*next_ms, follow->not_before_ms);
            continue;
        }
        struct follow_position position;
        bool ready = find_position(link, follow, &position);
        if (follow->awaits_disk)
            expect_disk(link, follow);
        if (!ready)
            continue;
        int64_t wait_ms = held_up_ms(link, follow, &position, now_ms);
        if (wait_ms > 0) {
            expect_room(link, wait_ms, now_ms, next_ms);
            continue;
        }
        link->asked =
            memory_grow(link->asked, link->asked_count, &link->asked_capacity, sizeof(link->asked[0]));
        link->asked[link->asked_count++] =
            (struct asked){.partition = partition_acquire(follow->partition), .position = position};
    }
}

/* One topic element for each run of partitions of the same topic. */
static void fill_topics(struct leader_link *link, struct fetch_request *request,
                        struct fetch_request_partition *partitions)
{
    for (size_t i = 0; i < link->asked_count; i++) {
        const struct asked *asked = &link->asked[i];
        struct uuid topic_id = partition_topic_id(asked->partition);
        struct fetch_request_partition *partition = &partitions[i];
        fetch_request_partition_init(partition);
        partition->partition = partition_number(asked->partition);
        partition->current_leader_epoch = asked->position.leader_epoch;
        partition->fetch_offset = asked->position.fetch_offset;
        partition->last_fetched_epoch = asked->position.last_fetched_epoch;
        partition->log_start_offset = asked->position.log_start_offset;
        partition->partition_max_bytes = link->fetcher->options->partition_max_bytes;
        struct fetch_request_topic *topic = &request->topics[request->topics_count];
        if (request->topics_count > 0 && uuid_equals(topic[-1].topic_id, topic_id)) {
            topic[-1].partitions_count++;
            continue;
        }
        fetch_request_topic_init(topic);
        topic->topic_id = topic_id;
        topic->partitions = partition;
        topic->partitions_count = 1;
        request->topics_count++;
    }
}

static void encode_request(struct leader_link *link, struct buffer *body)
{
    const struct fetcher_options *options = link->fetcher->options;
    struct fetch_request request;
    fetch_request_init(&request);
    request.replica_state.replica_id = options->broker_id;
    request.replica_state.replica_epoch = replica_manager_broker_epoch(options->manager);
    request.max_wait_ms = link->answer_wait_ms;
    request.min_bytes = options->min_bytes;
    request.max_bytes = options->response_max_bytes;
    request.rack_id = slice_of("");
    request.topics = memory_allocate_zeroed(link->asked_count, sizeof(request.topics[0]));
    struct fetch_request_partition *partitions =
        memory_allocate_zeroed(link->asked_count, sizeof(*partitions));
    fill_topics(link, &request, partitions);
    struct wire_writer writer;
    wire_writer_init(&writer, body);
    fetch_request_encode(&request, &writer, FOLLOWER_FETCH_VERSION);
    wire_writer_release(&writer);
    free(request.topics);
    free(partitions);
}

/* Whether that is to be said: the second time, for once may be a flip on the way, and then not again before
 * following goes on, for nothing gets better until somebody acts. */
static bool note_damage(struct follow *follow, int64_t offset)
{
    follow->damages = follow->damages > 0 && follow->damaged_offset == offset ? follow->damages + 1 : 1;
    follow->damaged_offset = offset;
    return follow->damages == 2;
}

static void say_damage(const struct leader_link *link, const struct asked *asked)
{
    log_error(link->fetcher->options->logger, "replica",
              "%.*s-%d: the log of leader %d is damaged at offset %" PRId64
              ": this replica cannot go on from there, and asks again every %" PRId64
              " ms. Look at that log with dump-log. Where another replica is in sync, stop broker %d in "
              "order, so that that one leads, remove the partition's folder there and start it: it says then "
              "that the folder is gone, and fetches the replica anew",
              SLICE_ARGUMENTS(partition_topic(asked->partition)), partition_number(asked->partition),
              link->leader, asked->position.fetch_offset, (int64_t)link->fetcher->options->backoff_ms,
              link->leader);
}

/* What arrives counts, whether the partition was behind or not. */
static void count_throttled(struct fetcher *fetcher, const struct asked *asked, struct slice records,
                            int64_t now_ms)
{
    struct replication_throttles *throttles = fetcher->options->throttles;
    if (throttles != NULL && records.length > 0 && partition_is_throttled_as_follower(asked->partition))
        replication_throttle_count(&throttles->follower, (int64_t)records.length, now_ms);
}

static void take_part(struct leader_link *link, const struct asked *asked,
                      const struct fetch_response_partition_data *data)
{
    struct fetcher *fetcher = link->fetcher;
    struct follow_answer answer = {
        .leader = asked->position.leader,
        .leader_epoch = asked->position.leader_epoch,
        .fetch_offset = asked->position.fetch_offset,
        .last_fetched_epoch = asked->position.last_fetched_epoch,
        .error = data->error_code,
        .high_watermark = data->high_watermark,
        .log_start_offset = data->log_start_offset,
        .diverging = data->diverging_epoch.epoch >= 0,
        .diverging_epoch = data->diverging_epoch.epoch,
        .diverging_end_offset = data->diverging_epoch.end_offset,
        .records = data->records.bytes,
    };
    int64_t now_ms = clock_monotonic_ms();
    count_throttled(fetcher, asked, answer.records, now_ms);
    enum follow_outcome outcome = partition_follow(asked->partition, &answer, clock_wall_ms(), now_ms);
    struct follow *follow = fetcher_find(fetcher, asked->partition);
    if (follow == NULL || follow->link != link)
        return;
    switch (outcome) {
    case FOLLOW_CONTINUE:
        follow->pause_ms = FETCHER_PAUSE_MIN_MS;
        follow->damages = 0;
        follow->leader_high_watermark = data->high_watermark;
        /* Who got records goes to the end of the queue: an answer's size is bounded, all get their turn. */
        if (answer.records.length > 0) {
            list_remove(&follow->node);
            list_push_back(&link->follows, &follow->node);
        }
        break;
    case FOLLOW_STALE:
        break;
    case FOLLOW_DAMAGED:
    case FOLLOW_BACKOFF:
        if (outcome == FOLLOW_DAMAGED && note_damage(follow, asked->position.fetch_offset))
            say_damage(link, asked);
        log_debug(fetcher->options->logger, "replica", "%.*s-%d: leader %d answers %s",
                  SLICE_ARGUMENTS(partition_topic(asked->partition)), partition_number(asked->partition),
                  link->leader, kafka_error_name(data->error_code));
        follow->not_before_ms = now_ms + follow->pause_ms;
        follow->pause_ms = next_pause_ms(fetcher, follow->pause_ms);
        break;
    case FOLLOW_FAILED:
        log_error(fetcher->options->logger, "replica", "%.*s-%d: cannot be written, following stops",
                  SLICE_ARGUMENTS(partition_topic(asked->partition)), partition_number(asked->partition));
        follow->not_before_ms = now_ms + max_i64(fetcher->options->backoff_ms, FETCHER_PAUSE_MIN_MS);
        break;
    }
}

/* The leader answers in the order of the request, so the search seldom goes past its first look. */
static const struct asked *find_asked(const struct leader_link *link, struct uuid topic_id, int32_t partition,
                                      size_t *position)
{
    for (size_t i = 0; i < link->asked_count; i++) {
        size_t at = (*position + i) % link->asked_count;
        const struct asked *asked = &link->asked[at];
        if (partition_number(asked->partition) == partition &&
            uuid_equals(partition_topic_id(asked->partition), topic_id)) {
            *position = at + 1;
            return asked;
        }
    }
    return NULL;
}

/* 0, or -errno for an answer that cannot be used. */
static int take_answer(struct leader_link *link, struct byte_reader *body)
{
    struct arena arena;
    arena_init(&arena, FETCHER_ANSWER_OVERHEAD_BYTES);
    struct fetch_response response;
    int error = fetch_response_decode(&response, body, FOLLOWER_FETCH_VERSION, &arena);
    if (error == 0 && response.error_code != KAFKA_NONE) {
        log_warn(link->fetcher->options->logger, "replica", "leader %d refuses our fetch: %s", link->leader,
                 kafka_error_name(response.error_code));
        error = -EPROTO;
    }
    size_t position = 0;
    for (size_t t = 0; error == 0 && t < response.responses_count; t++) {
        const struct fetch_response_fetchable_topic_response *topic = &response.responses[t];
        for (size_t p = 0; p < topic->partitions_count; p++) {
            const struct asked *asked =
                find_asked(link, topic->topic_id, topic->partitions[p].partition_index, &position);
            if (asked != NULL)
                take_part(link, asked, &topic->partitions[p]);
        }
    }
    arena_release(&arena);
    return error;
}

static void on_answer(struct client_request *request, int status, struct byte_reader *body)
{
    struct leader_link *link = container_of(request, struct leader_link, request);
    link->in_flight = false;
    if (link->fetcher == NULL)
        return;
    if (status == 0)
        status = take_answer(link, body);
    forget_asked(link);
    if (status == 0) {
        link->pause_ms = FETCHER_PAUSE_MIN_MS;
        leader_link_kick(link);
    } else {
        log_debug(link->fetcher->options->logger, "replica", "fetch from leader %d failed: %s", link->leader,
                  strerror(-status));
        pause_link(link);
    }
}

void leader_link_kick(struct leader_link *link)
{
    struct fetcher *fetcher = link->fetcher;
    if (link->in_flight || list_is_empty(&link->follows))
        return;
    int64_t now_ms = clock_monotonic_ms();
    if (!prepare_client(link)) {
        pause_link(link);
        return;
    }
    int64_t next_ms;
    collect_asked(link, now_ms, &next_ms);
    if (link->asked_count == 0) {
        if (next_ms != INT64_MAX)
            loop_timer_set(fetcher->loop, &link->timer, next_ms);
        return;
    }
    loop_timer_cancel(fetcher->loop, &link->timer);
    struct client_request *request = &link->request;
    *request = (struct client_request){.api_key = KAFKA_API_FETCH,
                                       .api_version = FOLLOWER_FETCH_VERSION,
                                       .deadline_ms = now_ms + fetcher->options->wait_max_ms +
                                                      fetcher->options->socket_timeout_ms,
                                       .done = on_answer};
    buffer_init(&request->body);
    encode_request(link, &request->body);
    link->in_flight = true;
    client_send(link->client, request);
}
