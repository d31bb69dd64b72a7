/* SPDX-License-Identifier: Apache-2.0 */
/* Bookkeeping of the image: brokers, topics, partitions, and the numbered list of changes. */
#include "coordinator/controller/image.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_json.h"

void image_init(struct image *image)
{
    memset(image, 0, sizeof(*image));
    roster_init(&image->brokers);
    image->topics = map_new(1);
    list_init(&image->changes);
    list_init(&image->removed);
    list_init(&image->urgent);
    list_init(&image->dirty);
    list_init(&image->moving);
}

static void move_free(struct image_move *move)
{
    if (move == NULL)
        return;
    node_replicas_release(&move->target);
    free(move);
}

static void partition_free(struct image *image, struct image_partition *partition)
{
    CHECK(list_is_empty(&partition->requests));
    list_remove(&partition->changes);
    list_remove(&partition->dirty_node);
    node_partition_state_release(&partition->state);
    free(partition->assignment.replicas.ids);
    free(partition->assignment.adding.ids);
    free(partition->assignment.removing.ids);
    free(partition->disks);
    free(partition->ends);
    free(partition->new_on);
    move_free(partition->move);
    free(partition->deleted_on);
    free(partition);
    image->partition_count--;
}

static void topic_free(struct image *image, struct image_topic *topic)
{
    list_remove(&topic->moving);
    for (size_t i = 0; i < topic->partition_count; i++)
        partition_free(image, topic->partitions[i]);
    free(topic->partitions);
    node_config_release(&topic->config);
    free(topic->name);
    free(topic);
}

static void removed_free(struct image_removed *removed)
{
    list_remove(&removed->node);
    free(removed->name);
    free(removed);
}

void image_release(struct image *image)
{
    size_t position = 0;
    void *topic;
    while (map_next(image->topics, &position, NULL, &topic))
        topic_free(image, topic);
    map_free(image->topics);
    image_trim_removed(image, UINT64_MAX);
    roster_release(&image->brokers);
    free(image->shutdowns);
}

static uint64_t next_sequence(struct image *image)
{
    return ++image->sequence;
}

bool image_set_broker(struct image *image, int32_t broker_id, int64_t broker_epoch, struct node_broker *node)
{
    const struct roster_member *known = roster_find(&image->brokers, broker_id);
    if (known != NULL && known->broker_epoch >= broker_epoch) {
        bool same = true;
        if (known->broker_epoch == broker_epoch) {
            struct buffer before, after;
            buffer_init(&before);
            buffer_init(&after);
            node_broker_encode(&known->node, &before);
            node_broker_encode(node, &after);
            same = slice_equals(buffer_slice(&before), buffer_slice(&after));
            buffer_release(&before);
            buffer_release(&after);
        }
        if (same) {
            node_broker_release(node);
            return false;
        }
    }
    roster_put(&image->brokers, broker_id, broker_epoch, node);
    image->brokers_sequence = next_sequence(image);
    return true;
}

bool image_remove_broker(struct image *image, int32_t broker_id)
{
    if (!roster_remove(&image->brokers, broker_id))
        return false;
    image->brokers_sequence = next_sequence(image);
    return true;
}

int64_t image_broker_epoch(const struct image *image, int32_t broker_id)
{
    const struct roster_member *member = roster_find(&image->brokers, broker_id);
    return member != NULL ? member->broker_epoch : -1;
}

bool image_broker_is_intact_since(const struct image *image, int32_t broker_id, int64_t broker_epoch)
{
    const struct roster_member *member = roster_find(&image->brokers, broker_id);
    if (member == NULL)
        return false;
    const struct node_broker *node = &member->node;
    bool in_former_lives = node->intact_since >= 0 && broker_epoch >= node->intact_since &&
                           (node->intact_until < 0 || broker_epoch <= node->intact_until);
    return in_former_lives || (node->alive_since >= 0 && broker_epoch >= node->alive_since);
}

void image_mark_shutdown(struct image *image, int32_t broker_id, int64_t broker_epoch)
{
    for (size_t i = 0; i < image->shutdown_count; i++) {
        if (image->shutdowns[i].broker_id == broker_id) {
            image->shutdowns[i].broker_epoch = broker_epoch;
            return;
        }
    }
    image->shutdowns = memory_grow(image->shutdowns, image->shutdown_count, &image->shutdown_capacity,
                                   sizeof(*image->shutdowns));
    image->shutdowns[image->shutdown_count++] = (struct image_shutdown){broker_id, broker_epoch};
}

