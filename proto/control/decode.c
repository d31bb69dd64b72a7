/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf to control messages. The bytes come from another machine, so nothing is believed: the parser draws
 * its memory from the caller's arena, and with it from that arena's budget; a message without body, a name
 * that is empty or too long, an id, port or epoch out of its range, or more elements than a cluster can have
 * refuses the whole message before anybody acts on a part of it (B50). Pure.
 */
#include "proto/control/control.h"

#include <errno.h>

#include "proto/control/control.pb-c.h"

/* More than any cluster that ZooKeeper carries. */
#define TOPICS_MAX 200000
#define PARTITIONS_MAX 400000
#define BROKERS_MAX 10000
#define REPLICAS_MAX 1000
#define ENDPOINTS_MAX 100
#define SETTINGS_MAX 1000
#define TOPIC_NAME_BYTES_MAX 249

/* error: 0, -EBADMSG or -ENOMEM; the first one stays. */
struct decoder {
    struct arena *arena;
    int error;
};

static void fail(struct decoder *decoder, int error)
{
    if (decoder->error == 0)
        decoder->error = error;
}

static void *arena_take(void *data, size_t size)
{
    struct decoder *decoder = data;
    void *memory = arena_allocate(decoder->arena, size);
    if (memory == NULL)
        fail(decoder, -ENOMEM);
    return memory;
}

/* The arena frees everything at once. */
static void arena_give_back(void *data, void *memory)
{
    (void)data;
    (void)memory;
}

/* Room for `count` elements, at most `most`; NULL after an error. */
static void *take_array(struct decoder *decoder, size_t count, size_t most, size_t size)
{
    if (count > most) {
        fail(decoder, -EBADMSG);
        return NULL;
    }
    void *memory = arena_allocate_array(decoder->arena, count, size);
    if (memory == NULL)
        fail(decoder, -ENOMEM);
    return memory;
}

static int32_t take_int32(struct decoder *decoder, int32_t value, int32_t least, int32_t most)
{
    if (value < least || value > most)
        fail(decoder, -EBADMSG);
    return value;
}

/* Ids, partitions, epochs: not negative. */
static int32_t take_number(struct decoder *decoder, int32_t value)
{
    return take_int32(decoder, value, 0, INT32_MAX);
}

static int64_t take_broker_epoch(struct decoder *decoder, int64_t value)
{
    if (value < NO_BROKER_EPOCH)
        fail(decoder, -EBADMSG);
    return value;
}

static int64_t take_sequence(struct decoder *decoder, int64_t value)
{
    if (value < 0)
        fail(decoder, -EBADMSG);
    return value;
}

static int16_t take_error(struct decoder *decoder, int32_t value)
{
    return (int16_t)take_int32(decoder, value, INT16_MIN, INT16_MAX);
}

/* Never null: an absent field is the empty text. */
static struct slice take_text(ProtobufCBinaryData text)
{
    return text.len == 0 ? slice_of("") : slice_make(text.data, text.len);
}

static struct slice take_topic_name(struct decoder *decoder, ProtobufCBinaryData text)
{
    if (text.len == 0 || text.len > TOPIC_NAME_BYTES_MAX)
        fail(decoder, -EBADMSG);
    return take_text(text);
}

static struct uuid take_id(struct decoder *decoder, ProtobufCBinaryData bytes)
{
    struct uuid id = {{0}};
    if (bytes.len == sizeof(id.bytes))
        memcpy(id.bytes, bytes.data, sizeof(id.bytes));
    else if (bytes.len != 0)
        fail(decoder, -EBADMSG);
    return id;
}

static int32_t *take_ids(struct decoder *decoder, const int32_t *from, size_t count)
{
    int32_t *ids = take_array(decoder, count, REPLICAS_MAX, sizeof(*ids));
    for (size_t i = 0; ids != NULL && i < count; i++)
        ids[i] = take_number(decoder, from[i]);
    return ids;
}

