/* SPDX-License-Identifier: Apache-2.0 */
/* Which error a topic or partition gets, and which brokers are listed. */
#include "broker/api/metadata_answer.h"

#include "broker/api/answering.h"
#include "common/map.h"
#include "proto/kafka/error.h"

/* From this version on a leader without the asker's listener is told apart from no leader. */
#define FIRST_VERSION_WITH_LISTENER_NOT_FOUND 6

static void fill_brokers(const struct metadata_asker *asker, struct arena *arena,
                         struct metadata_response *response)
{
    size_t count = metadata_image_broker_count(asker->image);
    response->brokers = answer_array(arena, count, sizeof(response->brokers[0]));
    for (size_t i = 0; i < count; i++) {
        const struct metadata_broker *broker = metadata_image_broker_at(asker->image, i);
        const struct metadata_endpoint *endpoint = metadata_broker_endpoint(broker, asker->listener);
        if (endpoint)
            response->brokers[response->brokers_count++] =
                (struct metadata_response_broker){broker->id, endpoint->host, endpoint->port, broker->rack};
    }
}

static bool has_endpoint(const struct metadata_asker *asker, int32_t id)
{
    const struct metadata_broker *broker = metadata_image_broker(asker->image, id);
    return broker && metadata_broker_endpoint(broker, asker->listener);
}

/* The ids, or in version 0 those of them that can be reached by the asker's listener. */
static int32_t *list_ids(const struct metadata_asker *asker, const int32_t *ids, size_t count,
                         struct arena *arena, size_t *listed)
{
    int32_t *out = answer_array(arena, count, sizeof(out[0]));
    *listed = 0;
    for (size_t i = 0; i < count; i++)
        if (asker->version > 0 || has_endpoint(asker, ids[i]))
            out[(*listed)++] = ids[i];
    return out;
}

/* The broker has told that its log directory does not serve the replica (KIP-112). */
static bool is_offline(const struct metadata_partition *partition, int32_t broker_id)
{
    for (size_t i = 0; i < partition->offline_count; i++)
        if (partition->offline[i] == broker_id)
            return true;
    return false;
}

static void fill_partition(const struct metadata_asker *asker, const struct metadata_partition *partition,
                           struct arena *arena, struct metadata_response_partition *out)
{
    metadata_response_partition_init(out);
    out->partition_index = partition->partition;
    out->leader_epoch = partition->leader_epoch;
    out->leader_id = partition->leader;
    out->replica_nodes =
        list_ids(asker, partition->replicas, partition->replicas_count, arena, &out->replica_nodes_count);
    out->isr_nodes = list_ids(asker, partition->isr, partition->isr_count, arena, &out->isr_nodes_count);
    out->offline_replicas = answer_array(arena, partition->replicas_count, sizeof(out->offline_replicas[0]));
    for (size_t i = 0; i < partition->replicas_count; i++)
        if (!has_endpoint(asker, partition->replicas[i]) || is_offline(partition, partition->replicas[i]))
            out->offline_replicas[out->offline_replicas_count++] = partition->replicas[i];
    const struct metadata_broker *leader =
        partition->leader >= 0 ? metadata_image_broker(asker->image, partition->leader) : NULL;
    if (leader == NULL) {
        out->error_code = KAFKA_LEADER_NOT_AVAILABLE;
        out->leader_id = -1;
    } else if (metadata_broker_endpoint(leader, asker->listener) == NULL) {
        out->error_code = asker->version >= FIRST_VERSION_WITH_LISTENER_NOT_FOUND
                              ? KAFKA_LISTENER_NOT_FOUND
                              : KAFKA_LEADER_NOT_AVAILABLE;
        out->leader_id = -1;
    } else if (asker->version == 0 && (out->replica_nodes_count < partition->replicas_count ||
                                       out->isr_nodes_count < partition->isr_count)) {
        out->error_code = KAFKA_REPLICA_NOT_AVAILABLE;
    }
}

static void fill_topic(const struct metadata_asker *asker, const struct metadata_topic *topic,
                       struct arena *arena, struct metadata_response_topic *out)
{
    out->name = topic->name;
    out->topic_id = topic->topic_id;
    out->is_internal = topic->internal;
    out->partitions = answer_array(arena, topic->partitions_count, sizeof(out->partitions[0]));
    for (size_t i = 0; i < topic->partitions_count; i++)
        fill_partition(asker, &topic->partitions[i], arena, &out->partitions[out->partitions_count++]);
}

/* What to say of a name that is not in the image. */
static int16_t missing_error(const struct metadata_asker *asker, struct slice name)
{
    if (!topic_name_is_legal(name))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    const struct auto_created_topic *created = asker->creating ? map_get(asker->creating, name) : NULL;
    if (created == NULL)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    /* Created, but the news has not come to us yet. */
    return created->error == KAFKA_NONE ? KAFKA_LEADER_NOT_AVAILABLE : created->error;
}

static void fill_asked(const struct metadata_asker *asker, const struct metadata_request_topic *asked,
                       struct arena *arena, struct metadata_response_topic *out)
{
    metadata_response_topic_init(out);
    bool by_id = !uuid_is_zero(asked->topic_id) || slice_is_null(asked->name);
    const struct metadata_topic *topic = by_id ? metadata_image_topic_by_id(asker->image, asked->topic_id)
                                               : metadata_image_topic(asker->image, asked->name);
    if (topic) {
        fill_topic(asker, topic, arena, out);
        return;
    }
    out->topic_id = asked->topic_id;
    out->name = by_id ? slice_of(NULL) : asked->name;
    out->error_code = by_id ? KAFKA_UNKNOWN_TOPIC_ID : missing_error(asker, asked->name);
}

/* Whether the request's topic was seen before. */
static bool is_repeated(struct map *seen, const struct metadata_request_topic *asked)
{
    struct slice key = slice_is_null(asked->name) || !uuid_is_zero(asked->topic_id)
                           ? slice_make(asked->topic_id.bytes, sizeof(asked->topic_id.bytes))
                           : asked->name;
    return map_put(seen, key, seen) != NULL;
}

void metadata_answer_build(const struct metadata_asker *asker, const char *cluster_id, struct arena *arena,
                           struct metadata_response *response)
{
    metadata_response_init(response);
    response->cluster_id = slice_of(cluster_id);
    response->controller_id = metadata_image_controller_id(asker->image);
    fill_brokers(asker, arena, response);
    /* A broker that has just started knows of nothing yet, not even of itself. Clients pass over an answer
     * without brokers and topics and ask again; any error for a topic would make some forget it, with what
     * they have in flight. */
    if (metadata_image_broker_count(asker->image) == 0 && asker->creating == NULL)
        return;
    if (asker->topics == NULL) {
        size_t position = 0;
        const struct metadata_topic *topic;
        response->topics =
            answer_array(arena, metadata_image_topic_count(asker->image), sizeof(response->topics[0]));
        while ((topic = metadata_image_next_topic(asker->image, &position)) != NULL) {
            struct metadata_response_topic *out = &response->topics[response->topics_count++];
            metadata_response_topic_init(out);
            fill_topic(asker, topic, arena, out);
        }
        return;
    }
    struct map *seen = map_new(asker->seed);
    response->topics = answer_array(arena, asker->topics_count, sizeof(response->topics[0]));
    for (size_t i = 0; i < asker->topics_count; i++)
        if (!is_repeated(seen, &asker->topics[i]))
            fill_asked(asker, &asker->topics[i], arena, &response->topics[response->topics_count++]);
    map_free(seen);
}
