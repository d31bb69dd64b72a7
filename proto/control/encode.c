/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages to protobuf: the plain structs of control.h are mirrored into the generated ones in an
 * arena that lives for the call, and packed. Arrays of numbers and all texts are lent, not copied. Pure.
 */
#include "proto/control/control.h"

#include "common/check.h"
#include "proto/control/control.pb-c.h"

/* Memory of the mirror; the arena has no budget, so this never fails. */
static void *mirror_allocate(struct arena *arena, size_t count, size_t size)
{
    void *memory = arena_allocate_array(arena, count, size);
    CHECK(memory != NULL);
    return memory;
}

static ProtobufCBinaryData lend(struct slice text)
{
    return (ProtobufCBinaryData){.len = text.length, .data = (uint8_t *)text.data};
}

/* None at all for the zero id, so that a topic without id costs no bytes. */
static ProtobufCBinaryData lend_id(const struct uuid *id)
{
    return lend(slice_make(id->bytes, uuid_is_zero(*id) ? 0 : sizeof(id->bytes)));
}

static void mirror_isr(struct arena *arena, const struct isr_member *isr, size_t count, int32_t **ids,
                       int64_t **epochs)
{
    *ids = mirror_allocate(arena, count, sizeof(**ids));
    *epochs = mirror_allocate(arena, count, sizeof(**epochs));
    for (size_t i = 0; i < count; i++) {
        (*ids)[i] = isr[i].broker_id;
        (*epochs)[i] = isr[i].broker_epoch;
    }
}

static Control__Partition *mirror_partition(struct arena *arena, const struct control_partition *from)
{
    Control__Partition *to = mirror_allocate(arena, 1, sizeof(*to));
    control__partition__init(to);
    to->partition = from->partition;
    to->controller_epoch = from->controller_epoch;
    to->leader = from->leader;
    to->leader_epoch = from->leader_epoch;
    to->partition_epoch = from->partition_epoch;
    mirror_isr(arena, from->isr, from->isr_count, &to->isr, &to->isr_broker_epochs);
    to->n_isr = to->n_isr_broker_epochs = from->isr_count;
    to->replicas = from->replicas;
    to->n_replicas = from->replicas_count;
    to->adding_replicas = from->adding_replicas;
    to->n_adding_replicas = from->adding_replicas_count;
    to->removing_replicas = from->removing_replicas;
    to->n_removing_replicas = from->removing_replicas_count;
    to->offline_replicas = from->offline_replicas;
    to->n_offline_replicas = from->offline_replicas_count;
    to->is_new = from->is_new;
    to->recovering = from->recovering;
    to->commits_held = from->commits_held;
    return to;
}

static Control__Setting *mirror_setting(struct arena *arena, const struct control_setting *from)
{
    Control__Setting *to = mirror_allocate(arena, 1, sizeof(*to));
    control__setting__init(to);
    to->name = lend(from->name);
    to->value = lend(from->value);
    return to;
}

static Control__Topic **mirror_topics(struct arena *arena, const struct control_topic *topics, size_t count)
{
    Control__Topic **list = mirror_allocate(arena, count, sizeof(struct control_topic *));
    for (size_t i = 0; i < count; i++) {
        const struct control_topic *from = &topics[i];
        Control__Topic *to = list[i] = mirror_allocate(arena, 1, sizeof(*to));
        control__topic__init(to);
        to->name = lend(from->name);
        to->topic_id = lend_id(&from->topic_id);
        to->n_settings = from->settings_count;
        to->settings = mirror_allocate(arena, from->settings_count, sizeof(*to->settings));
        for (size_t s = 0; s < from->settings_count; s++)
            to->settings[s] = mirror_setting(arena, &from->settings[s]);
        to->n_partitions = from->partitions_count;
        to->partitions = mirror_allocate(arena, from->partitions_count, sizeof(*to->partitions));
        for (size_t p = 0; p < from->partitions_count; p++)
            to->partitions[p] = mirror_partition(arena, &from->partitions[p]);
    }
    return list;
}