static struct isr_member *take_isr(struct decoder *decoder, const int32_t *ids, size_t ids_count,
                                   const int64_t *epochs, size_t epochs_count)
{
    if (ids_count != epochs_count) {
        fail(decoder, -EBADMSG);
        return NULL;
    }
    struct isr_member *isr = take_array(decoder, ids_count, REPLICAS_MAX, sizeof(*isr));
    for (size_t i = 0; isr != NULL && i < ids_count; i++) {
        isr[i].broker_id = take_number(decoder, ids[i]);
        isr[i].broker_epoch = take_broker_epoch(decoder, epochs[i]);
    }
    return isr;
}

static void take_partition(struct decoder *decoder, const Control__Partition *from,
                           struct control_partition *to)
{
    to->partition = take_number(decoder, from->partition);
    to->controller_epoch = take_number(decoder, from->controller_epoch);
    to->leader = take_int32(decoder, from->leader, NO_LEADER_DELETED, INT32_MAX);
    to->leader_epoch = take_number(decoder, from->leader_epoch);
    to->partition_epoch = take_number(decoder, from->partition_epoch);
    to->isr = take_isr(decoder, from->isr, from->n_isr, from->isr_broker_epochs, from->n_isr_broker_epochs);
    to->isr_count = from->n_isr;
    to->replicas = take_ids(decoder, from->replicas, from->n_replicas);
    to->replicas_count = from->n_replicas;
    to->adding_replicas = take_ids(decoder, from->adding_replicas, from->n_adding_replicas);
    to->adding_replicas_count = from->n_adding_replicas;
    to->removing_replicas = take_ids(decoder, from->removing_replicas, from->n_removing_replicas);
    to->removing_replicas_count = from->n_removing_replicas;
    to->offline_replicas = take_ids(decoder, from->offline_replicas, from->n_offline_replicas);
    to->offline_replicas_count = from->n_offline_replicas;
    to->is_new = from->is_new;
    to->recovering = from->recovering;
    to->commits_held = from->commits_held;
}

static void take_topic(struct decoder *decoder, const Control__Topic *from, struct control_topic *to)
{
    to->name = take_topic_name(decoder, from->name);
    to->topic_id = take_id(decoder, from->topic_id);
    to->settings_count = from->n_settings;
    to->settings = take_array(decoder, from->n_settings, SETTINGS_MAX, sizeof(*to->settings));
    for (size_t i = 0; to->settings != NULL && i < from->n_settings; i++) {
        to->settings[i].name = take_text(from->settings[i]->name);
        to->settings[i].value = take_text(from->settings[i]->value);
    }
    to->partitions_count = from->n_partitions;
    to->partitions = take_array(decoder, from->n_partitions, PARTITIONS_MAX, sizeof(*to->partitions));
    for (size_t i = 0; to->partitions != NULL && i < from->n_partitions; i++)
        take_partition(decoder, from->partitions[i], &to->partitions[i]);
}

static struct control_topic *take_topics(struct decoder *decoder, Control__Topic **from, size_t count)
{
    struct control_topic *topics = take_array(decoder, count, TOPICS_MAX, sizeof(*topics));
    for (size_t i = 0; topics != NULL && i < count; i++)
        take_topic(decoder, from[i], &topics[i]);
    return topics;
}

static void take_broker(struct decoder *decoder, const Control__Broker *from, struct control_broker *to)
{
    to->id = take_number(decoder, from->id);
    to->epoch = take_broker_epoch(decoder, from->epoch);
    to->rack = from->has_rack ? take_text(from->rack) : slice_of(NULL);
    to->endpoints_count = from->n_endpoints;
    to->endpoints = take_array(decoder, from->n_endpoints, ENDPOINTS_MAX, sizeof(*to->endpoints));
    for (size_t i = 0; to->endpoints != NULL && i < from->n_endpoints; i++) {
        to->endpoints[i].listener = take_text(from->endpoints[i]->listener);
        to->endpoints[i].security_protocol = take_text(from->endpoints[i]->security_protocol);
        to->endpoints[i].host = take_text(from->endpoints[i]->host);
        to->endpoints[i].port = take_int32(decoder, from->endpoints[i]->port, 0, UINT16_MAX);
    }
}

static struct control_broker *take_brokers(struct decoder *decoder, Control__Broker **from, size_t count)
{
    struct control_broker *brokers = take_array(decoder, count, BROKERS_MAX, sizeof(*brokers));
    for (size_t i = 0; brokers != NULL && i < count; i++)
        take_broker(decoder, from[i], &brokers[i]);
    return brokers;
}

