/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ElectLeaders, all versions: the partitions become one job of shell_elect.c, and the request waits until it
 * is done and all brokers have been told. A request for all partitions answers only those for which there was
 * something to elect (KIP-460).
 */
#include "coordinator/controller/admin.h"
#include "coordinator/controller/elect.h"
#include "proto/kafka/messages/elect_leaders.h"

/* Before it every election is a preferred one. */
#define FIRST_VERSION_WITH_TYPE 1

static void add_all(struct admin_request *request)
{
    const struct image *image = &request->controller->image;
    size_t position = 0;
    void *value;
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count; i++)
            shell_elect_add(request->elections, slice_of(topic->name), topic->partitions[i]->number);
    }
}

static bool begin(struct admin_request *request, struct slice body)
{
    struct elect_leaders_request *decoded = arena_allocate(&request->arena, sizeof(*decoded));
    struct byte_reader reader;
    reader_init(&reader, body);
    if (decoded == NULL ||
        elect_leaders_request_decode(decoded, &reader, request->version, &request->arena) != 0)
        return false;
    int8_t type =
        request->version >= FIRST_VERSION_WITH_TYPE ? decoded->election_type : (int8_t)ELECT_PREFERRED;
    if (type != ELECT_PREFERRED && type != ELECT_UNCLEAN)
        return false;
    request->decoded = decoded;
    request->timeout_ms = decoded->timeout_ms;
    request->elections = shell_elect_begin(request->controller, (enum elect_type)type);
    if (decoded->topic_partitions == NULL)
        add_all(request);
    for (size_t i = 0; decoded->topic_partitions != NULL && i < decoded->topic_partitions_count; i++)
        for (size_t p = 0; p < decoded->topic_partitions[i].partitions_count; p++)
            shell_elect_add(request->elections, decoded->topic_partitions[i].topic,
                            decoded->topic_partitions[i].partitions[p]);
    /* one for the whole list: it is pumped, and waits, as a whole */
    admin_make_topics(request, 1);
    request->topics[0].status = ADMIN_WAIT;
    return true;
}

static bool is_complete(struct admin_request *request, struct admin_topic *topic)
{
    (void)topic;
    return shell_elect_is_done(request->elections) &&
           shell_all_told(request->controller, request->elections->sequence);
}

static int16_t error_of(const struct elect_item *item)
{
    return item->status == ELECT_DONE ? item->error : KAFKA_REQUEST_TIMED_OUT;
}

/* The items of one topic, from *at on; those that have nothing to tell are left out of a request for all. */
static void fill_topic(struct admin_request *request, bool all, size_t *at,
                       struct elect_leaders_response_replica_election_result *topic)
{
    const struct elect_job *job = request->elections;
    const char *name = job->items[*at].topic;
    size_t end = *at;
    while (end < job->count && job->items[end].topic == name)
        end++;
    elect_leaders_response_replica_election_result_init(topic);
    topic->topic = slice_of(name);
    topic->partition_result =
        arena_allocate_array(&request->arena, end - *at, sizeof(topic->partition_result[0]));
    for (; *at < end; (*at)++) {
        int16_t error = error_of(&job->items[*at]);
        if (topic->partition_result == NULL || (all && error == KAFKA_ELECTION_NOT_NEEDED))
            continue;
        topic->partition_result[topic->partition_result_count++] =
            (struct elect_leaders_response_partition_result){.partition_id = job->items[*at].number,
                                                             .error_code = error,
                                                             .error_message = slice_of(elect_message(error))};
    }
}

static void encode(struct admin_request *request, struct wire_writer *writer)
{
    const struct elect_leaders_request *asked = request->decoded;
    const struct elect_job *job = request->elections;
    bool all = asked->topic_partitions == NULL;
    struct elect_leaders_response response;
    elect_leaders_response_init(&response);
    size_t topics = 0;
    for (size_t i = 0; i < job->count; i++)
        topics += i == 0 || job->items[i].topic != job->items[i - 1].topic;
    response.replica_election_results = arena_allocate_array(&request->arena, max_size(topics, 1),
                                                             sizeof(response.replica_election_results[0]));
    for (size_t at = 0; response.replica_election_results != NULL && at < job->count;) {
        struct elect_leaders_response_replica_election_result *topic =
            &response.replica_election_results[response.replica_election_results_count];
        fill_topic(request, all, &at, topic);
        response.replica_election_results_count += topic->partition_result_count > 0;
    }
    elect_leaders_response_encode(&response, writer, request->version);
}

const struct admin_kind admin_elect_leaders = {
    .api_key = 43, .begin = begin, .is_complete = is_complete, .encode = encode};