static Control__Broker **mirror_brokers(struct arena *arena, const struct control_broker *brokers,
                                        size_t count)
{
    Control__Broker **list = mirror_allocate(arena, count, sizeof(struct control_broker *));
    for (size_t i = 0; i < count; i++) {
        const struct control_broker *from = &brokers[i];
        Control__Broker *to = list[i] = mirror_allocate(arena, 1, sizeof(*to));
        control__broker__init(to);
        to->id = from->id;
        to->epoch = from->epoch;
        to->has_rack = !slice_is_null(from->rack);
        to->rack = lend(from->rack);
        to->n_endpoints = from->endpoints_count;
        to->endpoints = mirror_allocate(arena, from->endpoints_count, sizeof(*to->endpoints));
        for (size_t e = 0; e < from->endpoints_count; e++) {
            Control__Endpoint *endpoint = to->endpoints[e] = mirror_allocate(arena, 1, sizeof(*endpoint));
            control__endpoint__init(endpoint);
            endpoint->listener = lend(from->endpoints[e].listener);
            endpoint->security_protocol = lend(from->endpoints[e].security_protocol);
            endpoint->host = lend(from->endpoints[e].host);
            endpoint->port = from->endpoints[e].port;
        }
    }
    return list;
}

static Control__LeaderAndIsrRequest *mirror_leader_and_isr(struct arena *arena,
                                                           const struct leader_and_isr_request *from)
{
    Control__LeaderAndIsrRequest *to = mirror_allocate(arena, 1, sizeof(*to));
    control__leader_and_isr_request__init(to);
    to->controller_id = from->controller_id;
    to->controller_epoch = from->controller_epoch;
    to->broker_epoch = from->broker_epoch;
    to->sequence = from->sequence;
    to->n_brokers = from->brokers_count;
    to->brokers = mirror_brokers(arena, from->brokers, from->brokers_count);
    to->n_topics = from->topics_count;
    to->topics = mirror_topics(arena, from->topics, from->topics_count);
    return to;
}

static Control__UpdateMetadataRequest *mirror_update_metadata(struct arena *arena,
                                                              const struct update_metadata_request *from)
{
    Control__UpdateMetadataRequest *to = mirror_allocate(arena, 1, sizeof(*to));
    control__update_metadata_request__init(to);
    to->controller_id = from->controller_id;
    to->controller_epoch = from->controller_epoch;
    to->broker_epoch = from->broker_epoch;
    to->sequence = from->sequence;
    to->full = from->full;
    to->complete = from->complete;
    to->n_unlisted = from->unlisted_count;
    to->unlisted = mirror_allocate(arena, from->unlisted_count, sizeof(*to->unlisted));
    for (size_t i = 0; i < from->unlisted_count; i++)
        to->unlisted[i] = lend_id(&from->unlisted[i]);
    to->n_brokers = from->brokers_count;
    to->brokers = mirror_brokers(arena, from->brokers, from->brokers_count);
    to->n_topics = from->topics_count;
    to->topics = mirror_topics(arena, from->topics, from->topics_count);
    return to;
}

static Control__StopReplicaRequest *mirror_stop_replica(struct arena *arena,
                                                        const struct stop_replica_request *from)
{
    Control__StopReplicaRequest *to = mirror_allocate(arena, 1, sizeof(*to));
    control__stop_replica_request__init(to);
    to->controller_id = from->controller_id;
    to->controller_epoch = from->controller_epoch;
    to->broker_epoch = from->broker_epoch;
    to->sequence = from->sequence;
    to->n_partitions = from->partitions_count;
    to->partitions = mirror_allocate(arena, from->partitions_count, sizeof(*to->partitions));
    for (size_t i = 0; i < from->partitions_count; i++) {
        const struct stop_replica_partition *partition = &from->partitions[i];
        Control__StopReplicaPartition *item = to->partitions[i] = mirror_allocate(arena, 1, sizeof(*item));
        control__stop_replica_partition__init(item);
        item->topic = lend(partition->topic);
        item->topic_id = lend_id(&partition->topic_id);
        item->partition = partition->partition;
        item->leader_epoch = partition->leader_epoch;
        item->delete_log = partition->delete_log;
    }
    return to;
}

static Control__AlterPartitionRequest *mirror_alter_partition(struct arena *arena,
                                                              const struct alter_partition_request *from)
{
    Control__AlterPartitionRequest *to = mirror_allocate(arena, 1, sizeof(*to));
    control__alter_partition_request__init(to);
    to->broker_id = from->broker_id;
    to->broker_epoch = from->broker_epoch;
    to->n_partitions = from->partitions_count;
    to->partitions = mirror_allocate(arena, from->partitions_count, sizeof(*to->partitions));
    for (size_t i = 0; i < from->partitions_count; i++) {
        const struct alter_partition_item *partition = &from->partitions[i];
        Control__AlterPartitionItem *item = to->partitions[i] = mirror_allocate(arena, 1, sizeof(*item));
        control__alter_partition_item__init(item);
        item->topic = lend(partition->topic);
        item->topic_id = lend_id(&partition->topic_id);
        item->partition = partition->partition;
        item->leader_epoch = partition->leader_epoch;
        item->partition_epoch = partition->partition_epoch;
        mirror_isr(arena, partition->isr, partition->isr_count, &item->isr, &item->isr_broker_epochs);
        item->n_isr = item->n_isr_broker_epochs = partition->isr_count;
        item->recovering = partition->recovering;
    }
    return to;
}

