/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log directories that fail, and are well again. A broker whose directory changes its health leaves a
 * notification under /log_dir_event_notification; it says only "ask me". The controller then tells that
 * broker the roles of all its replicas once more, and the answer names those that its disks cannot serve:
 * they count as dead (image_can_serve) until an answer says otherwise, or the broker is registered anew. One
 * that only has no room keeps its seats, and leads where nobody else can: on a cluster whose disks fill up
 * together nothing is lost by it, and reads go on.
 *
 * The notification goes as soon as the broker is to be asked. A controller that dies in between leaves
 * nothing undone: its successor asks every broker anyway (I30, I34).
 */
#include "coordinator/controller/shell.h"
#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

void shell_apply_directory_events(struct controller *controller, const struct zk_response *response)
{
    if (response->result != ZK_OK)
        return;
    for (size_t i = 0; i < response->child_count; i++)
        shell_look(controller, LOOK_DIRECTORY_EVENT, slice_of(response->children[i]), 0);
}

static void event_removed(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    (void)shell_met_fence(controller, response);
}

/* Where this fails, the periodic comparison finds the node again. */
static void remove_event(struct controller *controller, const struct look *look, struct zk_version version)
{
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    struct zk_operation operation =
        zk_operation_delete(zk_path_log_dir_event(&arena, slice_of(look->name)), version);
    zk_fenced_multi(controller->zk, controller->fence, &operation, 1,
                    shell_request(controller, false, event_removed, NULL, NULL));
    arena_release(&arena);
}

void shell_apply_directory_event(struct controller *controller, const struct look *look,
                                 const struct zk_response *response)
{
    if (response->result != ZK_OK)
        return;
    struct node_log_dir_event event;
    struct buffer error;
    buffer_init(&error);
    if (node_log_dir_event_decode(response->data, &event, &error) == 0) {
        log_info(controller->logger, SHELL_AREA,
                 "a log directory of broker %d has changed: asking what it serves", event.broker_id);
        shell_channel_recheck(controller, event.broker_id);
    } else {
        struct buffer name;
        buffer_init(&name);
        buffer_append_escaped(&name, slice_of(look->name), 300);
        log_warn(controller->logger, SHELL_AREA, "%s/%s is removed unread: %s", ZK_PATH_LOG_DIR_EVENTS,
                 buffer_string(&name), buffer_string(&error));
        buffer_release(&name);
    }
    buffer_release(&error);
    remove_event(controller, look, response->stat.version);
}

bool shell_is_disk_error(int16_t error)
{
    return error == KAFKA_KAFKA_STORAGE_ERROR || error == KAFKA_INCONSISTENT_TOPIC_ID;
}

void shell_note_directories(struct controller *controller, int32_t broker_id,
                            const struct control_response *response)
{
    size_t changed[] = {0, 0, 0};
    for (size_t i = 0; i < response->partitions_count; i++) {
        const struct control_partition_error *item = &response->partitions[i];
        struct image_partition *partition =
            image_partition_of(&controller->image, item->topic, item->partition);
        enum replica_disk disk = shell_is_disk_error(item->error) ? REPLICA_DISK_FAILED
                                 : item->full                     ? REPLICA_DISK_FULL
                                                                  : REPLICA_DISK_SERVES;
        /* other errors say nothing of the disk */
        if (partition == NULL || partition->topic->deleting ||
            (disk != REPLICA_DISK_FAILED && item->error != KAFKA_NONE))
            continue;
        if (item->error == KAFKA_NONE)
            image_note_replica_taken(partition, broker_id);
        if (item->error == KAFKA_NONE && item->tells_end)
            image_note_log_end(&controller->image, partition, broker_id, item->leader_epoch, item->last_epoch,
                               item->end_offset);
        if (image_set_replica_disk(&controller->image, partition, broker_id, disk))
            changed[disk]++;
    }
    if (changed[REPLICA_DISK_FAILED] > 0)
        log_warn(controller->logger, SHELL_AREA,
                 "broker %d cannot serve %zu replicas: their log directory is offline", broker_id,
                 changed[REPLICA_DISK_FAILED]);
    if (changed[REPLICA_DISK_FULL] > 0)
        log_warn(controller->logger, SHELL_AREA,
                 "broker %d has no room for %zu replicas: others lead them where they can", broker_id,
                 changed[REPLICA_DISK_FULL]);
    if (changed[REPLICA_DISK_SERVES] > 0)
        log_info(controller->logger, SHELL_AREA, "broker %d serves %zu replicas again", broker_id,
                 changed[REPLICA_DISK_SERVES]);
}