void image_note_log_end(struct image *image, struct image_partition *partition, int32_t broker_id,
                        int32_t leader_epoch, int32_t last_epoch, int64_t end_offset)
{
    struct image_end *end = NULL;
    for (size_t i = 0; i < partition->ends_count; i++)
        if (partition->ends[i].broker_id == broker_id)
            end = &partition->ends[i];
    if (end == NULL) {
        partition->ends = memory_resize(partition->ends, (partition->ends_count + 1) * sizeof(*end));
        end = &partition->ends[partition->ends_count++];
    }
    *end = (struct image_end){broker_id, image_broker_epoch(image, broker_id), leader_epoch, last_epoch,
                              end_offset};
    image_mark_dirty(image, partition);
}

const struct image_end *image_log_end(const struct image *image, const struct image_partition *partition,
                                      int32_t broker_id)
{
    for (size_t i = 0; i < partition->ends_count; i++) {
        const struct image_end *end = &partition->ends[i];
        if (end->broker_id == broker_id)
            return end->broker_epoch == image_broker_epoch(image, broker_id) &&
                           end->leader_epoch == partition->state.leader_epoch &&
                           partition->state.leader == NODE_NO_LEADER
                       ? end
                       : NULL;
    }
    return NULL;
}

bool image_is_shutting_down(const struct image *image, int32_t broker_id)
{
    for (size_t i = 0; i < image->shutdown_count; i++)
        if (image->shutdowns[i].broker_id == broker_id)
            return image->shutdowns[i].broker_epoch == image_broker_epoch(image, broker_id);
    return false;
}

bool image_set_replica_disk(struct image *image, struct image_partition *partition, int32_t broker_id,
                            enum replica_disk disk)
{
    enum replica_disk former = image_replica_disk(image, partition, broker_id);
    if (former == disk)
        return false;
    /* what it said in an earlier life goes as well */
    size_t kept = 0;
    for (size_t i = 0; i < partition->disks_count; i++)
        if (partition->disks[i].broker_id != broker_id)
            partition->disks[kept++] = partition->disks[i];
    partition->disks_count = kept;
    if (disk != REPLICA_DISK_SERVES) {
        partition->disks = memory_resize(partition->disks, (kept + 1) * sizeof(*partition->disks));
        partition->disks[partition->disks_count++] =
            (struct image_disk){broker_id, image_broker_epoch(image, broker_id), disk};
    }
    image_mark_dirty(image, partition);
    if (former == REPLICA_DISK_FAILED || disk == REPLICA_DISK_FAILED)
        image_touch(image, partition, false);
    return true;
}

enum replica_disk image_replica_disk(const struct image *image, const struct image_partition *partition,
                                     int32_t broker_id)
{
    for (size_t i = 0; i < partition->disks_count; i++)
        if (partition->disks[i].broker_id == broker_id &&
            partition->disks[i].broker_epoch == image_broker_epoch(image, broker_id))
            return partition->disks[i].disk;
    return REPLICA_DISK_SERVES;
}

bool image_can_serve(const struct image *image, const struct image_partition *partition, int32_t broker_id)
{
    return image_broker_epoch(image, broker_id) >= 0 &&
           image_replica_disk(image, partition, broker_id) != REPLICA_DISK_FAILED;
}

struct image_topic *image_find_topic(const struct image *image, struct slice name)
{
    return map_get(image->topics, name);
}

struct image_topic *image_find_topic_by_id(const struct image *image, struct uuid topic_id)
{
    size_t position = 0;
    void *value;
    while (map_next(image->topics, &position, NULL, &value)) {
        struct image_topic *topic = value;
        if (topic->has_id && uuid_equals(topic->topic_id, topic_id))
            return topic;
    }
    return NULL;
}

struct image_topic *image_add_topic(struct image *image, struct slice name)
{
    struct image_topic *topic = memory_allocate_zeroed(1, sizeof(*topic));
    topic->name = memory_copy_bytes(name.data, name.length);
    node_config_init(&topic->config);
    list_init(&topic->moving);
    CHECK(map_get(image->topics, name) == NULL);
    map_put(image->topics, name, topic);
    return topic;
}

/* Brokers are to forget the topic of this name and id. */
static uint64_t note_removed(struct image *image, const struct image_topic *topic)
{
    struct image_removed *removed = memory_allocate_zeroed(1, sizeof(*removed));
    removed->name = memory_copy_string(topic->name);
    removed->topic_id = topic->topic_id;
    removed->sequence = next_sequence(image);
    list_push_back(&image->removed, &removed->node);
    return removed->sequence;
}