static Control__ForwardRequest *mirror_forward(struct arena *arena, const struct forward_request *from)
{
    Control__ForwardRequest *to = mirror_allocate(arena, 1, sizeof(*to));
    control__forward_request__init(to);
    to->api_key = from->api_key;
    to->api_version = from->api_version;
    to->has_client_id = !slice_is_null(from->client_id);
    to->client_id = lend(from->client_id);
    to->client_host = lend(from->client_host);
    to->principal = lend(from->principal);
    to->body = lend(from->body);
    return to;
}

static void mirror_request(struct arena *arena, const struct control_request *from, Control__Request *to)
{
    control__request__init(to);
    switch (from->kind) {
    case CONTROL_LEADER_AND_ISR:
        to->body_case = CONTROL__REQUEST__BODY_LEADER_AND_ISR;
        to->leader_and_isr = mirror_leader_and_isr(arena, &from->leader_and_isr);
        return;
    case CONTROL_UPDATE_METADATA:
        to->body_case = CONTROL__REQUEST__BODY_UPDATE_METADATA;
        to->update_metadata = mirror_update_metadata(arena, &from->update_metadata);
        return;
    case CONTROL_STOP_REPLICA:
        to->body_case = CONTROL__REQUEST__BODY_STOP_REPLICA;
        to->stop_replica = mirror_stop_replica(arena, &from->stop_replica);
        return;
    case CONTROL_ALTER_PARTITION:
        to->body_case = CONTROL__REQUEST__BODY_ALTER_PARTITION;
        to->alter_partition = mirror_alter_partition(arena, &from->alter_partition);
        return;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        to->body_case = CONTROL__REQUEST__BODY_ALLOCATE_PRODUCER_IDS;
        to->allocate_producer_ids = mirror_allocate(arena, 1, sizeof(*to->allocate_producer_ids));
        control__allocate_producer_ids_request__init(to->allocate_producer_ids);
        to->allocate_producer_ids->broker_id = from->allocate_producer_ids.broker_id;
        to->allocate_producer_ids->broker_epoch = from->allocate_producer_ids.broker_epoch;
        return;
    case CONTROL_CONTROLLED_SHUTDOWN:
        to->body_case = CONTROL__REQUEST__BODY_CONTROLLED_SHUTDOWN;
        to->controlled_shutdown = mirror_allocate(arena, 1, sizeof(*to->controlled_shutdown));
        control__controlled_shutdown_request__init(to->controlled_shutdown);
        to->controlled_shutdown->broker_id = from->controlled_shutdown.broker_id;
        to->controlled_shutdown->broker_epoch = from->controlled_shutdown.broker_epoch;
        return;
    case CONTROL_FORWARD:
        to->body_case = CONTROL__REQUEST__BODY_FORWARD;
        to->forward = mirror_forward(arena, &from->forward);
        return;
    case CONTROL_NONE:
        break;
    }
    UNREACHABLE();
}

static Control__ControlResponse *mirror_response(struct arena *arena, const struct control_response *from)
{
    Control__ControlResponse *to = mirror_allocate(arena, 1, sizeof(*to));
    control__control_response__init(to);
    to->error = from->error;
    to->n_partitions = from->partitions_count;
    to->partitions = mirror_allocate(arena, from->partitions_count, sizeof(*to->partitions));
    for (size_t i = 0; i < from->partitions_count; i++) {
        Control__PartitionError *item = to->partitions[i] = mirror_allocate(arena, 1, sizeof(*item));
        control__partition_error__init(item);
        item->topic = lend(from->partitions[i].topic);
        item->partition = from->partitions[i].partition;
        item->error = from->partitions[i].error;
        item->full = from->partitions[i].full;
        item->tells_end = from->partitions[i].tells_end;
        item->leader_epoch = from->partitions[i].leader_epoch;
        item->last_epoch = from->partitions[i].last_epoch;
        item->end_offset = from->partitions[i].end_offset;
    }
    return to;
}

