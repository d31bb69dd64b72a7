/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elections on request become fenced multis: those of clients (admin_elect.c), those that an old tool has
 * written into /admin/preferred_replica_election, and those by which the controller balances leaderships.
 *
 * Each is a job: a list of partitions. A partition of the list waits until it is settled, is asked
 * (elect_leader), written if need be, and asked again when the write has ended; "not needed" then means that
 * it has been done, by whomever, and a lost answer or a race is made good by the same question (I38). Only a
 * window of the list is in work at a time, and balancing waits whenever a death leaves something to decide,
 * so that ten thousand moves hold up nobody.
 *
 * Jobs live in memory. The znode of the old tool is removed when its job is done, so that a next controller
 * takes it up from the beginning (I30); a client asks again; balancing is begun anew by whoever is in office.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/elect.h"
#include "coordinator/controller/shell.h"
#include "coordinator/zk/node_admin.h"
#include "coordinator/zk/path.h"
#include "proto/kafka/error.h"

/* How many partitions of a job are in work at a time. */
#define WINDOW 4000
#define WINDOW_BALANCING 500
/* After taking office, before leaderships are balanced for the first time. */
#define FIRST_BALANCE_MS 5000

/* ---- jobs ---- */

struct elect_job *shell_elect_begin(struct controller *controller, enum elect_type type)
{
    struct elect_job *job = memory_allocate_zeroed(1, sizeof(*job));
    job->type = type;
    arena_init(&job->names, ARENA_NO_BUDGET);
    list_push_back(&controller->elections, &job->node);
    return job;
}

void shell_elect_add(struct elect_job *job, struct slice topic, int32_t number)
{
    job->items = memory_grow(job->items, job->count, &job->capacity, sizeof(*job->items));
    struct elect_item *last = job->count > 0 ? &job->items[job->count - 1] : NULL;
    bool same = last != NULL && slice_equals(slice_of(last->topic), topic);
    const char *name = same ? last->topic : arena_copy_string(&job->names, topic);
    job->items[job->count++] = (struct elect_item){.topic = name, .number = number};
}

bool shell_elect_is_done(const struct elect_job *job)
{
    return job->first_open == job->count;
}

void shell_elect_end(struct elect_job *job)
{
    if (job == NULL)
        return;
    list_remove(&job->node);
    arena_release(&job->names);
    free(job->items);
    free(job);
}

static void item_done(struct elect_job *job, struct elect_item *item, int16_t error)
{
    item->status = ELECT_DONE;
    item->error = error;
    job->elected += error == KAFKA_NONE;
}

static void item_pump(struct controller *controller, struct elect_job *job, struct elect_item *item,
                      struct write_batch *batch)
{
    struct image_partition *partition =
        image_partition_of(&controller->image, slice_of(item->topic), item->number);
    struct node_partition_state next;
    bool unclean;
    if (partition != NULL && !partition->topic->deleting &&
        (partition->dirty || partition->busy || image_is_assignment_open(partition->topic)))
        return;
    int16_t error =
        elect_leader(&controller->image, partition, job->type, controller->epoch, &next, &unclean);
    if (error == KAFKA_NONE) {
        shell_batch_add(batch, partition, WRITE_SET, &next, unclean);
        item->status = ELECT_WRITTEN;
        return;
    }
    if (error == KAFKA_ELECTION_NOT_NEEDED && item->status == ELECT_WRITTEN)
        error = KAFKA_NONE;
    if (partition != NULL && partition->sequence > job->sequence)
        job->sequence = partition->sequence;
    item_done(job, item, error);
}

static void job_pump(struct controller *controller, struct elect_job *job, struct write_batch *batch)
{
    size_t window = job->balancing ? WINDOW_BALANCING : WINDOW;
    for (size_t i = job->first_open; i < job->count && window > 0; i++) {
        struct elect_item *item = &job->items[i];
        if (controller->writes_in_flight >= SHELL_WRITES_IN_FLIGHT_MAX)
            break;
        if (item->status != ELECT_DONE) {
            item_pump(controller, job, item, batch);
            window--;
        }
    }
    while (job->first_open < job->count && job->items[job->first_open].status == ELECT_DONE)
        job->first_open++;
}

/* ---- the old tool's znode ---- */

static void node_removed(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    controller->election_node_busy = false;
    if (shell_met_fence(controller, response))
        return;
    /* gone, or changed meanwhile, or who knows */
    shell_look_later(controller, LOOK_PREFERRED_ELECTION, slice_of(""), 0);
}

static void remove_node(struct controller *controller, struct zk_version version)
{
    struct zk_operation operation = zk_operation_delete(ZK_PATH_PREFERRED_REPLICA_ELECTION, version);
    controller->election_node_busy = true;
    zk_fenced_multi(controller->zk, controller->fence, &operation, 1,
                    shell_request(controller, false, node_removed, NULL, NULL));
}

