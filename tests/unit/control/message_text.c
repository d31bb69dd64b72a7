/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of a control message as text. */
#include <inttypes.h>

#include "tests/unit/control/message.h"

static void print_number(struct buffer *out, const char *name, int64_t value)
{
    buffer_print(out, " %s=%" PRId64, name, value);
}

static void print_text(struct buffer *out, const char *name, struct slice text)
{
    buffer_print(out, " %s=%s%zu:", name, slice_is_null(text) ? "null" : "", text.length);
    buffer_append_escaped(out, text, SIZE_MAX);
}

static void print_id(struct buffer *out, struct uuid id)
{
    char text[UUID_TEXT_LENGTH + 1];
    uuid_format(id, text);
    buffer_print(out, " id=%s", text);
}

static void print_ids(struct buffer *out, const char *name, const int32_t *ids, size_t count)
{
    buffer_print(out, " %s=%zu", name, count);
    for (size_t i = 0; i < count; i++)
        buffer_print(out, ",%d", ids[i]);
}

static void print_isr(struct buffer *out, const struct isr_member *isr, size_t count)
{
    buffer_print(out, " isr=%zu", count);
    for (size_t i = 0; i < count; i++)
        buffer_print(out, ",%d@%" PRId64, isr[i].broker_id, isr[i].broker_epoch);
}

static void print_topics(struct buffer *out, const struct control_topic *topics, size_t count)
{
    for (size_t t = 0; t < count; t++) {
        print_text(out, "\ntopic", topics[t].name);
        print_id(out, topics[t].topic_id);
        for (size_t i = 0; i < topics[t].settings_count; i++) {
            print_text(out, "setting", topics[t].settings[i].name);
            print_text(out, "value", topics[t].settings[i].value);
        }
        for (size_t i = 0; i < topics[t].partitions_count; i++) {
            const struct control_partition *it = &topics[t].partitions[i];
            print_number(out, "\npartition", it->partition);
            print_number(out, "controller_epoch", it->controller_epoch);
            print_number(out, "leader", it->leader);
            print_number(out, "leader_epoch", it->leader_epoch);
            print_number(out, "partition_epoch", it->partition_epoch);
            print_isr(out, it->isr, it->isr_count);
            print_ids(out, "replicas", it->replicas, it->replicas_count);
            print_ids(out, "adding", it->adding_replicas, it->adding_replicas_count);
            print_ids(out, "removing", it->removing_replicas, it->removing_replicas_count);
            print_ids(out, "offline", it->offline_replicas, it->offline_replicas_count);
            print_number(out, "new", it->is_new);
            print_number(out, "recovering", it->recovering);
            print_number(out, "commits_held", it->commits_held);
        }
    }
}

static void print_brokers(struct buffer *out, const struct control_broker *brokers, size_t count)
{
    for (size_t b = 0; b < count; b++) {
        print_number(out, "\nbroker", brokers[b].id);
        print_number(out, "epoch", brokers[b].epoch);
        print_text(out, "rack", brokers[b].rack);
        for (size_t i = 0; i < brokers[b].endpoints_count; i++) {
            print_text(out, "listener", brokers[b].endpoints[i].listener);
            print_text(out, "protocol", brokers[b].endpoints[i].security_protocol);
            print_text(out, "host", brokers[b].endpoints[i].host);
            print_number(out, "port", brokers[b].endpoints[i].port);
        }
    }
}

static void print_head(struct buffer *out, int32_t id, int32_t controller_epoch, int64_t broker_epoch)
{
    print_number(out, "from", id);
    print_number(out, "controller_epoch", controller_epoch);
    print_number(out, "broker_epoch", broker_epoch);
}

static void print_stop(struct buffer *out, const struct stop_replica_request *stop)
{
    print_head(out, stop->controller_id, stop->controller_epoch, stop->broker_epoch);
    for (size_t i = 0; i < stop->partitions_count; i++) {
        print_text(out, "\nstop", stop->partitions[i].topic);
        print_id(out, stop->partitions[i].topic_id);
        print_number(out, "partition", stop->partitions[i].partition);
        print_number(out, "leader_epoch", stop->partitions[i].leader_epoch);
        print_number(out, "delete", stop->partitions[i].delete_log);
    }
}