static void take_leader_and_isr(struct decoder *decoder, const Control__LeaderAndIsrRequest *from,
                                struct leader_and_isr_request *to)
{
    to->controller_id = take_number(decoder, from->controller_id);
    to->controller_epoch = take_number(decoder, from->controller_epoch);
    to->broker_epoch = take_broker_epoch(decoder, from->broker_epoch);
    to->sequence = take_sequence(decoder, from->sequence);
    to->brokers = take_brokers(decoder, from->brokers, from->n_brokers);
    to->brokers_count = from->n_brokers;
    to->topics = take_topics(decoder, from->topics, from->n_topics);
    to->topics_count = from->n_topics;
}

static void take_update_metadata(struct decoder *decoder, const Control__UpdateMetadataRequest *from,
                                 struct update_metadata_request *to)
{
    to->controller_id = take_number(decoder, from->controller_id);
    to->controller_epoch = take_number(decoder, from->controller_epoch);
    to->broker_epoch = take_broker_epoch(decoder, from->broker_epoch);
    to->sequence = take_sequence(decoder, from->sequence);
    to->full = from->full;
    to->complete = from->complete;
    to->unlisted_count = from->n_unlisted;
    to->unlisted = take_array(decoder, from->n_unlisted, TOPICS_MAX, sizeof(*to->unlisted));
    for (size_t i = 0; to->unlisted != NULL && i < from->n_unlisted; i++)
        to->unlisted[i] = take_id(decoder, from->unlisted[i]);
    to->brokers = take_brokers(decoder, from->brokers, from->n_brokers);
    to->brokers_count = from->n_brokers;
    to->topics = take_topics(decoder, from->topics, from->n_topics);
    to->topics_count = from->n_topics;
}

static void take_stop_replica(struct decoder *decoder, const Control__StopReplicaRequest *from,
                              struct stop_replica_request *to)
{
    to->controller_id = take_number(decoder, from->controller_id);
    to->controller_epoch = take_number(decoder, from->controller_epoch);
    to->broker_epoch = take_broker_epoch(decoder, from->broker_epoch);
    to->sequence = take_sequence(decoder, from->sequence);
    to->partitions_count = from->n_partitions;
    to->partitions = take_array(decoder, from->n_partitions, PARTITIONS_MAX, sizeof(*to->partitions));
    for (size_t i = 0; to->partitions != NULL && i < from->n_partitions; i++) {
        const Control__StopReplicaPartition *item = from->partitions[i];
        to->partitions[i].topic = take_topic_name(decoder, item->topic);
        to->partitions[i].topic_id = take_id(decoder, item->topic_id);
        to->partitions[i].partition = take_number(decoder, item->partition);
        to->partitions[i].leader_epoch = take_int32(decoder, item->leader_epoch, -2, INT32_MAX);
        to->partitions[i].delete_log = item->delete_log;
    }
}

static void take_alter_partition(struct decoder *decoder, const Control__AlterPartitionRequest *from,
                                 struct alter_partition_request *to)
{
    to->broker_id = take_number(decoder, from->broker_id);
    to->broker_epoch = take_broker_epoch(decoder, from->broker_epoch);
    to->partitions_count = from->n_partitions;
    to->partitions = take_array(decoder, from->n_partitions, PARTITIONS_MAX, sizeof(*to->partitions));
    for (size_t i = 0; to->partitions != NULL && i < from->n_partitions; i++) {
        const Control__AlterPartitionItem *item = from->partitions[i];
        struct alter_partition_item *partition = &to->partitions[i];
        partition->topic = take_topic_name(decoder, item->topic);
        partition->topic_id = take_id(decoder, item->topic_id);
        partition->partition = take_number(decoder, item->partition);
        partition->leader_epoch = take_number(decoder, item->leader_epoch);
        partition->partition_epoch = take_number(decoder, item->partition_epoch);
        partition->isr =
            take_isr(decoder, item->isr, item->n_isr, item->isr_broker_epochs, item->n_isr_broker_epochs);
        partition->isr_count = item->n_isr;
        partition->recovering = item->recovering;
    }
}