void image_begin_deletion(struct image *image, struct image_topic *topic)
{
    topic->deleting = true;
    topic->deletion_sequence = note_removed(image, topic);
    for (size_t i = 0; i < topic->partition_count; i++) {
        list_remove(&topic->partitions[i]->changes);
        image_clear_dirty(topic->partitions[i]);
    }
}

void image_remove_topic(struct image *image, struct image_topic *topic)
{
    if (!topic->deleting)
        note_removed(image, topic);
    map_remove(image->topics, slice_of(topic->name));
    topic_free(image, topic);
}

void image_trim_removed(struct image *image, uint64_t told)
{
    list_for_each_safe(node, after, &image->removed)
    {
        struct image_removed *removed = container_of(node, struct image_removed, node);
        if (removed->sequence > told)
            return;
        removed_free(removed);
    }
}

struct image_partition *image_find_partition(const struct image_topic *topic, int32_t number)
{
    size_t low = 0, high = topic->partition_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (topic->partitions[middle]->number == number)
            return topic->partitions[middle];
        if (topic->partitions[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool image_is_assignment_open(const struct image_topic *topic)
{
    return topic->assignment_busy || topic->assignment_unknown;
}

struct image_partition *image_partition_of(const struct image *image, struct slice topic, int32_t number)
{
    const struct image_topic *found = image_find_topic(image, topic);
    return found != NULL ? image_find_partition(found, number) : NULL;
}

static bool replicas_equal(const struct node_replicas *a, const struct node_replicas *b)
{
    return a->count == b->count && (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof(*a->ids)) == 0);
}

bool node_replicas_contains(const struct node_replicas *replicas, int32_t broker_id)
{
    for (size_t i = 0; i < replicas->count; i++)
        if (replicas->ids[i] == broker_id)
            return true;
    return false;
}

static struct image_partition *partition_new(struct image *image, struct image_topic *topic, int32_t number)
{
    struct image_partition *partition = memory_allocate_zeroed(1, sizeof(*partition));
    partition->topic = topic;
    partition->number = number;
    partition->assignment.partition = number;
    node_partition_state_init(&partition->state);
    list_init(&partition->requests);
    list_init(&partition->changes);
    list_init(&partition->dirty_node);
    image->partition_count++;
    return partition;
}

static bool assignment_set(struct node_assignment *to, const struct node_assignment *from)
{
    bool same = replicas_equal(&to->replicas, &from->replicas) &&
                replicas_equal(&to->adding, &from->adding) && replicas_equal(&to->removing, &from->removing);
    if (same)
        return false;
    node_replicas_set(&to->replicas, from->replicas.ids, from->replicas.count);
    node_replicas_set(&to->adding, from->adding.ids, from->adding.count);
    node_replicas_set(&to->removing, from->removing.ids, from->removing.count);
    return true;
}

static bool loses_replicas(const struct image_partition *partition, const struct node_assignment *next)
{
    for (size_t i = 0; i < partition->assignment.replicas.count; i++)
        if (!node_replicas_contains(&next->replicas, partition->assignment.replicas.ids[i]))
            return true;
    return false;
}

/* Replicas that a move adds have no log yet, unless they have said otherwise; who has left has none either.
 */
static void expect_added(struct image_partition *partition, const struct node_assignment *next)
{
    for (size_t i = 0; i < partition->assignment.replicas.count; i++)
        if (!node_replicas_contains(&next->replicas, partition->assignment.replicas.ids[i]))
            image_note_replica_taken(partition, partition->assignment.replicas.ids[i]);
    for (size_t i = 0; i < next->adding.count; i++) {
        if (node_replicas_contains(&partition->assignment.adding, next->adding.ids[i]))
            continue;
        image_note_replica_taken(partition, next->adding.ids[i]);
        partition->new_on =
            memory_resize(partition->new_on, (partition->new_on_count + 1) * sizeof(*partition->new_on));
        partition->new_on[partition->new_on_count++] = (struct image_new){next->adding.ids[i], -1};
    }
}

void image_set_topic(struct image *image, struct image_topic *topic, const struct node_topic *node,
                     int32_t version)
{
    topic->version = version;
    topic->has_id = node->has_topic_id;
    topic->topic_id = node->topic_id;
    struct image_partition **partitions =
        memory_allocate(max_size(node->partition_count, 1) * sizeof(struct image_partition *));
    for (size_t i = 0; i < node->partition_count; i++) {
        const struct node_assignment *assignment = &node->partitions[i];
        struct image_partition *partition = image_find_partition(topic, assignment->partition);
        bool is_new = partition == NULL;
        if (is_new)
            partition = partition_new(image, topic, assignment->partition);
        partitions[i] = partition;
        expect_added(partition, assignment);
        topic->has_departed = topic->has_departed || loses_replicas(partition, assignment);
        if (assignment_set(&partition->assignment, assignment) && !is_new) {
            image_mark_dirty(image, partition);
            image_touch(image, partition, true);
        }
    }
    for (size_t i = 0; i < topic->partition_count; i++)
        if (node_topic_find(node, topic->partitions[i]->number) == NULL)
            partition_free(image, topic->partitions[i]);
    free(topic->partitions);
    topic->partitions = partitions;
    topic->partition_count = node->partition_count;
}

/* The partition has just been created: no replica of it has a log yet. */
static void expect_replicas(const struct image *image, struct image_partition *partition)
{
    const struct node_replicas *replicas = &partition->assignment.replicas;
    partition->new_on =
        memory_resize(partition->new_on, max_size(replicas->count, 1) * sizeof(*partition->new_on));
    partition->new_on_count = 0;
    for (size_t i = 0; i < replicas->count; i++)
        partition->new_on[partition->new_on_count++] =
            (struct image_new){replicas->ids[i], image_broker_epoch(image, replicas->ids[i])};
}

void image_note_replica_taken(struct image_partition *partition, int32_t broker_id)
{
    size_t kept = 0;
    for (size_t i = 0; i < partition->new_on_count; i++)
        if (partition->new_on[i].broker_id != broker_id)
            partition->new_on[kept++] = partition->new_on[i];
    partition->new_on_count = kept;
}

static bool has_seat(const struct node_partition_state *state, int32_t broker_id)
{
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker_id)
            return true;
    return false;
}

bool image_is_replica_new(const struct image *image, const struct image_partition *partition,
                          int32_t broker_id)
{
    for (size_t i = 0; i < partition->new_on_count; i++)
        if (partition->new_on[i].broker_id == broker_id)
            return partition->new_on[i].broker_epoch == image_broker_epoch(image, broker_id) ||
                   (partition->new_on[i].broker_epoch < 0 && !has_seat(&partition->state, broker_id));
    return false;
}

bool image_set_state(struct image *image, struct image_partition *partition,
                     const struct node_partition_state *state, int32_t version)
{
    bool was_known = partition->state_known;
    partition->state_known = true;
    if (state == NULL) {
        bool changed = partition->has_state;
        partition->state_lost = partition->state_lost || changed;
        partition->has_state = false;
        partition->version = 0;
        if (changed || !was_known)
            image_mark_dirty(image, partition);
        return changed;
    }
    partition->node_exists = true;
    partition->topic->partitions_node_exists = true;
    bool same = partition->has_state && partition->version == version &&
                node_partition_state_equals(&partition->state, state);
    if (same)
        return false;
    bool elected = !partition->has_state || partition->state.leader_epoch != state->leader_epoch;
    if (was_known && !partition->has_state && state->leader_epoch == 0)
        expect_replicas(image, partition);
    node_partition_state_release(&partition->state);
    node_partition_state_copy(&partition->state, state);
    partition->has_state = true;
    partition->state_lost = false;
    partition->version = version;
    image_mark_dirty(image, partition);
    image_touch(image, partition, elected || !was_known);
    return true;
}

void image_touch(struct image *image, struct image_partition *partition, bool leader_and_isr)
{
    if (partition->topic->deleting)
        return;
    partition->sequence = next_sequence(image);
    if (leader_and_isr)
        partition->leader_isr_sequence = partition->sequence;
    list_remove(&partition->changes);
    list_push_back(&image->changes, &partition->changes);
}

void image_touch_topic(struct image *image, struct image_topic *topic)
{
    for (size_t i = 0; i < topic->partition_count; i++)
        image_touch(image, topic->partitions[i], true);
}

static bool is_urgent(const struct image *image, const struct image_partition *partition)
{
    if (!partition->state_known) /* nothing can be decided before it has been read */
        return false;
    return !partition->has_state || partition->unsettled ||
           image_broker_epoch(image, partition->state.leader) < 0 ||
           image_is_shutting_down(image, partition->state.leader);
}

void image_mark_dirty(struct image *image, struct image_partition *partition)
{
    bool known = partition->dirty && partition->urgent;
    if (known || partition->topic->deleting)
        return;
    bool urgent = is_urgent(image, partition);
    if (partition->dirty && !urgent)
        return;
    partition->dirty = true;
    partition->urgent = urgent;
    list_remove(&partition->dirty_node);
    if (urgent && partition->unsettled) /* most likely it has been written: only settling it is left */
        list_push_front(&image->urgent, &partition->dirty_node);
    else
        list_push_back(urgent ? &image->urgent : &image->dirty, &partition->dirty_node);
}

bool image_has_dirty(const struct image *image)
{
    return !list_is_empty(&image->urgent) || !list_is_empty(&image->dirty);
}

void image_mark_moving(struct image *image, struct image_topic *topic)
{
    if (list_is_empty(&topic->moving))
        list_push_back(&image->moving, &topic->moving);
}

void image_set_move(struct image *image, struct image_partition *partition, const struct image_move *move)
{
    move_free(partition->move);
    partition->move = NULL;
    if (move == NULL)
        return;
    partition->move = memory_allocate(sizeof(*partition->move));
    *partition->move = *move;
    image_mark_moving(image, partition->topic);
}

void image_clear_dirty(struct image_partition *partition)
{
    partition->dirty = false;
    list_remove(&partition->dirty_node);
}

static bool concerns(const struct image_partition *partition, int32_t broker_id)
{
    if (node_replicas_contains(&partition->assignment.replicas, broker_id) ||
        (partition->has_state && partition->state.leader == broker_id))
        return true;
    for (size_t i = 0; partition->has_state && i < partition->state.isr_count; i++)
        if (partition->state.isr[i] == broker_id)
            return true;
    for (size_t i = 0; partition->has_state && i < partition->state.elr_count; i++)
        if (partition->state.elr[i] == broker_id)
            return true;
    return false;
}

void image_mark_dirty_of_broker(struct image *image, int32_t broker_id)
{
    size_t position = 0;
    void *value;
    while (map_next(image->topics, &position, NULL, &value)) {
        struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count; i++)
            if (concerns(topic->partitions[i], broker_id))
                image_mark_dirty(image, topic->partitions[i]);
    }
}