void shell_apply_preferred_election(struct controller *controller, const struct zk_response *response)
{
    /* what was written during the work is seen when the node of that work is to be removed */
    if (response->result != ZK_OK || controller->election_node != NULL || controller->election_node_busy)
        return;
    struct node_partition_list list;
    struct buffer error;
    buffer_init(&error);
    int result = node_preferred_election_decode(response->data, &list, &error);
    if (result != 0 || error.length > 0)
        log_warn(controller->logger, SHELL_AREA, "%s: %s%s", ZK_PATH_PREFERRED_REPLICA_ELECTION,
                 buffer_string(&error), result != 0 ? "; it is removed" : "");
    buffer_release(&error);
    if (result != 0) {
        remove_node(controller, response->stat.version);
        return;
    }
    log_info(controller->logger, SHELL_AREA, "%s asks for the preferred leaders of %zu partitions",
             ZK_PATH_PREFERRED_REPLICA_ELECTION, list.count);
    controller->election_node = shell_elect_begin(controller, ELECT_PREFERRED);
    controller->election_node_version = response->stat.version;
    for (size_t i = 0; i < list.count; i++)
        shell_elect_add(controller->election_node, slice_of(list.items[i].topic), list.items[i].partition);
    node_partition_list_release(&list);
}

static void node_pump(struct controller *controller)
{
    struct elect_job *job = controller->election_node;
    if (job == NULL || !shell_elect_is_done(job))
        return;
    size_t refused = 0;
    for (size_t i = 0; i < job->count; i++) {
        const struct elect_item *item = &job->items[i];
        if (item->error != KAFKA_NONE && item->error != KAFKA_ELECTION_NOT_NEEDED && ++refused <= 20)
            log_warn(controller->logger, SHELL_AREA, "no preferred leader for %s-%d: %s", item->topic,
                     item->number, kafka_error_name(item->error));
    }
    log_info(controller->logger, SHELL_AREA, "%s is done: %zu leaders moved, %zu could not be",
             ZK_PATH_PREFERRED_REPLICA_ELECTION, job->elected, refused);
    shell_elect_end(job);
    controller->election_node = NULL;
    remove_node(controller, controller->election_node_version);
}

/* ---- balancing ---- */

static void add_chosen(void *context, const struct image_partition *partition)
{
    shell_elect_add(context, slice_of(partition->topic->name), partition->number);
}

void shell_balance_office_taken(struct controller *controller)
{
    controller->next_balance_ms =
        controller->options.auto_leader_rebalance ? controller->now_ms + FIRST_BALANCE_MS : INT64_MAX;
}

static void balance_pump(struct controller *controller)
{
    if (controller->balancing != NULL && shell_elect_is_done(controller->balancing)) {
        log_info(controller->logger, SHELL_AREA,
                 "balanced: %zu partitions are led by their preferred replica",
                 controller->balancing->elected);
        shell_elect_end(controller->balancing);
        controller->balancing = NULL;
    }
    if (controller->now_ms < controller->next_balance_ms)
        return;
    controller->next_balance_ms = controller->now_ms + controller->options.leader_imbalance_check_ms;
    if (controller->balancing != NULL)
        return;
    struct elect_job *job = shell_elect_begin(controller, ELECT_PREFERRED);
    job->balancing = true;
    if (elect_balance(&controller->image, controller->options.leader_imbalance_percentage, add_chosen, job) ==
        0) {
        shell_elect_end(job);
        return;
    }
    log_info(controller->logger, SHELL_AREA, "balancing: %zu partitions go to their preferred replica",
             job->count);
    controller->balancing = job;
}

int64_t shell_elect_deadline(const struct controller *controller)
{
    return controller->next_balance_ms;
}

void shell_elect_pump(struct controller *controller)
{
    balance_pump(controller);
    if (list_is_empty(&controller->elections))
        return;
    struct write_batch *batch = shell_batch_new(controller);
    list_for_each(node, &controller->elections)
    {
        struct elect_job *job = container_of(node, struct elect_job, node);
        if (!job->balancing || !image_has_dirty(&controller->image))
            job_pump(controller, job, batch);
    }
    shell_batch_flush(batch);
    node_pump(controller);
    balance_pump(controller);
}

void shell_elect_clear(struct controller *controller)
{
    while (!list_is_empty(&controller->elections))
        shell_elect_end(container_of(controller->elections.next, struct elect_job, node));
    controller->election_node = controller->balancing = NULL;
    controller->election_node_busy = false;
    controller->next_balance_ms = INT64_MAX;
}