static void take_forward(struct decoder *decoder, const Control__ForwardRequest *from,
                         struct forward_request *to)
{
    to->api_key = (int16_t)take_int32(decoder, from->api_key, 0, INT16_MAX);
    to->api_version = (int16_t)take_int32(decoder, from->api_version, 0, INT16_MAX);
    to->client_id = from->has_client_id ? take_text(from->client_id) : slice_of(NULL);
    to->client_host = take_text(from->client_host);
    to->principal = take_text(from->principal);
    to->body = take_text(from->body);
}

static void take_request(struct decoder *decoder, const Control__Request *from, struct control_request *to)
{
    switch (from->body_case) {
    case CONTROL__REQUEST__BODY_LEADER_AND_ISR:
        to->kind = CONTROL_LEADER_AND_ISR;
        take_leader_and_isr(decoder, from->leader_and_isr, &to->leader_and_isr);
        return;
    case CONTROL__REQUEST__BODY_UPDATE_METADATA:
        to->kind = CONTROL_UPDATE_METADATA;
        take_update_metadata(decoder, from->update_metadata, &to->update_metadata);
        return;
    case CONTROL__REQUEST__BODY_STOP_REPLICA:
        to->kind = CONTROL_STOP_REPLICA;
        take_stop_replica(decoder, from->stop_replica, &to->stop_replica);
        return;
    case CONTROL__REQUEST__BODY_ALTER_PARTITION:
        to->kind = CONTROL_ALTER_PARTITION;
        take_alter_partition(decoder, from->alter_partition, &to->alter_partition);
        return;
    case CONTROL__REQUEST__BODY_ALLOCATE_PRODUCER_IDS:
        to->kind = CONTROL_ALLOCATE_PRODUCER_IDS;
        to->allocate_producer_ids.broker_id = take_number(decoder, from->allocate_producer_ids->broker_id);
        to->allocate_producer_ids.broker_epoch =
            take_broker_epoch(decoder, from->allocate_producer_ids->broker_epoch);
        return;
    case CONTROL__REQUEST__BODY_CONTROLLED_SHUTDOWN:
        to->kind = CONTROL_CONTROLLED_SHUTDOWN;
        to->controlled_shutdown.broker_id = take_number(decoder, from->controlled_shutdown->broker_id);
        to->controlled_shutdown.broker_epoch =
            take_broker_epoch(decoder, from->controlled_shutdown->broker_epoch);
        return;
    case CONTROL__REQUEST__BODY_FORWARD:
        to->kind = CONTROL_FORWARD;
        take_forward(decoder, from->forward, &to->forward);
        return;
    default:
        fail(decoder, -EBADMSG);
    }
}

static void take_response(struct decoder *decoder, const Control__ControlResponse *from,
                          struct control_response *to)
{
    to->error = take_error(decoder, from->error);
    to->partitions_count = from->n_partitions;
    to->partitions = take_array(decoder, from->n_partitions, PARTITIONS_MAX, sizeof(*to->partitions));
    for (size_t i = 0; to->partitions != NULL && i < from->n_partitions; i++) {
        to->partitions[i].topic = take_topic_name(decoder, from->partitions[i]->topic);
        to->partitions[i].partition = take_number(decoder, from->partitions[i]->partition);
        to->partitions[i].error = take_error(decoder, from->partitions[i]->error);
        to->partitions[i].full = from->partitions[i]->full;
        to->partitions[i].tells_end = from->partitions[i]->tells_end;
        to->partitions[i].leader_epoch = from->partitions[i]->leader_epoch;
        to->partitions[i].last_epoch = from->partitions[i]->last_epoch;
        to->partitions[i].end_offset = from->partitions[i]->end_offset;
    }
}