static int compare_topics(const void *a, const void *b)
{
    return strcmp((*(struct image_topic *const *)a)->name, (*(struct image_topic *const *)b)->name);
}

static void dump_partition(const struct image_partition *partition, struct buffer *out)
{
    buffer_print(out, "partition %s-%d replicas", partition->topic->name, partition->number);
    for (size_t i = 0; i < partition->assignment.replicas.count; i++)
        buffer_print(out, " %d", partition->assignment.replicas.ids[i]);
    if (!partition->has_state) {
        buffer_append_string(out, " no state\n");
        return;
    }
    const struct node_partition_state *state = &partition->state;
    buffer_print(out, " leader %d epoch %d version %d isr", state->leader, state->leader_epoch,
                 partition->version);
    for (size_t i = 0; i < state->isr_count; i++)
        buffer_print(out, " %d@%" PRId64, state->isr[i],
                     state->isr_broker_epochs != NULL ? state->isr_broker_epochs[i] : -1);
    for (size_t i = 0; i < state->elr_count; i++)
        buffer_print(out, "%s %d@%" PRId64, i == 0 ? " eligible" : "", state->elr[i],
                     state->elr_broker_epochs[i]);
    buffer_print(out, "%s%s\n", partition->unsettled ? " unsettled" : "", partition->busy ? " busy" : "");
}

void image_dump(const struct image *image, struct buffer *out)
{
    for (size_t i = 0; i < image->brokers.count; i++)
        buffer_print(out, "broker %d epoch %" PRId64 "\n", image->brokers.members[i].broker_id,
                     image->brokers.members[i].broker_epoch);
    struct image_topic **sorted =
        memory_allocate(max_size(map_size(image->topics), 1) * sizeof(struct image_topic *));
    size_t count = 0, position = 0;
    void *topic;
    while (map_next(image->topics, &position, NULL, &topic))
        sorted[count++] = topic;
    qsort(sorted, count, sizeof(struct image_topic *), compare_topics);
    for (size_t t = 0; t < count; t++) {
        char id[UUID_TEXT_LENGTH + 1];
        uuid_format(sorted[t]->topic_id, id);
        buffer_print(out, "topic %s id %s%s\n", sorted[t]->name, id, sorted[t]->deleting ? " deleting" : "");
        for (size_t i = 0; i < sorted[t]->partition_count; i++)
            dump_partition(sorted[t]->partitions[i], out);
    }
    free(sorted);
}