static Control__AlterPartitionResponse *mirror_alter_response(struct arena *arena,
                                                              const struct alter_partition_response *from)
{
    Control__AlterPartitionResponse *to = mirror_allocate(arena, 1, sizeof(*to));
    control__alter_partition_response__init(to);
    to->error = from->error;
    to->n_partitions = from->partitions_count;
    to->partitions = mirror_allocate(arena, from->partitions_count, sizeof(*to->partitions));
    for (size_t i = 0; i < from->partitions_count; i++) {
        const struct alter_partition_result *result = &from->partitions[i];
        Control__AlterPartitionResult *item = to->partitions[i] = mirror_allocate(arena, 1, sizeof(*item));
        control__alter_partition_result__init(item);
        item->topic = lend(result->topic);
        item->partition = result->partition;
        item->error = result->error;
        item->leader = result->leader;
        item->leader_epoch = result->leader_epoch;
        item->partition_epoch = result->partition_epoch;
        mirror_isr(arena, result->isr, result->isr_count, &item->isr, &item->isr_broker_epochs);
        item->n_isr = item->n_isr_broker_epochs = result->isr_count;
        item->recovering = result->recovering;
        item->commits_held = result->commits_held;
    }
    return to;
}

static void mirror_answer(struct arena *arena, const struct control_answer *from, Control__Answer *to)
{
    control__answer__init(to);
    switch (from->kind) {
    case CONTROL_LEADER_AND_ISR:
        to->body_case = CONTROL__ANSWER__BODY_LEADER_AND_ISR;
        to->leader_and_isr = mirror_response(arena, &from->response);
        return;
    case CONTROL_UPDATE_METADATA:
        to->body_case = CONTROL__ANSWER__BODY_UPDATE_METADATA;
        to->update_metadata = mirror_response(arena, &from->response);
        return;
    case CONTROL_STOP_REPLICA:
        to->body_case = CONTROL__ANSWER__BODY_STOP_REPLICA;
        to->stop_replica = mirror_response(arena, &from->response);
        return;
    case CONTROL_ALTER_PARTITION:
        to->body_case = CONTROL__ANSWER__BODY_ALTER_PARTITION;
        to->alter_partition = mirror_alter_response(arena, &from->alter_partition);
        return;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        to->body_case = CONTROL__ANSWER__BODY_ALLOCATE_PRODUCER_IDS;
        to->allocate_producer_ids = mirror_allocate(arena, 1, sizeof(*to->allocate_producer_ids));
        control__allocate_producer_ids_response__init(to->allocate_producer_ids);
        to->allocate_producer_ids->error = from->allocate_producer_ids.error;
        to->allocate_producer_ids->first = from->allocate_producer_ids.first;
        to->allocate_producer_ids->count = from->allocate_producer_ids.count;
        return;
    case CONTROL_CONTROLLED_SHUTDOWN:
        to->body_case = CONTROL__ANSWER__BODY_CONTROLLED_SHUTDOWN;
        to->controlled_shutdown = mirror_allocate(arena, 1, sizeof(*to->controlled_shutdown));
        control__controlled_shutdown_response__init(to->controlled_shutdown);
        to->controlled_shutdown->error = from->controlled_shutdown.error;
        to->controlled_shutdown->partitions_remaining = from->controlled_shutdown.partitions_remaining;
        return;
    case CONTROL_FORWARD:
        to->body_case = CONTROL__ANSWER__BODY_FORWARD;
        to->forward = mirror_allocate(arena, 1, sizeof(*to->forward));
        control__forward_response__init(to->forward);
        to->forward->error = from->forward.error;
        to->forward->body = lend(from->forward.body);
        return;
    case CONTROL_NONE:
        break;
    }
    UNREACHABLE();
}

static void message_pack(const ProtobufCMessage *message, struct buffer *out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    protobuf_c_message_pack(message, buffer_extend(out, size));
}

void control_request_encode(const struct control_request *request, struct buffer *out)
{
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    Control__Request mirror;
    mirror_request(&arena, request, &mirror);
    message_pack(&mirror.base, out);
    arena_release(&arena);
}

void control_answer_encode(const struct control_answer *answer, struct buffer *out)
{
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    Control__Answer mirror;
    mirror_answer(&arena, answer, &mirror);
    message_pack(&mirror.base, out);
    arena_release(&arena);
}