static void take_alter_response(struct decoder *decoder, const Control__AlterPartitionResponse *from,
                                struct alter_partition_response *to)
{
    to->error = take_error(decoder, from->error);
    to->partitions_count = from->n_partitions;
    to->partitions = take_array(decoder, from->n_partitions, PARTITIONS_MAX, sizeof(*to->partitions));
    for (size_t i = 0; to->partitions != NULL && i < from->n_partitions; i++) {
        const Control__AlterPartitionResult *item = from->partitions[i];
        struct alter_partition_result *result = &to->partitions[i];
        result->topic = take_topic_name(decoder, item->topic);
        result->partition = take_number(decoder, item->partition);
        result->error = take_error(decoder, item->error);
        result->leader = take_int32(decoder, item->leader, NO_LEADER, INT32_MAX);
        result->leader_epoch = take_int32(decoder, item->leader_epoch, -1, INT32_MAX);
        result->partition_epoch = take_int32(decoder, item->partition_epoch, -1, INT32_MAX);
        result->isr =
            take_isr(decoder, item->isr, item->n_isr, item->isr_broker_epochs, item->n_isr_broker_epochs);
        result->isr_count = item->n_isr;
        result->recovering = item->recovering;
        result->commits_held = item->commits_held;
    }
}

static void take_answer(struct decoder *decoder, const Control__Answer *from, struct control_answer *to)
{
    switch (from->body_case) {
    case CONTROL__ANSWER__BODY_LEADER_AND_ISR:
        to->kind = CONTROL_LEADER_AND_ISR;
        take_response(decoder, from->leader_and_isr, &to->response);
        return;
    case CONTROL__ANSWER__BODY_UPDATE_METADATA:
        to->kind = CONTROL_UPDATE_METADATA;
        take_response(decoder, from->update_metadata, &to->response);
        return;
    case CONTROL__ANSWER__BODY_STOP_REPLICA:
        to->kind = CONTROL_STOP_REPLICA;
        take_response(decoder, from->stop_replica, &to->response);
        return;
    case CONTROL__ANSWER__BODY_ALTER_PARTITION:
        to->kind = CONTROL_ALTER_PARTITION;
        take_alter_response(decoder, from->alter_partition, &to->alter_partition);
        return;
    case CONTROL__ANSWER__BODY_ALLOCATE_PRODUCER_IDS:
        to->kind = CONTROL_ALLOCATE_PRODUCER_IDS;
        to->allocate_producer_ids.error = take_error(decoder, from->allocate_producer_ids->error);
        to->allocate_producer_ids.first = from->allocate_producer_ids->first;
        to->allocate_producer_ids.count = take_number(decoder, from->allocate_producer_ids->count);
        if (from->allocate_producer_ids->first < 0)
            fail(decoder, -EBADMSG);
        return;
    case CONTROL__ANSWER__BODY_CONTROLLED_SHUTDOWN:
        to->kind = CONTROL_CONTROLLED_SHUTDOWN;
        to->controlled_shutdown.error = take_error(decoder, from->controlled_shutdown->error);
        to->controlled_shutdown.partitions_remaining =
            take_number(decoder, from->controlled_shutdown->partitions_remaining);
        return;
    case CONTROL__ANSWER__BODY_FORWARD:
        to->kind = CONTROL_FORWARD;
        to->forward.error = take_error(decoder, from->forward->error);
        to->forward.body = take_text(from->forward->body);
        return;
    default:
        fail(decoder, -EBADMSG);
    }
}

int control_request_decode(struct slice bytes, struct arena *arena, struct control_request *request)
{
    struct decoder decoder = {.arena = arena};
    ProtobufCAllocator allocator = {arena_take, arena_give_back, &decoder};
    memset(request, 0, sizeof(*request));
    Control__Request *message = control__request__unpack(&allocator, bytes.length, bytes.data);
    if (message == NULL)
        return decoder.error != 0 ? decoder.error : -EBADMSG;
    take_request(&decoder, message, request);
    return decoder.error;
}

int control_answer_decode(struct slice bytes, struct arena *arena, struct control_answer *answer)
{
    struct decoder decoder = {.arena = arena};
    ProtobufCAllocator allocator = {arena_take, arena_give_back, &decoder};
    memset(answer, 0, sizeof(*answer));
    Control__Answer *message = control__answer__unpack(&allocator, bytes.length, bytes.data);
    if (message == NULL)
        return decoder.error != 0 ? decoder.error : -EBADMSG;
    take_answer(&decoder, message, answer);
    return decoder.error;
}