static void print_alter(struct buffer *out, const struct alter_partition_request *alter)
{
    print_head(out, alter->broker_id, 0, alter->broker_epoch);
    for (size_t i = 0; i < alter->partitions_count; i++) {
        const struct alter_partition_item *item = &alter->partitions[i];
        print_text(out, "\nalter", item->topic);
        print_id(out, item->topic_id);
        print_number(out, "partition", item->partition);
        print_number(out, "leader_epoch", item->leader_epoch);
        print_number(out, "partition_epoch", item->partition_epoch);
        print_isr(out, item->isr, item->isr_count);
        print_number(out, "recovering", item->recovering);
    }
}

void message_print_request(const struct control_request *request, struct buffer *out)
{
    print_number(out, "request", request->kind);
    switch (request->kind) {
    case CONTROL_LEADER_AND_ISR: {
        const struct leader_and_isr_request *it = &request->leader_and_isr;
        print_head(out, it->controller_id, it->controller_epoch, it->broker_epoch);
        print_brokers(out, it->brokers, it->brokers_count);
        print_topics(out, it->topics, it->topics_count);
        return;
    }
    case CONTROL_UPDATE_METADATA: {
        const struct update_metadata_request *it = &request->update_metadata;
        print_head(out, it->controller_id, it->controller_epoch, it->broker_epoch);
        print_number(out, "full", it->full);
        print_brokers(out, it->brokers, it->brokers_count);
        print_topics(out, it->topics, it->topics_count);
        return;
    }
    case CONTROL_STOP_REPLICA:
        print_stop(out, &request->stop_replica);
        return;
    case CONTROL_ALTER_PARTITION:
        print_alter(out, &request->alter_partition);
        return;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        print_head(out, request->allocate_producer_ids.broker_id, 0,
                   request->allocate_producer_ids.broker_epoch);
        return;
    case CONTROL_CONTROLLED_SHUTDOWN:
        print_head(out, request->controlled_shutdown.broker_id, 0, request->controlled_shutdown.broker_epoch);
        return;
    case CONTROL_FORWARD:
        print_number(out, "key", request->forward.api_key);
        print_number(out, "version", request->forward.api_version);
        print_text(out, "client", request->forward.client_id);
        print_text(out, "host", request->forward.client_host);
        print_text(out, "principal", request->forward.principal);
        print_text(out, "body", request->forward.body);
        return;
    case CONTROL_NONE:
        return;
    }
}

void message_print_answer(const struct control_answer *answer, struct buffer *out)
{
    print_number(out, "answer", answer->kind);
    switch (answer->kind) {
    case CONTROL_LEADER_AND_ISR:
    case CONTROL_UPDATE_METADATA:
    case CONTROL_STOP_REPLICA:
        print_number(out, "error", answer->response.error);
        for (size_t i = 0; i < answer->response.partitions_count; i++) {
            print_text(out, "topic", answer->response.partitions[i].topic);
            print_number(out, "partition", answer->response.partitions[i].partition);
            print_number(out, "error", answer->response.partitions[i].error);
            print_number(out, "full", answer->response.partitions[i].full);
            print_number(out, "tells_end", answer->response.partitions[i].tells_end);
            print_number(out, "leader_epoch", answer->response.partitions[i].leader_epoch);
            print_number(out, "last_epoch", answer->response.partitions[i].last_epoch);
            print_number(out, "end_offset", answer->response.partitions[i].end_offset);
        }
        return;
    case CONTROL_ALTER_PARTITION:
        print_number(out, "error", answer->alter_partition.error);
        for (size_t i = 0; i < answer->alter_partition.partitions_count; i++) {
            const struct alter_partition_result *it = &answer->alter_partition.partitions[i];
            print_text(out, "\ntopic", it->topic);
            print_number(out, "partition", it->partition);
            print_number(out, "error", it->error);
            print_number(out, "leader", it->leader);
            print_number(out, "leader_epoch", it->leader_epoch);
            print_number(out, "partition_epoch", it->partition_epoch);
            print_isr(out, it->isr, it->isr_count);
            print_number(out, "recovering", it->recovering);
            print_number(out, "commits_held", it->commits_held);
        }
        return;
    case CONTROL_ALLOCATE_PRODUCER_IDS:
        print_number(out, "error", answer->allocate_producer_ids.error);
        print_number(out, "first", answer->allocate_producer_ids.first);
        print_number(out, "count", answer->allocate_producer_ids.count);
        return;
    case CONTROL_CONTROLLED_SHUTDOWN:
        print_number(out, "error", answer->controlled_shutdown.error);
        print_number(out, "remaining", answer->controlled_shutdown.partitions_remaining);
        return;
    case CONTROL_FORWARD:
        print_number(out, "error", answer->forward.error);
        print_text(out, "body", answer->forward.body);
        return;
    case CONTROL_NONE:
        return;
    }
}
